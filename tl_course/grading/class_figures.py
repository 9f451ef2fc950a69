"""What the results of a class say in numbers: how scores spread, and which exercises separate.

Both indices are those of classical test theory. The corrected item-total correlation is Pearson's, of an exercise's
share of its points with the total of all the others (Henrysson 1963, Correction of item-total correlations in item
analysis; Lord and Novick 1968, Statistical Theories of Mental Test Scores). The discrimination index is the mean share
of the 27 % with the highest totals less that of the 27 % with the lowest (Kelley 1939, The selection of upper and lower
groups for the validation of test items).
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tl_course.grading.outcome import Report, Row
from tl_course.grading.result import Result

ENOUGH = 20  # submissions below which the indices are not shown
TAIL = 0.27  # Kelley's share of the class at either end
BINS = 10

Key = tuple[str, str | None, int]


@dataclass(frozen=True)
class Spread:
    """Five numbers of a list of numbers."""

    low: float
    first_quartile: float
    median: float
    third_quartile: float
    high: float


@dataclass(frozen=True)
class Item:
    """One test of an assignment, as a class did on it.

    Args:
        name: id of the exercise, or the test's own name.
        points: what a full answer is worth.
        count: submissions that the numbers are of.
        answered: how many of them hold an answer.
        full: how many have full marks.
        mean: mean share of the points, 0 to 1.
        frameworks: how many answered in which.
        correlation: corrected item-total correlation, -1 to 1; None where one of the two does not vary.
        discrimination: index of the upper and lower 27 %, -1 to 1; None where no total differs from another.
        alone: whether there is no other exercise to compare with.
    """

    name: str
    points: float
    count: int
    answered: int
    full: int
    mean: float
    frameworks: dict[str, int]
    correlation: float | None
    discrimination: float | None
    alone: bool


def shares(rows: Sequence[Row]) -> list[float]:
    """Each submission's share of the points, of those that are graded and whose points are not zero."""
    return [row.score / row.max_score for row in graded(rows) if row.score is not None and row.max_score]


def graded(rows: Sequence[Row]) -> list[Row]:
    """Those whose score stands: nobody has to look at them first."""
    return [row for row in rows if row.state == "graded"]


def spread(values: Sequence[float]) -> Spread | None:
    """Quartiles (linear between neighbours) and ends; None of nothing."""
    if not values:
        return None
    middle = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else list(values) * 3
    return Spread(min(values), middle[0], middle[1], middle[2], max(values))


def histogram(values: Sequence[float]) -> list[int]:
    """How many shares lie in each tenth; one on a boundary counts above it, what is out of 0 to 1 at the end."""
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, max(0, math.floor(value * BINS + 1e-9)))] += 1
    return counts


def keyed(row: Row) -> dict[Key, Result]:
    """A submission's results by test; the number tells tests of one name in several notebooks apart."""
    seen: Counter[tuple[str, str | None]] = Counter()
    found = {}
    for result in row.results:
        name = (result.test, result.exercise)
        found[*name, seen[name]] = result
        seen[name] += 1
    return found


def items(report: Report) -> list[Item]:
    """Every test in the order of the assignment, as those submissions did on it that are graded."""
    table = [found for row in graded(report.rows) if (found := keyed(row))]
    names = list(dict.fromkeys(key for found in table for key in found))
    return [_item(name, [found for found in table if name in found]) for name in names]


def _item(name: Key, table: Sequence[dict[Key, Result]]) -> Item:
    own = [found[name] for found in table]
    share = [result.score for result in own]
    rest = [math.fsum(result.score * result.points for key, result in found.items() if key != name) for found in table]
    total = [others + result.score * result.points for others, result in zip(rest, own, strict=True)]
    alone = all(len(found) == 1 for found in table)
    return Item(
        name=name[1] or name[0],
        points=max(result.points for result in own),
        count=len(own),
        answered=sum(result.answered for result in own),
        full=sum(result.score >= 1 for result in own),
        mean=statistics.fmean(share),
        frameworks=dict(Counter(result.framework for result in own if result.framework).most_common()),
        correlation=None if alone else correlation(share, rest),
        discrimination=None if alone else discrimination(share, total),
        alone=alone,
    )


def correlation(share: Sequence[float], rest: Sequence[float]) -> float | None:
    """Pearson's correlation of an exercise's share with the total of the others; None where one does not vary."""
    if _constant(share) or _constant(rest):
        return None
    return statistics.correlation(share, rest)


def discrimination(share: Sequence[float], total: Sequence[float]) -> float | None:
    """Mean share of the upper 27 % by total less that of the lower 27 %; None where all totals are the same.

    Where a group's boundary falls among equal totals, those that share it count in part, so that the order of a
    list decides nothing.
    """
    if _constant(total):
        return None
    size = max(1, round(TAIL * len(total)))
    return _end(share, [-value for value in total], size) - _end(share, total, size)


def _end(share: Sequence[float], total: Sequence[float], size: int) -> float:
    """Mean share of the ``size`` lowest totals."""
    rounded = [round(value, 9) for value in total]
    boundary = sorted(rounded)[size - 1]
    inside = [one for one, value in zip(share, rounded, strict=True) if value < boundary]
    tied = [one for one, value in zip(share, rounded, strict=True) if value == boundary]
    return (math.fsum(inside) + (size - len(inside)) * statistics.fmean(tied)) / size


def _constant(values: Sequence[float]) -> bool:
    """Whether numbers are the same but for rounding."""
    return not values or max(values) - min(values) <= 1e-9 * max(1.0, *map(abs, values))
