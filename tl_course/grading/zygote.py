"""A process with the frameworks imported that forks a sandboxed child for each submission it is handed.

It runs inside the sandbox of isolation.py. Each submission gets a supervisor (see supervisor.py), which runs nothing of
it and forks the processes that do. When the grader ends, so does all of this.
"""

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys

from tl_course.compat import make_importable
from tl_course.grading import confinement, supervisor
from tl_course.grading.confinement import NOBODY

CELLS = "tl_course.grading.cells"  # imported for assignments whose notebooks are run whole


def main() -> None:
    """Import the modules of a message, or fork a supervisor for its two connections, until the grader hangs up."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _become_nobody()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    with contextlib.suppress(OSError):  # a supervisor will say so
        confinement.filter_program()
    control.sendall(b"+")
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, 4096, 2)
        if not message:
            return
        if not descriptors:
            for module in message.decode().split():
                _preload(module)
            gc.collect()
            gc.freeze()  # collections in submissions leave these objects, and so the memory they share, alone
            control.sendall(b"+")
            continue
        if os.fork() == 0:
            control.close()
            supervisor.supervise(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become_nobody() -> None:
    if hasattr(os, "geteuid") and os.geteuid() == 0 and os.getppid() == 1:  # root in the sandbox, never outside
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        confinement.hide_memory(False)


def _preload(module: str) -> None:
    """Import a module that submissions use; where that fails, theirs will say why."""
    with contextlib.suppress(Exception):
        if module == "torchvision":
            make_importable()
        imported = importlib.import_module(module)
        if module == CELLS:
            imported.prepare()
        if module == "torch":
            repr(imported.ones(3).sum())  # the first one takes longest; it starts no threads, which a fork would lack


if __name__ == "__main__":
    main()
