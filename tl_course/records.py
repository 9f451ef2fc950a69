"""What a learner has done: attempts with the answer's text, hints taken, best results. One SQLite file, kept locally.

The file is ``progress.db`` in `home`. Writers wait for each other (SQLite's write-ahead log), each write is one
transaction, and an attempt is never changed or removed once written.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_course.errors import CourseError
from tl_course.i18n import _

if TYPE_CHECKING:
    import sqlalchemy

    from tl_course.exercises.engine.verdict import Verdict

LOCK_WAIT = 10.0  # seconds a writer waits for another


class ProgressError(CourseError):
    """The progress file cannot be read or written; the message says which file and what to do."""


def home() -> Path:
    """Where a learner's own records are kept: ``TL_COURSE_HOME``, or the user's data folder."""
    import platformdirs

    chosen = os.environ.get("TL_COURSE_HOME")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("tl_course", appauthor=False))


def record_attempt(verdict: "Verdict", source: str) -> None:
    """Write down one attempt with its answer.

    Raises:
        ProgressError: the progress file cannot be written.
    """
    _insert(
        "attempts",
        exercise=verdict.exercise,
        framework=verdict.framework,
        at=time.time(),
        score=verdict.score,
        seconds=verdict.seconds,
        diagnosis=verdict.diagnosis,
        source=source.encode(errors="replace").decode(),  # SQLite takes no lone surrogates
    )


def record_hint(exercise_id: str, number: int) -> None:
    """Write down that a hint (1, 2 or 3) was shown."""
    _insert("hints", exercise=exercise_id, at=time.time(), number=number)


def hints_taken(exercise_id: str) -> int:
    """The highest hint shown so far, 0 for none."""
    rows = _select("SELECT max(number) AS number FROM hints WHERE exercise = :exercise", exercise=exercise_id)
    return rows[0]["number"] or 0


def attempts(exercise_id: str) -> list[dict[str, Any]]:
    """Every attempt at an exercise, oldest first: exercise, framework, at, score, seconds, diagnosis, source."""
    return _select("SELECT * FROM attempts WHERE exercise = :exercise ORDER BY id", exercise=exercise_id)


def summary() -> list[dict[str, Any]]:
    """One row for each exercise of the bank: id, lesson, title, attempts, hints, best (share of the points), last
    (seconds since 1970, or None)."""
    from tl_course import exercises

    counted = _select(
        "SELECT exercise, count(*) AS attempts, max(score) AS best, max(at) AS last FROM attempts GROUP BY exercise"
    )
    hinted = {
        row["exercise"]: row["hints"]
        for row in _select("SELECT exercise, max(number) AS hints FROM hints GROUP BY exercise")
    }
    tried = {row["exercise"]: row for row in counted}
    rows = []
    for exercise in exercises.all_exercises():
        row = tried.get(exercise.id, {"attempts": 0, "best": 0.0, "last": None})
        known = {"id": exercise.id, "lesson": exercise.lesson, "title": exercise.title, "points": exercise.points}
        done = {
            "attempts": row["attempts"],
            "hints": hinted.get(exercise.id, 0),
            "best": row["best"],
            "last": row["last"],
        }
        rows.append({**known, **done})
    return rows


@cache
def _engine(path: str) -> "sqlalchemy.Engine":
    import sqlalchemy as sa
    import sqlalchemy.event

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": LOCK_WAIT})

    @sqlalchemy.event.listens_for(engine, "connect")
    def settings(connection, record) -> None:
        connection.execute("PRAGMA journal_mode=WAL")

    with engine.begin() as connection:  # each statement lets another process be first
        for table in _tables().sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
    return engine


@cache
def _tables() -> "sqlalchemy.MetaData":
    import sqlalchemy as sa

    tables = sa.MetaData()
    sa.Table(
        "attempts",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("exercise", sa.String, nullable=False, index=True),
        sa.Column("framework", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("diagnosis", sa.String),
        sa.Column("source", sa.String, nullable=False),
    )
    sa.Table(
        "hints",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("exercise", sa.String, nullable=False, index=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
    )
    return tables


@contextmanager
def _connection() -> "Iterator[sqlalchemy.Connection]":
    from sqlalchemy.exc import DBAPIError

    path = home() / "progress.db"
    try:
        with _engine(str(path)).begin() as connection:
            yield connection
    except (DBAPIError, OSError) as error:
        reason = getattr(error, "orig", error)
        text = _("progress is not kept: {path}: {reason}; make the folder writable, or set TL_COURSE_HOME to another")
        raise ProgressError(text.format(path=path, reason=reason)) from error


def _insert(table: str, **values: Any) -> None:
    with _connection() as connection:
        connection.execute(_tables().tables[table].insert().values(**values))


def _select(query: str, **values: Any) -> list[dict[str, Any]]:
    import sqlalchemy as sa

    with _connection() as connection:
        return [dict(row) for row in connection.execute(sa.text(query), values).mappings()]
