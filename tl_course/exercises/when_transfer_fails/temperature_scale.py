"""Fit the one number that makes probabilities honest."""

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def fit_temperature(logits: np.ndarray, y: np.ndarray) -> float:
    """The temperature T > 0 for which softmax(logits / T) has the smallest mean negative log-likelihood.

    Args:
        logits: on validation data, float, of any size (thousands too), shape (N, K).
        y: true classes, integer, shape (N,).

    Returns:
        T, to 0.1 %; it lies between 0.001 and 1000.
    """
    own = logits[np.arange(len(y)), y]  # (N,)
    low, high = 1e-3, 1e3
    while high / low > 1.0001:
        middle = np.sqrt(low * high)
        shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / middle)
        shares = shares / shares.sum(axis=1, keepdims=True)
        if np.mean((shares * logits).sum(axis=1) - own) > 0:  # too sure of itself: the minimum is at a larger T
            low = middle
        else:
            high = middle
    return np.sqrt(low * high)
'''

GRID = """
import numpy as np


def fit_temperature(logits, y):
    margins = logits - logits[np.arange(len(y)), y][:, None]

    def loss(log_t):
        scaled = margins / np.exp(log_t)
        top = scaled.max(1)
        return (top + np.log(np.exp(scaled - top[:, None]).sum(1))).mean()

    centre, width = 0.0, np.log(1000)
    for _ in range(12):
        candidates = np.linspace(centre - width, centre + width, 41)
        centre = candidates[np.argmin([loss(c) for c in candidates])]
        width /= 5
    return float(np.exp(centre))
"""

NEWTON = """
import numpy as np


def fit_temperature(logits, y):
    scale = np.abs(logits - logits.max(1, keepdims=True)).mean()
    z = (logits - logits.max(1, keepdims=True)) / scale
    own, b = z[range(len(y)), y], 1e-3
    for _ in range(200):
        p = np.exp(b * z)
        p /= p.sum(1, keepdims=True)
        mean = (p * z).sum(1)
        curvature = ((p * z**2).sum(1) - mean**2).mean()
        b = np.clip(b - np.clip((mean - own).mean() / curvature, -b / 2, b), 1e-6, 1e6)
    return scale / b
"""

SEARCH = """
import numpy as np


def fit_temperature(logits, y):
    candidates = np.exp(np.linspace(np.log(1e-3), np.log(1e3), 4001))

    def probabilities(T):
        shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / T)
        return shares / shares.sum(axis=1, keepdims=True)

    scores = [SCORE for T in candidates]
    return candidates[int(np.argmin(scores))]
"""

MESSAGES = {
    "inverse": _("the logits are to be divided by the answer; yours is what they would have to be multiplied by"),
    "accuracy": _("T changes no prediction, so accuracy has no say in its choice: every T is as good"),
    "confidence": _(
        "mean confidence is made equal to accuracy: that balances the average, while the likelihood looks at each "
        "example"
    ),
    "own-labels": _("the model's own predictions serve as labels, so it seems right always and gets ever more sure"),
    "brier": _("squared errors of the probabilities are minimised; asked is the negative log-likelihood"),
    "never-below": _("an answer below 1 is excluded, but a model can also be too unsure"),
    "overflow": _("with large logits the exponential overflows: only differences between logits matter"),
}


def _searched(score: str) -> str:
    return SEARCH.replace("SCORE", score)


MISTAKES = {
    "inverse": Mistake(MESSAGES["inverse"], (("return np.sqrt(low * high)", "return 1 / np.sqrt(low * high)"),)),
    "accuracy": Mistake(
        MESSAGES["accuracy"], source=_searched("-np.mean(probabilities(T).argmax(axis=1) == y) + 1e-9 * abs(T - 1)")
    ),
    "confidence": Mistake(
        MESSAGES["confidence"],
        source=_searched("abs(probabilities(T).max(axis=1).mean() - np.mean(logits.argmax(axis=1) == y))"),
    ),
    "own-labels": Mistake(
        MESSAGES["own-labels"], (("own = logits[np.arange(len(y)), y]", "own = logits.max(axis=1)"),)
    ),
    "brier": Mistake(
        MESSAGES["brier"], source=_searched("((probabilities(T) - np.eye(logits.shape[1])[y]) ** 2).sum()")
    ),
    "never-below": Mistake(MESSAGES["never-below"], (("low, high = 1e-3, 1e3", "low, high = 1.0, 1e3"),)),
    "overflow": Mistake(MESSAGES["overflow"], (("logits - logits.max(axis=1, keepdims=True)", "logits"),)),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """An overconfident model, one that is too unsure, and logits in the thousands."""

    def sample(scale: float) -> dict[str, Plain]:
        honest = rng.normal(size=(60, 4)) * 1.6
        shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
        y = np.array([rng.choice(4, p=row) for row in shares])
        return {"logits": honest * scale + rng.normal(size=(60, 1)), "y": y}

    tiny = sample(0.01)
    tiny["logits"] *= 0.0014 / expected(tiny)

    return [
        Case("too sure", sample(float(rng.uniform(2.5, 5))), ("overconfident",)),
        Case("too unsure", sample(float(rng.uniform(0.2, 0.4))), ("underconfident",)),
        Case("large logits", sample(float(rng.uniform(1200, 1600)) / 4), ("large",)),
        Case("tiny logits", tiny, ("underconfident",)),
    ]


def expected(inputs: dict[str, Plain]) -> float:
    """The temperature by golden-section search over its logarithm."""
    logits, y = inputs["logits"], inputs["y"]

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        top = scaled.max(axis=1)
        return float(np.mean(top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - scaled[range(len(y)), y]))

    low, high, part = np.log(1e-3), np.log(1e3), (np.sqrt(5) - 1) / 2
    for _step in range(60):
        left, right = high - part * (high - low), low + part * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with a golden-section search."""
    (criterion,) = case.criteria
    right = expected(case.inputs)
    what = _("the temperature in case '{case}'").format(case=case.name)
    return [close(criterion, observed["temperature"], right, what, rtol=2e-3)]


def probe(candidate, inputs):
    """The temperature fitted to one sample."""
    return {"temperature": as_array(candidate(inputs["logits"], inputs["y"]))}


EXERCISE = Exercise(
    id="temperature-scale",
    title=_("One number against overconfidence"),
    lesson="08_when_transfer_fails",
    minutes=15,
    difficulty=3,
    points=4,
    statement=_(
        "Fine-tuned networks are often too sure of themselves. Temperature scaling (Guo et al. 2017) divides all "
        "logits by one number T. Write `fit_temperature(logits, y)`: the T between 0.001 and 1000 with the smallest "
        "mean negative log-likelihood of the validation labels y, to 0.1 %. It works below and above 1, and with "
        "logits in the thousands. Use any search you like."
    ),
    hints=(
        _("The loss has a single minimum over T, so any one-dimensional search will find it."),
        _("T spans six powers of ten: search in its logarithm. Subtract each row's largest logit before exp."),
        _(
            "Too sure means: the expected logit under your probabilities is larger than the mean logit of the true "
            "classes. The sign of that difference tells in which half of the interval to go on."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why must T be fitted on validation data and not on training data?"),
            _(
                "A network fits its training labels nearly perfectly, so there it looks underconfident, and T would "
                "come out too small. Held-out data show how often a given confidence is right."
            ),
        ),
        FollowUp(
            _("Does one T stay right under domain shift?"),
            _(
                "Usually not: confidence falls more slowly than accuracy (Ovadia 2019), so a T from the source is too "
                "small on shifted data. Fit it on a small labelled target sample, and report calibration there."
            ),
        ),
    ),
    criteria={
        "overconfident": Criterion(_("finds T for a model that is too sure")),
        "underconfident": Criterion(_("finds T for a model that is too unsure")),
        "large": Criterion(_("copes with logits in the hundreds and thousands"), weight=0.5),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"grid": GRID, "newton": NEWTON},
            mistakes=MISTAKES,
            equivalent={
                "low, high = (0.001, 2000.0)": "a wider interval holds the same minimum",
                "while high / low >= 1.0001:": "one step more or less stays within the accuracy asked for",
                "if np.mean((shares * logits).sum(axis=1) - own) >= 0:": "at a slope of exactly 0, T is found",
            },
        ),
    },
    complexity=_(
        "O(N·K) time a round, and 18 rounds: each halves the interval of log T, from a ratio of a million to one of "
        "1.0001. O(N·K) memory; the logits are computed once, and nothing else is trained."
    ),
)
