"""Hold a submission to its time and memory while something is waited for."""

import contextlib
import os
import select
import time
from collections.abc import Sequence

TICK = 0.1  # seconds between two looks at a submission's memory


class Ended(Exception):
    """A submission has to end: "time", "memory", or "told" where the grader hung up."""


class Watch:
    """Watches the descendants of this process.

    Args:
        hung_up: a descriptor that becomes readable when the grader hangs up.
        wall: seconds that the submission may take from now on.
        memory: bytes that the descendants may hold.
    """

    def __init__(self, hung_up: int, wall: float, memory: int) -> None:
        self._hung_up, self._memory = hung_up, memory
        self._deadline = time.monotonic() + wall
        self._looked, self._shared = time.monotonic(), _held(os.getpid())

    def wait(self, descriptors: Sequence[int], until: float | None = None) -> list[int]:
        """Those of some descriptors that can be read, as soon as there is one; none where it is later than ``until``.

        Raises:
            Ended: instead.
        """
        poll = select.poll()
        for descriptor in (*descriptors, self._hung_up):
            poll.register(descriptor, select.POLLIN | select.POLLHUP)
        while True:
            now = time.monotonic()
            left = TICK if until is None else min(TICK, until - now)
            if left <= 0:
                return []
            ready = [descriptor for descriptor, _event in poll.poll(left * 1000)]
            self._look()
            if self._hung_up in ready:
                raise Ended("told")
            if ready:
                return ready

    def _look(self) -> None:
        now = time.monotonic()
        if now > self._deadline:
            raise Ended("time")
        if now - self._looked >= TICK:
            self._looked = now
            if _memory(self._shared, self._memory) > self._memory:
                raise Ended("memory")


def _memory(shared: int, enough: int) -> int:
    """Bytes that this process's descendants hold, without what each shares with it since the fork.

    Where that is more than ``enough``, what they share with each other is counted once.
    """
    processes = descendants(os.getpid())
    held = sum(max(0, _held(process) - shared) for process in processes)
    return held if held <= enough else min(held, sum(map(_proportional, processes)) - shared)


def _proportional(pid: int) -> int:
    """Bytes of a process's own memory, what it shares with others by its part; as `_held` where that is not told."""
    part = _told(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))
    return part + _told(f"/proc/{pid}/status", ("VmPTE:",)) if part else _held(pid)


def _held(pid: int) -> int:
    """Bytes that a process holds itself or shares with those it started, its page tables among them.

    Files that it has mapped are not counted.
    """
    return _told(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:", "VmPTE:"))


def _told(path: str, names: tuple[str, ...]) -> int:
    """Sum of some sizes that the kernel tells in a file, in bytes; 0 where the process is gone or hidden."""
    try:
        with open(path) as file:
            return sum(int(line.split()[1]) for line in file if line.startswith(names)) * 1024
    except (OSError, ValueError, IndexError):
        return 0


def descendants(pid: int) -> list[int]:
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
