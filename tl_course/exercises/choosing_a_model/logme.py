"""LogME: how probable a linear model on the features makes the labels, its weights averaged (You et al., 2021)."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the maximum evidence (LogME) of features for labels (You et al., 2021).

    Each class gives a target t in {0, 1}^N (is it this class?), modelled as t = F w + noise with w ~ N(0, I / alpha)
    and noise ~ N(0, I / beta). With A = alpha I + beta F^T F and m = beta A^-1 F^T t, the log evidence is

        D/2 log alpha + N/2 log beta - N/2 log 2 pi - beta/2 |F m - t|^2 - alpha/2 |m|^2 - 1/2 log det A

    and alpha and beta are those that make it largest. There gamma, the number of weights in use, is
    beta trace(A^-1 F^T F), alpha = gamma / |m|^2 and beta = (N - gamma) / |F m - t|^2: start with 1 and repeat.

    Args:
        features: F, float, shape (N, D), N > D; used as they are, not centred.
        labels: integer, any numbers, shape (N,), two classes or more.

    Returns:
        The mean over classes of the maximum log evidence, divided by N.
    """
    (n, d), gram = features.shape, features.T @ features
    found = []
    for label in np.unique(labels):
        target = labels == label
        alpha = beta = 1.0
        for _ in range(100):
            a = alpha * np.eye(d) + beta * gram
            m = beta * np.linalg.solve(a, features.T @ target)
            error = np.sum((features @ m - target) ** 2)
            gamma = beta * np.trace(np.linalg.solve(a, gram))
            alpha, beta = gamma / (m @ m), (n - gamma) / error
        fit = d * np.log(alpha) + n * np.log(beta / (2 * np.pi)) - beta * error - alpha * (m @ m)
        found.append((fit - np.linalg.slogdet(a)[1]) / 2)
    return np.mean(found) / n
'''

SPECTRUM = """
import math

import numpy as np


def logme(features, labels):
    u, s, _ = np.linalg.svd(features, full_matrices=False)
    squares, n = s**2, len(labels)

    def evidence(target):
        along = (u.T @ target) ** 2
        outside = float(target @ target) - along.sum()
        ratio = 1.0
        for _ in range(100):
            used = squares / (squares + ratio)
            weights = (along * squares / (squares + ratio) ** 2).sum()
            error = outside + (along * (1 - used) ** 2).sum()
            beta = (n - used.sum()) / error
            ratio = used.sum() / weights / beta
        spread = np.log(1 + squares / ratio).sum()
        return 0.5 * (n * math.log(beta / 2 / math.pi) - spread - beta * (error + ratio * weights))

    values = [evidence(1.0 * (labels == k)) for k in sorted(set(labels.tolist()))]
    return sum(values) / len(values) / n
"""

DENSITY = """
import numpy as np
from scipy.optimize import minimize_scalar


def logme(features, labels):
    kernel, n = features @ features.T, len(labels)
    best = []
    for k in np.unique(labels):
        target = np.where(labels == k, 1.0, 0.0)

        def loss(log_ratio):
            # t ~ N(0, variance * covariance); the best variance for a given ratio beta / alpha is known
            covariance = np.eye(n) + np.exp(log_ratio) * kernel
            variance = target @ np.linalg.solve(covariance, target) / n
            return (n * np.log(2 * np.pi * variance) + n + np.linalg.slogdet(covariance)[1]) / 2

        best.append(-minimize_scalar(loss, bounds=(-14, 24), method="bounded").fun)
    return np.array(best).mean() / n
"""

RETURN = "np.mean(found) / n"
FULL = "d * np.log(alpha) + n * np.log(beta / (2 * np.pi)) - beta * error - alpha * (m @ m)"
MESSAGES = {
    "not-per-example": _("the evidence is not divided by the number of examples: with more of them it always falls"),
    "summed-classes": _("the classes' evidences are added up, so a task with more classes gets another scale"),
    "fixed-precisions": _("alpha and beta stay as they started: the evidence is not at its maximum"),
    "one-round": _("alpha and beta are adapted once; the maximum takes more rounds"),
    "no-determinant": _("the determinant is missing: nothing then speaks against a wide feature matrix"),
    "all-weights": _("each weight counts as in use; those that the prior holds near zero must not"),
    "class-numbers": _("the class numbers are the target: they are names, not quantities"),
    "one-class": _("only the first class is modelled"),
    "signs": _("targets are -1 and 1; the evidence is defined for 0 and 1 here and changes with their scale"),
    "no-constant": _("log 2 pi is left out: the value is no log density any more"),
    "likelihood": _("the weights' prior is left out of the evidence: what remains is how well they fit"),
    "centred": _("features are centred first; the method uses them as they are"),
}
TARGET = "target = labels == label"
EDITS = {
    "not-per-example": ((RETURN, "np.mean(found)"),),
    "summed-classes": ((RETURN, "np.sum(found) / n"),),
    "fixed-precisions": (("alpha, beta = gamma / (m @ m), (n - gamma) / error", "pass"),),
    "one-round": (("range(100)", "range(1)"),),
    "no-determinant": (("(fit - np.linalg.slogdet(a)[1]) / 2", "fit / 2"),),
    "all-weights": (("beta * np.trace(np.linalg.solve(a, gram))", "d"),),
    "class-numbers": ((TARGET, "target = labels"),),
    "one-class": (("np.unique(labels):", "np.unique(labels)[:1]:"),),
    "signs": ((TARGET, "target = 2 * (labels == label) - 1"),),
    "no-constant": (("beta / (2 * np.pi)", "beta"),),
    "likelihood": ((FULL, "n * np.log(beta / (2 * np.pi)) - beta * error"), (" - np.linalg.slogdet(a)[1]", "")),
    "centred": (("    (n, d), gram", "    features = features - features.mean(axis=0)\n    (n, d), gram"),),
}


LOGS = np.linspace(-14, 24, 153)  # of beta / alpha


def cases(rng: np.random.Generator) -> list[Case]:
    """Features that know something of the classes: three of these; two, with features in a small unit."""

    def drawn(counts: list[int], width: int, unit: float) -> dict[str, np.ndarray]:
        labels = rng.permutation(np.repeat(np.arange(len(counts)) * 3 + 2, counts))
        centres = rng.normal(size=(9, width)) * 1.5
        features = centres[labels] + rng.normal(size=(len(labels), width)) * rng.uniform(0.4, 1.5, size=width)
        curves = [_densities(features * unit, labels == label, LOGS) for label in np.unique(labels)]
        if not all(map(_one_peak, curves)):  # a maximum that every search finds
            return drawn(counts, width, unit)
        spin = np.linalg.qr(rng.normal(size=(width, width)))[0] * rng.uniform(2, 4)
        return {"features": features * unit, "labels": labels, "spin": spin}

    return [
        Case("three classes", drawn([11, 8, 6], 5, 1.0), ("value", "moves", "inputs")),
        Case("two classes", drawn([9, 13], 4, float(rng.uniform(0.01, 0.02))), ("two",)),
    ]


def _densities(features: np.ndarray, target: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Log density of a target as a draw from N(0, F F^T / alpha + I / beta), for each log(beta / alpha); best beta."""
    eigenvalues, vectors = np.linalg.eigh(features @ features.T)
    shapes = 1 + np.exp(logs)[:, None] * np.maximum(eigenvalues, 0)  # variances in units of 1 / beta
    noise = ((vectors.T @ target) ** 2 / shapes).mean(axis=1)  # the most probable 1 / beta
    return -0.5 * (len(target) * (np.log(2 * np.pi * noise) + 1) + np.log(shapes).sum(axis=1))


def _one_peak(values: np.ndarray) -> bool:
    falls = np.diff(values) < -1e-9
    return bool(values.max() > values[0] + 1 and falls[-1] and not (falls[:-1] & ~falls[1:]).any())


def expected(features: np.ndarray, labels: np.ndarray) -> float:
    """The largest density of the targets, searched on ever finer grids."""
    found = []
    for label in np.unique(labels):
        logs, densities = LOGS, np.empty(0)
        for _zoom in range(6):
            densities = _densities(features, labels == label, logs)
            place, step = int(densities.argmax()), logs[1] - logs[0]
            logs = np.linspace(logs[place] - step, logs[place] + step, 77)
        found.append(densities.max())
    return float(np.mean(found)) / len(labels)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the maximum found by a general search, and with what rotated features give."""
    right = expected(case.inputs["features"], case.inputs["labels"])
    what = _("the score of {case}").format(case=case.name)
    found = [close(case.criteria[0], observed["logme"], right, what, rtol=1e-4, atol=1e-5)]
    if "moves" in case.criteria:
        text = _("the score after the features were rotated and scaled")
        found.append(close("moves", observed["moved"], right, text, rtol=1e-4, atol=1e-5))
        found.append(holds("inputs", observed["kept"], _("your function changed the arrays it was given")))
    return found


def probe(candidate, inputs):
    """The score, and the score of rotated and scaled features."""
    features, labels = inputs["features"].copy(), inputs["labels"].copy()
    score = as_array(candidate(features, labels))
    kept = np.array_equal(features, inputs["features"]) and np.array_equal(labels, inputs["labels"])
    moved = as_array(candidate(inputs["features"] @ inputs["spin"], inputs["labels"].copy()))
    return {"logme": score, "moved": moved, "kept": kept}


EXERCISE = Exercise(
    id="logme",
    title=_("A score that training data cannot flatter"),
    lesson="09_choosing_a_model",
    minutes=25,
    difficulty=5,
    points=6,
    statement=_(
        "LogME ranks backbones by features and labels alone (You et al., 2021): how probable are the labels under a "
        "Bayesian linear model on the features, with the weights integrated out? Write `logme(features, labels)`; the "
        "docstring has the evidence and the equations for alpha and beta. Each class is a 0/1 target; return the mean "
        "over classes of the maximum log evidence, divided by N. Rotating and scaling the features changes nothing."
    ),
    hints=(
        _("Do one class first: with alpha and beta given, A, m and the evidence are five lines of linear algebra."),
        _("gamma, alpha and beta depend on one another: compute them in turn until nothing moves; 100 rounds do."),
        _("np.linalg.solve(A, ...) does for the inverse; np.linalg.slogdet(A)[1] is the logarithm of the determinant."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the maximum likelihood of the same linear model useless for comparing backbones?"),
            _(
                "It never falls when a feature is added, so the widest backbone wins, and with D >= N any labels fit "
                "exactly. The evidence averages over the weights: width that does not help costs, through the "
                "determinant."
            ),
        ),
        FollowUp(
            _("What does LogME not see?"),
            _(
                "What fine-tuning changes: it judges the features as they are, by a linear model. It says nothing of "
                "the cost of inference either, and its ranking on your data is a hypothesis until a probe or a short "
                "training agrees."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the maximum evidence, per example and class"), weight=2),
        "two": Criterion(_("gives it for two classes"), needs=("value",)),
        "moves": Criterion(_("does not depend on rotation and scale of the features"), needs=("value",)),
        "inputs": Criterion(_("leaves the arrays it was given as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"spectrum": SPECTRUM, "density": DENSITY},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            equivalent={
                "for _ in range(101):": "one round more than enough",
                "alpha = beta = 2.0": "the maximum does not depend on the start",
            },
        ),
    },
    complexity=_(
        "O(N·D²) time for FᵀF, then O(D³ + N·D) in each of 100 rounds for each class; O(D²) memory beside the "
        "features. One eigendecomposition of FᵀF, O(D³), would serve all classes and make a round O(D)."
    ),
)
