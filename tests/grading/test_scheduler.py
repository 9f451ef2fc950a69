"""Submissions executed on a real cluster: a scheduler and workers in processes of their own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed", reason="Dask is not installed")

from tl_course.errors import BadInput, CourseError
from tl_course.grading import batch, scheduler
from tl_course.grading.batch import Options
from tl_course.grading.confinement import Limits

pytestmark = [pytest.mark.slow, pytest.mark.sandbox, pytest.mark.timeout(300)]
COUNT = 12
IDLE = 3  # processes of a sandbox that runs nothing: bubblewrap, the first of its namespace, and the warm one
QUIET = {"files": {}, "answers": [], "cells": []}


class Cluster:
    """A scheduler on loopback, and the workers that were added to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes, self.environment = folder, [], {}

    def start(self, **settings: str) -> str:
        """Start the scheduler. Returns its address."""
        self.environment = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "info", **settings}
        log = self._run("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = wait_for(lambda: re.search(r"Scheduler at:\s*(tcp://\S+)", log.read_text()))[1]
        return self.address

    def add_worker(self, *options: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread and wait until it is known."""
        self.environment |= settings
        arguments = ["--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--host", "127.0.0.1"]
        folder = self.folder / f"worker{len(self.processes)}"
        log = self._run("worker", self.address, *arguments, "--local-directory", str(folder), *options)
        wait_for(lambda: "Registered to" in log.read_text())
        return self.processes[-1]

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, role: str, *arguments: str) -> Path:
        log = self.folder / f"{role}{len(self.processes)}.log"
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", *arguments]
        with log.open("wb") as file:
            self.processes.append(subprocess.Popen(command, stdout=file, stderr=file, env=self.environment))
        return log


def wait_for(condition: Callable[[], object], seconds: float = 60.0):
    """Poll until something is true, and give it back."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


@pytest.fixture
def dask_cluster(tmp_path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


def outcome(report: batch.Report) -> dict[str, tuple[str, float | None, float | None, str]]:
    return {row.student: (row.state, row.score, row.max_score, row.reason) for row in report.rows}


def test_a_cluster_gives_the_scores_that_this_machine_gives(quick_course, dask_cluster, monkeypatch):
    monkeypatch.setenv("TL_COURSE_SEED", "7")
    address = dask_cluster.start()
    workers = [dask_cluster.add_worker("--no-nanny") for _number in range(2)]
    course = quick_course()
    course.submit_class(COUNT)
    there = batch.grade(course.root, course.name, Options(scheduler=address, workers=2))
    assert there.unprotected == []
    here = batch.grade(course.root, course.name, Options(force=True, workers=2))
    assert all(row.again for row in here.rows)
    assert outcome(there) == outcome(here)
    scores = [row.score for row in there.rows]
    assert len(scores) == COUNT and {row.state for row in there.rows} == {"graded"}
    assert scores[::2] == [there.rows[0].max_score] * (COUNT // 2) and max(scores[1::2]) < min(scores[::2])
    assert all(not sandboxes(worker.pid) for worker in workers), "a worker keeps the grading's warm process"


@pytest.mark.parametrize("what", ["worker", "warm process"])
def test_a_worker_or_its_warm_process_killed_costs_a_retry_and_no_grade(quick_course, dask_cluster, what):
    address = dask_cluster.start()
    workers = [dask_cluster.add_worker("--no-nanny") for _number in range(2)]
    course = quick_course()
    course.submit_class(COUNT, seconds=0.5)
    killed = []

    def kill_one(done: int, _total: int, _row: batch.Row) -> None:
        if done == 2:
            victim = wait_for(lambda: busy(workers))
            killed.extend([victim.pid] if what == "worker" else sandboxes(victim.pid))
            for pid in killed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    report = batch.grade(course.root, course.name, Options(scheduler=address, workers=2), kill_one)
    assert killed and [worker.poll() for worker in workers].count(-signal.SIGKILL) == (what == "worker")
    assert len(report.rows) == COUNT and {row.state for row in report.rows} == {"graded"}
    assert [row.score for row in report.rows[::2]] == [report.rows[0].max_score] * (COUNT // 2)
    again = batch.grade(course.root, course.name, Options(scheduler=address))
    assert outcome(again) == outcome(report) and not any(row.again for row in again.rows)


def test_a_submission_whose_workers_all_die_is_tried_once_more_at_the_end(quick_course, dask_cluster):
    address = dask_cluster.start(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    workers = [dask_cluster.add_worker("--no-nanny") for _number in range(2)]
    course = quick_course()
    course.submit_class(6, seconds=0.5)

    order = []

    def kill_one(done: int, _total: int, row: batch.Row) -> None:
        order.append(row.student)
        if done == 1:
            wait_for(lambda: busy(workers)).kill()

    report = batch.grade(course.root, course.name, Options(scheduler=address, workers=2), kill_one)
    assert {row.state for row in report.rows} == {"graded"} and len(report.rows) == 6
    assert order[:-1] == sorted(order[:-1]) and order != sorted(order)  # one came after all others
    again = batch.grade(course.root, course.name, Options(scheduler=address))
    assert not any(row.again for row in again.rows)


def test_a_warm_process_that_ends_is_made_anew(dask_cluster):
    address = dask_cluster.start()
    worker = dask_cluster.add_worker("--no-nanny")
    with scheduler.cluster(address, ["numpy"], Limits(), False) as run:
        assert run(QUIET) == {"answers": {}, "cells": []}
        first = sandboxes(worker.pid)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        assert run(QUIET) == {"answers": {}, "cells": []}
        assert len(sandboxes(worker.pid)) >= IDLE and not set(sandboxes(worker.pid)) & set(first)


def test_a_worker_without_a_sandbox_is_named_and_passed_over(dask_cluster, tmp_path):
    host = os.uname().nodename
    address = dask_cluster.start()
    dask_cluster.add_worker("--no-nanny", PATH=str(tmp_path))
    with scheduler.cluster(address, ["numpy"], Limits(), False) as run:
        with pytest.raises(CourseError, match=rf"worker on {re.escape(host)}: bubblewrap is not there"):
            run(QUIET)
        with scheduler.cluster(address, ["numpy"], Limits(), True) as unsafe:
            assert unsafe(QUIET) == {"answers": {}, "cells": []}
            assert [line.startswith(f"{host}: bubblewrap is not there") for line in unsafe.unprotected] == [True]
        dask_cluster.add_worker("--no-nanny", PATH=os.environ["PATH"])
        assert [run(QUIET) for _number in range(3)] == [{"answers": {}, "cells": []}] * 3
        assert run.unprotected == []


def test_files_and_arrays_arrive_as_they_are():
    from tl_course.grading import scheduler_worker

    inputs = {"x": np.arange(6, dtype=np.float16).reshape(2, 3), "seed": 2**40, "names": ["é", None]}
    request = {"files": {"data/a b.bin": bytes(range(256)), "empty": b""}, "answers": [{"task": inputs}], "cells": []}
    arrived = scheduler_worker._unpacked(scheduler_worker.pack_request(request))
    assert arrived["files"] == request["files"]
    (there,) = arrived["answers"]
    assert there["task"]["x"].dtype == np.float16 and (there["task"]["x"] == inputs["x"]).all()
    assert {**there["task"], "x": None} == {**inputs, "x": None}


def test_a_cluster_without_workers_says_so(dask_cluster, monkeypatch):
    monkeypatch.setattr(scheduler, "WORKERS_LIMIT", 2.0)
    address = dask_cluster.start()
    with (
        pytest.raises(BadInput, match="a worker of the cluster; got none at") as caught,
        scheduler.cluster(address, ["numpy"], Limits(), False),
    ):
        pass
    assert f"dask worker {address}" in str(caught.value)


def test_a_cluster_that_loses_its_workers_does_not_hang(dask_cluster, monkeypatch):
    monkeypatch.setattr(scheduler, "WORKERS_LIMIT", 2.0)
    monkeypatch.setattr(scheduler, "LOOK", 0.5)
    address = dask_cluster.start()
    worker = dask_cluster.add_worker("--no-nanny")
    with scheduler.cluster(address, ["numpy"], Limits(), False) as run:
        run(QUIET)
        worker.kill()
        with pytest.raises(CourseError, match="no workers any more"):
            run(QUIET)


def test_a_scheduler_that_dies_does_not_hang(dask_cluster):
    address = dask_cluster.start()
    dask_cluster.add_worker("--no-nanny")
    with scheduler.cluster(address, ["numpy"], Limits(), False) as run:
        run(QUIET)
        dask_cluster.processes[0].kill()
        with pytest.raises(CourseError, match="the scheduler is gone"):
            run(QUIET)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nowhere", "tcp://", "http://127.0.0.1:9"])
def test_an_address_without_a_scheduler_is_one_line(address, monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_LIMIT", 1.0)
    with (
        pytest.raises(BadInput, match="the address of a Dask scheduler") as caught,
        scheduler.cluster(address, [], Limits(), False),
    ):
        pass
    assert repr(address) in str(caught.value) and "\n" not in str(caught.value)


def sandboxes(pid: int) -> list[int]:
    """Processes in sandboxes below a process: those of the warm one, and of submissions that run."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def busy(workers: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes] | None:
    """A worker that runs a submission right now."""
    return next((worker for worker in workers if len(sandboxes(worker.pid)) > IDLE + 1), None)
