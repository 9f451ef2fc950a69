"""How good a classifier is, from its labels and probabilities alone; the same in both frameworks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _

Z_95 = 1.959963984540054
"""The normal distribution holds 95 % within this many standard deviations."""

BOOTSTRAPS = 1000
"""Resamples behind the interval of macro F1."""


@dataclass(frozen=True, eq=False)
class Report:
    """What `report` found. K classes; everything in fractions from 0 to 1 unless said otherwise.

    Attributes:
        num_examples: N.
        class_names: K names.
        accuracy: fraction right.
        accuracy_interval: 95 % interval of it (Wilson, 1927).
        majority: accuracy of always answering the class that is most frequent in `y`: what a model has to beat.
        confusion: int64 (K, K), rows the truth, columns the prediction.
        precision, recall, f1: float64 (K,); 0 where undefined.
        never_predicted: (K,) flags: precision is undefined, as nothing was taken for this class.
        no_examples: (K,) flags: recall is undefined, as `y` has no example of this class.
        macro_precision, macro_recall, macro_f1: means over the K classes, undefined ones counted as 0.
        macro_f1_interval: 95 % interval by bootstrap over the examples (Efron, 1979).
        ece: expected calibration error, 15 bins.
        brier: mean squared distance of the probabilities from the truth, 0 to 2 (Brier, 1950).
    """

    num_examples: int
    class_names: tuple[str, ...]
    accuracy: float
    accuracy_interval: tuple[float, float]
    majority: float
    confusion: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    never_predicted: np.ndarray
    no_examples: np.ndarray
    macro_precision: float
    macro_recall: float
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    ece: float
    brier: float

    def to_dict(self) -> dict[str, Any]:
        """All attributes as plain numbers and lists, ready for JSON."""
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    def render_text(self) -> str:
        """A table of plain text: one line a class, then the overall figures. A star marks what is undefined."""
        width = max(map(len, (*self.class_names, _("mean"))))
        head = (_("precision"), _("recall"), _("F1"), _("examples"))
        lines = [" ".join([" " * width, *(f"{name:>10}" for name in head)])]
        support = self.confusion.sum(axis=1)
        for k, name in enumerate(self.class_names):
            stars = (self.never_predicted[k], self.no_examples[k], self.never_predicted[k] and self.no_examples[k])
            scores = (self.precision[k], self.recall[k], self.f1[k])
            cells = [f"{score:9.3f}{'*' if star else ' '}" for score, star in zip(scores, stars, strict=True)]
            lines.append(" ".join([f"{name:<{width}}", *cells, f"{support[k]:>10}"]))
        means = (self.macro_precision, self.macro_recall, self.macro_f1)
        lines.append(
            " ".join([f"{_('mean'):<{width}}", *(f"{value:9.3f} " for value in means), f"{self.num_examples:>10}"])
        )
        if self.never_predicted.any() or self.no_examples.any():
            lines.append(_("* undefined, shown as 0: no prediction or no example of this class"))
        low, high = self.accuracy_interval
        overall = _(
            "accuracy {accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}); most frequent class {majority:.3f}"
        )
        lines.append(overall.format(accuracy=self.accuracy, low=low, high=high, majority=self.majority))
        calibration = _("calibration error {ece:.3f}; Brier score {brier:.3f}")
        lines.append(calibration.format(ece=self.ece, brier=self.brier))
        return "\n".join(lines)


def report(y: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], seed: int = 0) -> Report:
    """Measure predictions against the truth.

    Args:
        y: int (N,), class numbers below K.
        probabilities: float (N, K), rows that sum to 1. The most likely class is the prediction.
        class_names: K names.
        seed: of the bootstrap behind `macro_f1_interval`.

    Raises:
        BadInput: shapes, labels or probabilities do not fit, or there is no example.
    """
    truth, p = _checked(y, probabilities)
    count, num_classes = p.shape
    if len(class_names) != num_classes:
        raise BadInput(
            _("{count} class names, one a column").format(count=num_classes),
            str(len(class_names)),
            _("pass the names the model was built with"),
        )
    predicted = p.argmax(axis=1)
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    precision, recall, f1 = _scores(confusion)
    right = int(np.trace(confusion))
    return Report(
        num_examples=count,
        class_names=tuple(class_names),
        accuracy=right / count,
        accuracy_interval=wilson_interval(right, count),
        majority=float(confusion.sum(axis=1).max() / count),
        confusion=confusion,
        precision=precision,
        recall=recall,
        f1=f1,
        never_predicted=confusion.sum(axis=0) == 0,
        no_examples=confusion.sum(axis=1) == 0,
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        macro_f1_interval=_bootstrap_macro_f1(confusion, seed),
        ece=expected_calibration_error(truth, p),
        brier=float(((p - np.eye(num_classes)[truth]) ** 2).sum(axis=1).mean()),
    )


def expected_calibration_error(y: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """How far confidence is from accuracy (Naeini et al., 2015; Guo et al., 2017, equation 3).

    Predictions are sorted into bins of equal width by their confidence (the largest probability), a bin holding its
    upper edge; the error is the mean over all examples of `|accuracy - mean confidence|` of their bin.

    Args:
        y: int (N,).
        probabilities: float (N, K), rows that sum to 1.
        bins: number of bins over [0, 1].

    Returns:
        0 (calibrated) to 1.

    Raises:
        BadInput: as `report`, or fewer than one bin.
    """
    truth, p = _checked(y, probabilities)
    if bins < 1:
        raise BadInput(_("at least one bin"), str(bins), _("15 is usual"))
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == truth
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=bins)  # count * (accuracy - confidence), per bin
    return float(np.abs(gap).sum() / len(truth))


def wilson_interval(right: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """The interval that a success rate of `right` out of `total` leaves plausible (Wilson, 1927).

    Unlike rate ± z * standard error it stays within [0, 1] and does not shrink to a point at 0 or 1.

    Args:
        right: successes, 0 to `total`.
        total: trials, at least 1.
        z: standard deviations; the default gives 95 %.

    Raises:
        BadInput: no trials, or more successes than trials.
    """
    if total < 1 or not 0 <= right <= total:
        raise BadInput(
            _("0 <= right <= total and at least one trial"),
            _("right={right}, total={total}").format(right=right, total=total),
            _("count the right predictions and all predictions of one split"),
        )
    rate, shrink = right / total, 1 + z**2 / total
    centre = (rate + z**2 / (2 * total)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / total + z**2 / (4 * total**2)) / shrink
    return max(0.0, centre - half), min(1.0, centre + half)


def _scores(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 (..., K) of confusion matrices (..., K, K); 0 where undefined."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    guessed, present = confusion.sum(axis=-2), confusion.sum(axis=-1)
    return right / np.maximum(guessed, 1), right / np.maximum(present, 1), 2 * right / np.maximum(guessed + present, 1)


def _bootstrap_macro_f1(confusion: np.ndarray, seed: int) -> tuple[float, float]:
    """Percentile interval. Drawing N examples with replacement is drawing a multinomial over the matrix's cells."""
    total = int(confusion.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, confusion.ravel() / total, size=BOOTSTRAPS).reshape(-1, *confusion.shape)
    low, high = np.quantile(_scores(drawn)[2].mean(axis=-1), [0.025, 0.975])
    return float(low), float(high)


def _checked(y: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels, and the probabilities as float64."""
    truth, p = np.asarray(y), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or truth.shape != p.shape[:1] or 0 in p.shape:
        raise BadInput(
            _("labels (N,) and probabilities (N, K), at least one example"),
            _("shapes {y} and {p}").format(y=truth.shape, p=p.shape),
            _("take both from one split, in one order"),
        )
    if not np.issubdtype(truth.dtype, np.integer) or not 0 <= truth.min() <= truth.max() < p.shape[1]:
        raise BadInput(
            _("whole class numbers from 0 to {last}").format(last=p.shape[1] - 1),
            _("{low} to {high} ({dtype})").format(low=truth.min(), high=truth.max(), dtype=truth.dtype),
            _("number the classes as the columns are"),
        )
    sums = p.sum(axis=1)
    if not np.isfinite(p).all() or p.min() < -1e-6 or np.abs(sums - 1).max() > 1e-3:
        raise BadInput(
            _("probabilities: rows in [0, 1] that sum to 1"),
            _("values from {low:.3g} to {high:.3g}, sums from {least:.3g} to {most:.3g}").format(
                low=p.min(), high=p.max(), least=sums.min(), most=sums.max()
            ),
            _("apply a softmax to the logits"),
        )
    return truth, p
