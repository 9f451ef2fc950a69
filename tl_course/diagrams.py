"""Block diagrams of networks, drawn with matplotlib in the style of the course's plots."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tl_course.errors import BadInput
from tl_course.plots import OKABE_ITO, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {"data": "white", "frozen": OKABE_ITO[5], "trained": OKABE_ITO[4], "plain": "#e6e6e6"}
"""What a box may be, with its colour; the word is written into the box too, so that colour is never needed."""

BOX = (1.9, 1.0)  # width and height of a box, in inches
GAP = 0.55  # inches between boxes
LINE = 1.4  # inches from one row to the next
MOST = 4  # boxes in a row: more make the text too small to read in a notebook


def flow(boxes: Sequence[tuple[str, str, str]], title: str, arrows: Sequence[str] = ()) -> "Figure":
    """Boxes from left to right with arrows between, in rows where there are many.

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
    rows = -(-len(boxes) // MOST)
    columns = -(-len(boxes) // rows)
    margin = GAP if rows > 1 else 0.0  # room for the arrow that comes from the row above
    width, height = margin + columns * BOX[0] + (columns - 1) * GAP, (rows - 1) * LINE + BOX[1]
    with styled():
        figure, axes = plt.subplots(figsize=(width + 0.2, height + 0.75), layout="constrained")
        axes.set(xlim=(-0.1, width + 0.1), ylim=(-0.1, height + 0.25), aspect="equal")
        axes.set_axis_off()
        axes.set_title(title)
        for number, box in enumerate(boxes):
            row, column = divmod(number, columns)
            left, bottom = margin + column * (BOX[0] + GAP), (rows - 1 - row) * LINE
            _draw_box(axes, left, bottom, *box)
            if number:
                arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.4}
                level = bottom + BOX[1] / 2
                axes.annotate("", (left, level), (left - GAP, level), arrowprops=arrow)
                if arrows:
                    axes.text(left - GAP / 2, level + 0.14, arrows[number - 1], ha="center", fontsize=9)
        plt.close(figure)
    return figure


def _draw_box(axes: "Axes", left: float, bottom: float, name: str, detail: str, kind: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = {"boxstyle": "round,pad=0,rounding_size=0.12", "edgecolor": "black", "linewidth": 1.2}
    axes.add_patch(FancyBboxPatch((left, bottom), *BOX, facecolor=KINDS[kind], **style))
    middle = left + BOX[0] / 2
    axes.text(middle, bottom + 0.72, name, ha="center", va="center", weight="bold", fontsize=11)
    axes.text(middle, bottom + 0.44, detail, ha="center", va="center", fontsize=9.5)
    if kind in ("frozen", "trained"):
        axes.text(middle, bottom + 0.18, kind, ha="center", va="center", fontsize=9, style="italic")
