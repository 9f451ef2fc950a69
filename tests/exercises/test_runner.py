"""Whatever an answer does to its process, to files or to Python: a verdict comes in time, and so does the next."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.exercises.engine.checking import check_file, check_source
from tl_course.exercises.engine.runner import Run, Runner
from tl_course.exercises.engine.verdict import judge, score

EXERCISE = exercises.get("masked-mean")
VARIANT = EXERCISE.variant("pytorch")
CASES = EXERCISE.draw(0)
LIMIT, SLACK = 0.8, 2.0
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")


@pytest.fixture(scope="module", params=[True, False], ids=["fork", "spawn"])
def runner(request):
    if request.param and sys.platform != "linux":
        pytest.skip("forked children are for Linux")
    made = Runner("pytorch", fork=request.param)
    made.run(EXERCISE.id, CASES, [VARIANT.reference], 60, alone=True)
    yield made
    made.close()


@pytest.fixture(scope="module")
def forked():
    made = Runner("pytorch")
    yield made
    made.close()


def answer(body: str, before: str = "") -> str:
    return f"import torch\n{before}\ndef masked_mean(hidden, mask):\n" + textwrap.indent(textwrap.dedent(body), "    ")


def observe(runner: Runner, source: str, limit: float = LIMIT) -> tuple[Run, float]:
    """The run, and the score it earns."""
    (run,) = runner.run(EXERCISE.id, CASES, [source], limit, alone=True)
    return run, score(judge(EXERCISE, CASES, run)[0])


ENDS = {  # what stops, crashes or hangs
    "loop": ("while True: pass", "timeout"),
    "loop that catches everything": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "timeout",
    ),
    "sleep": ("import time\ntime.sleep(60)", "timeout"),
    "a pattern that backtracks": ("import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')", "timeout"),
    "no signals heard": (
        "import signal\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM): signal.signal(s, signal.SIG_IGN)\n"
        "while True: pass",
        "timeout",
    ),
    "exit at once": ("import os\nos._exit(0)", "crashed"),
    "abort": ("import os\nos.abort()", "crashed"),
    "kill itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "crashed"),
    "no recursion limit": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return sorted([n], key=f)\nf(0)",
        "crashed",
    ),
    "every file closed": ("import os\nos.closerange(0, 200)", "crashed"),
    "garbage on every file": (
        "import os\nfor fd in range(3, 40):\n    try: os.write(fd, b'\\xff' * 100)\n    except OSError: pass",
        "crashed",
    ),
    "system exit": ("raise SystemExit", "SystemExit"),
    "keyboard interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "base exception": ("class Own(BaseException): pass\nraise Own('x')", "Own"),
    "recursion": ("def f(n): return f(n + 1)\nf(0)", "RecursionError"),
    "8 TB": ("import numpy\nnumpy.ones(10**12)", "MemoryError"),
    "input": ("input('name? ')", "EOFError"),
    "message cannot be read": (
        "class Bad(Exception):\n    def __str__(self): raise RuntimeError\nraise Bad",
        "Bad",
    ),
    "half a character in the message": ("raise ValueError('\\ud800')", "ValueError"),
    "a message of a megabyte": ("raise ValueError('x' * 10**6)", "ValueError"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "expected", "at"),
    [
        pytest.param(code, expected, at, id=f"{name}, {at}")
        for name, (code, expected) in ENDS.items()
        for at in ("top level", "when called")
        if expected != "timeout" or at == "when called"
    ],
)
def test_an_answer_that_ends_badly_gets_a_verdict(forked, code, expected, at):
    observe(forked, VARIANT.reference, limit=30)  # a child waits from here on
    source = answer("return None", before=code) if at == "top level" else answer(code)
    begin = time.monotonic()
    run, earned = observe(forked, source)
    assert time.monotonic() - begin < LIMIT + SLACK
    assert earned == 0
    if expected in ("timeout", "crashed"):
        assert run.state == expected
    else:
        error = run.error if at == "top level" else run.observations[0]["error"]
        assert error["type"] == expected and len(error["message"]) <= 500
        error["message"].encode()
    assert observe(forked, VARIANT.reference, limit=30)[1] == 1


@pytest.mark.parametrize("name", ["loop", "garbage on every file"])
def test_both_ways_of_starting_children(runner, name):
    code, expected = ENDS[name]
    run, earned = observe(runner, answer(code))
    assert earned == 0
    assert (run.state if run.state != "ran" else run.observations[0]["error"]["type"]) == expected
    assert observe(runner, VARIANT.reference, limit=30)[1] == 1


RIGHT_ALL_THE_SAME = {  # does something odd, then answers right
    "prints megabytes": "for _ in range(3000): print('x' * 1000)",
    "prints to the real output": "import sys\nsys.__stdout__.write('hello\\n'); sys.__stderr__.write('hello\\n')",
    "writes below Python": "import os\nos.write(1, b'hello'); os.write(2, b'\\xff\\xfe')",
    "closes its output": "import os\nos.close(1); os.close(2)",
    "its output is gone": "import sys\nsys.stdout = sys.stderr = None",
    "its output lies": "import sys\nclass Out:\n    def __getattr__(self, name): raise OSError\nsys.stdout = Out()",
    "moves elsewhere": "import os\nos.chdir('/')",
    "deletes where it is": "import os, shutil\nshutil.rmtree(os.getcwd(), ignore_errors=True)",
    "exits in a thread": "import sys, threading\nt = threading.Thread(target=sys.exit); t.start(); t.join()",
    "a thread that does not end": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
    "hooks on the way out": "import atexit, os\natexit.register(os.abort)",
    "swallows the frames": "import sys\nsys.settrace(lambda *a: None); sys.excepthook = None",
    "no warnings": "import warnings\nwarnings.warn('odd'); warnings.simplefilter('error')",
    "another name": "__name__ = '__main__'",
    "module hooks": "def __getattr__(name): raise SystemExit\ndef __dir__(): raise SystemExit",
    "a child process": "import subprocess\nsubprocess.Popen(['sleep', '99'])",
    "float64": "",
}  # fmt: skip


@pytest.mark.parametrize("code", RIGHT_ALL_THE_SAME.values(), ids=RIGHT_ALL_THE_SAME)
def test_a_right_answer_that_does_odd_things_stays_right(forked, code):
    run, earned = observe(forked, code + "\n" + VARIANT.reference, limit=10)
    assert (run.state, earned) == ("ran", 1)
    assert len(run.output) < 5000


def test_what_was_printed_is_shown_from_its_beginning(runner):
    run, _earned = observe(runner, "print('first')\n" + answer("print('é' * 10**6)\nreturn None"), limit=30)
    assert run.output.startswith("first\né") and len(run.output) < 5000 and "bytes in all" in run.output


def test_output_beyond_the_limit_is_refused(forked):
    run, earned = observe(forked, answer("while True: print('x' * 10**6)"), limit=20)
    assert earned == 0 and run.observations[0]["error"]["type"] == "OSError"


def test_nothing_is_left_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Runner("pytorch")
    try:
        for _ in range(3):
            observe(made, answer("print('x' * 10**6)"), limit=20)
        left = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not left
    finally:
        made.close()
    assert not list(tmp_path.iterdir())


WRONG_RESULTS = {
    "nothing": ("return None", "NoneType"),
    "a generator": ("yield 1", "generator"),
    "text": ("return 'abc'", "numbers were expected"),
    "texts that read as numbers": ("return [['1'] * 4] * 3", "numbers were expected"),
    "a class": ("return int", "type"),
    "nan": ("return hidden.mean(1) * float('nan')", "NaN or infinite"),
    "infinite": ("return hidden.mean(1) / 0", "NaN or infinite"),
    "another shape": ("return hidden.mean((0, 1))", "shape (3, 4) was expected, yours is (4,)"),
    "ragged": ("return [[1.0], [1.0, 2.0]]", "unequal parts"),
    "a sparse tensor": ("return hidden.mean(1).to_sparse()", "stopped with"),
    "no data": ("return hidden.mean(1).to('meta')", "stopped with"),
    "complex": ("return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1) + 1j", "complex64"),
    "far too much": ("return torch.zeros(1, 1).expand(3, 10**6)", "far too large"),
    "raises when compared": (
        "class Odd:\n    def __eq__(self, other): raise RuntimeError('eq')\n"
        "    def __len__(self): raise RuntimeError('len')\n    def __bool__(self): raise RuntimeError('bool')\n"
        "return Odd()",
        "Odd",
    ),
    "lies about its class": (
        "class Odd:\n    @property\n    def __class__(self): raise RuntimeError('class')\nreturn Odd()",
        "",
    ),
    "always equal": ("class Odd:\n    def __eq__(self, other): return True\nreturn Odd()", "Odd"),
    "a name that raises": (
        "class Meta(type):\n    @property\n    def __name__(cls): raise RuntimeError('name')\n"
        "class Odd(metaclass=Meta): pass\nreturn Odd()",
        "",
    ),
    "looks like a tensor": (
        "class Odd:\n    def detach(self): return self\n    def cpu(self): return self\n    dtype = 'x'\n"
        "    def numpy(self): return self\nreturn Odd()",
        "Odd",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), WRONG_RESULTS.values(), ids=WRONG_RESULTS)
def test_an_odd_result_earns_nothing_and_is_named(body, said):
    verdict = check_source(EXERCISE.id, "pytorch", answer(body))
    assert verdict.score == 0 and verdict.answered and not verdict.passed
    text = verdict.render_text()
    assert said in text
    assert "Traceback" not in text and verdict._repr_html_()


def test_half_precision_is_judged_like_any_other_number():
    verdict = check_source(EXERCISE.id, "pytorch", answer("return hidden.half().mean(1)"))
    assert 0 <= verdict.score < 1


TALKS_ROUND = {  # tries to have a wrong answer taken for a right one
    "numpy": "import numpy\nnumpy.allclose = lambda *a, **k: True\nnumpy.ndarray.__eq__ = None",
    "numpy's functions": "import numpy\nfor f in ('asarray', 'abs', 'isfinite'): setattr(numpy, f, lambda *a, **k: 0)",
    "the judge": "import tl_course.exercises.engine.verdict as v\nv.score = lambda lines: 1.0",
    "the criteria": "from tl_course import exercises\nobject.__setattr__(exercises.get('masked-mean'), 'criteria', {})",
    "the findings": "import tl_course.exercises.engine.compare as c\nc.close = lambda *a, **k: c.Finding(a[0], True)",
    "forged word": (
        "import os\nfrom tl_course.exercises.engine.plain import pack\n"
        "for forged in ({'passed': True}, [1], {'observations': []}, {'observations': [5, 5], 'output': ''},\n"
        "               {'observations': [], 'output': ''}, {'error': {'type': 1}, 'output': ''}):\n"
        "    word = pack(forged)\n"
        "    for fd in range(3, 40):\n"
        "        try: os.write(fd, len(word).to_bytes(8, 'big') + word)\n"
        "        except OSError: pass"
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", TALKS_ROUND.values(), ids=TALKS_ROUND)
def test_nothing_done_in_the_answer_reaches_the_judge(code):
    verdict = check_source(EXERCISE.id, "pytorch", answer("return hidden.mean(1)", before=code))
    assert verdict.score < 1 and not verdict.passed
    right = check_source(EXERCISE.id, "pytorch", VARIANT.reference)
    assert right.passed and np.allclose([1.0], [2.0]) is False


def test_forged_observations_must_cover_every_case(forked):
    """An answer cannot leave out the cases it gets wrong."""
    right_case = "{'pooled': as_array(masked_mean_right(h, m)), 'other padding': as_array(masked_mean_right(h, m))}"
    source = f"""
import os
from tl_course.exercises.engine.plain import as_array, pack
{VARIANT.reference.replace("def masked_mean", "def masked_mean_right")}
def masked_mean(h, m):
    word = pack({{"observations": [{{"value": {right_case}}}], "output": ""}})
    for fd in range(3, 40):
        try: os.write(fd, len(word).to_bytes(8, "big") + word)
        except OSError: pass
"""
    run, earned = observe(forked, source, limit=10)
    assert (run.state, earned) == ("crashed", 0)


SOURCES = {
    "empty": ("", "no function or class named masked_mean"),
    "only a comment": ("# nothing", "no function or class named masked_mean"),
    "null bytes": ("x = 1\0\n", "stopped with"),
    "half a character": ("x = '\ud800'\n", "stopped with"),
    "not Python": ("def masked_mean(:\n", "SyntaxError"),
    "deep": ("x = " + "(" * 5000 + ")" * 5000, "stopped with"),
    "deeper": ("x = " + "-" * 100_000 + "1", "stopped with"),
    "a long sum": ("x = 1" + "+1" * 50_000, "stopped with"),
    "mixed tabs": ("def masked_mean(h, m):\n\tif True:\n        return 1\n", "Error"),
    "not a function": ("masked_mean = 3", "not callable"),
    "wrong signature": ("def masked_mean(): pass", "takes 0 positional arguments"),
    "a coroutine": ("async def masked_mean(h, m): return h", "coroutine"),
    "two megabytes": ("x = '" + "a" * 2**21 + "'", "no function or class named masked_mean"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize(("source", "said"), SOURCES.values(), ids=SOURCES)
def test_odd_source_text_gets_a_verdict(source, said):
    verdict = check_source(EXERCISE.id, "pytorch", source)
    assert verdict.score == 0 and not verdict.passed
    text = verdict.render_text()
    assert said in text or "the process that ran it ended" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("    ", "\t").encode(),
        lambda text: ("# -*- coding: utf-8 -*-\n" + text).encode(),
        lambda text: ('"\\d is no escape"\n' + text).encode(),
    ],
    ids=["Windows line ends", "byte order mark", "tabs", "coding line", "odd escape"],
)
def test_files_as_editors_write_them(tmp_path, change, recwarn):
    path = tmp_path / "answer.py"
    path.write_bytes(change(VARIANT.reference))
    assert check_file(path, EXERCISE.id, "pytorch").passed
    assert not recwarn.list


def test_files_that_cannot_be_an_answer(tmp_path):
    latin, large, gone = tmp_path / "latin.py", tmp_path / "large.py", tmp_path / "gone.py"
    latin.write_bytes("x = 'é'".encode("latin-1"))
    large.write_bytes(b"#" * 2 * 2**20)
    said = {latin: "UTF-8", large: "at most 1 MiB", gone: "No such file", tmp_path: "directory"}
    if sys.platform != "win32":
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        said |= {pipe: "something else", Path("/dev/zero"): "something else"}
    for path, words in said.items():
        with pytest.raises(BadInput) as caught:
            check_file(path, EXERCISE.id, "pytorch")
        assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_beside_the_notebook_shadow_nothing(tmp_path):
    for name in ("numpy", "torch", "json", "tl_course", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    code = f"""
import sys; sys.path.pop(0)
from tl_course.exercises.engine.runner import Runner
from tl_course import exercises
e = exercises.get("masked-mean")
for fork in {[True, False] if sys.platform == "linux" else [False]}:
    runner = Runner("pytorch", fork=fork)
    (run,) = runner.run(e.id, e.draw(0), [e.variant("pytorch").reference], 60, alone=True)
    print(run.state)
    runner.close()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["ran"] * (2 if sys.platform == "linux" else 1), done.stderr


def processes_of(parent: int) -> list[psutil.Process]:
    return psutil.Process(parent).children(recursive=True)


@posix
def test_a_process_left_behind_ends_with_the_answer(runner):
    code = (
        "import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']).pid)\n"
    )
    run, earned = observe(runner, code + VARIANT.reference, limit=30)
    assert earned == 1
    assert gone(int(run.output))


@posix
@pytest.mark.parametrize("ends", ["os._exit(0)", "while True: pass"])
def test_a_daemon_that_keeps_the_connection_does_not_hold_up_the_verdict(runner, ends):
    code = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
    time.sleep(12)
    os._exit(0)
{ends}
"""
    runner.run(EXERCISE.id, CASES, [VARIANT.reference], 30, alone=True)
    begin = time.monotonic()
    run, _earned = observe(runner, code)
    assert run.state in ("crashed", "timeout")
    assert time.monotonic() - begin < 10


def gone(pid: int, within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@posix
@pytest.mark.parametrize("fork", [True, False], ids=["fork", "spawn"])
def test_a_killed_notebook_leaves_no_process_behind(fork, tmp_path):
    if fork and sys.platform != "linux":
        pytest.skip("forked children are for Linux")
    limit = 60 if fork else 4  # without fork a child ends itself some seconds after its limit
    code = f"""
from tl_course.exercises.engine.runner import Runner
from tl_course import exercises
e = exercises.get("masked-mean")
runner = Runner("pytorch", fork={fork})
source = "open({str(tmp_path / "running")!r}, 'w').close()\\nwhile True: pass"
runner.run(e.id, e.draw(0), [source], {limit}, alone=True)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as notebook:
        deadline = time.monotonic() + 60
        while not (tmp_path / "running").exists():
            assert time.monotonic() < deadline and notebook.poll() is None
            time.sleep(0.02)
        children = [child.pid for child in processes_of(notebook.pid)]
        os.kill(notebook.pid, signal.SIGKILL)
    assert children
    assert all(gone(pid, within=15) for pid in children)


def busy(process: psutil.Process) -> bool:
    try:
        return process.cpu_percent(interval=0.1) > 20
    except psutil.NoSuchProcess:
        return False


@posix
def test_an_interrupted_check_leaves_no_process_running(forked):
    """What happens on the stop button: KeyboardInterrupt in the thread that waits."""
    observe(forked, VARIANT.reference, limit=30)
    before = {child.pid for child in processes_of(os.getpid())}
    main = threading.main_thread().ident
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # libraries of other tests may have set theirs
    threading.Timer(0.5, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            observe(forked, "while True: pass", limit=60)
    finally:
        signal.signal(signal.SIGINT, previous or signal.SIG_DFL)
    assert all(not busy(child) for child in processes_of(os.getpid()) if child.pid not in before)
    assert observe(forked, VARIANT.reference, limit=30)[1] == 1


def test_two_checks_at_once_from_two_threads():
    sources = [VARIANT.reference, VARIANT.mistakes["not-divided"].code(VARIANT.reference)] * 3
    verdicts: list = [None] * len(sources)

    def work(index):
        verdicts[index] = check_source(EXERCISE.id, "pytorch", sources[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [verdict.passed for verdict in verdicts] == [True, False] * 3
    assert all(verdict.diagnosis for verdict in verdicts[1::2])


def end_forkservers(chosen):
    """Kill the chosen ones; children of one that is killed may be gone before their turn comes."""
    for process in processes_of(os.getpid()):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "forkserver" in " ".join(process.cmdline()) and chosen(process):
                process.kill()
    time.sleep(0.2)


@posix
def test_children_that_somebody_ended_are_replaced(forked):
    observe(forked, VARIANT.reference, limit=30)
    end_forkservers(lambda process: process.ppid() != os.getpid())
    assert observe(forked, VARIANT.reference, limit=30)[1] == 1


@posix
def test_a_server_that_somebody_ended_is_replaced(forked):
    observe(forked, VARIANT.reference, limit=30)
    end_forkservers(lambda _process: True)
    assert observe(forked, VARIANT.reference, limit=30)[1] == 1


def test_every_candidate_sees_the_same_random_numbers(forked):
    source = answer("return torch.rand(3, 4)")
    first, second = (observe(forked, source, limit=30)[0].observations[0]["value"]["pooled"] for _ in range(2))
    assert (first == second).all()


def test_an_answer_that_changes_its_inputs_does_not_change_the_next_case():
    source = answer("hidden.zero_()\nreturn hidden.sum(1)")
    assert check_source(EXERCISE.id, "pytorch", source).score < 1
    source = "import torch\ncalls = []\n" + VARIANT.reference.replace(
        "    weights =", "    hidden = hidden.clone().add_(0)\n    weights ="
    )
    assert check_source(EXERCISE.id, "pytorch", source).passed


def test_an_exercise_that_uses_transformers_finds_it_at_hand():
    exercise = exercises.get("silent-labels")
    variant = exercise.variant("pytorch")
    assert exercise.process("pytorch") == "pytorch+transformers"
    at_hand = "import sys\nassert 'transformers.models.bert.modeling_bert' in sys.modules\n"
    assert check_source(exercise.id, "pytorch", at_hand + variant.reference).passed
