"""Which calls compare an answer with what is expected, and how far apart the two may be."""

import ast
from dataclasses import dataclass

from tl_course.grading.certain_code import base, last
from tl_course.grading.changed_literals import Slack

MODULES = {"np", "numpy", "torch", "math", "jnp"}
_CLOSE = {"allclose", "isclose", "array_equal", "array_equiv"}
_TESTING = {"assert_allclose", "assert_array_equal", "assert_almost_equal", "assert_array_almost_equal", "assert_equal"}
_TESTING |= {"assert_close", "assert_frame_equal", "assert_series_equal"}
_BARE = {"assert_allclose", "assert_array_equal", "assert_array_almost_equal"}  # names that are NumPy's alone
_UNITTEST = {"assertEqual", "assertAlmostEqual", "assertListEqual", "assertDictEqual", "assertTupleEqual"}
_EXACT = {"assert_equal", "assert_array_equal", "array_equal", "equal"} | _UNITTEST - {"assertAlmostEqual"}
_DIGITS = {"assertAlmostEqual", "assert_almost_equal", "assert_array_almost_equal"}
_SLACK = {"rtol", "atol", "rel_tol", "abs_tol", "delta"}
_FURTHER = _SLACK | {"err_msg", "msg", "verbose", "equal_nan", "decimal", "places"}
_BROADCAST = {"allclose", "isclose", "array_equiv"}


@dataclass(frozen=True)
class Comparison:
    """A call whose first two arguments have to match.

    Args:
        slack: the tolerances that it is given, as they are written.
        allows: how far apart numbers may be; None where that stands in no literal.
        exact: whether the two must be equal.
        stretches: whether something empty, or of another shape, can match.
        unittest: whether it is a method of a `unittest.TestCase`.
    """

    slack: list[ast.expr]
    allows: Slack | None
    exact: bool
    stretches: bool
    unittest: bool


def is_function(call: ast.Call) -> bool:
    """Whether a call gives the truth of a comparison: ``np.allclose`` and its like."""
    name, module = last(call.func), base(call.func)
    return module in MODULES and (name in _CLOSE or (name == "equal" and module == "torch"))


def is_statement(call: ast.Call) -> bool:
    """Whether a call raises unless its arguments match: ``np.testing.assert_allclose`` and its like."""
    name, module = last(call.func), base(call.func)
    if name in _UNITTEST or (not module and name in _BARE):
        return True
    return name in _TESTING and ("testing" in module or module == "npt")


def comparison(call: ast.Call) -> Comparison | None:
    """How a call compares its first two arguments; None where that is not certain."""
    name = last(call.func)
    words = {word.arg or "**": word.value for word in call.keywords}
    if len(call.args) < 2 or set(words) - _FURTHER or any(isinstance(value, ast.Starred) for value in call.args):
        return None
    digits = [words[word] for word in ("decimal", "places") if word in words]
    slack = [value for word, value in words.items() if word in _SLACK]
    if name in _DIGITS:
        digits += call.args[2:]
    elif name not in _EXACT:
        slack += call.args[2:]
    counts = [value.value if isinstance(value, ast.Constant) else None for value in digits]
    if not all(_harmless(value) for value in slack) or not all(isinstance(n, int) and n >= 1 for n in counts):
        return None
    allowed = [number_of(value) for value in slack] + [1.5 * 0.1**n for n in counts if isinstance(n, int)]
    stretches = name in _BROADCAST and base(call.func) != "math"
    return Comparison(slack, widened(allowed), name in _EXACT, stretches, name in _UNITTEST)


def widened(allowed: list[float | None]) -> Slack | None:
    """A tolerance at least as wide as each of those given; None where one is unknown."""
    found = Slack()
    for number in allowed:
        if number is None:
            return None
        found = found.widened(number)
    return found


def number_of(value: ast.expr) -> float | None:
    """The number that an expression is, where it is a literal."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return float(found) if isinstance(found, (int, float)) and 0 <= found < 1e300 else None


def inside_approx(side: ast.expr) -> tuple[ast.expr, Slack] | None:
    """What ``pytest.approx`` is given, and what it allows."""
    if not isinstance(side, ast.Call) or last(side.func) != "approx" or not side.args:
        return None
    words = {word.arg or "**": word.value for word in side.keywords}
    known = {word: number_of(value) for word, value in words.items() if word in ("rel", "abs")}
    slack = widened([*known.values(), *(number_of(value) for value in side.args[1:])])
    return (side.args[0], slack) if slack is not None and not set(words) - {"rel", "abs", "nan_ok"} else None


def is_approx(side: ast.expr) -> bool:
    """Whether an expression is a call of ``pytest.approx``."""
    return isinstance(side, ast.Call) and last(side.func) == "approx"


def inside_array(side: ast.expr) -> ast.expr:
    """What an array is made of that has the type that its numbers call for; any other expression as it is."""
    if isinstance(side, ast.Call) and last(side.func) in ("array", "asarray", "tensor") and base(side.func) in MODULES:
        return side.args[0] if len(side.args) == 1 and not side.keywords else side
    return side


def _harmless(value: ast.expr) -> bool:
    """Whether evaluating an expression a second time changes nothing."""
    kinds = (ast.Constant, ast.Name, ast.Attribute, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)
    return all(isinstance(node, kinds) for node in ast.walk(value))
