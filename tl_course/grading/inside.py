"""The process that runs a submission's tasks: answers, cells, tests. Forked by its supervisor (see supervisor.py)."""

import os
import signal
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from tl_course.exercises.engine import child
from tl_course.exercises.engine.child import receive, send


def work(ask: int, answer: int, output: int, threads: int) -> NoReturn:
    """Run tasks until there are no more.

    Args:
        ask: the descriptor that tasks come from.
        answer: the one that answers go to.
        output: a file for what is printed.
        threads: of a framework's computations.
    """
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        sys.path.append(os.getcwd())  # last: a numpy.py beside the notebook shadows nothing
        state: dict[Any, Any] = {"output": output, "threads": _threads()}
        with os.fdopen(ask, "rb") as tasks, os.fdopen(answer, "wb") as answers:
            while True:
                task = receive(tasks)
                try:
                    reply = TASKS[task["kind"]](task, state)
                except KeyboardInterrupt:
                    reply = {"interrupted": True}
                send(answers, reply)
    except BaseException:  # whatever the learner's code raises here, or the end of the tasks
        os._exit(0)
    os._exit(0)


def answer_task(task: dict[str, Any], state: dict[Any, Any]) -> dict[str, Any]:
    """Run an answer's source text and probe what it defines."""
    os.ftruncate(state["output"], 0)
    outcome = child.run(task["source"], task["entry"], probe_function(task), task["cases"])
    return {**outcome, "output": child.printed(state["output"])}


def cell_task(task: dict[str, Any], state: dict[Any, Any]) -> dict[str, Any]:
    """Run one cell of a notebook."""
    os.ftruncate(state["output"], 0)
    ran = _cells(state).run(task["source"])
    return {"ok": ran.ok, "outputs": ran.outputs, "error": ran.error}


def keep_task(task: dict[str, Any], state: dict[Any, Any]) -> dict[str, Any]:
    """Keep a copy of this process as it is now for a test that comes later; of its names only where it has threads."""
    from tl_course.grading.trial_process import Copy

    runner = _cells(state)
    threads = _threads() > state["threads"]  # a framework has started its own, which a copy would lack
    state["kept", task["number"]] = dict(runner.namespace) if threads else Copy(runner)
    return {}


def trials_task(task: dict[str, Any], state: dict[Any, Any]) -> dict[str, Any]:
    """Run a test and its variants, in an order that says nothing, in the copy that was kept for it or in this process.

    All cells have run by now: what the texts tell the learner's code reaches nothing that is shown. ``shared`` says
    whether they ran in one process because of its threads: then what one did may have been what another failed by.
    """
    from tl_course.grading.trial_process import Copy, run_here

    runner = _cells(state)
    kept = state.get(("kept", task["number"]))
    shared = _threads() > state["threads"]
    if kept is None and not shared:  # what stands last runs here; a copy is for being asked again
        state["kept", task["number"]] = Copy(runner)
    if isinstance(kept, Copy):
        return {"results": kept.run(task["sources"], task["limit"], task["apart"]), "shared": False}
    last = state.setdefault("last", dict(runner.namespace))  # the first test that runs here is to find no other's names
    names = last if kept is None else kept
    return {"results": run_here(runner, task["sources"], task["limit"], names), "shared": shared}


def _threads() -> int:
    """How many threads this process has."""
    return len(os.listdir("/proc/self/task"))


def observe_task(task: dict[str, Any], state: dict[Any, Any]) -> dict[str, Any]:
    """Probe what the cells run so far have defined."""
    namespace = _cells(state).namespace
    if task["entry"] not in namespace:
        return {"error": {"type": "MissingAnswer", "message": task["entry"], "line": None, "where": ""}, "output": ""}
    return {**child.observe(namespace[task["entry"]], probe_function(task), task["cases"]), "output": ""}


def nothing_task(task: dict[str, Any], state: dict[Any, Any]) -> dict[str, Any]:
    """Answer at once: to see whether a sandbox can be had."""
    return {}


TASKS: dict[str, Callable[[dict[str, Any], dict[Any, Any]], dict[str, Any]]] = {
    "nothing": nothing_task,
    "answer": answer_task,
    "cell": cell_task,
    "keep": keep_task,
    "trials": trials_task,
    "observe": observe_task,
}


def probe_function(task: dict[str, Any]) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """The probe of a task, from the source texts that probe_bundle.py made."""
    module = types.ModuleType("probe")
    for name, source in task["probe"]:
        parent, _dot, last = name.rpartition(".")
        module = types.ModuleType(name)
        sys.modules.setdefault(parent, types.ModuleType(parent))
        setattr(sys.modules[parent], last, module)
        sys.modules[name] = module
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
    return getattr(module, task["probe_name"])


def _cells(state: dict[Any, Any]) -> Any:
    if "cells" not in state:
        from tl_course.grading import cells

        state["cells"] = cells.runner()
    return state["cells"]
