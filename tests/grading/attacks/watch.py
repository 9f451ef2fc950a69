"""Runs a command and sees what it does besides: what it leaves running, what it sends, whether it ends.

Run as a program (``python watch.py SPEC``) it does so in a sandbox; SPEC is a JSON file, the outcome goes beside it.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

SUBREAPER = 36  # prctl's option: orphans below this process become its children, so that none gets lost
LINGER = 6.0  # seconds that left-over processes get to do what they were left for


@dataclass(frozen=True)
class Watched:
    """What came of a command.

    Attributes:
        code: exit status, None when it had to be ended.
        seconds: how long it ran.
        left: how many processes it left running.
        heard: what was sent to the port and to the socket ``attack-PORT``.
        output: what it wrote to standard output.
        errors: what it wrote to standard error.
    """

    code: int | None
    seconds: float
    left: int
    heard: str
    output: str
    errors: str


def watch(command: list[str], folder: str, environment: dict[str, str], port: int, limit: float) -> Watched:
    """Run a command in a folder, for ``limit`` seconds at most; end whatever it leaves behind."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    mine = set(psutil.Process().children(recursive=True))
    out, errors = Path(f"/tmp/watched_{os.getpid()}.out"), Path(f"/tmp/watched_{os.getpid()}.err")
    start = time.monotonic()
    with listening(port) as heard, out.open("wb") as to, errors.open("wb") as to_errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=to_errors,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
            process.wait()
        seconds = time.monotonic() - start
        time.sleep(0.3)
        left = _left(mine)
        if left:
            time.sleep(LINGER)
        while rest := _left(mine):
            for child in rest:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            psutil.wait_procs(rest, timeout=5)
    texts = [path.read_bytes()[-200_000:].decode(errors="replace") for path in (out, errors)]
    out.unlink()
    errors.unlink()
    return Watched(code, round(seconds, 1), len(left), b"".join(heard).decode(errors="replace"), *texts)


def _left(mine: set[psutil.Process]) -> list[psutil.Process]:
    """Processes below this one that were not there before and are not merely waiting to be collected."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return [child for child in psutil.Process().children(recursive=True) if child not in mine]


@contextlib.contextmanager
def listening(port: int):
    """Accept connections on the loopback interface and on an abstract socket; gives the list of what they sent."""
    heard: list[bytes] = []
    inet, unix = socket.create_server(("127.0.0.1", port)), socket.socket(socket.AF_UNIX)
    unix.bind(f"\0attack-{port}")
    unix.listen()
    done = threading.Event()

    def accept() -> None:
        while not done.is_set():
            for server in select.select([inet, unix], [], [], 0.1)[0]:
                line, _ = server.accept()
                line.settimeout(2)
                with line, contextlib.suppress(OSError):
                    while part := line.recv(65536):
                        heard.append(part)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield heard
    finally:
        done.set()
        thread.join()
        inet.close()
        unix.close()


def main() -> None:
    """Read what to do, do it, and write what came of it."""
    spec = Path(sys.argv[1])
    watched = watch(**json.loads(spec.read_text()))
    spec.with_suffix(".done").write_text(json.dumps(asdict(watched)))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    main()
