"""Record a graded submission: its autograded copy first, then everything in the gradebook in one transaction.

One process writes. Whenever it is killed, the gradebook holds whole submissions only, and what is not in it is graded
again.
"""

import os
import secrets
import stat
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
import sqlalchemy as sa
from nbformat import NotebookNode
from nbgrader import api
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum, is_solution, is_task
from sqlalchemy.exc import DBAPIError, OperationalError
from traitlets.config import Config

from tl_course.errors import CourseError
from tl_course.exercises.engine.exercise import chosen_seed
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
        self.gradebook = open_gradebook(coursedir, _TABLES)
        penalties = AssignLatePenalties(config=config)
        penalties.init_plugin()
        self._plugin: LateSubmissionPlugin = penalties.plugin_inst

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
        self._write_copy(graded)
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

    def _write_copy(self, graded: Graded) -> None:
        folder = self.folder(graded.record.student)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            f"{name}.ipynb": _text(notebook) for name, notebook in graded.notebooks.items() if notebook is not None
        }
        if graded.timestamp is not None:
            texts["timestamp.txt"] = f"{graded.timestamp.isoformat(sep=' ')} UTC".encode()
        wanted = {**graded.files, **texts}
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                _try_rmdir(path)
            elif path.relative_to(folder).as_posix() not in wanted:
                path.unlink()
        for relative, data in wanted.items():
            _replace(folder / relative, data)
        _sync(folder)

    def _write_grades(self, graded: Graded) -> tuple[float, float]:
        session = self.gradebook.db
        with session.no_autoflush:
            submission = self._submission(graded)
        scores = {result.test: result for result in graded.record.results}
        for notebook in submission.notebooks:
            cells = _cells_by_name(graded.notebooks.get(notebook.notebook.name))
            for grade in notebook.grades:
                self._set_grade(grade, scores, cells, graded)
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

    def _set_grade(
        self, grade: api.Grade, scores: Mapping[str, Result], cells: Mapping[str, NotebookNode], graded: Graded
    ) -> None:
        result, cell = scores.get(grade.cell.name), cells.get(grade.cell.name)
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


def seed_for(secret: str, exercise: str, attempt: int) -> int:
    """The seed of an exercise's inputs: the same for the whole class, another one once a submission was changed."""
    drawn = int.from_bytes(sha256(f"{secret}/{exercise}/{attempt}".encode()).digest()[:4], "big") >> 1
    return drawn if (chosen := chosen_seed()) is None else chosen


def attempt(before: Record | None, fingerprint: str) -> int:
    """How many changed submissions there were before this one."""
    return 0 if before is None else before.attempt + (before.fingerprint != fingerprint)


def _record(row: Mapping[str, Any]) -> Record:
    results = tuple(Result(**{**result, "noticed": tuple(result["noticed"])}) for result in row["results"])
    kept = ("student", "fingerprint", "version", "attempt", "state", "reason")
    return Record(**{key: row[key] for key in kept}, notes=tuple(row["notes"]), results=results)


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


def _text(notebook: NotebookNode) -> bytes:
    return (nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n").encode("utf-8", "replace")


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and for good.

    Its draft has a short name of its own: the file's may be as long as names can be. A draft that stays behind where
    this process is killed is removed with whatever else is not wanted, when the submission is recorded again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{secrets.token_hex(8)}.new")
    with open(draft, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    os.replace(draft, path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_rmdir(path: Path) -> None:
    if not any(path.iterdir()):
        path.rmdir()
