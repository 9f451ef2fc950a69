"""Lessons: from ``lessons/NN_topic.py`` to the executed notebook with solutions and the one that learners open.

A lesson is a Python file in jupytext's percent format with a YAML header (title, minutes, and what else the header cell
shows). A cell ``# %% exercise: <id>`` stands for an exercise of the bank and becomes its statement, one answer cell for
each framework, and the graded check. A cell tagged ``varies`` has output that differs from run to run; so has one that
makes a claim, which asserts its figures instead.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_course import exercises, lesson_cells
from tl_course.errors import BadInput, CourseError
from tl_course.i18n import _

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
SOURCES, SOLUTIONS, RELEASED = ROOT / "lessons", ROOT / "solutions", ROOT / "notebooks"
CELL_LIMIT = 300  # seconds for one cell
TIME_LIMIT = 120  # seconds for one notebook; a test holds the measured times to it
HEADER_KEYS = ("title", "minutes", "know_first", "after", "aims")
_EXERCISE = re.compile(r"^# %% exercise: *(\S+)", re.MULTILINE)
_HEADER = re.compile(r"# ---\n(.*?)# ---\n", re.DOTALL)
WIDGET = "application/vnd.jupyter.widget-view+json"


def names() -> list[str]:
    """Every lesson, in order: the file names without their ending."""
    return sorted(path.stem for path in SOURCES.glob("[0-9][0-9]_*.py"))


def notebook_path(name: str, folder: Path = SOLUTIONS) -> Path:
    """Where a lesson's notebook lies, below the solutions or another folder of nbgrader's layout."""
    return folder / name / f"{name}.ipynb"


def header(name: str) -> dict[str, Any]:
    """What a lesson's header says: title, minutes, know_first, after (the lessons to do before), aims.

    Raises:
        BadInput: it lacks one of these, or is no YAML.
    """
    import yaml

    remedy = "see CONTRIBUTING.md, add a lesson"
    text = (SOURCES / f"{name}.py").read_text(encoding="utf-8")
    found = _HEADER.match(text)
    if found is None:
        raise BadInput("a lesson that starts with a YAML header", name, remedy)
    try:
        values = yaml.safe_load(found[1].replace("# ", ""))
    except yaml.YAMLError as error:
        raise BadInput("a YAML header", f"{name}: {' '.join(str(error).split())}", remedy) from error
    missing = [key for key in HEADER_KEYS if key not in (values or {})]
    if missing:
        raise BadInput(f"a header with {', '.join(HEADER_KEYS)}", f"{name} without {', '.join(missing)}", remedy)
    numbers = {other[:2]: other for other in names()}
    unknown = [number for number in values["after"] if number not in numbers]
    if unknown:
        raise BadInput(f"lessons among {', '.join(numbers)} in `after`", f"{name}: {', '.join(unknown)}", remedy)
    return {**values, "after": [numbers[number] for number in values["after"]]}


def exercises_of(name: str) -> list[str]:
    """The ids of the exercises that stand in a lesson, in order."""
    return _EXERCISE.findall((SOURCES / f"{name}.py").read_text(encoding="utf-8"))


def listing() -> list[dict[str, Any]]:
    """Every lesson as plain data: the rows of ``tl-course lessons``."""
    rows = []
    for name in names():
        known, used = header(name), [exercises.get(one) for one in exercises_of(name)]
        frameworks = sorted({framework for exercise in used for framework in exercise.variants})
        row = {"id": name, **{key: known[key] for key in ("title", "minutes", "after")}, "frameworks": frameworks}
        claims = len(lesson_cells.CLAIM.findall((SOURCES / f"{name}.py").read_text(encoding="utf-8")))
        rows.append({**row, "exercises": [exercise.id for exercise in used], "claims": claims})
    return rows


def build(chosen: Iterable[str] | None = None, execute: bool = True) -> list[str]:
    """Make the notebooks of these lessons, or of all: solutions (executed unless told otherwise) and released ones.

    Raises:
        BadInput: there is no such lesson.
        CourseError: a lesson's cell failed, or ran longer than `CELL_LIMIT`.
    """
    built = []
    for name in chosen or names():
        if name not in names():
            raise BadInput("a lesson", repr(name), f"name one of {', '.join(names())}")
        target = notebook_path(name)
        known = read_notebook(target).metadata.get("tl_course", {}) if target.exists() else {}
        notebook = compose(name, seconds=known.get("seconds"))
        if execute:
            notebook = _execute(notebook, name)
        write_notebook(notebook, target)
        release(name, RELEASED)
        built.append(name)
    return built


def compose(name: str, seconds: int | None) -> "NotebookNode":
    """A lesson's notebook with solutions, not executed. ``seconds`` is its measured time, shown in the header."""
    import nbformat

    source = _read(name)
    cells = [lesson_cells.header(source.metadata, name, seconds)]
    for cell in source.cells:
        if exercise_id := _exercise_id(cell):
            cells += lesson_cells.exercise_cells(exercise_id)
        else:
            cells.append(lesson_cells.plain_cell(cell, name, len(cells)))
    cells[1:1] = [lesson_cells.bootstrap(name)]  # last, as the number of cells before it is part of a cell's id
    cells += lesson_cells.quiz_cells(name)
    metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "tl_course": {"seconds": seconds},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata, nbformat_minor=5)


def release(name: str, folder: Path) -> None:
    """Make what learners open, with nbgrader's own generate_assignment.

    Raises:
        CourseError: nbgrader refused; the message holds its words.
    """
    with tempfile.TemporaryDirectory(prefix="tl_course_release_") as work:
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", name, "--no-db", "--force", "--create"]
        paths = [f"--CourseDirectory.release_directory={work}/release", f"--CourseDirectory.root={ROOT}"]
        done = subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, env=_environment())
        made = Path(work) / "release" / name / f"{name}.ipynb"
        if done.returncode != 0 or not made.exists():
            raise CourseError(f"nbgrader could not release {name}: {done.stderr.strip()[-2000:]}")
        write_notebook(read_notebook(made), notebook_path(name, folder))


def drift(name: str) -> list[str]:
    """What in a lesson's committed notebooks is not what its source and the bank make; empty when all is well."""
    path = notebook_path(name)
    if not path.exists() or not notebook_path(name, RELEASED).exists():
        return [_("{name}: its notebooks are missing; run make notebooks").format(name=name)]
    committed = read_notebook(path)
    expected = compose(name, committed.metadata.get("tl_course", {}).get("seconds"))
    found = [
        _("{name}: cell {number} of solutions differs from the source; run make notebooks").format(
            name=name, number=number
        )
        for number, (old, new) in enumerate(zip(committed.cells, expected.cells, strict=False))
        if (old.source, old.metadata, old.id) != (new.source, new.metadata, new.id)
    ]
    if len(committed.cells) != len(expected.cells):
        found.append(_("{name}: solutions has another number of cells; run make notebooks").format(name=name))
    with tempfile.TemporaryDirectory(prefix="tl_course_drift_") as folder:
        release(name, Path(folder))
        if notebook_path(name, Path(folder)).read_bytes() != notebook_path(name, RELEASED).read_bytes():
            found.append(_("{name}: the released notebook differs; run make notebooks").format(name=name))
    return found


def read_notebook(path: Path) -> "NotebookNode":
    """Read a notebook."""
    import nbformat

    return nbformat.read(path, as_version=4)


def write_notebook(notebook: "NotebookNode", path: Path) -> None:
    """Write a notebook whole or not at all."""
    import nbformat

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    os.replace(draft, path)


def _read(name: str) -> "NotebookNode":
    import jupytext

    values = header(name)
    source = jupytext.read(SOURCES / f"{name}.py", fmt="py:percent")
    source.cells.pop(0)  # the header
    source.metadata.update(values)
    return source


def _exercise_id(cell: "NotebookNode") -> str | None:
    title = cell.metadata.get("title", "")
    return title.removeprefix("exercise:").strip() if title.startswith("exercise:") else None


def _environment() -> dict[str, str]:
    """What lessons are executed and released in: this Python's programs come first, progress is thrown away."""
    folder = str(Path(sys.executable).parent)
    home = os.environ.get("TL_COURSE_HOME", tempfile.gettempdir() + "/tl_course_build")
    path = folder + os.pathsep + os.environ.get("PATH", "")
    return {**os.environ, "PATH": path, "TL_COURSE_HOME": home, "TL_COURSE_SEED": "1"}


def _execute(notebook: "NotebookNode", name: str) -> "NotebookNode":
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    with tempfile.TemporaryDirectory(prefix="tl_course_run_") as home:
        environment = {**_environment(), "TL_COURSE_HOME": home}
        client = NotebookClient(notebook, timeout=CELL_LIMIT, resources={"metadata": {"path": str(ROOT)}})
        started: list[str] = []
        client.on_cell_start = lambda cell, cell_index: started.append(cell.id)
        begin = time.perf_counter()
        try:
            client.execute(env=environment)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise CourseError(f"{name}: cell {started[-1] if started else 'none'}: {error}") from error
        seconds = round(time.perf_counter() - begin)
    fresh = compose(name, seconds)
    for cell, done in zip(fresh.cells, notebook.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = _stable_outputs(done.outputs), done.execution_count
    return fresh


def _stable_outputs(outputs: list["NotebookNode"]) -> list["NotebookNode"]:
    """Outputs without what changes from run to run and nobody reads; of widgets, which are gone, only their twins."""
    kept = []
    for output in outputs:
        widget = output.get("data", {}).pop(WIDGET, None) is not None
        noise = output.output_type == "stream" and output.name == "stderr"
        if not noise and (not widget or "text/html" in output.data):
            kept.append(output)
    return kept
