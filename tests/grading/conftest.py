"""A course of one quick exercise, for tests of how submissions are graded rather than of what is."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tl_course import exercises, lessons
from tl_course.exercises.engine.stub import marker

NAME, EXERCISE = "99_quick", "accuracy"
LESSON = f"""# ---
# title: "99 Quick"
# minutes: 5
# know_first: "nothing"
# after: []
# aims: "test"
# ---

# %%
from tl_course import check

# %% exercise: {EXERCISE}
"""


class QuickCourse:
    """A course's folder; ``name`` is its assignment's."""

    name = NAME

    def __init__(self, root: Path) -> None:
        self.root = root

    def nbgrader(self, *arguments: str) -> None:
        """Run one of nbgrader's commands."""
        path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
        environment = {**os.environ, "PATH": path, "TL_COURSE_HOME": str(self.root / "home")}
        command = [sys.executable, "-m", "nbgrader", *arguments, self.name]
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]

    def submit(self, student: str, source: str) -> None:
        """Hand in an answer."""
        notebook = lessons.read_notebook(self.root / "notebooks" / NAME / f"{NAME}.ipynb")
        (cell,) = [cell for cell in notebook.cells if cell.id == f"{EXERCISE}-numpy"]
        cell.source = f"{marker(EXERCISE, 'numpy')}\n{source.strip()}"
        lessons.write_notebook(notebook, self.root / "submitted" / student / NAME / f"{NAME}.ipynb")

    def submit_class(self, count: int, seconds: float = 0.0) -> None:
        """Hand in right and wrong answers in turn, each taking some seconds."""
        variant = exercises.get(EXERCISE).variant("numpy")
        mistakes = [mistake.code(variant.reference) for mistake in variant.mistakes.values()]
        pause = f"import time\ntime.sleep({seconds})\n" if seconds else ""
        for number in range(count):
            source = mistakes[number // 2 % len(mistakes)] if number % 2 else variant.reference
            self.submit(f"s{number:02}", pause + source)


def make_course(root: Path, settings: str = "", more: str = "") -> QuickCourse:
    """A course that is released and has no submissions yet; with more text for its settings and for its lesson."""
    (root / "lessons").mkdir(parents=True)
    (root / "lessons" / f"{NAME}.py").write_text(LESSON + more, encoding="utf-8")
    text = (lessons.ROOT / "nbgrader_config.py").read_text(encoding="utf-8")
    (root / "nbgrader_config.py").write_text(f"{text}\n{settings}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "SOURCES", root / "lessons")
        lessons.write_notebook(lessons.compose(NAME, seconds=None), root / "solutions" / NAME / f"{NAME}.ipynb")
    course = QuickCourse(root)
    course.nbgrader("generate_assignment")
    return course


@pytest.fixture
def quick_course(tmp_path: Path) -> Callable[..., QuickCourse]:
    """Makes a course (see `make_course`)."""
    return lambda *arguments, **options: make_course(tmp_path / "course", *arguments, **options)


@pytest.fixture(scope="module")
def module_course(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., QuickCourse]:
    """Makes a course for all tests of a module (see `make_course`)."""
    return lambda *arguments, **options: make_course(tmp_path_factory.mktemp("course") / "root", *arguments, **options)
