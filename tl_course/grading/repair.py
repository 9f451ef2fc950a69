"""Mending a notebook that was handed in: every cell that was set is there once, as it was set, around the answers."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme
from nbgrader.utils import compute_checksum

from tl_course.grading.answered import NAMES_IT, how_surely, is_candidate
from tl_course.grading.assignment import SourceCell, SourceNotebook, heading
from tl_course.grading.tidy import give_ids, plain, retype, text, tidy_cell, tidy_metadata
from tl_course.i18n import _

MAX_CELLS = 5000
SCHEMA = 3  # of nbgrader's cell metadata
_FLAGS = ("grade", "solution", "locked", "task")


@dataclass
class _Cell:
    """A cell of the submission on its way: where it stood, and the label it came with."""

    number: int  # from 1
    node: NotebookNode
    identity: Any
    label: Any
    name: str | None = None  # of the source cell that it is

    @property
    def shown(self) -> str:
        return _("Cell {number}").format(number=self.number)


@dataclass
class _Notes:
    """What was repaired, to be told in the order of the cells."""

    found: list[tuple[tuple[int, int], str]] = field(default_factory=list)

    def add(self, key: tuple[int, int], sentence: str) -> None:
        self.found.append((key, sentence))

    def sentences(self) -> list[str]:
        return [sentence for _key, sentence in sorted(self.found, key=lambda pair: pair[0])]


def repair(notebook: dict[str, Any], source: SourceNotebook) -> tuple[NotebookNode, list[str]]:
    """A notebook that nbformat 4.5 and nbgrader accept, whatever came in, and what was repaired, a sentence each.

    Every cell of ``source`` is in it once, with the assignment's metadata and, unless it is an answer, its text. What
    the learner wrote is kept; outputs are cleared. Repairing the result again changes nothing.
    """
    notes = _Notes()
    known = {cell.name: cell for cell in source.cells}
    cells = _tidy(_bounded(notebook.get("cells"), known, notes), notes)
    chosen = _labelled(cells, known, notes)
    _adopt(cells, chosen, source, notes)
    for name, cell in chosen.items():
        _restore(cell, known[name], notes)
    keys = _order(chosen, source, notes)
    for missing in (cell for cell in source.cells if cell.name not in chosen):
        cells.append(_add(missing, keys[missing.name]))
    ordered = sorted(cells, key=lambda cell: keys[cell.name] if cell.name else (cell.number, 0))
    _give_ids(ordered)
    metadata = tidy_metadata(notebook.get("metadata"), source.kernelspec, lambda said: notes.add((-1, 0), said))
    nodes = [cell.node for cell in ordered]
    return NotebookNode(nbformat=4, nbformat_minor=5, metadata=metadata, cells=nodes), notes.sentences()


def _bounded(raw: Any, known: dict[str, SourceCell], notes: _Notes) -> list[Any]:
    """At most `MAX_CELLS` cells; of those beyond, the last with each label that was set."""
    if not isinstance(raw, list):
        notes.add((-1, 1), _("The notebook had no cells."))
        return []
    if len(raw) <= MAX_CELLS + len(known):
        return raw
    beyond = {name: cell for cell in raw[MAX_CELLS:] if (name := _name(_label(cell))) in known}
    dropped = len(raw) - MAX_CELLS - len(beyond)
    if dropped:
        notes.add(
            (-1, 1), _("{count} cells beyond the first {most} were left out.").format(count=dropped, most=MAX_CELLS)
        )
    return [*raw[:MAX_CELLS], *beyond.values()]


def _tidy(raw: list[Any], notes: _Notes) -> list[_Cell]:
    cells = []
    for number, item in enumerate(raw, 1):
        shown = _("Cell {number}").format(number=number)
        if isinstance(item, dict):
            node = tidy_cell(item, shown, lambda said, number=number: notes.add((number, 0), said))
            cells.append(_Cell(number, node, item.get("id"), _label(item)))
        else:
            notes.add((number, 0), _("{cell} was not a cell and was left out.").format(cell=shown))
    return cells


def _label(raw: Any) -> Any:
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    return metadata.get("nbgrader") if isinstance(metadata, dict) else None


def _name(label: Any) -> str | None:
    name = label.get("grade_id") if isinstance(label, dict) else None
    return name if isinstance(name, str) else None


def _labelled(cells: list[_Cell], known: dict[str, SourceCell], notes: _Notes) -> dict[str, _Cell]:
    """Name to the cell that bears it: the last, where several do, of answers the last that says something.

    The others become ordinary cells: Jupyter gives both parts of a cell that is split the same label, and one part is
    often empty.
    """
    chosen: dict[str, _Cell] = {}
    for cell in reversed(cells):
        name = _name(cell.label)
        if name in known and (name not in chosen or _says_more(cell, chosen[name], known[name])):
            chosen[name] = cell
    for name, cell in chosen.items():
        cell.name = name
    for cell in reversed(cells):
        name = _name(cell.label)
        if name in chosen:
            said = _("{cell} is an earlier copy of '{name}' and became an ordinary cell; the last one counts.")
            if cell.number > chosen[name].number:
                said = _("{cell} is a copy of '{name}' without an answer and became an ordinary cell.")
            if cell is not chosen[name]:
                notes.add((cell.number, 1), said.format(cell=cell.shown, name=name))
        elif isinstance(cell.label, dict) and any(cell.label.get(flag) for flag in _FLAGS):
            said = _("{cell} had the label {name}, which was not set, and became an ordinary cell.")
            notes.add((cell.number, 1), said.format(cell=cell.shown, name=repr(text(str(name)))[:80]))
        elif cell.label is not None and not isinstance(cell.label, dict):
            said = _("{cell} had a malformed label and became an ordinary cell.")
            notes.add((cell.number, 1), said.format(cell=cell.shown))
    return chosen


def _says_more(cell: _Cell, other: _Cell, source: SourceCell) -> bool:
    """Whether a copy of an answer is more surely the answer than another."""
    return source.solution and how_surely(cell.node.source, source) > how_surely(other.node.source, source)


def _adopt(cells: list[_Cell], chosen: dict[str, _Cell], source: SourceNotebook, notes: _Notes) -> None:
    """Take cells that lost their label for what they are: by the cell's id, by an answer's heading or by its name."""
    _move(cells, chosen, source, notes)
    missing = {cell.name: cell for cell in source.cells if cell.name not in chosen}
    heads = {found: name for name, cell in missing.items() if cell.solution and (found := heading(cell.source))}
    for cell in reversed(cells) if missing else ():
        if cell.name is not None:
            continue
        head = heading(cell.node.source) if cell.node.cell_type == "code" else None
        name = heads.get(head) if head else cell.identity if isinstance(cell.identity, str) else None
        if name in missing and name not in chosen:
            chosen[name] = cell
            cell.name = name
            said = _("{cell} had lost its label and was recognised as '{name}'.")
            notes.add((cell.number, 1), said.format(cell=cell.shown, name=name))
    for name, known in missing.items():
        if name not in chosen and (found := _elsewhere(cells, known)) is not None:
            chosen[name] = found
            found.name = name
            said = _("{cell} had lost its label and was recognised as '{name}'.")
            notes.add((found.number, 1), said.format(cell=found.shown, name=name))


def _elsewhere(cells: list[_Cell], source: SourceCell) -> _Cell | None:
    """The ordinary cell that answers an exercise most surely, of several such the last."""
    code = [cell for cell in reversed(cells) if cell.name is None and cell.node.cell_type == "code"]
    found = [cell for cell in code if source.solution and is_candidate(cell.node.source, source)]
    return max(found, key=lambda cell: how_surely(cell.node.source, source), default=None)


def _move(cells: list[_Cell], chosen: dict[str, _Cell], source: SourceNotebook, notes: _Notes) -> None:
    """Take the last ordinary cell that answers an exercise for the answer where its own cell does not even name it."""
    for known in source.cells:
        own = chosen.get(known.name)
        found = _elsewhere(cells, known) if own is not None else None
        if own is None or found is None or how_surely(own.node.source, known) >= NAMES_IT:
            continue
        if _says_more(found, own, known):
            own.name, chosen[known.name] = None, found
            found.name = known.name
            said = _("'{name}' does not hold the answer; {cell} does and was taken for it.")
            notes.add((found.number, 1), said.format(cell=found.shown, name=known.name))


def _restore(cell: _Cell, source: SourceCell, notes: _Notes) -> None:
    """Make a cell what was set, but for a learner's answer, and say what had been changed."""

    def note(sentence: str, **values: Any) -> None:
        notes.add((cell.number, 2), sentence.format(name=source.name, **values))

    node = cell.node
    if node.cell_type != source.cell_type:
        note(_("'{name}' had become a {type} cell; that was undone."), type=node.cell_type)
        retype(node, source.cell_type)
    if isinstance(cell.label, dict) and _name(cell.label) == source.name:
        _compare(cell.label, source, note)
    if source.locked:
        if _lines(node.source) not in _expected(source):
            if _is_earlier(node, source, cell.label):
                note(_("'{name}' was an earlier release's; its text was brought up to date."))
            else:
                note(_("'{name}' had been edited; its text was put back."))
        node["source"] = source.source
    node.metadata["nbgrader"] = label_of(source)


def label_of(source: SourceCell) -> NotebookNode:
    """What nbgrader keeps in the metadata of a cell that was set."""
    label = NotebookNode(
        schema_version=SCHEMA,
        grade_id=source.name,
        grade=source.grade,
        solution=source.solution,
        locked=source.locked,
        task=source.task,
        cell_type=source.cell_type,
    )
    if source.grade or source.task:
        label["points"] = source.points
    if source.checksum:
        label["checksum"] = source.checksum
    return label


def _compare(label: dict[str, Any], source: SourceCell, note: Any) -> None:
    """Note what of a cell's label differs from what was set."""
    version = label.get("schema_version")
    if type(version) is not int or version != SCHEMA:
        shown = _("none") if version is None else repr(plain(version))[:40]
        note(_("'{name}' had labels of schema version {version}; they are of version 3 now."), version=shown)
    flags = {flag: label.get(flag, getattr(source, flag)) for flag in _FLAGS}
    odd = [flag for flag, value in flags.items() if not isinstance(value, bool)]
    points = label.get("points", source.points)
    if (source.grade or source.task) and not _is_number(points):
        odd.append("points")
    if odd:
        note(_("'{name}' had a malformed label ({what}); it was put back."), what=", ".join(odd))
        return
    roles = [flag for flag in ("grade", "solution", "task") if flags[flag] != getattr(source, flag)]
    if roles:
        note(_("'{name}' had another role ({what}); that was undone."), what=", ".join(roles))
    locked = not flags["solution"] and (flags["grade"] or flags["locked"])  # as nbgrader reads it
    if not roles and locked != source.locked:
        note(
            _("'{name}' had been unlocked; that was undone.")
            if source.locked
            else _("'{name}' had been locked; that was undone.")
        )
    if (source.grade or source.task) and float(points) != source.points:
        note(_("'{name}' had been given {points:g} points; it has {own:g}."), points=float(points), own=source.points)


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, (bool, str)) and math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


@lru_cache(maxsize=4096)
def _expected(source: SourceCell) -> tuple[list[str], ...]:
    """The texts that a locked cell may have: as released, and as set."""
    texts = [source.source]
    if source.released is None:
        node = NotebookNode(
            cell_type=source.cell_type, source=source.source, metadata=NotebookNode(nbgrader=label_of(source))
        )
        for clear in (ClearHiddenTests(enforce_metadata=False), ClearMarkScheme(enforce_metadata=False)):
            node, _resources = clear.preprocess_cell(node, {}, 0)
        texts.append(node.source)
    else:
        texts.append(source.released)
    return tuple(_lines(item) for item in texts)


def _is_earlier(node: NotebookNode, source: SourceCell, label: Any) -> bool:
    """Whether a cell is as nbgrader released it, by the checksum in its label, although it is not what was set."""
    same = NotebookNode(
        cell_type=source.cell_type, source=node.source, metadata=NotebookNode(nbgrader=label_of(source))
    )
    return isinstance(label, dict) and label.get("checksum") == compute_checksum(same)


def _lines(source: str) -> list[str]:
    return [line.rstrip() for line in source.rstrip().splitlines()]


def _order(chosen: dict[str, _Cell], source: SourceNotebook, notes: _Notes) -> dict[str, tuple[int, int]]:
    """Name to sort key; ordinary cells have (number, 0). A missing cell follows its predecessor, a test its answers."""
    keys: dict[str, tuple[int, int]] = {}
    numbers = [chosen[cell.name].number for cell in source.cells if cell.name in chosen]
    before = numbers[0] - 1 if numbers else 0
    answers: list[str] = []
    tested = False
    for place, cell in enumerate(source.cells, 1):
        if cell.name in chosen:
            key = (chosen[cell.name].number, 0)
        else:
            key = (before, place)
            said = _("The answer '{name}' was missing; it was added back without an answer.")
            said = said if cell.solution else _("'{name}' was missing and was added back.")
            notes.add(key, said.format(name=cell.name))
        if cell.solution and cell.cell_type == "code":
            answers, tested = [cell.name] if tested else [*answers, cell.name], False
        elif cell.is_test:
            tested = True
            last = max((keys[name] for name in answers), default=key)
            if key < last:
                key = (last[0], place)
                said = _("The test '{name}' stood before its answer and was moved behind it.")
                notes.add(key, said.format(name=cell.name))
        keys[cell.name] = key
        before = key[0]
    return keys


def _add(source: SourceCell, key: tuple[int, int]) -> _Cell:
    node = NotebookNode(cell_type=source.cell_type, source=source.source, metadata=NotebookNode(deletable=False))
    retype(node, source.cell_type)
    if source.locked:
        node.metadata["editable"] = False
    node.metadata["nbgrader"] = label_of(source)
    return _Cell(key[0], node, None, None, source.name)


def _give_ids(cells: list[_Cell]) -> None:
    """Cells that were set choose first."""
    first = [cell for cell in cells if cell.name] + [cell for cell in cells if not cell.name]
    give_ids([(cell.node, cell.identity, cell.name or f"cell-{cell.number}") for cell in first])
