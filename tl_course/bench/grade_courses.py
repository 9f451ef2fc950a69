"""Courses to grade in a benchmark: an assignment, and submissions right and wrong, for plain nbgrader and for ours."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tl_course import exercises, lessons
from tl_course.errors import CourseError
from tl_course.exercises.engine.exercise import Exercise
from tl_course.exercises.engine.stub import marker
from tl_course.lesson_cells import NBGRADER

PLAIN_CONFIG = """
from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import ClearSolutions
from tl_course.grading.starter import StarterCode

c = get_config()
c.CourseDirectory.course_id = "tl_course"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.ExecutePreprocessor.timeout = 300
steps = list(GenerateAssignment().preprocessors)
steps.insert(steps.index(ClearSolutions) + 1, StarterCode)
c.GenerateAssignment.preprocessors = steps
"""
OURS_CONFIG = lessons.ROOT / "nbgrader_config.py"
TEST = """answer = [float(value) for value in scale([1.0, 2.0], 3)]
assert answer == [3.0, 6.0], "scale([1, 2], 3) is [3, 6]"
### BEGIN HIDDEN TESTS
assert [float(value) for value in scale([1.0, 4.0], 2)] == [2.0, 8.0]
### END HIDDEN TESTS"""
BUSY = "import time\n\nend = time.process_time() + 2\nwhile time.process_time() < end:\n    pass"


@dataclass(frozen=True)
class Kind:
    """A notebook to be graded.

    Args:
        name: of the assignment.
        cells: source of what stands before the answer; empty: the course's lesson of that name.
        body: of the function that is asked for.
    """

    name: str
    cells: tuple[str, ...] = ()
    body: str = ""


KINDS = {
    "small notebook": Kind("small", ("import torch", "torch.ones(3).sum()"), "return torch.as_tensor(values) * factor"),
    "both frameworks": Kind(
        "both",
        ("import torch\nimport tensorflow as tf", "float(tf.reduce_sum(tf.ones(3))) + float(torch.ones(3).sum())"),
        "return torch.as_tensor(values) * factor",
    ),
    "whole lesson": Kind("03_feature_extraction"),
    "two-second notebook vs floor": Kind("busy", (BUSY,), "return [value * factor for value in values]"),
}


def make(root: Path, kind: Kind, config: str, submissions: int) -> None:
    """Write a course with its submissions into a new folder.

    Raises:
        CourseError: nbgrader did not make the assignment.
    """
    root.mkdir(parents=True)
    (root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    source = root / "solutions" / kind.name / f"{kind.name}.ipynb"
    notebook = _own(kind) if kind.cells else lessons.compose(kind.name, seconds=None)
    lessons.write_notebook(notebook, source)
    nbgrader(root, "generate_assignment", kind.name)
    released = (root / "notebooks" / kind.name / f"{kind.name}.ipynb").read_text(encoding="utf-8")
    for number in range(submissions):
        mine = nbformat.reads(released, as_version=4)
        for cell in mine.cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                _answer_own(cell, kind, number) if kind.cells else _answer_lesson(cell, number)
        lessons.write_notebook(mine, root / "submitted" / f"s{number:03}" / kind.name / source.name)


def nbgrader(root: Path, *arguments: str) -> None:
    """Run one of nbgrader's commands in a course.

    Raises:
        CourseError: it failed; the message ends with what it wrote.
    """
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True)
    if done.returncode:
        raise CourseError(f"nbgrader {arguments[0]} failed: {' '.join(done.stderr.split())[-500:]}")


def environment(root: Path) -> dict[str, str]:
    """What graders are started with: this Python's programs first, the same inputs for both, progress thrown away."""
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    return {**os.environ, "PATH": path, "TL_COURSE_SEED": "1", "TL_COURSE_HOME": str(root / "home"), "LANGUAGE": "en"}


def _own(kind: Kind) -> NotebookNode:
    v4 = nbformat.v4
    answer = f"def scale(values, factor):\n    ### BEGIN SOLUTION\n    {kind.body}\n    ### END SOLUTION"
    solution = {**NBGRADER, "grade": False, "locked": False, "solution": True, "grade_id": "scale"}
    test = {**NBGRADER, "grade": True, "locked": True, "solution": False, "points": 3, "grade_id": "scale-test"}
    cells = [
        *(v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(kind.cells)),
        v4.new_code_cell(answer, id="scale", metadata={"nbgrader": solution}),
        v4.new_code_cell(TEST, id="scale-test", metadata={"nbgrader": test}),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _answer_own(cell: NotebookNode, kind: Kind, number: int) -> None:
    """A wrong answer, then three right ones."""
    body = kind.body if number % 4 else kind.body.replace("* factor", "+ factor")
    cell.source = f"def scale(values, factor):\n    {body}"


def _answer_lesson(cell: NotebookNode, number: int) -> None:
    """Answers in PyTorch, in Keras, with mistakes, and every other exercise only, in turn."""
    for exercise in exercises.all_exercises():
        framework = cell.metadata.nbgrader.grade_id.removeprefix(f"{exercise.id}-")
        if framework in exercise.variants and framework == _framework(exercise, number):
            variant = exercise.variant(framework)
            wrong = next(iter(variant.mistakes.values())).code(variant.reference)
            text = wrong if number % 4 == 2 and exercise.difficulty > 2 else variant.reference
            if number % 4 != 3 or exercise.difficulty % 2:
                cell.source = f"{marker(exercise.id, framework)}\n{text.strip()}"


def _framework(exercise: Exercise, number: int) -> str:
    wanted = "keras" if number % 4 == 1 else "pytorch"
    return wanted if wanted in exercise.variants else next(iter(exercise.variants))
