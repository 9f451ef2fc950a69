"""Layer normalisation, forward."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def layer_norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Layer normalisation (Ba et al., 2016) over the last axis.

    Args:
        x: float64, shape (..., D), any number of leading axes, none included; not modified. Its values may lie close
            together and far from zero: 100,000,000 plus or minus 1.
        gain: multiplies the normalised values, shape (D,).
        bias: is added after that, shape (D,).
        eps: is added to the variance. The variance is the mean squared deviation: divided by D, not by D - 1.

    Returns:
        The normalised values, shape (..., D).
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return gain * centred / np.sqrt(variance + eps) + bias
'''

VAR = """
import numpy as np


def layer_norm(x, gain, bias, eps=1e-5):
    scale = (x.var(-1, keepdims=True) + eps) ** -0.5
    return (x - np.expand_dims(np.average(x, axis=-1), -1)) * (gain * scale) + bias
"""

ROWS = """
import numpy as np


def layer_norm(x, gain, bias, eps=1e-5):
    out = np.empty_like(x)
    for where in np.ndindex(x.shape[:-1]):
        row = x[where] - x[where].sum() / x.shape[-1]
        out[where] = row / np.sqrt(row @ row / len(row) + eps) * gain + bias
    return out
"""

VARIANCE, RETURN = "(centred**2).mean(axis=-1, keepdims=True)", "gain * centred / np.sqrt(variance + eps) + bias"
MISTAKES = {
    "unbiased": Mistake(
        _("the squared deviations are divided by one less than there are: that is the estimate for a sample"),
        ((VARIANCE, "x.var(axis=-1, ddof=1, keepdims=True)"),),
    ),
    "batch-axis": Mistake(
        _("mean and variance run over the first axis, as in batch normalisation: examples then depend on each other"),
        (("x.mean(axis=-1, keepdims=True)", "x.mean(axis=0)"), (VARIANCE, "(centred**2).mean(axis=0)")),
    ),
    "all-axes": Mistake(
        _("one mean and one variance serve the whole array; each position should have its own"),
        (("x.mean(axis=-1, keepdims=True)", "x.mean()"), (VARIANCE, "(centred**2).mean()")),
    ),
    "eps-outside": Mistake(
        _("eps is added to the standard deviation, outside the root: rows of little variance come out otherwise"),
        (("np.sqrt(variance + eps)", "(np.sqrt(variance) + eps)"),),
    ),
    "no-eps": Mistake(
        _("nothing guards the division: a row of equal values divides zero by zero"), (("variance + eps", "variance"),)
    ),
    "cancels": Mistake(
        _(
            "the variance is the mean of the squares less the square of the mean: for values far from zero two huge "
            "numbers cancel and only rounding errors are left"
        ),
        ((VARIANCE, "np.maximum((x**2).mean(axis=-1, keepdims=True) - x.mean(axis=-1, keepdims=True) ** 2, 0)"),),
    ),
    "not-rooted": Mistake(
        _("the deviations are divided by the variance, not by the standard deviation"),
        (("np.sqrt(variance + eps)", "(variance + eps)"),),
    ),
    "not-centred": Mistake(
        _("the values are scaled and not centred: that is RMS normalisation"),
        (("gain * centred /", "gain * x /"), (VARIANCE, "(x**2).mean(axis=-1, keepdims=True)")),
    ),
    "bias-scaled": Mistake(
        _("the bias is added before the gain multiplies, and is scaled with the rest"),
        ((RETURN, "gain * (centred / np.sqrt(variance + eps) + bias)"),),
    ),
    "in-place": Mistake(
        _("the caller's array is overwritten"),
        (("centred = x - x.mean(axis=-1, keepdims=True)", "x -= x.mean(axis=-1, keepdims=True)\n    centred = x"),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A matrix; a vector and four axes; rows of hardly any variance or none; values far from zero."""
    width = 4
    affine = {"gain": rng.uniform(0.5, 2, size=width), "bias": rng.normal(size=width), "eps": None}
    shapes = {"matrix": (5,), "vector": (), "four axes": (2, 3, 1)}
    arrays = {name: 1 + 2 * rng.normal(size=(*leading, width)) for name, leading in shapes.items()}
    tiny = 1e-3 * rng.normal(size=(3, width)) + np.array([[0], [2], [-1]])
    tiny[1] = 2.0
    arrays |= {"tiny variance": tiny, "far from zero": 1e8 + rng.normal(size=(3, width))}
    criteria = {"matrix": ("value", "eps", "untouched"), "tiny variance": ("tiny",), "far from zero": ("far",)}
    found = [Case(name, {"x": x, **affine}, criteria.get(name, ("leading",))) for name, x in arrays.items()]
    eps = float(rng.uniform(0.5, 1))
    return [*found, Case("large eps", {"x": arrays["matrix"], **affine, "eps": eps}, ("eps",))]


def expected(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """The right answer; the variance is half the mean squared difference of all pairs."""
    pairs = x[..., :, None] - x[..., None, :]
    variance = (pairs**2).mean(axis=(-1, -2))[..., None] / 2
    return pairs.mean(axis=-1) / np.sqrt(variance + eps) * gain + bias


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the values, and what they are for another eps."""
    inputs = {**case.inputs, "eps": case.inputs["eps"] or 1e-5}
    what = _("x of shape {shape}: the result").format(shape=inputs["x"].shape)
    found = close(case.criteria[0], observed["result"], expected(**inputs), what)
    if case.name != "matrix":
        return [found]
    kept = holds("untouched", observed["kept"], _("the arrays you were given had other values afterwards"))
    return [found, Finding("eps", found.passed, found.message), kept]


def probe(candidate, inputs):
    """Normalise, with the default eps where none is given."""
    named = {} if inputs["eps"] is None else {"eps": inputs["eps"]}
    result, kept = _watch.call(candidate, inputs["x"], inputs["gain"], inputs["bias"], **named)
    return {"result": as_array(result), "kept": kept}


EXERCISE = Exercise(
    id="layer-norm",
    title=_("Layer normalisation from scratch"),
    lesson="11_interview_clinic",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "Write `layer_norm(x, gain, bias, eps=1e-5)` in NumPy: normalise over the last axis of x (..., D), for any "
        "number of leading axes, none included, then multiply by gain (D,) and add bias (D,). Use the biased variance "
        "(divide by D) and add eps to it. Rows of equal values give the bias, and values such as 1e8 plus or minus 1 "
        "keep their digits. Leave the inputs unchanged."
    ),
    hints=(
        _("Which values share one mean and one variance? Think of one token's vector."),
        _("Centre first. What is the variance of centred values, and does it suffer when they lay far from zero?"),
        _("Keep the last axis with length 1 in both means, so that they broadcast against any leading shape."),
    ),
    follow_ups=(
        FollowUp(
            _("How does layer normalisation differ from batch normalisation when you fine-tune with small batches?"),
            _(
                "Its statistics belong to one example, so they do not depend on the batch: training and inference do "
                "the same, there are no running statistics, and a batch of one works. Batch normalisation needs large "
                "batches or frozen statistics."
            ),
        ),
        FollowUp(
            _("What does RMSNorm leave out, and why do many language models use it?"),
            _(
                "The centring and usually the bias: it divides by the root of the mean square. One reduction fewer, "
                "and trained models are about as good (Zhang and Sennrich, 2019)."
            ),
        ),
        FollowUp(
            _("You have one pass over the data and float32. How do you get a variance that is safe?"),
            _(
                "Welford's update of mean and sum of squared deviations, which also merges over parallel parts; or "
                "subtract a rough centre, such as the first value, before summing squares; or sum in float64. The mean "
                "of squares less the squared mean cancels when the mean is large against the spread."
            ),
        ),
    ),
    complexity=_(
        "O(R·D) time and extra memory for R rows: two passes for mean and variance, one for the result. It is bound by "
        "memory traffic, hence fused kernels."
    ),
    criteria={
        "value": Criterion(_("normalises each row of a matrix, then scales and shifts it"), weight=2),
        "leading": Criterion(_("works for every leading shape")),
        "eps": Criterion(_("uses the given eps, and 1e-5 without one"), weight=0.5, needs=("value",)),
        "tiny": Criterion(_("is right for rows of hardly any variance, or none")),
        "far": Criterion(_("keeps its digits for values far from zero")),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(reference=NUMPY, probe=probe, alternatives={"var": VAR, "rows": ROWS}, mistakes=MISTAKES),
    },
)
