"""Dropout that scales in training, so that evaluation is the identity."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def inverted_dropout(x: np.ndarray, p: float, training: bool, rng: np.random.Generator) -> np.ndarray:
    """Inverted dropout.

    Args:
        x: activations, float, any shape; not modified.
        p: probability with which each entry is dropped, in [0, 1]; entries are dropped independently of each other.
        training: whether to drop. In evaluation the values of x come back and nothing is drawn from the generator.
        rng: the only source of randomness, used as it comes: neither seeded nor replaced. Two calls with the same
            generator, one after the other, drop other entries.

    Returns:
        Shape of x. In training, a kept entry is scaled by the constant that makes the expectation of every entry equal
        to x, and a dropped one is 0. For p = 0 the values of x; for p = 1 zeros, and no division by zero on the way.
    """
    if not training:
        return x
    if p == 1:
        return np.zeros_like(x)
    kept = rng.random(x.shape) >= p
    return np.where(kept, x / (1 - p), 0)
'''

BINOMIAL = """
import numpy as np


def inverted_dropout(x, p, training, rng):
    if training:
        mask = rng.binomial(1, 1 - p, size=x.shape)
        return x * mask / max(1 - p, np.finfo(float).tiny)
    return np.copy(x)
"""

LOOP = """
import numpy as np


def inverted_dropout(x, p, training, rng):
    out = x.copy()
    if not training:
        return out
    scale = 1 / (1 - p) if p < 1 else 0.0
    for index in np.ndindex(x.shape):
        out[index] = 0 if rng.uniform() < p else x[index] * scale
    return out
"""

KEPT, RETURN = "rng.random(x.shape) >= p", "return np.where(kept, x / (1 - p), 0)"
MISTAKES = {
    "not-scaled": Mistake(
        _("what is kept is not scaled up, so activations are smaller in training than in evaluation"),
        ((RETURN, "return np.where(kept, x, 0)"),),
    ),
    "scales-in-evaluation": Mistake(
        _("the scaling happens in evaluation: that is the original dropout, not the inverted one"),
        (("return x\n", "return x * (1 - p)\n"), (RETURN, "return np.where(kept, x, 0)")),
    ),
    "drops-in-evaluation": Mistake(
        _("entries are dropped in evaluation too: the same input gives another answer each time"),
        (("    if not training:\n        return x\n", ""),),
    ),
    "p-of-keeping": Mistake(
        _("p was taken for the probability of keeping an entry; here it is that of dropping one"),
        ((KEPT, "rng.random(x.shape) < p"),),
    ),
    "divides-by-p": Mistake(
        _("the scale is that for the wrong probability: think of how often an entry survives"),
        (("x / (1 - p)", "x / max(p, 1e-9)"),),
    ),
    "zero-by-zero": Mistake(
        _("where everything is dropped, the scale divides by zero"), (("    if p == 1:\n", "    if p > 1:\n"),)
    ),
    "one-draw-a-row": Mistake(
        _("whole rows are dropped at once: each entry needs a draw of its own"),
        ((KEPT, "rng.random((len(x), 1)) >= p"),),
    ),
    "one-mask": Mistake(
        _("one mask serves all the rows: the examples of a batch lose the same features"),
        ((KEPT, "rng.random(x.shape[-1]) >= p"),),
    ),
    "global-random": Mistake(
        _("the numbers come from NumPy's global state: the caller's generator has no say, nothing can be repeated"),
        (("rng.random(x.shape)", "np.random.random(x.shape)"),),
    ),
    "seeds-itself": Mistake(
        _("the generator is made anew in each call: every training step drops the same entries"),
        (("rng.random(x.shape)", "np.random.default_rng(0).random(x.shape)"),),
    ),
    "rescales-by-count": Mistake(
        _("the scale depends on how many happened to survive this time; the expectation asks for a constant"),
        (("x / (1 - p)", "x * (kept.size / max(kept.sum(), 1))"),),
    ),
    "in-place": Mistake(
        _("the caller's activations are overwritten"),
        ((RETURN, "x *= kept\n    return x / (1 - p)"),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Training at a usual rate, evaluation, and the two extremes; entries away from 0, of one to three axes."""

    def case(name: str, shape: tuple[int, ...], p: float, training: bool, *criteria: str) -> Case:
        x = rng.choice([-1, 1], size=shape) * rng.uniform(0.5, 2, size=shape)
        return Case(name, {"x": x, "p": p, "training": training, "seed": int(rng.integers(1000))}, criteria)

    return [
        case(
            "training",
            (40, int(rng.integers(55, 65))),
            float(rng.choice([0.2, 0.3, 0.4])),
            True,
            "rate",
            "scale",
            "random",
            "untouched",
        ),
        case("evaluation", (5, 7), 0.5, False, "evaluation"),
        case("p = 0", (9,), 0.0, True, "extremes"),
        case("p = 1", (2, 3, 4), 1.0, True, "extremes"),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare rate and scale of the training case, and the values of the others."""
    x, p = case.inputs["x"], case.inputs["p"]
    if case.name != "training":
        (name,) = case.criteria
        right = np.zeros_like(x) if case.name == "p = 1" else x
        found = [close(name, observed["out"], right, case.name, rtol=0, atol=0)]
        text = _("numbers were drawn from the generator in evaluation")
        return [*found, holds(name, name != "evaluation" or not observed["drew"], text)]
    together = _("whole rows or whole columns were kept or dropped together")
    fixed = _("the same number of entries is dropped each time: they are not drawn independently")
    same = _("the same generator state gave two different results: is all randomness taken from `rng`?")
    new = _("a second call with the same generator dropped the same entries")
    kept = holds("untouched", observed["kept"], _("the activations you were given had other values afterwards"))
    return [
        close("rate", observed["rate"], p, _("the share of zeros, rounded"), atol=0.051),
        holds("rate", observed["mixed rows"] and observed["mixed columns"], together),
        holds("rate", observed["varies"], fixed),
        close("scale", observed["scales"], [1 / (1 - p)], _("the factors by which kept entries were scaled")),
        holds("random", observed["repeats"], same),
        holds("random", observed["renews"], new),
        kept,
    ]


def probe(candidate, inputs):
    """What came out, or, in training, a summary of it that does not depend on how the entries were drawn."""
    x, p, training = inputs["x"], inputs["p"], inputs["training"]
    rng, again = np.random.default_rng(inputs["seed"]), np.random.default_rng(inputs["seed"])
    with np.errstate(divide="raise", invalid="raise"):
        out, kept = _watch.call(candidate, x, p, training, rng)
        drew = rng.bit_generator.state != again.bit_generator.state
        out = as_array(out)
        if out.shape != x.shape or not training or p in (0, 1):
            return {"out": out, "drew": drew, "kept": kept}
        zero = out == 0
        repeated = as_array(candidate(x.copy(), p, True, again))
        later = [as_array(candidate(x.copy(), p, True, rng)) == 0 for _round in range(5)]
    return {
        "rate": round(float(zero.mean()), 1),
        "scales": np.unique(np.round(out[~zero] / x[~zero], 5)),
        "mixed rows": bool(((zero.mean(1) > 0) & (zero.mean(1) < 1)).all()),
        "mixed columns": bool(((zero.mean(0) > 0) & (zero.mean(0) < 1)).all()),
        "varies": len({int(dropped.sum()) for dropped in (zero, *later)}) > 1,
        "repeats": bool(np.array_equal(out, repeated)),
        "renews": not np.array_equal(zero, later[0]),
        "kept": kept,
    }


EXERCISE = Exercise(
    id="inverted-dropout",
    title=_("Inverted dropout"),
    lesson="11_interview_clinic",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "Write `inverted_dropout(x, p, training, rng)` in NumPy. In training each entry is dropped, independently, "
        "with probability p, and the kept ones are scaled so that every entry keeps its expectation. In evaluation "
        "return the values of x and draw nothing. p = 0 keeps all; p = 1 gives zeros without dividing by zero. All "
        "randomness comes from the generator `rng`, used as it is. Leave x unchanged."
    ),
    hints=(
        _("How often does an entry survive, and what must it be multiplied by to make up for that?"),
        _("Draw one uniform number for each entry from `rng`, and compare it with p."),
        _("Settle evaluation and p = 1 first; then kept entries are x divided by their chance of survival."),
    ),
    follow_ups=(
        FollowUp(
            _("Why scale in training and not, as in the original paper, in evaluation?"),
            _(
                "Then the deployed model needs no trace of dropout: evaluation is the identity and costs nothing, and "
                "p may change during training without anything to remember afterwards."
            ),
        ),
        FollowUp(
            _("The expectation is kept. What is not, and where does that matter?"),
            _(
                "The variance: a kept entry is larger, so x² becomes x²/(1 - p) on average. BatchNorm after dropout "
                "learns a variance in training that it does not meet in evaluation (Li et al., 2019), and a ReLU "
                "after it shifts even the mean."
            ),
        ),
        FollowUp(
            _("You checkpoint activations, so the forward pass runs twice. What must you take care of?"),
            _(
                "The second pass must drop the same entries, or the gradients belong to another network. Store the "
                "generator's state before the first pass and restore it for the second; storing the mask instead "
                "costs the memory that checkpointing was to save, though a bit an entry would do."
            ),
        ),
    ),
    complexity=_("O(S) time and O(S) extra memory for S entries; no draw and no copy in evaluation."),
    criteria={
        "rate": Criterion(_("drops each entry by itself with probability p")),
        "scale": Criterion(_("keeps the expectation of every entry"), needs=("rate",)),
        "evaluation": Criterion(_("is the identity in evaluation and draws nothing"), needs=("rate",)),
        "extremes": Criterion(_("is right for p = 0 and p = 1")),
        "random": Criterion(_("takes all randomness from the generator given"), needs=("rate",)),
        "untouched": Criterion(_("leaves its input as it was"), weight=0.5, needs=("rate",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"binomial": BINOMIAL, "loop": LOOP},
            mistakes=MISTAKES,
            equivalent={"kept = rng.random(x.shape) > p": "a draw equals p with probability 2 to the -53, or none"},
        ),
    },
)
