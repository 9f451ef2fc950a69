"""Grading on a cluster: a class of 500 on one worker and on two, and with a worker that is killed on the way.

Scheduler and workers are Dask's own commands in processes of their own on this machine, each worker with one thread.
"""

import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tl_course.bench.grade_courses import KINDS, OURS_CONFIG, environment, make
from tl_course.bench.timing import machine
from tl_course.errors import CourseError
from tl_course.grading.batch import Options, Report, grade

SUBMISSIONS = 500
KIND = KINDS["small notebook"]
STOP_LIMIT = 5.0  # seconds that they have to end by themselves
START_LIMIT = 120.0  # seconds for a scheduler or a worker to start on a busy machine


def run(submissions: int = SUBMISSIONS) -> dict[str, Any]:
    """Grade the class three times.

    Returns:
        name; ratios: {"two workers vs one"} in submissions a second; details: for one worker, two, and two of which one
        is killed: seconds, submissions a second, the most memory (MB, proportional share) that workers and their
        sandboxes held, and how many submissions were graded; runs; machine.

    Raises:
        CourseError: a submission was lost, or has another score than the others of its kind.
    """
    with tempfile.TemporaryDirectory(prefix="tl_course_bench_") as folder:
        root = Path(folder) / "course"
        make(root, KIND, OURS_CONFIG.read_text(encoding="utf-8"), submissions)
        details = {
            "one worker": _measured(root, 1, killed=False),
            "two workers": _measured(root, 2, killed=False),
            "two workers, one killed": _measured(root, 2, killed=True),
        }
    ratio = details["two workers"]["per_second"] / details["one worker"]["per_second"]
    ratios = {"two workers vs one": round(ratio, 3)}
    return {"name": "grade-cluster", "ratios": ratios, "runs": 1, "machine": machine(), "details": details}


def _measured(root: Path, count: int, killed: bool) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="tl_course_dask_") as folder,
        _cluster(Path(folder), root, count) as cluster,
    ):
        address, workers = cluster
        with _watched(workers) as peak:
            done = _Killer(workers[0]) if killed else lambda done, total, row: None
            started = time.perf_counter()
            report = grade(root, KIND.name, Options(scheduler=address, force=True), done)
            seconds = time.perf_counter() - started
    graded = _check(report)
    rate = {"seconds": round(seconds, 2), "per_second": round(graded / seconds, 2)}
    return {**rate, "peak_mb": round(max(peak, default=0)), "graded": graded}


class _Killer:
    """Ends a worker when a tenth of the class is graded."""

    def __init__(self, worker: "subprocess.Popen[bytes]") -> None:
        self.worker = worker

    def __call__(self, done: int, total: int, row: object) -> None:
        if done == total // 10:
            self.worker.send_signal(signal.SIGKILL)


def _check(report: Report) -> int:
    """How many were graded: all of them, a wrong answer and three right ones in turn."""
    rows = sorted(report.rows, key=lambda row: row.student)
    wrong = [row.student for number, row in enumerate(rows) if row.score != (3.0 if number % 4 else 0.0)]
    if wrong:
        raise CourseError(f"{len(wrong)} submissions were lost or have another score, {wrong[0]} among them")
    return len(rows)


@contextmanager
def _cluster(folder: Path, root: Path, count: int) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A scheduler's address, and its workers."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(role: str, *arguments: str) -> str:
        log = folder / f"{role}{len(processes)}.log"
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", *arguments, "--no-dashboard"]
        with log.open("wb") as file:
            processes.append(subprocess.Popen(command, stdout=file, stderr=file, env=environment(root)))
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if found := re.search(r"(?:Scheduler at|Registered to):\s*(tcp://\S+)", log.read_text()):
                return found[1]
            time.sleep(0.1)
        raise CourseError(f"the {role} did not start: {log.read_text()[-500:]}")

    try:
        address = start("scheduler", "--host", "127.0.0.1", "--port", "0")
        for number in range(count):
            place = ["--local-directory", str(folder / str(number))]
            start("worker", address, "--nthreads", "1", "--host", "127.0.0.1", "--no-nanny", *place)
        yield address, processes[1:]
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _watched(workers: list["subprocess.Popen[bytes]"]) -> Iterator[list[float]]:
    """Memory of workers and all that they started, in MB, looked at every second."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(1.0):
            seen.append(sum(_held(worker.pid) for worker in workers) / 2**20)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _held(pid: int) -> int:
    """Bytes that a process and its descendants hold, shared pages counted in proportion."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, OSError):
            continue
    return total
