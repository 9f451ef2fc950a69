"""Asks a sandbox to run code, for tests of what that code can do."""

import textwrap
from typing import Any

from tl_course.grading.confinement import Limits
from tl_course.grading.sandbox import Reply, Sandbox, Warm

MEGABYTE = 2**20
SMALL = Limits(memory=300 * MEGABYTE, files=20 * MEGABYTE, file=8 * MEGABYTE, processes=24, open_files=40)
PROBE = "def probe(function, case):\n    return {'value': function(**case)}\n"
TRY = """
def attempt(action, *arguments):
    try:
        action(*arguments)
    except BaseException as error:
        return type(error).__name__
    return "done"
"""


def ask(sandbox: Sandbox, code: str, limit: float = 20.0, fresh: bool = False, **case: Any) -> Reply:
    """Run code that defines f, and call it with the case's values."""
    return sandbox.ask(task(code, **case), limit, fresh)


def task(code: str, **case: Any) -> dict[str, Any]:
    """The task of doing so."""
    told = {"kind": "answer", "source": TRY + textwrap.dedent(code), "entry": "f"}
    return told | {"probe": [["probe_of_test", PROBE]], "probe_name": "probe", "cases": [case]}


def result(reply: Reply) -> Any:
    """What f returned, or the type of what it raised."""
    assert reply.state == "done", reply
    (observation,) = reply.value["observations"]
    return observation["value"]["value"] if "value" in observation else observation["error"]["type"]


def run(warm: Warm, code: str, **case: Any) -> Any:
    with warm.sandbox() as sandbox:
        return result(ask(sandbox, code, **case))
