"""Number of labels against accuracy: methods side by side, and how sure their gap is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from tl_course.errors import BadInput
from tl_course.flipbook import Control, FlipBook, flipbook
from tl_course.i18n import _
from tl_course.plots import LINE_STYLES, MARKERS, OKABE_ITO
from tl_course.plots_to_play.panels import decades, mark, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Runs = Mapping[str, np.ndarray]  # of a method, accuracies (seeds, label counts)


@dataclass(frozen=True)
class _Methods:
    label_counts: Sequence[int]
    accuracies: Mapping[str, Runs]  # by data set
    rival: str

    def draw(self, column: int, dataset: str) -> "tuple[Figure, str]":
        title = f"{dataset}: {_per_class(self.label_counts[column])}"
        with panels(title, (0.13, 0.54), (0.71, 0.99)) as (figure, curves, gaps):
            self._curves(curves, column, self.accuracies[dataset])
            self._gaps(gaps, column, self.accuracies[dataset])
        return figure, self._words(column, self.accuracies[dataset])

    def ahead(self, runs: Runs, column: int) -> dict[str, np.ndarray]:
        """For each other method, points (seeds,) by which it is ahead of the rival on the same labels."""
        return {name: 100 * (v - runs[self.rival])[:, column] for name, v in runs.items() if name != self.rival}

    def _curves(self, axes: "Axes", column: int, runs: Runs) -> None:
        for (name, values), colour, marker, line in zip(runs.items(), *_looks(), strict=False):
            mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
            axes.fill_between(self.label_counts, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
            axes.plot(self.label_counts, mean, line, color=colour, marker=marker, linewidth=2, label=name)
        mark(axes, self.label_counts[column])
        lowest, highest = axes.get_ylim()
        axes.set(xlabel="labels per class", ylabel="test accuracy", ylim=(lowest - 0.5 * (highest - lowest), highest))
        decades(axes, across=tuple(self.label_counts))
        axes.legend(fontsize=10, loc="lower center", labelspacing=0.25, borderpad=0)

    def _gaps(self, axes: "Axes", column: int, runs: Runs) -> None:
        looks = dict(zip(runs, zip(*_looks(), strict=False), strict=False))
        names = list(self.ahead(runs, column))
        for place, (name, points) in enumerate(self.ahead(runs, column).items()):
            colour, marker, _line = looks[name]
            mean, low, high = _interval(points)
            axes.plot(np.full(len(points), place + 0.22), points, ".", color=colour, alpha=0.6)
            axes.errorbar(place, mean, [[mean - low], [high - mean]], fmt=marker, color=colour, capsize=5)
        every = np.concatenate(
            [_interval(p) for c in range(len(self.label_counts)) for p in self.ahead(runs, c).values()]
        )
        axes.axhline(0, color="black", linewidth=1)
        axes.set(
            xlim=(-0.5, len(names) - 0.3),
            ylim=(every.min() - 4, every.max() + 4),
            ylabel=f"points ahead of\n{self.rival}",
        )
        axes.set_xticks([])
        axes.set_xlabel("colours as at the left")
        axes.grid(visible=False, axis="x")

    def _words(self, column: int, runs: Runs) -> str:
        parts = [
            _("{method} {mean:.1f} ± {spread:.1f} %").format(
                method=name, mean=100 * values[:, column].mean(), spread=100 * values[:, column].std(ddof=1)
            )
            for name, values in runs.items()
        ]
        gaps = [
            _("{method} {mean:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})").format(
                method=name, mean=mean, low=low, high=high
            )
            for name, (mean, low, high) in ((n, _interval(p)) for n, p in self.ahead(runs, column).items())
        ]
        return _("Accuracy: {all}. Ahead of {rival}: {gaps}.").format(
            all=", ".join(parts), rival=self.rival, gaps=", ".join(gaps)
        )


def label_efficiency(label_counts: Sequence[int], accuracies: Mapping[str, Runs], rival: str) -> FlipBook:
    """Methods side by side at a number of labels, and the gap of each to a rival with its 95 % interval.

    Gaps are taken draw by draw, as in a draw all methods see the same labels; their mean's interval is Student's t.

    Args:
        label_counts: C numbers of labels per class, ascending.
        accuracies: for each data set, for each method, (seeds, C); two seeds or more.
        rival: the method that the others are compared with.

    Raises:
        BadInput: the rival is missing, or an array has another shape.
    """
    for dataset, runs in accuracies.items():
        if rival not in runs or len(runs) < 2:
            raise BadInput(
                _("{rival} and another method on {dataset}").format(rival=rival, dataset=dataset),
                ", ".join(runs),
                _("name one of the methods"),
            )
        shapes = {values.shape for values in runs.values()}
        if len(shapes) > 1 or (shape := shapes.pop())[0] < 2 or shape[1:] != (len(label_counts),):
            raise BadInput(
                _("accuracies (seeds, {count}) of two seeds or more").format(count=len(label_counts)),
                ", ".join(str(values.shape) for values in runs.values()),
                _("give one row a seed"),
            )
    controls = [
        Control(
            _("Labels per class"),
            {str(count): column for column, count in enumerate(label_counts)},
            few=(0, len(label_counts) - 1),
        ),
        Control(_("Data set"), {dataset: dataset for dataset in accuracies}, "select", few=range(len(accuracies))),
    ]
    return flipbook(_Methods(label_counts, accuracies, rival).draw, controls, _("Accuracy by number of labels"))


def _interval(points: np.ndarray) -> tuple[float, float, float]:
    """Mean, and both ends of its 95 % interval."""
    from scipy.stats import ttest_1samp

    interval = ttest_1samp(points, 0).confidence_interval(0.95)
    return float(points.mean()), float(interval.low), float(interval.high)


def _looks():
    return OKABE_ITO, cycle(MARKERS), cycle(LINE_STYLES)


def _per_class(count: int) -> str:
    return "1 label per class" if count == 1 else f"{count} labels per class"
