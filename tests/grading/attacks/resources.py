"""Submissions that use up time, memory, processes, files or output, or end processes that are not theirs.

Each is bounded: even where nothing holds it, the machine survives. What would still hurt other programs is not given to
plain nbgrader (``plain=False``).
"""

from typing import Any

from .attack import Attack, cells, first
from .course import BANK, EXERCISE, OWN, RIGHT

KIND = "resources"
IGNORES = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGXCPU):
    signal.signal(number, signal.SIG_IGN)
end = time.monotonic() + 120
while time.monotonic() < end:
    try:
        while time.monotonic() < end:
            pass
    except BaseException:
        pass
"""
SLEEPS = "import time\ntime.sleep(120)"
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for handle in range(256):
            try:
                os.close(handle)
            except OSError:
                pass
        time.sleep(4)
        for path in ("@ROOT@/notebooks/daemon.txt", "/tmp/daemon.txt"):
            try:
                open(path, "w").write("still here")
            except OSError:
                pass
        time.sleep(60)
    os._exit(0)
"""
BOMB = """
import os, time
end = time.monotonic() + 15
for _ in range(11):  # at most 2,048 processes
    try:
        os.fork()
    except OSError:
        break
while time.monotonic() < end:
    time.sleep(1)
"""
MEMORY = """
import time
held = []
for _ in range(24):  # at most 6 GB
    held.append(bytearray(b"x") * 2**28)
time.sleep(10)
"""
THREADS = """
import threading, time
def wait(): time.sleep(30)
for _ in range(3000):
    threading.Thread(target=wait, daemon=True).start()
"""
OUTPUT = """
line = "x" * 2**20
for _ in range(3000):
    print(line)
"""
DISK = """
import os
block = b"x" * 2**24
for number in range(8):
    with open(f"big{number}", "wb") as file:
        for _ in range(32):
            file.write(block)
"""
FILES = """
import os
os.makedirs("many", exist_ok=True)
for number in range(100_000):
    open(f"many/{number}", "w").close()
"""
DEEP = "import sys\nsys.setrecursionlimit(10**9)\ndef down(n):\n    return down(n + 1) + 1\ndown(0)"
FOLDERS = """
import os
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
"""
GROUP = "import os, signal\nos.kill(0, signal.SIGKILL)"
PARENT = "import os, signal\nif os.getppid() > 1:\n    os.kill(os.getppid(), signal.{0})"
CLOSED = "import os\nos.closerange(0, 4096)"
CATCHES = """
import signal, time
def add(a, b):
    while True:
        try:
            time.sleep(0.1)
        except BaseException:
            pass
"""
BANK_CATCHES = CATCHES.replace("add(a, b)", "accuracy(logits, labels)")
LOCKED = """
import sqlite3, time
for path in ("../../../gradebook.db", "@ROOT@/gradebook.db"):
    try:
        book = sqlite3.connect(path)
        book.execute("begin exclusive")
    except sqlite3.Error:
        pass
"""
LOCKED_ON = """
import os, time
if os.fork() == 0:
    os.setsid()
    import sqlite3
    books = []
    for path in ("../../../gradebook.db", "@ROOT@/gradebook.db"):
        try:
            books.append(sqlite3.connect(path, timeout=5))
            books[-1].execute("begin exclusive")
        except sqlite3.Error:
            pass
    time.sleep(45)
    os._exit(0)
time.sleep(1)
"""
HUGE_RETURN = "import numpy as np\ndef accuracy(logits, labels):\n    return np.zeros((20_000, 2_000))"
SPREAD = """
import os, signal, time
children = []
for _ in range(4):  # 1.6 GB between them
    child = os.fork()
    if child == 0:
        held = bytearray(b"x") * 400_000_000
        time.sleep(9)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""
REFUSED = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

def refused():
    calls = (libc.memfd_create, b"x", 0), (libc.unshare, 0x10000000), (libc.shmget, 0, 4096, 0o1600)
    return all(call(*rest) == -1 for call, *rest in calls)

def add(a, b):
    return a + b if held else None
held = refused()
"""
PROCESSES = """
import threading
done, threads = threading.Event(), []
try:
    while len(threads) < 400:
        threads.append(threading.Thread(target=done.wait))
        threads[-1].start()
except RuntimeError:
    threads.pop()
held = len(threads) < 400
done.set()
for thread in threads:
    thread.join()

def add(a, b):
    return a + b if held else None
"""
WRITES_ON = """
import os, time
if os.fork() == 0:
    os.setsid()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for path in ("data.csv", "own.ipynb", "@ROOT@/notebooks/own/data.csv"):
            try:
                open(path, "w").write("0")
            except OSError:
                pass
        time.sleep(0.01)
    os._exit(0)
"""
FILLS = """
import os
for folder in (".", "/dev/shm", "/tmp"):
    try:
        os.statvfs(folder).f_blocks < 2**18 and open(folder + "/full", "wb").write(bytes(2**30))
    except OSError:
        pass
    for number in range(25_000):
        try:
            os.mkdir(f"{folder}/{number}")
        except OSError:
            break
"""
OVERWRITES = """
import glob
for path in glob.glob("*"):
    try:
        open(path, "w").write("overwritten")
    except OSError:
        pass
"""


def _first(name: str, about: str, source: str, **options: Any) -> Attack:
    return Attack(name, KIND, about, first(source), OWN, **options)


def _add(name: str, about: str, source: str, **options: Any) -> Attack:
    return Attack(name, KIND, about, cells({**RIGHT, "add": source}), OWN, **options)


def _bank(name: str, about: str, source: str, **options: Any) -> Attack:
    return Attack(name, KIND, about, cells({f"{EXERCISE}-numpy": source}), BANK, **options)


HANGS = "def add(a, b):\n    while True:\n        pass"
ATTACKS = [
    _add("endless", "the answer never returns; the other is right", HANGS, deserves=2, exact=False),
    _add("endless_catches", "the same, and catches every exception", CATCHES, deserves=2, exact=False),
    _first("ignores_signals", "a cell that ignores signals", IGNORES),
    _first("sleeps", "a cell that sleeps", SLEEPS),
    _first("daemon", "leaves a process that writes a file later", DAEMON),
    _first("fork_bomb", "processes that double (2,048 for 15 s at most)", BOMB, plain=False),
    _first("memory", "takes memory (6 GB at most)", MEMORY, plain=False),
    _first("memory_spread", "four processes that take 400 MB each", SPREAD, plain=False),
    Attack(
        "much_memory",
        KIND,
        "600 MB, which is allowed, answers right",
        cells(RIGHT, first='held = bytearray(b"x") * 600_000_000'),
        OWN,
        5,
    ),
    _add("refused_calls", "right only where memfd_create, unshare and shmget are refused", REFUSED, deserves=5),
    _add("processes", "right only where 400 threads cannot be had", PROCESSES, deserves=5, plain=False),
    _first("threads", "3,000 threads", THREADS),
    _first("output", "3 GB of output", OUTPUT, plain=False),
    _first("disk", "4 GB of files", DISK, plain=False),
    _first("fills", "takes all space and inodes of its folder and of shared memory", FILLS, plain=False),
    _first("writes_on", "leaves a process that overwrites data files again and again", WRITES_ON),
    _first("many_files", "100,000 files", FILES),
    _first("deep_folders", "folders 3,000 deep", FOLDERS),
    _first("recursion", "recursion without end", DEEP),
    _first("segfault", "reads address 0", "import ctypes\nctypes.string_at(0)"),
    _first("abort", "aborts", "import os\nos.abort()"),
    _first("kill_parent", "kills the process that started it", PARENT.format("SIGKILL")),
    _first("stop_parent", "stops the process that started it", PARENT.format("SIGSTOP")),
    _first("stop_itself", "stops itself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"),
    _first("kill_group", "kills its process group", GROUP),
    _first("closed_files", "closes every open file", CLOSED),
    _first("reads_input", "waits for input", "input()\nimport sys\nsys.stdin.read()"),
    _first("gradebook_locked", "keeps the gradebook locked", LOCKED),
    _first("gradebook_locked_on", "a daemon that keeps the gradebook locked", LOCKED_ON),
    _first("overwrites", "overwrites every file beside it", OVERWRITES),
    _bank("endless_bank", "an answer that never returns", "def accuracy(*a):\n    while True:\n        pass"),
    _bank("endless_bank_catches", "the same, and catches every exception", BANK_CATCHES),
    _bank("endless_import", "an answer that never ends being defined", "while True:\n    pass"),
    _bank("segfault_bank", "reads address 0", "import ctypes\ndef accuracy(*a):\n    ctypes.string_at(0)"),
    _bank("huge_return", "returns 320 MB", HUGE_RETURN),
    _bank("daemon_bank", "leaves a process behind", DAEMON + "\ndef accuracy(*a):\n    return -1"),
]
