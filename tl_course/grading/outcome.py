"""What a grading is asked for, and what becomes of each submission."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tl_course.grading.confinement import Limits
from tl_course.grading.result import Result


@dataclass(frozen=True)
class Options:
    """How to grade.

    Args:
        workers: submissions executed at once; None: one a processor.
        student: only this one's submission.
        exercise: only this exercise, for everybody who was graded before.
        force: grade also what did not change since it was graded.
        allow_unsafe: run submissions also where a protection is missing.
        time_limit: seconds for an answer or a cell.
        limits: what each submission may use.
        scheduler: address of a Dask scheduler whose workers execute submissions.
    """

    workers: int | None = None
    student: str | None = None
    exercise: str | None = None
    force: bool = False
    allow_unsafe: bool = False
    time_limit: float | None = None
    limits: Limits = field(default_factory=Limits)
    scheduler: str | None = None


@dataclass(frozen=True)
class Row:
    """What became of one submission."""

    student: str
    state: str
    score: float | None
    max_score: float | None
    reason: str = ""
    notes: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    again: bool = True


@dataclass
class Report:
    """What became of all of them; ``unprotected``: protections that were missing."""

    assignment: str
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    unprotected: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: what ``tl-course grade --json`` prints."""
        rows = [
            {
                "student": row.student,
                "state": row.state,
                "score": row.score,
                "max_score": row.max_score,
                "reason": row.reason,
                "notes": list(row.notes),
                "results": [asdict(result) for result in row.results],
                "graded_now": row.again,
            }
            for row in self.rows
        ]
        return {"submissions": rows, "seconds": self.seconds, "unprotected": self.unprotected}
