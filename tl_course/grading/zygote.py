"""A process with the frameworks imported that forks a sandboxed child for each submission it is handed.

It runs inside the sandbox of isolation.py. For each submission there are two processes: a supervisor, which holds the
submission to its time and memory, and the first process of the submission's own namespaces (see inside.py), with whose
end the kernel ends everything that the submission started. When the grader ends, so does all of this.
"""

import contextlib
import importlib
import os
import random
import select
import signal
import socket
import sys
import time
from typing import Any

from tl_course.exercises.engine.child import receive, send
from tl_course.grading import confinement, inside
from tl_course.grading.confinement import NOBODY, Limits

CELLS = "tl_course.grading.cells"  # imported for assignments whose notebooks are run whole
TICK = 0.1  # seconds between two looks at a submission's memory


def main() -> None:
    """Import the modules of a message, or fork a supervisor for its two connections, until the grader hangs up."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _become_nobody()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    control.sendall(b"+")
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, 4096, 2)
        if not message:
            return
        if not descriptors:
            for module in message.decode().split():
                _preload(module)
            control.sendall(b"+")
            continue
        if os.fork() == 0:
            control.close()
            _supervisor(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become_nobody() -> None:
    if hasattr(os, "geteuid") and os.geteuid() == 0 and os.getppid() == 1:  # root in the sandbox, never outside
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        confinement.hide_memory(False)


def _preload(module: str) -> None:
    """Import a module that submissions use; where that fails, theirs will say why."""
    if module.startswith("torch"):
        from tl_course.compat import torchvision

        with contextlib.suppress(Exception):
            torchvision()
    with contextlib.suppress(Exception):
        imported = importlib.import_module(module)
        if module == CELLS:
            imported.prepare()


def _supervisor(connection: int, report: int) -> None:
    """Start a submission's first process, watch it, and say how it ended. Never returns."""
    try:
        os.setsid()
        confinement.die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with socket.socket(fileno=report) as reports, reports.makefile("rwb") as stream:
            job = receive(stream)  # type: ignore[arg-type]
            try:
                pid = _start(job, connection, report)
            except OSError as error:
                send(stream, {"ended": "unprotected", "why": str(error)})  # type: ignore[arg-type]
                return
            os.close(connection)
            ended = _watch(pid, reports, job)
            with contextlib.suppress(OSError):
                send(stream, {"ended": ended})  # type: ignore[arg-type]
    finally:
        os._exit(0)


def _start(job: dict[str, Any], connection: int, report: int) -> int:
    limits = Limits(**job["limits"])
    if job["separate"]:
        confinement.separate(limits)
    started, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(report)
        os.close(started)
        _first_process(job, limits, connection, told)
    os.close(told)
    with os.fdopen(started, "rb") as answer:
        problem = answer.read().decode(errors="replace")
    if problem:
        os.waitpid(pid, 0)
        raise OSError(problem)
    return pid


def _first_process(job: dict[str, Any], limits: Limits, connection: int, told: int) -> None:
    try:
        confinement.die_with_parent()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)  # which the first process of a namespace does not notice
        try:
            if job["separate"]:
                confinement.hide_memory(True)
                confinement.confine(limits)
            else:
                confinement.limit(limits)
        except OSError as error:
            os.write(told, str(error).encode())
            return
        os.close(told)
        random.seed()
        with socket.socket(fileno=connection) as sock, sock.makefile("rwb") as stream:
            inside.serve(stream, connection, job)  # type: ignore[arg-type]
    except (EOFError, OSError, ValueError):
        pass  # the grader hung up
    finally:
        os._exit(0)


def _watch(pid: int, reports: socket.socket, job: dict[str, Any]) -> str:
    """Wait for the end of a submission, or bring it about: "ended", "time", "memory" or "told"."""
    deadline, shared = time.monotonic() + job["wall"], _held(os.getpid())
    ended, handle = "ended", os.pidfd_open(pid)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(reports, select.POLLIN | select.POLLHUP)
    while ended == "ended":
        ready = [descriptor for descriptor, _event in poll.poll(TICK * 1000)]
        if handle in ready:
            break
        if ready:
            ended = "told"
        elif time.monotonic() > deadline:
            ended = "time"
        elif _memory(pid, shared, job["limits"]["memory"]) > job["limits"]["memory"]:
            ended = "memory"
    with contextlib.suppress(ProcessLookupError):
        _end(pid, job["separate"])
    os.waitpid(pid, 0)
    return ended


def _end(pid: int, separate: bool) -> None:
    """End a submission: with its first process its namespace ends; without one, all its descendants that are known."""
    for process in [pid] if separate else [*_tree(pid), pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _memory(pid: int, shared: int, enough: int) -> int:
    """Bytes that a process and its descendants hold, without what each shares with this one since the fork.

    Where that is more than ``enough``, what they share with each other is counted once.
    """
    processes = [pid, *_tree(pid)]
    held = sum(max(0, _held(process) - shared) for process in processes)
    return held if held <= enough else min(held, sum(map(_proportional, processes)) - shared)


def _proportional(pid: int) -> int:
    """Bytes of a process's own memory, what it shares with others by its part; as `_held` where that is not told."""
    return _told(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) or _held(pid)


def _held(pid: int) -> int:
    """Bytes that a process holds itself or shares with those it started; no files that it has mapped."""
    return _told(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:"))


def _told(path: str, names: tuple[str, ...]) -> int:
    """Sum of some sizes that the kernel tells in a file, in bytes; 0 where the process is gone or hidden."""
    try:
        with open(path) as file:
            return sum(int(line.split()[1]) for line in file if line.startswith(names)) * 1024
    except (OSError, ValueError, IndexError):
        return 0


def _tree(pid: int) -> list[int]:
    """Every descendant of a process."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat") as file:
            children.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
    found, todo = [], [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found += new
        todo += new
    return found


if __name__ == "__main__":
    main()
