"""Where grades go in a file that an LMS exported: the column of the assignment, and the row of each student."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from tl_course.errors import BadInput
from tl_course.grading.csv_table import Table
from tl_course.grading.lms_grades import Grade
from tl_course.i18n import _

Lms = Literal["canvas", "moodle"]
POINTS = "Points Possible"
# Column of the LMS's file, and what of ours it may hold.
_KEYS: dict[str, tuple[tuple[str, str], ...]] = {
    "canvas": (
        ("ID", "lms_user_id"),
        ("SIS Login ID", "student"),
        ("SIS Login ID", "email"),
        ("SIS User ID", "student"),
        ("Integration ID", "student"),
    ),
    "moodle": (
        ("Email address", "email"),
        ("Email address", "student"),
        ("Username", "student"),
        ("ID number", "student"),
        ("ID number", "lms_user_id"),
    ),
}
_BEHIND = re.compile(r"\s*\([^()]*\)$")
_BEFORE = re.compile(r"^[^:：]*[:：]\s*")
_OTHER = ("(Feedback)", "(Percentage)", "(Letter)")  # columns of a Moodle item that hold no points
_BY_HAND = re.compile(r"\s*(Muted|Manual Posting.*)?\s*", re.IGNORECASE)


def column(header: Sequence[str], name: str) -> int:
    """Number of the assignment's column.

    A header counts as the assignment's when it is the name, with or without what an LMS puts around it: an id or the
    kind of grade in parentheses behind it, the kind of activity and a colon before it.

    Raises:
        BadInput: no column is, or several are.
    """
    wanted = name.strip().casefold()
    exact = [place for place, title in enumerate(header) if title.casefold() == wanted]
    loose = [place for place, title in enumerate(header) if wanted in _names(title) and not title.endswith(_OTHER)]
    real = [place for place in loose if header[place].endswith("(Real)")]
    found = exact or (real if len(real) == 1 else loose)
    if len(found) != 1:
        names = ", ".join(repr(header[place]) for place in found) or ", ".join(filter(None, header))
        got = _("{count} in this file: {names}").format(count=len(found), names=names)
        remedy = _("make the column in the LMS and export it again, or name one with --column")
        raise BadInput(_("one column for {name}").format(name=repr(name)), got, remedy)
    return found[0]


def feedback_column(header: Sequence[str], target: int) -> int:
    """Number of the column that holds the comments on a Moodle item.

    Raises:
        BadInput: there is none.
    """
    wanted = f"{_BEHIND.sub('', header[target])} (Feedback)"
    if wanted not in header:
        raise BadInput(_("a column {name}").format(name=repr(wanted)), _("none"), _("export it with feedback included"))
    return list(header).index(wanted)


def first_student(table: Table, target: int) -> int:
    """Number of the first row of a Canvas file that is a student's.

    Raises:
        BadInput: Canvas lets nobody write into the column.
    """
    row = 1
    while row < len(table.rows):
        cells = [cell.value for cell in table.rows[row]]
        if POINTS in cells[0]:
            if re.search(r"read\s+only", table.cell(row, target)):
                got = _("{name}, which is read-only").format(name=table.cell(0, target))
                raise BadInput(_("a column that Canvas lets you fill"), got, _("name another one with --column"))
        elif not all(_BY_HAND.fullmatch(cell) for cell in cells):
            break
        row += 1
    return row


def points(table: Table, first: int, target: int) -> float | None:
    """Points possible by the LMS's file, None where it does not say."""
    for row in range(1, first):
        if POINTS in table.cell(row, 0):
            try:
                return float(table.cell(row, target).replace(",", "."))
            except ValueError:
                return None
    return None


def match(
    lms: Lms, table: Table, first: int, grades: Sequence[Grade], by: str = ""
) -> tuple[dict[int, Grade], list[str], list[str]]:
    """Who stands in which row, who of the gradebook stands in none, and which rows are nobody's.

    A row is a student's when a cell that identifies people holds the student's id, e-mail address or LMS id, and no
    cell of it holds another student's. Names are not compared: two people may share one.

    Raises:
        BadInput: the file has no column that identifies people.
    """
    header = [cell.value.strip() for cell in table.rows[0]]
    keys = [(by, name) for name in ("student", "email", "lms_user_id")] if by else _KEYS[lms]
    places = [(header.index(title), name) for title, name in keys if title in header]
    if not places:
        expected = _("a column out of {names}").format(names=", ".join(dict.fromkeys(title for title, _name in keys)))
        remedy = _("export the students' ids as well, or name the column with --by")
        raise BadInput(expected, ", ".join(header), remedy)
    holders: dict[tuple[str, str], set[int]] = {}
    for number, grade in enumerate(grades):
        for _place, name in places:
            if value := getattr(grade, name).strip().casefold():
                holders.setdefault((name, value), set()).add(number)
    rows = [row for row in range(first, len(table.rows)) if any(cell.value.strip() for cell in table.rows[row])]
    named = {
        row: {n for at, name in places for n in holders.get((name, table.cell(row, at).strip().casefold()), ())}
        for row in rows
    }
    times = Counter(number for numbers in named.values() for number in numbers)
    sure = {row: min(numbers) for row, numbers in named.items() if len(numbers) == 1 and times[min(numbers)] == 1}
    left = [grade.student for number, grade in enumerate(grades) if number not in sure.values()]
    return (
        {row: grades[number] for row, number in sure.items()},
        left,
        [_row(table, row) for row in rows if row not in sure],
    )


def _row(table: Table, row: int) -> str:
    """A row as the teacher finds it again: its number and what its first cells say."""
    said = ", ".join(filter(None, (cell.value.strip() for cell in table.rows[row][:4])))
    return _("row {row}: {said}").format(row=row + 1, said=said)


def _names(title: str) -> set[str]:
    """A column's title, without the parentheses behind it, and without what a colon ends before it."""
    bare = _BEHIND.sub("", title)
    return {name.strip().casefold() for name in (title, bare, _BEFORE.sub("", bare), _BEFORE.sub("", title))}
