"""What an exported model costs: bytes on disk, time of a prediction, memory at its peak.

Times are medians with quartiles over many runs after a warm-up, never one run: the first runs allocate and compile, and
another program may take the processor at any moment.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from tl_course.errors import BadInput
from tl_course.exported_model import load_onnx
from tl_course.i18n import _


@dataclass(frozen=True)
class Latency:
    """Seconds of one prediction, over rounds.

    Attributes:
        seconds: of each round, without the warm-up.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Half of the rounds took longer."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of the rounds lie between these."""
        low, _middle, high = quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    def __str__(self) -> str:
        low, high = (1000 * value for value in self.quartiles)
        return f"{1000 * self.median:.2f} ms ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Cost:
    """Attributes:
    size: of the file, bytes.
    latency: by batch size.
    peak_memory: bytes, what loading the model and running the largest batch add to a process at their peak.
    """

    size: int
    latency: Mapping[int, Latency]
    peak_memory: int


def cost(
    path: str | Path, inputs: Any, *, batch_sizes: Sequence[int] = (1, 32), rounds: int = 20, threads: int = 1
) -> Cost:
    """Size, latency and peak memory of a model that `export_onnx` or `quantization` wrote.

    Timed is the graph alone, on inputs prepared beforehand, in this process; memory is measured in a process of its
    own, so that nothing that was loaded before counts.

    Args:
        path: of the .onnx file.
        inputs: images float32 (N, H, W, C) in [0, 1], or texts (N,); at least as many as the largest batch.
        batch_sizes: to time.
        rounds: timed runs of each, after three untimed ones.
        threads: processor threads of one prediction.

    Raises:
        BadInput: as `load_onnx`, or fewer inputs than a batch.
    """
    if len(inputs) < max(batch_sizes):
        raise BadInput(
            _("at least {count} inputs").format(count=max(batch_sizes)), str(len(inputs)), _("or smaller batch_sizes")
        )
    model = load_onnx(path, threads)
    prepared = {size: model.preprocess(inputs[:size]) for size in batch_sizes}
    times = {size: latency(lambda x=x: model.session.run(None, x), rounds) for size, x in prepared.items()}
    return Cost(Path(path).stat().st_size, times, peak_memory(path, prepared[max(batch_sizes)], threads))


def latency(work: Callable[[], object], rounds: int = 20, warm_up: int = 3) -> Latency:
    """Time one call, `rounds` times, after `warm_up` untimed ones.

    Raises:
        BadInput: fewer than two rounds, which have no spread.
    """
    if rounds < 2:
        raise BadInput(_("at least 2 rounds"), str(rounds), _("20 is a good start"))
    for _round in range(warm_up):
        work()
    times = []
    for _round in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return Latency(tuple(times))


def peak_memory(path: str | Path, prepared: Mapping[str, np.ndarray], threads: int = 1) -> int:
    """Bytes that loading a model and running it add to a fresh process at their peak.

    Args:
        path: of the .onnx file.
        prepared: the graph's inputs by name; only their shapes and types are used (ones are run).
        threads: processor threads.
    """
    shapes = {name: (array.shape, array.dtype.str) for name, array in prepared.items()}
    command = [sys.executable, "-c", _PEAK, str(path), json.dumps(shapes), str(threads)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout)


_PEAK = """
import json, resource, sys
from pathlib import Path
import numpy, onnxruntime

def peak():
    status = Path("/proc/self/status")
    if status.is_file():  # Linux: of this program alone, where getrusage may still count the one that started it
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes

path, shapes, threads = sys.argv[1:]
before = peak()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = int(threads), 3
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
session.run(None, {name: numpy.ones(shape, kind) for name, (shape, kind) in json.loads(shapes).items()})
print(peak() - before)
"""
