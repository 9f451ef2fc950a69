"""Affine quantisation to 8-bit integers: scale, zero point, rounding, clipping (Jacob et al., 2018)."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def quantize_int8(x: np.ndarray, low: float, high: float) -> tuple[np.ndarray, float, int]:
    """Quantise numbers to 8-bit integers q, so that x is about scale * (q - zero_point) (Jacob et al., 2018).

    Args:
        x: numbers of any shape, float.
        low: lower end of the range to represent, at most `high`. Where 0 lies outside the range, it is extended to 0.
        high: upper end of the range.

    Returns:
        q: the nearest of the 256 levels for each x, int8, of the shape of x; what lies outside goes to the end.
        scale: width of a step: the range divided by 255; 1.0 where the range is nothing but 0.
        zero_point: the level that stands for 0.0, an integer; the level nearest to where `low` becomes -128.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    zero_point = int(np.round(-128 - low / scale))
    q = np.round(x / scale) + zero_point
    return np.clip(q, -128, 127).astype(np.int8), scale, zero_point
'''

LEVELS = """
import numpy as np


def quantize_int8(x, low, high):
    low = np.minimum(0, low)
    width = np.maximum(0, high) - low
    scale = float(width / 255) if width > 0 else 1.0
    zero_point = -128 + round(-float(low) / scale)
    levels = scale * (np.arange(-128, 128) - zero_point)  # the 256 numbers that can be told apart
    nearest = np.abs(np.asarray(x)[..., None] - levels).argmin(axis=-1)
    return (nearest - 128).astype(np.int8), scale, zero_point
"""

UNSIGNED = """
import math

import numpy as np


def quantize_int8(x, low, high):
    # quantise to 0..255 first, then shift by 128
    if low > 0:
        low = 0.0
    if high < 0:
        high = 0.0
    scale = 1.0 if low == high else (high - low) / 255.0
    zero = math.floor(0.5 - low / scale)
    x = np.minimum(np.maximum(x, -zero * scale), (255 - zero) * scale)
    q = np.floor(x / scale + zero + 0.5).astype(np.int64)
    return np.array(q - 128, dtype="int8"), scale, zero - 128
"""

RANGE = "low, high = min(low, 0.0), max(high, 0.0)"
SCALE, ZERO = "(high - low) / 255 or 1.0", "int(np.round(-128 - low / scale))"
ROUND, CLIP = "np.round(x / scale) + zero_point", "np.clip(q, -128, 127).astype(np.int8)"
MESSAGES = {
    "truncates": _("fractions are cut off instead of rounded: the error is up to a whole step, always towards zero"),
    "wraps": _("values outside the range wrap around: the largest activation comes back as a very negative one"),
    "zero-outside": _("a range that does not contain 0 gets a zero point outside the 256 levels"),
    "symmetric": _("a symmetric scale around 0 wastes levels where the range is lopsided"),
    "256-steps": _("256 levels have 255 steps between them"),
    "unsigned": _("levels run from 0 to 255; that is uint8, and int8 holds -128 to 127"),
    "fraction": _("the zero point is not a whole number, so 0.0 lies between two levels: padding would add a bias"),
    "own-range": _("the range is taken from the numbers at hand; in use it is fixed beforehand"),
    "sign": _("the zero point has the wrong sign: the lower end does not become -128"),
    "zero-range": _("a range of nothing but 0 is divided by"),
    "shifted-first": _("the zero point is taken away where it must be added"),
}
EDITS = {
    "truncates": ((ROUND, "np.trunc(x / scale) + zero_point"),),
    "wraps": ((CLIP, "q.astype(np.int64).astype(np.int8)"),),
    "zero-outside": ((RANGE, "pass"),),
    "symmetric": ((SCALE, "max(-low, high) / 127 or 1.0"), (ZERO, "0")),
    "256-steps": (("/ 255 or", "/ 256 or"),),
    "unsigned": (
        (ZERO, "int(np.round(-low / scale))"),
        (CLIP, "np.clip(q, 0, 255).astype(np.uint8)"),
    ),
    "fraction": ((ZERO, "-128 - low / scale"), (ROUND, "np.round(x / scale + zero_point)")),
    "own-range": ((RANGE, "low, high = min(x.min(), 0.0), max(x.max(), 0.0)"),),
    "sign": ((ZERO, "int(np.round(-128 + low / scale))"),),
    "zero-range": ((" or 1.0", ""),),
    "shifted-first": ((ROUND, "np.round(x / scale) - zero_point"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Ranges around 0, above it and below it, with numbers outside them; and nothing but 0."""

    def drawn(low: float, high: float, criteria: tuple[str, ...], name: str) -> Case:
        step = (max(high, 0) - min(low, 0)) / 255
        levels = rng.integers(int(min(low, 0) / step) + 1, int(max(high, 0) / step), size=29)
        inner = (levels + rng.uniform(-0.45, 0.45, size=29)) * step  # nothing halfway between two levels
        outside = [low - rng.uniform(0.5, 3), high + rng.uniform(0.5, 3), 0.0]
        x = rng.permutation(np.concatenate([inner, outside])).reshape(4, 8)
        return Case(name, {"x": x.astype(np.float32), "low": low, "high": high}, criteria)

    around = (float(-rng.uniform(0.3, 0.9)), float(rng.uniform(1.6, 2.9)))
    nothing = {"x": rng.choice([-0.2, 0.0, 0.3], size=(3, 5)), "low": 0.0, "high": 0.0}
    return [
        drawn(*around, ("scale", "levels", "type"), "around zero"),
        drawn(float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.6, 0.9)), ("zero",), "above zero"),
        drawn(float(-rng.uniform(0.6, 0.9)), float(-rng.uniform(0.2, 0.4)), ("zero",), "below zero"),
        Case("nothing but zero", nothing, ("nothing",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, float, int]:
    """Levels by trying all 256, the zero point by trying each."""
    ends = [inputs["low"], inputs["high"], 0.0]
    scale = (max(ends) - min(ends)) / 255
    scale = 1.0 if scale == 0 else scale
    zero_point = min(range(-128, 128), key=lambda zero: abs(scale * (-128 - zero) - min(ends)))
    levels = np.array([scale * (q - zero_point) for q in range(-128, 128)])
    q = [int(np.argmin(np.abs(levels - float(value)))) - 128 for value in inputs["x"].ravel()]
    return np.array(q).reshape(inputs["x"].shape), scale, zero_point


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the nearest of 256 levels."""
    q, scale, zero_point = expected(case.inputs)
    text = _("{what} in case '{case}'")
    names = ("scale", "scale", "levels") if case.name == "around zero" else (case.criteria[0],) * 3
    found = [
        close(names[0], observed["scale"], scale, text.format(what=_("the scale"), case=case.name), atol=0),
        close(names[1], observed["zero"], zero_point, text.format(what=_("the zero point"), case=case.name)),
        close(names[2], observed["q"], q, text.format(what=_("the levels"), case=case.name)),
    ]
    if "type" in case.criteria:
        whole = _("the zero point has the type {seen}; a whole number was expected").format(seen=observed["zero type"])
        integers = _("the levels have the dtype {seen}; int8 was expected").format(seen=observed["dtype"])
        found.append(holds("type", observed["dtype"] == "int8", integers))
        found.append(holds("type", observed["zero type"].startswith("int"), whole))
        found.append(holds("type", observed["kept"], _("your function changed the array it was given")))
    return found


def probe(candidate, inputs):
    """Quantise once; watch the input."""
    x = inputs["x"].copy()
    returned = candidate(x, inputs["low"], inputs["high"])
    if not isinstance(returned, (tuple, list)) or len(returned) != 3:
        raise NotPlain(_("three things were expected: the levels, the scale and the zero point"))
    q, zero = as_array(returned[0]), as_array(returned[2])
    types = {"dtype": str(q.dtype), "zero type": str(zero.dtype)}
    return {"q": q, "scale": as_array(returned[1]), "zero": zero, "kept": np.array_equal(x, inputs["x"]), **types}


EXERCISE = Exercise(
    id="quantize-int8",
    title=_("Numbers in eight bits"),
    lesson="10_small_and_shipped",
    minutes=15,
    difficulty=3,
    points=5,
    statement=_(
        "Write `quantize_int8(x, low, high)`: affine quantisation of x to int8 for a range fixed beforehand. Extend "
        "the range to contain 0; its width divided by 255 is the scale (1.0 where the width is 0); the zero point is "
        "the integer to which 0.0 goes when `low` lands as near as possible to -128. Each x takes the nearest level, "
        "and what lies outside takes the level at that end. Return q (int8), scale and zero_point."
    ),
    hints=(
        _("Decoded, level q means scale * (q - zero_point). Which q should `low` get, and which `high`?"),
        _("Set q = -128 and x = low in that formula, and solve it for the zero point; then round."),
        _(
            "q is round(x / scale) + zero_point, clipped to -128..127 before it becomes int8: afterwards it is too "
            "late."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why must 0.0 be represented exactly?"),
            _(
                "Zeros are everywhere: padding, ReLU, masked positions. If 0.0 became a small number, each of them "
                "would add the same error to every sum, a bias that does not average out."
            ),
        ),
        FollowUp(
            _("Why are weights often quantised symmetrically and one scale per output channel?"),
            _(
                "With a zero point of 0 for weights the cross terms of the integer product vanish, which is faster. "
                "Channels differ in size by factors, above all after BatchNorm is folded in; one scale for all "
                "leaves small channels with a handful of levels."
            ),
        ),
    ),
    criteria={
        "scale": Criterion(_("finds scale and zero point of a range around 0")),
        "levels": Criterion(_("gives each number the nearest level, at the ends too"), needs=("scale",), weight=2),
        "zero": Criterion(_("extends ranges that do not contain 0"), needs=("scale",)),
        "nothing": Criterion(_("copes with a range of nothing but 0"), weight=0.5),
        "type": Criterion(_("returns int8 and a whole zero point, and leaves x as it was"), needs=("levels",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"all levels": LEVELS, "unsigned first": UNSIGNED},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            equivalent={
                "low, high = (min(0.0, low), max(high, 0.0))": "the smaller of two numbers in either order",
                "low, high = (min(low, 0.0), max(0.0, high))": "the larger of two numbers in either order",
            },
        ),
    },
    complexity=_(
        "O(S) time for S numbers: a few passes, bound by memory traffic. The result takes S bytes, a quarter of "
        "float32; for a moment there are several float arrays of S numbers."
    ),
)
