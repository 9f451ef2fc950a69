"""Linear centred kernel alignment: do two networks order the same examples alike (Kornblith et al., 2019)?"""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear CKA: how alike two representations of the same examples are, from 0 to 1 (Kornblith et al., 2019).

    Args:
        x: features of N examples from one network, float, shape (N, D), not all rows equal.
        y: features of the same examples, in the same order, from another network, shape (N, E), not all rows equal.

    Returns:
        ||X^T Y||^2 / (||X^T X|| ||Y^T Y||) with Frobenius norms, after each feature is centred over the examples.
    """
    x = x - x.mean(axis=0)
    y = y - y.mean(axis=0)
    shared = np.linalg.norm(x.T @ y) ** 2
    return shared / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
'''

GRAM = """
import numpy as np


def linear_cka(x, y):
    n = len(x)
    centre = np.eye(n) - np.full((n, n), 1 / n)
    a, b = (centre @ (z @ z.T) @ centre for z in (x, y))
    return float(np.trace(a @ b) / np.sqrt(np.trace(a @ a) * np.trace(b @ b)))
"""

SINGULAR = """
import numpy as np


def linear_cka(x, y):
    parts = []
    for z in (x, y):
        u, s, _ = np.linalg.svd(z - np.mean(z, 0, keepdims=True), full_matrices=False)
        parts.append((u, s**2))
    (u, a), (v, b) = parts
    overlap = np.square(u.T @ v)  # how far each pair of principal directions agrees
    return a @ overlap @ b / np.sqrt((a**2).sum() * (b**2).sum())
"""

X, Y, SHARED = "x = x - x.mean(axis=0)", "y = y - y.mean(axis=0)", "np.linalg.norm(x.T @ y) ** 2"
BELOW = "(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))"
MESSAGES = {
    "not-centred": _("features are not centred: two networks whose activations are all positive look alike already"),
    "one-centred": _("only one of the two representations is centred"),
    "rows-centred": _("each example is centred over its features; what should be 0 is each feature's mean"),
    "one-mean": _("one mean over everything is subtracted: features with means of their own stay off centre"),
    "not-squared": _("numerator and denominator have different units: twice the features give another similarity"),
    "not-normalised": _("there is no division by the representations' own size: larger features look more alike"),
    "squared-below": _("the norms below the fraction line are squared too, so a network is not even like itself"),
    "spectral": _("the spectral norm sees only the strongest direction; all of them count"),
    "singular-values": _("the nuclear norm is taken; the measure is built on Frobenius norms"),
    "features-scaled": _("each feature is scaled to variance 1, which gives noise as much say as the main directions"),
}
EDITS = {
    "not-centred": ((X, "pass"), (Y, "pass")),
    "one-centred": ((Y, "pass"),),
    "rows-centred": ((X, "x = x - x.mean(axis=1, keepdims=True)"), (Y, "y = y - y.mean(axis=1, keepdims=True)")),
    "one-mean": ((X, "x = x - x.mean()"), (Y, "y = y - y.mean()")),
    "not-squared": ((SHARED, "np.linalg.norm(x.T @ y)"),),
    "not-normalised": ((BELOW, "(len(x) - 1) ** 2"),),
    "squared-below": ((BELOW, f"{BELOW} ** 2"),),
    "spectral": ((SHARED, "np.linalg.norm(x.T @ y, 2) ** 2"), (BELOW, BELOW.replace(" @ x)", " @ x, 2)"))),
    "singular-values": (
        (SHARED, 'np.linalg.norm(x.T @ y, "nuc") ** 2'),
        (BELOW, BELOW.replace(" @ x)", ' @ x, "nuc")').replace(" @ y)", ' @ y, "nuc")')),
    ),
    "features-scaled": ((X, f"{X}\n    x = x / x.std(axis=0)"), (Y, f"{Y}\n    y = y / y.std(axis=0)")),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Two networks that share part of what they see; one with more features than examples."""

    def drawn(count: int, first: int, second: int) -> dict[str, np.ndarray]:
        x = rng.normal(size=(count, first)) * rng.uniform(0.5, 3, size=first)
        y = x @ rng.normal(size=(first, second)) / 2 + rng.normal(size=(count, second))
        spin = np.linalg.qr(rng.normal(size=(first, first)))[0]
        return {
            "x": x + rng.uniform(1, 4, size=first),
            "y": y + rng.uniform(-3, 3, size=second),
            "moved": x @ spin * rng.uniform(2, 5) + rng.normal(size=first),
        }

    return [
        Case("few features", drawn(13, 4, 3), ("value", "moves", "inputs")),
        Case("more features than examples", drawn(7, 11, 9), ("wide",)),
    ]


def expected(inputs: dict[str, Plain]) -> float:
    """Cosine of the two centred matrices of dot products between examples."""
    grams = []
    for z in (inputs["x"], inputs["y"]):
        differences = z[:, None] - z[None]
        distances = (differences**2).sum(axis=2)  # double centring turns these into dot products
        middle = distances.mean(axis=0)
        grams.append((middle[:, None] + middle[None] - distances - distances.mean()).ravel())
    first, second = grams
    return float(np.dot(first, second) / np.sqrt(np.dot(first, first) * np.dot(second, second)))


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the alignment of distances, and with what moved features give."""
    right = expected(case.inputs)
    if case.name == "more features than examples":
        return [close("wide", observed["cka"], right, _("the similarity with more features than examples"))]
    return [
        close("value", observed["cka"], right, _("the similarity")),
        close("moves", observed["moved"], right, _("the similarity after x is rotated, scaled and shifted")),
        close("moves", observed["swapped"], right, _("the similarity of y and x")),
        holds("inputs", observed["kept"], _("your function changed the arrays it was given")),
    ]


def probe(candidate, inputs):
    """The similarity, again after x was moved, and with the arguments exchanged."""
    x, y = inputs["x"].copy(), inputs["y"].copy()
    cka = as_array(candidate(x, y))
    kept = np.array_equal(x, inputs["x"]) and np.array_equal(y, inputs["y"])
    moved = as_array(candidate(inputs["moved"], inputs["y"].copy()))
    return {"cka": cka, "moved": moved, "swapped": as_array(candidate(inputs["y"], inputs["x"])), "kept": kept}


EXERCISE = Exercise(
    id="linear-cka",
    title=_("Do two backbones see the same?"),
    lesson="09_choosing_a_model",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "Two candidates for a backbone may be near copies, or complement one another. Write `linear_cka(x, y)` after "
        "Kornblith et al. (2019) for features x (N, D) and y (N, E) of the same N examples: centre each feature over "
        "the examples, then divide the squared Frobenius norm of XᵀY by the Frobenius norms of XᵀX and of YᵀY. Return "
        "a number from 0 to 1. Rotating, scaling or shifting one of them changes nothing; the inputs stay unchanged."
    ),
    hints=(
        _("What should the similarity do when a constant is added to every activation of one network?"),
        _("Three small matrices are needed: D x E, D x D and E x E. np.linalg.norm of a matrix is its Frobenius norm."),
        _("Subtract x.mean(axis=0) and y.mean(axis=0) first. Only the norm above the fraction line is squared."),
    ),
    follow_ups=(
        FollowUp(
            _("Why not compare two networks by the correlation of feature 1 with feature 1, and so on?"),
            _(
                "Features have no order shared by two networks, and their numbers may differ: the same information "
                "lies in rotated coordinates. CKA compares how examples relate to one another, which a rotation of "
                "the features leaves as it is."
            ),
        ),
        FollowUp(
            _("CKA between two random networks with D much larger than N comes out near 1. Is that a finding?"),
            _(
                "No: with few examples and many features the estimate is biased upwards, since independent wide "
                "features make almost the same Gram matrix. Use more examples, or the debiased estimator of HSIC, and "
                "a baseline of shuffled examples."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the alignment of two representations"), weight=2),
        "wide": Criterion(_("copes with more features than examples"), needs=("value",)),
        "moves": Criterion(_("does not depend on rotation, scale, shift or order of the two"), needs=("value",)),
        "inputs": Criterion(_("leaves the arrays it was given as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"Gram matrices": GRAM, "singular vectors": SINGULAR},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(N·(D² + D·E + E²)) time, O(N·(D + E) + D² + D·E + E²) memory. Where D and E exceed N, the same number comes "
        "from the (N, N) Gram matrices in O(N²·(D + E))."
    ),
)
