"""What learners start from holds what they need, and nothing of the solution."""

import ast

import pytest

from tl_course import exercises
from tl_course.exercises.engine.exercise import Variant
from tl_course.exercises.engine.stub import is_untouched, marker, solution, stub

BANK = [(e, f) for e in exercises.all_exercises() for f in e.variants]
IDS = [f"{e.id}-{f}" for e, f in BANK]

FUNCTION = '''
import numpy as np

SCALE = 3


def helper(x):
    return x + 1


def answer(x: np.ndarray, *, scale: float = 2.0) -> np.ndarray:
    """Scale x.

    Returns:
        The secret times x.
    """
    # SECRET comment
    secret = scale * SCALE  # SECRET at the end

    # SECRET between

    def inner(y):
        return y * secret

    return inner(x)
'''
CLASS = '''
import torch


class Head(torch.nn.Module):
    """A head."""

    size = 3

    def __init__(self, width: int) -> None:
        """Build it."""
        super().__init__()
        self.secret = torch.nn.Linear(width, 1)

    @property
    def wide(self) -> int:
        return self.secret.in_features

    def forward(self, x):
        # SECRET
        return self.secret(x)
'''


def plain(reference: str, **options) -> Variant:
    return Variant(reference, lambda candidate, inputs: {}, {}, {}, **options)


def test_a_function_keeps_everything_but_its_body():
    text = stub(plain(FUNCTION))
    assert "secret =" not in text and "SECRET" not in text and "inner" not in text
    for kept in ("import numpy as np", "SCALE = 3", "def helper(x):\n    return x + 1", "The secret times x."):
        assert kept in text
    assert "def answer(x: np.ndarray, *, scale: float = 2.0) -> np.ndarray:" in text
    assert text.rstrip().endswith("    # YOUR CODE HERE\n    raise NotImplementedError()")


def test_a_body_that_begins_with_a_decorated_function_goes_whole():
    code = 'def answer(x):\n    """Why."""\n    @secret\n    def inner(y):\n        return y\n\n    return inner(x)\n'
    made = stub(Variant(reference=code, probe=lambda *_: {}, alternatives={}, mistakes={}))
    assert "secret" not in made and "inner" not in made
    compile(made, "stub", "exec")


def test_a_class_keeps_its_signatures():
    text = stub(plain(CLASS))
    assert "self.secret" not in text and "SECRET" not in text
    tree = ast.parse(text).body[-1]
    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] == ["__init__", "wide", "forward"]
    assert text.count("raise NotImplementedError()") == 3
    assert '"""Build it."""' in text and "size = 3" in text and "@property" in text


def test_a_starter_is_taken_as_it_is():
    variant = plain(FUNCTION, starter="\ndef answer(x):\n    return x\n")
    assert stub(variant) == "def answer(x):\n    return x\n"
    assert "BEGIN SOLUTION" not in solution(variant)


def test_the_solution_is_the_reference_between_markers():
    for source in (FUNCTION, CLASS):
        lines = solution(plain(source)).splitlines()
        without = [line for line in lines if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")]
        assert without == source.strip().splitlines()
        assert sum("### BEGIN SOLUTION" in line for line in lines) == sum("### END SOLUTION" in line for line in lines)


def test_nbgrader_makes_the_stub_from_the_solution():
    from nbformat.v4 import new_code_cell
    from nbgrader.preprocessors import ClearSolutions

    for source in (FUNCTION, CLASS):
        variant = plain(source)
        cell = new_code_cell(solution(variant).strip())
        ClearSolutions()._replace_solution_region(cell, "python")
        assert cell.source == stub(variant).strip()


@pytest.mark.parametrize(("exercise", "framework"), BANK, ids=IDS)
def test_stubs_of_the_bank(exercise, framework):
    variant = exercise.variant(framework)
    text = stub(variant)
    ast.parse(text)
    assert variant.entry in text and is_untouched(exercise, framework, text)
    assert not is_untouched(exercise, framework, variant.reference)
    assert f"# exercise: {exercise.id} ({framework})" == marker(exercise.id, framework)
    if variant.starter is None:
        assert "raise NotImplementedError()" in text
        entry = ast.parse(variant.reference).body[-1]
        functions = [entry] if isinstance(entry, ast.FunctionDef) else [n for n in entry.body if hasattr(n, "body")]
        for function in functions:
            for statement in function.body[1:]:
                assert ast.unparse(statement) not in text
        assert (ast.get_docstring(entry) or "") in ast.get_docstring(ast.parse(text).body[-1])


def test_untouched_whatever_its_comments():
    exercise = exercises.get("masked-mean")
    text = stub(exercise.variant("pytorch"))
    assert is_untouched(exercise, "pytorch", "# mine\n\n" + text.replace("# YOUR CODE HERE", "# hm"))
    assert not is_untouched(exercise, "pytorch", text.replace("raise NotImplementedError()", "return None"))
    for odd in ("", "def (", "x\0", "-" * 100_000 + "1", "\ud800"):
        assert not is_untouched(exercise, "pytorch", odd)
