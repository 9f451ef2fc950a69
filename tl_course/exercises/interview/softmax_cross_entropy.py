"""Softmax cross-entropy and its gradient, safe for any logits."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of the softmax of logits, and its gradient.

    Args:
        logits: any finite numbers, float, shape (N, K), N and K at least 1; not modified. Logits of 10,000 give no
            overflow, and a right class that is hopeless gives a large finite loss.
        labels: the right classes, integers 0..K-1, shape (N,).

    Returns:
        The loss averaged over the N examples, a number; its gradient with respect to the logits, shape (N, K).
    """
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[rows, labels] -= 1
    return -log_p[rows, labels].mean(), gradient / len(labels)
'''

ONE_HOT = """
import numpy as np


def softmax_cross_entropy(logits, labels):
    n, k = logits.shape
    target = np.eye(k)[labels]
    log_p = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    loss = -np.sum(np.where(target == 1, log_p, 0)) / n
    return float(loss), (np.exp(log_p) - target) / n
"""

LOOP = """
import math

import numpy as np


def softmax_cross_entropy(logits, labels):
    total, gradient = 0.0, np.zeros(logits.shape)
    for i, (row, label) in enumerate(zip(logits.astype(float).tolist(), labels.tolist())):
        top = max(row)
        parts = [math.exp(value - top) for value in row]
        total += math.log(sum(parts)) + top - row[label]
        for j, part in enumerate(parts):
            gradient[i, j] = part / sum(parts) - (j == label)
    return total / len(labels), gradient / len(labels)
"""

SHIFT, LOG_P = "logits - logits.max(axis=1, keepdims=True)", "np.log(np.exp(shifted).sum(axis=1, keepdims=True))"
LOSS, GRADIENT = "-log_p[rows, labels].mean()", "gradient / len(labels)"
MISTAKES = {
    "overflows": Mistake(
        _("the logits go into the exponential as they are: it overflows for large ones"), ((SHIFT, "logits"),)
    ),
    "one-shift": Mistake(
        _("one maximum serves the whole batch: a row of much smaller logits underflows to zeros"),
        ((SHIFT, "logits - logits.max()"),),
    ),
    "log-of-zero": Mistake(
        _("the logarithm is taken of finished probabilities: one that has rounded to zero gives an infinite loss"),
        ((f"shifted - {LOG_P}", "np.log(np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True))"),),
    ),
    "epsilon": Mistake(
        _("a small number keeps the logarithm finite, and caps the loss: what is hopelessly wrong costs too little"),
        ((f"shifted - {LOG_P}", "np.log(np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True) + 1e-12)"),),
    ),
    "sums": Mistake(_("the losses are added up over the batch, not averaged"), ((".mean()", ".sum()"),)),
    "gradient-of-sum": Mistake(
        _("the loss is a mean and the gradient that of a sum: the two differ by the size of the batch"),
        ((GRADIENT, "gradient"),),
    ),
    "no-target": Mistake(
        _("the gradient is the softmax alone: it has nothing of the right class"),
        (("    gradient[rows, labels] -= 1\n", ""),),
    ),
    "sign": Mistake(
        _("the gradient points the other way: a step against it makes the loss grow"), ((GRADIENT, f"-{GRADIENT}"),)
    ),
    "of-probabilities": Mistake(
        _("the gradient is that with respect to the probabilities; the softmax itself has not been differentiated"),
        (
            ("gradient = np.exp(log_p)", "gradient = np.zeros_like(log_p)"),
            ("gradient[rows, labels] -= 1", "gradient[rows, labels] -= np.exp(-log_p[rows, labels])"),
        ),
    ),
    "wrong-axis": Mistake(
        _("the softmax runs over the examples, not over the classes of one example"),
        ((SHIFT, "logits - logits.max(axis=0)"), (LOG_P, "np.log(np.exp(shifted).sum(axis=0))")),
    ),
    "in-place": Mistake(
        _("the caller's logits are overwritten"),
        ((f"shifted = {SHIFT}", "shifted = logits\n    shifted -= logits.max(axis=1, keepdims=True)"),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A usual batch, logits up to tens of thousands with hopeless labels, and one example or class alone."""
    usual = {"logits": 2 * rng.normal(size=(5, 4)), "labels": rng.permutation([0, 1, 2, 3, 3])}
    huge = rng.normal(size=(4, 3)) + np.array([[1e4, 0, -1e4], [-2e4, -2e4, -2e4], [0, 0, 1e3], [3e4, 3e4, 3e4]])
    labels = np.array([2, int(rng.integers(3)), 2, int(rng.integers(3))])
    single = {"logits": rng.normal(size=(1, 6)), "labels": rng.integers(6, size=1)}
    only = {"logits": rng.normal(size=(3, 1)), "labels": np.zeros(3, dtype=np.int64)}
    return [
        Case("usual", usual, ("loss", "gradient", "untouched")),
        Case("huge", {"logits": huge, "labels": labels}, ("stable",)),
        Case("one example", single, ("edges",)),
        Case("one class", only, ("edges",)),
    ]


def expected(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The right answer from differences of logits: a probability is 1 / sum of exp(other logits - its own)."""
    minus_log_p = np.array([[np.logaddexp.reduce(row - value) for value in row] for row in logits])
    target = labels[:, None] == np.arange(logits.shape[1])
    return float(minus_log_p[target].mean()), (np.exp(-minus_log_p) - target) / len(labels)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare loss and gradient."""
    loss, gradient = expected(**case.inputs)
    names = ("loss", "gradient") if case.name == "usual" else case.criteria * 2
    found = [
        close(names[0], observed["loss"], loss, _("the loss")),
        close(names[1], observed["gradient"], gradient, _("the gradient")),
    ]
    kept = holds("untouched", observed["kept"], _("the arrays you were given had other values afterwards"))
    return [*found, kept] if case.name == "usual" else found


def probe(candidate, inputs):
    """Loss and gradient, and whether the inputs stayed as they were."""
    (loss, gradient), kept = _watch.call(candidate, inputs["logits"], inputs["labels"])
    return {"loss": as_array(loss), "gradient": as_array(gradient), "kept": kept}


EXERCISE = Exercise(
    id="softmax-cross-entropy",
    title=_("Cross-entropy by hand, gradient included"),
    lesson="11_interview_clinic",
    minutes=15,
    difficulty=3,
    points=4,
    statement=_(
        "No framework. Write `softmax_cross_entropy(logits, labels)` for logits (N, K) and integer labels (N,). Return "
        "the mean loss, a number, and its gradient with respect to the logits, (N, K). Logits may be any finite "
        "numbers, 10,000 included: neither result may overflow, and a hopeless right class must give its true, large "
        "loss. One example or one class must work. Leave the inputs unchanged."
    ),
    hints=(
        _("Write the loss of one example as a difference of two terms before you code anything."),
        _("The log-softmax does not change when a number is taken off all logits of a row. Which number is safe?"),
        _("The gradient of one example's loss is its softmax, less 1 at the right class. What does the mean add?"),
    ),
    follow_ups=(
        FollowUp(
            _("Why is it safe to subtract the maximum, and why not the mean?"),
            _(
                "Softmax does not change when a row is shifted. With the maximum taken off, every exponent is at most "
                "0 and one is exactly 0, so nothing overflows and the sum lies between 1 and K: its logarithm is "
                "harmless. With the mean taken off, a row such as 2,000 and 0 still overflows."
            ),
        ),
        FollowUp(
            _("Why do frameworks fuse softmax and cross-entropy into one function?"),
            _(
                "Apart, the logarithm meets probabilities that have rounded to zero, and the backward pass divides by "
                "them. Fused, the loss is a log-sum-exp less a logit and the gradient softmax less target: no "
                "division, each entry between -1 and 1 before averaging, and less memory."
            ),
        ),
        FollowUp(
            _("Your vocabulary has 250,000 tokens. What becomes expensive, and what helps?"),
            _(
                "The logits: positions times vocabulary, in the forward pass and again for the gradient, often more "
                "than all activations of the model. Compute the loss in chunks of positions, leave out ignored "
                "positions before the last layer, or use a fused kernel that never stores all logits."
            ),
        ),
    ),
    complexity=_("O(N·K) time. O(N·K) extra memory for the log-probabilities and the gradient."),
    criteria={
        "loss": Criterion(_("gives the mean loss")),
        "gradient": Criterion(_("gives the gradient of that mean"), weight=2),
        "stable": Criterion(_("is right for huge logits and hopeless labels"), weight=2),
        "edges": Criterion(_("works for one example and for one class"), weight=0.5, needs=("loss", "gradient")),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("loss", "gradient")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY, probe=probe, alternatives={"one-hot": ONE_HOT, "loop": LOOP}, mistakes=MISTAKES
        ),
    },
)
