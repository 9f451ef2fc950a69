"""The process that warm kernels are forked from: it has the frameworks imported, and runs nothing with them (Linux).

Started by `warm_kernel_client` as ``python -m tl_course.grading.warm_kernel_server SOCKET CLIENT MODULE...``. Each
request is one byte on the socket with four descriptors: a channel, and the kernel's standard input, output and error.
On the channel the kernel reads what it shall be (JSON after its length in eight bytes); the server writes the kernel's
process id, and its exit status once it has ended.
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import multiprocessing
import os
import random
import runpy
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from tl_course import quiet

PR_SET_PDEATHSIG = 1  # Linux: signal to get when the parent dies
INLINE = "module://matplotlib_inline.backend_inline"  # what a kernel sets MPLBACKEND to, before matplotlib is imported


def main() -> None:
    """Preload, then fork kernels until the client is gone; a forked kernel goes on from here too."""
    control, client = socket.socket(fileno=int(sys.argv[1])), os.pidfd_open(int(sys.argv[2]))
    if sys.path[0] == os.getcwd():  # put there by -m
        del sys.path[0]
    preload(sys.argv[3:])
    server = os.getpid()
    channel, *streams = serve(control, client)
    become_kernel(channel, streams, server)


def preload(modules: Sequence[str]) -> None:
    """Import what can be imported, in the state in which a kernel would have imported it itself."""
    quiet.frameworks()
    os.environ.setdefault("MPLBACKEND", INLINE)
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # ipykernel reads it when imported: the parent it watches
    sys.ps1 = "In : "  # as in IPython; what is imported may ask whether somebody is there
    sys.stdout, sys.stderr = Current("stdout"), Current("stderr")  # type: ignore[assignment]
    for module in modules:
        with contextlib.suppress(Exception):  # one that is missing or broken fails in the notebook, as it always did
            importlib.import_module(module)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    del sys.ps1
    if "keras" in sys.modules:
        sys.meta_path.insert(0, PutAside("keras"))
    gc.collect()
    gc.freeze()  # collections in kernels leave these objects, and so the memory they share, alone


def serve(control: socket.socket, client: int) -> list[int]:
    """Fork a kernel for each request and report how each ends; ends this process when the client is gone.

    Args:
        control: where requests come from.
        client: a pidfd of the client. The socket alone would not do: a process the client forked may hold it open.

    Returns:
        In the forked kernel only: its channel and its standard input, output and error.
    """
    kernels: dict[int, tuple[int, socket.socket]] = {}  # by pidfd
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(client, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _event in waiting.poll()]
        for pidfd in kernels.keys() & set(ready):
            waiting.unregister(pidfd)
            _report(pidfd, *kernels.pop(pidfd))
        if client in ready:
            os._exit(0)  # which ends every kernel; see become_kernel
        if control.fileno() not in ready:
            continue
        message, descriptors, _flags, _address = socket.recv_fds(control, 1, 4)
        if not message:
            os._exit(0)
        pid = _fork(descriptors)
        if pid == 0:
            for held in (control.detach(), client, *kernels, *(channel.detach() for _pid, channel in kernels.values())):
                os.close(held)
            return descriptors
        if pid is not None:
            pidfd = os.pidfd_open(pid)
            kernels[pidfd] = (pid, socket.socket(fileno=descriptors[0]))
            waiting.register(pidfd, select.POLLIN)
            _send(kernels[pidfd][1], pid)


def _fork(descriptors: list[int]) -> int | None:
    """Fork, and close what only the kernel needs. None where there is no room for another process."""
    pid = None
    with contextlib.suppress(OSError):
        pid = os.fork()
    if pid != 0:
        for descriptor in descriptors[1:] if pid else descriptors:
            os.close(descriptor)
    return pid


def _report(pidfd: int, pid: int, channel: socket.socket) -> None:
    _pid, status = os.waitpid(pid, 0)
    _send(channel, os.waitstatus_to_exitcode(status))
    channel.close()
    os.close(pidfd)


def _send(channel: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # nobody asks any more
        channel.sendall(number.to_bytes(8, "big", signed=True))


def become_kernel(channel: int, streams: list[int], server: int) -> None:
    """Be what a newly started Python would be, and run the kernel's module; returns when the kernel ends.

    Args:
        channel: where to read the request from: ``{"argv", "cwd", "env"}``, argv being ``[python, "-m", module, ...]``.
        streams: standard input, output and error.
        server: process id of the parent, with which this process ends.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    with os.fdopen(channel, "rb") as stream:
        request = json.loads(stream.read(int.from_bytes(stream.read(8), "big")))
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"], JPY_PARENT_PID=str(server))
    _forget()
    _run_module(request["argv"])


def _forget() -> None:
    """Drop what a kernel should not share with others: random numbers, secrets, paths, the course's own modules."""
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()
    multiprocessing.current_process().authkey = os.urandom(32)
    tempfile.tempdir = None  # found anew from the environment
    for name in [name for name in sys.modules if name.partition(".")[0] == "tl_course"]:
        del sys.modules[name]
    sys.meta_path[:] = [it for it in sys.meta_path if not type(it).__module__.startswith("tl_course.")]
    importlib.invalidate_caches()


def _run_module(argv: list[str]) -> None:
    module = argv[2]
    spec = importlib.util.find_spec(module)
    sys.argv = [(spec.origin if spec else None) or module, *argv[3:]]
    sys.orig_argv = list(argv)
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class Current:
    """Stands for whatever standard output or error is when it is used.

    Loggers made while preloading keep it, and so write where the notebook shows it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> object:
        stream = getattr(sys, self._name)
        return getattr(getattr(sys, f"__{self._name}__") if stream is self else stream, name)

    def close(self) -> None:
        """Leave it open, as handlers that go leave the real one."""


class PutAside(MetaPathFinder, Loader):
    """Takes an imported package out of sys.modules until somebody imports it.

    Keras chooses its backend when it is imported, from the environment; a notebook may set that before. Where the
    settings are still those of the preload, the package comes back as it was; otherwise it is imported anew.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.settings = self._settings()
        names = [name for name in sys.modules if name.partition(".")[0] == package]
        self.modules = {name: sys.modules.pop(name) for name in names}
        self.spec = self.modules[package].__spec__

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A specification that gives the package back; None for other modules, and where the settings have changed."""
        if fullname != self.package or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        if self._settings() != self.settings:
            return None
        sys.modules.update(self.modules)
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The package as it was."""
        return self.modules[self.package]

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to run."""
        module.__spec__ = self.spec

    def _settings(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith(self.package.upper())}


if __name__ == "__main__":
    main()
