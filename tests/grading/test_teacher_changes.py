"""What teachers do to a course between two gradings: nothing of it stops the batch or leaves an old score standing."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook

from tl_course import exercises
from tl_course.errors import BadInput, CourseError
from tl_course.grading import autograded_copy, batch
from tl_course.grading.batch import Options

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
EXERCISE, POINTS = "accuracy", 2.0
REFERENCE = exercises.get(EXERCISE).variant("numpy").reference
WRONG = "def accuracy(logits, labels):\n    return 17.25"
STUDENTS = {"anna", "bert"}


@pytest.fixture(scope="module")
def graded(module_course: Callable[..., Any]) -> Any:
    course = module_course()
    course.submit("anna", REFERENCE)
    course.submit("bert", WRONG)
    grade(course)
    return course


@pytest.fixture
def course(graded, tmp_path) -> Any:
    """A copy of a course in which two submissions are graded."""
    shutil.copytree(graded.root, tmp_path / "course")
    return type(graded)(tmp_path / "course")


def grade(course: Any, **options: Any) -> dict[str, batch.Row]:
    return {row.student: row for row in batch.grade(course.root, course.name, Options(**options)).rows}


def again(rows: dict[str, batch.Row]) -> set[str]:
    return {student for student, row in rows.items() if row.again}


def gradebook(course: Any) -> Gradebook:
    return Gradebook(f"sqlite:///{course.root}/gradebook.db")


def copy_of(course: Any, student: str) -> Path:
    return course.root / "autograded" / student / course.name / f"{course.name}.ipynb"


def change(course: Any, statement: str) -> None:
    with sqlite3.connect(course.root / "gradebook.db") as database:
        database.execute(statement)


def test_a_student_who_was_removed_from_the_gradebook_is_graded_anew(course):
    with gradebook(course) as found:
        found.remove_student("anna")
    rows = grade(course)
    assert again(rows) == {"anna"} and (rows["anna"].state, rows["anna"].score) == ("graded", POINTS)
    assert again(grade(course)) == set()


def test_a_changed_file_of_the_assignment_grades_again(course):
    data = course.root / "solutions" / course.name / "data.csv"
    for text, expected in (("1\n", STUDENTS), ("1\n", set()), ("2\n", STUDENTS)):
        data.write_text(text)
        assert again(grade(course)) == expected


def test_a_record_of_another_version_of_the_course_is_made_again(course):
    change(course, """UPDATE tl_course_graded SET results = '[{"test": "x"}]' WHERE student = 'anna'""")
    rows = grade(course)
    assert again(rows) == {"anna"} and rows["anna"].score == POINTS and len(rows["anna"].results) == 1
    change(course, """UPDATE tl_course_graded SET results = '[{"test": "x"}]' WHERE student = 'anna'""")
    assert grade(course, exercise=EXERCISE)["anna"].results == rows["anna"].results


@pytest.mark.parametrize("text", [None, "{"])
def test_one_exercise_is_graded_again_also_where_the_copy_is_lost(course, text):
    copy_of(course, "anna").unlink()
    if text is not None:
        copy_of(course, "anna").write_text(text)
    rows = grade(course, exercise=EXERCISE)
    assert {row.state for row in rows.values()} == {"graded"} and rows["anna"].score == POINTS
    assert copy_of(course, "anna").stat().st_size > 100


def test_one_exercise_graded_again_does_not_hide_what_else_was_set_anew(course):
    change(course, "UPDATE source_cell SET source = source || ' '")
    assert again(grade(course, exercise=EXERCISE)) == STUDENTS
    assert again(grade(course)) == STUDENTS
    assert again(grade(course)) == set()


def test_cells_of_one_name_in_two_notebooks_have_a_score_each(graded, tmp_path):
    shutil.copytree(graded.root, tmp_path / "course", ignore=shutil.ignore_patterns("gradebook.db", "autograded"))
    course = type(graded)(tmp_path / "course")
    shutil.copy(*[course.root / "solutions" / course.name / f"{name}.ipynb" for name in (course.name, "second")])
    course.nbgrader("generate_assignment", "--force")
    folder = course.root / "submitted" / "anna" / course.name
    shutil.copy(course.root / "notebooks" / course.name / "second.ipynb", folder)  # not answered
    other = course.root / "submitted" / "carl" / course.name
    shutil.copytree(folder, other)
    os.replace(other / f"{course.name}.ipynb", other / "x")
    os.replace(other / "second.ipynb", other / f"{course.name}.ipynb")
    os.replace(other / "x", other / "second.ipynb")
    for options in ({}, {"exercise": EXERCISE}):
        rows = grade(course, **options)
        assert (rows["anna"].score, rows["carl"].score, rows["carl"].max_score) == (POINTS, POINTS, 2 * POINTS)
        with gradebook(course) as found:
            scores = {
                (student, name): found.find_submission_notebook(name, course.name, student).score
                for student in ("anna", "carl")
                for name in (course.name, "second")
            }
        assert [scores[student, course.name] for student in ("anna", "carl")] == [POINTS, 0.0]
        assert [scores[student, "second"] for student in ("anna", "carl")] == [0.0, POINTS]


def test_an_assignment_that_could_not_be_released_is_not_graded(course):
    with gradebook(course) as found:
        found.add_assignment("broken")
    shutil.copytree(course.root / "submitted" / "anna" / course.name, course.root / "submitted" / "anna" / "broken")
    with pytest.raises(BadInput, match="assignment with notebooks"):
        batch.grade(course.root, "broken", Options())
    with gradebook(course) as found:
        assert found.assignment_submissions("broken") == []  # one would keep nbgrader from releasing it


@pytest.mark.parametrize("plugin", ["'nope.Nope'", "7"])
def test_a_penalty_that_is_none_is_told_in_one_line(course, plugin):
    with open(course.root / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write(f"\nc.AssignLatePenalties.plugin_class = {plugin}\n")
    with pytest.raises(BadInput, match=r"nbgrader_config\.py: TraitError"):
        grade(course)


def test_a_gradebook_that_cannot_be_read_is_told_in_one_line(course):
    change(course, "ALTER TABLE tl_course_graded RENAME COLUMN notes TO said")
    with pytest.raises(BadInput, match=r"gradebook that can be reached.*no such column"):
        grade(course)


def test_a_lock_that_cannot_be_made_is_told_in_one_line(course):
    (course.root / batch.LOCK).unlink(missing_ok=True)
    (course.root / batch.LOCK).mkdir()
    with pytest.raises(BadInput, match="folder that can be written to"):
        grade(course)


def test_a_full_disk_leaves_no_drafts_in_the_copy(course, monkeypatch):
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    before = copy_of(course, "anna").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(autograded_copy.os, "fsync", full)
        with pytest.raises((OSError, CourseError)):
            autograded_copy.write_copy(copy_of(course, "anna").parent, {}, {copy_of(course, "anna").name: b"new"}, None)
    assert sorted(copy_of(course, "anna").parent.iterdir()) == [copy_of(course, "anna")]
    assert copy_of(course, "anna").read_bytes() == before
