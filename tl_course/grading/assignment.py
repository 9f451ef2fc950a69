"""What was set: an assignment's notebooks as the gradebook holds them, hidden tests included, and its other files."""

import difflib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from nbgrader import api
from nbgrader.coursedir import CourseDirectory

from tl_course.errors import BadInput
from tl_course.exercises.engine.stub import marker
from tl_course.i18n import _

_HEADING = re.compile(
    re.escape(marker("ID", "FRAMEWORK")).replace("ID", r"[\w.-]+").replace("FRAMEWORK", r"[\w.-]+") + r"\s*"
)


@dataclass(frozen=True)
class SourceCell:
    """One nbgrader cell of an assignment.

    ``source`` holds hidden tests; ``released`` is the text that learners got, where the released notebook is there.
    ``points`` is 0 for cells that carry none; ``checksum`` is empty where nbgrader keeps none.
    """

    name: str
    cell_type: str
    source: str
    checksum: str
    locked: bool
    grade: bool
    solution: bool
    task: bool
    points: float
    released: str | None = None

    @property
    def is_test(self) -> bool:
        """Whether running the cell earns points."""
        return self.grade and not self.solution


@dataclass(frozen=True)
class SourceNotebook:
    """A notebook's nbgrader cells, in the notebook's order."""

    name: str
    cells: tuple[SourceCell, ...]
    kernelspec: dict[str, Any] | None


@dataclass(frozen=True)
class Assignment:
    """What was set. ``files`` are the source folder's other files, by relative posix path."""

    name: str
    notebooks: tuple[SourceNotebook, ...]
    files: dict[str, Path]


def load(gradebook: api.Gradebook, coursedir: CourseDirectory, name: str) -> Assignment:
    """Read an assignment from the gradebook, in seven queries whatever its size.

    Raises:
        BadInput: the gradebook does not know the assignment, or no notebook of it.
    """
    try:
        found: Any = gradebook.find_assignment(name)
    except api.MissingEntry:
        raise _unknown(gradebook, name) from None
    notebooks: list[Any] = list(found.notebooks)
    if not notebooks:  # as nbgrader leaves it where releasing failed; with grades it could not be released any more
        remedy = _("run `nbgrader generate_assignment {name}`, and mend what it complains of").format(name=name)
        raise BadInput(_("an assignment with notebooks"), _("none in {name}").format(name=repr(name)), remedy)
    cells = _cells(gradebook, [notebook.id for notebook in notebooks])
    return Assignment(
        name,
        tuple(_notebook(notebook, cells[notebook.id], coursedir, name) for notebook in notebooks),
        _files(Path(coursedir.format_path(coursedir.source_directory, ".", name)), coursedir.ignore),
    )


def heading(source: str) -> str | None:
    """The comment that says whose answer a cell holds, when it is the cell's first line that is not blank."""
    first = source.lstrip().partition("\n")[0]
    return first.strip() if _HEADING.fullmatch(first) else None


def _unknown(gradebook: api.Gradebook, name: str) -> BadInput:
    known = sorted(assignment.name for assignment in gradebook.assignments)
    similar = difflib.get_close_matches(name, known, n=3)
    remedy = _("run `nbgrader generate_assignment {name}` first").format(name=name)
    if similar:
        remedy = _("did you mean {names}? Otherwise {remedy}").format(names=", ".join(similar), remedy=remedy)
    return BadInput(_("an assignment that is in the gradebook"), repr(name), remedy)


def _cells(gradebook: api.Gradebook, notebooks: list[str]) -> dict[str, list[SourceCell]]:
    """Notebook id to its cells, in the gradebook's own order."""
    query: Any = gradebook.db.query

    def rows(kind: Any, *columns: Any) -> list[Any]:
        return query(kind.notebook_id, kind.name, *columns).filter(kind.notebook_id.in_(notebooks)).all()

    grades = {(row[0], row[1]): row[2] for row in rows(api.GradeCell, api.GradeCell.max_score)}
    tasks = {(row[0], row[1]): row[2] for row in rows(api.TaskCell, api.TaskCell.max_score)}
    solutions = {(row[0], row[1]) for row in rows(api.SolutionCell)}
    kind: Any = api.SourceCell
    cells: dict[str, list[SourceCell]] = defaultdict(list)
    for row in rows(kind, kind.cell_type, kind.source, kind.checksum, kind.locked):
        notebook, name, cell_type, source, checksum, locked = row
        which = (notebook, name)
        points = float(grades.get(which, tasks.get(which, 0.0)))
        flags = (bool(locked), which in grades, which in solutions, which in tasks)
        cells[notebook].append(SourceCell(name, cell_type, source or "", checksum or "", *flags, points))
    return cells


def _notebook(notebook: Any, cells: list[SourceCell], coursedir: CourseDirectory, assignment: str) -> SourceNotebook:
    folders = (coursedir.release_directory, coursedir.source_directory)
    paths = [Path(coursedir.format_path(step, ".", assignment)) / f"{notebook.name}.ipynb" for step in folders]
    texts = [_texts(path) for path in paths]
    order = max(texts, key=lambda found: sum(cell.name in found for cell in cells))
    rank = {name: number for number, name in enumerate(order)}
    ordered = sorted(cells, key=lambda cell: rank.get(cell.name, len(rank)))
    return SourceNotebook(
        notebook.name,
        tuple(replace(cell, released=texts[0].get(cell.name)) for cell in ordered),
        _kernelspec(notebook.kernelspec),
    )


def _texts(path: Path) -> dict[str, str]:
    """Grade id to text, in order, of a notebook of the teacher's; empty where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = [(cell["metadata"].get("nbgrader", {}).get("grade_id"), cell["source"]) for cell in content["cells"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {name: source if isinstance(source, str) else "".join(source) for name, source in cells if name}


def _kernelspec(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("name") else None


def _files(folder: Path, ignore: Iterable[str]) -> dict[str, Path]:
    """Files that are no notebooks, by relative posix path; links count only where they stay inside."""
    patterns = [*ignore, "*.ipynb"]

    def wanted(name: str) -> bool:
        return not any(fnmatch(name, pattern) for pattern in patterns)

    root, found = folder.resolve(), {}
    for place, folders, names in os.walk(root):
        folders[:] = sorted(filter(wanted, folders))
        for name in sorted(filter(wanted, names)):
            path = Path(place, name)
            if path.is_file() and path.resolve().is_relative_to(root):
                found[path.relative_to(root).as_posix()] = path
    return found
