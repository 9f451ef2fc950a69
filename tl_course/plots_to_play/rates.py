"""Learning rate against loss: the curve of one rate, and where its end lies among the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tl_course.errors import BadInput
from tl_course.flipbook import Control, FlipBook, flipbook
from tl_course.i18n import _
from tl_course.plots import OKABE_ITO
from tl_course.plots_to_play.panels import decades, mark, panels, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {"training": (OKABE_ITO[0], "-", "o"), "validation": (OKABE_ITO[1], "--", "s")}


@dataclass(frozen=True)
class _Trainings:
    rates: Sequence[float]
    losses: dict[str, np.ndarray]  # of training and validation, (seeds, rates, epochs)
    guessing: float

    def draw(self, column: int) -> "tuple[Figure, str]":
        with panels(f"Peak learning rate {plain(self.rates[column])}", (0.13, 0.48), (0.6, 0.98)) as (
            figure,
            curves,
            ends,
        ):
            for axes in (curves, ends):
                axes.axhline(self.guessing, color="grey", linewidth=1, linestyle=(0, (1, 3)))
                decades(axes, up=(0.01, 0.1, 1, 10))
                axes.set_ylim(*self._limits())
            self._curves(curves, column)
            self._ends(ends, column)
        return figure, self._words(column)

    def _curves(self, axes: "Axes", column: int) -> None:
        epochs = np.arange(1, self.losses["training"].shape[2] + 1)
        for name, (colour, line, _marker) in LOOKS.items():
            runs = self.losses[name][:, column]  # (seeds, epochs)
            axes.plot(epochs, runs.T, line, color=colour, linewidth=0.8, alpha=0.45)
            axes.plot(epochs, np.median(runs, axis=0), line, color=colour, linewidth=2.5, label=name)
        axes.set(xlabel="epoch", ylabel="loss", xticks=(1, *range(5, len(epochs) + 1, 5)))
        axes.legend(fontsize=10, loc="upper right")

    def _ends(self, axes: "Axes", column: int) -> None:
        for name, (colour, line, marker) in LOOKS.items():
            last = self.losses[name][:, :, -1]  # (seeds, rates)
            axes.plot(np.tile(self.rates, len(last)), last.ravel(), ".", color=colour, alpha=0.4, markersize=4)
            axes.plot(self.rates, np.median(last, axis=0), line, color=colour, linewidth=1.5)
            axes.plot(self.rates[column], np.median(last, axis=0)[column], marker, color=colour, markersize=9)
        mark(axes, self.rates[column])
        decades(axes, across=(0.0001, 0.01, 1))
        axes.set_xlabel("peak learning rate")
        axes.set_title("loss after the last epoch", fontsize=11)

    def _limits(self) -> tuple[float, float]:
        """From the lowest loss to ten times what guessing costs; beyond it a curve leaves the picture."""
        return 0.7 * min(float(losses.min()) for losses in self.losses.values()), 10 * self.guessing

    def _words(self, column: int) -> str:
        peak = self.losses["validation"][:, column].max()
        last = {name: losses[:, column, -1] for name, losses in self.losses.items()}
        return _(
            "After {epochs} epochs: training loss {train:.2f}, validation loss {val:.2f} (medians of {seeds} draws; "
            "validation from {low:.2f} to {high:.2f}). Guessing costs {guessing:.2f}. Highest validation loss on the "
            "way {peak}."
        ).format(
            epochs=self.losses["training"].shape[2],
            train=np.median(last["training"]),
            val=np.median(last["validation"]),
            seeds=len(last["validation"]),
            low=last["validation"].min(),
            high=last["validation"].max(),
            guessing=self.guessing,
            peak=f"{peak:,.1f}" if peak < 100 else f"{peak:,.0f}",
        )


def learning_rates(rates: Sequence[float], train_loss: np.ndarray, val_loss: np.ndarray, num_classes: int) -> FlipBook:
    """Choose a rate; see its loss by epoch, and its last loss among those of all rates.

    Args:
        rates: R peak learning rates, ascending.
        train_loss, val_loss: cross-entropy in nats, (seeds, R, epochs), positive.
        num_classes: guessing costs its logarithm.

    Raises:
        BadInput: losses of another shape, or that are no positive numbers.
    """
    for losses in (train_loss, val_loss):
        if losses.ndim != 3 or losses.shape[1] != len(rates) or losses.shape != train_loss.shape:
            raise BadInput(
                _("losses (seeds, {count}, epochs)").format(count=len(rates)),
                str(losses.shape),
                _("give one column a rate"),
            )
        if not (losses > 0).all():
            raise BadInput(_("positive losses"), _("others"), _("leave out the rates where training broke off"))
    trainings = _Trainings(rates, {"training": train_loss, "validation": val_loss}, float(np.log(num_classes)))
    best = int(np.median(val_loss[:, :, -1], axis=0).argmin())
    few = sorted({0, best, *np.linspace(best, len(rates) - 1, 3).round().astype(int).tolist()})
    control = Control(_("Peak learning rate"), {plain(rate): column for column, rate in enumerate(rates)}, few=few)
    return flipbook(trainings.draw, [control], _("Loss by learning rate"))
