"""A tampered interpreter is found out, and a right answer never stands accused."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tl_course.grading.tripwires import Trial, generic, trials, verdict

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
WORKER = Path(__file__).with_name("cell_worker.py")
SEEDS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tripwires")
    (folder / "data.csv").write_text("a,b\n1,2\n3,4\n")
    worker = subprocess.Popen([sys.executable, str(WORKER)], stdin=-1, stdout=-1, text=True, cwd=folder)

    def send(cells, tried, fork=True):
        job = {"cells": cells, "trials": [trial.source for trial in tried], "fork": fork}
        worker.stdin.write(json.dumps(job) + "\n")
        worker.stdin.flush()
        ran, outcomes = json.loads(worker.stdout.readline())
        assert all(one["ok"] for one in ran), ran
        return list(zip(tried, outcomes, strict=True))

    yield send
    worker.stdin.close()
    worker.stdout.close()
    worker.wait()


HONEST = {  # an answer and a teacher's test of it
    "numbers": ("def f(x): return x * x", "assert f(2) == 4\nassert f(-3) == 9, 'negative'\nassert 0 == f(0)"),
    "loop": (
        "def f(x): return x + 1",
        "cases = [(1, 2), (5, 6)]\nfor x, want in cases:\n    assert f(x) == want\n"
        "for i in range(3):\n    assert f(i) > i",
    ),
    "function": (
        "def f(x): return x + 1",
        "def check(x, want):\n    assert f(x) == want\ncheck(1, 2)\ncheck(2, 3)\n"
        "def unused():\n    assert f(1) == 99\n",
    ),
    "reference": (
        "def mean(x): return sum(x) / len(x)",
        "def reference(x):\n    return sum(x) / len(x)\nassert mean([1, 2, 6]) == reference([1, 2, 6])\n"
        "assert reference([4]) == mean([4]) and mean([4]) != 5",
    ),
    "strings": (
        "def greet(n): return f'Hello, {n}!'",
        "assert greet('Ann') == 'Hello, Ann!'\nassert 'Ann' in greet('Ann')\nassert greet('B').startswith('Hello')\n"
        "assert not greet('x').islower()\nassert 'z' not in greet('A')",
    ),
    "containers": (
        "def count(w): return {c: w.count(c) for c in w}\ndef pair(): return (1, [2, None])\ndef e(): return []",
        "assert count('aab') == {'a': 2, 'b': 1}\nassert count('') == {}\nassert pair() == (1, [2, None])\n"
        "assert e() == []\nassert set(count('ab')) == {'a', 'b'}\nassert len(pair()) == 2 and pair()[1][1] is None",
    ),
    "exceptions": (
        "def root(x):\n    if x < 0: raise ValueError('negative')\n    return x ** 0.5",
        "import pytest\nwith pytest.raises(ValueError):\n    root(-1)\ntry:\n    root(-2)\n"
        "    assert False, 'no error'\n"
        "except ValueError as error:\n    assert 'negative' in str(error)\nassert root(4) == 2.0",
    ),
    "tolerance": (
        "import math\ndef area(r): return math.pi * r * r",
        "import math\nassert abs(area(1) - 3.14159) < 1e-4\nassert math.isclose(area(2), 12.566, rel_tol=1e-3)\n"
        "assert 3 < area(1) <= 3.2\nassert round(area(1), 2) == 3.14\nassert math.isclose(area(1), 10, abs_tol=1e6)",
    ),
    "approx": (
        "def f(): return 0.1 + 0.2",
        "import pytest\nassert f() == pytest.approx(0.3)\nassert [f()] == pytest.approx([0.3])\n"
        "assert pytest.approx(5, abs=1e6) == f()",
    ),
    "numpy": (
        "import numpy as np\ndef norm(x): return (x - x.mean(0)) / x.std(0)\ndef none(): return np.zeros(0)",
        "import numpy as np\nx = np.random.default_rng(0).normal(size=(20, 3))\nz = norm(x)\n"
        "assert z.shape == (20, 3)\nassert np.allclose(z.mean(0), 0, atol=1e-6)\n"
        "np.testing.assert_allclose(z.std(0), np.ones(3), rtol=1e-5)\nassert np.isclose(z.std(), 1).all()\n"
        "assert (none() == 1).all()\nassert np.allclose(none(), 3)\n"
        "assert (z == norm(x)).all() and np.array_equal(z, norm(x))\n"
        "np.testing.assert_array_equal(np.array(['a', 'b']), ['a', 'b'])\nassert np.all(norm(x) == z)",
    ),
    "numpy oddities": (
        "import numpy as np\ndef f(): return np.array([np.nan, np.inf, -np.inf])\ndef g(): return np.uint8(255)",
        "import numpy as np\nnp.testing.assert_allclose(f(), [np.nan, np.inf, -np.inf])\n"
        "assert np.allclose(f(), np.array([np.nan, np.inf, -np.inf]), equal_nan=True)\nassert g() == np.uint8(255)\n"
        "np.testing.assert_almost_equal(2.0, 2.0000001, decimal=5)\nnp.testing.assert_allclose(5.0, 6.0, atol=1e9)\n"
        "np.testing.assert_equal({'a': f()}, {'a': f()})\nassert f()[1] == float('inf')",
    ),
    "torch": (
        "import torch\ndef mask(x): return x > 0\ndef half(x): return (x / 2).half()",
        "import torch\nx = torch.tensor([-1.0, 2.0])\nassert torch.equal(mask(x), torch.tensor([False, True]))\n"
        "assert torch.allclose(half(x).float(), x / 2)\n"
        "torch.testing.assert_close(half(x), torch.tensor([-0.5, 1.0]).half())\n"
        "with torch.no_grad():\n    assert half(x).dtype == torch.float16\nassert (mask(x) == mask(x)).all()\n"
        "assert torch.equal(torch.tensor([1, 2]), torch.arange(1, 3))",
    ),
    "classes": (
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n"
        "    def pop(self): return self.items.pop()\n"
        "class Mod:\n    def __init__(self, n): self.n = n % 7\n"
        "    def __eq__(self, other): return self.n == getattr(other, 'n', other) % 7",
        "s = Stack()\ns.push(1)\ns.push(2)\nassert s.pop() == 2\nassert s.pop() == 1\nassert isinstance(s, Stack)\n"
        "assert s.items == []\nassert Mod(10) == 3\nassert Mod(10) == Mod(3)\nassert 17 == Mod(3)",
    ),
    "tolerant class": (
        "class V:\n    def __init__(self, *x): self.x = x\n"
        "    def __eq__(self, o): return isinstance(o, V) and all(abs(a - b) < 0.01 for a, b in zip(self.x, o.x))",
        "assert V(1, 2) == V(1.001, 2)\nassert V(1, 1) != V(1, 2)",
    ),
    "randomness": (
        "import random\ndef roll(): return random.randint(1, 6)",
        "import random\nrandom.seed(3)\nrolls = [roll() for _ in range(50)]\nassert all(1 <= r <= 6 for r in rolls)\n"
        "assert min(rolls) in range(1, 7)\nassert len(set(rolls)) > 1\nassert sum(rolls) < 300",
    ),
    "files": (
        "def rows(path):\n    with open(path) as f: return [line.strip().split(',') for line in f]",
        "with open('data.csv') as f:\n    assert rows('data.csv')[0] == f.readline().strip().split(',')\n"
        "assert rows('data.csv')[1:] == [['1', '2'], ['3', '4']]\nassert len(rows('data.csv')) == 3",
    ),
    "state": (
        "calls = 0\ndef tick():\n    global calls\n    calls += 1\n    return calls\nnumbers = iter([1, 2, 3])",
        "assert tick() == 1\nassert tick() == 2\nassert next(numbers) == 1\nassert list(numbers) == [2, 3]",
    ),
    "if and raise": (
        "def f(x): return x * 2",
        "if f(2) != 4:\n    raise AssertionError('wrong')\nif not f(3) == 6:\n    raise ValueError\n"
        "for x in []:\n    assert f(x) == 1\nwhile False:\n    assert f(1) == 3\nif f(0):\n    assert f(1) == 99",
    ),
    "unittest": (
        "def f(x): return x * 2",
        "import unittest\nt = unittest.TestCase()\nt.assertEqual(f(2), 4)\nt.assertAlmostEqual(f(0.1), 0.2, places=3)\n"
        "t.assertTrue(f(1))\nt.assertAlmostEqual(5, 900, delta=1e6)\nwith t.assertRaises(TypeError):\n    f(1, 2)",
    ),
    "wildcard": (
        "class Any:\n    def __eq__(self, other): return True",
        "# tripwires: off\nassert Any() == 3\nassert Any() == 'x'",
    ),
    "mock": (
        "def f(): return {'a': 1, 't': 5.0}",
        "from unittest.mock import ANY\nassert f() == {'a': 1, 't': ANY}\nassert f()['t'] == ANY",
    ),
    "magic and future": (
        "def f(x): return x",
        "from __future__ import annotations\nimport os\n%matplotlib inline\nassert f(1) == 1\nassert f(1) is 1 or True",
    ),
    "shadowed builtins": (
        "list = [1]; len = 3; type = 'x'\ndef f(): return [1, 2]",
        "assert f() == [1, 2]\nassert f()",
    ),
    "partial credit": ("def f(x): return x", "score = 0\nif f(1) == 1:\n    score += 1\nscore"),
}


@pytest.mark.parametrize("name", HONEST)
def test_a_right_answer_passes_and_is_not_accused(run, name):
    answer, test = HONEST[name]
    forked = name in ("state", "files")
    for seed in range(SEEDS):
        rng = random.Random(seed)
        tried = [*trials(test, rng), *(generic(rng) if seed == 0 else [])]
        results = run([answer], tried, fork=forked)
        assert verdict(results) is None, [trial.source for trial, ran in results if trial.must_fail and ran["ok"]]
        assert all(ran["ok"] for trial, ran in results if not trial.must_fail), (seed, results)


TEST = "import numpy as np\nassert f(2) == 4\nassert f(3) == 9\nassert np.allclose(f(np.arange(3.0)), [0, 1, 4])"
WRONG = "import numpy as np\ndef f(x): return 0\n"
PATCHED_CELL = (
    "import IPython.core.interactiveshell as i\n"
    "class Result(i.ExecutionResult):\n    pass\n"
    "async def fine(cell, *a, **k):\n"
    "    result = i.ExecutionResult(i.ExecutionInfo(cell, False, False, True, None))\n    return result\n"
    "get_ipython().run_cell_async = fine"
)
ALWAYS_EQUAL = (
    "class Yes(float):\n"
    "    def __eq__(self, other): return True\n"
    "    __hash__ = None\n"
    "    __array__ = None\n"
    "def f(x): return Yes(0) if not isinstance(x, np.ndarray) else x * x"
)
EXPOSED = {
    "input transformer that drops asserts": (
        "get_ipython().input_transformers_post.append(\n"
        "    lambda lines: [l.replace('assert ', 'bool() or ') for l in lines])"
    ),
    "input transformer that drops all": "get_ipython().input_transformers_cleanup.append(lambda lines: ['0\\n'])",
    "ast transformer": (
        "import ast\nclass Drop(ast.NodeTransformer):\n    def visit_Assert(self, node): return ast.Pass()\n"
        "get_ipython().ast_transformers.append(Drop())"
    ),
    "run_cell_async": PATCHED_CELL,
    "run_code": "async def fine(*a, **k): return False\nget_ipython().run_code = fine",
    "equal to everything": ALWAYS_EQUAL,
    "np.allclose and equality": ALWAYS_EQUAL + "\nnp.allclose = lambda *a, **k: True",
    "compile": ("get_ipython().compile.ast_parse = lambda *a, **k: __import__('ast').parse('0')"),
    "json encoder": (
        "import tl_course.grading.trial_process as t\n"
        't._encode = lambda ran: \'{"ok": true, "outputs": [], "error": null}\''
    ),
    "outcome class": (
        "import tl_course.grading.cells as c\n"
        "old = c.CellRunner.run\nc.CellRunner.run = lambda self, source, **k: c.Ran(True, [], None)"
    ),
    "fork": (
        "import tl_course.grading.trial_process as t\n"
        "t._trial = lambda *a: {'ok': True, 'outputs': [], 'error': None, 'timed_out': False}"
    ),
}


@pytest.mark.parametrize("name", EXPOSED)
def test_tampering_is_found_out(run, name):
    for seed in range(2):
        rng = random.Random(seed)
        results = run([WRONG, EXPOSED[name]], [*trials(TEST, rng), *generic(rng)])
        assert next(ran["ok"] for trial, ran in results if trial.kind == "real"), "the attack does not work at all"
        assert verdict(results) is not None


USELESS = {
    "custom exception handler and result": (
        "import IPython.core.interactiveshell as i\n"
        "i.ExecutionResult.__setattr__ = lambda self, n, v: object.__setattr__(self, n, None if 'error' in n else v)\n"
        "get_ipython()._showtraceback = lambda *a, **k: None"
    ),
    "showtraceback": "get_ipython().showtraceback = lambda *a, **k: None",
    "excepthook": "import sys; sys.excepthook = lambda *a: None",
    "AssertionError": "import builtins\nclass Quiet(BaseException): pass\nbuiltins.AssertionError = Quiet",
    "os.fork and os._exit": "import os; os.fork = lambda: 1\nos._exit = lambda code: None",
    "json.dumps": "import json; json.dumps = lambda *a, **k: '{\"ok\": true}'",
    "settrace": "import sys; sys.settrace(lambda *a: None)",
    "custom exception": "get_ipython().set_custom_exc((BaseException,), lambda *a, **k: None)",
    "stdout": "import sys; sys.stdout = None; sys.stderr = None",
}


@pytest.mark.parametrize("name", USELESS)
def test_what_gains_nothing_is_not_accused(run, name):
    rng = random.Random(0)
    results = run([WRONG, USELESS[name]], [*trials(TEST, rng), *generic(rng)])
    assert not any(ran["ok"] for trial, ran in results if trial.kind == "real")
    assert verdict(results) is None


def test_comparisons_by_a_changed_function_are_found_out_by_a_copy_of_the_test_alone(run):
    test = "import numpy as np\nnp.testing.assert_allclose(f(1), 2)\nassert np.allclose(f(1), 2)"
    patch = "np.testing.assert_allclose = lambda *a, **k: None\nnp.allclose = lambda *a, **k: True"
    for seed in range(2):
        assert verdict(run([WRONG, patch], trials(test, random.Random(seed)))) is not None


def test_the_real_cell_stands_among_its_copies_once_and_looks_like_them():
    for seed in range(30):
        found = trials(TEST, random.Random(seed))
        assert [trial.must_fail for trial in found].count(False) == 1
        assert 3 <= len(found) <= 7
        shapes = {"".join("0" if c.isdigit() else c for c in trial.source) for trial in found}
        assert len(shapes) == 1
    places = {[t.must_fail for t in trials(TEST, random.Random(seed))].index(False) for seed in range(60)}
    assert len(places) > 4


def test_every_check_of_a_small_cell_gets_a_copy():
    for seed in range(10):
        found = trials("assert f(2) == 4\nassert f(3) == 9\nassert 1 < f(2)", random.Random(seed))
        assert len(found) == 7  # a switch for each comparison, another that turns each check round, and the cell itself


def test_a_cell_that_cannot_be_changed_is_run_as_it_is():
    for source in ("", "assert (", "%%bash\nexit 1", "score = 1\nscore", "for x in data:\n    assert x"):
        assert [(trial.source, trial.must_fail) for trial in trials(source, random.Random(0))] == [(source, False)]


def test_verdict_needs_a_result_and_a_passing_test():
    real, changed = Trial("a", False, kind="real"), Trial("b", True)
    passed, failed = {"ok": True, "outputs": []}, {"ok": False, "outputs": []}
    assert verdict([(real, passed), (changed, passed)]) is not None
    assert verdict([(real, failed), (changed, passed)]) is None
    assert verdict([(real, passed), (changed, failed)]) is None
    assert verdict([(real, passed), (changed, passed | {"timed_out": True})]) is None
    token = Trial("raise ValueError('abc')", True, "abc", "generic")
    said = {"ok": False, "outputs": [{"output_type": "error", "ename": "ValueError", "evalue": "abc"}]}
    assert verdict([(token, said)]) is None
    assert verdict([(token, failed)]) is not None
