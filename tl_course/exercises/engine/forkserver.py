"""A process with a framework already imported that forks a child for each connection it is handed (Linux)."""

import contextlib
import ctypes
import os
import signal
import socket
import sys

from tl_course.exercises.engine.child import preload, serve

PR_SET_PDEATHSIG = 1  # Linux: signal to get when the parent dies


def main() -> None:
    """Read connections from the socket given by its number; end when the other side is gone."""
    process, folder, control = sys.argv[1], sys.argv[2], socket.socket(fileno=int(sys.argv[3]))
    preload(process)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            _child(socket.socket(fileno=descriptors[0]), process, folder)
        os.close(descriptors[0])
        control.sendall(pid.to_bytes(8, "big"))


def _child(connection: socket.socket, process: str, folder: str) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stream = connection.makefile("rwb")
    connection.close()  # the stream keeps it open until it is closed itself
    try:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            serve(stream, process, folder)  # type: ignore[arg-type]
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
