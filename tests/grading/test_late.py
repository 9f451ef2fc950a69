"""Late penalties by day, through nbgrader's own preprocessor and gradebook."""

import os
import sys
import warnings
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from tl_course.errors import BadInput
from tl_course.grading.course import load_config
from tl_course.grading.late import LatePerDay

DUE = datetime(2026, 3, 1, 12)
HOUR = 60 * 60
POLICY = {"per_day": 0.1, "grace_minutes": 15, "max_share": 0.25}


@pytest.mark.parametrize(
    ("seconds", "share"),
    [
        (1, None),
        (15 * 60, None),
        (15 * 60 + 1, 0.1),
        (24 * HOUR, 0.1),
        (24 * HOUR + 15 * 60, 0.1),
        (24 * HOUR + 15 * 60 + 1, 0.2),
        (60 * HOUR, 0.25),
        (900 * HOUR, 0.25),
    ],
)
def test_each_started_day_costs_its_share_up_to_the_cap(seconds, share):
    expected = None if share is None else pytest.approx(share * 8)
    assert LatePerDay(**POLICY).late_submission_penalty("ann", 8.0, seconds) == expected


def test_nothing_is_taken_unless_the_teacher_says_so():
    assert LatePerDay().late_submission_penalty("ann", 8.0, 900 * HOUR) is None
    assert LatePerDay(grace_minutes=5).late_submission_penalty("ann", 8.0, 900 * HOUR) is None


def test_no_more_is_taken_than_there_is():
    assert LatePerDay(per_day=1).late_submission_penalty("ann", 8.0, 900 * HOUR) == 8
    assert LatePerDay(per_day=1).late_submission_penalty("ann", -1.0, 900 * HOUR) == 0


@pytest.mark.parametrize(
    ("name", "value"), [("per_day", -0.1), ("per_day", 10), ("max_share", 1.5), ("grace_minutes", -1)]
)
def test_settings_that_make_no_sense_are_named(name, value):
    with pytest.raises(BadInput, match=f"LatePerDay.{name}"):
        LatePerDay(config=Config({"LatePerDay": {name: value}}))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A gradebook in which ann and bob handed in 30 hours late and earned 6 and 8 of 10; the folder's settings."""
    root = tmp_path_factory.mktemp("course")
    text = "\n".join(f"c.LatePerDay.{name} = {value}" for name, value in POLICY.items())
    plugin = "c.AssignLatePenalties.plugin_class = 'tl_course.grading.late.LatePerDay'\n"
    (root / "nbgrader_config.py").write_text(plugin + text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way of adding submissions
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader runs alembic
        with Gradebook(f"sqlite:///{root}/gradebook.db") as gradebook:
            gradebook.add_assignment("ps1", duedate=DUE)
            gradebook.add_notebook("p1", "ps1")
            gradebook.add_grade_cell("q1", "p1", "ps1", max_score=10, cell_type="code")
            for student, score in (("ann", 6), ("bob", 8)):
                gradebook.add_student(student)
                gradebook.add_submission("ps1", student, timestamp=DUE + timedelta(hours=30))
                gradebook.find_grade("q1", "p1", "ps1", student).auto_score = score
            gradebook.db.commit()
            yield gradebook, root


def autograded(course, student: str) -> float:
    """The penalty in the gradebook after nbgrader's own step of autograding."""
    gradebook, root = course
    names = {"notebook": "p1", "assignment": "ps1", "student": student, "db_url": f"sqlite:///{root}/gradebook.db"}
    AssignLatePenalties(config=load_config(root)).preprocess(nbformat.v4.new_notebook(), {"nbgrader": names})
    gradebook.db.expire_all()
    return gradebook.find_submission("ps1", student).late_submission_penalty


def test_nbgrader_writes_the_penalty_into_the_gradebook(course):
    course[0].grant_extension("ps1", "bob")  # none
    assert autograded(course, "ann") == pytest.approx(0.2 * 6)
    assert autograded(course, "bob") == pytest.approx(0.2 * 8)


@pytest.mark.parametrize(("extension", "share"), [({"hours": 29, "minutes": 45}, 0), ({"hours": 29}, 0.1), ({}, 0.2)])
def test_an_extension_counts_and_grading_again_takes_the_penalty_back(course, extension, share):
    gradebook, _root = course
    gradebook.grant_extension("ps1", "bob")
    assert autograded(course, "bob") == pytest.approx(0.2 * 8)
    gradebook.grant_extension("ps1", "bob", **extension)
    assert autograded(course, "bob") == pytest.approx(share * 8)
    assert autograded(course, "ann") == pytest.approx(0.2 * 6)
