"""The answers of a class, exercise by exercise, taken from the notebooks that were handed in."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.exercises.engine.stub import marker, stub
from tl_course.grading.assignment import SourceCell, SourceNotebook, heading, load
from tl_course.grading.imports import imported
from tl_course.grading.submission import find, read_notebook
from tl_course.i18n import _


@dataclass
class Task:
    """One thing to answer: an exercise in one framework, or a teacher's own solution cell.

    Attributes:
        name: grade id of the answer's cell.
        exercise: the bank's id of the exercise, or the grade id.
        known: texts that everybody may have: the stub, the reference, named alternatives and mistakes.
        allowed: modules that the stub or the reference imports.
        answers: student to source text.
    """

    name: str
    exercise: str
    heading: str | None
    known: list[str]
    allowed: set[str]
    answers: dict[str, str] = field(default_factory=dict)


def collect(
    gradebook: Gradebook, coursedir: CourseDirectory, assignment: str, only: str = ""
) -> tuple[list[Task], dict[str, str]]:
    """Every task of an assignment with its answers, and the students who could not be read, with the reason.

    Args:
        gradebook: knows what was set.
        coursedir: knows where it was handed in.
        assignment: its name.
        only: this exercise alone, by its id or by a cell's grade id.

    Raises:
        BadInput: no such assignment in the gradebook, or no such exercise in it.
    """
    notebooks = [
        (notebook, _tasks(coursedir, assignment, notebook))
        for notebook in load(gradebook, coursedir, assignment).notebooks
    ]
    tasks = [task for _notebook, found in notebooks for task in found]
    wanted = [task for task in tasks if only in ("", task.exercise, task.name)]
    if not wanted:
        names = ", ".join(dict.fromkeys(task.exercise for task in tasks)) or _("none")
        raise BadInput(_("an exercise out of {names}").format(names=names), repr(only), _("name one of these"))
    problems: dict[str, str] = {}
    for submission in find(coursedir, assignment):
        if submission.problem is not None:
            problems[submission.student] = submission.problem
            continue
        for notebook, found in notebooks:
            reading = read_notebook(submission.folder, notebook)
            if reading.notebook is None:
                problems[submission.student] = reading.problem or ""
            else:
                _take(reading.notebook, found, submission.student)
    return wanted, problems


def _take(notebook: dict[str, Any], tasks: Iterable[Task], student: str) -> None:
    """Add the student's answers: by grade id, or else by heading; of several cells the last one that is not empty."""
    cells = list(_code(notebook))
    for task in tasks:
        named = [text for name, text in cells if name == task.name]
        headed = [text for _name, text in cells if task.heading and heading(text) == task.heading]
        texts = [text for text in [*headed, *named] if text.strip()]
        if texts:
            task.answers[student] = texts[-1]


def _code(notebook: dict[str, Any]) -> Iterable[tuple[str | None, str]]:
    """Grade id and text of each code cell, whatever shape the notebook has."""
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else []:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source")
        text = source if isinstance(source, str) else "".join(map(str, source)) if isinstance(source, list) else ""
        yield _grade_id(cell), text


def _grade_id(cell: dict[str, Any]) -> str | None:
    metadata = cell.get("metadata")
    label = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return label.get("grade_id") if isinstance(label, dict) else None


def _tasks(coursedir: CourseDirectory, assignment: str, notebook: SourceNotebook) -> list[Task]:
    bank = {
        f"{exercise.id}-{framework}": (exercise, framework)
        for exercise in exercises.all_exercises()
        for framework in exercise.variants
    }
    folder = Path(coursedir.format_path(coursedir.source_directory, ".", assignment))
    solutions = _solutions(folder / f"{notebook.name}.ipynb")
    found = []
    for cell in notebook.cells:
        if not cell.solution or cell.cell_type != "code":
            continue
        own = [text for text in (cell.source, cell.released, solutions.get(cell.name)) if text]
        found.append(_bank_task(cell, *bank[cell.name], own) if cell.name in bank else _own_task(cell, own))
    return found


def _bank_task(cell: SourceCell, exercise: Any, framework: str, own: list[str]) -> Task:
    variant = exercise.variant(framework)
    wrong = [mistake.code(variant.reference) for mistake in variant.mistakes.values()]
    known = [stub(variant), variant.reference, *variant.alternatives.values(), *wrong, *own]
    allowed = imported(stub(variant)) | imported(variant.reference)
    return Task(cell.name, exercise.id, marker(exercise.id, framework), known, allowed)


def _own_task(cell: SourceCell, own: list[str]) -> Task:
    return Task(cell.name, cell.name, None, own, {name for text in own for name in imported(text)})


def _solutions(path: Path) -> dict[str, str]:
    """Grade id to the teacher's own text, from the source folder; empty where it cannot be read."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: text for name, text in _code(notebook) if name} if isinstance(notebook, dict) else {}
