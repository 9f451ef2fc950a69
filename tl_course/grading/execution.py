"""Execute a request in a sandbox: plain data in, plain data out, so that it can be done here or on another machine.

A request holds what a submission's processes may see and nothing else: no expected values, no seeds, no gradebook.
"""

from typing import Any

from tl_course.errors import CourseError
from tl_course.grading.sandbox import Reply, Sandbox, Warm
from tl_course.i18n import _

WALL = 900.0  # seconds for all of a submission
RESTARTS = 3  # so many cells may end their process before the rest is not run
ATTEMPTS = 3  # warm processes that a request may outlive
_GOES_ON = ("done", "interrupted", "not run")


def execute(warm: Warm, request: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """Run a submission's answers, then its cells; all of it again where the warm process ends meanwhile.

    Args:
        warm: where the sandbox is forked from.
        request: ``files`` (name to bytes), ``answers`` (each with ``key``, ``task``, ``limit`` and ``fresh``) and
            ``cells`` (each with ``task`` and ``limit``, a test also with ``real``, the number of the text that is the
            test itself), which run one after the other in a process of their own.
        threads: of a framework's computations.

    Returns:
        ``answers`` (key to ``{"state", "value"}``) and ``cells`` (one of these for each).

    Raises:
        CourseError: the warm process ended each time, or cannot be started again.
    """
    for _attempt in range(ATTEMPTS):
        with warm.sandbox(request["files"], WALL, threads) as sandbox:
            answers = {
                answer["key"]: _plain(sandbox.ask(answer["task"], answer["limit"], fresh=answer["fresh"]))
                for answer in request["answers"]
            }
            cells = _cells(sandbox, request["cells"])
        if not sandbox.is_orphan():
            return {"answers": answers, "cells": cells}
    raise CourseError(
        _("the process that runs submissions ended {times} times while it ran this one").format(times=ATTEMPTS)
    )


def _cells(sandbox: Sandbox, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run cells in one process; a cell that ends it is left out, and the others go on.

    A test is run when all cells have, in a copy of the process that is made where the test stands: what it lets the
    learner's code see can no longer be written into a cell. What stands last needs no copy.
    """
    replies: list[Reply] = []
    ended = 0
    for number in range(len(cells)):
        replies.append(Reply("not run") if ended > RESTARTS else _ask(sandbox, cells, number, fresh=number == 0))
        if replies[-1].state not in _GOES_ON:
            ended += 1
            _replay(sandbox, cells, replies)
    last = len(cells) - 1
    for number, cell in enumerate(cells):
        if cell["task"]["kind"] == "trials" and replies[number].state == "done":
            replies[number] = _tried(sandbox, cell, number)
            if replies[number].state not in _GOES_ON and ended <= RESTARTS and number < last:
                ended += 1
                _replay(sandbox, cells, replies)
    return [_plain(reply) for reply in replies]


def _tried(sandbox: Sandbox, cell: dict[str, Any], number: int) -> Reply:
    """What a test and its variants came to; where the test did not pass, it is run once more by itself.

    One that keeps state may have failed by what ran before it. If it passes by itself, ``alone`` says so: the learner's
    code may know by now which text is the test, so that all of them have to be run in a new sandbox.
    """
    task = {**cell["task"], "number": number}
    reply = sandbox.ask(task, cell["limit"])
    if task["apart"] or reply.state != "done" or reply.value.get("shared") or not _failed(reply, cell["real"]):
        return reply
    source = task["sources"][cell["real"]]
    again = sandbox.ask({**task, "sources": [source], "apart": True}, cell["limit"])
    if again.state not in _GOES_ON:
        return again
    if again.state == "done" and not _failed(again, 0):
        reply.value["alone"] = True
    return reply


def _failed(reply: Reply, number: int) -> bool:
    results = reply.value.get("results")
    if not isinstance(results, list) or len(results) <= number:
        return False
    return not results[number]["ok"] and not results[number]["timed_out"]


def _ask(sandbox: Sandbox, cells: list[dict[str, Any]], number: int, fresh: bool = False) -> Reply:
    """Run a cell; for a test, only have a copy of the process kept, without a word on what it is for."""
    task = cells[number]["task"]
    if task["kind"] == "trials":
        if 0 < number == len(cells) - 1 and not task["apart"]:
            return Reply("done")
        task = {"kind": "keep"}
    return sandbox.ask({**task, "number": number}, cells[number]["limit"], fresh)


def _replay(sandbox: Sandbox, cells: list[dict[str, Any]], replies: list[Reply]) -> None:
    """Run what did not end its process once more in a new one, so that others can follow."""
    good = [number for number, reply in enumerate(replies) if reply.state == "done"]
    for place, number in enumerate(number for number in good if cells[number]["task"]["kind"] != "observe"):
        _ask(sandbox, cells, number, fresh=place == 0)


def _plain(reply: Reply) -> dict[str, Any]:
    return {"state": reply.state, "value": reply.value}
