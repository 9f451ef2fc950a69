"""Grades go to Canvas and Moodle and come back as the gradebook's numbers; what an LMS wrote stays as it wrote it."""

import csv
import io
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from sqlalchemy.exc import SAWarning

from tl_course.errors import BadInput
from tl_course.grading import csv_table
from tl_course.grading.csv_table import plain
from tl_course.grading.lms import describe, fill, new_file, save
from tl_course.grading.lms_grades import Grade, grades, number

# id, first name, last name, e-mail, LMS id, points of 10 (None: nothing handed in, "hand": waits to be graded by hand)
CLASS = [
    ("ann", "Ann", "O'Brien, Jr.", "ann@example.org", "101", 7.25),
    ("bob", 'Bob "Bobby"', "Smith", "Bob@example.org", "102", 0.0),
    ("chen", "伟", "陈", "chen@example.org", "103", 10.0),
    ("eve", "Eve", "=HYPERLINK(1)", "eve@example.org", "104", 3.333333),
    ("mia", "Mia", "Missing", "mia@example.org", "105", None),
    ("noa", "Noa", "Needs-Look", "noa@example.org", "106", "hand"),
]
SCORES = {"ann": 7.25, "bob": 0.0, "chen": 10.0, "eve": 2.333333}  # eve was late: 1 point less
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Notes,ps0 (11),ps1 (12),Final Score\r\n"
    ",,,,,,,Manual Posting,\r\n"
    "    Points Possible,,,,,,5,10.0,(read only)\r\n"
    '"O\'Brien, Jr., Ann",101,S-1,ann,"Mon, early",,"4,5",1.00,45\r\n'
    '"Smith, Bob ""Bobby""",102,S-2,bob,Mon,"two\nlines",,,\r\n'
    '陈伟,103,S-3,chen,"Mon",-,5,,\r\n'
    '"=""=HYPERLINK(1), Eve""",104,S-4,eve,Mon,,N/A,,\r\n'
    "Missing  Mia,105,S-5,mia,Mon,,,3.50,\r\n"
    "Needs-Look Noa,106,S-6,noa,Mon,,,4,\r\n"
    "Excused Student,107,S-7,xan,Mon,,,EX,\r\n"
    '"Student, Test",999,,,Mon,,,,\r\n'
)
MOODLE = (
    '"First name","Last name","ID number","Email address","Assignment: ps1 (Real)","Assignment: ps1 (Feedback)",'
    '"Course total (Real)","Last downloaded from this course"\n'
    'Ann,"O\'Brien, Jr.",,ann@example.org,-,,-,1760000000\n'
    '"Bob ""Bobby""",Smith,,bob@example.org,-,,-,1760000000\n'
    "伟,陈,,CHEN@example.org,-,,-,1760000000\n"
    "Eve,=HYPERLINK(1),,eve@example.org,-,,-,1760000000\n"
    "Mia,Missing,,mia@example.org,2.50,,-,1760000000\n"
    "Zoe,Unknown,,zoe@example.org,-,,-,1760000000\n"
)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A real gradebook of this class, and its folder."""
    root = tmp_path_factory.mktemp("course")
    (root / "nbgrader_config.py").write_text("c.CourseDirectory.course_id = 'c'", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way of adding submissions
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader runs alembic
        with Gradebook(f"sqlite:///{root}/gradebook.db", "c") as gradebook:
            gradebook.add_assignment("ps1")
            gradebook.add_notebook("p1", "ps1")
            gradebook.add_grade_cell("q1", "p1", "ps1", max_score=10, cell_type="code")
            gradebook.add_solution_cell("a1", "p1", "ps1")
            for name, first, last, email, lms, score in CLASS:
                gradebook.add_student(name, first_name=first, last_name=last, email=email, lms_user_id=lms)
                if score is not None:
                    submission = gradebook.add_submission("ps1", name)
                    grade = gradebook.find_grade("q1", "p1", "ps1", name)
                    grade.needs_manual_grade = score == "hand"
                    grade.auto_score = None if score == "hand" else score
                    if name == "eve":
                        submission.notebooks[0].late_submission_penalty = 1
                    if name == "ann":
                        gradebook.find_comment("a1", "p1", "ps1", name).manual_comment = '=2+3, "well done"\nAnn'
            gradebook.db.commit()
            yield gradebook, root


def rows_of(content: bytes) -> list[list[str]]:
    """The file as a CSV reader sees it."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def as_canvas_reads(content: bytes, column: str) -> dict[str, float | None]:
    """Login to score by Canvas's rules: the points' row and posting row are no students, EX and N/A are no scores."""
    header, *body = rows_of(content)
    assert header[0] == "Student" and header[1] == "ID" and "Section" in header
    read = {}
    for row in body:
        if "Points Possible" in row[0] or all(cell.strip() in ("", "Muted", "Manual Posting") for cell in row):
            continue
        text = row[header.index(column)].strip()
        read[row[header.index("SIS Login ID")]] = None if text in ("", "EX", "N/A") else float(text)
    return read


def as_moodle_reads(content: bytes, key: str, column: str) -> dict[str, float | None]:
    """Key to score by Moodle's rules: nobody without a key, and - or nothing is no grade."""
    header, *body = rows_of(content)
    assert all(row[header.index(key)] for row in body)
    texts = {row[header.index(key)]: row[header.index(column)].strip() for row in body}
    return {name: None if text in ("", "-") else float(text) for name, text in texts.items()}


def given(read: dict[str, float | None]) -> dict[str, float]:
    return {name: score for name, score in read.items() if score is not None}


def test_the_gradebook_says_who_has_what(book):
    found, points = grades(book[0], "ps1")
    assert points == 10
    assert {grade.student: grade.score for grade in found if grade.score is not None} == pytest.approx(SCORES)
    assert {grade.student: grade.reason for grade in found if grade.score is None} == {
        "mia": "nothing was handed in",
        "noa": "cells wait to be graded",
    }
    (zero,) = [grade for grade in grades(book[0], "ps1", missing_as_zero=True)[0] if grade.student == "mia"]
    assert zero.score == 0


def test_who_needs_a_look_has_no_grade_even_where_there_is_a_score(book):
    found, _points = grades(book[0], "ps1", {"ann": "the notebook was damaged", "new": "not graded yet"}, True)
    reasons = {grade.student: grade.reason for grade in found if grade.score is None}
    assert reasons == {"ann": "the notebook was damaged", "noa": "cells wait to be graded", "new": "not graded yet"}


def test_an_unknown_assignment_is_bad_input(book):
    with pytest.raises(BadInput, match="ps1"):
        grades(book[0], "ps9")


def test_canvas_new_file_and_back(book):
    export = new_file("canvas", {"ps1": grades(book[0], "ps1")})
    assert given(as_canvas_reads(export.content, "ps1")) == pytest.approx(SCORES, abs=1e-5)
    header, points, *body = rows_of(export.content)
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ps1"]
    assert points == ["    Points Possible", "", "", "", "", "10"]
    assert [row[0] for row in body] == [
        "O'Brien, Jr., Ann", 'Smith, Bob "Bobby"', "陈, 伟", "'=HYPERLINK(1), Eve", "Missing, Mia", "Needs-Look, Noa",
    ]  # fmt: skip
    assert export.written == list(SCORES) and set(export.blank) == {"mia", "noa"}
    assert any("eve" in note for note in export.notes)


def test_canvas_gets_no_id_that_it_would_cut_down_to_its_first_digits():
    grade = Grade("ann", "Ann", "A", "", "5f3e-uuid", 1.0)
    assert rows_of(new_file("canvas", {"ps1": ([grade], 1.0)}).content)[2][1] == ""


@pytest.mark.parametrize(("by", "place"), [("", 3), ("Email address", 3), ("Username", 0)])
def test_moodle_new_file_and_back(book, by, place):
    export = new_file("moodle", {"ps1": grades(book[0], "ps1")}, by)
    key = by or "Email address"
    who = {row[place]: SCORES[row[0]] for row in CLASS if row[0] in SCORES}
    assert given(as_moodle_reads(export.content, key, "ps1")) == pytest.approx(who, abs=1e-5)


def test_moodle_rows_without_a_key_are_left_out_as_they_would_count_for_the_student_above():
    found = [Grade("ann", "Ann", "A", "ann@x", "", 1.0), Grade("bob", "Bob", "B", "", "", 0.5)]
    export = new_file("moodle", {"ps1": (found, 1.0)}, "Email address")
    assert as_moodle_reads(export.content, "Email address", "ps1") == {"ann@x": 1.0}
    assert export.not_in_file == ["bob"] and export.written == ["ann"]
    assert as_moodle_reads(new_file("moodle", {"ps1": (found, 1.0)}).content, "Username", "ps1") == {
        "ann": 1,
        "bob": 0.5,
    }


def test_comments_go_to_moodle_as_text(book):
    found = grades(book[0], "ps1")
    header, ann, *_rest = rows_of(new_file("moodle", {"ps1": found}, feedback=True).content)
    assert header[-2:] == ["ps1", "ps1 (Feedback)"] and ann[-1] == '\'=2+3, "well done" Ann'
    filled = rows_of(fill("moodle", MOODLE.encode(), "ps1", found, feedback=True).content)
    assert filled[1][5] == '\'=2+3, "well done" Ann' and filled[2][5] == ""


def test_canvas_own_file_is_filled_and_nothing_else_changes(book):
    export = fill("canvas", CANVAS.encode(), "ps1", grades(book[0], "ps1"))
    changed = CANVAS.replace(',"4,5",1.00,45', ',"4,5",7.25,45').replace('"two\nlines",,,', '"two\nlines",,0,')
    changed = changed.replace("-,5,,\r", "-,5,10,\r").replace("N/A,,\r", "N/A,2.33333,\r")
    assert export.content.decode() == changed
    read = as_canvas_reads(export.content, "ps1 (12)")
    assert {name: read[name] for name in SCORES} == pytest.approx(SCORES, abs=1e-5)
    assert (read["mia"], read["noa"]) == (3.5, 4)  # an empty cell would erase these
    assert export.written == list(SCORES)
    assert export.blank == {"mia": "nothing was handed in", "noa": "cells wait to be graded"}
    assert export.not_in_gradebook == [
        "row 10: Excused Student, 107, S-7, xan", "row 11: Student, Test, 999",
    ]  # fmt: skip
    assert export.not_in_file == [] and export.notes == []


def test_moodle_own_file_is_filled_and_nothing_else_changes(book):
    export = fill("moodle", b"\xef\xbb\xbf" + MOODLE.encode(), "ps1", grades(book[0], "ps1"))
    assert export.content.startswith(b"\xef\xbb\xbf")
    old, new = rows_of(MOODLE.encode()), rows_of(export.content)
    assert [row[:4] + row[5:] for row in old] == [row[:4] + row[5:] for row in new]
    read = as_moodle_reads(export.content, "Email address", "Assignment: ps1 (Real)")
    emails = {"ann": "ann@example.org", "bob": "bob@example.org", "chen": "CHEN@example.org", "eve": "eve@example.org"}
    assert {name: read[emails[name]] for name in SCORES} == pytest.approx(SCORES, abs=1e-5)
    assert read["mia@example.org"] == 2.5 and read["zoe@example.org"] is None
    assert export.not_in_file == ["noa"] and export.not_in_gradebook == ["row 7: Zoe, Unknown, zoe@example.org"]


def test_filling_twice_changes_nothing_more(book):
    once = fill("canvas", CANVAS.encode(), "ps1", grades(book[0], "ps1")).content
    assert fill("canvas", once, "ps1", grades(book[0], "ps1")).content == once


def test_missing_may_be_zero_and_an_excused_student_stays_excused(book):
    found, points = grades(book[0], "ps1", missing_as_zero=True)
    found = [*found, replace(found[0], student="xan", email="", lms_user_id="107")]
    export = fill("canvas", CANVAS.encode(), "ps1", (found, points))
    read = as_canvas_reads(export.content, "ps1 (12)")
    assert read["mia"] == 0 and read["xan"] is None
    assert "EX" in export.blank["xan"] and any("xan" in line for line in describe(export))


def test_one_who_may_be_two_is_told_and_not_guessed():
    found = [Grade("ann", "A", "A", "", "101", 1.0), Grade("102", "B", "B", "", "102", 0.5)]
    crossed = "Student,ID,SIS Login ID,Section,ps1\nAnn,101,102,S\n"
    export = fill("canvas", crossed.encode(), "ps1", (found, 1.0))
    assert export.content.decode() == crossed and export.not_in_file == ["ann", "102"]
    twice = "Student,ID,SIS Login ID,Section,ps1\nAnn,101,,S\nAnn,,ann,S\n"
    export = fill("canvas", twice.encode(), "ps1", (found, 1.0))
    assert export.content.decode() == twice and len(export.not_in_gradebook) == 2


def test_other_points_possible_are_told(book):
    export = fill("canvas", CANVAS.replace("5,10.0,", "5,20,").encode(), "ps1", grades(book[0], "ps1"))
    assert "20 points" in export.notes[0]


@pytest.mark.parametrize(
    ("text", "column", "by", "message"),
    [
        ("Student,ID,Section,other\nA,1,S,\n", "", "", "other"),
        ("Student,ID,Section,ps1 (1),ps1 (2)\nA,1,S,,\n", "", "", r"2 in this file"),
        ("Student,Section,ps1\nA,S,\n", "", "", "--by"),
        ("Student,ID,Section,ps1\nA,1,S,\n", "", "Nobody", "Nobody"),
        ("Student,ID,Section,ps1\n    Points Possible,,,(read only)\nA,1,S,\n", "", "", "read-only"),
        ('Student,ID,Section,"ps1\nA,1,S,\n', "", "", "never closed"),
        ("", "", "", "empty"),
    ],
)
def test_files_that_cannot_be_filled_are_bad_input(text, column, by, message):
    with pytest.raises(BadInput, match=message):
        fill("canvas", text.encode(), "ps1", ([Grade("a", "", "", "", "1", 1.0)], 1.0), column, by)


def test_a_file_in_another_encoding_is_bad_input():
    with pytest.raises(BadInput, match="UTF-8"):
        csv_table.read("Student,Zoë".encode("latin-1"))


@pytest.mark.parametrize("text", [CANVAS, MOODLE, "a;b,c;d\r\n1;2,5;\r\n\r\n", "a\tb\n1\t2", "a,b\r1,2\r", 'a,b\n"x",'])
@pytest.mark.parametrize("bom", [b"", csv_table.BOM])
def test_a_table_that_is_not_changed_is_the_same_file_and_reads_as_csv_does(text, bom):
    table = csv_table.read(bom + text.encode())
    assert table.to_bytes() == bom + text.encode()
    read = csv.reader(io.StringIO(text, newline=""), delimiter=table.separator)
    mine = [[cell.value for cell in row] for row in table.rows]
    assert [row if row != [""] else [] for row in mine] == list(read)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "=cmd|' /C calc'!A0", "\uff1d1+1", " \uff20A"]
)
def test_no_text_of_ours_is_a_formula(text):
    assert plain(text).startswith("'") and "\n" not in plain(text)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_separator_of_another_language_makes_cells_of_ours(separator):
    table = csv_table.Table([], [], separator)
    table.add(["x;=1+1", "x,=1+1", "x\t=1+1", "x"])
    assert table.to_bytes().decode() == separator.join(['"x;=1+1"', '"x,=1+1"', '"x\t=1+1"', "x"]) + "\r\n"


def test_numbers_have_a_dot_and_no_more_digits_than_they_need():
    assert [number(value) for value in (7.25, 10.0, 0.0, 0.1 + 0.2, 1e-7, 1234.5)] == [
        "7.25",
        "10",
        "0",
        "0.3",
        "0",
        "1234.5",
    ]
    with pytest.raises(BadInput):
        number(float("nan"))


@pytest.mark.parametrize("kind", ["Canvas", "Moodle"])
def test_nbgrader_exports_through_its_own_command(book, tmp_path, kind):
    target, source = tmp_path / "grades.csv", tmp_path / "lms.csv"
    source.write_bytes((CANVAS if kind == "Canvas" else MOODLE).encode())
    options = [f"--exporter=tl_course.grading.lms.{kind}Export", "--assignment=ps1"]
    for more in ([f"--{kind}Export.into={source}"], []):
        command = [sys.executable, "-m", "nbgrader", "export", *options, f"--to={target}", *more]
        done = subprocess.run(command, cwd=book[1], capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        if kind == "Canvas":
            read = as_canvas_reads(target.read_bytes(), "ps1 (12)" if more else "ps1")
        else:
            read = as_moodle_reads(target.read_bytes(), "Email address", "Assignment: ps1 (Real)" if more else "ps1")
        assert len(SCORES) <= len(given(read)) <= len(SCORES) + 2
        assert "noa" in done.stderr


def test_the_file_is_written_whole_and_only_as_csv(tmp_path):
    export = new_file("canvas", {"ps1": ([Grade("a", "", "", "", "", 1.0)], 1.0)})
    save(tmp_path / "grades.csv", export)
    assert (tmp_path / "grades.csv").read_bytes() == export.content
    with pytest.raises(BadInput):
        save(tmp_path / "grades.xlsx", export)
    with pytest.raises(BadInput):
        save(tmp_path / "nowhere" / "grades.csv", export)
