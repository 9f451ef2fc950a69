"""Temperature, reliability, stranger scores and AUROC against libraries, closed forms and hand-computed values."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tl_course.calibration import (
    auroc,
    energy_score,
    knn_score,
    mahalanobis_score,
    max_softmax_score,
    negative_log_likelihood,
    reliability_curve,
    softmax,
    temperature_scale,
)
from tl_course.errors import BadInput
from tl_course.metrics import expected_calibration_error


def calibrated(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true distribution of the labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, size=(count, 4))
    return logits, np.array([rng.choice(4, p=row) for row in softmax(logits)])


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_undoes_a_wrong_scale(factor: float) -> None:
    logits, y = calibrated(4000, 0)
    assert temperature_scale(factor * logits, y) == pytest.approx(factor, rel=0.08)


def test_temperature_is_the_minimum_and_lowers_the_calibration_error() -> None:
    logits, y = calibrated(2000, 1)
    fitted = temperature_scale(3 * logits, y)
    best = negative_log_likelihood(3 * logits, y, fitted)
    assert all(best < negative_log_likelihood(3 * logits, y, fitted * factor) for factor in (0.97, 1.03))
    errors = [expected_calibration_error(y, softmax(3 * logits, t)) for t in (1.0, fitted)]
    assert errors[1] < errors[0] / 3


def test_softmax_and_energy_by_hand_and_for_huge_logits() -> None:
    logits = np.array([[0.0, np.log(3.0)], [5000.0, 4000.0]])
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [1, 0]])
    np.testing.assert_allclose(max_softmax_score(logits), [0.25, 0.0])
    np.testing.assert_allclose(energy_score(logits), [-np.log(4), -5000])
    np.testing.assert_allclose(energy_score(logits, 2.0)[0], -2 * np.log(1 + np.sqrt(3)))


def test_reliability_bins_carry_the_calibration_error() -> None:
    logits, y = calibrated(500, 2)
    probabilities = softmax(2 * logits)
    curve = reliability_curve(y, probabilities, bins=15)
    assert curve.count.sum() == 500 and (np.diff(curve.confidence) > 0).all()
    gap = (curve.count * np.abs(curve.confidence - curve.accuracy)).sum() / 500
    assert gap == pytest.approx(expected_calibration_error(y, probabilities, bins=15))


def test_auroc_agrees_with_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 6, 80), rng.integers(2, 8, 50)
    expected = roc_auc_score(np.repeat([0, 1], [80, 50]), np.concatenate([inside, outside]))
    assert auroc(inside, outside) == pytest.approx(expected)
    assert auroc(outside, inside) == pytest.approx(1 - expected)


def test_distances_grow_away_from_the_training_data() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 150)
    train = rng.normal(size=(300, 3)) * [1, 1, 5] + 8 * y[:, None]
    near, far = np.array([[0.0, 0, 5]]), np.array([[5.0, 0, 0]])  # equally far in Euclid's sense, not along the spread
    assert mahalanobis_score(far, train, y)[0] > 4 * mahalanobis_score(near, train, y)[0]
    scores = knn_score(np.array([[1.0, 1, 1], [-1, -1, -1]]), np.array([[2.0, 2, 2], [3, 3, 3.01], [4, 4, 4]]), k=2)
    np.testing.assert_allclose(scores, [0, 2], atol=0.01)


def test_mahalanobis_is_the_textbook_form() -> None:
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2], 400)
    mixing = np.array([[2.0, 0, 0], [1, 1, 0], [0, 0.5, 0.7]])
    train = rng.normal(size=(1200, 3)) @ mixing.T + np.eye(3)[y] * 4
    means = np.stack([train[y == c].mean(0) for c in range(3)])
    inverse = np.linalg.inv(np.cov((train - means[y]).T, bias=True))
    points = rng.normal(size=(5, 3)) * 3
    expected = [min((p - m) @ inverse @ (p - m) for m in means) for p in points]
    np.testing.assert_allclose(mahalanobis_score(points, train, y), expected, rtol=0.03)


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput, match="labels from 0 to 2"):
        temperature_scale(np.zeros((4, 3)), np.array([0, 1, 2, 3]))
    with pytest.raises(BadInput, match="NaN"):
        energy_score(np.array([[np.nan, 1.0]]))
    with pytest.raises(BadInput, match="k from 1 to 2"):
        knn_score(np.ones((1, 2)), np.ones((2, 2)), k=3)
    with pytest.raises(BadInput, match="0 outside"):
        auroc(np.ones(3), np.array([]))
