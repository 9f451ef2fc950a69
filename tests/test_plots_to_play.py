"""The three flip-books say the right numbers; what does not go together is refused."""

import re

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import t

from tl_course import evidence
from tl_course.errors import BadInput
from tl_course.flipbook import FlipBook
from tl_course.plots_to_play import label_efficiency, learning_rates, soft_targets

RNG = np.random.default_rng(0)
LOGITS, LABELS = 4 * RNG.normal(size=(2, 5)), np.array([3, 1])
NAMES, IMAGES = ["a", "b", "c", "d", "e"], RNG.random((2, 4, 4, 1))
RUNS = {name: RNG.random((4, 3)) for name in ("probe", "k-NN", "scratch")}
LOSSES = RNG.random((3, 4, 6)) + 0.1


def numbers(book: FlipBook, line: int) -> list[float]:
    """Every number in a line of the summary after its colon; the first line is the title."""
    said = repr(book).splitlines()[line].split(": ", 2)[-1]
    return [float(found) for found in re.findall(r"(?<![\w.])[+-]?\d+(?:\.\d+)?", said)]


def test_soft_targets_say_probabilities_entropy_and_gradient():
    book = soft_targets(LOGITS, LABELS, NAMES, IMAGES, temperatures=(1.0, 4.0))
    p = softmax(LOGITS[0] / 4)
    others = np.sort(np.delete(p, 3))[::-1]
    entropy = -(p * log_softmax(LOGITS[0] / 4)).sum()
    gradient = np.linalg.norm((np.full(5, 0.2) - p) / 4)
    expected = [100 * p[3], 100 * others[0], 100 * others[1], entropy, np.log(5), gradient, 16 * gradient]
    np.testing.assert_allclose(numbers(book, 2), expected, atol=0.06)
    assert "Temperature 4, Image 1: a d: Right class d" in repr(book)


def test_label_efficiency_gives_the_interval_of_the_paired_gap():
    book = label_efficiency([1, 5, 10], {"photos": RUNS}, rival="scratch")
    gap = 100 * (RUNS["k-NN"] - RUNS["scratch"])[:, 2]
    half = t.ppf(0.975, 3) * gap.std(ddof=1) / 2
    found = numbers(book, 2)
    np.testing.assert_allclose(found[-4:], [gap.mean(), 95, gap.mean() - half, gap.mean() + half], atol=0.06)
    np.testing.assert_allclose(found[0], 100 * RUNS["probe"][:, 2].mean(), atol=0.06)


def test_learning_rates_say_where_a_rate_ends():
    book = learning_rates([1e-4, 1e-3, 1e-2, 1e-1], LOSSES, LOSSES + 1, num_classes=5)
    last = LOSSES[:, 0, -1]
    assert repr(book).splitlines()[1].startswith("Peak learning rate 0.0001: After 6 epochs")
    expected = [np.median(last), np.median(last) + 1, 3, last.min() + 1, last.max() + 1, np.log(5)]
    np.testing.assert_allclose(numbers(book, 1)[:6], expected, atol=0.006)


def test_the_twin_of_the_rates_shows_the_lowest_the_best_and_the_highest():
    losses = LOSSES.copy()
    losses[:, 2, -1] = 0.05
    shown = repr(learning_rates([1e-4, 1e-3, 1e-2, 1e-1], losses, losses, num_classes=5)).splitlines()[1:]
    assert [line.split(":")[0].split()[-1] for line in shown] == ["0.0001", "0.01", "0.1"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: soft_targets(LOGITS, LABELS[:1], NAMES, IMAGES), "N labels"),
        (lambda: soft_targets(LOGITS, LABELS, NAMES[:4], IMAGES), "K names"),
        (lambda: soft_targets(LOGITS, LABELS, NAMES, IMAGES, temperatures=(0.0, 1.0)), "positive, ascending"),
        (lambda: label_efficiency([1, 5, 10], {"photos": RUNS}, rival="other"), "other and another method"),
        (lambda: label_efficiency([1, 5], {"photos": RUNS}, rival="scratch"), r"\(seeds, 2\)"),
        (lambda: learning_rates([0.1], LOSSES, LOSSES, 5), r"\(seeds, 1, epochs\)"),
        (lambda: learning_rates([1, 2, 3, 4], LOSSES, LOSSES - 9, 5), "positive losses"),
    ],
)
def test_what_does_not_go_together_is_refused(make, message):
    with pytest.raises(BadInput, match=message):
        make()


def test_the_committed_curves_are_whole():
    saved = evidence.load("learning_rate_curves")
    shape = len(saved["seeds"]), len(saved["settings"]["rates"]), saved["settings"]["num_epochs"]
    for values in saved["results"].values():
        assert np.array(values).shape == shape and np.isfinite(np.array(values)).all()
