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

from tl_course.grading.cells import CellRunner

MESSAGE_LIMIT = 8 * 2**20  # bytes of one outcome
_encode, _decode = json.JSONEncoder().encode, json.JSONDecoder().decode
_fork, _exit, _pipe, _read, _write, _close = os.fork, os._exit, os.pipe, os.read, os.write, os.close
_killpg, _waitpid, _select, _now = os.killpg, os.waitpid, select.select, time.monotonic


def run_apart(runner: CellRunner, sources: list[str], seconds: float) -> list[dict[str, Any]]:
    """Run each text in its own copy of this process, one after the other, each for at most ``seconds``.

    Returns:
        For each ``{"ok", "outputs", "error", "timed_out"}``. ``timed_out`` is also true where a copy ended without a
        word; then the others hold False, an empty list and "Timeout" or "Lost".
    """
    return [result for source in sources for result in _copy(runner, [source], seconds)]


def run_together(runner: CellRunner, sources: list[str], seconds: float) -> list[dict[str, Any]]:
    """Run texts one after the other in one copy of this process, all within ``seconds``; see `run_apart`."""
    return _copy(runner, sources, seconds)


def run_here(runner: CellRunner, sources: list[str], first: int) -> list[dict[str, Any]]:
    """Run texts in this process, number ``first`` before the others: only it sees the state that the cells left."""
    order = [first, *(number for number in range(len(sources)) if number != first)]
    results = {number: {**asdict(runner.run(sources[number], brief=True)), "timed_out": False} for number in order}
    return [results[number] for number in range(len(sources))]


def _copy(runner: CellRunner, sources: list[str], seconds: float) -> list[dict[str, Any]]:
    reader, writer = _pipe()
    pid = _fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            _close(reader)
            for source in sources:
                _send(writer, asdict(runner.run(source, brief=True)))
        finally:
            _exit(0)
    _close(writer)
    try:
        end, rest, results = _now() + seconds, b"", []
        for _source in sources:
            result, rest = _receive(reader, rest, end)
            results.append(result)
        return results
    finally:
        _close(reader)
        _end(pid)


def _send(writer: int, ran: dict[str, Any]) -> None:
    data = _encode(ran).encode()
    if len(data) > MESSAGE_LIMIT:
        small = [output for output in ran["outputs"] if len(_encode(output)) < MESSAGE_LIMIT // 100][:50]
        data = _encode(ran | {"outputs": small}).encode()
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
        return {"ok": ran["ok"] is True, "outputs": list(ran["outputs"]), "error": ran["error"], "timed_out": False}
    except (ValueError, TypeError, KeyError, RecursionError):
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
