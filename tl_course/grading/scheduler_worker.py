"""What a worker of a cluster does: execute one submission's request in a sandbox of its own machine.

It knows nothing but the request: no gradebook, no expected values. Requests and responses cross the network as packed
plain data (see engine/plain.py).
"""

import atexit
import json
import os
import socket
import threading
from typing import Any

import numpy as np

import tl_course
from tl_course.errors import CourseError
from tl_course.exercises.engine.plain import NotPlain, pack, unpack
from tl_course.grading.confinement import Limits
from tl_course.grading.execution import execute
from tl_course.grading.sandbox import Warm
from tl_course.i18n import _

KEPT = 2  # warm processes of a worker, each with frameworks in memory

_warm: dict[str, Warm] = {}  # the one used last is the last
_lock = threading.Lock()


class _Unfit(CourseError):
    """This machine cannot execute any submission."""


def pack_request(request: dict[str, Any]) -> bytes:
    """A request (see execution.py) as bytes. Raises NotPlain for values that no sandbox would take either."""
    files = [[name, np.frombuffer(data, dtype=np.uint8)] for name, data in request["files"].items()]
    return pack({**request, "files": files})


def work(settings: str, data: bytes) -> bytes:
    """Execute a packed request. Nothing is raised: what went wrong is in the answer.

    Args:
        settings: JSON with ``version``, ``modules``, ``limits`` and ``allow_unsafe``.
        data: from `pack_request`.

    Returns:
        Packed: ``response`` (see execution.py) and ``unprotected``, or ``error`` and ``unfit`` (whether this machine
        would fail any other request too). ``host`` and the worker's own address in any case.
    """
    from distributed import get_worker

    answer: dict[str, Any] = {"host": socket.gethostname(), "worker": get_worker().address}
    try:
        warm = _warm_for(settings)
        response = execute(warm, _unpacked(data), _threads())
        return _packed({**answer, "response": response, "unprotected": warm.unprotected})
    except Exception as error:  # an exception would be sent as a pickle
        reason = str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
        return pack({**answer, "error": reason, "unfit": isinstance(error, _Unfit)})


def close(settings: str) -> None:
    """End the warm process of a grading that is over."""
    with _lock:
        warm = _warm.pop(settings, None)
    if warm is not None:
        warm.close()


@atexit.register
def _close_all() -> None:
    for settings in list(_warm):
        close(settings)


def _warm_for(settings: str) -> Warm:
    """The warm process of these settings."""
    with _lock:
        warm = _warm.pop(settings, None)
        if warm is None:
            for other in list(_warm)[: -(KEPT - 1)]:
                _warm.pop(other).close()
            warm = _make(json.loads(settings))
        _warm[settings] = warm
        return warm


def _make(settings: dict[str, Any]) -> Warm:
    if settings["version"] != tl_course.__version__:
        versions = {"here": tl_course.__version__, "wanted": settings["version"]}
        raise _Unfit(_("tl-course {here} is installed there, and {wanted} here").format(**versions))
    try:
        return Warm(settings["modules"], Limits(**settings["limits"]), settings["allow_unsafe"])
    except (CourseError, OSError) as error:
        raise _Unfit(str(error)) from error


def _threads() -> int:
    """Threads of a framework's computations: what Dask, too, gives to each task."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(value)) if value.isdecimal() else 1


def _unpacked(data: bytes) -> dict[str, Any]:
    request = unpack(data)
    return {**request, "files": {name: array.tobytes() for name, array in request["files"]}}


def _packed(answer: dict[str, Any]) -> bytes:
    """An answer as bytes; replies with arrays of kinds that no answer has count as nonsense."""
    try:
        return pack(answer)
    except (NotPlain, ValueError, RecursionError):
        response = answer["response"]
        answers = {key: _sendable(reply) for key, reply in response["answers"].items()}
        cells = [_sendable(reply) for reply in response["cells"]]
        return pack({**answer, "response": {"answers": answers, "cells": cells}})


def _sendable(reply: dict[str, Any]) -> dict[str, Any]:
    try:
        pack(reply)
    except (NotPlain, ValueError, RecursionError):
        return {"state": "crashed", "value": {}}
    return reply
