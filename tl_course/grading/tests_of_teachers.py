"""A teacher's own test cells: all cells of the notebook are run, and tests among variants of them that have to fail.

Tests are run when all cells have, in copies of the learner's process, so that no cell can show the hidden ones.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from tl_course.grading import tripwires
from tl_course.grading.assignment import SourceCell
from tl_course.grading.hidden import presentable, visible
from tl_course.grading.outputs import not_run, show_cell, show_error
from tl_course.grading.plan import Plan, name, trials
from tl_course.grading.result import Judged, Result
from tl_course.i18n import _

SLACK = 10.0  # seconds that a test's variants may take beyond what the test may
_ONCE_MORE = ("done", "interrupted", "timeout", "crashed")
Again = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Step:
    """One thing to do with a notebook's process: run a cell, or a test with its variants."""

    request: dict[str, Any]
    cell: NotebookNode
    test: SourceCell | None = None
    trials: tuple[tripwires.Trial, ...] = ()


def steps(planned: Plan, notebook: NotebookNode, limit: float, rng: random.Random) -> list[Step]:
    """All cells in order but the bank's tests; of the teacher's tests, what learners may see, after the trials."""
    judged = {test.cell.name for test in planned.bank}
    own = {cell.name: cell for cell in planned.own}
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or name(cell) in judged:
            continue
        test = own.get(name(cell) or "")
        if test is not None:
            found.append(_test_step(cell, test, limit, rng))
        source = cell.source if test is None else visible(test.source)
        if source.strip():
            found.append(Step({"task": {"kind": "cell", "source": source}, "limit": limit}, cell))
    if found and found[-1].test is None and name(found[-1].cell) in own:
        found.pop()  # nothing follows that it could matter for
    return found


def settle(todo: Sequence[Step], replies: Sequence[dict[str, Any]], judged: Judged, again: Again) -> None:
    """Write what the cells gave into them, and the outcome of each test."""
    pairs = list(zip(todo, replies, strict=True))
    for step, reply in pairs:
        if step.test is None:
            _show(step.cell, reply)
    doubtful = [
        step for step, reply in pairs if step.test is not None and (_real(step, reply) is None or _exposed(step, reply))
    ]
    outcomes = {step.test.name: reply for step, reply in pairs if step.test is not None}
    if any(reply["state"] in _ONCE_MORE for step, reply in pairs if step in doubtful):
        # Once more with each trial in a process of its own: a test that keeps state deserves no suspicion.
        for step, reply in zip(todo, again([_apart(step) for step in todo]), strict=True):
            if step in doubtful and step.test is not None:
                outcomes[step.test.name] = reply
    tests = [(step, outcomes[step.test.name]) for step in todo if step.test is not None]
    exposed = next((what for step, reply in tests if (what := _exposed(step, reply))), None)
    for step, reply in tests:
        _score(step, reply, exposed, judged)


def _test_step(cell: NotebookNode, test: SourceCell, limit: float, rng: random.Random) -> Step:
    chosen = tuple(trials(test, rng))
    task = {"kind": "trials", "sources": [trial.source for trial in chosen], "limit": limit + SLACK, "apart": False}
    return Step({"task": task, "limit": limit + 2 * SLACK}, cell, test, chosen)


def _apart(step: Step) -> dict[str, Any]:
    if step.test is None:
        return step.request
    limit = step.request["limit"] * len(step.trials)
    return {"task": {**step.request["task"], "apart": True}, "limit": limit}


def _show(cell: NotebookNode, reply: dict[str, Any]) -> None:
    if reply["state"] in ("done", "interrupted") and isinstance(reply["value"].get("outputs"), list):
        show_cell(cell, reply["value"]["outputs"])
    else:
        not_run(cell, reply["state"])


def _results(step: Step, reply: dict[str, Any]) -> list[dict[str, Any]] | None:
    results = reply["value"].get("results") if reply["state"] == "done" else None
    return results if isinstance(results, list) and len(results) == len(step.trials) else None


def _real(step: Step, reply: dict[str, Any]) -> dict[str, Any] | None:
    """The outcome of the test itself, None where there is none."""
    results = _results(step, reply)
    if results is None:
        return None
    result = next(result for trial, result in zip(step.trials, results, strict=True) if trial.kind == "real")
    return None if result.get("timed_out") else result


def _why(step: Step, reply: dict[str, Any]) -> str:
    """Why a test has no outcome."""
    errors = [result["error"] for result in _results(step, reply) or []]
    return reply["state"] if reply["state"] != "done" else "crashed" if "Lost" in errors else "timeout"


def _exposed(step: Step, reply: dict[str, Any]) -> str | None:
    results = _results(step, reply)
    if results is None:
        return None
    return tripwires.verdict(list(zip(step.trials, results, strict=True)))


def _score(step: Step, reply: dict[str, Any], exposed: str | None, judged: Judged) -> None:
    """Score a test; none of a notebook's tests is believed where one of them was exposed."""
    cell, test, result = step.cell, step.test, _real(step, reply)
    assert test is not None
    if exposed is not None:
        show_error(cell, "NotBelieved", exposed)
        judged.reasons.append(f"{test.name}: {exposed}")
    elif result is None:
        not_run(cell, _why(step, reply))
        judged.reasons.append(f"{test.name}: {cell.outputs[0].evalue}")
    elif result["ok"] and not _is_confirmed(step, reply):
        show_error(cell, "NotBelieved", _("tests that cannot pass gave no result"))
        judged.reasons.append(_("{name}: tests that cannot pass gave no result").format(name=test.name))
    elif not result["ok"] and not any(output.get("output_type") == "error" for output in result["outputs"]):
        show_error(cell, "Failed", _("it failed without an error"))  # no honest process says so
    else:
        show_cell(cell, result["outputs"])
    points = 0.0
    try:
        points = determine_grade(cell)[0] or 0.0
    except (KeyError, ValueError, TypeError) as error:  # more points than there are, or an output of another shape
        judged.reasons.append(_("{name}: its output is no score ({error})").format(name=test.name, error=error))
    cell.outputs = _presentable(cell, test)
    score = points / test.points if test.points else 0.0
    problem = next((output.ename for output in cell.outputs if output.output_type == "error"), None)
    judged.results.append(Result(test.name, None, None, score, test.points, problem=problem, path="notebook"))


def _is_confirmed(step: Step, reply: dict[str, Any]) -> bool:
    """Whether most trials that must fail did."""
    results = _results(step, reply) or []
    failed = [
        not result.get("timed_out") for trial, result in zip(step.trials, results, strict=True) if trial.must_fail
    ]
    return 2 * sum(failed) > len(failed) or not failed


def _presentable(cell: NotebookNode, test: SourceCell) -> list[Any]:
    import nbformat

    ours = any(output.get("ename") in ("NotBelieved", "NotRun") for output in cell.outputs)
    return cell.outputs if ours else [nbformat.from_dict(output) for output in presentable(cell.outputs, test.source)]
