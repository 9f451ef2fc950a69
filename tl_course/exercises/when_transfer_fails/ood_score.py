"""The energy of logits as a sign that an input is unlike the training data."""

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def energy(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The energy score of Liu et al. (2020): the higher, the less an example looks like training data.

    Args:
        logits: float, of any size (thousands too), shape (N, K).
        temperature: T > 0.

    Returns:
        -T * log(sum over classes of exp(logit / T)), finite, shape (N,).
    """
    top = logits.max(axis=1)
    shares = np.exp((logits - top[:, None]) / temperature)
    return -top - temperature * np.log(shares.sum(axis=1))
'''

REDUCE = """
import numpy as np


def energy(logits, temperature):
    return -temperature * np.logaddexp.reduce(np.asarray(logits) / temperature, axis=1)
"""

PYTHON = """
import math


def energy(logits, temperature):
    scores = []
    for row in logits.tolist():
        scaled = sorted(value / temperature for value in row)
        rest = math.fsum(math.exp(value - scaled[-1]) for value in scaled[:-1])
        scores.append(-temperature * (scaled[-1] + math.log1p(rest)))
    return scores
"""

MESSAGES = {
    "unstable": _("with large logits the exponential overflows, or all of them vanish and the logarithm of 0 is taken"),
    "sign": _("the sign is turned: these numbers are high where the example is familiar"),
    "confidence": _(
        "this is the largest probability, which a constant added to all logits cannot change; energy sees it"
    ),
    "largest": _("only the largest logit counts; the others hold evidence too"),
    "no-outer": _("logits are divided by T, but the logarithm is not multiplied by it"),
    "no-inner": _("T multiplies the logarithm, but the logits inside were not divided by it"),
    "global-top": _(
        "one largest logit is taken for the whole batch: rows far below it vanish in the exponential and become "
        "infinite"
    ),
    "mean": _("the mean over classes is taken, not the sum, so the score depends on the number of classes"),
    "batch-axis": _("the sum runs over the examples, not over the classes of an example"),
    "not-restored": _("the largest logit is subtracted for safety and never put back"),
}
RESULT, SHARES = "-top - temperature * np.log(shares.sum(axis=1))", "np.exp((logits - top[:, None]) / temperature)"
EDITS = {
    "unstable": ((RESULT, "-temperature * np.log(np.exp(logits / temperature).sum(axis=1))"),),
    "sign": ((RESULT, "top + temperature * np.log(shares.sum(axis=1))"),),
    "confidence": ((RESULT, "-(shares / shares.sum(axis=1, keepdims=True)).max(axis=1)"),),
    "largest": ((RESULT, "-top"),),
    "no-outer": ((RESULT, "-top / temperature - np.log(shares.sum(axis=1))"),),
    "no-inner": (
        (SHARES, "np.exp(logits - top[:, None])"),
        (RESULT, "-temperature * (top + np.log(shares.sum(axis=1)))"),
    ),
    "global-top": (("logits.max(axis=1)", "np.full(len(logits), logits.max())"),),
    "mean": (("shares.sum(axis=1)", "shares.mean(axis=1)"),),
    "batch-axis": (
        ("logits.max(axis=1)", "logits.max(axis=0)"),
        ("top[:, None]", "top"),
        ("shares.sum(axis=1)", "shares.sum(axis=0)"),
    ),
    "not-restored": ((RESULT, "-temperature * np.log(shares.sum(axis=1))"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Logits of usual size with two temperatures; very large and very small ones in one batch."""
    usual = rng.normal(size=(7, 4)) * 2 + rng.normal(size=(7, 1)) * 3
    extreme = rng.normal(size=(6, 5)) * 3 + np.array([[4000.0], [-3000], [0], [900], [-12000], [30]])
    return [
        Case("T = 1", {"logits": usual, "temperature": 1.0}, ("value",)),
        Case("other T", {"logits": usual[:5], "temperature": float(rng.uniform(1.8, 3))}, ("temperature",)),
        Case("extreme", {"logits": extreme, "temperature": float(rng.uniform(0.4, 0.6))}, ("extreme",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with sums built class by class, in a form that cannot overflow."""
    (criterion,) = case.criteria
    temperature = case.inputs["temperature"]
    right = []
    for row in case.inputs["logits"].tolist():
        total = row[0] / temperature
        for value in row[1:]:
            small, large = sorted((total, value / temperature))
            total = large + float(np.log1p(np.exp(small - large)))
        right.append(-temperature * total)
    what = _("the energies in case '{case}'").format(case=case.name)
    return [close(criterion, observed["energy"], right, what, rtol=1e-7, atol=1e-6)]


def probe(candidate, inputs):
    """The energies of one batch."""
    return {"energy": as_array(candidate(inputs["logits"], inputs["temperature"]))}


EXERCISE = Exercise(
    id="ood-score",
    title=_("Have I seen anything like this?"),
    lesson="08_when_transfer_fails",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "A softmax forgets how large the logits were; the energy score remembers. Write `energy(logits, temperature)`: "
        "for each row -T log(sum of exp(logit / T)), shape (N,), high where an example looks unfamiliar. It must be "
        "exact for logits in the thousands, positive and negative, also side by side in one batch. Only NumPy and the "
        "standard library are needed."
    ),
    hints=(
        _("What do exp(4000) and log(exp(-4000)) give in floating point?"),
        _("log(sum of exp) moves by c when all logits of a row move by c. Which c keeps every exponential harmless?"),
        _("Take each row's largest logit out of the sum, and add it again after the logarithm; mind where T stands."),
    ),
    follow_ups=(
        FollowUp(
            _("How do you turn the score into a decision?"),
            _(
                "Choose a threshold on in-distribution validation data, say the energy that 95 % of them stay below, "
                "then report how many truly foreign examples pass it. No foreign data may choose the threshold unless "
                "you know what kind will come."
            ),
        ),
        FollowUp(
            _("Why can a network be confident about an image of noise?"),
            _(
                "Softmax only compares classes with each other, and a ReLU network is linear far from the data, so "
                "logit differences grow with distance (Hein 2019). Confidence there says which class is least "
                "unlike, not that any fits."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the energy with T = 1")),
        "temperature": Criterion(_("uses the temperature in both places"), needs=("value",)),
        "extreme": Criterion(_("is exact for very large and very small logits"), weight=2),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"reduce": REDUCE, "python": PYTHON},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(N·K) time and memory, one exponential for each logit. The forward pass has been made for the prediction "
        "anyway, so the score comes for free."
    ),
)
