"""The small course that the attacks are handed in to: a bank exercise, a teacher's own tests, and secrets."""

import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat

from tl_course import exercises, lessons

EXERCISE = "accuracy"
BANK, OWN = "hw", "own"
GOOD = ("aa_good", "zz_good")  # hand in right answers, one before and one after every attack
RIGHT = {
    f"{EXERCISE}-numpy": (
        "import numpy as np\n\n\ndef accuracy(logits, labels):\n    return np.mean(logits.argmax(axis=1) == labels)"
    ),
    "add": "def add(a, b):\n    return a + b",
    "scale": "def scale(values):\n    return values - values.mean()",
}
POINTS = {BANK: 2.0, OWN: 5.0}
SECRETS = ("hidden", "solution", "gradebook", "other", "home", "environment")
VARIABLE = "ATTACK_SECRET"
PLAIN_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "plain"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.ExecutePreprocessor.timeout = 6
"""


@dataclass(frozen=True)
class Course:
    """A course on disk.

    Attributes:
        root: the folder with nbgrader_config.py; ``home`` beside it is the grader's home.
        canaries: what must not get out: where it stands to the word that stands there.
        port: where the harness listens for what a submission sends.
    """

    root: Path
    canaries: dict[str, str]
    port: int

    @property
    def home(self) -> Path:
        """The home directory of whoever grades."""
        return self.root.parent / "home"

    def environment(self) -> dict[str, str]:
        """What the grader's processes have in their environment, a secret among it."""
        return {
            **os.environ,
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
            "HOME": str(self.home),
            "TL_COURSE_HOME": str(self.home / "progress"),
            "OMP_NUM_THREADS": "1",
            VARIABLE: self.canaries["environment"],
        }

    def as_plain(self) -> dict[str, Any]:
        """The course as plain data, for another process."""
        return {**asdict(self), "root": str(self.root)}


def make(folder: Path, port: int) -> Course:
    """Write, release and fill the course in ``folder/course``; two good submissions to each assignment are in."""
    canaries = {name: f"CANARY-{name}-{secrets.token_hex(8)}" for name in SECRETS}
    course = Course(folder / "course", canaries, port)
    course.root.mkdir(parents=True)
    course.home.mkdir()
    (course.home / "private.txt").write_text(f"password: {canaries['home']}\n")
    shutil.copy(lessons.ROOT / "nbgrader_config.py", course.root)
    for assignment, cells in ((BANK, bank_cells()), (OWN, own_cells(canaries))):
        source = course.root / "solutions" / assignment
        source.mkdir(parents=True)
        (source / "data.csv").write_text("1\n2\n3\n")
        write(source / f"{assignment}.ipynb", cells)
        nbgrader(course, "generate_assignment", assignment)
    for assignment in (BANK, OWN):
        for student in GOOD:
            notebook = released(course, assignment)
            answer(notebook, RIGHT)
            notebook.cells.append(nbformat.v4.new_code_cell(f"# {canaries['other']}"))
            target = course.root / "submitted" / student / assignment / f"{assignment}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, target)
    remember_secret(course)
    return course


def bank_cells() -> list[Any]:
    """The bank's exercise as a lesson holds it."""
    points = exercises.get(EXERCISE).points
    code = f'check("{EXERCISE}")\n### BEGIN HIDDEN TESTS\nfrom tl_course.notebook import grading_seed\n\n'
    code += f'check("{EXERCISE}", seed=grading_seed())\n### END HIDDEN TESTS'
    solution = f"# exercise: {EXERCISE} (numpy)\n### BEGIN SOLUTION\n{RIGHT[f'{EXERCISE}-numpy']}\n### END SOLUTION"
    return [
        nbformat.v4.new_code_cell("from tl_course import check", id="first"),
        cell(f"{EXERCISE}-numpy", solution, solution=True),
        cell(f"{EXERCISE}-check", code, points=points),
    ]


def own_cells(canaries: dict[str, str]) -> list[Any]:
    """A teacher's own tests, as nbgrader's manual writes them."""
    add = (
        f"def add(a, b):\n    ### BEGIN SOLUTION\n    # {canaries['solution']}\n    return a + b\n    ### END SOLUTION"
    )
    scale = "def scale(values):\n    ### BEGIN SOLUTION\n    return values - values.mean()\n    ### END SOLUTION"
    hidden = "### BEGIN HIDDEN TESTS\n{tests}\n### END HIDDEN TESTS"
    tests = f'word = "{canaries["hidden"]}"\nassert add(20, 22) == 42, "20 and 22"\nassert add(-1, 1) == 0'
    test_add = "assert add(1, 2) == 3\n" + hidden.format(tests=tests) + '\nprint("add was tested")'
    near = "np.testing.assert_allclose(scale({values}), {right})"
    test_scale = near.format(values='np.loadtxt("data.csv")', right="[-1.0, 0.0, 1.0]") + "\n"
    tests = near.format(values="np.array([4.0, 8.0])", right="[-2.0, 2.0]")
    test_scale += hidden.format(tests=tests)
    return [
        nbformat.v4.new_code_cell("import numpy as np", id="first"),
        cell("add", add, solution=True),
        cell("add-test", test_add, points=3),
        cell("scale", scale, solution=True),
        cell("scale-test", test_scale, points=2),
    ]


def cell(name: str, source: str, solution: bool = False, points: int | None = None) -> Any:
    """An answer cell, or a test cell worth ``points``."""
    metadata: dict[str, Any] = {"schema_version": 3, "task": False, "grade_id": name, "solution": solution}
    metadata |= {"grade": points is not None, "locked": points is not None}
    if points is not None:
        metadata["points"] = points
    return nbformat.v4.new_code_cell(source, id=name, metadata={"nbgrader": metadata})


def write(path: Path, cells: list[Any]) -> None:
    """Write a notebook of these cells."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def released(course: Course, assignment: str) -> Any:
    """What a student was given."""
    return lessons.read_notebook(course.root / "notebooks" / assignment / f"{assignment}.ipynb")


def answer(notebook: Any, sources: dict[str, str]) -> None:
    """Put answers into their cells; the heading of a bank exercise's cell stays."""
    for cell in notebook["cells"]:
        if cell.get("id") in sources:
            head = cell["source"].splitlines()[0] + "\n" if cell["source"].startswith("# exercise:") else ""
            cell["source"] = head + sources[cell["id"]]


def remember_secret(course: Course) -> None:
    """Put a word into the gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.root}/gradebook.db") as gradebook:
        gradebook.add_student("nobody", last_name=course.canaries["gradebook"])


def nbgrader(course: Course, *arguments: str) -> None:
    """Run one of nbgrader's commands, which has to succeed."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command, cwd=course.root, env=course.environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
