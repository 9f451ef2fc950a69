"""Runs cells in forked copies of this process, so that what they do changes nothing in it.

For the process that ran a learner's notebook. It is told the cells' text and nothing about what is expected of them.
"""

import json
import os
import select
import signal
import time
from dataclasses import asdict
from typing import Any

from tl_course.grading import confinement
from tl_course.grading.cells import CellRunner

MESSAGE_LIMIT = 8 * 2**20  # bytes of one outcome
_encode, _decode = json.JSONEncoder().encode, json.JSONDecoder().decode
_fork, _exit, _pipe, _read, _write, _close = os.fork, os._exit, os.pipe, os.read, os.write, os.close
_killpg, _waitpid, _select, _now = os.killpg, os.waitpid, select.select, time.monotonic
_handle, _set_timer = signal.signal, signal.setitimer


class Copy:
    """A copy of this process as it is now, which waits until it is told what to run."""

    def __init__(self, runner: CellRunner) -> None:
        told, self._tell = _pipe()
        self._answers, answer = _pipe()
        self._pid = _fork()
        if self._pid == 0:
            try:
                os.setpgid(0, 0)
                confinement.die_with_parent()
                for descriptor in (self._tell, self._answers):
                    _close(descriptor)
                _obey(runner, told, answer)
            finally:
                _exit(0)
        _close(told)
        _close(answer)

    def run(self, sources: list[str], seconds: float, apart: bool = False) -> list[dict[str, Any]]:
        """Run texts in a copy of the copy, which stays as it is and can be asked again.

        Args:
            sources: the texts.
            seconds: for all of them, or for each where it has a copy of its own.
            apart: whether each runs in a copy of its own; otherwise one after the other in the same.

        Returns:
            For each ``{"ok", "outputs", "error", "timed_out"}``. ``timed_out`` is also true where a copy ended without
            a word; then the others hold False, an empty list and "Timeout" or "Lost".
        """
        return self._ask(sources, "apart" if apart else "together", seconds, seconds * (len(sources) if apart else 1))

    def run_and_end(self, sources: list[str], seconds: float) -> list[dict[str, Any]]:
        """Run texts in the copy itself, one after the other, then end it."""
        try:
            return self._ask(sources, "here", seconds, seconds)
        finally:
            self.end()

    def end(self) -> None:
        """End it, with what it started."""
        _close(self._tell)
        _close(self._answers)
        _end(self._pid)

    def _ask(self, sources: list[str], where: str, seconds: float, limit: float) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        try:
            _put(self._tell, _encode({"sources": sources, "where": where, "seconds": seconds}).encode())
            end, rest = _now() + limit, b""
            for _source in sources:
                result, rest = _receive(self._answers, rest, end)
                results.append(result)
        except OSError:  # it ended before it was told
            results += [_nothing("Lost")] * (len(sources) - len(results))
        return results


def run_here(
    runner: CellRunner, sources: list[str], seconds: float, names: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run texts in this process, one after the other, each with the same global names.

    Args:
        runner: the interpreter.
        sources: the texts.
        seconds: for all of them.
        names: the global names; those that there are, if None.

    Returns:
        As `Copy.run` does.
    """
    names, results, end = dict(runner.namespace if names is None else names), [], _now() + seconds
    _handle(signal.SIGALRM, signal.default_int_handler)  # ends a text as an interrupt does
    for source in sources:
        if _now() >= end:
            results.append(_nothing("Timeout"))
            continue
        runner.namespace.clear()
        runner.namespace.update(names)
        _set_timer(signal.ITIMER_REAL, end - _now() + 0.01)
        ran = asdict(runner.run(source, brief=True))
        _set_timer(signal.ITIMER_REAL, 0)
        results.append({**ran, "timed_out": False} if _now() < end else _nothing("Timeout"))
    return results


def _obey(runner: CellRunner, told: int, answer: int) -> None:
    """In a copy: wait for texts, and run them."""
    with os.fdopen(told, "rb") as stream:
        while size := int.from_bytes(stream.read(8), "big"):
            order = _decode(stream.read(size).decode())
            if order["where"] == "here":
                for source in order["sources"]:
                    _send(answer, asdict(runner.run(source, brief=True)))
            else:
                _obey_in_copies(runner, order, answer)


def _obey_in_copies(runner: CellRunner, order: dict[str, Any], answer: int) -> None:
    groups = [[source] for source in order["sources"]] if order["where"] == "apart" else [order["sources"]]
    late = False
    for group in groups:
        if late:  # so will the others be
            results = [_nothing("Timeout")] * len(group)
        else:
            results = Copy(runner).run_and_end(group, order["seconds"])
            late = results[-1]["error"] == "Timeout"
        for ran in results:
            _send(answer, ran)


def _send(writer: int, ran: dict[str, Any]) -> None:
    data = _encode(ran).encode()
    if len(data) > MESSAGE_LIMIT:
        small = [output for output in ran["outputs"] if len(_encode(output)) < MESSAGE_LIMIT // 100][:50]
        data = _encode(ran | {"outputs": small}).encode()
    _put(writer, data)


def _put(writer: int, data: bytes) -> None:
    data = len(data).to_bytes(8, "big") + data
    while data:
        data = data[_write(writer, data) :]


def _receive(reader: int, data: bytes, end: float) -> tuple[dict[str, Any], bytes]:
    """The next outcome, and what came after it."""
    while True:
        size = int.from_bytes(data[:8], "big")
        if len(data) >= 8 and size > MESSAGE_LIMIT:
            return _nothing("Lost"), b""
        if len(data) >= 8 and len(data) - 8 >= size:
            return _decoded(data[8 : 8 + size]), data[8 + size :]
        left = end - _now()
        if left <= 0 or not _select([reader], [], [], left)[0]:
            return _nothing("Timeout"), data
        piece = _read(reader, 1 << 20)
        if not piece:
            return _nothing("Lost"), b""
        data += piece


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        ran = _decode(data.decode())
        late = ran.get("timed_out", False) is True
        return {"ok": ran["ok"] is True, "outputs": list(ran["outputs"]), "error": ran["error"], "timed_out": late}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _nothing("Lost")


def _nothing(why: str) -> dict[str, Any]:
    return {"ok": False, "outputs": [], "error": why, "timed_out": True}


def _end(pid: int) -> None:
    for kill in (_killpg, os.kill):  # the copy may not have got a group of its own yet
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    _waitpid(pid, 0)
