"""What the summary and the page of a graded class both say, as plain text."""

from collections.abc import Sequence
from dataclasses import dataclass

from tl_course.grading.outcome import Report, Row
from tl_course.i18n import _

_JOINERS = "\u200c\u200d"  # parts of names in some scripts


def clean(text: str) -> str:
    """One line without signs that steer a terminal or turn text round; each of them shows as U+FFFD."""
    line = " ".join(text.split())
    return "".join(sign if sign.isprintable() or sign in _JOINERS else "\ufffd" for sign in line)


def shortened(text: str, length: int = 100) -> str:
    """One clean line of at most so many signs."""
    line = clean(text)
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def state_name(state: str) -> str:
    """A state in words."""
    return {"graded": _("graded"), "needs_look": _("needs a look"), "failed": _("failed")}.get(state, state)


@dataclass(frozen=True)
class Counts:
    """How many submissions are in which state.

    Args:
        submissions: all of them.
        graded, needs_look, failed: by state.
        now: judged this time.
        unchanged: judged before, and the same since.
    """

    submissions: int
    graded: int
    needs_look: int
    failed: int
    now: int
    unchanged: int


def counts(rows: Sequence[Row]) -> Counts:
    """The numbers at the head of a report."""
    states = [row.state for row in rows]
    return Counts(
        submissions=len(rows),
        graded=states.count("graded"),
        needs_look=states.count("needs_look"),
        failed=states.count("failed"),
        now=sum(row.again and row.score is not None for row in rows),
        unchanged=sum(not row.again for row in rows),
    )


@dataclass(frozen=True)
class Finding:
    """What several answers to one exercise have in common.

    Args:
        exercise: id in the bank, or the test's own name.
        message: the diagnosis, or why they could not be observed.
        students: whose answers they are.
    """

    exercise: str
    message: str
    students: list[str]


def diagnoses(report: Report) -> list[Finding]:
    """Misconceptions that answers show, the most frequent first."""
    return _findings(report, "diagnosis")


def problems(report: Report) -> list[Finding]:
    """Why answers could not be observed, the most frequent first."""
    return _findings(report, "problem")


def _findings(report: Report, kind: str) -> list[Finding]:
    found: dict[tuple[str, str], list[str]] = {}
    for row in report.rows:
        for result in row.results:
            message = getattr(result, kind)
            if message and result.exercise:  # a teacher's own test that failed says no more than that
                students = found.setdefault((result.exercise, clean(message)), [])
                if row.student not in students:
                    students.append(row.student)
    listed = [Finding(exercise, message, students) for (exercise, message), students in found.items()]
    return sorted(listed, key=lambda one: (-len(one.students), one.exercise, one.message))


def undiagnosed(report: Report) -> list[Finding]:
    """Answers to exercises of the bank that fell short without a diagnosis or another reason."""
    found: dict[str, list[str]] = {}
    for row in report.rows:
        for result in row.results:
            if result.exercise and result.answered and result.score < 1 and not (result.diagnosis or result.problem):
                found.setdefault(result.exercise, []).append(row.student)
    return [Finding(exercise, _("fell short in a way that has no name"), who) for exercise, who in found.items()]


def noticed(report: Report) -> list[tuple[str, str, str]]:
    """Student, exercise and line of every import or path that was noticed."""
    return [
        (row.student, result.exercise or result.test, line)
        for row in report.rows
        for result in row.results
        for line in result.noticed
    ]


def waiting(rows: Sequence[Row]) -> list[Row]:
    """Those that somebody has to see to, failed ones first."""
    return sorted((row for row in rows if row.state != "graded"), key=lambda row: (row.state != "failed", row.student))
