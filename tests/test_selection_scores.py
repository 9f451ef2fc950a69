"""Each score against a computation made another way, its invariances, its known limits, and what it refuses."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kendalltau, multivariate_normal

from tl_course.errors import BadInput
from tl_course.selection_scores import h_score, leep, linear_cka, logme, rank_agreement


def clouds(count: int, width: int, distance: float = 1.5, classes: int = 3, seed: int = 0) -> tuple:
    """Gaussian clouds, class k moved along axis k; every class occurs."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    return rng.normal(size=(count, width)) + distance * (y[:, None] == np.arange(width)), y


def rotation(width: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(9).normal(size=(width, width)))[0]


def best_evidence(features: np.ndarray, column: np.ndarray) -> float:
    """The largest log density of a label column over both precisions, by a general optimiser over the covariance."""

    def negative(logs: np.ndarray) -> float:
        alpha, beta = np.exp(np.clip(logs, -15, 15))
        covariance = features @ features.T / alpha + np.eye(len(column)) / beta
        return -multivariate_normal(np.zeros(len(column)), covariance).logpdf(column)

    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000}
    starts = ([0.0, 0.0], [3.0, 1.0], [0.0, 3.0])
    return max(-minimize(negative, start, method="Nelder-Mead", options=options).fun for start in starts)


@pytest.mark.parametrize(("count", "width"), [(40, 5), (20, 30), (24, 24)])
def test_logme_is_the_maximum_of_the_marginal_likelihood(count: int, width: int) -> None:
    features, y = clouds(count, width)
    oracle = np.mean([best_evidence(features, (y == k).astype(float)) for k in range(3)]) / count
    assert logme(features, y) == pytest.approx(oracle, abs=1e-6)


def test_logme_does_not_see_scale_rotation_or_the_names_of_the_classes() -> None:
    features, y = clouds(60, 8)
    value = logme(features, y)
    assert logme(1e3 * features @ rotation(8), 10 - 3 * y) == pytest.approx(value, abs=1e-6)
    repeated = np.concatenate([features, np.zeros((60, 4))], axis=1)  # columns without content cost nothing
    assert logme(repeated, y) == pytest.approx(value, abs=1e-6)


def test_logme_prefers_what_tells_the_classes_apart_and_is_not_fooled_by_width() -> None:
    near, y = clouds(60, 8, distance=0.5)
    far, _ = clouds(60, 8, distance=3)
    noise = np.random.default_rng(1).normal(size=(60, 500))  # fits any labels exactly
    assert logme(far, y) > logme(near, y) > logme(noise, y)


def test_logme_of_a_perfect_fit_is_finite() -> None:
    y = np.arange(30) % 3
    assert 0 < logme(np.eye(3)[y], y) < 50


def test_h_score_is_the_trace_of_its_definition() -> None:
    features, y = clouds(80, 6)
    means = np.stack([features[y == k].mean(axis=0) for k in range(3)])[y]
    within = np.cov(features.T, bias=True)
    between = np.cov(means.T, bias=True)
    assert h_score(features, y, shrinkage=0) == pytest.approx(np.trace(np.linalg.inv(within) @ between))
    shrunk = 0.7 * within + 0.3 * np.trace(within) / 6 * np.eye(6)
    assert h_score(features, y, shrinkage=0.3) == pytest.approx(0.7 * np.trace(np.linalg.inv(shrunk) @ between))


def test_h_score_estimates_its_shrinkage_as_ledoit_and_wolf() -> None:
    from sklearn.covariance import LedoitWolf

    features, y = clouds(40, 60)
    fitted = LedoitWolf().fit(features)
    means = np.stack([features[y == k].mean(axis=0) for k in range(3)])[y]
    between = np.cov(means.T, bias=True)
    expected = (1 - fitted.shrinkage_) * np.trace(np.linalg.solve(fitted.covariance_, between))
    assert h_score(features, y) == pytest.approx(expected)


def test_without_shrinkage_wide_features_get_the_largest_score_whatever_the_labels() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 100))
    y = np.arange(40) % 4
    assert h_score(noise, y, shrinkage=0) == pytest.approx(3)  # K - 1, the limit
    assert h_score(noise, y) < 0.5


def test_h_score_does_not_see_rotation_shift_or_scale() -> None:
    features, y = clouds(60, 8)
    assert h_score(5 * features @ rotation(8) + 3, y) == pytest.approx(h_score(features, y))
    assert h_score(np.eye(3)[y], y, shrinkage=0) == pytest.approx(2)


def test_leep_by_hand() -> None:
    theta = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    y = np.array([0, 1, 1])
    # p(y, z) = [[0.8, 0.2], [0.7, 1.3]] / 3, p(z) = [1.5, 1.5] / 3
    p = [0.8 * 0.8 / 1.5 + 0.2 * 0.2 / 1.5, 0.6 * 0.7 / 1.5 + 0.4 * 1.3 / 1.5, 0.1 * 0.7 / 1.5 + 0.9 * 1.3 / 1.5]
    assert leep(theta, y) == pytest.approx(np.mean(np.log(p)))


def test_leep_reaches_its_limits() -> None:
    y = np.array([0, 0, 0, 1, 1, 2])
    entropy = -np.mean(np.log(np.array([3, 3, 3, 2, 2, 1]) / 6))
    assert leep(np.eye(4)[[2, 2, 3, 0, 0, 1]], y) == pytest.approx(0)  # the source class tells the target class
    assert leep(np.tile([0.2, 0.5, 0.3], (6, 1)), y) == pytest.approx(-entropy)  # it tells nothing
    assert leep(np.array([[1.0, 0, 0]] * 6), y) == pytest.approx(-entropy)  # source classes that never occur


def test_leep_does_not_see_the_order_of_either_class() -> None:
    theta, y = np.random.default_rng(0).dirichlet(np.ones(5), 40), np.arange(40) % 3
    assert leep(theta[:, ::-1], 7 - 2 * y) == pytest.approx(leep(theta, y))


def test_cka_is_the_alignment_of_centred_kernels() -> None:
    rng = np.random.default_rng(0)
    centre = np.eye(30) - 1 / 30
    for width in (4, 50):
        x, y = rng.normal(size=(30, width)), rng.normal(size=(30, 6))
        k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
        expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
        assert linear_cka(x, y) == pytest.approx(expected) == pytest.approx(linear_cka(y, x))


def test_cka_does_not_see_rotation_scale_or_shift_but_sees_a_stretch() -> None:
    x = np.random.default_rng(0).normal(size=(100, 6))
    assert linear_cka(x, 3 * x @ rotation(6) + 1) == pytest.approx(1)
    assert linear_cka(x, x * [100, 1, 1, 1, 1, 1]) < 0.6
    other = np.random.default_rng(1).normal(size=(100, 6))
    assert linear_cka(x, other) < 0.2
    few, wide = np.random.default_rng(2).normal(size=(2, 10, 500))
    assert linear_cka(few, wide) > 0.8  # few examples, wide features: unrelated, and yet


CONSTANT = np.ones((6, 3))
LABELS = np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: logme(CONSTANT, LABELS), "differ between examples"),
        (lambda: h_score(CONSTANT, LABELS), "differ between examples"),
        (lambda: linear_cka(CONSTANT, np.eye(6)), "differ between examples"),
        (lambda: logme(np.eye(6), 0 * LABELS), "two classes"),
        (lambda: leep(np.ones((6, 1)), 0 * LABELS), "two classes"),
        (lambda: logme(np.full((6, 2), np.nan), LABELS), "without NaN"),
        (lambda: h_score(np.eye(6), LABELS[:4]), "shape"),
        (lambda: h_score(np.eye(6), LABELS, shrinkage=1.5), "from 0 to 1"),
        (lambda: leep(3 * np.eye(6), LABELS), "softmax"),
        (lambda: leep(-np.eye(6) + 1 / 3, LABELS), "softmax"),
        (lambda: logme(np.eye(6), LABELS / 2), "whole class numbers"),
        (lambda: logme(np.arange(6.0), LABELS), "extract features"),
        (lambda: linear_cka(np.eye(6), np.eye(5)), "same examples"),
        (lambda: rank_agreement({"a": np.ones(3)}, {"b": np.ones(3)}), "same targets"),
        (lambda: rank_agreement({"a": np.ones(3)}, {"a": np.arange(3.0)}), "compare more models"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        call()


def test_rank_agreement_is_scipys_tau_with_ties() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.integers(0, 5, 12).astype(float) for name in "ab"}
    results = {name: scores[name] + rng.normal(size=12) for name in "ab"}
    found = rank_agreement(scores, results, num_draws=300)
    expected = {name: kendalltau(scores[name], results[name]).statistic for name in "ab"}
    assert found.per_target == pytest.approx(expected)
    assert found.tau == pytest.approx(np.mean(list(expected.values())))
    assert found.low < found.tau < found.high


def test_rank_agreement_leaves_unknown_scores_out() -> None:
    scores, results = np.array([3.0, 1, np.nan, 2]), np.array([0.9, 0.1, 0.5, np.nan])
    assert rank_agreement({"t": scores}, {"t": results}, num_draws=50).tau == 1


def test_rank_agreement_tells_chance_from_agreement() -> None:
    rng = np.random.default_rng(2)
    results = {name: rng.normal(size=12) for name in "abc"}
    same = rank_agreement(results, results, num_draws=300)
    assert same.tau == same.low == same.high == 1 and same.p_value < 0.01
    unrelated = rank_agreement({name: rng.normal(size=12) for name in "abc"}, results, num_draws=300)
    assert unrelated.low < 0 < unrelated.high and unrelated.p_value > 0.05
    reversed_order = rank_agreement({name: -values for name, values in results.items()}, results, num_draws=300)
    assert reversed_order.tau == -1 and reversed_order.p_value > 0.99
