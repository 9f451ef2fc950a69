"""Has the distribution shifted, and how? Proxy A-distance between inputs, and new class shares from predictions."""

import numpy as np

from tl_course.errors import BadInput


def domain_auroc(source: np.ndarray, target: np.ndarray, seed: int = 0) -> float:
    """How well a linear classifier tells the two domains apart on features it was not trained on: AUROC, 0.5 to 1.

    Each half of the data is scored by a logistic regression trained on the other half (a classifier two-sample test,
    Lopez-Paz & Oquab, 2017). No labels are needed. Below 0.5 by chance is possible.

    Args:
        source: (N, D) features of one domain.
        target: (M, D) of the other. Subsample the larger one first when their sizes differ much.
        seed: draws the halves.
    """
    from tl_course.calibration import auroc

    scores, domain = _held_out_scores(source, target, seed)
    return auroc(scores[domain == 0], scores[domain == 1])


def proxy_a_distance(source: np.ndarray, target: np.ndarray, seed: int = 0) -> float:
    """2 (1 - 2 error) of a classifier that tells the domains apart: 0 the same, 2 disjoint (Ben-David et al., 2007).

    The error is balanced over both domains and measured by two-fold cross-fitting; a classifier no better than guessing
    gives about 0, slightly below by chance.

    Args:
        source, target, seed: as in `domain_auroc`.
    """
    scores, domain = _held_out_scores(source, target, seed)
    error = (np.mean(scores[domain == 0] > 0) + np.mean(scores[domain == 1] <= 0)) / 2
    return float(2 * (1 - 2 * error))


def target_class_shares(probabilities: np.ndarray, source_shares: np.ndarray, num_rounds: int = 100) -> np.ndarray:
    """Class shares of an unlabelled target by expectation maximisation (Saerens, Latinne & Decaestecker, 2002).

    Correct the predictions for the current shares, take their mean as the next shares, and so on. It assumes label
    shift, where p(x | y) stays, and calibrated probabilities; where either is wrong the answer is wrong too.

    Args:
        probabilities: (N, K) of the model on the target.
        source_shares: (K,), of the data the model was trained on, all above 0.
        num_rounds: how often to repeat.

    Returns:
        Shares (K,) that sum to 1.

    Raises:
        BadInput: shares of another length than K, or not all above 0.
    """
    probabilities, source_shares = np.asarray(probabilities), np.asarray(source_shares)
    if source_shares.shape != probabilities.shape[1:] or (source_shares <= 0).any():
        raise BadInput(
            f"source_shares of shape {probabilities.shape[1:]}, all above 0",
            f"shape {source_shares.shape}, smallest {source_shares.min():g}",
            "count the classes of the training data",
        )
    shares = source_shares
    for _ in range(num_rounds):
        shares = correct_prior(probabilities, source_shares, shares).mean(axis=0)
    return shares


def correct_prior(probabilities: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) for new class shares: p(y | x) new(y) / old(y), renormalised (Saerens et al., 2002)."""
    weighted = np.asarray(probabilities) * (np.asarray(new) / np.asarray(old))
    return weighted / weighted.sum(axis=1, keepdims=True)


def _held_out_scores(source: np.ndarray, target: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of being from the target, and 0 / 1 for where each row is from: (N + M,) each."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    source, target = np.asarray(source), np.asarray(target)
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1] or min(len(source), len(target)) < 4:
        raise BadInput(
            "two feature arrays (N, D), at least four rows each",
            f"shapes {source.shape} and {target.shape}",
            "extract both with the same model",
        )
    features = np.concatenate([source, target])
    domain = np.repeat([0, 1], [len(source), len(target)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000))
    folds = StratifiedKFold(n_splits=2, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):
        scores = cross_val_predict(classifier, features, domain, cv=folds, method="decision_function")
    return scores, domain
