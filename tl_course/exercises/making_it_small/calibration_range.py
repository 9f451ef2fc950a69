"""Find the fault: a range for activations that a single strange value decides."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def activation_range(batches: list[np.ndarray], tail: float) -> tuple[float, float]:
    """The range that a layer's activations are quantised to.

    Args:
        batches: the layer's activations on calibration images, one array a batch, float, any sizes.
        tail: share of the values that may lie below the range, and as many above, 0 <= tail < 0.5.

    Returns:
        Low and high: the quantiles `tail` and `1 - tail` of all values (as np.quantile interpolates them), extended
        to 0 where 0 lies outside.
    """
    values = np.concatenate([batch.ravel() for batch in batches])
    low, high = np.quantile(values, [tail, 1 - tail])
    return min(low, 0.0), max(high, 0.0)
'''

STARTER = '''
import numpy as np


def activation_range(batches: list[np.ndarray], tail: float) -> tuple[float, float]:
    """The range that a layer's activations are quantised to.

    Args:
        batches: the layer's activations on calibration images, one array a batch, float, any sizes.
        tail: share of the values that may lie below the range, and as many above, 0 <= tail < 0.5.

    Returns:
        Low and high: the quantiles `tail` and `1 - tail` of all values (as np.quantile interpolates them), extended
        to 0 where 0 lies outside.
    """
    low, high = 0.0, 0.0
    for batch in batches:
        lower, upper = np.quantile(batch, [tail, 1 - tail])
        low, high = min(low, lower), max(high, upper)
    return low, high
'''

SORTED = """
import math


def activation_range(batches, tail):
    values = sorted(float(value) for batch in batches for value in batch.reshape(-1))

    def quantile(share):
        place = share * (len(values) - 1)
        below = min(math.floor(place), len(values) - 2)
        return values[below] + (place - below) * (values[below + 1] - values[below])

    return [min(0.0, quantile(tail)), max(0.0, quantile(1.0 - tail))]
"""

PERCENTILE = """
import numpy as np


def activation_range(batches, tail):
    together = np.hstack([np.reshape(b, -1) for b in batches]).astype(np.float64)
    low, high = np.percentile(together, (100 * tail, 100 - 100 * tail))
    return np.array([low if low < 0 else 0, high if high > 0 else 0])
"""

VALUES, ENDS = "np.concatenate([batch.ravel() for batch in batches])", "np.quantile(values, [tail, 1 - tail])"
RETURN = "return min(low, 0.0), max(high, 0.0)"
MESSAGES = {
    "batch-by-batch": _(
        "the tails are cut within each batch, and then the widest batch decides: in a small batch a strange value is "
        "no tail"
    ),
    "mean-of-batches": _("quantiles of the batches are averaged, so a batch of three values has as much say as others"),
    "extremes": _("the largest and the smallest value decide: one strange activation costs all others their levels"),
    "first-batch": _("the first batch alone decides"),
    "last-batch": _("the last batch alone decides"),
    "without-zero": _("a range that leaves 0 out: after a ReLU, and for padding, nothing is as frequent as 0"),
    "symmetric": _("the range is made symmetric, though activations are lopsided"),
    "half-tails": _("the tail is the share on each side; here both sides share it"),
    "one-side": _("only the upper tail is cut"),
    "deviations": _("the range is taken from mean and standard deviation, which the strange values stretch as well"),
}
EDITS = {
    "mean-of-batches": ((ENDS, "np.mean([np.quantile(batch, [tail, 1 - tail]) for batch in batches], axis=0)"),),
    "extremes": ((ENDS, "values.min(), values.max()"),),
    "first-batch": ((VALUES, "batches[0].ravel()"),),
    "last-batch": ((VALUES, "batches[-1].ravel()"),),
    "without-zero": ((RETURN, "return low, high"),),
    "symmetric": ((RETURN, "return -max(abs(low), abs(high)), max(abs(low), abs(high))"),),
    "half-tails": ((ENDS, "np.quantile(values, [tail / 2, 1 - tail / 2])"),),
    "one-side": ((ENDS, "np.quantile(values, [0, 1 - tail])"),),
    "deviations": ((ENDS, "values.mean() - 3 * values.std(), values.mean() + 3 * values.std()"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Batches of different sizes, one of them tiny with strange values; ranges on one side of 0; no tail at all."""

    def drawn(shift: float, tail: float) -> dict[str, Plain]:
        batches = [rng.normal(size=size) + shift for size in ((9, 4), (5, 7), (13, 6), (3, 2))]
        batches[3] *= rng.uniform(9, 20)
        batches[3].ravel()[:2] = rng.uniform(25, 60, size=2) * [-1, 1]
        batches = [batches[i] for i in rng.permutation(4)]
        values = rng.permutation(np.concatenate([batch.ravel() for batch in batches]))
        cuts = np.sort(rng.choice(np.arange(5, len(values) - 5), 3, replace=False))
        return {"batches": batches, "again": np.split(values, cuts), "tail": tail}

    tail = float(rng.uniform(0.06, 0.09))
    above, below = drawn(9.0, tail), drawn(-9.0, tail)
    for inputs, sign in ((above, 1), (below, -1)):
        inputs["batches"] = [sign * np.abs(batch) for batch in inputs["batches"]]
        inputs["again"] = [sign * np.abs(batch) for batch in inputs["again"]]
    return [
        Case("with strange values", drawn(float(rng.uniform(0.4, 0.8)), tail), ("range", "batches")),
        Case("above zero", above, ("zero",)),
        Case("below zero", below, ("zero",)),
        Case("no tail", drawn(0.2, 0.0), ("none",)),
    ]


def expected(batches: list[np.ndarray], tail: float) -> list[float]:
    """Low and high by interpolation between the sorted values."""
    values = np.sort(np.concatenate([batch.reshape(-1) for batch in batches]))
    ends = [np.interp(share * (len(values) - 1), np.arange(len(values)), values) for share in (tail, 1 - tail)]
    return [float(min(0, ends[0])), float(max(0, ends[1]))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with sorted values, and with what the same values in other batches give."""
    right = expected(case.inputs["batches"], case.inputs["tail"])
    what = _("low and high in case '{case}'").format(case=case.name)
    found = [close(case.criteria[0], observed["range"], right, what)]
    if "batches" in case.criteria:
        text = _("low and high of the same values in other batches")
        found.append(close("batches", observed["again"], right, text))
        found.append(holds("batches", observed["kept"], _("your function changed the arrays it was given")))
    return found


def probe(candidate, inputs):
    """The range, and the range of the same values in other batches."""

    def ends(batches: list[np.ndarray]) -> np.ndarray:
        returned = candidate(batches, inputs["tail"])
        if not isinstance(returned, (tuple, list, np.ndarray)) or len(returned) != 2:
            raise NotPlain(_("two numbers were expected: low and high"))
        return as_array([float(as_array(end)) for end in returned])

    batches = [batch.copy() for batch in inputs["batches"]]
    found = ends(batches)
    kept = all(np.array_equal(a, b) for a, b in zip(batches, inputs["batches"], strict=True))
    return {"range": found, "again": ends([batch.copy() for batch in inputs["again"]]), "kept": kept}


EXERCISE = Exercise(
    id="calibration-range",
    title=_("The range one image decided"),
    lesson="10_small_and_shipped",
    kind="find-the-fault",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "A quantised model does well until someone sorts the calibration images into batches of other sizes; since "
        "then one small batch with two broken images stretches the range, and nearly all activations share a handful "
        "of levels. Find the fault in `activation_range`, fix it, and prove it: `tail` of all values may lie on either "
        "side, in whichever batches they come, and 0 lies within the range. Return low and high."
    ),
    hints=(
        _("Which share of a batch of six values is one value? And which share of all calibration values?"),
        _("The batches' quantiles do not tell the quantile of everything. Which values does it need?"),
        _("Put all batches into one vector first, take both quantiles once, then extend the range to 0 where needed."),
    ),
    follow_ups=(
        FollowUp(
            _("The calibration set has a billion activations. How do you get quantiles without keeping them all?"),
            _(
                "With a histogram of fixed bins that is updated batch by batch (and widened when a value falls "
                "outside), or a random sample. Histograms of batches add up; quantiles do not."
            ),
        ),
        FollowUp(
            _("When is cutting the tails a mistake?"),
            _(
                "When the rare large values carry the meaning, as the outlier features of large language models do: "
                "cutting them ruins the output. Keep those channels in higher precision, or move their scale into the "
                "weights (SmoothQuant)."
            ),
        ),
    ),
    criteria={
        "range": Criterion(_("finds the range of all values without their tails"), weight=2),
        "batches": Criterion(_("does not depend on how the values are divided into batches"), needs=("range",)),
        "zero": Criterion(_("contains 0 where all values lie on one side"), needs=("range",)),
        "none": Criterion(_("takes everything where nothing may be cut"), weight=0.5, needs=("range",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            starter=STARTER,
            alternatives={"sorted": SORTED, "percentile": PERCENTILE},
            mistakes={
                "batch-by-batch": Mistake(MESSAGES["batch-by-batch"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={
                "return (min(0.0, low), max(high, 0.0))": "the smaller of two numbers in either order",
                "return (min(low, 0.0), max(0.0, high))": "the larger of two numbers in either order",
            },
        ),
    },
    complexity=_(
        "O(V) time for V values, as quantiles need a selection and no full sort, but O(V) extra memory too, for a copy "
        "of all batches where the faulty program copied one at a time. A histogram bounds the memory, at the price of "
        "a rounded answer."
    ),
)
