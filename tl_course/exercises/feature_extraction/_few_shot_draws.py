"""What draws of a few examples per class look like: balanced, distinct, ascending and random."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Finding
from tl_course.i18n import _

NUM_DRAWS = 60  # seeds tried: enough that a fair draw fails the checks less than once in a million times


def examine(draws: list[np.ndarray], y: np.ndarray, per_class: int) -> list[Finding]:
    """Check draws of ``per_class`` examples from each class.

    Args:
        draws: what was drawn, one array a seed; anything but indices into y fails all criteria.
        y: classes, integer, shape (N,).
        per_class: how many examples of each class were asked for.

    Returns:
        Findings for "balanced", "distinct" and "order"; with ``NUM_DRAWS`` draws also for "random".
    """
    problem = next((text for draw in draws if (text := _not_indices(draw, len(y)))), "")
    if problem:
        return [holds(name, False, problem) for name in ("balanced", "distinct", "order", "random")]
    found = [_balanced(draws, y, per_class), _distinct(draws), _ascending(draws)]
    return found + (_random(draws, y, per_class) if len(draws) == NUM_DRAWS else [])


def _not_indices(draw: np.ndarray, count: int) -> str:
    """Why a draw is no array of indices into y; empty when it is one."""
    if draw.ndim != 1 or draw.dtype.kind not in "iu":
        return _(
            "a one-dimensional array of whole numbers was expected, yours has shape {shape} and dtype {dtype}"
        ).format(shape=draw.shape, dtype=draw.dtype)
    outside = draw[(draw < 0) | (draw >= count)]
    return _("{index} is no index into y").format(index=outside[0]) if outside.size else ""


def _balanced(draws: list[np.ndarray], y: np.ndarray, per_class: int) -> Finding:
    for draw in draws:
        for label in set(y.tolist()):
            count = int(np.count_nonzero(y[draw] == label))
            if count != per_class:
                text = _("class {label} has {count} of your indices, {per_class} were asked for")
                return Finding("balanced", False, text.format(label=label, count=count, per_class=per_class))
    return Finding("balanced", True)


def _distinct(draws: list[np.ndarray]) -> Finding:
    twice = next((draw for draw in draws if len(set(draw.tolist())) < len(draw)), None)
    return holds("distinct", twice is None, _("an index came twice in one draw"))


def _ascending(draws: list[np.ndarray]) -> Finding:
    return holds(
        "order", all((np.diff(draw) >= 0).all() for draw in draws), _("the indices are not in ascending order")
    )


def _random(draws: list[np.ndarray], y: np.ndarray, per_class: int) -> list[Finding]:
    """Over the seeds, every index is chosen about as often as the others of its class; classes do not move together."""
    counts = np.bincount(np.concatenate(draws), minlength=len(y))
    shares = counts / len(draws) / np.array([per_class / np.count_nonzero(y == label) for label in y])
    text = _("over {draws} seeds, index {index} was drawn {count} times: some examples of a class are preferred")
    odd = int(np.abs(shares - 1).argmax())
    even = bool(shares.min() > 0.1 and shares.max() < 2.5)
    small = [label for label in set(y.tolist()) if np.count_nonzero(y == label) == 6]
    first, second = (np.cumsum(y == label) - 1 for label in small)
    together = sum(
        np.array_equal(first[draw[y[draw] == small[0]]], second[draw[y[draw] == small[1]]]) for draw in draws
    )
    linked = _("two classes of the same size were drawn at the same positions; draw each class independently")
    choices = {tuple(first[draw[y[draw] == small[0]]].tolist()) for draw in draws}  # 20 are possible
    blocks = _("over {draws} seeds, only {choices} different choices came from a class of 6; 20 are possible")
    return [
        holds("random", len(choices) >= 10, blocks.format(draws=len(draws), choices=len(choices))),
        holds("random", even, text.format(draws=len(draws), index=odd, count=int(counts[odd]))),
        holds("random", together < len(draws) / 2, linked),
    ]
