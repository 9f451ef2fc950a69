"""Scale a list of gradients down to a global norm."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def clip_gradients(gradients: list[np.ndarray], max_norm: float) -> tuple[list[np.ndarray], float]:
    """Clip gradients by their global norm.

    Args:
        gradients: float32 arrays of any shapes, () included; not modified. May be an empty list. Finite entries may be
            as large as 1e30, whose squares overflow float32.
        max_norm: the largest global norm allowed, above 0.

    Returns:
        The clipped gradients, of the shapes and the dtype that came, and the global norm before clipping, a float: the
        Euclidean norm of all entries of all arrays taken together, 0 for an empty list. Gradients within the limit
        come back with the values they had. Where any entry is NaN or infinite, all gradients returned are zeros, and
        so the step does nothing; the norm returned is then NaN or infinite too.
    """
    norm = float(np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradients)))
    if not np.isfinite(norm):
        return [np.zeros_like(g) for g in gradients], norm
    scale = max_norm / max(norm, max_norm)
    return [g * scale for g in gradients], norm
'''

FLAT = """
import numpy as np


def clip_gradients(gradients, max_norm):
    flat = np.concatenate([np.asarray(g, dtype=float).ravel() for g in gradients] + [np.zeros(0)])
    norm = np.linalg.norm(flat)
    if np.isnan(norm) or np.isinf(norm):
        return [np.zeros(g.shape, g.dtype) for g in gradients], norm
    if norm > max_norm:
        return [(g / norm * max_norm).astype(g.dtype) for g in gradients], norm
    return [g.copy() for g in gradients], norm
"""

SCALED = """
import math

import numpy as np


def clip_gradients(gradients, max_norm):
    numbers = [float(value) for g in gradients for value in g.flat]
    if not all(math.isfinite(value) for value in numbers):
        return [np.zeros(g.shape, "float32") for g in gradients], math.nan
    top = max((abs(value) for value in numbers), default=0.0)
    norm = top * math.sqrt(sum((value / top) ** 2 for value in numbers)) if top > 0 else 0.0
    factor = 1.0 if norm <= max_norm else max_norm / norm
    return [np.multiply(factor, g, dtype="float32") for g in gradients], norm
"""

PER_ARRAY = """
import numpy as np


def clip_gradients(gradients, max_norm):
    norms = [float(np.sqrt(np.sum(g.astype(np.float64) ** 2))) for g in gradients]
    norm = float(np.sqrt(sum(n**2 for n in norms)))
    if not np.isfinite(norm):
        return [np.zeros_like(g) for g in gradients], norm
    return [g * (max_norm / max(n, max_norm)) for g, n in zip(gradients, norms)], norm
"""

NORM = "float(np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradients)))"
GUARD = "    if not np.isfinite(norm):\n        return [np.zeros_like(g) for g in gradients], norm\n"
RETURN = "return [g * scale for g in gradients], norm"
MISTAKES = {
    "per-array": Mistake(
        _("each array is clipped by its own norm: that changes the direction of the step, a global norm does not"),
        source=PER_ARRAY,
    ),
    "by-value": Mistake(
        _("entries are cut off one by one: that is clipping by value, and it changes the direction of the step"),
        ((RETURN, "return [np.clip(g, -np.float32(max_norm), np.float32(max_norm)) for g in gradients], norm"),),
    ),
    "always-scales": Mistake(
        _("gradients within the limit are scaled too: they are made longer, and a zero gradient divides by zero"),
        (("max(norm, max_norm)", "norm if norm else np.nan"),),
    ),
    "overflow": Mistake(
        _("the squares are taken in float32, where those of large finite gradients overflow"),
        (("g.astype(np.float64)", "g"),),
    ),
    "sum-of-norms": Mistake(
        _("the norms of the arrays are added up; squares add up, norms do not"),
        ((NORM, "float(sum(np.sqrt(np.sum(g.astype(np.float64) ** 2)) for g in gradients))"),),
    ),
    "no-root": Mistake(_("this is the square of the norm"), (("np.sqrt(", "("),)),
    "largest-entry": Mistake(
        _("this is the largest entry, not the Euclidean norm"),
        ((NORM, "float(max([np.abs(g.astype(np.float64)).max() for g in gradients], default=0))"),),
    ),
    "spreads": Mistake(
        _("one NaN or infinite entry makes all the gradients useless, and the next step ruins the weights"),
        ((GUARD, ""),),
    ),
    "patches": Mistake(
        _("only the bad entries are replaced; the rest of such a gradient is not to be trusted either"),
        (("[np.zeros_like(g) for g in gradients]", "[np.nan_to_num(g, posinf=0, neginf=0) for g in gradients]"),),
    ),
    "norm-after": Mistake(
        _("the norm returned is the one after clipping: it hides the spikes that one logs it for"),
        ((RETURN, "return [g * scale for g in gradients], norm * scale"),),
    ),
    "in-place": Mistake(
        _("the caller's gradients are overwritten"),
        ((RETURN, "for g in gradients:\n        g *= scale\n    return gradients, norm"),),
    ),
    "float64": Mistake(
        _("the clipped gradients come back in another dtype than they had"),
        ((RETURN, "return [g.astype(np.float64) * scale for g in gradients], norm"),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Too long, short, zero, huge, not finite, and no gradient at all; arrays of three shapes."""

    def drawn(size: float) -> list[np.ndarray]:
        return [np.asarray(size * rng.normal(size=shape), dtype=np.float32) for shape in ((2, 3), (4,), ())]

    def case(name: str, gradients: list[np.ndarray], max_norm: float, *criteria: str) -> Case:
        return Case(name, {"gradients": gradients, "max_norm": max_norm}, criteria)

    nan, infinite = drawn(2), drawn(2)
    nan[0][1, 1] = np.nan
    infinite[1][int(rng.integers(4))] = -np.inf
    return [
        case("too long", drawn(5), float(rng.uniform(1, 2)), "value", "untouched"),
        case("within the limit", drawn(0.1), float(rng.uniform(3, 4)), "small"),
        case("all zero", drawn(0), 1.0, "small"),
        case("no gradients", [], 1.0, "small"),
        case("huge", drawn(1e30), 2.0, "stable"),
        case("one NaN", nan, 1.0, "finite"),
        case("one infinite", infinite, 1.0, "finite"),
    ]


def expected(gradients: list[np.ndarray], max_norm: float) -> tuple[list[np.ndarray], float]:
    """The right answer, from one long vector scaled by its largest entry."""
    flat = np.concatenate([np.zeros(1), *(g.astype(np.float64).ravel() for g in gradients)])
    if not np.isfinite(flat).all():
        return [np.zeros(g.shape) for g in gradients], np.nan
    largest = max(np.abs(flat).max(), 1e-300)
    norm = float(largest * np.linalg.norm(flat / largest))
    return [g * (max_norm / norm if norm > max_norm else 1.0) for g in gradients], norm


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the norm and every array."""
    name, (right, norm) = case.criteria[0], expected(**case.inputs)
    number = np.shape(observed["norm"]) == () and isinstance(float(observed["norm"]), float)
    if np.isnan(norm):
        text = _("the norm of gradients that are not finite should be NaN or infinite")
        found = [holds(name, number and not np.isfinite(observed["norm"]), text)]
    else:
        found = [close(name, observed["norm"], norm, _("the norm, {case}").format(case=case.name))]
    count = _("{right} gradients were expected, yours are {seen}").format(
        right=len(right), seen=len(observed["clipped"])
    )
    found.append(holds(name, len(right) == len(observed["clipped"]), count))
    for i, (seen, wanted) in enumerate(zip(observed["clipped"], right, strict=False)):
        what = _("gradient {i}, {case}").format(i=i, case=case.name)
        dtype = _("{what}: float32 was expected, yours is {dtype}").format(what=what, dtype=seen.dtype)
        exact = {"rtol": 0, "atol": 0} if name in ("small", "finite") else {"rtol": 1e-5, "atol": 1e-6}
        found += [close(name, seen, wanted, what, **exact), holds(name, seen.dtype == np.float32, dtype)]
    if "untouched" in case.criteria:
        found.append(
            holds("untouched", observed["kept"], _("the gradients you were given had other values afterwards"))
        )
    return found


def probe(candidate, inputs):
    """The clipped gradients and the norm, and whether the gradients given stayed as they were."""
    before = [g.copy() for g in inputs["gradients"]]
    with np.errstate(all="ignore"):
        clipped, norm = candidate(inputs["gradients"], inputs["max_norm"])
    kept = len(before) == len(inputs["gradients"]) and all(
        np.array_equal(*pair, equal_nan=True) for pair in zip(before, inputs["gradients"], strict=True)
    )
    return {"clipped": [as_array(g) for g in clipped], "norm": as_array(norm), "kept": kept}


EXERCISE = Exercise(
    id="clip-gradients",
    title=_("Clip gradients by their global norm"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=2,
    points=4,
    statement=_(
        "Write `clip_gradients(gradients, max_norm)` for a list of float32 arrays: if their global Euclidean norm "
        "exceeds `max_norm`, scale all of them so that it equals it; otherwise keep their values. Return the list and "
        "the norm before clipping. Entries of 1e30 must not overflow. If any entry is NaN or infinite, return zeros "
        "and a norm that is not finite. Zeros and an empty list work; shapes, dtype and inputs stay."
    ),
    hints=(
        _("All the arrays together are one long vector. What is its length, and what does one factor do to it?"),
        _("Add up the squares over all arrays, in a dtype in which 1e60 fits, and take one root at the end."),
        _("The factor is max_norm over the larger of norm and max_norm. Look at the norm before you use it."),
    ),
    follow_ups=(
        FollowUp(
            _("Why the global norm rather than one norm for each layer, or clipping by value?"),
            _(
                "One factor for everything keeps the direction of the step and shortens it only. Clipping each layer "
                "or each entry turns the step away from the gradient, though it confines a single bad layer."
            ),
        ),
        FollowUp(
            _("You train in float16 with loss scaling. Where does the clipping go?"),
            _(
                "After the gradients have been divided by the loss scale and before the optimiser's step: a limit on "
                "scaled gradients would mean something else after each change of the scale. Gradients that are not "
                "finite there mean that the step is skipped and the scale lowered."
            ),
        ),
        FollowUp(
            _("The parameters are sharded over eight GPUs. What does the global norm cost?"),
            _(
                "Each device sums the squares of its own shard, one all-reduce adds up the eight numbers, and each "
                "takes the root. The traffic is one number; the price is that all must wait before anyone may step."
            ),
        ),
    ),
    complexity=_("O(P) time for P entries in all. O(P) extra memory: the result, and one array at a time in float64."),
    criteria={
        "value": Criterion(_("scales all gradients by one factor and returns the norm before"), weight=2),
        "small": Criterion(_("leaves gradients within the limit, zeros and an empty list as they are")),
        "stable": Criterion(_("does not overflow for huge finite gradients")),
        "finite": Criterion(_("returns zeros where any entry is NaN or infinite")),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"flat": FLAT, "scaled": SCALED},
            mistakes=MISTAKES,
            equivalent={
                "scale = max_norm / max(max_norm, norm)": "of two finite numbers, the larger is the larger either way"
            },
        ),
    },
)
