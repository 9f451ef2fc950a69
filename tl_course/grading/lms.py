"""Grades as CSV for Canvas and Moodle: into a file that they exported, or into a new one.

Canvas (`GradebookExporter` and `GradebookImporter` of canvas-lms): the columns Student, ID, SIS User ID, SIS Login ID,
Section, then one column for each assignment, headed by its title and its id in parentheses. Below the header there may
be a row that says which assignments are posted by hand, then the row of points possible, then a row for each student.
A student is looked up by ID, then by the SIS columns, then by name. EX is an excused student, N/A one who has not got
the assignment; both are left alone.

Moodle (`grade_export_txt` and `gradeimport_csv_load_data`): a header, then a row for each student; the teacher says in
the form which column identifies the student and which one is the grade. One student who is not found ends the whole
import, and a row whose identifier is empty counts for the student above it, so that no such row is written here.

In both an empty cell can erase a grade. In a file that the LMS exported, the cell of a student who has no grade here
therefore stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.plugins import ExportPlugin
from traitlets import Bool, Unicode

from tl_course.errors import BadInput
from tl_course.grading import csv_table, lms_columns
from tl_course.grading.csv_table import Table, plain
from tl_course.grading.lms_columns import POINTS, Lms
from tl_course.grading.lms_grades import Grade, grades, number
from tl_course.i18n import _
from tl_course.whole_file import draft

_KEPT = {"EX", "N/A"}


@dataclass
class Export:
    """A file for the LMS, and what the teacher should know about it.

    Attributes:
        content: the file.
        written: students whose grade is in it.
        blank: students in it without a grade, each with the reason.
        not_in_file: students of the gradebook whom the LMS's file does not name, or not unmistakably.
        not_in_gradebook: rows of the LMS's file whom the gradebook does not know, or not unmistakably.
        notes: what else was noticed.
    """

    content: bytes = field(repr=False)
    written: list[str] = field(default_factory=list)
    blank: dict[str, str] = field(default_factory=dict)
    not_in_file: list[str] = field(default_factory=list)
    not_in_gradebook: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the file itself."""
        return {name: value for name, value in asdict(self).items() if name != "content"}


def new_file(
    lms: Lms, columns: Mapping[str, tuple[Sequence[Grade], float]], by: str = "", feedback: bool = False
) -> Export:
    """A file of our own.

    Args:
        lms: for whom.
        columns: header of an assignment's column to its grades and points possible, all of the same students.
        by: Moodle: the one column that identifies students, "Email address", "Username" or "ID number"; where left
            away, by e-mail if all have one, otherwise by username.
        feedback: Moodle: with a column of comments behind each assignment's.
    """
    export, table = Export(b""), Table([], [])
    students = next(iter(columns.values()))[0]
    headers = [plain(name) for name in columns]
    if lms == "canvas":
        table.add(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *headers])
        table.add([f"    {POINTS}", "", "", "", "", *(number(points) for _grades, points in columns.values())])
    else:
        by = by or ("Email address" if all(student.email for student in students) else "Username")
        pairs = [(name, f"{name} (Feedback)") if feedback else (name,) for name in headers]
        table.add(["First name", "Last name", by, *(name for pair in pairs for name in pair)])
    for place, student in enumerate(students):
        who = _canvas_row(student) if lms == "canvas" else _moodle_row(student, by)
        if not who[-2 if lms == "canvas" else -1]:
            export.not_in_file.append(student.student)
            continue
        cells: list[str] = []
        for list_of, _points in columns.values():
            cells += [
                _score(list_of[place]),
                *([plain(list_of[place].comment)] if feedback and lms == "moodle" else []),
            ]
            _count(export, list_of[place])
        table.add([*map(plain, who), *cells])
        if any(plain(text) != text for text in who):
            note = _("{student}: a cell was changed, so that a spreadsheet does not take it for a formula")
            export.notes.append(note.format(student=student.student))
    export.content = table.to_bytes()
    return export


def _canvas_row(student: Grade) -> list[str]:
    """Canvas takes the digits that an ID begins with for the whole, so that only numbers are written there."""
    name = ", ".join(filter(None, (student.last_name, student.first_name))) or student.student
    return [name, student.lms_user_id if student.lms_user_id.isdecimal() else "", "", student.student, ""]


def _moodle_row(student: Grade, by: str) -> list[str]:
    held = {"Email address": student.email, "Username": student.student, "ID number": student.lms_user_id}
    if by not in held:
        raise BadInput(_("a column out of {names}").format(names=", ".join(held)), repr(by), _("name one of these"))
    return [student.first_name, student.last_name, held[by]]


def fill(
    lms: Lms,
    content: bytes,
    assignment: str,
    found: tuple[Sequence[Grade], float],
    column: str = "",
    by: str = "",
    feedback: bool = False,
) -> Export:
    """A file that the LMS exported, with the grades in one column of it and everything else as it was.

    Args:
        lms: whose file it is.
        content: the file.
        assignment: the name by which the column is found.
        found: see `grades`.
        column: the header of the column instead, whole or without what stands in parentheses.
        by: the header of the column that holds the students' ids, e-mail addresses or LMS ids.
        feedback: Moodle: comments too, in the column of the same item that ends in "(Feedback)".

    Raises:
        BadInput: the file cannot be read, has no such columns, several, or a read-only one.
    """
    table = csv_table.read(content)
    scores, possible = found
    header = [cell.value.strip() for cell in table.rows[0]]
    target = lms_columns.column(header, column or assignment)
    comments = lms_columns.feedback_column(header, target) if feedback and lms == "moodle" else None
    first = lms_columns.first_student(table, target) if lms == "canvas" else 1
    rows, left, nobody = lms_columns.match(lms, table, first, scores, by)
    export = Export(b"", not_in_file=left, not_in_gradebook=nobody)
    theirs = lms_columns.points(table, first, target)
    if theirs is not None and abs(theirs - possible) > 1e-6:
        note = _("{theirs:g} points are possible in the LMS, {ours:g} here; points were not rescaled")
        export.notes.append(note.format(theirs=theirs, ours=possible))
    for row, grade in rows.items():
        kept = table.cell(row, target).strip()
        if kept in _KEPT and lms == "canvas":
            export.blank[grade.student] = _("{value} in the LMS, which was left").format(value=kept)
            continue
        _count(export, grade)
        if grade.score is not None:
            table.put(row, target, number(grade.score))
            if comments is not None and grade.comment:
                table.put(row, comments, plain(grade.comment))
    export.content = table.to_bytes()
    return export


def _count(export: Export, grade: Grade) -> None:
    if grade.score is None:
        export.blank[grade.student] = grade.reason
    elif grade.student not in export.written:
        export.written.append(grade.student)


def _score(grade: Grade) -> str:
    return "" if grade.score is None else number(grade.score)


def save(path: Path, export: Export) -> None:
    """Write the file, whole or not at all.

    Raises:
        BadInput: it does not end in .csv, or cannot be written.
    """
    with draft(path, (".csv",)) as file:
        file.write_bytes(export.content)


class _LmsExport(ExportPlugin):
    """What both exporters share."""

    lms: Lms
    into = Unicode("", help="A CSV file that the LMS exported; it is read, and filled into the file of --to.")
    into.tag(config=True)
    column = Unicode("", help="Header of the assignment's column, where it is not the assignment's name.")
    column.tag(config=True)
    by = Unicode("", help="Header of the column that identifies students, where it is not found by itself.")
    by.tag(config=True)
    missing_as_zero = Bool(False, help="Write 0 for what was not handed in.").tag(config=True)
    feedback = Bool(False, help="Moodle: write the graders' comments too.").tag(config=True)

    def export(self, gradebook: Gradebook) -> None:
        """Write the file that ``to`` names, or canvas.csv or moodle.csv."""
        names = [str(name) for name in self.assignment] or [item.name for item in gradebook.assignments]
        found = {name: grades(gradebook, name, missing_as_zero=self.missing_as_zero) for name in names}
        if self.student:
            wanted = {str(name) for name in self.student}
            found = {
                name: ([grade for grade in scores if grade.student in wanted], possible)
                for name, (scores, possible) in found.items()
            }
        done = self._filled(found) if self.into else new_file(self.lms, found, self.by, self.feedback)
        path = Path(self.to or f"{self.lms}.csv")
        save(path, done)
        self.log.info("%s: %d students", path, len(done.written))
        for line in describe(done):
            self.log.warning(line)

    def _filled(self, found: Mapping[str, tuple[list[Grade], float]]) -> Export:
        if self.column and len(found) > 1:
            raise BadInput(_("one assignment for one column"), ", ".join(found), _("name one with --assignment"))
        done = Export(read_file(Path(self.into)))
        for name, scores in found.items():
            last, done = done, fill(self.lms, done.content, name, scores, self.column, self.by, self.feedback)
            done.notes = [*last.notes, *done.notes]
        return done


class CanvasExport(_LmsExport):
    """Grades for Canvas: `nbgrader export --exporter tl_course.grading.lms.CanvasExport --to grades.csv`."""

    lms = "canvas"


class MoodleExport(_LmsExport):
    """Grades for Moodle: `nbgrader export --exporter tl_course.grading.lms.MoodleExport --to grades.csv`."""

    lms = "moodle"


def read_file(path: Path) -> bytes:
    """A file's content.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        got = f"{path}: {error.strerror or error}"
        raise BadInput(_("a CSV file that the LMS exported"), got, _("check the path")) from error


def describe(export: Export) -> list[str]:
    """What the teacher should know, one line each."""
    return [
        *(_("{student}: no grade: {reason}").format(student=name, reason=why) for name, why in export.blank.items()),
        *(_("{student}: not in the LMS's file").format(student=name) for name in export.not_in_file),
        *(_("not in the gradebook: {row}").format(row=row) for row in export.not_in_gradebook),
        *export.notes,
    ]
