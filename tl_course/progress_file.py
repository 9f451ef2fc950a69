"""The learner's progress: one SQLite file, ``progress.db`` in `home`, kept locally.

Writers wait for each other (SQLite's write-ahead log), each write is one transaction, and rows are never changed or
removed once written. Tables and columns are only ever added, so that a file outlives every upgrade of the course.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_course.errors import BadInput, CourseError
from tl_course.i18n import _

if TYPE_CHECKING:
    import sqlalchemy

LOCK_WAIT = 10.0  # seconds a writer waits for another
FORMAT = "tl_course progress"


class ProgressError(CourseError):
    """The progress file cannot be read or written; the message says which file and what to do."""


def home() -> Path:
    """Where a learner's own records are kept: ``TL_COURSE_HOME``, or the user's data folder."""
    import platformdirs

    chosen = os.environ.get("TL_COURSE_HOME")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("tl_course", appauthor=False))


def insert(table: str, **values: Any) -> None:
    """Write down one row.

    Raises:
        ProgressError: the file cannot be written.
    """
    with _connection() as connection:
        connection.execute(_metadata().tables[table].insert().values(**values))


def select(query: str, **values: Any) -> list[dict[str, Any]]:
    """The rows that an SQL query finds.

    Raises:
        ProgressError: the file cannot be read.
    """
    import sqlalchemy as sa

    with _connection() as connection:
        return [dict(row) for row in connection.execute(sa.text(query), values).mappings()]


def export_json(path: Path) -> int:
    """Write all of the progress into one JSON file, whole or not at all, and return the number of rows.

    Raises:
        BadInput: the file cannot be written.
        ProgressError: the progress cannot be read.
    """
    tables = {name: _rows(name) for name in _metadata().tables}
    content = {"format": FORMAT, "at": time.time(), "tables": tables}
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise BadInput(_("a file that can be written"), f"{path}: {error.strerror}", _("name another")) from error
    return sum(map(len, tables.values()))


def import_json(path: Path) -> int:
    """Add the rows of a file of `export_json` that are not here yet, all or none, and return their number.

    Raises:
        BadInput: not such a file.
        ProgressError: the progress cannot be written.
    """
    tables = _read_export(path)
    new = {name: _missing(name, rows) for name, rows in tables.items()}
    with _connection() as connection:
        for name, rows in new.items():
            for row in rows:
                connection.execute(_metadata().tables[name].insert().values(**row))
    return sum(map(len, new.values()))


def _read_export(path: Path) -> Mapping[str, list[dict[str, Any]]]:
    """The tables of an exported file, their columns checked."""
    expected, remedy = _("progress that `tl-course practice export --progress` wrote"), _("name such a file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(expected, f"{path}: {error.strerror}", remedy) from error
    except ValueError as error:
        raise BadInput(expected, f"{path}: {error}", remedy) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("tables"), dict):
        raise BadInput(expected, _("{path}, which is something else").format(path=path), remedy)
    tables = {name: rows for name, rows in content["tables"].items() if name in _metadata().tables}
    for name, rows in tables.items():
        needed = {column.name for column in _metadata().tables[name].columns if not column.nullable} - {"id"}
        if not all(isinstance(row, dict) and needed <= row.keys() for row in rows):
            raise BadInput(expected, _("{path}: rows of {name} lack columns").format(path=path, name=name), remedy)
    return tables


def _rows(table: str) -> list[dict[str, Any]]:
    """The rows of a table, oldest first, without their numbers, which mean something in this file only."""
    rows = select(f"SELECT * FROM {table} ORDER BY id")
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def _missing(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the rows that the table does not have; columns that this version does not know are left out."""
    names = [column.name for column in _metadata().tables[table].columns if column.name != "id"]
    known = {tuple(row[name] for name in names) for row in _rows(table)}
    kept = {tuple(row.get(name) for name in names): None for row in rows}  # an ordered set
    return [dict(zip(names, values, strict=True)) for values in kept if values not in known]


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
        for table in _metadata().sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
    _add_columns(engine)
    return engine


def _add_columns(engine: "sqlalchemy.Engine") -> None:
    """Give tables of an older course the columns that came later; these are empty in older rows."""
    import sqlalchemy as sa
    from sqlalchemy.exc import OperationalError

    for table in _metadata().sorted_tables:
        present = {column["name"] for column in sa.inspect(engine).get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                kind = column.type.compile(engine.dialect)
                with suppress(OperationalError), engine.begin() as connection:  # another process was first
                    connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


@cache
def _metadata() -> "sqlalchemy.MetaData":
    import sqlalchemy as sa
    from sqlalchemy import Column, Float, Integer, String

    def table(name: str, *columns: Column) -> None:
        sa.Table(name, tables, Column("id", Integer, primary_key=True), *columns)

    def key(name: str) -> Column:
        return Column(name, String, nullable=False, index=True)

    def needed(name: str, kind: Any) -> Column:
        return Column(name, kind, nullable=False)

    tables = sa.MetaData()
    at, seconds, place = (partial(needed, *a) for a in (("at", Float), ("seconds", Float), ("place", Integer)))
    diagnosis = Column("diagnosis", String)
    share = needed("score", Float)
    table(
        "attempts",
        key("exercise"),
        needed("framework", String),
        at(),
        share,
        seconds(),
        diagnosis,
        needed("source", String),
    )
    table("hints", key("exercise"), at(), needed("number", Integer))
    answered = (needed("rating", Integer), seconds(), needed("answer", String), needed("language", String))
    table("reviews", key("card"), at(), *answered)
    table("mocks", key("mock"), at(), needed("level", String), needed("seed", Integer), needed("plan", String))
    table("mock_answers", key("mock"), place(), at(), seconds(), needed("answer", String))
    table("mock_scores", key("mock"), place(), at(), Column("score", Float), needed("missed", String))
    counts = (needed(name, Integer) for name in ("prediction", "found", "false_alarms", "faults"))
    table("clinic", key("listing"), at(), needed("named", String), *counts)
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
