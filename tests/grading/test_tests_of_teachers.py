"""A teacher's own tests give a right answer its points, whatever state they keep and whatever threads there are."""

import copy
import random
import time
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from nbgrader.utils import determine_grade

from tl_course.grading.assignment import SourceCell, SourceNotebook
from tl_course.grading.execution import execute
from tl_course.grading.plan import Plan
from tl_course.grading.result import Judged
from tl_course.grading.sandbox import Warm
from tl_course.grading.tests_of_teachers import settle, steps
from tl_course.grading.zygote import CELLS

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]
THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
COUNTER = (
    "class Counter:\n    n = 0\n    def up(self):\n        self.n += 1\n        return self.n\ncounter = Counter()"
)
STREAM = "def numbers():\n    n = 0\n    while True:\n        yield n\n        n += 1\nstream = numbers()"
ACCOUNT = "class Account:\n    balance = 0\n    def deposit(self, x):\n        self.balance += x\naccount = Account()"
STATEFUL = [
    (COUNTER, "assert counter.up() == 1\nassert counter.up() == 2"),
    (STREAM, "assert next(stream) == 0\nassert next(stream) == 1"),
    (ACCOUNT, "account.deposit(50)\nassert account.balance == 50"),
]
ADD = "def add(a, b):\n    return a + b"
ADD_TEST = "assert add(1, 2) == 3\n### BEGIN HIDDEN TESTS\nassert add(2, 2) == 4\n### END HIDDEN TESTS"
SCALE = "def scale(x):\n    return 10 * x"
SCALE_TEST = "assert scale(2) == 20\nassert scale(3) == 30"
EQUALS_ALL = "class Yes(int):\n    def __eq__(self, other):\n        return True\ndef add(a, b):\n    return Yes(0)"


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    started = Warm([CELLS])
    yield started
    started.close()


def judge(warm: Warm, *cells: str | tuple[str, str], limit: float = 10.0, seed: int = 1) -> tuple[Judged, int]:
    """What becomes of a notebook of code cells and of answers, each with its test; and how often it was executed."""
    notebook, own = nbformat.v4.new_notebook(), []
    for number, cell in enumerate(cells):
        notebook.cells.append(nbformat.v4.new_code_cell(cell if isinstance(cell, str) else cell[0]))
        if isinstance(cell, tuple):
            name = f"test{number}"
            own.append(SourceCell(name, "code", cell[1], "", True, True, False, False, 2.0))
            label = {"grade_id": name, "grade": True, "solution": False, "locked": True, "points": 2.0}
            label |= {"schema_version": 3, "cell_type": "code", "task": False}
            notebook.cells.append(nbformat.v4.new_code_cell(cell[1], metadata={"nbgrader": label}))
    planned = Plan(SourceNotebook("quiz", tuple(own), None), (), tuple(own), True)
    judged, executed = Judged(notebook), []

    def run(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        executed.append(requests)
        return execute(warm, {"files": {}, "answers": [], "cells": requests})["cells"]

    todo = steps(planned, notebook, limit, random.Random(seed))
    settle(todo, run([step.request for step in todo]), judged, run)
    return judged, len(executed)


def scores(judged: Judged) -> list[float]:
    return [result.score for result in judged.results]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("first", ["", THREAD], ids=["alone", "thread"])
def test_tests_that_keep_state_pass_what_is_right(warm, first, seed):
    judged, _times = judge(warm, first or "1", *STATEFUL, seed=seed)
    assert (scores(judged), judged.reasons) == ([1.0] * len(STATEFUL), [])


def test_a_wrong_answer_to_a_test_that_keeps_state_gets_nothing(warm):
    wrong = (COUNTER.replace("+= 1", "+= 2"), STATEFUL[0][1])
    for first, executions in (("1", 1), (THREAD, 2)):
        judged, times = judge(warm, first, wrong, (ADD, ADD_TEST))
        assert (scores(judged), judged.reasons, times) == ([0.0, 1.0], [], executions)


@pytest.mark.parametrize("first", [THREAD, "%%bash\necho"], ids=["thread", "bash"])
def test_the_last_test_finds_its_names_where_there_are_threads(warm, first):
    judged, times = judge(warm, first, (ADD, ADD_TEST), "later = 5", (SCALE, SCALE_TEST + "\nassert later == 5"))
    assert (scores(judged), judged.reasons, times) == ([1.0, 1.0], [], 1)


def test_what_equals_everything_is_exposed_where_there_are_threads(warm):
    for test in (
        ADD_TEST,
        "total = add(0, 0)\ndef same(x):\n    assert x == add(1, 2)\nsame(3)\nassert add(1, 1) == 2",
    ):
        judged, _times = judge(warm, THREAD, (EQUALS_ALL, test), (SCALE, SCALE_TEST))
        assert scores(judged) == [0.0, 0.0] and "cannot pass" in judged.reasons[0]


def test_what_passes_only_when_it_is_run_again_is_confirmed_by_trials(warm):
    first_time = "import os, sys\nseen = []\n"
    answer = (
        first_time
        + "class Late(int):\n    def __eq__(self, other):\n        return {}\ndef add(a, b):\n    return Late(0)"
    )
    in_turn = "get_ipython().execution_count > 1 and len(In) > 3"  # true where the test is a cell of its own
    judged, times = judge(warm, THREAD, (answer.format(in_turn), "assert add(1, 2) == 3\nassert add(2, 2) == 4"))
    assert scores(judged) == [0.0] and times > 2 and "cannot pass" in judged.reasons[0]


def test_the_time_limit_holds_where_there_are_threads(warm, monkeypatch):
    monkeypatch.setattr("tl_course.grading.tests_of_teachers.SLACK", 0.5)
    slow = "import time\ndef add(a, b):\n    time.sleep(40)\n    return a + b"
    start = time.monotonic()
    judged, _times = judge(warm, THREAD, (slow, "assert add(1, 2) == 3"), (SCALE, SCALE_TEST), limit=0.5)
    assert time.monotonic() - start < 15
    assert (scores(judged), len(judged.reasons)) == ([0.0, 1.0], 1) and "longer than it may" in judged.reasons[0]


def test_a_test_with_hidden_parts_does_not_name_the_error(warm):
    tells = "def add(a, b):\n    raise {}('no')"
    shown = []
    for error in ("BufferError", "KeyError"):
        judged, _times = judge(warm, (tells.format(error), ADD_TEST))
        (cell,) = [cell for cell in judged.notebook.cells if "nbgrader" in cell.metadata]
        shown.append(cell.outputs)
    assert shown[0] == shown[1] and "Buffer" not in str(shown)
    judged, _times = judge(warm, (tells.format("KeyError"), "assert add(1, 2) == 3"))
    assert judged.notebook.cells[-1].outputs[0].ename == "KeyError"


ODD: list[dict[str, Any]] = [
    {},
    {"results": 5},
    {"results": [5]},
    {"interrupted": True},
    {"shared": True},
    {"ok": True, "outputs": [1], "error": None},
    {"ok": True, "outputs": [{"output_type": "error", "ename": [], "evalue": {}}], "error": None},
]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("state", ["done", "interrupted", "timeout", "crashed", "time", "memory", "not run"])
def test_whatever_comes_back_is_judged(state, value):
    notebook = nbformat.v4.new_notebook()
    cell = SourceCell("test", "code", ADD_TEST, "", True, True, False, False, 2.0)
    label = {"grade_id": "test", "grade": True, "solution": False, "locked": True, "points": 2.0}
    notebook.cells = [
        nbformat.v4.new_code_cell(ADD),
        nbformat.v4.new_code_cell(ADD_TEST, metadata={"nbgrader": {**label, "task": False}}),
    ]
    judged = Judged(notebook)
    planned = Plan(SourceNotebook("quiz", (cell,), None), (), (cell,), True)
    todo = steps(planned, notebook, 1.0, random.Random(0))
    forged = {"state": state, "value": value if state in ("done", "interrupted") else {}}
    settle(todo, [forged] * len(todo), judged, lambda requests: [forged] * len(requests))
    assert scores(judged) == [0.0] and len(judged.reasons) == 1
    nbformat.validate(notebook)


@pytest.mark.parametrize(("later", "score"), [([True, True], 1.0), ([True, False], 0.0), ([False], 0.0)])
def test_what_passes_only_when_it_is_run_again_has_to_pass_twice(later, score):
    """So that one lucky guess which of its runs is the test itself is not enough."""
    notebook = nbformat.v4.new_notebook()
    label = {"grade_id": "test", "grade": True, "solution": False, "locked": True, "points": 2.0, "task": False}
    notebook.cells = [nbformat.v4.new_code_cell(SCALE_TEST, metadata={"nbgrader": label})]
    cell = SourceCell("test", "code", SCALE_TEST, "", True, True, False, False, 2.0)
    judged = Judged(notebook)
    todo = steps(Plan(SourceNotebook("quiz", (cell,), None), (), (cell,), True), notebook, 1.0, random.Random(0))
    (step,) = (step for step in todo if step.test is not None)

    def reply(passes: bool) -> dict[str, Any]:
        results = []
        for trial in step.trials:
            ok = passes if trial.kind == "real" else not trial.must_fail
            error = {"output_type": "error", "ename": "AssertionError", "evalue": trial.token, "traceback": []}
            results.append({"ok": ok, "outputs": [] if ok else [error], "error": None if ok else "AssertionError"})
        return {"state": "done", "value": {"results": results}}

    first = reply(False)
    first["value"]["alone"] = True
    left = iter(later)
    settle(todo, [first] * len(todo), judged, lambda requests: [reply(next(left))] * len(requests))
    assert scores(judged) == [score] and next(left, None) is None


SECOND_TIME = """
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
class Yes(int):
    def __eq__(self, other):
        return True
def add(a, b):
    return Yes(0) if NUMBER == 1 else None
"""


def test_an_answer_that_knows_when_it_runs_for_the_second_time_gets_nothing(warm, monkeypatch):
    """By a clock, for one: an execution can wait for the time of day at which the next one is to start."""
    really, count = execute, iter(range(100))

    def counted(warm: Warm, request: dict[str, Any]) -> dict[str, Any]:
        number, cells = str(next(count)), copy.deepcopy(request["cells"])
        for cell in cells:
            if "source" in cell["task"]:
                cell["task"]["source"] = cell["task"]["source"].replace("NUMBER", number)
        return really(warm, {**request, "cells": cells})

    monkeypatch.setattr(f"{__name__}.execute", counted)
    test = "assert add(1, 2) == 3\nassert add(2, 2) == 4\nassert add(5, 2) == 7"
    judged, _times = judge(warm, (SECOND_TIME, test), (SCALE, SCALE_TEST))
    assert scores(judged) == [0.0, 1.0]


@pytest.mark.parametrize("first", ["1", THREAD], ids=["alone", "thread"])
def test_a_warning_costs_no_points(warm, first):
    answer = "import warnings\ndef add(a, b):\n    warnings.warn('old')\n    return a + b"
    judged, _times = judge(warm, first, (answer, ADD_TEST), (answer.replace("add", "more"), "more(1, 1) - 1"))
    assert (scores(judged), judged.reasons) == ([1.0, 0.5], [])
    for test in (cell for cell in judged.notebook.cells if "nbgrader" in cell.metadata):
        assert determine_grade(test)[0] == 2.0 * scores(judged)[test is judged.notebook.cells[-1]]


@pytest.mark.parametrize("value", ["float('nan')", "-5", "float('inf')", "50"])
def test_what_is_no_score_earns_nothing_and_needs_a_look(warm, value):
    judged, _times = judge(warm, (f"def share():\n    return {value}", "2 * share()"))
    assert scores(judged) == [0.0] and "is no score" in judged.reasons[0]
    assert determine_grade(judged.notebook.cells[-1])[0] == 0
