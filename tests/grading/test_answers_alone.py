"""An answer runs by itself with what changes the objects that it needs, and without what only talks to the course."""

from typing import Any

import pytest

from tl_course.grading.dependencies import alone, without_talk
from tl_course.grading.imports import noticed

ANSWER = "def one(x):\n    return {}"
DEEP = "f" + ".a" * 2500 + "()"


def value(others, answer, changes=True):
    """What the answer, run by itself, makes of 1."""
    namespace: dict[str, Any] = {"__name__": "answer"}
    exec(alone(others, answer, changes), namespace)
    return namespace["one"](1)


@pytest.mark.parametrize(
    ("others", "needs"),
    [
        (["T = {}", "T['a'] = 5"], "T['a']"),
        (["class T:\n    a = 0", "T.a = 5"], "T.a"),
        (["T = [1, 5, 2]", "T.sort()"], "T[-1]"),
        (["T = [0, 5]\ndel T[0]"], "T[0]"),
        (["T = [0]\nfor k in range(6):\n    T[0] = k"], "T[0]"),
        (["T = {}", "def put(f):\n    T['a'] = f\n    return f", "@put\ndef five():\n    return 5"], "T['a']()"),
        (["T = {}", "def put(f):\n    T.update(a=f)", "def five():\n    return 5", "put(five)"], "T['a']()"),
        (
            ["import functools as t", "@t.singledispatch\ndef T(x): ...", "@T.register\ndef _(x: int):\n    return 5"],
            "T(x)",
        ),
        (["class R:\n    def __call__(self, f):\n        self.f = f", "T = R()", "@T\ndef five(): return 5"], "T.f()"),
        (["T = {}", "def T_of():\n    return T['a']", "T['a'] = 5"], "T_of()"),
        (["T = {}; S = {}", "S['b'] = 5", "T['a'] = S"], "T['a']['b']"),
        (["T = None", "def set_up():\n    global T\n    T = 5", "set_up()"], "T"),
        (["T = None", "def set_up():\n    global T\n    T = 5\n    return 1", "done = set_up()"], "T"),
        (["class T: ...", "setattr(T, 'a', 5)"], "T.a"),
        (["T = [6]", "import heapq", "heapq.heappush(T, 5)"], "T[0]"),
        (["T = [6]", "import heapq\ndef add():\n    heapq.heappush(T, 5)", "add()"], "T[0]"),
        (["T = []", "_ = T.append(5)"], "T[0]"),
        (["T = {}", "[T.update(a=k) for k in range(6)]"], "T['a']"),
        (
            ["def on(C):\n    return lambda f: setattr(C, 'f', f)", "class T: ...", "@on(T)\ndef f(self): return 5"],
            "T().f()",
        ),
    ],
)
def test_what_changes_an_object_is_part_of_it(others, needs):
    answer = ANSWER.format(needs)
    assert value(others, answer) == 5
    assert "if True:" not in alone(others, answer)  # at first without what may take long


@pytest.mark.parametrize(
    "other",
    ["N['y'] = slow()", "import math\nmath.floor = None", "T = {}\nT['x'] = one", "one.cache = {}", "print(T)", "f(N)"],
)
def test_what_changes_nothing_that_is_needed_stays_out(other):
    others = ["N = {}\nimport math\nT = {}", other]
    answer = ANSWER.format("math.floor(x)")
    assert alone(others, answer, changes=True) == alone(others, answer) == f"import math\n{answer}"


def test_what_is_changed_by_the_answer_s_own_names_is_left_to_the_notebook():
    others = ["T = {'a': 5}", "T['b'] = one(2)"]
    assert value(others, ANSWER.format("T['a']")) == 5


@pytest.mark.parametrize(
    "talk",
    [
        'check("one")',
        'tl_course.check("one")',
        'verdict = check("one")',
        'hint(\n    "one",  # please\n)',
        "(quiz())",
        "compare('é', 'ü')",
    ],
)
def test_what_only_talks_to_the_course_is_left_out(talk):
    source = f"a = 'é'; {talk}; b = 2\n{ANSWER.format('a, b')}\n{talk}"
    text = alone(["from tl_course import check, compare, hint, quiz", "import tl_course"], source)
    assert "tl_course" not in text and "check" not in text
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    assert namespace["one"](1) == ("é", 2)
    lines = text.splitlines()
    assert lines.index("def one(x):") == source.splitlines().index("def one(x):")


def test_a_function_of_the_learner_s_own_with_such_a_name_is_called():
    source = f"T = []\ndef check(x):\n    T.append(x)\ncheck(5)\n{ANSWER.format('T[0]')}"
    assert value([], source) == 5 and without_talk(source) == source
    assert without_talk("check(5)", ["def check(x): ..."]) == "check(5)"
    assert without_talk("def (") == "def ("


@pytest.mark.parametrize("changes", [False, True])
def test_future_imports_stay_first(changes):
    answer = "from __future__ import annotations\n\n" + ANSWER.replace("(x)", "(x: Unknown)").format("math.floor(x)")
    assert value(["import math"], answer, changes) == 1
    assert alone([], answer, changes) == answer


def test_in_a_timed_cell_too():
    answer = f"from __future__ import annotations\n{ANSWER.format('math.pi')}\ncheck('one')"
    timed = f"get_ipython().run_cell_magic('time', '', {answer!r})\n"
    text = alone(["import math"], timed)
    assert "check" not in text and text.startswith("from __future__") and value(["import math"], timed) > 3


@pytest.mark.parametrize("changes", [False, True])
def test_what_is_nested_too_deeply_is_left_to_the_notebook(changes):
    answer = ANSWER.format("x")
    assert alone([DEEP], answer, changes) == answer
    assert alone(["f = 1"], f"{answer}\n{DEEP}", changes) == f"{answer}\n{DEEP}"
    long = f"T = {' + '.join(['[1]'] * 2500)}"
    assert alone([long], ANSWER.format("T"), changes).endswith(ANSWER.format("T"))


@pytest.mark.parametrize("operator", [" + ", " / "])
def test_of_what_is_nested_too_deeply_the_text_is_searched(operator):
    chain = operator.join(['"a"'] * 2500)
    assert noticed(f"T = {chain}\nimport tl_course.exercises") == [
        "it is nested too deeply to be read",
        "line 2: names tl_course.exercises in a string",
    ]


def test_a_number_too_long_to_be_written_down_is_in_nobody_s_way():
    others = ["T = {}", f"n = 0x{'f' * 6000}\nT['a'] = 5"]
    assert value(others, ANSWER.format("T['a']")) == 5


def test_each_import_of_a_part_of_a_package_is_needed():
    others = ["import xml.dom.minidom", "import xml.etree.ElementTree as E", "import xml.sax"]
    found = alone(others, ANSWER.format("xml.dom.minidom"), changes=True)
    assert "import xml.dom.minidom" in found and "import xml.sax" in found and "E" not in found
