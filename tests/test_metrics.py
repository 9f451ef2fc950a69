"""Metrics against scikit-learn, and against numbers worked by hand where scikit-learn has none."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from tl_course.errors import BadInput
from tl_course.metrics import expected_calibration_error, report, wilson_interval

NAMES = ("ant", "bee", "cicada", "dragonfly")


def predictions(seed: int = 0, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the first three classes and probabilities that never favour the second."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 4)) + 1.5 * np.eye(4)[y]
    logits[:, 1] -= 10
    p = np.exp(logits)
    return y, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_agrees_with_scikit_learn(seed: int) -> None:
    y, p = predictions(seed)
    found, guess = report(y, p, NAMES), p.argmax(axis=1)
    labels = list(range(4))
    np.testing.assert_array_equal(found.confusion, oracle.confusion_matrix(y, guess, labels=labels))
    per_class = oracle.precision_recall_fscore_support(y, guess, labels=labels, zero_division=0)
    for ours, theirs in zip((found.precision, found.recall, found.f1), per_class, strict=False):
        np.testing.assert_allclose(ours, theirs)
    assert found.accuracy == pytest.approx(oracle.accuracy_score(y, guess))
    assert found.macro_f1 == pytest.approx(oracle.f1_score(y, guess, labels=labels, average="macro", zero_division=0))
    assert found.macro_precision == pytest.approx(found.precision.mean())
    assert found.macro_recall == pytest.approx(found.recall.mean())
    assert found.majority == pytest.approx(np.bincount(y).max() / len(y))


def test_two_classes_give_twice_the_usual_brier_score() -> None:
    """The multi-class form sums over classes, and a two-class error appears in both columns."""
    rng = np.random.default_rng(0)
    y, positive = rng.integers(0, 2, 50), rng.random(50)
    p = np.stack([1 - positive, positive], axis=1)
    assert report(y, p, ("no", "yes")).brier == pytest.approx(2 * oracle.brier_score_loss(y, positive))


def test_what_is_undefined_is_zero_and_flagged() -> None:
    y, p = predictions()
    found = report(y, p, NAMES)
    assert found.never_predicted.tolist() == [False, True, False, False]
    assert found.no_examples.tolist() == [False, False, False, True]
    assert found.precision[1] == found.recall[3] == 0.0
    text = found.render_text()
    assert text.splitlines()[2].startswith("bee") and "0.000*" in text.splitlines()[2]
    assert "* undefined" in text and "95 % interval" in text and all(name in text for name in NAMES)


def test_calibration_error_worked_by_hand() -> None:
    """In five bins the last holds confidences 0.9 (right), 0.9 (wrong) and 1.0 (right): |2 - 2.8|; the third, whose
    upper edge is 0.6, one right: |1 - 0.6|. In 15 bins 1.0 has a bin to itself and adds nothing."""
    y, p = np.zeros(4, dtype=int), np.array([[0.9, 0.1], [0.1, 0.9], [1.0, 0.0], [0.6, 0.4]])
    assert expected_calibration_error(y, p, bins=5) == pytest.approx((0.8 + 0.4) / 4)
    assert expected_calibration_error(y, p, bins=1) == pytest.approx((3 - 3.4) / -4)
    assert report(y, p, ("a", "b")).ece == pytest.approx((0.8 + 0.4) / 4)


def test_calibrated_guesses_have_no_calibration_error() -> None:
    p = np.tile([0.75, 0.25], (400, 1))
    assert expected_calibration_error(np.repeat([0, 1], [300, 100]), p) == pytest.approx(0.0)
    assert expected_calibration_error(np.repeat([0, 1], [100, 300]), p) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(8, 10, 0.4901625, 0.9433178), (0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0), (50, 100, 0.4038315, 0.5961685)],
)
def test_wilson_interval_of_the_tables(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=1e-6)


def test_the_f1_interval_is_an_explicit_bootstrap_and_repeats() -> None:
    y, p = predictions(n=300)
    found = report(y, p, NAMES, seed=3)
    rng, guess, scores = np.random.default_rng(9), p.argmax(axis=1), []
    for _ in range(400):
        chosen = rng.integers(0, len(y), len(y))
        scores.append(oracle.f1_score(y[chosen], guess[chosen], labels=range(4), average="macro", zero_division=0))
    np.testing.assert_allclose(found.macro_f1_interval, np.quantile(scores, [0.025, 0.975]), atol=0.012)
    assert report(y, p, NAMES, seed=3).macro_f1_interval == found.macro_f1_interval
    assert report(y, p, NAMES, seed=4).macro_f1_interval != found.macro_f1_interval


def test_the_dictionary_is_json() -> None:
    found = json.loads(json.dumps(report(*predictions(), NAMES).to_dict()))
    assert found["class_names"] == list(NAMES) and len(found["confusion"]) == 4
    assert 0 < found["accuracy_interval"][0] < found["accuracy"] < found["accuracy_interval"][1] < 1


def test_wrong_input_is_refused() -> None:
    y, p = predictions()
    with pytest.raises(BadInput, match=r"labels \(N,\) and probabilities \(N, K\)"):
        report(y[:-1], p, NAMES)
    with pytest.raises(BadInput, match="at least one example"):
        report(y[:0], p[:0], NAMES)
    with pytest.raises(BadInput, match="class names"):
        report(y, p, NAMES[:3])
    with pytest.raises(BadInput, match="class numbers from 0 to 3"):
        report(y + 2, p, NAMES)
    with pytest.raises(BadInput, match="softmax"):
        report(y, np.log(p), NAMES)
    with pytest.raises(BadInput, match="softmax"):
        expected_calibration_error(y, np.full_like(p, np.nan))
    with pytest.raises(BadInput, match="at least one bin"):
        expected_calibration_error(y, p, bins=0)
    with pytest.raises(BadInput, match="right=3, total=2"):
        wilson_interval(3, 2)
