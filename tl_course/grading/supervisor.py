"""A submission's supervisor: it hands the submission's tasks to a child, one after the other, and watches over it.

The child runs the learner's code and sees a task only when its turn has come. This process runs none of it: it holds
the submission to its time and memory, passes on what the child answers without reading it, and ends whatever a task
left behind.
"""

import contextlib
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from typing import Any, NoReturn

from tl_course.exercises.engine import child
from tl_course.exercises.engine.child import receive, receive_raw, send
from tl_course.grading import confinement, inside
from tl_course.grading.confinement import PRIVATE, WORK, Limits
from tl_course.grading.watch import Ended, Watch, descendants

REPLY_LIMIT = 48 * 2**20  # bytes of the answer to one task
GRACE = 3.0  # seconds that an interrupted task has to end by itself


def supervise(connection: int, report: int) -> NoReturn:
    """Run a submission.

    Args:
        connection: where tasks come from and answers go.
        report: where the job comes from: limits, time, and the submission's files; and where it is told how it ended.
    """
    try:
        os.setsid()
        confinement.die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with socket.socket(fileno=report) as reports, reports.makefile("rwb") as stream:
            ended = {"ended": "ended"}
            try:
                _Submission(receive(stream), connection, report).run()  # type: ignore[arg-type]
            except Ended as why:
                ended = {"ended": str(why)}
            except _Unprotected as why:
                ended = {"ended": "unprotected", "why": str(why)}
            except _NotLaidOut as why:
                ended = {"ended": "not laid out", "why": str(why)}
            except (EOFError, OSError, ValueError):
                pass  # the grader hung up
            send(stream, ended)  # type: ignore[arg-type]
    finally:
        os._exit(0)


class _Unprotected(Exception):
    """A protection cannot be had."""


class _NotLaidOut(Exception):
    """The submission's files cannot be put into its folder."""


class _Submission:
    """A submission's namespaces, and the process in them that its tasks run in."""

    def __init__(self, job: dict[str, Any], connection: int, report: int) -> None:
        self._limits, self._threads, self._separate = Limits(**job["limits"]), job["threads"], job["separate"]
        self._connection = connection
        self._watch = Watch(report, job["wall"], self._limits.memory)
        self._lane: _Lane | None = None
        self._kept = [connection, report]  # descriptors that a learner's process must not have
        self._first = 0
        if self._separate:
            try:
                confinement.separate(self._limits)
                self._first, hold = confinement.first_process()
            except OSError as error:
                raise _Unprotected(str(error)) from error
            self._kept.append(hold)
            confinement.hide_memory(True)
        random.seed()
        os.chdir(PRIVATE if self._separate else job["folder"] or tempfile.mkdtemp())
        try:
            self._output = child.redirect_output()
            os.mkdir(WORK)
            os.chdir(WORK)
            _lay_out(job["files"])
        except OSError as error:
            raise _NotLaidOut(str(error)) from error

    def run(self) -> None:
        """Answer tasks until the grader hangs up, then end everything: for each a header, and what came of it.

        A task comes as ``{"limit": seconds, "fresh": bool}`` and the packed task itself; the answer is ``{"state"}``,
        "done", "interrupted", "timeout" or "crashed", and in the first two cases what the child sent.

        Raises:
            Ended: the submission took too long or too much.
        """
        try:
            with socket.socket(fileno=self._connection) as sock, sock.makefile("rwb") as stream:
                while True:
                    self._watch.wait([self._connection])
                    header, task = receive(stream), receive_raw(stream)  # type: ignore[arg-type]
                    state, reply = self._answer(task, header["limit"], header["fresh"])
                    send(stream, {"state": state, "size": len(reply)})  # type: ignore[arg-type]
                    stream.write(reply)
                    stream.flush()
        finally:
            self._end()

    def _answer(self, task: bytes, limit: float, fresh: bool) -> tuple[str, bytes]:
        """Have a task done by the child, by a new one where there is none or the task asks for it."""
        if self._lane is not None and fresh:
            self._lane.end()
        if self._lane is None or self._lane.ended:
            if self._lane is not None:
                self._end_others()
            self._lane = _Lane(self._watch, self._work)
        state, reply = self._lane.ask(task, limit)
        if state in ("timeout", "crashed"):
            self._lane.end()
        return state, reply

    def _work(self, ask: int, answer: int) -> None:
        """What the child does."""
        for descriptor in self._kept:
            os.close(descriptor)
        confinement.die_with_parent()
        confinement.hide_memory(False)
        confinement.limit(self._limits)
        inside.work(ask, answer, self._output, self._threads)

    def _end_others(self) -> None:
        """End what earlier tasks left behind: everything but the first process of the namespaces."""
        if self._separate:
            pid = os.fork()
            if pid == 0:
                with contextlib.suppress(OSError):
                    os.kill(-1, signal.SIGKILL)  # this process is in them too, and is the one that stays
                os._exit(0)
            os.waitpid(pid, 0)

    def _end(self) -> None:
        """End everything: with the first process go its namespaces; without them, all descendants that are known."""
        for process in [self._first] if self._first else descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)


class _Lane:
    """A child that runs tasks one after the other."""

    def __init__(self, watch: Watch, work: Callable[[int, int], None]) -> None:
        self._watch, self.ended = watch, False
        ask, self._tasks = os.pipe()
        self._answers, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.close(self._tasks)
                os.close(self._answers)
                work(ask, answer)
            finally:
                os._exit(0)
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
        if self.ended:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for descriptor in (self._tasks, self._answers, self._handle):
            os.close(descriptor)
        self.ended = True

    def _read(self, until: float) -> bytes | None:
        """One packed message; empty where the child ended or sent something else, None where it is too late."""
        awaited = [self._answers, self._handle]
        chunks: list[bytes] = []
        size, wanted = 0, 8
        while size < wanted:
            ready = self._watch.wait(awaited, until)
            if not ready:
                return None
            try:
                data = os.read(self._answers, 2**20)
            except BlockingIOError:
                data = b""
            if not data:
                if size or self._handle in ready:
                    return b""
                awaited = [self._handle]  # closed, but still running: it may only end now
                continue
            chunks.append(data)
            size += len(data)
            if wanted == 8 and size >= 8:
                chunks = [b"".join(chunks)]
                wanted = 8 + int.from_bytes(chunks[0][:8], "big")
                if wanted > REPLY_LIMIT:
                    return b""
        return b"".join(chunks) if size == wanted else b""


def _lay_out(files: dict[str, Any]) -> None:
    """Write the submission's files into the current folder."""
    for name, data in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as file:
            file.write(data.tobytes())
