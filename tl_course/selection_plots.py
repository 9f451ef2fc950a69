"""Figures for choosing a model: a ranking with its cost, scores against results, and how well scores predict."""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.plots import MARKERS, OKABE_ITO, STYLE, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tl_course.selection import Ranking, Score
    from tl_course.selection_scores import RankAgreement

_PANELS: "tuple[tuple[Score, str], ...]" = (
    ("linear_probe", "linear probe"),
    ("knn", "k-NN"),
    ("logme", "LogME"),
    ("h_score", "H-score"),
)


def ranking(found: "Ranking", title: str = "Candidates by their frozen features") -> "Figure":
    """Four scores of every candidate, one panel each, best first; the score that decides is dark, the others pale."""
    import matplotlib.pyplot as plt

    places = np.arange(len(found.names))
    with styled():
        size = (3.0 * len(_PANELS) + 1.5, 1.6 + 0.4 * len(places))
        figure, grid = plt.subplots(1, len(_PANELS), figsize=size, layout="constrained", sharey=True)
        for axes, (score, name), colour in zip(grid, _PANELS, OKABE_ITO, strict=False):
            values = found.column(score)
            axes.plot(values, places, MARKERS[0], color=colour, markersize=9, alpha=1 if score == found.score else 0.55)
            if score == "linear_probe":
                spread = [candidate.scores.probe_spread for candidate in found.candidates]
                axes.errorbar(values, places, xerr=spread, fmt="none", ecolor=colour, capsize=3)
            axes.set(title=name, xlabel=_("accuracy") if score in ("linear_probe", "knn") else _("score"))
        grid[0].set_yticks(places, found.names)
        grid[0].invert_yaxis()
        grid[0].set_ylabel(_("candidate"))
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        plt.close(figure)
    return figure


def score_against_result(
    scores: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray], title: str, xlabel: str, ylabel: str
) -> "Figure":
    """One panel a target, one dot a model: the score across, the result up.

    Args:
        scores, results: for each target (M,), NaN where unknown.
        title, xlabel, ylabel: what the figure says.

    Raises:
        BadInput: other targets in the two.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    if list(scores) != list(results):
        raise BadInput(
            _("scores and results of the same targets"),
            f"{list(scores)}, {list(results)}",
            _("give both in the same order"),
        )
    with styled():
        size = (3.2 * len(scores), 3.6)
        figure, grid = plt.subplots(1, len(scores), figsize=size, layout="constrained", squeeze=False)
        looks = zip(cycle(OKABE_ITO), cycle(MARKERS))
        for axes, target, (colour, marker) in zip(grid[0], scores, looks, strict=False):
            axes.plot(scores[target], results[target], marker, color=colour, markersize=8, alpha=0.8)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set(title=target, xlabel=xlabel)
        grid[0, 0].set_ylabel(ylabel)
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        plt.close(figure)
    return figure


def agreement(found: Mapping[str, "RankAgreement"], title: str) -> "Figure":
    """Kendall's tau of every score with its interval, and a line at 0, where a score says nothing.

    Args:
        found: by the name of the score.
        title: heading.
    """
    import matplotlib.pyplot as plt

    places = np.arange(len(found))
    with styled():
        figure, axes = plt.subplots(figsize=(7.5, 1.4 + 0.45 * len(found)), layout="constrained")
        for place, (each, colour) in enumerate(zip(found.values(), cycle(OKABE_ITO), strict=False)):
            axes.plot([each.low, each.high], [place, place], color=colour, linewidth=3, alpha=0.6)
            axes.plot([each.tau], [place], "o", color=colour, markersize=9)
            axes.annotate(f"{each.tau:.2f}", (each.tau, place), xytext=(0, 7), textcoords="offset points", ha="center")
        axes.axvline(0, color="grey", linewidth=1)
        axes.set_yticks(places, list(found))
        axes.set(title=title, xlabel=_("Kendall's tau with the fine-tuned results, 95 % interval"), ylabel=_("score"))
        axes.set(xlim=(-1.05, 1.05), ylim=(len(found) - 0.4, -0.7))
        plt.close(figure)
    return figure
