"""Run candidates in processes of their own, with a time limit, and collect what was observed.

On Linux children are forked from a process that has the framework imported already; elsewhere each is a fresh process.
In both cases one child is kept waiting, so that a check seldom waits for a start.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from tl_course.errors import CourseError
from tl_course.exercises.engine.child import receive, send
from tl_course.exercises.engine.exercise import Case, Plain

START_LIMIT = 180.0  # seconds to import a framework on a busy machine


@dataclass(frozen=True)
class Run:
    """What came of running one source text.

    Args:
        state: "ran", "stopped" (error before any case), "timeout" or "crashed" (the process ended by itself).
        observations: for each case ``{"value": dict}`` or ``{"error": dict}``; empty unless the state is "ran".
        error: why it stopped: type, message, line, where.
        output: the beginning of what it printed.
    """

    state: str
    observations: list[dict[str, Plain]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    output: str = ""


@dataclass
class _Child:
    stream: BinaryIO
    kill: Callable[[], None]  # end its processes; whoever waits for an answer then stops waiting
    close: Callable[[], None]  # give back what it held, once it is killed
    ready: bool = False

    def end(self) -> None:
        """End its processes and give back what it held."""
        self.kill()
        with contextlib.suppress(OSError):  # unsent words to a process that is gone
            self.stream.close()
        self.close()

    def ask(self, message: Any, limit: float) -> Any:
        """Send a message and wait for the answer; kill the child after the limit. Raises EOFError or TimeoutError."""
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            self.kill()

        timer = threading.Timer(limit, stop)
        timer.daemon = True
        timer.start()
        try:
            if message is not None:
                send(self.stream, message)
            return receive(self.stream)
        except (OSError, EOFError, ValueError) as error:
            raise (TimeoutError if expired.is_set() else EOFError) from error
        finally:
            timer.cancel()


class Runner:
    """Runs candidates in one kind of process (see `child.PRELOAD`).

    Safe to use from several threads, one run at a time.
    """

    def __init__(self, process: str, fork: bool = sys.platform == "linux") -> None:
        self.process = process
        self.framework = process.partition("+")[0]
        self._start_child = self._fork_child if fork else self._spawn_child
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._spare: _Child | None = None
        self._folder: str | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def start(self) -> None:
        """Begin to import the framework in the background, so that the first run need not wait for it."""
        with self._lock:
            if self._spare is None:
                threading.Thread(target=self._prepare, daemon=True).start()

    def run(self, exercise_id: str, cases: list[Case], sources: list[str], time_limit: float, alone: bool) -> list[Run]:
        """Run source texts on cases.

        Args:
            exercise_id: whose probe observes them.
            cases: the inputs.
            sources: candidates, each run on all cases.
            time_limit: seconds for one candidate.
            alone: give each candidate a process of its own (learner code), or let them share one (our own code).
        """
        with self._lock:
            runs: list[Run] = []
            child: _Child | None = None
            try:
                for source in sources:
                    if child is None:
                        child = self._open(exercise_id, cases, time_limit)
                    runs.append(self._run_one(child, source, len(cases), time_limit))
                    if alone or runs[-1].state in ("timeout", "crashed"):
                        child.end()
                        child = None
            finally:  # also when the learner interrupts the notebook
                if child is not None:
                    child.end()
            return runs

    def close(self) -> None:
        """End every process and remove what they left."""
        if self._spare is not None:
            self._spare.end()
            self._spare = None
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _run_one(self, child: _Child, source: str, cases: int, time_limit: float) -> Run:
        try:
            return as_run(child.ask(source, time_limit), cases)
        except TimeoutError:
            return Run("timeout")
        except (EOFError, ValueError):
            return Run("crashed")

    def _open(self, exercise_id: str, cases: list[Case], time_limit: float) -> _Child:
        inputs = [case.inputs for case in cases]
        job = {"exercise": exercise_id, "framework": self.framework, "cases": inputs, "time_limit": time_limit}
        try:
            return self._hand_over(job)
        except (CourseError, OSError):  # the child that waited, or the server, has been ended by somebody: start anew
            self.close()
            return self._hand_over(job)

    def _hand_over(self, job: dict[str, Plain]) -> _Child:
        child, self._spare = self._spare, None
        try:
            child = child or self._start_child()
            self._await_ready(child)
            send(child.stream, job)
        except BaseException:
            if child is not None:
                child.end()
            raise
        self._spare = self._start_child()
        return child

    def _prepare(self) -> None:
        with self._lock, contextlib.suppress(CourseError):
            if self._spare is None:
                self._spare = self._start_child()
                self._await_ready(self._spare)

    def _await_ready(self, child: _Child) -> None:
        try:
            if not child.ready:
                child.ready = child.ask(None, START_LIMIT) == "ready"
        except (EOFError, TimeoutError) as error:
            self.close()
            raise CourseError(
                f"the process that checks {self.framework} answers did not start; run tl-course doctor"
            ) from error

    def _fork_child(self) -> _Child:
        if self._server is None or self._server.poll() is not None:
            self._start_server()
        assert self._control is not None
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            pid = int.from_bytes(self._control.recv(8), "big")
        except OSError:
            pid = 0
        if pid == 0:
            ours.close()
            self.close()
            raise CourseError(f"the process that checks {self.framework} answers did not start; run tl-course doctor")

        def kill() -> None:
            _kill_group(pid)
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)  # should a process that left the group hold the other end

        return _Child(ours.makefile("rwb"), kill, ours.close)  # type: ignore[arg-type]

    def _start_server(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [*self._command("forkserver"), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._control = ours

    def _spawn_child(self) -> _Child:
        process = subprocess.Popen(
            self._command("child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        kill = process.kill if sys.platform == "win32" else lambda: _kill_group(process.pid)
        return _Child(_Both(process.stdout, process.stdin), kill, lambda: _wait(process))  # type: ignore[arg-type]

    def _command(self, module: str) -> list[str]:
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="tl_course_check_")
        return [sys.executable, "-P", "-m", f"tl_course.exercises.engine.{module}", self.process, self._folder]


class _Both:
    """A process's standard output and input as one stream."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.reader, self.writer = reader, writer
        self.read, self.write, self.flush = reader.read, writer.write, writer.flush

    def close(self) -> None:
        """Close both."""
        self.reader.close()
        self.writer.close()


def as_run(outcome: Any, cases: int) -> Run:
    """What a child answered. Raises ValueError for what none of ours says: the learner's code may have written it."""
    fields = outcome if isinstance(outcome, dict) else {}
    output, error, observations = fields.get("output"), fields.get("error"), fields.get("observations")
    if isinstance(output, str) and _is_error(error):
        return Run("stopped", error=error, output=output)
    if isinstance(output, str) and isinstance(observations, list) and _are_complete(observations, cases):
        return Run("ran", observations=observations, output=output)
    raise ValueError("not the outcome of a run")


def _are_complete(items: list[Any], cases: int) -> bool:
    return len(items) == cases and all(map(_is_observation, items))


def _is_observation(item: Any) -> bool:
    return isinstance(item, dict) and (_is_error(item.get("error")) or isinstance(item.get("value"), dict))


def _is_error(item: Any) -> bool:
    kinds = {"type": str, "message": str, "line": (int, type(None)), "where": str}
    return isinstance(item, dict) and all(isinstance(item.get(name, ...), kind) for name, kind in kinds.items())


def _wait(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(START_LIMIT)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


_runners: dict[str, Runner] = {}


def runner(process: str) -> Runner:
    """This process's runner for a kind of process; see `Exercise.process`."""
    if process not in _runners:
        _runners[process] = Runner(process)
    return _runners[process]
