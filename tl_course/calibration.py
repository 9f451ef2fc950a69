"""Is the confidence right, and does the input fit? Temperature scaling, reliability, and out-of-distribution scores.

Framework-free: everything takes logits, probabilities or features as NumPy arrays. The calibration error itself is
`tl_course.metrics.expected_calibration_error`. All scores are larger for inputs that look less like the training data.
"""

from dataclasses import dataclass

import numpy as np

from tl_course.errors import BadInput

LOG_TEMPERATURES = (-3.0, 4.0)
"""Natural logarithms of the temperatures searched: 0.05 to 55."""


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (N, K) from logits (N, K) divided by a temperature: above 1 less sure, below 1 surer."""
    scaled = _matrix(logits, "logits") / temperature
    exponential = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponential / exponential.sum(axis=1, keepdims=True)


def negative_log_likelihood(logits: np.ndarray, y: np.ndarray, temperature: float = 1.0) -> float:
    """Mean over the N examples of -log softmax(logits / temperature)[y]."""
    scaled = _matrix(logits, "logits") / temperature
    return float(np.mean(_logsumexp(scaled) - scaled[np.arange(len(scaled)), _labels(y, scaled)]))


def temperature_scale(logits: np.ndarray, y: np.ndarray) -> float:
    """The one temperature T that makes softmax(logits / T) fit held-out labels best (Guo et al., 2017).

    Minimises the negative log likelihood over T; it is convex in 1 / T, so there is one minimum. No prediction changes:
    dividing all logits by one number keeps their order. Fit on validation data, never on the training or test set.

    Args:
        logits: float (N, K), of validation data.
        y: int (N,).

    Returns:
        T between exp(-3) and exp(4); above 1 means that the model was too sure.

    Raises:
        BadInput: shapes or labels do not fit.
    """
    from scipy.optimize import minimize_scalar

    logits = _matrix(logits, "logits")
    labels = _labels(y, logits)
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, labels, float(np.exp(log_t))),
        bounds=LOG_TEMPERATURES,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


@dataclass(frozen=True)
class ReliabilityCurve:
    """Mean confidence and accuracy of the predictions in each bin of confidence; empty bins are left out.

    Attributes:
        confidence: (B,) mean probability of the predicted class, increasing.
        accuracy: (B,) share of right predictions.
        count: (B,) number of predictions.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def reliability_curve(y: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> ReliabilityCurve:
    """What a reliability diagram draws; on the diagonal, 80 % sure means right 80 times in 100.

    Args:
        y: int (N,).
        probabilities: (N, K), rows sum to 1.
        bins: number of equal intervals of confidence from 0 to 1, each open on the left.
    """
    probabilities = _matrix(probabilities, "probabilities")
    right = probabilities.argmax(axis=1) == _labels(y, probabilities)
    confidence = probabilities.max(axis=1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    used = np.unique(place)
    return ReliabilityCurve(
        confidence=np.array([confidence[place == b].mean() for b in used]),
        accuracy=np.array([right[place == b].mean() for b in used]),
        count=np.array([(place == b).sum() for b in used]),
    )


def max_softmax_score(logits: np.ndarray) -> np.ndarray:
    """1 - probability of the predicted class, (N,) in [0, 1] (Hendrycks & Gimpel, 2017)."""
    return 1 - softmax(logits).max(axis=1)


def energy_score(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """-T logsumexp(logits / T), (N,) (Liu et al., 2020). Unlike the softmax it sees how large the logits are."""
    return -temperature * _logsumexp(_matrix(logits, "logits") / temperature)


def mahalanobis_score(features: np.ndarray, train_features: np.ndarray, train_y: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distance to the nearest class mean, (N,) (Lee et al., 2018).

    One covariance for all classes, shrunk towards a multiple of the identity as Ledoit & Wolf (2004) compute it, since
    there are often fewer examples than features.

    Args:
        features: (N, D).
        train_features: (M, D) of the data the model was trained on.
        train_y: int (M,).
    """
    from scipy.linalg import solve_triangular
    from sklearn.covariance import LedoitWolf

    features, train_features = _matrix(features, "features"), _matrix(train_features, "train_features")
    classes, place = np.unique(train_y, return_inverse=True)
    means = np.stack([train_features[place == c].mean(axis=0) for c in range(len(classes))])  # (K, D)
    fitted = LedoitWolf(store_precision=False, assume_centered=True).fit(train_features - means[place])
    root = np.linalg.cholesky(fitted.covariance_)
    inputs, centres = (solve_triangular(root, rows.T, lower=True).T for rows in (features, means))  # spread 1 each way
    squared = (inputs**2).sum(1)[:, None] - 2 * inputs @ centres.T + (centres**2).sum(1)
    return squared.min(axis=1)


def knn_score(features: np.ndarray, train_features: np.ndarray, k: int = 5) -> np.ndarray:
    """Euclidean distance to the k-th nearest training example after scaling rows to length 1, (N,) (Sun et al., 2022).

    Args:
        features: (N, D).
        train_features: (M, D).
        k: at most M.
    """
    unit, train = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        for x in (_matrix(features, "features"), _matrix(train_features, "train_features"))
    )
    if not 1 <= k <= len(train):
        raise BadInput(f"k from 1 to {len(train)}", str(k), "use at most as many neighbours as training examples")
    similarity = np.partition(unit @ train.T, len(train) - k, axis=1)[:, len(train) - k]
    return np.sqrt(np.maximum(2 - 2 * similarity, 0))


def auroc(in_scores: np.ndarray, out_scores: np.ndarray) -> float:
    """Chance that a random outside input scores higher than a random inside one, ties half: 0.5 is blind, 1 perfect."""
    from scipy.stats import rankdata

    inside, outside = np.asarray(in_scores, dtype=float).ravel(), np.asarray(out_scores, dtype=float).ravel()
    if not len(inside) or not len(outside):
        raise BadInput("scores of both kinds", f"{len(inside)} inside, {len(outside)} outside", "score some of each")
    ranks = rankdata(np.concatenate([inside, outside]))
    return float((ranks[len(inside) :].sum() - len(outside) * (len(outside) + 1) / 2) / (len(inside) * len(outside)))


def _logsumexp(values: np.ndarray) -> np.ndarray:
    largest = values.max(axis=1)
    return largest + np.log(np.exp(values - largest[:, None]).sum(axis=1))


def _matrix(values: np.ndarray, name: str) -> np.ndarray:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape or not np.isfinite(matrix).all():
        state = "finite" if np.isfinite(matrix).all() else "with NaN or infinity"
        raise BadInput(f"{name} as finite numbers (N, D)", f"shape {matrix.shape}, {state}", "pass one row an example")
    return matrix


def _labels(y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    labels = np.asarray(y)
    fits = labels.shape == (len(rows),) and np.issubdtype(labels.dtype, np.integer)
    if not fits or labels.min() < 0 or labels.max() >= rows.shape[1]:
        raise BadInput(
            f"labels from 0 to {rows.shape[1] - 1}, shape ({len(rows)},)",
            f"{labels.dtype}, shape {labels.shape}",
            "pass the class numbers of the same rows",
        )
    return labels
