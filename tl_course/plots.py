"""The course's figures: matplotlib, from plain arrays, in one style that colour-blind readers can tell apart.

Every function returns a Figure with a title and axis labels and shows nothing by itself; a notebook shows the last
expression of a cell, a script saves it with `figure.savefig`. `alt_text` says in words what a figure shows; once this
module is imported, a notebook keeps these words with every figure it shows, where screen readers find them.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from tl_course.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

    from tl_course.history import History

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Colours that readers with any common colour blindness can tell apart (Okabe & Ito, 2008)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINE_STYLES = ("-", "--", "-.", ":")
MOST_NUMBERS = 100  # that a description reads out of one heat map

STYLE: "dict[RcKeyType, Any]" = {
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.bbox": "tight",
}


@contextmanager
def styled() -> "Iterator[None]":
    """Draw in the course's style; figures made outside look as their author has it.

    The backend is loaded before: a notebook's turns on that figures show by themselves, and what is turned on within
    a context of settings is undone with it, so that a learner's own `plt.plot` would show nothing ever after.
    """
    import matplotlib.pyplot as plt

    plt.draw_if_interactive()
    with plt.rc_context(STYLE):
        yield


def learning_curve(
    label_counts: Sequence[int],
    accuracies: Mapping[str, np.ndarray],
    title: str,
    xlabel: str = "labels per class",
    ylabel: str = "test accuracy",
    chance: float | None = None,
) -> "Figure":
    """Accuracy against the number of labels: mean, one standard deviation shaded, every seed a dot.

    Args:
        label_counts: K positive numbers, drawn on a logarithmic axis.
        accuracies: for each method an array (seeds, K).
        title, xlabel, ylabel: what the figure says.
        chance: accuracy of guessing, drawn as a thin line when given.
    """
    counts = np.asarray(label_counts, dtype=float)
    with _figure(title, xlabel, ylabel, size=(7.5, 4.8)) as (figure, axes):
        looks = zip(cycle(OKABE_ITO), cycle(MARKERS), cycle(LINE_STYLES))
        for (method, values), (colour, marker, line) in zip(accuracies.items(), looks, strict=False):
            runs = _runs(values, len(counts), method)
            mean, spread = runs.mean(axis=0), _spread(runs)
            axes.fill_between(counts, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
            axes.plot(np.tile(counts, len(runs)), runs.ravel(), ".", color=colour, alpha=0.45, markersize=5)
            axes.plot(counts, mean, color=colour, marker=marker, linestyle=line, linewidth=2, label=method)
        if chance is not None:
            axes.axhline(chance, color="grey", linewidth=1, linestyle=(0, (1, 3)), label="guessing")
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:g}" for count in counts])
        axes.minorticks_off()
        axes.legend()
    return figure


def bar_with_spread(
    values: Mapping[str, np.ndarray],
    title: str,
    ylabel: str = "test accuracy",
    xlabel: str = "method",
    number_format: str = "{:.2f}",
) -> "Figure":
    """One bar per method: mean with one standard deviation, every seed a dot.

    Args:
        values: for each method an array (seeds,).
        title, ylabel, xlabel: what the figure says.
        number_format: how a mean is written into its bar.
    """
    with _figure(title, xlabel, ylabel, size=(max(5.0, 1.6 * len(values)), 4.5)) as (figure, axes):
        for position, ((method, seeds), colour) in enumerate(zip(values.items(), cycle(OKABE_ITO), strict=False)):
            runs = _runs(np.asarray(seeds, dtype=float)[:, None], 1, method)[:, 0]
            axes.bar(
                position, runs.mean(), yerr=_spread(runs), color=colour, alpha=0.75, capsize=5, width=0.65, label=method
            )
            offsets = np.linspace(-0.12, 0.12, len(runs)) if len(runs) > 1 else np.zeros(1)
            axes.plot(position + offsets, runs, "o", color="black", markersize=3.5, alpha=0.7)
            axes.annotate(
                number_format.format(runs.mean()),
                (position, 0),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none"},
            )
        axes.set_xticks(range(len(values)), [fill(name, width=14) for name in values])
        axes.grid(visible=False, axis="x")
    return figure


def matrix(
    values: np.ndarray,
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    xlabel: str,
    ylabel: str,
    number_format: str = "{:.2f}",
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """A heat map with its numbers written in, for example accuracy by training domain (rows) and test domain.

    Args:
        values: (R, K).
        row_names, column_names: R and K names.
        title, xlabel, ylabel: what the figure says.
        number_format: how a value is written.
        limits: values of the darkest and the brightest colour, so that two figures can share one scale; default: the
            smallest and the largest value.
    """
    table = np.asarray(values, dtype=float)
    if table.shape != (len(row_names), len(column_names)):
        raise BadInput(
            f"values of shape ({len(row_names)}, {len(column_names)}), as named",
            f"shape {table.shape}",
            "give one name per row and one per column",
        )
    cell = min(0.9, 6.5 / max(table.shape))  # inches; large tables get smaller cells, not larger figures
    size = (2.6 + cell * table.shape[1], 1.6 + 0.8 * cell * table.shape[0])
    with _figure(title, xlabel, ylabel, size=size) as (figure, axes):
        low, high = limits or (np.nanmin(table), np.nanmax(table))
        image = axes.imshow(table, cmap="cividis", aspect="auto", vmin=low, vmax=high)
        bright = low + 0.55 * (high - low)
        for (row, column), value in np.ndenumerate(table):
            ink = "black" if value > bright else "white"
            axes.text(column, row, number_format.format(value), ha="center", va="center", color=ink)
        crowded = max(map(len, column_names)) * 0.1 > cell
        axes.set_xticks(range(table.shape[1]), list(column_names), rotation=30 if crowded else 0)
        axes.set_yticks(range(table.shape[0]), list(row_names))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes)
    return figure


def confusion_matrix(
    true: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], title: str = "Confusion matrix"
) -> "Figure":
    """How many samples of each class (rows) were taken for which class (columns).

    Args:
        true, predicted: int (N,), numbers below len(class_names).
        class_names: K names.
    """
    counts = np.zeros((len(class_names), len(class_names)), dtype=int)
    truth, guess = np.asarray(true), np.asarray(predicted)
    if truth.shape != guess.shape or truth.ndim != 1:
        raise BadInput("two arrays of shape (N,)", f"{truth.shape} and {guess.shape}", "pass labels and predictions")
    if truth.size and not 0 <= min(truth.min(), guess.min()) <= max(truth.max(), guess.max()) < len(class_names):
        raise BadInput(
            f"class numbers from 0 to {len(class_names) - 1}",
            f"{min(truth.min(), guess.min())} to {max(truth.max(), guess.max())}",
            "give every class a name",
        )
    np.add.at(counts, (truth, guess), 1)
    return matrix(counts, class_names, class_names, title, "predicted class", "true class", "{:.0f}")


def training_curves(history: "History", title: str = "Training") -> "Figure":
    """Loss (left) and validation accuracy (right) by epoch, the best epoch starred, a line where a new stage begins.

    Args:
        history: what `fit` returned, at least one epoch.
        title: heading of the whole figure.
    """
    import matplotlib.pyplot as plt

    if len(history) == 0:
        raise BadInput("a history of at least one epoch", "an empty one", "train with num_epochs=1 or more")
    epochs, best = np.arange(1, len(history) + 1), history.best_epoch
    panels = (
        ("loss", {"training": history.train_loss, "validation": history.val_loss}),
        ("validation accuracy", {"validation": history.val_accuracy}),
    )
    with styled():
        figure, grid = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
        for axes, (ylabel, lines) in zip(grid, panels, strict=True):
            for (name, values), colour, marker in zip(lines.items(), OKABE_ITO, MARKERS, strict=False):
                axes.plot(epochs, values, color=colour, marker=marker, linewidth=2, label=name)
            if best:
                last = next(reversed(lines.values()))[best - 1]
                axes.plot([best], [last], "*", color="#D55E00", markersize=16, label=f"best epoch, {best}", zorder=3)
            for epoch in np.flatnonzero(np.array(history.stage[1:]) != np.array(history.stage[:-1])):
                axes.axvline(epoch + 1.5, color="grey", linewidth=1, linestyle=(0, (1, 3)))
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set(title=ylabel.capitalize(), xlabel="epoch", ylabel=ylabel)
            axes.legend()
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        plt.close(figure)
    return figure


def choices(x: Sequence[float], curves: Mapping[str, Sequence[float]]) -> "Figure":
    """Curves to choose from, side by side on the same axes, each under its name; without words on the axes.

    Args:
        x: K places.
        curves: for each name K values.
    """
    import matplotlib.pyplot as plt

    with styled():
        size = (2.6 * len(curves), 2.4)
        figure, row = plt.subplots(1, len(curves), figsize=size, sharex=True, sharey=True, layout="constrained")
        for axes, (name, y), colour in zip(np.atleast_1d(row), curves.items(), cycle(OKABE_ITO), strict=False):
            axes.plot(x, y, color=colour, marker="o", markersize=4, linewidth=2, label=name)
            axes.set_title(name)
        plt.close(figure)
    return figure


def image_grid(
    images: np.ndarray, titles: Sequence[str] | None = None, title: str = "Images", columns: int = 6
) -> "Figure":
    """Images side by side.

    Args:
        images: (N, H, W, 3), (N, H, W, 1) or (N, H, W) in [0, 1].
        titles: N short names, or None.
        title: heading of the whole figure.
        columns: images in a row.
    """
    import matplotlib.pyplot as plt

    pictures = np.asarray(images)
    if pictures.ndim not in (3, 4) or len(pictures) == 0 or (titles is not None and len(titles) != len(pictures)):
        raise BadInput(
            "images (N, H, W, C) and as many titles",
            f"shape {pictures.shape} and {'no' if titles is None else len(titles)} titles",
            "pass a batch such as split.x[:6] and one title an image",
        )
    rows, columns = -(-len(pictures) // columns), min(columns, len(pictures))
    with styled():
        figure, grid = plt.subplots(
            rows, columns, figsize=(1.7 * columns, 1.95 * rows + 0.6), squeeze=False, layout="constrained"
        )
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, picture, name in zip(grid.flat, pictures, titles or [""] * len(pictures), strict=False):
            axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(name, fontsize=11)
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        plt.close(figure)
    return figure


def alt_text(figure: "Figure") -> str:
    """What the figure shows, in words, for readers who cannot see it: titles, axes, and the numbers drawn.

    Of a line its first and last value, of bars their heights, of a heat map with at most a hundred numbers written into
    it all of them by row, of any other image with axes the range.
    """
    parts = [figure.get_suptitle()]
    for axes in figure.axes:
        parts.append(axes.get_title())
        if axes.get_xlabel():
            parts.append(f"Horizontal: {axes.get_xlabel()}; vertical: {axes.get_ylabel()}")
        if not axes.axison:
            parts.append("; ".join(text.get_text() for text in axes.texts if text.get_text()))
        for drawn, label in zip(*axes.get_legend_handles_labels(), strict=True):
            parts.append(f"{label}: {_values(axes, drawn)}")
        for image in axes.get_images():
            if axes.axison:
                parts += _table(axes, np.asarray(image.get_array()))
    return " ".join(f"{' '.join(part.split())}." for part in parts if part)


def _values(axes: "Axes", drawn: Any) -> str:
    """What one entry of a legend stands for."""
    from matplotlib.container import BarContainer, ErrorbarContainer
    from matplotlib.lines import Line2D

    if isinstance(drawn, BarContainer):
        if len(drawn.patches) == 1:
            return f"{drawn.patches[0].get_height():.3g}"
        ticks = list(axes.get_xticks())
        names = dict(zip(ticks, axes.xaxis.get_major_formatter().format_ticks(ticks), strict=True))
        bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in drawn.patches]
        return ", ".join(f"{names.get(place, '')} {height:.3g}".strip() for place, height in bars)
    line = drawn.lines[0] if isinstance(drawn, ErrorbarContainer) else drawn
    y = np.asarray(line.get_ydata() if isinstance(line, Line2D) else [], dtype=float)
    if not len(y):
        return "drawn"
    return f"{y[0]:.3g}" if y[0] == y[-1] else f"from {y[0]:.3g} to {y[-1]:.3g}"


def _table(axes: "Axes", values: np.ndarray) -> list[str]:
    """The rows of a heat map, or its range where no numbers are written into it."""
    if values.ndim != 2:
        return []
    if len(axes.texts) != values.size or values.size > MOST_NUMBERS:
        return [f"Values from {values.min():.3g} to {values.max():.3g}"]
    columns, rows = ([label.get_text() for label in axis.get_ticklabels()] for axis in (axes.xaxis, axes.yaxis))
    written = np.reshape([text.get_text() for text in axes.texts], values.shape)
    return [
        f"{row}: {', '.join(f'{column} {number}' for column, number in zip(columns, numbers, strict=True))}"
        for row, numbers in zip(rows, written, strict=True)
    ]


def _described(figure: "Figure") -> tuple[dict[str, Any], dict[str, Any]]:
    """No picture of its own, only what IPython is to keep beside the one it makes; nbconvert reads it there."""
    return {}, {"image/png": {"alt": alt_text(figure)}}


def _describe_in_notebooks() -> None:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        formatter = shell.display_formatter.mimebundle_formatter
        formatter.for_type_by_name("matplotlib.figure", "Figure", _described)


_describe_in_notebooks()


@contextmanager
def _figure(title: str, xlabel: str, ylabel: str, size: tuple[float, float]) -> "Iterator[tuple[Figure, Axes]]":
    """One pair of axes in the course's style, named; closed for pyplot so that a notebook shows it only once."""
    import matplotlib.pyplot as plt

    with styled():
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        try:
            yield figure, axes
        finally:
            plt.close(figure)


def _runs(values: np.ndarray, count: int, name: str) -> np.ndarray:
    runs = np.asarray(values, dtype=float)
    if runs.ndim != 2 or len(runs) == 0 or runs.shape[1] != count:
        raise BadInput(f"an array (seeds, {count}) for {name!r}", f"shape {runs.shape}", "give one row a seed")
    return runs


def _spread(runs: np.ndarray) -> np.ndarray:
    """Sample standard deviation over seeds; zero for a single seed."""
    return runs.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(runs.shape[1:])
