"""Two ways of doing the same, timed fairly: in turn, in one process, compared round by round."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Comparison:
    """Seconds of both sides, round by round.

    Attributes:
        ours: seconds of our way.
        theirs: seconds of the other way.
    """

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Throughput of ours over theirs in each round."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        """Median over the rounds."""
        return median(self.ratios)

    def as_dict(self) -> dict[str, float | list[float]]:
        """Ratio with its spread, and all times, rounded for reading."""
        return {
            "ratio": round(self.ratio, 3),
            "lowest": round(min(self.ratios), 3),
            "highest": round(max(self.ratios), 3),
            "ours_seconds": [round(seconds, 4) for seconds in self.ours],
            "theirs_seconds": [round(seconds, 4) for seconds in self.theirs],
        }


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Comparison:
    """Time both in turn, changing who goes first every round, after one untimed call of each.

    Args:
        ours, theirs: do the same work.
        rounds: pairs of timed calls, at least 1.
    """
    ours()
    theirs()
    mine: list[float] = []
    other: list[float] = []
    for number in range(rounds):
        for work, times in ((ours, mine), (theirs, other))[:: 1 if number % 2 == 0 else -1]:
            times.append(seconds(work))
    return Comparison(tuple(mine), tuple(other))


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> dict[str, str | int | float]:
    """What the numbers were measured on; the load says whether it had other work."""
    facts: dict[str, str | int | float] = {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
    }
    if hasattr(os, "getloadavg"):
        facts["load"] = round(os.getloadavg()[0], 2)
    return facts
