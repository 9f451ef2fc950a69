"""Copies of a test cell in each of which one to three of its checks are such that a right answer cannot pass them.

Where a check expects a literal, another one stands in the copies. Three literals at most are changed, in all eight ways
in which that can be done, so that neither one text nor all of them tell which literals are the right ones. A check
without a literal gets a switch, which stands in the cell itself and in all copies; only the number in it differs.
"""

import ast
import random
from typing import Any

from tl_course.grading.changed_literals import other
from tl_course.grading.checks import Checks
from tl_course.grading.switch import Switch

LITERALS = 3
_SWITCHES = 4  # where there are no literals


def perturbed(source: str, rng: random.Random) -> tuple[str, list[str]]:
    """The cell as it is to be run, and the copies that have to fail.

    Args:
        source: the cell's text.
        rng: chooses what is changed, and into what.
    """
    switch = Switch(rng)
    cell = Checks(source, frozenset(), switch)
    changes = _changes(cell, rng)
    copies = 2 ** len(changes) - 1
    points = _chosen(cell, {leaf.check for leaf in cell.leaves}, rng)[: 1 if changes else _SWITCHES]
    if not changes and not points:
        return source, []
    if points:
        cell = Checks(source, frozenset(points), switch)
    texts = [_text(cell, changes, subset, None, switch) for subset in range(copies + 1)]
    return texts[0], texts[1:] + [_text(cell, changes, 0, point, switch) for point in points]


def _changes(cell: Checks, rng: random.Random) -> list[tuple[int, Any]]:
    """A few constants, by number, each with another value; of different checks where it can be."""
    order = list(range(len(cell.leaves)))
    rng.shuffle(order)
    order.sort(key=lambda number: cell.leaves[number].node.value is None)
    found: dict[int, Any] = {}
    for distinct in (True, False):
        for number in order:
            leaf = cell.leaves[number]
            same = [cell.leaves[n].check == leaf.check for n in found]
            if len(found) == LITERALS or number in found or (distinct and any(same)):
                continue
            value = other(leaf, rng)
            beside = [one.node.value for one in cell.leaves if one.check == leaf.check]
            if value is not None and not (any(same) and value in beside):  # or they might only change places
                found[number] = value
    return list(found.items())


def _text(cell: Checks, changes: list[tuple[int, Any]], subset: int, on: int | None, switch: Switch) -> str:
    """The cell with some of the changes, by the bits of ``subset``, and one switch on."""
    if cell.tree is None:
        return ""
    before = [cell.leaves[number].node.value for number, _value in changes]
    for bit, (number, value) in enumerate(changes):
        if subset >> bit & 1:
            cell.leaves[number].node.value = value
    for point, keys in cell.keys.items():
        number = switch.number(point == on)
        for key in keys:
            key.value = number
    text = ast.unparse(cell.tree)
    for (number, _value), value in zip(changes, before, strict=True):
        cell.leaves[number].node.value = value
    return text


def _chosen(cell: Checks, done: set[int], rng: random.Random) -> list[int]:
    """Points of the other checks: one a check, then more; those that change what is compared come first."""
    order = [number for number, point in enumerate(cell.points) if point.check not in done]
    rng.shuffle(order)
    order.sort(key=lambda number: cell.points[number].kind == "not")
    first = {cell.points[number].check: number for number in reversed(order)}
    firsts = sorted(first.values(), key=lambda number: cell.points[number].kind == "not")
    return [*firsts, *(number for number in order if number not in firsts)]
