"""Findings for judges: compare what was observed with what is expected, and say where they part."""

from typing import Any

import numpy as np

from tl_course.exercises.engine.exercise import Finding
from tl_course.i18n import _


def holds(criterion: str, condition: bool, message: str) -> Finding:
    """A finding that passes when the condition holds; the message explains the failure."""
    return Finding(criterion, bool(condition), "" if condition else message)


def close(criterion: str, observed: Any, expected: Any, what: str, rtol: float = 1e-4, atol: float = 1e-5) -> Finding:
    """A finding that passes when two arrays agree in shape and, within the tolerance, in every value.

    Args:
        criterion: the criterion's name.
        observed: what the learner's code gave: an array or a number.
        expected: the right value, computed by the judge.
        what: name of the compared thing, for the message ("the pooled features").
        rtol: relative tolerance.
        atol: absolute tolerance.
    """
    try:
        given = np.asarray(observed)
        if given.dtype.kind not in "biuf":  # NumPy would read "1.5" as a number and drop an imaginary part
            raise TypeError
        seen = given.astype(np.float64)
    except (TypeError, ValueError):
        kind = type(observed).__name__ if not isinstance(observed, np.ndarray) else f"an array of {observed.dtype}"
        return Finding(
            criterion, False, _("{what}: numbers were expected, yours is {kind}").format(what=what, kind=kind)
        )
    right = np.asarray(expected, dtype=np.float64)
    if seen.shape != right.shape:
        text = _("{what}: shape {right} was expected, yours is {seen}")
        return Finding(criterion, False, text.format(what=what, right=right.shape, seen=seen.shape))
    if np.allclose(seen, right, rtol=rtol, atol=atol, equal_nan=True):
        return Finding(criterion, True)
    return Finding(criterion, False, _difference(what, seen, right))


def _difference(what: str, seen: np.ndarray, right: np.ndarray) -> str:
    if not np.isfinite(seen).all() and np.isfinite(right).all():
        count = int((~np.isfinite(seen)).sum())
        return _("{what}: {count} of your {size} values are NaN or infinite").format(
            what=what, count=count, size=seen.size
        )
    with np.errstate(invalid="ignore"):
        gap = np.abs(seen - right)
    gap = np.where(np.isnan(seen) == np.isnan(right), np.nan_to_num(gap, nan=0, posinf=np.inf), np.inf)
    where = np.unravel_index(int(np.argmax(gap)), gap.shape)
    at = "" if gap.ndim == 0 else _(" at position {where}").format(where=[int(i) for i in where])
    text = _("{what}: the largest difference is {gap:.3g}{at}: expected {right:.5g}, yours is {seen:.5g}")
    return text.format(what=what, gap=float(gap[where]), at=at, right=float(right[where]), seen=float(seen[where]))
