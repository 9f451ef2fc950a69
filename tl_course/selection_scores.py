"""How well will these features transfer? Scores from one forward pass and the labels, without training anything.

A higher score promises a better fine-tuned result. How far the promise holds is an empirical question: compare the
ranking with results by `rank_agreement`, as lesson 09 does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tl_course.errors import BadInput
from tl_course.i18n import _

Floats = NDArray[np.floating]

_NOISE_FLOOR = 1e-10
"""Share of a label column's squared length below which its residual counts as rounding; keeps a perfect fit finite."""


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the maximum evidence, per example and class (You et al., LogME, ICML 2021).

    For each class k, the column y in {0, 1}^N of "is it class k?" is modelled as linear in the features, with a
    Gaussian prior on the weights and Gaussian noise; the weights are integrated out and both precisions chosen to make
    the observed column most probable:

        LogME = 1 / (N K) sum_k max_{alpha, beta} log N(y_k; 0, F F^T / alpha + I / beta)

    Averaging over weights instead of fitting them is what keeps a wide feature matrix from looking good by overfitting.

    Args:
        features: F, float (N, D). No column of ones is added and nothing is centred, as in the paper.
        labels: int (N,), K >= 2 classes occur.

    Returns:
        A log density: any real number, of use only in comparison on the same examples. Multiplying or rotating the
        features changes nothing; shifting them does. Columns that are fitted to rounding are capped.

    Raises:
        BadInput: shapes, NaN, one class only, or features that are the same in every row.
    """
    features, labels = _checked(features, labels)
    left, singular, _right = np.linalg.svd(features, full_matrices=False)  # (N, r), (r,)
    keep = singular > singular[0] * max(features.shape) * np.finfo(np.float64).eps
    left, squares = left[:, keep], singular[keep] ** 2
    columns = (labels[:, None] == np.unique(labels)).astype(np.float64)  # (N, K)
    return float(np.mean([_log_evidence(left, squares, column) for column in columns.T])) / len(labels)


def _log_evidence(left: Floats, squares: Floats, y: Floats) -> float:
    """The largest log evidence of one label column (You et al., 2021, algorithm 2; the fixed point of MacKay, 1992).

    Args:
        left: (N, r) orthonormal; with `squares`, F F^T = left diag(squares) left^T.
        squares: (r,), above 0.
        y: (N,).
    """
    count, projected = len(y), (left.T @ y) ** 2  # (r,)
    outside = max(float(y @ y - projected.sum()), 0.0)  # what no weights can explain
    ratio = 1.0 * squares.mean()  # alpha / beta
    alpha = beta = residual = weights = 0.0
    for _round in range(1000):
        effective = float(np.sum(squares / (squares + ratio)))  # gamma, the number of directions that are used
        weights = float(np.sum(projected * squares / (squares + ratio) ** 2))  # |m|^2
        residual = outside + float(np.sum(projected * (ratio / (squares + ratio)) ** 2))
        residual = max(residual, _NOISE_FLOOR * float(y @ y))
        alpha, beta = effective / max(weights, np.finfo(np.float64).tiny), (count - effective) / residual
        before, ratio = ratio, min(alpha / beta, squares[0] * 1e12)
        if abs(ratio - before) <= 1e-6 * before:
            break
    determinant = np.sum(np.log1p(squares / ratio))  # log |I + F F^T beta / alpha|
    return 0.5 * float(count * np.log(beta / (2 * np.pi)) - determinant - beta * residual - ratio * beta * weights)


def h_score(features: np.ndarray, labels: np.ndarray, shrinkage: float | None = None) -> float:
    """How much of the features' variance is between the classes (Bao et al., 2019; shrunk: Ibrahim et al., 2022).

        H = (1 - s) tr(S^-1 C),  S = (1 - s) cov(f) + s tr(cov(f)) / D I,  C = cov(E[f | y])

    With s = 0 this is Bao's score, 0 to K - 1, and useless where D approaches N: the inverse then finds directions in
    which any labels are separated. Ledoit & Wolf's s (2004), estimated from the features, repairs that.

    Args:
        features: float (N, D).
        labels: int (N,), K >= 2 classes occur.
        shrinkage: s, from 0 (none; a pseudo-inverse where cov(f) is singular) to 1; None estimates it.

    Raises:
        BadInput: shapes, NaN, one class only, features that are the same in every row, or s outside [0, 1].
    """
    features, labels = _checked(features, labels)
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise BadInput(_("shrinkage from 0 to 1"), str(shrinkage), _("leave it out to have it estimated"))
    centred = features - features.mean(axis=0)
    if shrinkage is None:
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = float(ledoit_wolf_shrinkage(centred, assume_centered=True))
    classes, place = np.unique(labels, return_inverse=True)
    share = np.bincount(place) / len(labels)
    means = np.stack([centred[place == k].mean(axis=0) for k in range(len(classes))])  # (K, D)
    _left, singular, right = np.linalg.svd(centred, full_matrices=False)
    variances = singular**2 / len(labels)  # of cov(f), along the rows of `right`
    level = variances.sum() / features.shape[1]
    shrunk = (1 - shrinkage) * variances + shrinkage * level
    used = variances > variances[0] * max(features.shape) * np.finfo(np.float64).eps
    between = share @ (means @ right.T) ** 2  # (r,) the variance of the class means along the same directions
    return float((1 - shrinkage) * np.sum(between[used] / shrunk[used]))


def leep(source_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Log expected empirical prediction (Nguyen et al., LEEP, ICML 2020). It needs the model's source head.

    Dummy labels: the source head's probabilities over its own classes z. From them the empirical p(y | z), and

        LEEP = 1 / N sum_i log sum_z p(y_i | z) theta_i(z)

    the mean log likelihood of a classifier that first draws a source class, then a target class given it.

    Args:
        source_probabilities: theta, float (N, Z), rows that sum to 1.
        labels: int (N,), at least two classes.

    Returns:
        At most 0, reached when the source class tells the target class; at least minus the labels' entropy, reached
        when it tells nothing.

    Raises:
        BadInput: shapes, NaN, one class only, or rows that are not probabilities.
    """
    theta, labels = _checked(source_probabilities, labels, varied=False)
    if theta.min() < -1e-6 or np.abs(theta.sum(axis=1) - 1).max() > 1e-3:
        raise BadInput(
            _("probabilities: rows in [0, 1] that sum to 1"),
            _("values from {low:.3g} to {high:.3g}").format(low=theta.min(), high=theta.max()),
            _("apply a softmax to the source head's logits"),
        )
    columns = labels[:, None] == np.unique(labels)  # (N, K)
    joint = columns.T.astype(np.float64) @ theta / len(labels)  # p(y, z), (K, Z)
    marginal = joint.sum(axis=0)
    conditional = np.divide(joint, marginal, out=np.zeros_like(joint), where=marginal > 0)  # p(y | z)
    expected = (theta @ conditional.T)[columns]  # (N,): the probability of each example's own label
    return float(np.mean(np.log(expected)))


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """How alike two models see the same examples: linear centred kernel alignment (Kornblith et al., ICML 2019).

        CKA = |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F),  columns centred

    Args:
        x, y: float (N, D) and (N, E), the same N examples in the same order; the widths may differ.

    Returns:
        0 (nothing in common) to 1 (equal up to rotation and scale). With few examples and wide features it is too
        high even for unrelated ones.

    Raises:
        BadInput: shapes, NaN, or features that are the same in every row.
    """
    x, y = _centred(_matrix(x, "x"), "x"), _centred(_matrix(y, "y"), "y")
    if len(x) != len(y):
        raise BadInput(
            _("features of the same examples"),
            _("{x} and {y} rows").format(x=len(x), y=len(y)),
            _("run both models on one batch of inputs"),
        )
    if len(x) <= max(x.shape[1], y.shape[1]):  # the same three numbers from N x N matrices
        x_kernel, y_kernel = x @ x.T, y @ y.T
        shared = float(np.sum(x_kernel * y_kernel))
        return shared / float(np.linalg.norm(x_kernel) * np.linalg.norm(y_kernel))
    return float(np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


@dataclass(frozen=True)
class RankAgreement:
    """How well a score orders models as their results do.

    Attributes:
        tau: Kendall's tau, averaged over the targets: 1 the same order, 0 unrelated, -1 reversed.
        low, high: 95 % interval by bootstrap over the models.
        p_value: share of random re-orderings of the scores that agree at least as well (one-sided).
        per_target: tau of each target, NaN where a target has fewer than two models.
    """

    tau: float
    low: float
    high: float
    p_value: float
    per_target: Mapping[str, float]


def rank_agreement(
    scores: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray], num_draws: int = 2000, seed: int = 0
) -> RankAgreement:
    """Kendall's tau (Kendall, 1938; ties as tau-b) between scores and results, within targets, with an interval.

    Scores of different targets are not comparable, so pairs are formed within each target, and the taus averaged.
    The bootstrap draws *models*, the same for all targets (pairs of a model with its own copy are left out): the
    question is what other candidates would have shown.

    Args:
        scores: for each target one number a model, (M,), NaN where the score cannot be had.
        results: for each target the results of the same models, (M,).
        num_draws: of the bootstrap and of the permutations.
        seed: of both.

    Raises:
        BadInput: other targets or lengths in the two, or no target with two models that both numbers are known for.
    """
    if set(scores) != set(results) or len({len(values) for values in (*scores.values(), *results.values())}) != 1:
        raise BadInput(
            _("scores and results of the same targets and models"),
            _("targets {scores} and {results}").format(scores=sorted(scores), results=sorted(results)),
            _("give one number a model, NaN where it is unknown"),
        )
    known = {name: _signs(scores[name], results[name]) for name in scores}
    taus = {name: _tau(*signs) for name, signs in known.items()}
    if not np.isfinite(list(taus.values())).any():
        raise BadInput(
            _("a target with two models whose numbers are known and differ"), _("none"), _("compare more models")
        )
    rng, num_models = np.random.default_rng(seed), len(next(iter(results.values())))
    drawn, shuffled = [], []
    for _draw in range(num_draws):
        chosen = rng.integers(0, num_models, num_models)
        drawn.append(_mean_tau(known, chosen[:, None] != chosen, chosen))
        shuffled.append(np.nanmean([_tau(*_signs(_permuted(scores[name], rng), results[name])) for name in scores]))
    tau = float(np.nanmean(list(taus.values())))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    at_least = (1 + np.sum(np.array(shuffled) >= tau - 1e-12)) / (1 + num_draws)
    return RankAgreement(tau, float(low), float(high), float(at_least), taus)


def _signs(score: np.ndarray, result: np.ndarray) -> tuple[Floats, Floats]:
    """For each pair of models who is ahead, by score and by result: -1, 0, 1, (M, M); 0 in both where unknown."""
    score, result = np.asarray(score, np.float64), np.asarray(result, np.float64)
    pair = np.outer(*[np.isfinite(score) & np.isfinite(result)] * 2)
    return tuple(np.where(pair, np.sign(np.nan_to_num(v[:, None] - v)), 0.0) for v in (score, result))  # pyright: ignore


def _tau(score: Floats, result: Floats, counts: Floats | float = 1.0) -> float:
    """tau-b from the signs of all pairs; NaN where every pair is tied in one of them."""
    ties = np.sqrt(np.sum(counts * score**2) * np.sum(counts * result**2))
    return float(np.sum(counts * score * result) / ties) if ties > 0 else float("nan")


def _mean_tau(known: Mapping[str, tuple[Floats, Floats]], distinct: np.ndarray, chosen: np.ndarray) -> float:
    taus = [_tau(s[np.ix_(chosen, chosen)], r[np.ix_(chosen, chosen)], distinct) for s, r in known.values()]
    return float(np.nanmean(taus)) if np.isfinite(taus).any() else float("nan")


def _permuted(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The known values in another order, NaNs in place."""
    values = np.array(values, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(values))
    values[known] = values[rng.permutation(known)]
    return values


def _checked(features: np.ndarray, labels: np.ndarray, varied: bool = True) -> tuple[Floats, np.ndarray]:
    """Features as float64 and labels, or BadInput that says what is wrong."""
    features, labels = _matrix(features, "features"), np.asarray(labels)
    if labels.shape != (len(features),) or not np.issubdtype(labels.dtype, np.integer):
        raise BadInput(
            _("whole class numbers of shape ({count},)").format(count=len(features)),
            _("{dtype} of shape {shape}").format(dtype=labels.dtype, shape=labels.shape),
            _("select inputs and labels with the same indices"),
        )
    if len(np.unique(labels)) < 2:
        raise BadInput(_("labels of at least two classes"), _("one class"), _("draw examples of every class"))
    if varied:
        _centred(features, "features")
    return features, labels


def _matrix(values: np.ndarray, name: str) -> Floats:
    matrix = np.asarray(values)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or matrix.shape[1] < 1 or not np.issubdtype(matrix.dtype, np.number):
        raise BadInput(
            _("{name} as numbers of shape (N, D), at least two rows").format(name=name),
            _("{dtype} of shape {shape}").format(dtype=matrix.dtype, shape=matrix.shape),
            _("extract features first"),
        )
    if not np.isfinite(matrix).all():
        raise BadInput(
            _("{name} without NaN or infinity").format(name=name),
            _("{count} such rows").format(count=int((~np.isfinite(matrix)).any(axis=1).sum())),
            _("look at the inputs of these rows and at the model's preprocessing"),
        )
    return matrix.astype(np.float64)


def _centred(matrix: Floats, name: str) -> Floats:
    """The matrix less its mean row; refused where nothing is left."""
    centred = matrix - matrix.mean(axis=0)
    if np.abs(centred).max() <= 1e-12 * max(np.abs(matrix).max(), np.finfo(np.float64).tiny):
        raise BadInput(
            _("{name} that differ between examples").format(name=name),
            _("the same row for every example"),
            _("look at the model: is its input constant, or its last activation dead?"),
        )
    return centred
