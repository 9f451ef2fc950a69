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
        """Run texts in the copy one after the other, then end it.

        Args:
            sources: the texts.
            seconds: for all of them, or for each where it has a copy of its own.
            apart: whether each runs in a copy of the copy.

        Returns:
            For each ``{"ok", "outputs", "error", "timed_out"}``. ``timed_out`` is also true where a copy ended without
            a word; then the others hold False, an empty list and "Timeout" or "Lost".
        """
        results: list[dict[str, Any]] = []
        try:
            _put(self._tell, _encode({"sources": sources, "seconds": seconds, "apart": apart}).encode())
            end, rest = _now() + seconds * (len(sources) if apart else 1), b""
            for _source in sources:
                result, rest = _receive(self._answers, rest, end)
                results.append(result)
        except OSError:  # it ended before it was told
            results += [_nothing("Lost")] * (len(sources) - len(results))
        finally:
            _close(self._tell)
            _close(self._answers)
            _end(self._pid)
        return results


def run_here(runner: CellRunner, sources: list[str]) -> list[dict[str, Any]]:
    """Run texts in this process, one after the other, each with the same global names."""
    names, results = dict(runner.namespace), []
    for source in sources:
        runner.namespace.clear()
        runner.namespace.update(names)
        results.append({**asdict(runner.run(source, brief=True)), "timed_out": False})
    return results


def _obey(runner: CellRunner, told: int, answer: int) -> None:
    """In a copy: wait for texts, and run them."""
    with os.fdopen(told, "rb") as stream:
        order = _decode(stream.read(int.from_bytes(stream.read(8), "big")).decode())
    late = False
    for source in order["sources"]:
        if late:  # so will the others be
            ran = _nothing("Timeout")
        elif order["apart"]:
            (ran,) = Copy(runner).run([source], order["seconds"])
            late = ran["error"] == "Timeout"
        else:
            ran = asdict(runner.run(source, brief=True))
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
