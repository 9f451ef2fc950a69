"""An answer is found in a notebook's history, with what it needs from other cells and nothing more."""

import warnings

import pytest

from tl_course.exercises.engine.dependencies import find_answer

HEAD = "# exercise: one (pytorch)"
ANSWER = f"{HEAD}\ndef one(x):\n    return x + 1"


def found(*cells, entry="one"):
    return find_answer(cells, HEAD, entry)


def value(*cells, entry="one"):
    """What the answer, run by itself, makes of 1."""
    namespace = {}
    exec(found(*cells, entry=entry), namespace)
    return namespace["one"](1)


def test_an_answer_in_one_cell_is_taken_as_it_is():
    assert found("x = 1", ANSWER, "y = 2") == ANSWER


@pytest.mark.parametrize("cells", [(), ("",), ("x = 1",), ("# exercise: other (pytorch)\ndef one(x): return x",)])
def test_no_answer(cells):
    assert found(*cells) is None


def test_an_import_and_a_helper_of_other_cells():
    cells = [
        "import math as m\nK = 2",
        "def helper(x):\n    return m.floor(x * K)",
        f"{HEAD}\ndef one(x): return helper(x)",
    ]
    assert value(*cells) == 2


def test_what_is_not_needed_stays_out():
    slow = "features = extract('everything')\nmodel = train(features)\nprint('done')"
    answer = (
        f"{HEAD}\ndef one(x):\n    features = x\n    model = features + 1\n    for print in [1]: pass\n    return model"
    )
    assert found(slow, answer) == answer


def test_names_local_to_a_helper_stay_out():
    text = found(
        "total = compute()", "def helper(y):\n    total = y\n    return total", f"{HEAD}\ndef one(x): return helper(x)"
    )
    assert "compute" not in text


def test_the_last_definition_counts():
    helper = "def helper(x): return {}"
    cell = f"{HEAD}\ndef one(x): return helper(x)"
    assert value(helper.format(1), helper.format(2), cell) == 2
    assert value(helper.format(1), cell, helper.format(3)) == 3  # as in the notebook: the name means the last one


def test_a_helper_run_after_the_answer_is_found():
    assert value(f"{HEAD}\ndef one(x): return helper(x)", "def helper(x): return 5") == 5


def test_the_answer_run_twice():
    assert value(ANSWER, ANSWER.replace("+ 1", "+ 9")) == 10


def test_values_built_in_steps():
    cell = f"{HEAD}\ndef one(x): return scale"
    assert value("scale = 1", "scale = scale + 1", "scale += 5", cell) == 7
    assert value("a = b = 2", "(c, d), *e = (a, b), 3", "scale = c + d + e[0]", cell) == 7


def test_imports_in_blocks_and_stars():
    cell = f"{HEAD}\ndef one(x): return floor(x)"
    assert value("try:\n    from math import floor\nexcept ImportError:\n    floor = None", cell) == 1
    assert value("from os.path import *", "from math import *", cell) == 1


def test_decorators_defaults_bases_and_annotations_are_needed():
    cells = [
        "import functools\nD = 4",
        "class Base: pass",
        f"{HEAD}\nclass Used(Base): pass\n@functools.cache\ndef one(x: Base, y=D): return y",
    ]
    assert value(*cells) == 4


def test_methods_and_recursion():
    assert value("class Helper:\n    def go(self, n): return n if n > 5 else Helper().go(n + 1)",
                 f"{HEAD}\ndef one(x): return Helper().go(x)") == 6  # fmt: skip


def test_without_its_marker_the_last_definition_of_the_name_counts():
    assert value("def one(x): return 1", "def one(x): return 2") == 2
    assert find_answer(["def one(x): return 1"], HEAD, "") is None


def test_a_marked_cell_goes_before_an_unmarked_one():
    assert value(ANSWER, "def one(x): return 99") == 2


def test_two_frameworks_with_the_same_name():
    torch = "# exercise: one (pytorch)\nimport json\ndef one(x): return json.loads('1')"
    keras = "# exercise: one (keras)\nimport math\ndef one(x): return math.floor(2.5)"
    assert find_answer([torch, keras], "# exercise: one (pytorch)", "") == torch
    assert find_answer([torch, keras], "# exercise: one (keras)", "") == keras


def test_a_marker_inside_other_text_is_none():
    assert found(f"print('{HEAD}')", entry="") is None


@pytest.fixture
def transform():
    return pytest.importorskip("IPython.core.inputtransformer2").TransformerManager().transform_cell


def test_magic_commands_are_left_out(transform):
    cell = transform(
        f"%matplotlib inline\n{HEAD}\n!ls\nimport math\nfiles = !ls\ndef one(x):\n    return math.floor(x)"
    )
    text = found(cell)
    assert "get_ipython" not in text and value(cell) == 1
    assert text.splitlines().index("def one(x):") == cell.splitlines().index("def one(x):")


def test_a_timed_cell_is_an_answer_like_any_other(transform):
    assert value("import math", transform(f"%%time\n{HEAD}\ndef one(x):\n    return math.floor(x) + 6")) == 7


def test_cells_that_do_not_parse_are_passed_over(transform):
    assert value("def broken(", "x = '\\", "a\0b", "-" * 100_000 + "1", "return 3", "await something()", ANSWER) == 2


def test_an_answer_that_does_not_parse_is_still_the_answer():
    assert found("import math", f"{HEAD}\ndef one(x:") == f"{HEAD}\ndef one(x:"


def test_warnings_were_given_already():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found("x = '\\d'", f"{HEAD}\ndef one(x): return x, '\\d'")
    assert not seen
