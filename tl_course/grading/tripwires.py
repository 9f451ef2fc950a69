"""Cells that must fail: they show whether the interpreter that ran a teacher's test cell can be believed.

A learner's code runs in the same interpreter as the tests and can make them pass: by an ``__eq__`` that is always true,
a changed ``np.allclose``, a changed IPython. So copies of the test that a right answer fails are run beside it, in
random order. Whoever makes every test pass makes these pass too. Nothing here runs learner code.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tl_course.grading.perturbed import perturbed
from tl_course.i18n import _

_GENERIC_FAILING = 3
_GENERIC_PASSING = 2
_OFF = "tripwires: off"


@dataclass(frozen=True)
class Trial:
    """A cell to run, and what is known of its outcome beforehand.

    Args:
        source: the cell's text: all that the process which runs it may be told.
        must_fail: whether no right answer passes it.
        token: text that has to come back in the message of its error.
        kind: the test cell itself, a changed copy of it, or a cell that has nothing to do with it.
    """

    source: str
    must_fail: bool
    token: str = ""
    kind: Literal["real", "variant", "generic"] = "variant"


def trials(source: str, rng: random.Random) -> list[Trial]:
    """The test cell, once, among copies in each of which one check is turned into one that a right answer fails.

    A cell with a comment ``# tripwires: off`` has no copies: for answers that are meant to equal everything.
    """
    if any(line.lstrip().startswith("#") and _OFF in line for line in source.splitlines()):
        return [Trial(source, False, kind="real")]
    real, copies = perturbed(source, rng)
    found = [*(Trial(copy, True) for copy in copies), Trial(real, False, kind="real")]
    rng.shuffle(found)
    return found


def generic(rng: random.Random) -> list[Trial]:
    """Small cells that must fail, among others like them that pass."""
    failing = [
        Trial(_small(kind, False, rng), True, kind="generic") for kind in rng.sample(list(_SMALL), _GENERIC_FAILING)
    ]
    passing = [
        Trial(_small(kind, True, rng), False, kind="generic") for kind in rng.sample(list(_SMALL), _GENERIC_PASSING)
    ]
    token = _word(rng)
    error = rng.choice(("ValueError", "RuntimeError", "KeyError", "AssertionError"))
    found = [*failing, *passing, Trial(f"raise {error}({token!r})", True, token, "generic")]
    rng.shuffle(found)
    return found


def verdict(results: Sequence[tuple[Trial, Any]]) -> str | None:
    """What the results show to be wrong with the interpreter they come from, in a sentence; None if nothing does.

    Each result has ``ok`` and ``outputs``, as keys or as attributes, and may have ``timed_out``: nothing is concluded
    from a trial without a result, nor from copies of a test which the answer fails anyway.
    """
    told = [(trial, result) for trial, result in results if not _get(result, "timed_out", False)]
    real = [bool(_get(result, "ok")) for trial, result in told if trial.kind == "real"]
    for trial, result in told:
        if trial.kind == "variant" and real != [True]:
            continue
        if trial.must_fail and _get(result, "ok"):
            return _("a test that cannot pass was reported as passed")
        if trial.token and not any(trial.token in str(message) for message in _messages(result)):
            return _("an error was raised, and another one was reported")
    return None


_SMALL = {
    "number": "assert {a} == {b}",
    "text": "assert 'x{a}' == 'x{b}'",
    "list": "assert [{a}, {c}] == [{b}, {c}]",
    "dict": "assert {{'n': {a}}} == {{'n': {b}}}",
    "order": "assert abs({a} - {b}) < 0.5",
    "member": "assert {a} in ({b}, -1)",
    "truth": "assert {a} - {b} == 0, 'not equal'",
    "type": "assert isinstance({a}, __import__('builtins').{kind})",
    "isclose": "assert __import__('math').isclose({a}, {b})",
    "numpy allclose": ("numpy", "m.allclose([{a}, {c}], [{b}, {c}])"),
    "numpy array_equal": ("numpy", "m.array_equal([{a}, {c}], [{b}, {c}])"),
    "numpy assert_allclose": ("numpy", "m.testing.assert_allclose([{a}, {c}], [{b}, {c}]) is None"),
    "numpy assert_array_equal": ("numpy", "m.testing.assert_array_equal([{a}, {c}], [{b}, {c}]) is None"),
    "torch equal": ("torch", "m.equal(m.tensor([{a}, {c}]), m.tensor([{b}, {c}]))"),
    "torch allclose": ("torch", "m.allclose(m.tensor([{a}.0]), m.tensor([{b}.0]))"),
}


def _small(kind: str, passes: bool, rng: random.Random) -> str:
    first, other, third = rng.sample(range(1000, 100_000), 3)
    form = _SMALL[kind]
    if isinstance(form, tuple):  # without its package, what must fail fails and what must pass passes
        missing = "m is None or" if passes else "m is not None and"
        form = f"assert (lambda m: {missing} {form[1]})(__import__('sys').modules.get({form[0]!r}))"
    return form.format(a=first, b=first if passes else other, c=third, kind="int" if passes else "str")


def _word(rng: random.Random) -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=16))


def _messages(result: Any) -> list[Any]:
    outputs = _get(result, "outputs") or []
    return [output.get("evalue", "") for output in outputs if output.get("output_type") == "error"]


def _get(result: Any, name: str, default: Any = None) -> Any:
    return result.get(name, default) if isinstance(result, Mapping) else getattr(result, name, default)
