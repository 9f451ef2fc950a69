"""What code in the sandbox can use: time, memory, processes, files and output."""

from collections.abc import Iterator

import pytest

from tl_course.grading.sandbox import Warm

from .asking import MEGABYTE, SMALL, ask, result, run

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    started = Warm(["numpy"], SMALL)
    yield started
    started.close()


def test_an_endless_answer_is_interrupted_and_the_next_one_runs(warm):
    with warm.sandbox() as sandbox:
        assert ask(sandbox, "def f():\n    while True: pass", limit=0.3).state == "interrupted"
        assert result(ask(sandbox, "def f():\n    return 1")) == 1


def test_an_endless_answer_that_takes_no_notice_is_ended(warm):
    stubborn = """
        import signal
        def f():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                try:
                    while True: pass
                except BaseException:
                    pass
    """
    with warm.sandbox() as sandbox:
        assert ask(sandbox, stubborn, limit=0.3).state == "timeout"
        assert result(ask(sandbox, "def f():\n    return 1")) == 1


def test_a_whole_submission_has_its_time(warm):
    with warm.sandbox(wall=1.0) as sandbox:
        assert ask(sandbox, "import time\ndef f():\n    time.sleep(60)", limit=60).state == "time"
        assert ask(sandbox, "def f():\n    return 1").state == "time"


def test_one_process_has_its_memory(warm):
    code = """
        def f(size):
            import numpy as np
            return attempt(lambda: np.ones(size, np.uint8).sum())
    """
    assert run(warm, code, size=50 * MEGABYTE) == "done"
    assert run(warm, code, size=2000 * MEGABYTE) in ("MemoryError", "_ArrayMemoryError")


MANY = """
def f(size):
    import os, time
    for _ in range(6):
        if os.fork() == 0:
            held = bytearray(os.urandom(1)) * size
            time.sleep(60)
            os._exit(0)
    time.sleep(60)
"""
SHARED = """
def f(size):
    import mmap, time
    held = mmap.mmap(-1, 6 * size)
    for place in range(0, 6 * size, 4096):
        held[place] = 1
    time.sleep(60)
"""


TABLES = """
def f(size):
    import mmap, time
    held = mmap.mmap(-1, 6 * size * 512, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
    held.madvise(15)  # small pages: each 2 MiB that are read take a table of 4 KiB, and are otherwise empty
    for place in range(0, 6 * size * 512, 2**21):
        held[place]
    time.sleep(60)
"""


@pytest.mark.parametrize("code", [MANY, SHARED, TABLES], ids=["processes", "shared", "page tables"])
def test_all_of_a_submission_has_its_memory(warm, code):
    with warm.sandbox() as sandbox:
        assert ask(sandbox, code, limit=8, size=100 * MEGABYTE).state == "memory"
    with warm.sandbox() as sandbox:
        assert result(ask(sandbox, "def f():\n    return 1")) == 1


def test_memory_that_forks_share_counts_once(warm):
    code = """
        def f(size):
            import os, time
            held = bytearray(os.urandom(1)) * size
            children = []
            for _ in range(6):
                children.append(os.fork())
                if not children[-1]:
                    time.sleep(1.0)
                    os._exit(0)
            for child in children:
                os.waitpid(child, 0)
            return len(children)
    """
    assert run(warm, code, size=100 * MEGABYTE) == 6


def test_processes_are_counted(warm):
    code = """
        def f():
            import os, time
            count = 0
            while count < 500:
                try:
                    child = os.fork()
                except OSError:
                    return count
                if not child:
                    time.sleep(60)
                    os._exit(0)
                count += 1
            return count
    """
    assert 0 < run(warm, code) < SMALL.processes
    assert run(warm, code) > 0  # another submission still has its own


def test_files_and_their_number_are_limited(warm):
    code = """
        import os
        def f(size):
            def write(count):
                for number in range(count):
                    with open(f"file{number}", "wb") as file:
                        file.write(bytes(size))
            def hold():
                for number in range(1000):
                    held.append(open("/dev/null"))
            def many():
                for number in range(30_000):
                    open(f"/submission/tmp/{number}", "w").close()
            held = []
            tried = [attempt(hold), len(held)]
            held.clear()
            return [*tried, attempt(write, 2), attempt(write, 10), os.path.getsize("file0"), attempt(many)]
    """
    opened, held, two, ten, size, many = run(warm, code, size=7 * MEGABYTE)
    assert (opened, two, ten, size, many) == ("OSError", "done", "OSError", 7 * MEGABYTE, "OSError")
    assert 20 < held < SMALL.open_files
    large = "def f(size):\n    return attempt(lambda: open('large', 'wb').write(bytes(size)))"
    assert run(warm, large, size=9 * MEGABYTE) == "OSError"
    assert run(warm, large, size=7 * MEGABYTE) == "done"


def test_what_it_prints_is_cut(warm):
    with warm.sandbox() as sandbox:
        reply = ask(sandbox, "def f():\n    for _ in range(500): print('x' * 10_000)")
        assert reply.state == "done" and 0 < len(reply.value["output"]) < 10_000
        later = ask(sandbox, "def f():\n    print('once')")
        assert later.value["output"] == "once\n"  # and of one task only


def test_too_large_an_answer_is_not_taken(warm):
    with warm.sandbox() as sandbox:
        assert result(ask(sandbox, "def f():\n    return 'x' * 20_000_000")) == "NotPlain"
