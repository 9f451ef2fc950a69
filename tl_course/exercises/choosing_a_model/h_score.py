"""The H-score: how much of the features' variance lies between the classes (Bao et al., 2019; Ibrahim et al., 2022)."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def h_score(features: np.ndarray, labels: np.ndarray, shrinkage: float) -> float:
    """H-score: variance between classes, measured in units of the features' own variance.

    With S = cov(f), the covariance of the features over all N examples, and C = cov(E[f | y]), that of the features
    when each is replaced by its class's mean (both divided by N):

        H = (1 - s) trace(S_s^-1 C)   with   S_s = (1 - s) S + s trace(S) / D I

    Args:
        features: f, float, shape (N, D).
        labels: classes, integer, any numbers, shape (N,).
        shrinkage: s, 0 <= s <= 1; 0 is the score of Bao et al. (2019) and needs N > D, above 0 it is that of Ibrahim
            et al. (2022) and works for any N.

    Returns:
        The score; larger is better.
    """
    centred = features - features.mean(axis=0)
    members = labels[:, None] == np.unique(labels)  # (N, K)
    means = (members / members.sum(axis=0)).T @ centred  # (K, D)
    between = means.T * members.mean(axis=0) @ means  # (D, D): each class by its share
    covariance = centred.T @ centred / len(labels)
    level = np.trace(covariance) / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * level * np.eye(len(covariance))
    return (1 - shrinkage) * np.trace(np.linalg.solve(shrunk, between))
'''

REPLACED = """
import numpy as np


def h_score(features, labels, shrinkage):
    replaced = np.empty_like(features)
    for k in set(labels.tolist()):
        replaced[labels == k] = np.mean(features[labels == k], axis=0)
    total, between = (np.atleast_2d(np.cov(z.T, bias=True)) for z in (features, replaced))
    total = total * (1 - shrinkage)
    total[np.diag_indices_from(total)] += shrinkage * np.var(features, axis=0).mean()
    return float(((1 - shrinkage) * np.linalg.inv(total) * between).sum())
"""

DIRECTIONS = """
import numpy as np


def h_score(features, labels, shrinkage):
    # along the principal directions the covariance is diagonal, shrunk or not
    x = features - np.average(features, axis=0)
    _, s, vt = np.linalg.svd(x)
    variances = np.zeros(x.shape[1])
    variances[: len(s)] = s**2 / len(x)
    shrunk = (1 - shrinkage) * variances + shrinkage * np.average(variances)
    score = 0.0
    for k in np.unique(labels):
        mine = labels == k
        score += mine.mean() * ((vt @ x[mine].mean(0)) ** 2 / shrunk).sum()
    return score * (1 - shrinkage)
"""

BETWEEN, SHRUNK = "means.T * members.mean(axis=0) @ means", "shrinkage * level * np.eye(len(covariance))"
LAST = "(1 - shrinkage) * np.trace(np.linalg.solve(shrunk, between))"
MESSAGES = {
    "unweighted": _("each class counts alike, whatever its share of the examples"),
    "not-centred": _("features are not centred: their mean counts as variance"),
    "within": _("the spread inside the classes is measured, not that between them"),
    "upside-down": _("the two matrices changed places"),
    "no-inverse": _("the variance between classes is not set in relation to the features' own"),
    "variances-only": _("features are treated as if they were uncorrelated: copies of one feature count repeatedly"),
    "level-forgotten": _("the identity is added without the features' level: their unit decides how much is shrunk"),
    "sum-of-variances": _("the level of the identity is the sum of the variances; wanted is their mean"),
    "factor-forgotten": _("the factor 1 - s in front is missing"),
    "shrinkage-ignored": _("the shrinkage has no effect"),
    "both-ways": _("the weights of covariance and identity changed places"),
    "elementwise": _("the inverse is taken number by number"),
}
EDITS = {
    "unweighted": ((BETWEEN, "means.T @ means / len(means)"),),
    "not-centred": (("features - features.mean(axis=0)", "features"),),
    "within": ((BETWEEN, "(centred - members @ means).T @ (centred - members @ means) / len(labels)"),),
    "upside-down": ((LAST, "(1 - shrinkage) * np.trace(np.linalg.pinv(between, 1e-9) @ shrunk)"),),
    "no-inverse": ((LAST, "(1 - shrinkage) * np.trace(between)"),),
    "variances-only": ((LAST, "(1 - shrinkage) * np.sum(np.diag(between) / np.diag(shrunk))"),),
    "level-forgotten": ((SHRUNK, "shrinkage * np.eye(len(covariance))"),),
    "sum-of-variances": (("np.trace(covariance) / len(covariance)", "np.trace(covariance)"),),
    "factor-forgotten": ((LAST, "np.trace(np.linalg.solve(shrunk, between))"),),
    "shrinkage-ignored": (("    centred =", "    shrinkage = 1e-9\n    centred ="),),
    "both-ways": (
        (f"(1 - shrinkage) * covariance + {SHRUNK}", f"shrinkage * covariance + (1 - {SHRUNK.replace(' *', ') *', 1)}"),
    ),
    "elementwise": ((LAST, "(1 - shrinkage) * np.trace((1 / shrunk) @ between)"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Correlated features and classes of unequal frequency: no shrinkage, some, and more features than examples."""

    def drawn(counts: list[int], width: int, shrinkage: float) -> dict[str, Plain]:
        labels = rng.permutation(np.repeat(np.arange(len(counts)) * 2 + 1, counts))
        centres = rng.normal(size=(9, width))
        noise = rng.normal(size=(len(labels), width)) @ (np.eye(width) + rng.normal(size=(width, width)) / 3)
        features = (centres[labels] + noise) * rng.uniform(2, 4) + rng.uniform(-5, 5, size=width)
        spin = np.linalg.qr(rng.normal(size=(width, width)))[0]
        return {"features": features, "labels": labels, "shrinkage": shrinkage, "spin": spin * rng.uniform(2, 4)}

    some = float(rng.uniform(0.2, 0.4))
    return [
        Case("without shrinkage", drawn([9, 5, 7], 4, 0.0), ("value", "inputs")),
        Case("with shrinkage", drawn([4, 10, 6], 5, some), ("shrunk", "moves")),
        Case("more features than examples", drawn([3, 5], 11, some), ("wide",)),
    ]


def expected(inputs: dict[str, Plain]) -> float:
    """The score in whitened features: the mean squared length of each example's whitened class mean."""
    features, labels, s = inputs["features"], inputs["labels"], inputs["shrinkage"]
    centred = features - features.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov(features.T, ddof=0))
    white = centred @ directions / np.sqrt((1 - s) * variances + s * variances.mean())
    lengths = [float(np.sum(white[labels == label].mean(axis=0) ** 2)) for label in labels]
    return (1 - s) * sum(lengths) / len(lengths)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with whitened features, and with what rotated and scaled features give."""
    right = expected(case.inputs)
    what = _("the score in case '{case}'").format(case=case.name)
    found = [close(case.criteria[0], observed["score"], right, what, rtol=1e-3)]
    if "moves" in case.criteria:
        text = _("the score after the features were rotated, scaled and shifted")
        found.append(close("moves", observed["moved"], right, text, rtol=1e-3))
    if "inputs" in case.criteria:
        found.append(holds("inputs", observed["kept"], _("your function changed the arrays it was given")))
    return found


def probe(candidate, inputs):
    """The score, and the score of rotated, scaled and shifted features."""
    features, labels = inputs["features"].copy(), inputs["labels"].copy()
    score = as_array(candidate(features, labels, inputs["shrinkage"]))
    kept = np.array_equal(features, inputs["features"]) and np.array_equal(labels, inputs["labels"])
    moved = as_array(candidate(inputs["features"] @ inputs["spin"] + 1.5, inputs["labels"].copy(), inputs["shrinkage"]))
    return {"score": score, "moved": moved, "kept": kept}


EXERCISE = Exercise(
    id="h-score",
    title=_("Variance between the classes"),
    lesson="09_choosing_a_model",
    minutes=15,
    difficulty=4,
    points=5,
    statement=_(
        "Good features have classes far apart, measured by the features' own spread. Write `h_score(features, labels, "
        "shrinkage)`: (1 - s) times the trace of the inverse of the shrunk covariance times the covariance of the "
        "class means, in which each class counts by its share of the examples. Shrinking mixes the covariance with the "
        "identity times the mean variance; the docstring has the formula. Rotating, scaling or shifting all features "
        "changes nothing."
    ),
    hints=(
        _("Two D x D matrices: one from all examples, one from the examples replaced by their class's mean."),
        _("Divide both by N. The shrunk matrix is a weighted mean of the first and of trace / D times the identity."),
        _("np.linalg.solve(shrunk, between) is the inverse of the one times the other; take its trace."),
    ),
    follow_ups=(
        FollowUp(
            _("Without shrinkage and with D >= N, the score is K - 1 for any labels. Why?"),
            _(
                "With as many directions as examples, some direction separates any assignment of labels perfectly, "
                "and the inverse covariance gives it full weight. Shrinkage takes the weight from directions whose "
                "variance is only estimated from noise."
            ),
        ),
        FollowUp(
            _("Why does the H-score not change under an invertible linear map when s = 0?"),
            _(
                "The map enters both covariances from both sides, and cancels in the trace of inverse times matrix. "
                "It is blind to what a following linear layer could undo; with s above 0 only rotations and one scale "
                "for all features leave it as it is."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the score without shrinkage")),
        "shrunk": Criterion(_("gives the score with shrinkage"), weight=2),
        "wide": Criterion(_("copes with more features than examples"), needs=("shrunk",)),
        "moves": Criterion(_("does not depend on rotation, scale and shift"), needs=("shrunk",)),
        "inputs": Criterion(_("leaves the arrays it was given as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"replaced by means": REPLACED, "principal directions": DIRECTIONS},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(N·D² + N·K·D + D³) time for K classes: covariance, class means, and one linear system of D equations. O(N·D "
        "+ N·K + D²) memory. With N above D and few classes the covariance dominates."
    ),
)
