"""What of a notebook is executed to grade it: answers to the bank by themselves, a teacher's tests with all cells."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from nbformat import NotebookNode

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.exercises.engine.exercise import Case, Exercise
from tl_course.exercises.engine.stub import is_untouched, marker
from tl_course.grading import probe_bundle, tripwires
from tl_course.grading.assignment import SourceCell, SourceNotebook
from tl_course.grading.dependencies import alone

CELL_LIMIT = 120.0  # seconds for one cell of a notebook
MOST = 200_000  # characters that are looked through for one answer: it takes seconds, which nobody else limits
_CHECK = re.compile(r'^check\("([\w-]+)"', re.MULTILINE)


@dataclass(frozen=True)
class BankTest:
    """A graded cell that checks an exercise of the bank.

    ``answers`` gives the name of the answer's cell for each framework.
    """

    cell: SourceCell
    exercise: Exercise
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """A notebook's tests: those of the bank, and the teacher's own; ``whole``: whether the cells have to be run."""

    source: SourceNotebook
    bank: tuple[BankTest, ...]
    own: tuple[SourceCell, ...]
    whole: bool


@dataclass(frozen=True)
class Answer:
    """An answer to an exercise of the bank: its cell, and the others, of which `before` come before the test."""

    test: BankTest
    framework: str
    cell: str
    others: tuple[str, ...]
    before: int

    @cached_property
    def source(self) -> str:
        """Source text that runs by itself."""
        return self._alone(self.others, changes=False)

    @cached_property
    def full(self) -> str:
        """The same with what changes the objects that it needs, which may take longer."""
        return self._alone(self.others, changes=True)

    @cached_property
    def earlier(self) -> str:
        """The full text as it is where the test stands: later cells may give a name another meaning."""
        return self._alone(self.others[: self.before], changes=True)

    def _alone(self, others: Sequence[str], changes: bool) -> str:
        return self.cell if len(self.cell) > MOST else alone(others, self.cell, changes)

    @property
    def key(self) -> str:
        """What names it in requests and responses."""
        return f"{self.test.exercise.id}/{self.framework}"


def plan(source: SourceNotebook) -> Plan:
    """How a notebook of an assignment is graded."""
    names = {cell.name for cell in source.cells}
    bank = [test for cell in source.cells if (test := _bank_test(cell, names)) is not None]
    judged = {test.cell.name for test in bank}
    answered = {name for test in bank for name in test.answers.values()}
    own = [cell for cell in source.cells if cell.is_test and cell.cell_type == "code" and cell.name not in judged]
    written = [
        cell for cell in source.cells if cell.solution and cell.cell_type == "code" and cell.name not in answered
    ]
    return Plan(source, tuple(bank), tuple(own), bool(own or written))


def processes(plans: Sequence[Plan]) -> list[str]:
    """The kinds of process that the answers to the bank run in; see `Exercise.process`."""
    return sorted({test.exercise.process(name) for one in plans for test in one.bank for name in test.answers})


def answers(planned: Plan, notebook: NotebookNode, only: str | None = None) -> list[Answer]:
    """The answers in a submission to exercises of the bank, or to one of them; what was not touched is none."""
    cells = {name(cell): cell for cell in notebook.cells if name(cell)}
    tests = {test.cell.name for test in planned.bank} | {cell.name for cell in planned.own}
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and name(cell) not in tests]
    code = [(cell, plain(cell.source)) for cell in _looked_through(code)]
    places = {id(cell): place for place, cell in enumerate(notebook.cells)}
    found = []
    for test in planned.bank:
        for framework, grade_id in test.answers.items():
            cell = cells.get(grade_id)
            wanted = only in (None, test.exercise.id)
            if not wanted or cell is None or _is_blank(test, framework, cell.source):
                continue
            others = [(other, text) for other, text in code if other is not cell]
            end = places[id(cells[test.cell.name])]
            before = sum(places[id(other)] < end for other, _text in others)
            found.append(Answer(test, framework, plain(cell.source), tuple(text for _cell, text in others), before))
    return found


def answer_task(exercise: Exercise, framework: str, source: str, cases: Sequence[Case]) -> dict[str, Any]:
    """The task of running an answer: what a sandbox gets to see of an exercise."""
    return {**observe_task(exercise, framework, cases), "kind": "answer", "source": source}


def observe_task(exercise: Exercise, framework: str, cases: Sequence[Case]) -> dict[str, Any]:
    """The task of probing what a notebook's cells have defined."""
    bundle = probe_bundle.bundle(exercise.id, framework)
    return {
        "kind": "observe",
        "entry": exercise.variant(framework).entry,
        "probe": [[module, text] for module, text in bundle.items()],
        "probe_name": probe_bundle.probe_name(exercise.id, framework),
        "cases": [case.inputs for case in cases],
    }


def name(cell: NotebookNode) -> str | None:
    """A cell's name in the gradebook."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def plain(source: str) -> str:
    """A cell as Python: IPython's magics become calls."""
    if len(source) > MOST or not any(sign in source for sign in "%!?"):
        return source
    try:
        return _transformer().transform_cell(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


def trials(cell: SourceCell, rng: random.Random) -> list[tripwires.Trial]:
    """A teacher's test among variants of it, and small cells, that have to fail."""
    return [*tripwires.trials(cell.source, rng), *tripwires.generic(rng)]


@cache
def _transformer() -> Any:
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager()


def _bank_test(cell: SourceCell, names: set[str]) -> BankTest | None:
    found = _CHECK.search(cell.source) if cell.is_test else None
    if found is None or cell.name != f"{found[1]}-check":
        return None
    try:
        exercise = exercises.get(found[1])
    except BadInput:  # a teacher's own check of that name
        return None
    cells = {framework: f"{exercise.id}-{framework}" for framework in exercise.variants}
    there = {framework: name for framework, name in cells.items() if name in names}
    return BankTest(cell, exercise, there) if there else None


def _looked_through(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Cells in which what an answer needs is looked for, without the longest where there is too much.

    What these define is found by running all cells.
    """
    kept, left = set(), MOST
    for cell in sorted(cells, key=lambda cell: len(cell.source)):
        left -= len(cell.source)
        if left >= 0:
            kept.add(id(cell))
    return [cell for cell in cells if id(cell) in kept]


def _is_blank(test: BankTest, framework: str, source: str) -> bool:
    if len(source) > MOST:
        return False
    without = source.replace(marker(test.exercise.id, framework), "").strip()
    return not without or is_untouched(test.exercise, framework, source)
