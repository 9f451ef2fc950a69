"""A tampered interpreter is found out, and a right answer never stands accused."""

import ast
import json
import random
import re
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

    def send(cells, tried, mode="together"):
        job = {"cells": cells, "trials": [trial.source for trial in tried], "mode": mode}
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
    "tables": (
        "def f(x): return x + 1\nbook = {}\ndef put(k, v): book[k] = v\ndef get(k): return book[k]",
        "for x, want in [(1, 2), (5, 6)]:\n    assert f(x) == want\nfor x, y in {3: 4, -1: 0}.items():\n"
        "    assert f(x) == y\nxs, cases = [1], {'a': 5, 'b': 'text'}\nfor a, b in zip([1, 2], [2, 3]):\n"
        "    assert f(a) == b\nrows = [('a', 5), ('b', 7)]\nfor k, v in rows:\n    put(k, v)\n"
        "for k, v in rows:\n    assert get(k) == v\nexpected = [2, 3]\nassert [f(1), f(2)] == expected\n"
        "both = 7\nput('c', both)\nassert get('c') == both\n"
        "def check(given, right):\n    assert f(given) == right\ncheck(1, 2)\ncheck(3, right=4)",
    ),
    "close literals": (
        "import numpy as np\nclass Near(float):\n    def __eq__(self, other): return abs(float(self) - other) < 0.04\n"
        "class Bag:\n    def __init__(self, *x): self.x = sorted(x)\n"
        "    def __eq__(self, other): return self.x == sorted(other)",
        "assert Near(0.5) == 0.51\nassert Bag(2, 1, 4) == [1, 4, 2]\n"
        "assert np.allclose([0.5, 1], [0.7, 0.8], atol=0.3)\n"
        "np.testing.assert_allclose([100.0, 3], [103.0, 3], rtol=0.05)\nassert abs(np.pi - 3) < 0.2\n"
        "assert Near(1e-3) == 2e-3\nnp.testing.assert_allclose(5.0, 5.4, atol=0.5)\n"
        "assert np.array_equal(np.array([True, False]), [1, 0])\nassert {1, 2, 3} == set([3, 2, 1]) and {-1} == {-1}",
    ),
    "modulus": (
        "class Mod:\n    def __init__(self, n): self.n = n % 5\n"
        "    def __eq__(self, other): return self.n == other % 5",
        "assert Mod(7) == 2",
    ),
    "bag": (
        "class Bag:\n    def __init__(self, *x): self.x = sorted(x)\n"
        "    def __eq__(self, other): return self.x == sorted(other)",
        "assert Bag(2, 1) == [1, 2]",
    ),
    "nothing compared": (
        "import numpy as np\ndef f(): return np.zeros(0)",
        "import numpy as np\nassert np.allclose(f(), 3)\nassert np.allclose(f(), [4.5])",
    ),
    "partial credit": ("def f(x): return x", "score = 0\nif f(1) == 1:\n    score += 1\nscore"),
}


FAST = ("numbers", "loop", "function", "reference", "strings", "containers", "exceptions", "tolerance", "approx")
FAST += ("classes", "tolerant class", "if and raise", "mock", "tables", "close literals", "numpy oddities")
FAST += ("modulus", "bag", "nothing compared")


@pytest.mark.parametrize("name", HONEST)
def test_a_right_answer_passes_and_is_not_accused(run, name):
    answer, test = HONEST[name]
    mode = "apart" if name == "state" else "here"
    for seed in range(1 if name in FAST else SEEDS):
        rng = random.Random(seed)
        tried = [*trials(test, rng), *(generic(rng) if seed == 0 else [])]
        results = run([answer], tried, mode)
        assert verdict(results) is None, [trial.source for trial, ran in results if trial.must_fail and ran["ok"]]
        assert all(ran["ok"] for trial, ran in results if not trial.must_fail), (seed, results)


@pytest.mark.parametrize("name", FAST)
def test_no_seed_makes_a_copy_that_a_right_answer_passes(name):
    answer, test = HONEST[name]
    names = {}
    exec(answer, names)
    for seed in range(50):
        for trial in trials(test, random.Random(seed)):
            assert passes(trial.source, names) != trial.must_fail, (seed, trial.source)


def passes(source, names):
    """Whether a cell runs without an error, outside of IPython."""
    try:
        exec(source, dict(names))
    except BaseException:  # pytest's own among them
        return False
    return True


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
        "old = t._encode\n"
        't._encode = lambda x: \'{"ok": true, "outputs": [], "error": null}\' if "ok" in x else old(x)'
    ),
    "outcome class": (
        "import tl_course.grading.cells as c\n"
        "old = c.CellRunner.run\nc.CellRunner.run = lambda self, source, **k: c.Ran(True, [], None)"
    ),
    "fork": (
        "import tl_course.grading.trial_process as t\n"
        "one = {'ok': True, 'outputs': [], 'error': None, 'timed_out': False}\n"
        "t.Copy.run = lambda self, sources, *more, **others: [one for _ in sources]"
    ),
}


@pytest.mark.parametrize("name", EXPOSED)
def test_tampering_is_found_out(run, name):
    for seed in range(SEEDS):
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


NEXT_CONSTANT = """
import dis, sys
def f(x):
    caller = sys._getframe(1)
    for step in dis.get_instructions(caller.f_code):
        if step.offset > caller.f_lasti and step.opname == "LOAD_CONST":
            return step.argval
        if step.offset > caller.f_lasti and step.opname in ("LOAD_NAME", "LOAD_FAST"):
            return (caller.f_globals | caller.f_locals)[step.argval]
"""
EQUALS_CONSTANTS = """
import sys
class Chameleon(int):
    def __eq__(self, other):
        frame = sys._getframe(1)
        return other in [*frame.f_code.co_consts, *frame.f_locals.values()]
def f(x):
    return Chameleon(0)
"""
LOOKED_AT = (
    "assert f(1) == 42\nassert f(2) == 'abc'\nassert f(3) == 2.5",
    "assert f(1) == 42",
    "assert f(1) == -3\nassert f(2) == (1, 2)\nassert callable(f)",
    "for x, want in [(1, 2), (3, 4)]:\n    assert f(x) == want",
    "def check(x, want):\n    assert f(x) == want\ncheck(3, 'text')",
    "want = 250\nassert f(1) == want",
)


@pytest.mark.parametrize("answer", [NEXT_CONSTANT, EQUALS_CONSTANTS], ids=["next_constant", "equals_constants"])
def test_an_answer_taken_from_the_test_passes_its_copies_too(answer):
    names = {}
    exec(answer, names)
    worked = 0
    for test in LOOKED_AT:
        for seed in range(20):
            tried = trials(test, random.Random(seed))
            results = [(trial, {"ok": passes(trial.source, names), "outputs": []}) for trial in tried]
            worked += (real := next(ran["ok"] for trial, ran in results if trial.kind == "real"))
            assert not real or verdict(results) is not None, tried
    assert worked >= 80, "the attack does not work at all"


@pytest.mark.parametrize("answer", [NEXT_CONSTANT, EQUALS_CONSTANTS], ids=["next_constant", "equals_constants"])
def test_an_answer_taken_from_the_test_is_found_out_in_a_notebook(run, answer):
    tried = trials(LOOKED_AT[0], random.Random(0))
    results = run([answer], tried)
    assert next(ran["ok"] for trial, ran in results if trial.kind == "real"), "the attack does not work at all"
    assert verdict(results) is not None


NO_LITERAL = "assert f(2) == g(2)\nassert f(3) in known\nassert f(1) < f(2)"


def test_the_real_cell_stands_among_its_copies_once_and_looks_like_them():
    for test in (TEST, NO_LITERAL):
        for seed in range(30):
            found = trials(test, random.Random(seed))
            assert [trial.must_fail for trial in found].count(False) == 1
            assert len(found) == (8 if test == TEST else 5)
            shapes = {"".join("0" if c.isdigit() else c for c in trial.source) for trial in found}
            assert len(shapes) == 1
        places = {[t.must_fail for t in trials(test, random.Random(seed))].index(False) for seed in range(60)}
        assert len(places) > 3


def test_all_texts_together_do_not_tell_which_literals_are_right():
    for seed in range(30):
        lines = [trial.source.splitlines() for trial in trials(TEST, random.Random(seed))]
        seen = [sorted(column.count(text) for text in set(column)) for column in zip(*lines, strict=True)]
        assert all(counts in ([8], [4, 4]) for counts in seen)  # no literal stands in most of them but not in all


def test_literals_are_changed_without_a_helper_and_other_checks_with_one():
    for seed in range(20):
        assert not any("exec" in trial.source or "_" in trial.source for trial in trials(TEST, random.Random(seed)))
        mixed = trials("assert f(2) == 4\nassert f(3) == 9\nassert f(1) == g(1)", random.Random(seed))
        assert len(mixed) == 5
        assert all("exec" in trial.source for trial in mixed)
    assert {len(trials(NO_LITERAL, random.Random(seed))) for seed in range(5)} == {5}


KEPT = ("7", "0", "42", "-300", "123456", "3.25", "0.5", "120.0", "2e+20", "'Ann 42!'", "b'ab'", "True", "[1.5, 'x']")


@pytest.mark.parametrize("literal", [*KEPT, "{'k': 12}", "{3, 4}", "(None, 4)", "-1"])
def test_a_changed_literal_is_of_the_same_kind_and_size(literal):
    found = set()
    for seed in range(30):
        sources = [trial.source for trial in trials(f"assert f() == {literal}", random.Random(seed))]
        values = [ast.parse(source).body[0].test.comparators[0] for source in sources]
        found |= {ast.unparse(value) for value in values}
        assert "{" not in literal or len({len(ast.literal_eval(value)) for value in values}) == 1
        real = next(t.source for t in trials(f"assert f() == {literal}", random.Random(seed)) if t.kind == "real")
        assert ast.literal_eval(real.partition("== ")[2]) == ast.literal_eval(literal)
        assert len(set(sources)) == len(sources) > 1
    assert {type(ast.literal_eval(text)) for text in found} == {type(ast.literal_eval(literal))}
    assert "-0" not in found
    if "True" not in literal and "None" not in literal:
        assert {len(text) for text in found} <= {len(repr(ast.literal_eval(literal)))}


def test_numbers_differ_by_far_more_than_what_is_allowed():
    for seed in range(40):
        for allowed, right in ((0.5, 12.0), (0.05, 1.25), (1e-9, 0.001)):
            test = f"assert abs(f() - {right}) < {allowed}\nassert math.isclose(f(), {right}, abs_tol={allowed})"
            for trial in trials(test, random.Random(seed)):
                numbers = re.findall(r"f\(\)(?: -|,) ([^,)]*)", trial.source)
                assert all(float(n) == right or abs(float(n) - right) > 4 * allowed for n in numbers)
                assert trial.must_fail == any(float(n) != right for n in numbers)
    wide = trials("assert abs(f() - 3.0) < 100", random.Random(0))
    assert all("f() - 3.0)" in trial.source for trial in wide)


def test_few_small_cells_are_run_beside_a_test():
    for seed in range(10):
        found = generic(random.Random(seed))
        assert len(found) == 6
        assert [trial.must_fail for trial in found].count(True) == 4
        assert [bool(trial.token) for trial in found].count(True) == 1


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
