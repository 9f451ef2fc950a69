"""Three versions of a notebook into one: the new version of a lesson with what the learner wrote in the old one.

Own code, because nbdime settles conflicts by marks inside a cell or by leaving one side out; here the role of a cell
(answer, locked check, text) decides, and of two texts both stay.
"""

import copy
from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass, field

import nbformat
from nbformat import NotebookNode
from nbformat.validator import iter_validate

from tl_course.grading.tidy import give_ids

Key = Callable[[NotebookNode], Hashable | None]
COURSES_OWN = ("nbgrader", "editable", "deletable", "tl_course")  # metadata that is the course's, not the learner's


class Unreadable(Exception):
    """The file is no notebook."""


@dataclass
class Merged:
    """A merged notebook, and what of the learner's is in it.

    Args:
        notebook: valid for nbformat 4.5.
        answers: answers of the learner.
        cells: other cells that the learner changed or added.
        doubled: those of them that stand behind the course's version of the same cell.
        new_starts: ids of the exercises whose starting code is new, and which the learner has answered.
    """

    notebook: NotebookNode
    answers: int = 0
    cells: int = 0
    doubled: int = 0
    new_starts: list[str] = field(default_factory=list)


def read(content: bytes) -> NotebookNode:
    """A notebook of any version, as nbformat 4; ids may be missing or there twice.

    Raises:
        Unreadable: not UTF-8, not JSON, or not a notebook.
    """
    try:
        notebook = nbformat.reader.reads(content.decode("utf-8-sig"))
        notebook = notebook if notebook.nbformat == 4 else nbformat.convert(notebook, 4)
        # As 4.4, which knows no ids: whether they are there makes no difference here.
        error = next(iter(iter_validate(notebook, version=4, version_minor=4, relax_add_props=True)), None)
    except Exception as reason:  # whatever a notebook of an unexpected shape makes nbformat stumble over
        raise Unreadable(str(reason)) from reason
    if error is not None:
        raise Unreadable(str(error))
    return notebook


def write(notebook: NotebookNode) -> bytes:
    """A notebook's file, as the course writes it."""
    return (nbformat.writes(notebook) + "\n").encode()


def merge(base: NotebookNode, mine: NotebookNode, theirs: NotebookNode) -> Merged:
    """The new version with what the learner wrote.

    - The new version's cells come in its order. An answer keeps the learner's text and outputs. Of any other cell that
      one side changed, that side's text stays; where both did, or the cell is locked, the learner's follows the new one
      as a cell of its own.
    - A cell that the learner added stays behind the one it stood behind; so does one that the course removed and the
      learner had changed.
    - A cell that the learner deleted stays deleted, unless nbgrader needs it or it has a new text.

    Args:
        base: the version that the learner began with.
        mine: the learner's.
        theirs: the new version, valid for nbformat 4.5.
    """
    kept = _match(base.cells, mine.cells, (_id, _grade_id, _content))
    # The ids of a lesson's cells count them: in a new version another cell may have the id, so it is asked last.
    renewed = _match(base.cells, theirs.cells, (_grade_id, _id_and_content, _content, _id))
    merged = Merged(copy.deepcopy(theirs))
    merged.notebook.metadata = _metadata(base, mine, theirs)
    groups = [[], *_renewed(merged, base, mine, theirs, kept, renewed)]
    courses = {cell.id for cell in theirs.cells}
    place, old_of = 0, {number: old for old, number in kept.items()}
    for number, cell in enumerate(mine.cells):
        old = old_of.get(number)
        if old in renewed:
            place = renewed[old] + 1
        elif old is None or _content(cell) != _content(base.cells[old]):
            merged.cells += 1
            groups[place].append(_added(cell, courses) if old is None else _own(cell))
    merged.notebook.cells = [cell for group in groups for cell in group]
    give_ids([(cell, cell.get("id"), "yours") for cell in merged.notebook.cells])
    return merged


def _renewed(
    merged: Merged,
    base: NotebookNode,
    mine: NotebookNode,
    theirs: NotebookNode,
    kept: dict[int, int],
    renewed: dict[int, int],
) -> list[list[NotebookNode]]:
    """For each cell of the new version what takes its place, with the learner's text where that stays."""
    old_of = {number: old for old, number in renewed.items()}
    groups = []
    for number, cell in enumerate(theirs.cells):
        old = old_of.get(number)
        if old is None:
            groups.append([copy.deepcopy(cell)])
        else:
            own = mine.cells[kept[old]] if old in kept else None
            groups.append(_resolve(merged, base.cells[old], own, cell))
    return groups


def _match(old: Sequence[NotebookNode], new: Sequence[NotebookNode], keys: Sequence[Key]) -> dict[int, int]:
    """Place in ``old`` -> place in ``new`` of the same cell, one to one; an earlier key wins over a later one."""
    pairs: dict[int, int] = {}
    for key in keys:
        taken = set(pairs.values())
        free: dict[Hashable, list[int]] = {}
        for place, cell in enumerate(new):
            if place not in taken and key(cell) is not None:
                free.setdefault(key(cell), []).append(place)
        for place, cell in enumerate(old):
            if place not in pairs and (found := free.get(key(cell))):
                pairs[place] = found.pop(0)
    return pairs


def _id(cell: NotebookNode) -> str | None:
    identity = cell.get("id")
    return identity if isinstance(identity, str) else None


def _grade_id(cell: NotebookNode) -> str | None:
    nbgrader = cell.metadata.get("nbgrader")
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return name if isinstance(name, str) else None


def _content(cell: NotebookNode) -> tuple[str, str]:
    return cell.cell_type, cell.source


def _id_and_content(cell: NotebookNode) -> tuple[str, tuple[str, str]] | None:
    identity = _id(cell)
    return None if identity is None else (identity, _content(cell))


def _resolve(merged: Merged, base: NotebookNode, mine: NotebookNode | None, theirs: NotebookNode) -> list[NotebookNode]:
    """What takes the place of a cell of the new version: none, one, or it and the learner's."""
    nbgrader = theirs.metadata.get("nbgrader", {})
    updated = _content(theirs) != _content(base)
    if mine is None:
        return [copy.deepcopy(theirs)] if updated or nbgrader else []
    if _content(mine) == _content(base):
        return [_taken_over(base, mine, theirs, outputs=not updated)]
    updated = updated and _content(mine) != _content(theirs)
    if nbgrader.get("solution"):
        merged.answers += 1
        merged.new_starts += [nbgrader["grade_id"].rpartition("-")[0]] if updated else []
    else:
        merged.cells += 1
        if updated or nbgrader.get("locked"):
            merged.doubled += 1
            return [copy.deepcopy(theirs), _own(mine)]
    cell = copy.deepcopy(mine)
    cell.id, cell.metadata = theirs.id, _metadata(base, mine, theirs)
    return [cell]


def _taken_over(base: NotebookNode, mine: NotebookNode, theirs: NotebookNode, outputs: bool) -> NotebookNode:
    """The new version's cell, with the learner's metadata and, where they still belong to it, outputs."""
    cell = copy.deepcopy(theirs)
    cell.metadata = _metadata(base, mine, theirs)
    if outputs and cell.cell_type == "code":
        cell.outputs, cell.execution_count = copy.deepcopy(mine.outputs), mine.execution_count
    return cell


def _own(mine: NotebookNode) -> NotebookNode:
    """A cell of the course that is the learner's from now on: nbgrader knows it no more, and it can be deleted."""
    cell = copy.deepcopy(mine)
    cell.pop("id", None)
    for name in COURSES_OWN:
        cell.metadata.pop(name, None)
    return cell


def _added(mine: NotebookNode, courses: Set[str]) -> NotebookNode:
    """A cell that the learner added, with its id unless that is now one of the course's."""
    cell = copy.deepcopy(mine)
    if _id(cell) in courses:
        cell.pop("id")
    return cell


def _metadata(base: NotebookNode, mine: NotebookNode, theirs: NotebookNode) -> NotebookNode:
    """The new metadata of a cell or notebook, with the entries that the learner changed."""
    result = copy.deepcopy(theirs.metadata)
    for name, value in mine.metadata.items():
        if name not in COURSES_OWN and value != base.metadata.get(name):
            result[name] = copy.deepcopy(value)
    return result
