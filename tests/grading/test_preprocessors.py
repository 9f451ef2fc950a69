"""nbgrader's own autograde, which formgrader's button calls, grades as `tl-course grade` does."""

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI

from tl_course import exercises, lessons
from tl_course.exercises.engine.checking import check_source
from tl_course.grading import batch
from tl_course.grading import course as courses
from tl_course.grading.batch import Options

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
POINTS = 2.0
VARIANT = exercises.get("accuracy").variant("numpy")
MISTAKES = [(mistake.code(VARIANT.reference), mistake.message) for mistake in VARIANT.mistakes.values()]
SEED = 5


def partly_right() -> tuple[str, str]:
    """A named mistake that earns some points, and what is said of it."""
    for code, message in MISTAKES:
        if 0 < check_source("accuracy", "numpy", code, seed=SEED).score < 1:
            return code, message
    raise AssertionError("no mistake earns part of the points")


@pytest.fixture(scope="module")
def pair(module_course: Callable[..., Any]) -> tuple[Any, Any, dict[str, dict[str, Any]]]:
    """The same submissions in two courses, graded by nbgrader in one and by us in the other; what nbgrader said."""
    course = module_course()
    submit(course)
    twin = type(course)(course.root.parent / "twin")
    shutil.copytree(course.root, twin.root, symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TL_COURSE_SEED", str(SEED))
        said = autograde(course)
        batch.grade(twin.root, twin.name, Options())
    return course, twin, said


def submit(course: Any) -> None:
    course.submit("right", VARIANT.reference)
    course.submit("wrong", "def accuracy(logits, labels):\n    return 17.25")
    course.submit("partly", partly_right()[0])
    course.submit("untouched", "")
    broken = path(course, "submitted", "broken")
    broken.parent.mkdir(parents=True)
    broken.write_text('{"cells": [', encoding="utf-8")
    linked = path(course, "submitted", "linked")
    linked.parent.mkdir(parents=True)
    linked.symlink_to(path(course, "submitted", "right"))
    course.submit("beside", VARIANT.reference)
    (path(course, "submitted", "beside").parent / "data.csv").symlink_to(course.root / "gradebook.db")


def path(course: Any, step: str, student: str) -> Path:
    return course.root / step / student / course.name / f"{course.name}.ipynb"


def autograde(course: Any, only: str | None = None) -> dict[str, dict[str, Any]]:
    config = courses.load_config(course.root)
    api = NbGraderAPI(courses.course(course.root), config=config)
    students = sorted(folder.name for folder in (course.root / "submitted").iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy's on what nbgrader does
        return {student: api.autograde(course.name, student) for student in students if only in (None, student)}


def grades(course: Any) -> dict[str, tuple[float | None, bool]]:
    """Student to automatic score and whether somebody has to look."""
    found = {}
    with Gradebook(f"sqlite:///{course.root}/gradebook.db") as gradebook:
        for submission in gradebook.find_assignment(course.name).submissions:
            (grade,) = submission.notebooks[0].grades
            found[submission.student_id] = (grade.auto_score, bool(grade.needs_manual_grade))
    return found


def test_nbgrader_gives_the_same_scores(pair):
    course, twin, said = pair
    assert [student for student, result in said.items() if not result["success"]] == [], said
    theirs, ours = grades(course), grades(twin)
    assert theirs == ours
    assert set(theirs) == set(said) and theirs["right"] == (POINTS, False)
    assert theirs["wrong"] == theirs["untouched"] == (0.0, False)
    assert 0 < theirs["partly"][0] < POINTS and not theirs["partly"][1]
    assert theirs["broken"] == theirs["linked"] == (0.0, True)


def test_copies_hold_the_same_verdicts(pair):
    course, twin, _said = pair
    for student in grades(course):
        copies = [lessons.read_notebook(path(one, "autograded", student)) for one in (course, twin)]
        for copy in copies:
            nbformat.validate(copy)
        shown = [
            [(cell.metadata.nbgrader.grade_id, cell.source, [output.get("data") for output in cell.get("outputs", [])])]
            for copy in copies
            for cell in copy.cells
            if "nbgrader" in cell.metadata
        ]
        half = len(shown) // 2
        assert shown[:half] == shown[half:] and half >= 2


def test_links_are_not_followed_by_nbgrader_either(pair):
    course, twin, _said = pair
    for one in (course, twin):
        assert not (path(one, "autograded", "beside").parent / "data.csv").exists()


def test_feedback_says_what_is_wrong_and_shows_no_hidden_test(pair):
    course, _twin, _said = pair
    course.nbgrader("generate_feedback")
    solution = (course.root / "solutions" / course.name / f"{course.name}.ipynb").read_text(encoding="utf-8")
    assert "grading_seed" in solution  # which stands in the hidden tests
    for student in grades(course):
        page = (course.root / "feedback" / student / course.name / f"{course.name}.html").read_text(encoding="utf-8")
        assert "grading_seed" not in page and "HIDDEN TESTS" not in page
        assert "Score:" in page
        if student == "partly":
            words = partly_right()[1].split("`")[0].strip()[:40].replace("'", "&#39;")
            assert words in page.replace("&#x27;", "&#39;")


def test_a_changed_submission_is_graded_again_by_nbgrader(pair):
    course, _twin, _said = pair
    course.submit("wrong", VARIANT.reference)
    assert autograde(course, "wrong")["wrong"]["success"]
    assert grades(course)["wrong"] == (POINTS, False)


def test_settings_import_no_framework_and_no_judge():
    code = f"""
import json, sys
from pathlib import Path
from tl_course.grading.course import load_config
load_config(Path({str(lessons.ROOT)!r}))
print(json.dumps([name for name in sys.modules if "." not in name or name.startswith("tl_course")]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    loaded = set(json.loads(done.stdout))
    assert "nbgrader" in loaded and "tl_course.grading.hidden" in loaded
    heavy = {"torch", "tensorflow", "keras", "transformers", "sklearn", "scipy", "pandas", "matplotlib"}
    assert loaded & heavy == set()
    ours = {f"tl_course.grading.{name}" for name in ("judging", "preprocessors", "sandbox", "execution", "recording")}
    assert loaded & ours == set()
    assert [name for name in loaded if name.startswith("tl_course.exercises.") and "engine" not in name] == []
