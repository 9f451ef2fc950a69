"""What the gradebook says each student has for an assignment: the figures that go to an LMS."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment

from tl_course.errors import BadInput
from tl_course.i18n import _


@dataclass(frozen=True)
class Grade:
    """What one student has for an assignment.

    Attributes:
        student: nbgrader's id of the student.
        score: points, late penalty taken off; None where there is nothing to hand on.
        reason: why there is no score.
        missing: whether nothing was handed in.
        comment: what graders wrote by hand.
    """

    student: str
    first_name: str
    last_name: str
    email: str
    lms_user_id: str
    score: float | None
    reason: str = ""
    missing: bool = False
    comment: str = ""


def grades(
    gradebook: Gradebook, assignment: str, look: Mapping[str, str] | None = None, missing_as_zero: bool = False
) -> tuple[list[Grade], float]:
    """Every student's grade, by student, and the points possible.

    Args:
        gradebook: nbgrader's.
        assignment: its name.
        look: students whose submission needs a look, each with the reason; beside those with cells to grade by hand.
        missing_as_zero: count as 0 what was not handed in.

    Raises:
        BadInput: the gradebook has no such assignment.
    """
    try:
        found = gradebook.find_assignment(assignment)
    except MissingEntry as error:
        names = ", ".join(sorted(item.name for item in gradebook.assignments)) or _("none")
        raise BadInput(
            _("an assignment out of {names}").format(names=names), repr(assignment), _("name one")
        ) from error
    handed_in = {submission.student_id: submission for submission in found.submissions}
    look = look or {}
    students = {student.id: student for student in gradebook.students}
    return [
        _grade(name, students.get(name), handed_in.get(name), look.get(name, ""), missing_as_zero)
        for name in sorted({*students, *look})
    ], float(found.max_score or 0)


def _grade(
    name: str, student: Any, submission: SubmittedAssignment | None, reason: str, missing_as_zero: bool
) -> Grade:
    """The grade of a student, whom the gradebook may not know yet (None)."""
    fields = ("first_name", "last_name", "email", "lms_user_id")
    who = {"student": name, **{title: getattr(student, title, None) or "" for title in fields}}
    if submission is None and not reason:
        return Grade(**who, score=0.0 if missing_as_zero else None, reason=_("nothing was handed in"), missing=True)
    if submission is not None and not reason and submission.needs_manual_grade:
        reason = _("cells wait to be graded")
    if submission is None or reason:
        return Grade(**who, score=None, reason=reason)
    score = max(0.0, submission.score - (submission.late_submission_penalty or 0.0))
    comments = [comment.manual_comment for notebook in submission.notebooks for comment in notebook.comments]
    return Grade(**who, score=score, comment="; ".join(filter(None, comments)))


def number(value: float) -> str:
    """Points with a dot and at most five decimals, as both LMSs read them."""
    if not math.isfinite(value):
        raise BadInput(_("points that are a number"), str(value), _("grade that submission again"))
    return f"{value:.5f}".rstrip("0").rstrip(".")
