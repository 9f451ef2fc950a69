"""Lessons: from ``lessons/NN_topic.py`` to the executed notebook with solutions and the one that learners open.

A lesson is a Python file in jupytext's percent format with a YAML header (title, minutes, and what else the header cell
shows). A cell ``# %% exercise: <id>`` stands for an exercise of the bank and becomes its statement, one answer cell for
each framework, and the graded check. A cell tagged ``varies`` has output that differs from run to run; so has one that
makes a claim, which asserts its figures instead.
"""

import copy
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_course import exercises
from tl_course.errors import BadInput, CourseError
from tl_course.exercises.engine.stub import marker, solution
from tl_course.i18n import _

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
SOURCES, SOLUTIONS, RELEASED = ROOT / "lessons", ROOT / "solutions", ROOT / "notebooks"
CELL_LIMIT = 300  # seconds for one cell
TIME_LIMIT = 120  # seconds for one notebook; a test holds the measured times to it
HEADER_KEYS = ("title", "minutes", "know_first", "aims")
_CLAIM = re.compile(r"^claim\(", re.MULTILINE)
NBGRADER = {"schema_version": 3, "task": False}


def names() -> list[str]:
    """Every lesson, in order: the file names without their ending."""
    return sorted(path.stem for path in SOURCES.glob("[0-9][0-9]_*.py"))


def notebook_path(name: str, folder: Path = SOLUTIONS) -> Path:
    """Where a lesson's notebook lies, below the solutions or another folder of nbgrader's layout."""
    return folder / name / f"{name}.ipynb"


def listing() -> list[dict[str, Any]]:
    """Every lesson as plain data: the rows of ``tl-course lessons``."""
    rows = []
    for name in names():
        source = _read(name)
        used = [exercises.get(_exercise_id(cell)) for cell in source.cells if _exercise_id(cell)]
        known = {"id": name, "title": source.metadata["title"], "minutes": source.metadata["minutes"]}
        frameworks = sorted({framework for exercise in used for framework in exercise.variants})
        claims = sum(1 for cell in source.cells if cell.cell_type == "code" and _CLAIM.search(cell.source))
        rows.append({**known, "frameworks": frameworks, "exercises": [e.id for e in used], "claims": claims})
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
    cells = [_header(source.metadata, name, seconds)]
    for cell in source.cells:
        exercise_id = _exercise_id(cell)
        cells += _exercise_cells(exercise_id) if exercise_id else [_plain_cell(cell, name, len(cells))]
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
    import yaml

    source = jupytext.read(SOURCES / f"{name}.py", fmt="py:percent")
    header = source.cells.pop(0) if source.cells and source.cells[0].cell_type == "raw" else None
    if header is None:
        raise BadInput("a lesson that starts with a YAML header", name, "see CONTRIBUTING.md, add a lesson")
    remedy = "see CONTRIBUTING.md, add a lesson"
    try:
        values = yaml.safe_load(header.source.strip().strip("-"))
    except yaml.YAMLError as error:
        raise BadInput("a YAML header", f"{name}: {' '.join(str(error).split())}", remedy) from error
    missing = [key for key in HEADER_KEYS if key not in (values or {})]
    if missing:
        raise BadInput(f"a header with {', '.join(HEADER_KEYS)}", f"{name} without {', '.join(missing)}", remedy)
    source.metadata.update(values)
    return source


def _exercise_id(cell: "NotebookNode") -> str | None:
    title = cell.metadata.get("title", "")
    return title.removeprefix("exercise:").strip() if title.startswith("exercise:") else None


def _header(metadata: dict[str, Any], name: str, seconds: int | None) -> "NotebookNode":
    import nbformat

    ran = _("not measured yet") if seconds is None else _("{seconds} s on two cores").format(seconds=seconds)
    rows = [
        (_("Time"), _("about {minutes} minutes with the exercises").format(minutes=metadata["minutes"])),
        (_("Running every cell"), ran),
        (_("Know first"), metadata["know_first"]),
        (_("You will be able to"), metadata["aims"]),
    ]
    table = "\n".join(f"| **{title}** | {text} |" for title, text in rows)
    source = f"# {metadata['title']}\n\n| | |\n|:--|:--|\n{table}"
    return nbformat.v4.new_markdown_cell(source, id=f"{name}-header")


def _plain_cell(cell: "NotebookNode", name: str, number: int) -> "NotebookNode":
    new = copy.deepcopy(cell)
    new.id = f"{name}-{number:03d}"
    tags = list(new.metadata.get("tags", []))
    if new.cell_type == "code":
        new.execution_count, new.outputs = None, []
        # A claim asserts what it measured; the figures it shows differ a little between machines.
        tags += ["nbval-ignore-output"] if "varies" in tags or _CLAIM.search(new.source) else []
    new.metadata = type(new.metadata)({"tags": tags} if tags else {})
    return new


def _exercise_cells(exercise_id: str) -> list["NotebookNode"]:
    import nbformat

    exercise = exercises.get(exercise_id)
    stars = "\N{BLACK STAR}" * exercise.difficulty + "\N{WHITE STAR}" * (5 - exercise.difficulty)
    about = _("{points} points · about {minutes} minutes · difficulty {stars}")
    about = about.format(points=exercise.points, minutes=exercise.minutes, stars=stars)
    help_line = _('Stuck? `hint("{id}")` in a new cell. Afterwards: `solution("{id}")`.').format(id=exercise_id)
    either = (
        _("Answer in one framework or in both: the better answer counts.") + " " if len(exercise.variants) > 1 else ""
    )
    statement = f"### {_('Exercise')}: {exercise.title}\n\n{about}\n\n{exercise.statement}\n\n{either}{help_line}"
    cells = [nbformat.v4.new_markdown_cell(statement, id=f"{exercise_id}-statement")]
    for framework, variant in exercise.variants.items():
        grade_id = f"{exercise_id}-{framework}"
        code = f"{marker(exercise_id, framework)}\n{solution(variant).strip()}"
        nbgrader = {**NBGRADER, "grade": False, "grade_id": grade_id, "locked": False, "solution": True}
        cells.append(nbformat.v4.new_code_cell(code, id=grade_id, metadata={"nbgrader": nbgrader}))
    grade_id = f"{exercise_id}-check"
    nbgrader = {
        **NBGRADER,
        "grade": True,
        "grade_id": grade_id,
        "locked": True,
        "points": exercise.points,
        "solution": False,
    }
    code = f'check("{exercise_id}")\n### BEGIN HIDDEN TESTS\nfrom tl_course.notebook import grading_seed\n\n'
    code += f'check("{exercise_id}", seed=grading_seed())\n### END HIDDEN TESTS'
    cells.append(nbformat.v4.new_code_cell(code, id=grade_id, metadata={"nbgrader": nbgrader}))
    return cells


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
    """Outputs without what changes from run to run and nobody reads."""
    return [output for output in outputs if not (output.output_type == "stream" and output.name == "stderr")]
