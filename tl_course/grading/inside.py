"""The first process of a submission's namespaces: it hands the submission's tasks to a child, one after the other.

The child runs the learner's code and sees a task only when its turn has come. This process runs none of it: it holds
the child to its time, passes on what it answers without reading it, and ends whatever a task left behind.
"""

import contextlib
import os
import select
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable
from typing import Any, BinaryIO

from tl_course.exercises.engine import child
from tl_course.exercises.engine.child import receive, receive_raw, send
from tl_course.grading import confinement
from tl_course.grading.confinement import PRIVATE

REPLY_LIMIT = 48 * 2**20  # bytes of the answer to one task
GRACE = 3.0  # seconds that an interrupted task has to end by itself


def serve(stream: BinaryIO, connection: int, job: dict[str, Any]) -> None:
    """Answer tasks until the grader hangs up: for each a header, and what came of it.

    A task comes as ``{"limit": seconds, "fresh": bool}`` and the packed task itself; the answer is ``{"state"}``,
    "done", "interrupted", "timeout" or "crashed", and in the first two cases what the child sent.
    """
    os.chdir(PRIVATE if job["separate"] else job["folder"] or tempfile.mkdtemp())
    _lay_out(receive(stream))
    output = child.redirect_output()
    lane: _Lane | None = None
    try:
        while True:
            header, task = receive(stream), receive_raw(stream)
            if lane is None or header["fresh"]:
                if lane is not None:
                    lane.end()
                _end_others(job["separate"])
                lane = _Lane(connection, output, job["threads"])
            state, reply = lane.ask(task, header["limit"])
            if state in ("timeout", "crashed"):
                lane.end()
                lane = None
            send(stream, {"state": state, "size": len(reply)})
            stream.write(reply)
            stream.flush()
    finally:
        if lane is not None:
            lane.end()


class _Lane:
    """A child that runs tasks one after the other."""

    def __init__(self, connection: int, output: int, threads: int) -> None:
        ask, self._tasks = os.pipe()
        self._answers, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (self._tasks, self._answers, connection):
                os.close(descriptor)
            _work(ask, answer, output, threads)
        os.close(ask)
        os.close(answer)
        os.set_blocking(self._answers, False)
        self._handle = os.pidfd_open(self.pid)

    def ask(self, task: bytes, limit: float) -> tuple[str, bytes]:
        """Hand over a task and wait for its answer; interrupt it after the limit, and give up after a while."""
        try:
            with os.fdopen(os.dup(self._tasks), "wb") as tasks:
                tasks.write(task)
        except BrokenPipeError:
            return "crashed", b""
        state, reply = "done", self._read(time.monotonic() + limit)
        if reply is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)
            state, reply = "interrupted", self._read(time.monotonic() + GRACE)
        if reply is None:
            return "timeout", b""
        return (state, reply) if reply else ("crashed", b"")

    def end(self) -> None:
        """End the child."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for descriptor in (self._tasks, self._answers, self._handle):
            os.close(descriptor)

    def _read(self, deadline: float) -> bytes | None:
        """One packed message; empty where the child ended or sent something else, None where it is too late."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        poll.register(self._handle, select.POLLIN)
        chunks: list[bytes] = []
        size, wanted = 0, 8
        while size < wanted:
            left = deadline - time.monotonic()
            if left <= 0 or not (ready := poll.poll(left * 1000)):
                return None
            try:
                data = os.read(self._answers, 2**20)
            except BlockingIOError:
                data = b""
            if not data:
                if any(descriptor == self._handle for descriptor, _event in ready):
                    return b""
                poll.unregister(self._answers)  # closed, but still running: it may only end now
                if size:
                    return b""
                continue
            chunks.append(data)
            size += len(data)
            if wanted == 8 and size >= 8:
                chunks = [b"".join(chunks)]
                wanted = 8 + int.from_bytes(chunks[0][:8], "big")
                if wanted > REPLY_LIMIT:
                    return b""
        return b"".join(chunks) if size == wanted else b""


def _work(ask: int, answer: int, output: int, threads: int) -> None:
    """Run tasks until there are no more. Never returns."""
    try:
        confinement.die_with_parent()
        confinement.hide_memory(False)
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

    All cells have run by now: what the texts tell the learner's code reaches nothing that is shown.
    """
    from tl_course.grading.trial_process import run_here

    kept = state.pop(("kept", task["number"]))
    if not isinstance(kept, dict):
        return {"results": kept.run(task["sources"], task["limit"], task["apart"])}
    runner = _cells(state)
    runner.namespace.clear()
    runner.namespace.update(kept)
    return {"results": run_here(runner, task["sources"])}


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


def _lay_out(files: dict[str, Any]) -> None:
    """Write the submission's files into the current folder."""
    for name, data in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as file:
            file.write(data.tobytes())


def _end_others(separate: bool) -> None:
    """End what earlier tasks left behind: everything else in this namespace."""
    if separate:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0)[0]:
                pass
