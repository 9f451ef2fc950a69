"""A CSV file that keeps what it is not told to change: cells, quotes, separator, line ends and byte order mark."""

import re
from dataclasses import dataclass, field

from tl_course.errors import BadInput
from tl_course.i18n import _

BOM = b"\xef\xbb\xbf"
_SEPARATORS = (",", ";", "\t")
_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")  # the last four are full-width = + - @


@dataclass(frozen=True)
class Cell:
    """A cell as it stands in the file, and what it says."""

    raw: str
    value: str


@dataclass
class Table:
    """The rows of a file, each with the characters that end it."""

    rows: list[list[Cell]]
    ends: list[str]
    separator: str = ","
    bom: bool = False
    end: str = field(default="\r\n", repr=False)

    def cell(self, row: int, column: int) -> str:
        """What a cell says; nothing where the row is too short."""
        cells = self.rows[row]
        return cells[column].value if column < len(cells) else ""

    def put(self, row: int, column: int, value: str) -> None:
        """Change one cell."""
        cells = self.rows[row]
        cells.extend(Cell("", "") for _missing in range(column + 1 - len(cells)))
        cells[column] = Cell(_quoted(value), value)

    def add(self, values: list[str]) -> None:
        """Add a row."""
        self.rows.append([Cell(_quoted(value), value) for value in values])
        self.ends.append(self.end)

    def to_bytes(self) -> bytes:
        """The file."""
        lines = [self.separator.join(cell.raw for cell in row) for row in self.rows]
        text = "".join(line + end for line, end in zip(lines, self.ends, strict=True))
        return (BOM if self.bom else b"") + text.encode("utf-8")


def read(content: bytes) -> Table:
    """A file in UTF-8, with or without byte order mark; the separator is the one that gives the header most cells.

    Raises:
        BadInput: it is not UTF-8, has no header, or a quote is not closed.
    """
    try:
        text = content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        got = _("byte {place} that is not").format(place=error.start)
        raise BadInput(_("a CSV file in UTF-8"), got, _("export it again, or save it as CSV UTF-8")) from error
    tables = [_split(text, separator) for separator in _SEPARATORS]
    best = max(tables, key=lambda table: len(table.rows[0]) if table.rows else 0)
    if not best.rows:
        raise BadInput(_("a CSV file with a header"), _("an empty file"), _("export it again"))
    best.bom = content.startswith(BOM)
    return best


def plain(text: str) -> str:
    """Text of ours that no spreadsheet takes for a formula, and that stays in one cell and on one line."""
    line = " ".join(text.replace("\0", "").split())
    return f"'{line}" if text.startswith(_FORMULA) or line.startswith(_FORMULA) else line


def _quoted(value: str) -> str:
    """A value in quotes where any separator is in it: which one a spreadsheet takes depends on its language."""
    if any(sign in value for sign in (*_SEPARATORS, '"', "\n", "\r")):
        return '"' + value.replace('"', '""') + '"'
    return value


def _split(text: str, separator: str) -> Table:
    """The table under one separator."""
    sign = re.escape(separator)
    cell = re.compile(rf'("(?:[^"]|"")*"[^{sign}\r\n]*|(?!")[^{sign}\r\n]*)({sign}|\r\n|\r|\n|\Z)')
    rows: list[list[Cell]] = []
    ends: list[str] = []
    row: list[Cell] = []
    place = 0
    while place < len(text) or row:
        found = cell.match(text, place)
        if found is None:
            line = text.count("\n", 0, place) + 1
            got = _("a quote in line {line} that is never closed").format(line=line)
            raise BadInput(_("a CSV file"), got, _("export it again"))
        row.append(Cell(found[1], _value(found[1])))
        place = found.end()
        if found[2] != separator:
            rows.append(row)
            ends.append(found[2])
            row = []
    return Table(rows, ends, separator, end=next(filter(None, ends), "\r\n"))


def _value(raw: str) -> str:
    if not raw.startswith('"'):
        return raw
    inner, _quote, rest = raw[1:].rpartition('"')
    return inner.replace('""', '"') + rest
