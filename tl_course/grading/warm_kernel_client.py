"""The side of warm kernels that asks for them: this process's servers, and the kernels that came from them."""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

START_LIMIT = 180.0  # seconds to import the frameworks on a busy machine
UNDERSTOOD = {"cwd", "env", "extra_arguments", "independent", "kernel_id", "stderr", "stdin", "stdout"}
READ_AT_IMPORT = (
    *("PYTHON", "LD_", "LANG", "LC_", "HOME", "XDG_", "CUDA", "NVIDIA", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("TF_", "XLA_", "TORCH", "PYTORCH", "KERAS", "MPL"),
)
"""How the names of variables begin that Python and the frameworks read before a kernel runs anything."""


class Cold(Exception):
    """A kernel cannot be forked; the message says why."""


class ForkedKernel:
    """A kernel forked from a server, with the part of `subprocess.Popen` that LocalProvisioner uses.

    Args:
        pid: its process id, which is also that of its process group and session.
        channel: where its exit status comes from.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._channel = channel

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._channel.settimeout(timeout)
            try:
                message = self._channel.recv(8)
            except (BlockingIOError, TimeoutError):
                return None
            except OSError:
                message = b""
            self._channel.close()
            # Without a message the server is gone, and the kernel with it.
            self.returncode = int.from_bytes(message, "big", signed=True) if message else -signal.SIGKILL
        return self.returncode


@dataclass
class Server:
    """A process that kernels are forked from.

    Args:
        process: the process.
        control: where to ask for kernels; closed, the process ends.
        settings: what of its environment Python and the frameworks have read.
        worked: a kernel has come from it.
    """

    process: "subprocess.Popen[bytes]"
    control: socket.socket
    settings: dict[str, str]
    worked: bool = False

    def close(self) -> None:
        """End it, and every kernel forked from it."""
        self.control.close()
        self.process.kill()
        self.process.wait()


_servers: dict[tuple[str, ...], Server] = {}  # by Python and what is preloaded
_broken: set[tuple[str, ...]] = set()  # those that ended before any kernel came from them
_inherited: list[Server] = []  # in a fork of this process: its parent's
_lock = threading.Lock()


def fork_kernel(cmd: list[str], preload: tuple[str, ...], options: dict[str, Any]) -> ForkedKernel:
    """Start a kernel as a fork of this process's server, which is started where there is none.

    Args:
        cmd: the command of the kernel: ``[python, "-m", "ipykernel_launcher", ...]``.
        preload: modules the server imports.
        options: as for `jupyter_client.launcher.launch_kernel`.

    Raises:
        Cold: it cannot be done.
    """
    if sys.platform != "linux":
        raise Cold(f"that is for Linux, and this is {sys.platform}")
    unknown = [name for name in options.keys() - UNDERSTOOD if options[name] is not None]
    cwd = os.path.abspath(options.get("cwd") or os.getcwd())
    if cmd[1:3] != ["-m", "ipykernel_launcher"] or unknown or options.get("independent"):
        raise Cold("it asks for " + (", ".join(sorted(unknown)) or "what a fork does not give"))
    if not os.path.isdir(cwd) or os.path.exists(os.path.join(cwd, "matplotlibrc")):
        raise Cold(f"{cwd} is no folder, or one with settings for matplotlib")
    env = dict(os.environ if options.get("env") is None else options["env"])
    argv = [os.path.expanduser(argument) for argument in cmd]
    key = (cmd[0], *preload)
    with _lock:
        server = _running(key, env)
    with _streams(options) as streams:
        return _ask(key, server, {"argv": argv, "cwd": cwd, "env": env}, streams)


def _running(key: tuple[str, ...], env: dict[str, str]) -> Server:
    """The server, running and with the settings that the kernel wants."""
    if key in _broken:
        raise Cold("the process to fork it from did not start")
    if key in _servers and _servers[key].process.poll() is not None:
        _servers.pop(key).close()
    if key not in _servers:
        _servers[key] = _start(key, env)
    server = _servers[key]
    if differing := {name for name, _value in server.settings.items() ^ _settings(env).items()}:
        raise Cold("other kernels began with other values of " + ", ".join(sorted(differing)))
    return server


def _start(key: tuple[str, ...], env: dict[str, str]) -> Server:
    ours, theirs = socket.socketpair()
    arguments = [str(theirs.fileno()), str(os.getpid()), *key[1:]]
    with theirs:
        try:
            process = subprocess.Popen(
                [key[0], "-m", "tl_course.grading.warm_kernel_server", *arguments],
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl+C in the terminal is for the client
                cwd="/",
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            ours.close()
            raise Cold(str(error)) from error
    return Server(process, ours, _settings(env))


def _ask(key: tuple[str, ...], server: Server, request: dict[str, Any], streams: list[int]) -> ForkedKernel:
    message = json.dumps(request).encode()
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            socket.send_fds(server.control, [b"+"], [theirs.fileno(), *streams])
        ours.settimeout(START_LIMIT)
        ours.sendall(len(message).to_bytes(8, "big") + message)
        pid = int.from_bytes(ours.recv(8), "big")
        if pid == 0:
            raise EOFError("the process to fork it from has ended")
    except (OSError, EOFError) as error:
        ours.close()
        _give_up(key, server)
        raise Cold(str(error)) from error
    server.worked = True
    return ForkedKernel(pid, ours)


def _give_up(key: tuple[str, ...], server: Server) -> None:
    """Do not wait again for a server that never worked; leave one alone that other kernels came from."""
    with _lock:
        if not server.worked and _servers.get(key) is server:
            _broken.add(key)
            _servers.pop(key).close()


def _settings(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_IMPORT)}


@contextlib.contextmanager
def _streams(options: dict[str, Any]) -> Iterator[list[int]]:
    """Descriptors of standard input, output and error. Raises Cold for pipes that the caller wants made."""
    with open(os.devnull, "r+b") as null:
        usual = {"stdin": null.fileno(), "stdout": 1, "stderr": 2}
        chosen = {name: usual[name] if options.get(name) is None else options[name] for name in usual}
        numbers = [null.fileno() if it == subprocess.DEVNULL else _number(it) for it in chosen.values()]
        if min(numbers) < 0:
            raise Cold("it asks for pipes")
        yield numbers


def _number(stream: Any) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


def close() -> None:
    """End this process's servers, and every kernel forked from them."""
    with _lock:
        while _servers:
            _servers.popitem()[1].close()


def _after_fork() -> None:
    for server in _servers.values():
        server.control.close()
    _inherited.extend(_servers.values())  # kept, for they are another process's to wait for
    _servers.clear()


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
