"""Sandboxes for submissions, as the grader sees them: one warm process, and a fresh fork of it for each submission."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tl_course.errors import CourseError
from tl_course.exercises.engine.child import receive, send
from tl_course.grading import isolation, received
from tl_course.grading.confinement import Limits
from tl_course.i18n import _

START_LIMIT = 180.0  # seconds to import the frameworks on a busy machine
EXTRA = 30.0  # seconds beyond its tasks' limits that a submission's processes may take
GRACE = 2.0  # seconds that a process may take to end after those that were forked from it


@dataclass(frozen=True)
class Reply:
    """What came of a task.

    Args:
        state: "done", "interrupted" (took too long, and ended when told), "timeout" (did not end, and was ended),
            "crashed" (its process ended, or sent nonsense), "time" or "memory" (the whole submission was ended).
        value: what the task gave, where it is done or was interrupted.
    """

    state: str
    value: dict[str, Any] = field(default_factory=dict)


class Sandbox:
    """One submission's processes. Made by `Warm.sandbox`."""

    def __init__(self, connection: socket.socket, report: socket.socket, parent: subprocess.Popen[bytes]) -> None:
        self._connection, self._report, self._parent = connection, report, parent
        self._stream, self._reports = connection.makefile("rwb"), report.makefile("rwb")
        self._ended = ""

    def ask(self, task: Mapping[str, Any], limit: float, fresh: bool = False) -> Reply:
        """Have a task done within ``limit`` seconds; ``fresh``: by a new process, not where the last one ran."""
        if self._ended:
            return Reply(self._ended)
        try:
            self._connection.settimeout(limit + EXTRA)
            send(self._stream, {"limit": limit, "fresh": fresh})  # type: ignore[arg-type]
            send(self._stream, dict(task))  # type: ignore[arg-type]
            header = receive(self._stream)  # type: ignore[arg-type]
            data = self._stream.read(header["size"])
        except (EOFError, OSError, ValueError):
            self._ended = self._why()
            return Reply(self._ended)
        return _reply(header["state"], data)

    def open(self, job: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Start the processes: limits, and the submission's own files. Raises OSError where the other side is gone."""
        arrays = {name: np.frombuffer(data, dtype=np.uint8) for name, data in files.items()}
        send(self._reports, {**job, "files": arrays})  # type: ignore[arg-type]

    def is_orphan(self) -> bool:
        """Whether it ended because the process that it was forked from did: no fault of the submission."""
        if self._ended == "crashed":
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._parent.wait(GRACE)
                return True
        return False

    def close(self) -> None:
        """End the submission's processes, and wait until they are gone."""
        for stream in (self._stream, self._connection):
            with contextlib.suppress(OSError):
                stream.close()
        with contextlib.suppress(OSError):
            self._report.shutdown(socket.SHUT_WR)
            self._why()
        for stream in (self._reports, self._report):
            with contextlib.suppress(OSError):
                stream.close()

    def _why(self) -> str:
        """How the supervisor says that the submission ended."""
        self._report.settimeout(EXTRA)
        try:
            message = receive(self._reports)  # type: ignore[arg-type]
        except (EOFError, OSError, ValueError):
            return "crashed"
        if message.get("ended") == "unprotected":
            raise CourseError(str(message.get("why")))
        if message.get("ended") == "not laid out":
            raise CourseError(_("its files cannot be put into the sandbox ({why})").format(why=message.get("why")))
        return str(message["ended"]) if message.get("ended") in ("time", "memory") else "crashed"


class Warm:
    """A process with modules imported, from which sandboxes are forked. Safe to use from several threads.

    Args:
        modules: what it imports; a submission that imports one of these need not wait. See also `need`.
        limits: what each submission may use.
        allow_unsafe: run submissions also where a protection is missing; `unprotected` then names what is.
        wait: until it is ready; otherwise call `get_ready` before anything else. The process ends with the thread that
            makes this object.

    Raises:
        CourseError: a protection is missing, or the process did not start.
    """

    def __init__(
        self,
        modules: Sequence[str],
        limits: Limits | None = None,
        allow_unsafe: bool = False,
        wait: bool = True,
    ) -> None:
        if sys.platform == "win32":
            raise CourseError(
                _("submissions cannot be run on Windows itself; {advice}").format(advice=isolation.advice())
            )
        self.modules: tuple[str, ...] = ()
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self.unprotected: list[str] = []
        if isolation.bubblewrap() is None:
            self.unprotected.append(
                _("bubblewrap is not there: submissions would see this user's files and the network")
            )
        self._boxed = self._separate = not self.unprotected
        self._refuse_unless(allow_unsafe)
        self._allow_unsafe = allow_unsafe
        self._launch()
        if wait:
            self.get_ready()
            self.need(modules)

    def get_ready(self) -> None:
        """Wait until the process has started, and see whether the kernel allows all of the sandbox.

        Raises:
            CourseError: it did not start, or a protection is missing.
        """
        try:
            self._await_start()
        except CourseError as error:
            if not self._boxed:
                raise
            self.unprotected.append(
                _("submissions would see this user's files and the network ({why})").format(why=error)
            )
            self._refuse_unless(self._allow_unsafe)
            self._boxed = self._separate = False
            self._launch()
            self._await_start()
        if not self._separate:
            return
        try:
            with self.sandbox() as sandbox:
                sandbox.ask({"kind": "nothing"}, 30.0)
        except CourseError as error:
            self.unprotected.append(_("submissions cannot be kept apart from each other ({why})").format(why=error))
            self._separate = False
            self.close()
            self._refuse_unless(self._allow_unsafe)
            self._launch()
            self._await_start()

    def need(self, modules: Sequence[str]) -> None:
        """Import more modules, for the submissions from now on.

        Raises:
            CourseError: the process ended.
        """
        with self._lock:
            self._import([module for module in dict.fromkeys(modules) if module not in self.modules])

    @contextmanager
    def sandbox(
        self, files: Mapping[str, bytes] | None = None, wall: float = 600.0, threads: int = 1
    ) -> Iterator[Sandbox]:
        """A fresh sandbox; its processes are gone when the block ends.

        Args:
            files: of the submission, by relative name; they lie in its folder.
            wall: seconds that all of it may take.
            threads: of a framework's computations.
        """
        connection, report, parent = self._fork()
        with (
            tempfile.TemporaryDirectory(prefix="tl_course_submission_")
            if not self._boxed
            else contextlib.nullcontext("") as folder
        ):
            sandbox = Sandbox(connection, report, parent)
            job = {
                "limits": asdict(self.limits),
                "wall": wall,
                "threads": threads,
                "separate": self._separate,
                "folder": folder,
            }
            try:
                with contextlib.suppress(OSError):  # the other side is gone: whoever asks it hears so
                    sandbox.open(job, files or {})
                yield sandbox
            finally:
                sandbox.close()

    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and all that was forked from it."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        self._said.close()

    def _import(self, new: Sequence[str]) -> None:
        if not new:
            return
        self._control.settimeout(START_LIMIT)
        try:
            self._control.sendall(" ".join(new).encode())
            done = self._control.recv(1)
        except OSError:
            done = b""
        if not done:
            raise CourseError(_("the process that imports {modules} ended").format(modules=", ".join(new)))
        self._control.settimeout(None)
        self.modules = (*self.modules, *new)

    def _launch(self) -> None:
        self._control, theirs = socket.socketpair()
        program = ["-P", "-m", "tl_course.grading.zygote", str(theirs.fileno())]
        command = isolation.command(program) if self._boxed else [sys.executable, *program]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it stays open as long as the process writes to it)
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                start_new_session=True,
            )

    def _await_start(self) -> None:
        self._control.settimeout(START_LIMIT)
        try:
            ready = self._control.recv(1)
        except OSError:
            ready = b""
        if not ready:
            self._said.seek(0)
            said = " ".join(self._said.read()[-1000:].decode(errors="replace").split())
            self.close()
            raise CourseError(
                _("the sandbox did not start: {said}; {advice}").format(said=said, advice=isolation.advice())
            )
        self._control.settimeout(None)

    def _refuse_unless(self, allow_unsafe: bool) -> None:
        if self.unprotected and not allow_unsafe:
            what = "; ".join(self.unprotected)
            raise CourseError(_("{what}; {advice}, or say --allow-unsafe").format(what=what, advice=isolation.advice()))

    def _fork(self) -> tuple[socket.socket, socket.socket, "subprocess.Popen[bytes]"]:
        connection, theirs = socket.socketpair()
        report, their_report = socket.socketpair()
        with theirs, their_report, self._lock:
            ends = [theirs.fileno(), their_report.fileno()]
            try:
                socket.send_fds(self._control, [b"+"], ends)
            except OSError:
                self._revive()
                socket.send_fds(self._control, [b"+"], ends)
            return connection, report, self._process

    def _revive(self) -> None:
        """Start the process again that somebody ended: the kernel, for one, for want of memory."""
        modules, self.modules = self.modules, ()
        self.close()
        self._launch()
        self._await_start()
        self._import(modules)


def _reply(state: str, data: bytes) -> Reply:
    if state not in ("done", "interrupted"):
        return Reply(state)
    try:
        value = received.value(data[8:])
    except ValueError:
        return Reply("crashed")
    return Reply(state, value) if isinstance(value, dict) else Reply("crashed")
