"""Execute submissions on the workers of a Dask cluster; reading, judging and recording stay here.

A worker gets one submission's request and gives back its response, both as packed plain data. A worker that dies costs
a retry on another one. See docs/grading_cluster.md.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import tl_course
from tl_course.errors import BadInput, CourseError
from tl_course.exercises.engine.plain import unpack
from tl_course.grading import scheduler_worker
from tl_course.grading.confinement import Limits
from tl_course.i18n import _

CONNECT_LIMIT = 10.0  # seconds to reach the scheduler
WORKERS_LIMIT = 60.0  # seconds without any worker before it is given up
LOOK = 5.0  # seconds between two looks at whether there are workers
LARGE = "1 GiB"  # of a request, before Dask warns; submissions may hold files


class Cluster:
    """Executes requests on a cluster's workers. Made by `cluster`; safe to call from several threads.

    Attributes:
        threads: requests that the workers there are now execute at once.
        unprotected: protections that workers lack, with the worker's host; complete once all requests are executed.
    """

    def __init__(self, client: Any, settings: str) -> None:
        self._client, self._settings = client, settings
        self._unfit: dict[str, str] = {}  # address of a worker to why it cannot execute anything
        self.threads = sum(client.nthreads().values())
        self.unprotected: list[str] = []

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Execute a request (see execution.py) on a worker, or on another one where that one dies or is not fit.

        Raises:
            CourseError: no worker is fit or none is left, the scheduler is gone, or workers died of this request.
        """
        data = scheduler_worker.pack_request(request)
        while True:
            answer = self._ask(data)
            if "response" in answer:
                self._note(answer)
                return answer["response"]
            reason = _("worker on {host}: {error}").format(host=answer["host"], error=answer["error"])
            if not answer["unfit"]:
                raise CourseError(reason)
            self._unfit[answer["worker"]] = reason

    def _note(self, answer: dict[str, Any]) -> None:
        for what in answer["unprotected"]:
            line = f"{answer['host']}: {what}"
            if line not in self.unprotected:
                self.unprotected.append(line)

    def _ask(self, data: bytes) -> dict[str, Any]:
        """A worker's answer."""
        from distributed import CancelledError, KilledWorker

        try:
            return unpack(self._result(self._submit(data)))
        except KilledWorker as error:
            times = error.allowed_failures + 1
            raise CourseError(_("{times} workers died while they ran it").format(times=times)) from error
        except CancelledError as error:  # which is no Exception
            raise CourseError(_("the scheduler is gone or dropped the task; grade again")) from error
        except CourseError:
            raise
        except Exception as error:  # whatever is raised there before our own code runs, or when the connection breaks
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise CourseError(_("the cluster could not run it: {reason}").format(reason=reason)) from error

    def _submit(self, data: bytes) -> Any:
        if self._client.status != "running":
            raise CourseError(_("the scheduler is gone; grade again"))
        fit = self._fit() if self._unfit else None
        if fit == [] and self._client.nthreads():
            raise CourseError("; ".join(dict.fromkeys(self._unfit.values())))
        return self._client.submit(scheduler_worker.work, self._settings, data, pure=False, workers=fit or None)

    def _fit(self) -> list[str]:
        return [address for address in self._client.nthreads() if address not in self._unfit]

    def _result(self, future: Any) -> bytes:
        """A task's result, waited for while there is somebody to do it."""
        from distributed import TimeoutError

        seen = time.monotonic()
        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                if future.done():  # it is the task's own error
                    raise
            if self._fit():
                seen = time.monotonic()
            elif time.monotonic() - seen > WORKERS_LIMIT:
                future.cancel()
                raise CourseError(_("the cluster has no workers any more; start some, then grade again"))


@contextmanager
def cluster(address: str, modules: Sequence[str], limits: Limits, allow_unsafe: bool) -> Iterator[Cluster]:
    """Connect to a Dask scheduler, whose workers then execute requests.

    Certificates and keys for a ``tls://`` address come from Dask's own settings (``distributed.comm.tls``).

    Args:
        address: of the scheduler, such as ``tcp://host:8786``.
        modules: what the workers' warm processes import.
        limits: what each submission may use.
        allow_unsafe: run submissions also where a worker lacks a protection.

    Raises:
        BadInput: Dask is not installed, the scheduler cannot be reached, or it has no workers.
    """
    settings = {
        "version": tl_course.__version__,
        "modules": list(modules),
        "limits": asdict(limits),
        "allow_unsafe": allow_unsafe,
    }
    text = json.dumps(settings, sort_keys=True)
    with _client(address) as client:
        _wait_for_workers(client, address)
        try:
            yield Cluster(client, text)
        finally:
            with suppress(Exception):  # workers that are gone have nothing to close
                client.run(scheduler_worker.close, text, on_error="ignore")


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        from dask import config
        from distributed import Client
    except ImportError as error:
        remedy = _("run `pip install 'tl-course[cluster]'`")
        raise BadInput(_("Dask, to grade on a cluster"), str(error), remedy) from error
    with _quiet(), config.set({"distributed.admin.large-graph-warning-threshold": LARGE}):
        try:
            with ThreadPoolExecutor(1) as pool:  # a notebook's own thread has an event loop already
                pool.submit(asyncio.run, _knock(address)).result()
            client = Client(address, timeout=CONNECT_LIMIT, name="tl-course", set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            got = " ".join(f"{address!r}: {error}".split())
            remedy = _("start it with `dask scheduler` and give the address that it prints")
            raise BadInput(_("the address of a Dask scheduler that runs"), got, remedy) from error
        try:
            yield client
        finally:
            with suppress(Exception):  # a scheduler that is gone need not be told
                client.close(timeout=CONNECT_LIMIT)


async def _knock(address: str) -> None:
    """Connect once: a client that cannot connect does not always end."""
    from distributed import Security
    from distributed.comm.core import connect

    comm = await connect(address, timeout=CONNECT_LIMIT, **Security().get_connection_args("client"))
    await comm.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own messages, errors excepted, are left out."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "distributed.gc")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _wait_for_workers(client: Any, address: str) -> None:
    from distributed import TimeoutError

    try:
        client.wait_for_workers(1, timeout=WORKERS_LIMIT)
    except TimeoutError as error:
        got = _("none at {address} after {seconds} s").format(address=address, seconds=round(WORKERS_LIMIT))
        remedy = _("start some with `dask worker {address}` where tl-course is installed").format(address=address)
        raise BadInput(_("a worker of the cluster"), got, remedy) from error
