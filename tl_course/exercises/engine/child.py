"""The process that runs learner code: it gets cases and source text, and sends back plain observations.

Messages are packed plain data (see plain.py), each after its length in eight bytes. The child sends "ready", gets
``{"exercise", "framework", "cases"}``, and then answers each source text with the outcome of running it on every case.
"""

import contextlib
import faulthandler
import gc
import importlib
import linecache
import os
import random
import re
import sys
import sysconfig
import tempfile
import traceback
from typing import Any, BinaryIO

import numpy as np

from tl_course.compat import torchvision
from tl_course.exercises.engine.exercise import Probe
from tl_course.exercises.engine.plain import NotPlain, pack, unpack

PRELOAD = {
    "numpy": ("numpy",),
    "pytorch": ("torch",),
    "keras": ("keras",),
    "pytorch+transformers": ("torch", "transformers.models.bert.modeling_bert"),
}
"""What each kind of process imports before it takes a case: a framework, and what is slow to import beside it."""
OUTPUT_SHOWN = 4000  # characters of what the learner's code printed
OUTPUT_LIMIT = 64 * 2**20  # bytes it may write to one file
MESSAGE_LIMIT = 64 * 2**20  # bytes of one message
GRACE = 5.0  # seconds after its time limit until a child ends itself, should nobody have ended it
ANSWER = "<your answer>"
PACKAGES = sysconfig.get_paths()["purelib"] + os.sep  # left out of what is shown: warnings begin with a file's path
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # Keras colours its messages


def send(stream: BinaryIO, value: Any) -> None:
    """Write one message."""
    data = pack(value)
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message. Raises EOFError when the other side is gone, ValueError when it does not make sense."""
    return unpack(receive_raw(stream)[8:])


def receive_raw(stream: BinaryIO) -> bytes:
    """Read one message as it came, with its length in front. Raises as `receive` does."""
    header = stream.read(8)
    size = int.from_bytes(header, "big")
    if size > MESSAGE_LIMIT:
        raise ValueError(f"a message of {size:,} bytes")
    data = stream.read(size) if len(header) == 8 else b""
    if len(header) < 8 or len(data) < size:
        raise EOFError
    return header + data


def preload(process: str) -> None:
    """Import what this kind of process has at hand."""
    if process.startswith("pytorch"):
        torchvision()  # so that it can be imported where its compiled extension does not load
    for module in PRELOAD[process]:
        importlib.import_module(module)
    gc.freeze()  # collecting garbage, as `keras.utils.clear_session` does, passes over what stays for good


def serve(stream: BinaryIO, process: str, folder: str) -> None:
    """Answer requests, working in a new folder below ``folder``. Raises EOFError when the other side hangs up."""
    from tl_course import exercises

    _limit_resources()
    _warm_up(process)
    os.chdir(tempfile.mkdtemp(dir=folder))
    output = redirect_output()
    if hasattr(os, "register_at_fork"):  # a process that an answer leaves behind must not keep the connection open
        os.register_at_fork(after_in_child=stream.close)
    send(stream, "ready")
    job = receive(stream)
    variant = exercises.get(job["exercise"]).variant(job["framework"])
    while True:
        source = receive(stream)
        os.ftruncate(output, 0)
        faulthandler.dump_traceback_later(job["time_limit"] + GRACE, exit=True, file=output)
        outcome = run(source, variant.entry, variant.probe, job["cases"])
        faulthandler.cancel_dump_traceback_later()
        outcome["output"] = printed(output)
        send(stream, outcome)


def run(source: str, entry: str, probe: Probe, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Run a source text and probe what it defines. Returns ``{"error"}`` or ``{"observations"}``, one a case."""
    linecache.cache[ANSWER] = (len(source), None, source.splitlines(keepends=True), ANSWER)
    namespace: dict[str, Any] = {"__name__": "answer", "__builtins__": __builtins__}
    try:
        exec(compile(source, ANSWER, "exec"), namespace)
    except BaseException as error:
        return {"error": explain(error)}
    if entry not in namespace:
        return {"error": {"type": "MissingAnswer", "message": entry, "line": None, "where": ""}}
    return observe(namespace[entry], probe, cases)


def observe(candidate: Any, probe: Probe, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Probe what a learner defined on every case: ``{"observations"}``, one a case."""
    observations = []
    for case in cases:
        _seed()
        try:
            observations.append({"value": _checked(probe(candidate, unpack(pack(case))))})
        except BaseException as error:
            observations.append({"error": explain(error)})
    return {"observations": observations}


def explain(error: BaseException) -> dict[str, Any]:
    """What went wrong, as plain data: type, message, and the line of the learner's code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == ANSWER]
    line = frames[-1].lineno if frames else None
    if isinstance(error, SyntaxError) and error.filename == ANSWER:
        line = error.lineno
    text = linecache.getline(ANSWER, line).strip() if line else ""
    try:
        message = " ".join(_COLOURS.sub("", str(error)).split())[:500].encode(errors="replace").decode()
    except BaseException:
        message = "an error whose message cannot be read"
    name = "NotPlain" if type(error) is NotPlain else str(type(error).__name__)
    return {"type": name, "message": message, "line": line, "where": text[:200]}


def _checked(observed: Any) -> Any:
    if type(observed) is not dict:
        raise NotPlain("the probe returns a dict")
    if len(pack(observed)) > MESSAGE_LIMIT // 8:
        raise NotPlain("what came back is far too large")
    return observed


def _seed() -> None:
    """The same random numbers for every candidate."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


def _warm_up(process: str) -> None:
    """Do what a framework does once, so that it does not count against the learner's time."""
    if process.startswith("pytorch"):
        import torch

        torch.set_num_threads(1)
    elif process == "keras":
        import keras

        keras.ops.convert_to_numpy(keras.ops.ones(1) + 1)


def _limit_resources() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_LIMIT, OUTPUT_LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out, Linux ends this process rather than the notebook's


def redirect_output() -> int:
    """Send standard output and error to a file and leave standard input empty."""
    handle = os.open("output", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    with contextlib.suppress(OSError):  # Windows keeps the name while the file is open
        os.unlink("output")
    empty = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((handle, 1), (handle, 2), (empty, 0)):
        os.dup2(source, target)
    # SIM115: both stay open for as long as the process lives, so there is no block to leave them with.
    sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
    return handle


def printed(output: int) -> str:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    size = os.fstat(output).st_size
    os.lseek(output, 0, os.SEEK_SET)
    text = os.read(output, OUTPUT_SHOWN).decode(errors="replace").replace(PACKAGES, "")
    return text + (f"\n… ({size:,} bytes in all)" if size > OUTPUT_SHOWN else "")


def main() -> None:
    """Serve one connection over standard input and output: the way without fork."""
    process, folder = sys.argv[1:]
    stream = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    preload(process)
    with contextlib.suppress(EOFError):
        serve(_Pair(*stream), process, folder)  # type: ignore[arg-type]


class _Pair:
    """Two one-way pipes as one stream."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self.reader, self.writer = reader, writer
        self.read, self.write, self.flush = reader.read, writer.write, writer.flush

    def close(self) -> None:
        """Close both."""
        self.reader.close()
        self.writer.close()


if __name__ == "__main__":
    main()
