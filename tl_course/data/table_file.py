"""A table in a file as plain rows of text: which delimiter and quoting it has is found out.

Comma, tab, semicolon or bar; quoted as RFC 4180 says, with backslashes, or not at all; Excel workbooks and Parquet
files where pandas can read them.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import psutil

from tl_course.data.text_file import read_text
from tl_course.errors import BadInput
from tl_course.i18n import _

DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}

QUOTING: tuple[dict[str, Any], ...] = (
    {"strict": True},  # RFC 4180; strict, so that a stray quotation mark cannot swallow the lines after it
    {"doublequote": False, "escapechar": "\\"},  # only where a quotation mark follows a backslash
    {"quoting": csv.QUOTE_NONE},
    {},  # as the csv module repairs it
)
"""Ways to quote, in the order they are tried."""

MAX_BAD_SHARE = 0.05
"""Of the rows, how many may have too many cells before the file is refused."""

SHOWN = 12
"""Column names, lines and labels that a message lists."""

MEMORY_SHARE = 1 / 10
"""Of the free memory, how large a file may be: as rows it takes several times as much."""

OTHER_FILES = {
    b"PK\x03\x04": ("excel", _("an Excel workbook"), "openpyxl"),
    b"\xd0\xcf\x11\xe0": ("excel", _("an old Excel workbook"), "xlrd"),
    b"PAR1": ("parquet", _("a Parquet file"), "pyarrow"),
}
"""First bytes -> pandas' reader, what the file is, the package that the reader needs."""


@dataclass(frozen=True)
class TableFile:
    """A table as it stands in its file.

    Attributes:
        path: of the file.
        columns: names in the first row, in order.
        rows: cells as text, every row as long as `columns`; empty rows are left out.
        notes: how it was read, and what was left out.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    notes: tuple[str, ...]

    def column(self, name: str) -> list[str]:
        """All cells of a column. Raises BadInput, which lists the columns, where none has this name."""
        if self.columns.count(name) == 1:
            position = self.columns.index(name)
            return [row[position] for row in self.rows]
        raise _no_column(name, self)


def read_table_file(
    path: str | Path, wanted: Sequence[str] = (), encoding: str | None = None, delimiter: str | None = None
) -> TableFile:
    """Read a table.

    Args:
        path: CSV, TSV or the like, in any encoding; an Excel workbook (its first sheet) or a Parquet file.
        wanted: names that columns must have; they help to find the delimiter.
        encoding, delimiter: None finds out.

    Raises:
        BadInput: the file cannot be used: see `text_file.read_text`; no table, a wanted column is missing, too many
            rows with more cells than there are columns.
    """
    file = Path(path).expanduser()
    _check_size(file)
    if (kind := _other_kind(file)) is not None:
        table = _by_pandas(file, *kind)
    else:
        table = _parsed(file, wanted, encoding, delimiter)
    for name in wanted:
        if table.columns.count(name) != 1:
            raise _no_column(name, table)
    if not table.rows:
        raise BadInput(_("a table with rows below its header"), _("none in {file}").format(file=file.name), _check())
    return table


def _check_size(file: Path) -> None:
    if file.is_dir():
        raise BadInput(
            _("a table in a file"), _("a folder: {path}").format(path=file), _("pass the path of the file in it")
        )
    size, room = file.stat().st_size if file.exists() else 0, MEMORY_SHARE * psutil.virtual_memory().available
    if size > room:
        raise BadInput(
            _("a table of at most {most} MiB, for the memory that is free").format(most=int(room) >> 20),
            _("{file} of {size} MiB").format(file=file.name, size=size >> 20),
            _("cut it into smaller files"),
        )


def _other_kind(file: Path) -> tuple[str, str, str] | None:
    try:
        with file.open("rb") as stream:
            start = stream.read(4)
    except OSError:
        return None  # reading the text says what is wrong
    return next((kind for mark, kind in OTHER_FILES.items() if start == mark), None)


def _by_pandas(file: Path, reader: str, what: str, package: str) -> TableFile:
    import pandas

    expected = _("a table: CSV, TSV, an Excel workbook or a Parquet file")
    try:
        if reader == "excel":
            frame = pandas.read_excel(file, dtype=str, keep_default_na=False)
        else:
            frame = pandas.read_parquet(file)
    except ImportError as error:
        remedy = _("save it as CSV, or install {package} beside the course").format(package=package)
        got = _("{file}: {what}, which needs a package that is not here").format(file=file.name, what=what)
        raise BadInput(expected, got, remedy) from error
    except Exception as error:  # a damaged file can fail in any way
        got = _("{file}, which cannot be read ({reason})").format(file=file.name, reason=error)
        raise BadInput(expected, got, _("save it as CSV")) from error
    empty = frame.isna().to_numpy()
    cells = frame.astype(str).to_numpy(dtype=object)
    cells[empty] = ""
    rows = [row for row in cells.tolist() if any(cell.strip() for cell in row)]
    note = _("{file}: {what}, {count} rows").format(file=file.name, what=what, count=len(rows))
    return TableFile(file, tuple(str(name).strip() for name in frame.columns), rows, (note,))


def _parsed(file: Path, wanted: Sequence[str], encoding: str | None, delimiter: str | None) -> TableFile:
    content = read_text(file, encoding)
    text, first = content.text, content.text[:5]
    if first[:4] == "sep=" and first[4:] in DELIMITERS:  # Excel's own mark
        delimiter, text = delimiter or first[4:], text.partition("\n")[2]
    if text.lstrip().startswith(("{", "<")):
        raise BadInput(
            _("a table with a row of column names"),
            _("{file}, which looks like JSON or HTML").format(file=file.name),
            _("save it as CSV"),
        )
    best = min(_readings(text, wanted, delimiter), key=lambda reading: reading.rank)
    if not best.missing:
        best.refuse_bad_rows(file)
    name = _(DELIMITERS.get(best.delimiter, repr(best.delimiter)))
    note = _("{file}: {count} rows, {encoding}, delimiter {delimiter}")
    notes = [note.format(file=file.name, count=len(best.rows), encoding=content.encoding, delimiter=name)]
    if best.bad:
        note = _("{count} rows with more cells than columns were left out (line {lines}): put texts in quotation marks")
        notes.append(note.format(count=len(best.bad), lines=_some(best.bad)))
    return TableFile(file, best.columns, best.rows, (*notes, *content.notes))


@dataclass(frozen=True)
class _Reading:
    """What a delimiter and a way of quoting make of the text; `rank` is lowest for the most plausible."""

    delimiter: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    bad: list[int]
    short: int
    missing: int
    failed: bool
    order: int

    @property
    def rank(self) -> tuple[Any, ...]:
        uneven = len(self.bad) + self.short
        many = uneven > MAX_BAD_SHARE * (len(self.rows) + len(self.bad))
        return self.failed, self.missing, len(self.columns) < 2, many, min(self.order, 2), uneven, self._kept_marks

    @property
    def _kept_marks(self) -> int:
        """Cells that still stand in quotation marks, less those that only begin with one."""
        cells = [cell for row in self.rows[:1000] for cell in row if cell[:1] == '"']
        return sum(1 if len(cell) > 1 and cell[-1] == '"' else -1 for cell in cells)

    def refuse_bad_rows(self, file: Path) -> None:
        if len(self.bad) <= MAX_BAD_SHARE * (len(self.rows) + len(self.bad)):
            return
        raise BadInput(
            _("rows of {count} cells, as the first row has").format(count=len(self.columns)),
            _("{file} with more in {bad} of {total} rows, first in line {lines}").format(
                file=file.name, bad=len(self.bad), total=len(self.rows) + len(self.bad), lines=_some(self.bad)
            ),
            _("put texts that hold the delimiter in quotation marks"),
        )


def _readings(text: str, wanted: Sequence[str], delimiter: str | None) -> Iterator[_Reading]:
    """Every reading up to the first that leaves nothing to be desired."""
    for order, style in enumerate(QUOTING):
        if "escapechar" in style and '\\"' not in text:
            continue
        for mark in DELIMITERS if delimiter is None else (delimiter,):
            reading = _read_as(text, mark, style, wanted, order)
            yield reading
            if not any(reading.rank[:4]) and not reading.bad:
                return


def _read_as(text: str, delimiter: str, style: dict[str, Any], wanted: Sequence[str], order: int) -> _Reading:
    rows: list[list[str]] = []
    bad: list[int] = []
    short = 0
    columns: tuple[str, ...] = ()
    failed = False
    with _unlimited_cells():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **style)
        try:
            for row in reader:
                if not any(cell and not cell.isspace() for cell in row):
                    continue
                if not columns:
                    columns = tuple(cell.strip() for cell in row)
                elif len(row) > len(columns) and any(row[len(columns) :]):
                    bad.append(reader.line_num)
                else:
                    short += len(row) < len(columns)
                    rows.append((row + [""] * len(columns))[: len(columns)])
        except csv.Error:
            failed = True
    missing = sum(columns.count(name) != 1 for name in wanted)
    return _Reading(delimiter, columns, rows, bad, short, missing, failed, order)


@contextmanager
def _unlimited_cells() -> Iterator[None]:
    """The csv module takes cells of any length meanwhile."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _no_column(name: str, table: TableFile) -> BadInput:
    listed = ", ".join(repr(_short(column)) for column in table.columns[:SHOWN])
    more = _(" and {count} more").format(count=len(table.columns) - SHOWN) if len(table.columns) > SHOWN else ""
    known = {column.lower(): column for column in table.columns}
    close = get_close_matches(name.lower(), known, n=1)
    if name in table.columns:
        remedy = _("give the columns different names")
    elif close:
        remedy = _("did you mean {name!r}?").format(name=known[close[0]])
    else:
        remedy = _("name the column; if these are no names, put a row of names first")
    got = _("{file} with the columns {names}").format(file=table.path.name, names=listed + more)
    return BadInput(_("one column named {name!r}").format(name=name), got, remedy)


def _some(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines[:5])) + (" …" if len(lines) > 5 else "")


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _check() -> str:
    return _("check that this is the right file")
