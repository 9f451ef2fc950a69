"""Grading a whole class: what is graded again and what is not, what is recorded, and what the command says of it."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import nbformat
import pytest
from nbgrader.api import Gradebook

from tl_course import exercises, lessons
from tl_course.errors import BadInput, CourseError
from tl_course.grading import batch
from tl_course.grading.batch import Options

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
EXERCISE, POINTS = "accuracy", 2.0
REFERENCE = exercises.get(EXERCISE).variant("numpy").reference
WRONG = "def accuracy(logits, labels):\n    return 17.25"
SETTINGS = """
from tl_course.grading.late import LatePerDay
c.AssignLatePenalties.plugin_class = LatePerDay
c.LatePerDay.per_day = 0.25
"""
STUDENTS = {"anna": REFERENCE, "bert": WRONG, "carl": REFERENCE}


@pytest.fixture(scope="module")
def released(module_course: Callable[..., Any]) -> Any:
    return module_course()


@pytest.fixture
def course(released, tmp_path) -> Any:
    """A copy of the released course, with three submissions."""
    shutil.copytree(released.root, tmp_path / "course")
    copy = type(released)(tmp_path / "course")
    for student, source in STUDENTS.items():
        copy.submit(student, source)
    return copy


def grade(course: Any, **options: Any) -> dict[str, batch.Row]:
    return {row.student: row for row in batch.grade(course.root, course.name, Options(**options)).rows}


def seeds(rows: dict[str, batch.Row]) -> dict[str, int | None]:
    return {student: row.results[0].seed for student, row in rows.items()}


def again(rows: dict[str, batch.Row]) -> set[str]:
    return {student for student, row in rows.items() if row.again}


def path(course: Any, step: str, student: str) -> Path:
    return course.root / step / student / course.name / f"{course.name}.ipynb"


def gradebook(course: Any) -> Gradebook:
    return Gradebook(f"sqlite:///{course.root}/gradebook.db")


def scores(course: Any) -> dict[str, float]:
    """Scores as nbgrader itself reads them."""
    with gradebook(course) as found:
        return {row["student"]: row["score"] for row in found.submission_dicts(course.name)}


def graded_by_hand(course: Any, student: str, points: float) -> None:
    with gradebook(course) as found:
        grade = found.find_submission_notebook(course.name, course.name, student).grades[0]
        grade.manual_score, grade.needs_manual_grade = points, False
        found.db.commit()


def run(course: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("tl-course")), "grade", *arguments]
    return subprocess.run(command, cwd=course.root, capture_output=True, text=True, timeout=200)


@pytest.fixture
def threads() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.usefixtures("threads")
def test_only_what_changed_is_graded_again(course, monkeypatch):
    monkeypatch.delenv("TL_COURSE_SEED", raising=False)  # with it, everybody has the same inputs for ever
    first = grade(course)
    assert again(first) == set(STUDENTS) and {row.state for row in first.values()} == {"graded"}
    assert {student: row.score for student, row in first.items()} == {"anna": POINTS, "bert": 0.0, "carl": POINTS}
    assert len(set(seeds(first).values())) == 1  # one for the whole class
    second = grade(course)
    assert again(second) == set()
    for student, row in second.items():
        assert (row.score, row.results, row.notes) == (
            first[student].score,
            first[student].results,
            first[student].notes,
        )
    course.submit("bert", REFERENCE)
    third = grade(course)
    assert again(third) == {"bert"} and third["bert"].score == POINTS
    assert seeds(third)["bert"] != seeds(first)["bert"] and seeds(third)["anna"] == seeds(first)["anna"]
    forced = grade(course, force=True)
    assert again(forced) == set(STUDENTS) and seeds(forced) == seeds(third)  # the same attempts, the same inputs
    assert again(grade(course, force=True, student="anna")) == {"anna"}


def test_a_copy_that_is_gone_is_made_again(course):
    grade(course)
    path(course, "autograded", "anna").unlink()
    assert again(grade(course)) == {"anna"} and path(course, "autograded", "anna").exists()


def test_a_new_release_grades_again(course):
    before = grade(course)
    source = course.root / "solutions" / course.name / f"{course.name}.ipynb"
    notebook = lessons.read_notebook(source)
    (test,) = [cell for cell in notebook.cells if cell.id == f"{EXERCISE}-check"]
    test.metadata["nbgrader"]["points"] = 5
    lessons.write_notebook(notebook, source)
    with gradebook(course) as found:
        for student in STUDENTS:
            found.remove_submission(course.name, student)
    course.nbgrader("generate_assignment", "--force")
    rows = grade(course)
    assert again(rows) == set(STUDENTS) and rows["anna"].score == rows["anna"].max_score == 5.0
    assert seeds(rows) == seeds(before)  # nobody changed anything


def test_only_one_student(course):
    rows = grade(course, student="bert")
    assert list(rows) == ["bert"] and scores(course)["bert"] == 0.0
    with gradebook(course) as found:
        assert [submission.student_id for submission in found.find_assignment(course.name).submissions] == ["bert"]
    with pytest.raises(BadInput, match="nobody"):
        grade(course, student="nobody")


def test_only_one_exercise(course):
    first = grade(course)
    rows = grade(course, exercise=EXERCISE)
    assert again(rows) == set(STUDENTS)
    assert {student: row.results for student, row in rows.items()} == {s: row.results for s, row in first.items()}
    with pytest.raises(BadInput, match=EXERCISE):
        grade(course, exercise="pad-batch")


def test_a_second_grader_is_refused(course):
    with filelock.FileLock(course.root / batch.LOCK), pytest.raises(BadInput, match="nobody is grading"):
        grade(course)
    assert set(grade(course)) == set(STUDENTS)


def test_what_cannot_be_read_does_not_stop_the_others(course):
    broken = path(course, "submitted", "dora")
    broken.parent.mkdir(parents=True)
    broken.write_text('{"cells": [', encoding="utf-8")
    linked = course.root / "submitted" / "emil" / course.name
    linked.parent.mkdir(parents=True)
    linked.symlink_to(course.root / "submitted" / "anna" / course.name)
    (course.root / "submitted" / "fred" / course.name).mkdir(parents=True)
    rows = grade(course)
    states = {student: row.state for student, row in rows.items()}
    assert states == {**dict.fromkeys(STUDENTS, "graded"), **dict.fromkeys(("dora", "emil", "fred"), "needs_look")}
    assert "JSON" in rows["dora"].reason and "link" in rows["emil"].reason and "missing" in rows["fred"].reason
    assert scores(course)["dora"] == 0.0 and "emil" not in [row for row in scores(course) if scores(course)[row]]
    with gradebook(course) as found:
        assert found.find_submission(course.name, "dora").needs_manual_grade
        assert not found.find_submission(course.name, "anna").needs_manual_grade
    assert again(grade(course)) <= {"emil"}  # which was not recorded


def test_grades_given_by_hand_stay(course):
    grade(course)
    graded_by_hand(course, "bert", 1.5)
    assert grade(course)["bert"].score == 1.5
    course.submit("bert", REFERENCE)
    rows = grade(course)
    assert rows["bert"].score == 1.5 and scores(course)["bert"] == 1.5
    with gradebook(course) as found:
        one = found.find_submission_notebook(course.name, course.name, "bert").grades[0]
        assert (one.auto_score, one.manual_score, one.needs_manual_grade) == (POINTS, 1.5, True)


def test_being_late_costs_what_the_plugin_says(released, tmp_path):
    shutil.copytree(released.root, tmp_path / "course")
    course = type(released)(tmp_path / "course")
    with open(course.root / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write(SETTINGS)
    with gradebook(course) as found:
        found.update_or_create_assignment(course.name, duedate="2030-01-01 12:00:00 UTC")
    for student, day in (("early", "2029-12-31"), ("late", "2030-01-02"), ("never", "2030-03-01")):
        course.submit(student, REFERENCE)
        (path(course, "submitted", student).parent / "timestamp.txt").write_text(f"{day} 11:00:00 UTC")
    grade(course)
    with gradebook(course) as found:
        taken = {s.student_id: s.late_submission_penalty for s in found.find_assignment(course.name).submissions}
        hours = {s.student_id: s.total_seconds_late / 3600 for s in found.find_assignment(course.name).submissions}
    assert taken["early"] == 0 and 0 < taken["late"] < POINTS and taken["never"] == POINTS
    assert hours["late"] == 23.0


def test_nbgrader_reads_the_same(course):
    rows = grade(course)
    assert scores(course) == {student: row.score for student, row in rows.items()}
    with gradebook(course) as found:
        for row in found.submission_dicts(course.name):
            assert row["max_score"] == POINTS and not row["needs_manual_grade"]
    for student in STUDENTS:
        copy = path(course, "autograded", student)
        nbformat.validate(nbformat.read(copy, as_version=4))
        assert os.access(copy, os.R_OK) and not list(copy.parent.glob("*.new"))
    course.nbgrader("generate_feedback")
    for student, score in scores(course).items():
        page = (course.root / "feedback" / student / course.name / f"{course.name}.html").read_text(encoding="utf-8")
        assert f"Score: {score} / {POINTS}" in page
        assert "grading_seed" not in page and "HIDDEN" not in page


def test_files_beside_the_notebook_are_copied_and_old_ones_removed(course):
    folder = path(course, "submitted", "anna").parent
    (folder / "deep").mkdir()
    (folder / "deep" / "data.csv").write_text("1")
    grade(course)
    copy = path(course, "autograded", "anna").parent
    assert (copy / "deep" / "data.csv").read_text() == "1"
    shutil.rmtree(folder / "deep")
    (folder / "new.csv").write_text("2")
    assert again(grade(course)) == {"anna"}
    assert sorted(file.name for file in copy.iterdir()) == [f"{course.name}.ipynb", "new.csv"]


@pytest.mark.parametrize("name", ["n" * 251 + ".txt", "课" * 83 + ".md", ".99_quick.ipynb.new/x", "a.ipynb/x"])
def test_no_name_beside_the_notebook_keeps_it_from_being_recorded(course, name):
    folder = path(course, "submitted", "anna").parent
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("1")
    copy = path(course, "autograded", "anna").parent
    (copy / f".{course.name}.ipynb.new").mkdir(parents=True)  # where a draft was written once
    (copy / ".0123456789abcdef.new").write_text("of a run that was killed")
    row = grade(course, student="anna")["anna"]
    assert (row.state, row.score) == ("graded", POINTS)
    kept = {file.relative_to(copy).as_posix() for file in copy.rglob("*") if file.is_file()}
    assert kept == {f"{course.name}.ipynb", name} - {"a.ipynb/x"}


def test_the_command_s_json_and_exit_codes(course):
    done = run(course, course.name, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert set(said) >= {"submissions", "seconds"} and said["unprotected"] == [] and said["seconds"] > 0
    for row in said["submissions"]:
        assert set(row) >= {"student", "state", "score", "max_score", "reason", "graded_now"} and row["graded_now"]
    assert {row["student"]: row["score"] for row in said["submissions"]} == scores(course)
    path(course, "submitted", "carl").write_text("nothing")
    done = run(course, course.name, "--json")
    assert done.returncode == 1
    rows = {row["student"]: row for row in json.loads(done.stdout)["submissions"]}
    assert rows["carl"]["state"] == "needs_look" and not rows["anna"]["graded_now"]
    for arguments in (["nonsense"], [course.name, "--only", "nobody"]):
        done = run(course, *arguments)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_without_a_sandbox_nothing_is_recorded(course, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CourseError, match="--allow-unsafe"):
        grade(course)
    assert scores(course) == {}
    report = batch.grade(course.root, course.name, Options(allow_unsafe=True))
    assert len(report.unprotected) == 1 and {row.score for row in report.rows} == {0.0, POINTS}
