"""nbgrader's own commands, from release to feedback, give full, partial and no marks to those who earned them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tl_course import exercises, lessons
from tl_course.exercises.engine.checking import check_source
from tl_course.exercises.engine.stub import marker

pytestmark = pytest.mark.timeout(1200)  # the fixture grades every submission
LESSON = "03_feature_extraction"
SMALL = """# ---
# title: "99 Small"
# minutes: 5
# know_first: "nothing"
# after: []
# aims: "test"
# ---

# %%
from tl_course import check

# %% exercise: masked-mean
"""


def make_small(root: Path) -> str:
    """A lesson of one exercise: quick, and there before any lesson is."""
    (root / "lessons").mkdir()
    (root / "lessons" / "99_small.py").write_text(SMALL, encoding="utf-8")
    notebook = lessons.compose("99_small", seconds=None)
    lessons.write_notebook(notebook, root / "solutions" / "99_small" / "99_small.ipynb")
    return "99_small"


def take_lesson(root: Path) -> str:
    """The course's own lesson, as it is handed to instructors, without the cells that only demonstrate."""
    if LESSON not in lessons.names():
        pytest.skip(f"{LESSON} is not there")
    notebook = lessons.compose(LESSON, seconds=None)
    graded = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    first = next(cell for cell in notebook.cells if cell.cell_type == "code" and "import check" in cell.source)
    notebook.cells = [first, *graded]
    lessons.write_notebook(notebook, root / "solutions" / LESSON / f"{LESSON}.ipynb")
    return LESSON


def nbgrader(root: Path, *arguments: str) -> None:
    """Run one of nbgrader's commands in a course's root."""
    environment = {
        **os.environ,
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "TL_COURSE_HOME": str(root / "home"),
    }
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]


def frameworks_of(exercise) -> list[str]:
    return list(exercise.variants)


def right(exercise, wanted: str) -> dict[str, str]:
    """The reference in the framework wanted, or in the first the exercise has."""
    framework = wanted if wanted in exercise.variants else frameworks_of(exercise)[0]
    return {framework: exercise.variant(framework).reference}


def half(exercise, number: int) -> dict[str, str]:
    """Every other exercise is left out; of the rest, a mistake that earns part of the points, where there is one."""
    if number % 2:
        return {}
    framework = frameworks_of(exercise)[0]
    variant = exercise.variant(framework)
    codes = [mistake.code(variant.reference) for mistake in variant.mistakes.values()]
    scores = {code: check_source(exercise.id, framework, code, seed=1).score for code in codes}
    partial = [code for code in codes if 0 < scores[code] < 1]
    return {framework: partial[0] if partial else codes[0]}


def endless(exercise) -> dict[str, str]:
    """An answer that never returns."""
    framework = frameworks_of(exercise)[0]
    return {framework: f"def {exercise.variant(framework).entry}(*args, **kwargs):\n    while True: pass"}


def submit(root: Path, lesson: str, student: str, answers: dict[str, dict[str, str]]) -> None:
    """Hand in the released notebook with these answers (exercise id to framework to source) in their cells."""
    notebook = lessons.read_notebook(root / "notebooks" / lesson / f"{lesson}.ipynb")
    for exercise_id, sources in answers.items():
        for framework, source in sources.items():
            (cell,) = [cell for cell in notebook.cells if cell.id == f"{exercise_id}-{framework}"]
            cell.source = f"{marker(exercise_id, framework)}\n{source.strip()}"
    lessons.write_notebook(notebook, root / "submitted" / student / lesson / f"{lesson}.ipynb")


@pytest.fixture(scope="module", params=[make_small, pytest.param(take_lesson, marks=pytest.mark.slow)])
def graded(request, tmp_path_factory):
    """A course that was released, answered by five students and autograded."""
    root = tmp_path_factory.mktemp("course")
    shutil.copy(lessons.ROOT / "nbgrader_config.py", root)
    with pytest.MonkeyPatch.context() as patch:
        if request.param is make_small:
            patch.setattr(lessons, "SOURCES", root / "lessons")
        lesson = request.param(root)
    nbgrader(root, "generate_assignment", lesson)
    ids = [cell.id for cell in lessons.read_notebook(root / "notebooks" / lesson / f"{lesson}.ipynb").cells]
    bank = [exercise for exercise in exercises.all_exercises() if f"{exercise.id}-check" in ids]
    students = {
        "torch": {exercise.id: right(exercise, "pytorch") for exercise in bank},
        "keras": {exercise.id: right(exercise, "keras") for exercise in bank},
        "empty": {},
        "half": {exercise.id: half(exercise, number) for number, exercise in enumerate(bank)},
        "broken": {exercise.id: endless(exercise) for exercise in bank[:1]},
    }
    for student, answers in students.items():
        submit(root, lesson, student, answers)
    nbgrader(root, "autograde", lesson)
    return root, lesson, bank, students


def marks(root: Path, lesson: str, student: str) -> tuple[float, float, dict[str, float]]:
    """Score, maximum, and score for each exercise, as the gradebook holds them."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{root}/gradebook.db") as gradebook:
        submission = gradebook.find_submission(lesson, student)
        (notebook,) = submission.notebooks
        each = {grade.name.removesuffix("-check"): grade.auto_score for grade in notebook.grades}
        assert not notebook.needs_manual_grade
        return submission.score, submission.max_score, each


@pytest.mark.parametrize("student", ["torch", "keras"])
def test_a_perfect_submission_gets_full_marks(graded, student):
    root, lesson, bank, _students = graded
    score, maximum, each = marks(root, lesson, student)
    assert each == {exercise.id: exercise.points for exercise in bank}
    assert score == maximum == sum(exercise.points for exercise in bank)


@pytest.mark.parametrize("student", ["empty", "broken"])
def test_an_empty_or_endless_submission_gets_nothing(graded, student):
    root, lesson, bank, _students = graded
    score, maximum, each = marks(root, lesson, student)
    assert score == 0 and maximum == sum(exercise.points for exercise in bank)
    assert set(each.values()) == {0}


def test_a_half_right_submission_gets_what_the_bank_says(graded):
    root, lesson, bank, students = graded
    score, maximum, each = marks(root, lesson, "half")
    assert 0 < score < maximum
    assert any(0 < each[exercise.id] < exercise.points for exercise in bank)
    for exercise in bank:
        framework, source = next(iter(students["half"][exercise.id].items()), ("", ""))
        expected = check_source(exercise.id, framework, source, seed=3).score * exercise.points if source else 0
        assert each[exercise.id] == pytest.approx(expected, abs=1e-3)


def test_feedback_is_made_for_everyone(graded):
    root, lesson, _bank, students = graded
    nbgrader(root, "generate_feedback", lesson)
    for student in students:
        page = (root / "feedback" / student / lesson / f"{lesson}.html").read_text(encoding="utf-8")
        assert "Score:" in page and lesson in page
