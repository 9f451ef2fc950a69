"""A teacher's own test cells: all cells of the notebook are run, and tests among variants of them that have to fail.

Tests are run when all cells have, in copies of the learner's process, so that no cell can show the hidden ones.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbformat import NotebookNode
from nbgrader.utils import determine_grade

from tl_course.grading import tripwires
from tl_course.grading.assignment import SourceCell
from tl_course.grading.hidden import known_error, presentable, visible
from tl_course.grading.outputs import not_run, show_cell, show_error
from tl_course.grading.plan import Plan, name, trials
from tl_course.grading.result import Judged, Result
from tl_course.i18n import _

SLACK = 10.0  # seconds that a test's variants may take beyond what the test may
_FEW = 3  # trials beside the test itself where each takes a process that runs all cells again
_NOTHING = {"ok": False, "outputs": [], "error": None, "timed_out": True}
_ONCE_MORE = ("done", "interrupted", "timeout", "crashed")
_RANDOM = random.SystemRandom()
Again = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Step:
    """One thing to do with a notebook's process: run a cell, or a test with its variants."""

    request: dict[str, Any]
    cell: NotebookNode
    test: SourceCell | None = None
    trials: tuple[tripwires.Trial, ...] = ()


Outcomes = dict[str, tuple[Step, dict[str, Any]]]  # a test's name to what was asked and what came of it


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
    outcomes = {step.test.name: (step, reply) for step, reply in pairs if step.test is not None}
    outcomes |= _once_more(todo, outcomes, again)
    exposed = next((what for step, reply in outcomes.values() if (what := _exposed(step, reply))), None)
    for step, reply in outcomes.values():
        _score(step, reply, exposed, judged)


def _once_more(todo: Sequence[Step], outcomes: Outcomes, again: Again) -> Outcomes:
    """What becomes of doubtful tests where each trial has a process of its own.

    A test that keeps state may fail, and its copies may pass, because others ran before it in the same process. So may
    one whose answer chose a trial blindly to be right in: what passes now has to pass once more.
    """
    doubtful = [outcome for outcome in outcomes.values() if _is_doubtful(*outcome)]
    if not any(reply["state"] in _ONCE_MORE for _step, reply in doubtful):
        return {}
    found: Outcomes = {}
    if not any(_is_shared(reply) for _step, reply in doubtful):
        names = {step.test.name for step, _reply in doubtful if step.test is not None}
        while names:
            replies = again([_apart(step) for step in todo])
            passed = {test for test, outcome in found.items() if _passes(*outcome)}
            found |= {
                s.test.name: (s, r) for s, r in zip(todo, replies, strict=True) if s.test and s.test.name in names
            }
            names = {test for test in names - passed if _passes(*found[test])}
        doubtful = [outcome for outcome in found.values() if _is_shared(outcome[1]) and _is_doubtful(*outcome)]
    return found | _alone(todo, [step for step, _reply in doubtful], again)


def _alone(todo: Sequence[Step], tests: Sequence[Step], again: Again) -> Outcomes:
    """What becomes of tests that run at their places in a new process for each trial, as nbgrader runs them.

    For notebooks with threads, whose process cannot be copied. All cells are run for each trial, so there are few. The
    tests themselves come first: of one that fails nothing more has to be known. One that passes is run once more at a
    random place among its trials: clocks tell a process that it is the first, but not whether it is the test. What the
    cells show in it is not kept, so that they may run after a hidden test.
    """
    found: Outcomes = {step.test.name: (_few(step), _no_results(step)) for step in tests if step.test is not None}
    places = {test: [0, *_RANDOM.sample(range(size), size)] for test, size in _sizes(found).items()}
    for turn in range(2 + _FEW):
        wanted = {
            test: step
            for test, (step, reply) in found.items()
            if turn < len(places[test]) and (turn == 0 or (_real(step, reply) or {}).get("ok"))
        }
        if not wanted:
            break
        steps = [step for step in todo if step.test is not None or name(step.cell) not in wanted]
        steps = [step for step in steps if step.test is None or step.test.name in wanted]
        now = {test: places[test][turn] for test in wanted}
        replies = again([_only(wanted[s.test.name], now[s.test.name]) if s.test else s.request for s in steps])
        for step, reply in zip(steps, replies, strict=True):
            if step.test is not None:
                _take(found, wanted[step.test.name], now[step.test.name], reply)
    return found


def _sizes(found: Outcomes) -> dict[str, int]:
    """How many trials each test has."""
    return {test: len(step.trials) for test, (step, _reply) in found.items()}


def _few(step: Step) -> Step:
    """A step with the test itself first, and a few trials that must fail."""
    real = [trial for trial in step.trials if trial.kind == "real"]
    others = sorted((trial for trial in step.trials if trial.must_fail), key=lambda trial: trial.kind == "generic")
    return replace(step, trials=(*real, *others[:_FEW]))


def _only(step: Step, number: int) -> dict[str, Any]:
    """The request for one of a test's trials: a cell like any other."""
    return {"task": {"kind": "cell", "source": step.trials[number].source}, "limit": step.request["task"]["limit"]}


def _take(found: Outcomes, step: Step, number: int, reply: dict[str, Any]) -> None:
    """Put what came of one trial among a test's results; of the test itself, also why there is nothing."""
    assert step.test is not None
    if reply["state"] == "done" and _is_result(reply["value"]):
        found[step.test.name][1]["value"]["results"][number] = {**reply["value"], "timed_out": False}
    elif number == 0:
        found[step.test.name] = (step, reply)


def _no_results(step: Step) -> dict[str, Any]:
    """The reply to a step of which no trial has run yet."""
    return {"state": "done", "value": {"results": [_NOTHING] * len(_few(step).trials)}}


def _test_step(cell: NotebookNode, test: SourceCell, limit: float, rng: random.Random) -> Step:
    chosen = tuple(trials(test, rng))
    task = {"kind": "trials", "sources": [trial.source for trial in chosen], "limit": limit + SLACK, "apart": False}
    real = next(number for number, trial in enumerate(chosen) if trial.kind == "real")
    return Step({"task": task, "limit": limit + 2 * SLACK, "real": real}, cell, test, chosen)


def _apart(step: Step) -> dict[str, Any]:
    if step.test is None:
        return step.request
    limit = step.request["limit"] * len(step.trials)
    return {**step.request, "task": {**step.request["task"], "apart": True}, "limit": limit}


def _show(cell: NotebookNode, reply: dict[str, Any]) -> None:
    if reply["state"] in ("done", "interrupted") and _is_result(reply["value"]):
        show_cell(cell, reply["value"]["outputs"])
    else:
        _not_run(cell, reply["state"])


def _not_run(cell: NotebookNode, state: str) -> None:
    not_run(cell, {"done": "crashed", "interrupted": "timeout"}.get(state, state))


def _results(step: Step, reply: dict[str, Any]) -> list[dict[str, Any]] | None:
    results = reply["value"].get("results") if reply["state"] == "done" else None
    if not isinstance(results, list) or len(results) != len(step.trials) or not all(map(_is_result, results)):
        return None  # no honest process says so
    return results


def _is_result(value: Any) -> bool:
    if not isinstance(value, dict) or not {"ok", "outputs", "error"} <= value.keys():
        return False
    return isinstance(value["outputs"], list) and all(map(_is_output, value["outputs"]))


def _is_output(output: Any) -> bool:
    if not isinstance(output, dict) or not isinstance(output.get("output_type"), str):
        return False
    told = ("ename", "evalue") if output["output_type"] == "error" else ()
    return all(isinstance(output.get(key), str) for key in told)


def _is_doubtful(step: Step, reply: dict[str, Any]) -> bool:
    """Whether a test has no outcome, was exposed, or fell short, perhaps because its trials ran in the same process."""
    real = _real(step, reply)
    if real is None or _exposed(step, reply) is not None:
        return True
    return not real["ok"] and (_is_shared(reply) or "alone" in reply["value"])


def _passes(step: Step, reply: dict[str, Any]) -> bool:
    """Whether a test passed, and all that must fail did not."""
    return not _is_doubtful(step, reply) and (_real(step, reply) or {}).get("ok") is True


def _is_shared(reply: dict[str, Any]) -> bool:
    """Whether trials had to run in one process, because threads keep it from being copied."""
    return reply["state"] == "done" and reply["value"].get("shared") is True


def _real(step: Step, reply: dict[str, Any]) -> dict[str, Any] | None:
    """The outcome of the test itself, None where there is none."""
    results = _results(step, reply)
    if results is None:
        return None
    result = next(result for trial, result in zip(step.trials, results, strict=True) if trial.kind == "real")
    return None if result.get("timed_out") else result


def _why(step: Step, reply: dict[str, Any]) -> str:
    """Why a test has no outcome."""
    results = _results(step, reply)
    if reply["state"] != "done" or results is None:
        return reply["state"]
    return "crashed" if any(result["error"] == "Lost" for result in results) else "timeout"


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
        _not_run(cell, _why(step, reply))
        judged.reasons.append(f"{test.name}: {cell.outputs[0].evalue}")
    elif result["ok"] and not _is_confirmed(step, reply):
        show_error(cell, "NotBelieved", _("tests that cannot pass gave no result"))
        judged.reasons.append(_("{name}: tests that cannot pass gave no result").format(name=test.name))
    elif not result["ok"] and not any(output.get("output_type") == "error" for output in result["outputs"]):
        show_error(cell, "Failed", _("it failed without an error"))  # no honest process says so
    else:
        show_cell(cell, result["outputs"])
    problem = known_error(cell.outputs)  # for the teacher, also where learners are not told
    cell.outputs = _presentable(cell, test)  # without warnings, which cost no points
    points, wrong = _points(cell)
    if wrong is not None:
        said = _("its output is no score ({error})").format(error=wrong)
        show_error(cell, "NotBelieved", said)  # so that nbgrader gives no points either
        judged.reasons.append(f"{test.name}: {said}")
    score = points / test.points if test.points else 0.0
    judged.results.append(Result(test.name, None, None, score, test.points, problem=problem, path="notebook"))


def _points(cell: NotebookNode) -> tuple[float, str | None]:
    """A test's points as nbgrader reads them from its outputs, and what is wrong with them."""
    numbers = [output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"]
    if not all(float(number) >= 0 for number in numbers):  # nbgrader gives all points for less than nothing
        return 0.0, ", ".join(numbers)
    try:
        return determine_grade(cell)[0] or 0.0, None
    except (KeyError, ValueError, TypeError) as error:  # more points than there are
        return 0.0, str(error)


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
