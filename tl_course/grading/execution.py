"""Execute a request in a sandbox: plain data in, plain data out, so that it can be done here or on another machine.

A request holds what a submission's processes may see and nothing else: no expected values, no seeds, no gradebook.
"""

from typing import Any

from tl_course.grading.sandbox import Reply, Sandbox, Warm

WALL = 900.0  # seconds for all of a submission
RESTARTS = 3  # so many cells may end their process before the rest is not run


def execute(warm: Warm, request: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """Run a submission's answers, then its cells.

    Args:
        warm: where the sandbox is forked from.
        request: ``files`` (name to bytes), ``answers`` (each with ``key``, ``task``, ``limit`` and ``fresh``) and
            ``cells`` (each with ``task`` and ``limit``), which run one after the other in a process of their own.
        threads: of a framework's computations.

    Returns:
        ``answers`` (key to ``{"state", "value"}``) and ``cells`` (one of these for each).
    """
    with warm.sandbox(request["files"], WALL, threads) as sandbox:
        answers = {
            answer["key"]: _plain(sandbox.ask(answer["task"], answer["limit"], fresh=answer["fresh"]))
            for answer in request["answers"]
        }
        return {"answers": answers, "cells": _cells(sandbox, request["cells"])}


def _cells(sandbox: Sandbox, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run cells in one process; a cell that ends it is left out, and the others go on."""
    replies: list[Reply] = []
    ended = 0
    for number, cell in enumerate(cells):
        if ended > RESTARTS:
            replies.append(Reply("not run"))
            continue
        replies.append(sandbox.ask({**cell["task"], "number": number}, cell["limit"], fresh=number == 0))
        if replies[-1].state not in ("done", "interrupted"):
            ended += 1
            _replay(sandbox, cells, replies)
    for number, (cell, reply) in enumerate(zip(cells, replies, strict=True)):
        if reply.value.get("later") is True:  # a test that could not be run in a copy of the process
            task = {**cell["task"], "number": number, "mode": "later"}
            replies[number] = sandbox.ask(task, cell["limit"])
    return [_plain(reply) for reply in replies]


def _replay(sandbox: Sandbox, cells: list[dict[str, Any]], replies: list[Reply]) -> None:
    """Run the cells before the one that ended their process once more in a new process, so that others can follow."""
    good = [cell for cell, reply in zip(cells, replies, strict=False) if reply.state == "done"]
    for number, cell in enumerate(cell for cell in good if cell["task"]["kind"] == "cell"):
        sandbox.ask(cell["task"], cell["limit"], fresh=number == 0)


def _plain(reply: Reply) -> dict[str, Any]:
    return {"state": reply.state, "value": reply.value}
