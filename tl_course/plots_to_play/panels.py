"""The frame of every picture of a flip-book: two pairs of axes that stay where they are from picture to picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from tl_course.plots import STYLE, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (6.4, 3.6)  # inches; in this width letters of 12 points can still be read on a phone
BOTTOM, TOP = 0.17, 0.86  # of the axes, as shares of the height


@contextmanager
def panels(title: str, left: tuple[float, float], right: tuple[float, float]) -> "Iterator[tuple[Figure, Axes, Axes]]":
    """A figure under a title, with two pairs of axes.

    Args:
        title: names the value that was chosen.
        left, right: where each pair of axes begins and ends, as shares of the width.
    """
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=SIZE, facecolor="white")
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"], y=0.98)
        pairs = [figure.add_axes((start, BOTTOM, end - start, TOP - BOTTOM)) for start, end in (left, right)]
        yield figure, pairs[0], pairs[1]


def mark(axes: "Axes", place: float) -> None:
    """Show on the horizontal axis what was chosen."""
    axes.axvline(place, color="#9aa0a6", linewidth=7, alpha=0.45, zorder=0)


def decades(axes: "Axes", across: tuple[float, ...] = (), up: tuple[float, ...] = ()) -> None:
    """Logarithmic axes with these ticks alone, written as plain numbers."""
    if across:
        axes.set_xscale("log")
        axes.set_xticks(across, [plain(value) for value in across])
    if up:
        axes.set_yscale("log")
        axes.set_yticks(up, [plain(value) for value in up])
    axes.minorticks_off()


def plain(value: float) -> str:
    """A number without exponent."""
    return np.format_float_positional(value, trim="-")
