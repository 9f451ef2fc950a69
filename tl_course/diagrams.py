"""Block diagrams of networks, drawn with matplotlib in the style of the course's plots."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tl_course.errors import BadInput
from tl_course.plots import OKABE_ITO, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"data": "white", "frozen": OKABE_ITO[5], "trained": OKABE_ITO[4], "plain": "#e6e6e6"}
"""What a box may be, with its colour; the word is written into the box too, so that colour is never needed."""

BOX = (1.9, 1.0)  # width and height of a box, in inches
GAP = 0.55  # inches between boxes


def flow(boxes: Sequence[tuple[str, str, str]], title: str, arrows: Sequence[str] = ()) -> "Figure":
    """Boxes from left to right with arrows between.

    Args:
        boxes: (name, detail, kind): the detail is a second, smaller line, say a shape; the kind is one of `KINDS`.
        title: what the diagram shows.
        arrows: what is written above each arrow, one fewer than boxes; default nothing.

    Raises:
        BadInput: an unknown kind, or another number of arrow texts.
    """
    import matplotlib.pyplot as plt

    unknown = {kind for _, _, kind in boxes} - set(KINDS)
    if unknown:
        raise BadInput(f"kinds among {', '.join(KINDS)}", ", ".join(sorted(unknown)), "name one of these")
    if arrows and len(arrows) != len(boxes) - 1:
        raise BadInput(f"{len(boxes) - 1} arrow texts", str(len(arrows)), "give one for each gap between boxes")
    width = len(boxes) * BOX[0] + (len(boxes) - 1) * GAP
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(width + 0.2, BOX[1] + 0.75), layout="constrained")
        axes.set(xlim=(-0.1, width + 0.1), ylim=(-0.1, BOX[1] + 0.25), aspect="equal")
        axes.set_axis_off()
        axes.set_title(title)
        for number, (name, detail, kind) in enumerate(boxes):
            left = number * (BOX[0] + GAP)
            axes.add_patch(_box(left, KINDS[kind]))
            middle = left + BOX[0] / 2
            axes.text(middle, 0.72, name, ha="center", va="center", weight="bold", fontsize=11)
            axes.text(middle, 0.44, detail, ha="center", va="center", fontsize=9.5)
            if kind in ("frozen", "trained"):
                axes.text(middle, 0.18, kind, ha="center", va="center", fontsize=9, style="italic")
            if number:
                start = left - GAP
                arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.4}
                axes.annotate("", (left, BOX[1] / 2), (start, BOX[1] / 2), arrowprops=arrow)
                if arrows:
                    axes.text(start + GAP / 2, BOX[1] / 2 + 0.14, arrows[number - 1], ha="center", fontsize=9)
        plt.close(figure)
    return figure


def _box(left: float, colour: str):
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch(
        (left, 0), *BOX, boxstyle="round,pad=0,rounding_size=0.12", facecolor=colour, edgecolor="black", linewidth=1.2
    )
