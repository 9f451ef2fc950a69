"""Another literal in place of one that a test expects, such that nothing shows which of the two was there first.

A right answer equals one of them only: they differ by more than a comparison allows, and not by a
multiple of a small number.
"""

import ast
import math
import random
from dataclasses import dataclass
from typing import Any

_COMMON = 2 * 3 * 5 * 7 * 11 * 13  # numbers that are equal modulo one of these are not told apart by every answer
_LEAST_STEP = 37
_APART = 0.25  # of the larger number
_EXACT_FLOAT = 0.05
_TRIES = 400
_REPEATS = 20
_KINDS = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "!#$%&*+-/:;<=>?@^_|~.,")


@dataclass(frozen=True)
class Slack:
    """How far apart two numbers may be that a comparison takes for the same: ``absolute + relative * larger``."""

    absolute: float = 1e-4
    relative: float = 0.02  # the least accurate of the usual types of numbers is compared to about that

    def widened(self, number: float) -> "Slack":
        """At least this much, absolute and relative."""
        return Slack(max(self.absolute, number), max(self.relative, number))


@dataclass(frozen=True)
class Leaf:
    """A constant in a cell's tree that an answer has to match.

    Args:
        check: number of the statement that it belongs to.
        node: the constant.
        slack: what the comparison allows; None where it is by ``==`` or ``is``.
        among: values that it must not become: those beside it in a set, or zero after a minus sign.
    """

    check: int
    node: ast.Constant
    slack: Slack | None = None
    among: tuple[Any, ...] = ()


def leaves(value: ast.expr) -> list[tuple[ast.Constant, tuple[Any, ...]]]:
    """The constants of a literal, each with what it must not become; of a list partly made of names, those it has."""
    if isinstance(value, ast.Constant):
        return [(value, ())]
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
        return [(value.operand, (0, 0.0))] if isinstance(value.operand, ast.Constant) else []
    if isinstance(value, (ast.List, ast.Tuple)):
        return [leaf for item in value.elts for leaf in leaves(item)]
    if isinstance(value, ast.Dict) and all(isinstance(key, ast.Constant) for key in value.keys):
        keys = [key.value for key in value.keys if isinstance(key, ast.Constant)]
        return [leaf for item in value.values for leaf in leaves(item)] if len(set(keys)) == len(keys) else []
    if isinstance(value, ast.Set) and all(isinstance(item, ast.Constant) for item in value.elts):
        among = tuple(item.value for item in value.elts if isinstance(item, ast.Constant))
        return [(item, among) for item in value.elts if isinstance(item, ast.Constant)]
    return []


def other(leaf: Leaf, rng: random.Random) -> Any:
    """Another value of the same kind and size, or None where there is none that certainly differs."""
    for _try in range(_REPEATS):
        found = _another(leaf, rng)
        if found not in leaf.among:
            return found
    return None


def _another(leaf: Leaf, rng: random.Random) -> Any:
    value = leaf.node.value
    if value is None:
        return False
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return _whole(value, leaf.slack, rng)
    if isinstance(value, float):
        return _float(value, leaf.slack, rng)
    if isinstance(value, str):
        return _text(value, rng)
    if isinstance(value, bytes) and value.isascii():
        text = _text(value.decode("ascii"), rng)
        return None if text is None else text.encode("ascii")
    return None


def _whole(value: int, slack: Slack | None, rng: random.Random) -> int | None:
    """One with as many digits: next to it if it has one digit, else a good part away from it."""
    digits = len(str(value))
    for _try in range(_TRIES if digits < 300 else 0):
        found = rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
        step = abs(found - value)
        if digits > 1 and (step < _LEAST_STEP or step < _APART * max(found, value) or math.gcd(step, _COMMON) > 1):
            continue
        if slack is None and digits == 1 and step != 1:
            continue
        if step and _beyond(found, value, slack):
            return found
    return None


def _float(value: float, slack: Slack | None, rng: random.Random) -> float | None:
    """One with as many digits before and after the point."""
    mantissa, _e, exponent = repr(value).partition("e")
    whole, _point, after = mantissa.partition(".")
    if not (whole + after).isdigit():  # infinite, or not a number
        return None
    after = "" if after == "0" else after
    size = len(str(int(whole + after)))
    for _try in range(_TRIES):
        digits = str(rng.randrange(10 ** (size - 1) if size > 1 else 0, 10**size)).zfill(len(whole + after))
        found = float(f"{digits[: len(whole)]}.{digits[len(whole) :] or '0'}e{exponent or 0}")
        step = abs(found - value)
        if step < _APART * max(found, value) or len(repr(found)) != len(repr(value)):
            continue
        if step >= (_EXACT_FLOAT if slack is None else 0) and found != value and _beyond(found, value, slack):
            return found
    return None


def _beyond(found: float, value: float, slack: Slack | None) -> bool:
    """Whether two numbers are further apart than something that is close to one can be from the other."""
    if slack is None:
        return True
    return abs(found - value) > 4 * (slack.absolute + slack.relative * max(found, value))


def _text(value: str, rng: random.Random) -> str | None:
    """One with another letter, digit or sign in one place."""
    places = [(place, kind) for place, sign in enumerate(value) for kind in _KINDS if sign in kind]
    if not places:
        return None
    letters = [pair for pair in places if pair[1].isalnum()]
    place, kind = rng.choice(letters or places)
    sign = rng.choice([sign for sign in kind if sign != value[place]])
    return value[:place] + sign + value[place + 1 :]
