"""The learner's progress: one SQLite file, ``progress.db`` in `home`, kept locally.

Writers wait for each other (SQLite's write-ahead log), each write is one transaction, and rows are never changed or
removed once written. Tables and columns are only ever added, so that a file outlives every upgrade of the course.
"""

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tl_course.errors import BadInput, CourseError
from tl_course.i18n import _
from tl_course.whole_file import draft

LOCK_WAIT = 10.0  # seconds a writer waits for another
FORMAT = "tl_course progress"
TEXT, NUMBER, WHOLE = "VARCHAR NOT NULL", "FLOAT NOT NULL", "INTEGER NOT NULL"
TABLES = {  # the columns beside id; the first one is what rows are looked up by
    "attempts": {
        "exercise": TEXT,
        "framework": TEXT,
        "at": NUMBER,
        "score": NUMBER,
        "seconds": NUMBER,
        "diagnosis": "VARCHAR",
        "source": TEXT,
    },
    "hints": {"exercise": TEXT, "at": NUMBER, "number": WHOLE},
    "reviews": {"card": TEXT, "at": NUMBER, "rating": WHOLE, "seconds": NUMBER, "answer": TEXT, "language": TEXT},
    "mocks": {"mock": TEXT, "at": NUMBER, "level": TEXT, "seed": WHOLE, "plan": TEXT},
    "mock_answers": {"mock": TEXT, "place": WHOLE, "at": NUMBER, "seconds": NUMBER, "answer": TEXT},
    "mock_scores": {"mock": TEXT, "place": WHOLE, "at": NUMBER, "score": "FLOAT", "missed": TEXT},
    "clinic": {
        "listing": TEXT,
        "at": NUMBER,
        "prediction": WHOLE,
        "named": TEXT,
        "found": WHOLE,
        "false_alarms": WHOLE,
        "faults": WHOLE,
    },
    "kept": {"exercise": TEXT, "framework": TEXT, "at": NUMBER, "source": TEXT},  # answers put aside by a reset
    "worked": {"exercise": TEXT, "at": NUMBER, "seconds": NUMBER},  # time at an answer's cell
    "quiz_answers": {"question": TEXT, "at": NUMBER, "answer": TEXT, "correct": WHOLE},
}
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_SCHEMA = zlib.crc32(repr(TABLES).encode()) >> 1  # tells whether a file has them all; SQLite keeps 31 bits


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
        _insert(connection, table, values)


def select(query: str, **values: Any) -> list[dict[str, Any]]:
    """The rows that an SQL query finds.

    Raises:
        ProgressError: the file cannot be read.
    """
    with _connection() as connection:
        return [dict(row) for row in connection.execute(query, values)]


def export_json(path: Path) -> int:
    """Write all of the progress into one JSON file, whole or not at all, and return the number of rows.

    Raises:
        BadInput: the file's name does not end in .json, or it cannot be written.
        ProgressError: the progress cannot be read.
    """
    tables = {name: _rows(name) for name in TABLES}
    content = {"format": FORMAT, "at": time.time(), "tables": tables}
    with draft(path, {".json"}) as file:
        file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
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
                _insert(connection, name, row)
    return sum(map(len, new.values()))


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})", dict(row))


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
    tables = {name: rows for name, rows in content["tables"].items() if name in TABLES}
    for name, rows in tables.items():
        needed = {column for column, kind in TABLES[name].items() if "NOT NULL" in kind}
        if not all(isinstance(row, dict) and needed <= row.keys() for row in rows):
            raise BadInput(expected, _("{path}: rows of {name} lack columns").format(path=path, name=name), remedy)
    return tables


def _rows(table: str) -> list[dict[str, Any]]:
    """The rows of a table, oldest first, without their numbers, which mean something in this file only."""
    rows = select(f"SELECT * FROM {table} ORDER BY id")
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def _missing(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the rows that the table does not have; columns that this version does not know are left out."""
    names = list(TABLES[table])
    known = {tuple(row[name] for name in names) for row in _rows(table)}
    kept = {tuple(row.get(name) for name in names): None for row in rows}  # an ordered set
    return [dict(zip(names, values, strict=True)) for values in kept if values not in known]


@contextmanager
def _connection() -> Iterator[sqlite3.Connection]:
    """The file, with every table and column in place; what is done with it is one transaction."""
    path = home() / "progress.db"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=LOCK_WAIT)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            if connection.execute("PRAGMA user_version").fetchone()[0] != _SCHEMA:
                _complete(connection)
            with connection:
                yield connection
    except (sqlite3.Error, OSError) as error:
        text = _("progress is not kept: {path}: {reason}; make the folder writable, or set TL_COURSE_HOME to another")
        if getattr(error, "sqlite_errorcode", None) in _DAMAGED:
            text = _(
                "progress is not kept: {path} is damaged: {reason}; move this file elsewhere, and a new one is begun, "
                "or set TL_COURSE_HOME to another folder; `tl-course practice import` takes in what you exported before"
            )
        raise ProgressError(text.format(path=path, reason=error)) from error


def _complete(connection: sqlite3.Connection) -> None:
    """Add the tables that are not there yet, and to those of an older course the columns that came later."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # another process waits here, and then finds everything in place
        for table, columns in TABLES.items():
            described = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, {described})")
            key = next(iter(columns))
            connection.execute(f"CREATE INDEX IF NOT EXISTS ix_{table}_{key} ON {table} ({key})")
            present = {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
            for name in columns.keys() - present:  # empty in older rows
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name].split()[0]}")
        connection.execute(f"PRAGMA user_version = {_SCHEMA}")
