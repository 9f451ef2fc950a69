"""Record a graded submission: its autograded copy first, then everything in the gradebook in one transaction.

One process writes. Whenever it is killed, the gradebook holds whole submissions only, and what is not in it is graded
again.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from nbformat import NotebookNode
from nbgrader import api
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum, is_solution, is_task
from sqlalchemy.exc import DBAPIError, OperationalError
from traitlets import TraitError
from traitlets.config import Config

from tl_course.errors import CourseError
from tl_course.exercises.engine.exercise import chosen_seed
from tl_course.grading.autograded_copy import write_copy
from tl_course.grading.course import NAME, unusable
from tl_course.grading.database import open_gradebook, why
from tl_course.grading.plan import name as name_of
from tl_course.grading.result import Result
from tl_course.i18n import _

PAUSES = (0.5, 2.0)  # seconds before another try, where the database was lost or busy and has not been for long
_TABLES = sa.MetaData()
RECORDS = sa.Table(
    "tl_course_graded",
    _TABLES,
    sa.Column("assignment", sa.String(128), primary_key=True),
    sa.Column("student", sa.String(128), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("notes", sa.JSON, nullable=False),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("at", sa.DateTime, nullable=False),
)
SECRETS = sa.Table(
    "tl_course_secrets",
    _TABLES,
    sa.Column("assignment", sa.String(128), primary_key=True),
    sa.Column("secret", sa.String(64), nullable=False),
)


@dataclass(frozen=True)
class Record:
    """What is known of a graded submission.

    Args:
        student: who handed it in.
        fingerprint: of what was handed in.
        version: of what was set and of the course that judged it.
        attempt: 0 for the first submission that was graded, one more for each changed one.
        state: "graded" or "needs_look".
        reason: why somebody has to look.
        notes: what was mended.
        results: one for each test.
    """

    student: str
    fingerprint: str
    version: str
    attempt: int
    state: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()


@dataclass
class Graded:
    """A submission to record: its notebooks by name (None: there was none) and its other files."""

    record: Record
    notebooks: dict[str, NotebookNode | None] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    timestamp: datetime | None = None


class Recorder:
    """The one writer of an assignment's autograded copies and grades. Use it in a with block, from one thread."""

    def __init__(self, coursedir: CourseDirectory, assignment: str, config: Config) -> None:
        self.coursedir, self.assignment = coursedir, assignment
        self._lost = False  # whether the database was not there the last time
        self._plugin = _penalties(coursedir, config)
        self.gradebook = open_gradebook(coursedir, _TABLES)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_error: object) -> None:
        self.gradebook.close()

    def secret(self) -> str:
        """What the assignment's seeds come from: made once, known to nobody but the gradebook."""
        found = self.gradebook.db.execute(
            sa.select(SECRETS.c.secret).where(SECRETS.c.assignment == self.assignment)
        ).scalar()
        if found is None:
            found = secrets.token_hex(16)
            self.gradebook.db.execute(SECRETS.insert().values(assignment=self.assignment, secret=found))
            self.gradebook.db.commit()
        return found

    def students(self) -> set[str]:
        """Whose submission is in the gradebook; the teacher may have removed one that was graded."""
        kind: Any = api.SubmittedAssignment
        rows = self.gradebook.db.query(kind.student_id).filter(kind.assignment_id == self._assignment.id)
        return {row[0] for row in rows}

    def records(self) -> dict[str, Record]:
        """What was graded before, by student."""
        rows = self.gradebook.db.execute(sa.select(RECORDS).where(RECORDS.c.assignment == self.assignment)).mappings()
        return {row["student"]: _record(row) for row in rows}

    def folder(self, student: str) -> Path:
        """Where a student's autograded copy lies."""
        return Path(self.coursedir.format_path(self.coursedir.autograded_directory, student, self.assignment))

    def record(self, graded: Graded) -> tuple[float, float]:
        """Write a graded submission. Returns its score and what could be reached.

        Raises:
            CourseError: the gradebook does not take it; nothing of it is in there.
        """
        write_copy(self.folder(graded.record.student), graded.notebooks, graded.files, graded.timestamp)
        pauses = [] if self._lost else list(PAUSES)
        while True:
            try:
                written = self._write_grades(graded)
                self._lost = False
                return written
            except BaseException as error:
                self.gradebook.db.rollback()
                if not isinstance(error, DBAPIError):
                    raise
                if not pauses or not isinstance(error, OperationalError):
                    self._lost = isinstance(error, OperationalError)
                    raise CourseError(_("the gradebook did not take it: {why}").format(why=why(error))) from error
                time.sleep(pauses.pop(0))

    def score(self, student: str) -> tuple[float, float]:
        """A recorded submission's score, and what could be reached."""
        submission = self.gradebook.find_submission(self.assignment, student)
        return submission.score, submission.max_score

    def _write_grades(self, graded: Graded) -> tuple[float, float]:
        session = self.gradebook.db
        with session.no_autoflush:
            submission = self._submission(graded)
        results = {(result.notebook, result.test): result for result in graded.record.results}
        for notebook in submission.notebooks:
            cells = _cells_by_name(graded.notebooks.get(notebook.notebook.name))
            for grade in notebook.grades:
                result = results.get((notebook.notebook.name, grade.cell.name))
                self._set_grade(grade, result, cells.get(grade.cell.name), graded)
            for comment in notebook.comments:
                cell = cells.get(comment.cell.name)
                comment.auto_comment = "No response." if cell is not None and _is_untouched(cell) else None
        session.flush()
        for notebook in submission.notebooks:
            notebook.late_submission_penalty = self._penalty(submission, notebook)
        values = _row(graded.record, self.assignment)
        session.execute(
            RECORDS.delete().where(RECORDS.c.assignment == self.assignment, RECORDS.c.student == graded.record.student)
        )
        session.execute(RECORDS.insert().values(**values))
        earned = sum(_score(grade) for notebook in submission.notebooks for grade in notebook.grades)
        possible = sum(grade.cell.max_score for notebook in submission.notebooks for grade in notebook.grades)
        session.commit()
        return earned, possible

    def _submission(self, graded: Graded) -> api.SubmittedAssignment:
        """The submission's rows, made where there are none yet; nothing is committed."""
        session, student = self.gradebook.db, graded.record.student
        found = (
            session.query(api.SubmittedAssignment)
            .filter(
                api.SubmittedAssignment.student_id == student,
                api.SubmittedAssignment.assignment_id == self._assignment.id,
            )
            .one_or_none()
        )
        if found is None:
            person = session.get(api.Student, student) or api.Student(id=student)
            found = api.SubmittedAssignment(assignment=self._assignment, student=person)
            for notebook in self._assignment.notebooks:
                mine = api.SubmittedNotebook(notebook=notebook, assignment=found)
                for cell in [*notebook.grade_cells, *notebook.task_cells]:
                    api.Grade(cell=cell, notebook=mine)
                for cell in [*notebook.solution_cells, *notebook.task_cells]:
                    api.Comment(cell=cell, notebook=mine)
            session.add(found)
        if graded.timestamp is not None:
            found.timestamp = graded.timestamp
        return found

    @property
    def _assignment(self) -> api.Assignment:
        return self.gradebook.find_assignment(self.assignment)

    def _set_grade(self, grade: api.Grade, result: Result | None, cell: NotebookNode | None, graded: Graded) -> None:
        if result is not None:
            grade.auto_score = round(result.score * grade.cell.max_score, 4)
        elif cell is None or _is_untouched(cell):
            grade.auto_score = 0.0  # not handed in, or a written answer that was not given
        else:
            grade.auto_score = None
        doubtful = graded.record.state == "needs_look"
        grade.needs_manual_grade = doubtful or grade.auto_score is None or grade.manual_score is not None

    def _penalty(self, submission: api.SubmittedAssignment, notebook: api.SubmittedNotebook) -> float | None:
        """What nbgrader's plugin takes for being late, within the score."""
        seconds = submission.total_seconds_late
        if seconds <= 0:
            return None
        score = sum(_score(grade) for grade in notebook.grades)
        penalty = self._plugin.late_submission_penalty(submission.student_id, score, seconds)
        return None if penalty is None else min(max(penalty, 0.0), score)


def _penalties(coursedir: CourseDirectory, config: Config) -> LateSubmissionPlugin:
    """The course's late penalties.

    Raises:
        BadInput: there is no such plugin, or a setting of it has the wrong type.
    """
    try:
        penalties = AssignLatePenalties(config=config)
        penalties.init_plugin()
    except TraitError as error:
        raise unusable(Path(coursedir.root) / NAME, error) from error
    return penalties.plugin_inst


def seed_for(secret: str, exercise: str, attempt: int) -> int:
    """The seed of an exercise's inputs: the same for the whole class, another one once a submission was changed."""
    drawn = int.from_bytes(sha256(f"{secret}/{exercise}/{attempt}".encode()).digest()[:4], "big") >> 1
    return drawn if (chosen := chosen_seed()) is None else chosen


def attempt(before: Record | None, fingerprint: str) -> int:
    """How many changed submissions there were before this one."""
    return 0 if before is None else before.attempt + (before.fingerprint != fingerprint)


def _record(row: Mapping[str, Any]) -> Record:
    """A record as it was written; one with results of another version of the course counts as out of date."""
    kept = ("student", "fingerprint", "version", "attempt", "state", "reason")
    record = Record(**{key: row[key] for key in kept}, notes=tuple(row["notes"]))
    try:
        results = tuple(Result(**{**result, "noticed": tuple(result["noticed"])}) for result in row["results"])
    except (TypeError, LookupError):
        return replace(record, version="")
    return replace(record, results=results)


def _row(record: Record, assignment: str) -> dict[str, Any]:
    kept = ("student", "fingerprint", "version", "attempt", "state", "reason")
    results = [asdict(result) for result in record.results]
    now = datetime.now(UTC).replace(tzinfo=None)
    return {
        **{key: getattr(record, key) for key in kept},
        "reason": record.reason.replace("\0", "\ufffd").encode("utf-8", "replace").decode(),  # as databases want text
        "assignment": assignment,
        "notes": list(record.notes),
        "results": results,
        "at": now,
    }


def _cells_by_name(notebook: NotebookNode | None) -> dict[str, NotebookNode]:
    return {name: cell for cell in (notebook.cells if notebook is not None else []) if (name := name_of(cell))}


def _is_untouched(cell: NotebookNode) -> bool:
    """Whether an answer's cell is as it was handed out."""
    if is_task(cell) or not is_solution(cell):
        return False
    return cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)


def _score(grade: api.Grade) -> float:
    """A grade's score as nbgrader counts it: what a person gave, else what was found, and extra credit."""
    chosen = grade.manual_score if grade.manual_score is not None else grade.auto_score
    return (chosen or 0.0) + (grade.extra_credit or 0.0)
