"""How code in the sandbox ends, what it leaves behind, and what it sends to the grader instead of an answer."""

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tl_course.grading.execution import execute
from tl_course.grading.judging import run_of
from tl_course.grading.sandbox import Reply, Warm

from .asking import PROBE, SMALL, ask, result, run, task

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    started = Warm(["numpy"], SMALL)
    yield started
    started.close()


def having(word: str) -> list[psutil.Process]:
    """Processes that have a word in their command."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if word in " ".join(process.info["cmdline"] or []):
            found.append(process)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    return all(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in processes)


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


ENDS = {
    "exit": "import os\ndef f():\n    os._exit(0)",
    "segfault": "import ctypes\ndef f():\n    ctypes.string_at(0)",
    "abort": "import os\ndef f():\n    os.abort()",
    "kill": "import os\ndef f():\n    os.kill(os.getpid(), 9)",
    "stack": "import ctypes\ndef f():\n    ctypes.memset(ctypes.addressof(ctypes.c_int()), 1, 2**40)",
    "parent": "import os\ndef f():\n    os.kill(os.getppid(), 9)\n    os._exit(0)",
}


@pytest.mark.parametrize("name", ENDS)
def test_an_answer_that_ends_its_process_is_said_to_have_crashed(warm, name):
    with warm.sandbox() as sandbox:
        assert ask(sandbox, ENDS[name]).state == "crashed"
        assert result(ask(sandbox, "def f():\n    return 1")) == 1
    assert warm.alive()


FRAMES = {
    "garbage": "b'garbage' * 100",
    "huge": "(2**40).to_bytes(8, 'big') + b'x'",
    "negative": "b'\\xff' * 8",
    "short": "(100).to_bytes(8, 'big') + b'x'",
    "empty": "(0).to_bytes(8, 'big')",
    "list": "framed([1, 2])",
    "odd": "framed({'observations': 5, 'error': [], 'output': 7})",
    "twice": "framed({'observations': [{'value': {}}], 'output': ''}) * 2",
    "pickle": "framed('x') + b'cos\\nsystem\\n(S\"true\"\\ntR.'",
}


@pytest.mark.parametrize("name", FRAMES)
def test_forged_answers_do_not_disturb_the_grader(warm, name):
    code = f"""
        import os
        from tl_course.exercises.engine.plain import pack
        def framed(value):
            data = pack(value)
            return len(data).to_bytes(8, "big") + data
        def f():
            for number in range(3, 60):
                try:
                    os.write(number, {FRAMES[name]})
                except OSError:
                    pass
            os._exit(0)
    """
    with warm.sandbox() as sandbox:
        reply = ask(sandbox, code, limit=3)
        assert reply.state in ("done", "crashed", "timeout", "interrupted")
        run_of({"state": reply.state, "value": reply.value}, 1)  # raises nothing
        assert result(ask(sandbox, "def f():\n    return 1", fresh=True)) == 1
    with warm.sandbox() as sandbox:
        assert result(ask(sandbox, "def f():\n    return 1")) == 1


def test_fresh_tasks_share_nothing(warm):
    write = "import builtins, numpy\ndef f():\n    builtins.left = numpy.left = 1\n    return 1"
    read = "import builtins, numpy\ndef f():\n    return [hasattr(builtins, 'left'), hasattr(numpy, 'left')]"
    with warm.sandbox() as sandbox:
        result(ask(sandbox, write))
        assert result(ask(sandbox, read)) == [True, True]
        assert result(ask(sandbox, read, fresh=True)) == [False, False]
    assert run(warm, read) == [False, False]


LEAVE = """
import os, subprocess, sys, time
def f(word):
    program = f"import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(300)  # {word}"
    subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-c", program])
        os._exit(0)
    time.sleep(0.5)
    return 1
"""


@pytest.mark.parametrize("how", ["close", "fresh"])
def test_what_it_leaves_running_is_ended(warm, how):
    word = f"left-{secrets.token_hex(8)}"
    with warm.sandbox() as sandbox:
        assert result(ask(sandbox, LEAVE, word=word)) == 1
        assert len(having(word)) == 2
        if how == "fresh":
            assert result(ask(sandbox, "def f():\n    return 1", fresh=True)) == 1
            assert having(word) == []
    assert having(word) == []


GRADER = """
import sys
from tl_course.grading.sandbox import Warm
warm = Warm(["numpy"])
with warm.sandbox() as sandbox:
    task = {"kind": "answer", "source": sys.argv[1], "entry": "f", "probe_name": "probe"}
    task |= {"probe": [["probe_of_test", sys.argv[2]]], "cases": [{"word": sys.argv[3]}]}
    sandbox.ask(task, 60.0)
    print("ready", flush=True)
    sandbox.ask({**task, "source": "import time\\ndef f(word):\\n    time.sleep(60)"}, 60.0)
"""


def test_with_the_grader_everything_ends(tmp_path):
    word = f"orphan-{secrets.token_hex(8)}"
    command = [sys.executable, "-c", GRADER, LEAVE, PROBE, word]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as grader:
        assert grader.stdout and grader.stdout.readline() == "ready\n"
        below = psutil.Process(grader.pid).children(recursive=True)
        assert len(having(word)) >= 2 and len(below) >= 5
        grader.send_signal(signal.SIGKILL)
        grader.wait()
        assert eventually(lambda: gone(below) and not having(word))


def test_a_submission_is_run_again_where_the_process_it_was_forked_from_is_ended():
    """By the kernel, for want of memory: whoever was being graded must not lose points for it."""
    before = set(psutil.Process().children(recursive=True))
    started = Warm(["numpy"], SMALL)
    try:
        made = set(psutil.Process().children(recursive=True)) - before
        answer = {"key": "f", "task": task("import time\ndef f():\n    time.sleep(2)\n    return 1"), "limit": 20.0}
        request = {"files": {}, "answers": [{**answer, "fresh": False}], "cells": []}
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(execute, started, request)
            time.sleep(1)
            for process in made:
                process.kill()
            assert result(Reply(**future.result()["answers"]["f"])) == 1
        assert started.modules == ("numpy",)
    finally:
        started.close()
