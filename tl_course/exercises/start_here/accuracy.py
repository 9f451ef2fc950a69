"""The share of right predictions."""

from collections.abc import Sequence

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

REFERENCE = '''
import numpy as np


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share of examples whose highest logit belongs to the right class.

    Args:
        logits: one score for each class, any real numbers, float, shape (N, K).
        labels: the right classes, integers 0..K-1, shape (N,).

    Returns:
        A number in [0, 1].
    """
    predicted = logits.argmax(axis=1)  # (N,)
    return np.mean(predicted == labels)
'''

LOOP = """
def accuracy(logits, labels):
    right = 0
    for scores, label in zip(logits, labels):
        best = max(range(len(scores)), key=lambda k: scores[k])
        if best == label:
            right += 1
    return right / len(labels)
"""

RIGHT_LOGIT = """
import numpy as np


def accuracy(logits, labels):
    of_right_class = np.take_along_axis(logits, labels[:, None], axis=1)
    beaten_by = (logits > of_right_class).sum(axis=1)
    return float(np.count_nonzero(beaten_by == 0)) / logits.shape[0]
"""

SORTED = """
import numpy as np


def accuracy(logits, labels):
    return 1 - np.count_nonzero(np.argsort(logits)[:, -1] - labels) / labels.size
"""

WRONG_AXIS = _("the best example for each class was looked up; what is wanted is the best class for each example")
COUNTS = _("this is how many predictions are right, not which share of them")
MAXIMUM = _("the highest score was compared with the label: a score says how sure, not which class")
ERROR_RATE = _("this is the share of wrong predictions")
PER_CENT = _("per cent and share differ by a factor of 100")
PER_CLASS = _(
    "the average was taken class by class, so a rare class counts as much as a frequent one: balanced accuracy"
)
OVER_CLASSES = _("the right predictions were divided by the number of classes, not of examples")
THRESHOLD = _("logits were read as probabilities: they may be negative or large, and only their order counts")
SMALLEST = _("the class with the lowest score was taken")


def _logits(rng: np.random.Generator, predicted: Sequence[int] | np.ndarray, num_classes: int) -> np.ndarray:
    """Logits in [-4, -1] whose highest in each row is the given class's."""
    logits = rng.uniform(-4, -2, size=(len(predicted), num_classes))
    logits[np.arange(len(predicted)), predicted] = rng.uniform(-1.9, -1, size=len(predicted))
    return logits.astype(np.float32)


def cases(rng: np.random.Generator) -> list[Case]:
    """Uneven classes; as many examples as classes; positive logits; a single example. How many are right is drawn."""
    labels = np.repeat([0, 1, 4], [int(rng.integers(8, 15)), int(rng.integers(5, 8)), 1])
    predicted = labels.copy()
    predicted[: rng.integers(1, 5)], predicted[-1] = 2, 3
    order = rng.permutation(len(labels))
    uneven = _batch(rng, predicted[order], 5, labels[order])
    uneven["logits"][labels[order] == 4, 4] = -5  # the lowest logit is right there
    size = int(rng.choice([5, 7, 9]))
    cycle, wrong = np.roll(np.arange(size), int(rng.integers(1, size))), int(rng.integers(1, size - 2))
    square = np.append(cycle[1 : wrong + 1], cycle[wrong:])
    large = rng.integers(1, 3, size=rng.integers(5, 10))
    said = rng.permutation(len(large)) >= rng.integers(1, 4)  # class 0 is said where this is False
    one, other = rng.permutation(np.arange(1, 4))[:2]
    return [
        Case("uneven classes", uneven, ("value",)),
        Case("as many examples as classes", _batch(rng, cycle, size, square), ("square",)),
        Case("large logits", _batch(rng, large * said, 3, large, 6), ("logits",)),
        Case("one example", _batch(rng, [one], 4, [rng.choice([one, other])]), ("one",)),
    ]


def _batch(
    rng: np.random.Generator,
    predicted: Sequence[int] | np.ndarray,
    num_classes: int,
    labels: Sequence[int] | np.ndarray,
    shift: float = 0,
) -> dict[str, Plain]:
    """Inputs whose highest logits belong to the predicted classes, all logits raised by shift."""
    return {"logits": _logits(rng, predicted, num_classes) + np.float32(shift), "labels": np.array(labels)}


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Count the right ones example by example."""
    pairs = zip(case.inputs["logits"].tolist(), case.inputs["labels"].tolist(), strict=True)
    right = [scores.index(max(scores)) == label for scores, label in pairs]
    (criterion,) = case.criteria
    return [close(criterion, observed["accuracy"], sum(right) / len(right), _("the accuracy"))]


def probe(candidate, inputs):
    """The accuracy of a batch."""
    return {"accuracy": as_array(candidate(inputs["logits"], inputs["labels"]))}


MEAN = "np.mean(predicted == labels)"
CLASS_MEAN = "np.mean([np.mean(predicted[labels == k] == k) for k in np.unique(labels)])"

EXERCISE = Exercise(
    id="accuracy",
    title=_("The share of right predictions"),
    lesson="00_start_here",
    minutes=4,
    difficulty=1,
    points=2,
    statement=_(
        "A classifier returns logits: for each example one score per class, any real numbers, the highest for the "
        "class it predicts. Write `accuracy`: from logits of shape (N, K) and labels of shape (N,), the share of "
        "examples predicted right, a single number in [0, 1]. Every example counts the same, and it must work for any "
        "N and K."
    ),
    hints=(
        _("First the predicted class of each example, then how often it is the right one."),
        _("NumPy finds the position of the highest score; tell it which axis holds the classes."),
        _("Comparing two integer arrays gives True and False, and the mean of those is a share."),
    ),
    follow_ups=(
        FollowUp(
            _(
                "95 % of the examples are of one class. What does an accuracy of 95 % say, and what would you report "
                "beside it?"
            ),
            _(
                "Nothing yet: a model that always names the frequent class reaches 95 % without looking. Report that "
                "baseline beside it, and what the rare class gets: its recall and precision, the balanced accuracy or "
                "the confusion matrix."
            ),
        ),
        FollowUp(
            _("Why does softmax before argmax change nothing?"),
            _(
                "Softmax keeps the order: of two logits, the larger keeps the larger probability, so "
                "the position of the maximum stays. Only rounding can spoil this, when very close probabilities "
                "become equal; taking argmax of the logits is safer and cheaper."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the share of right predictions when classes are uneven"), weight=2),
        "square": Criterion(_("is right when there are as many examples as classes")),
        "logits": Criterion(_("reads logits as scores, however large they are")),
        "one": Criterion(_("works for a single example"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=REFERENCE,
            probe=probe,
            alternatives={"loop": LOOP, "right class's logit": RIGHT_LOGIT, "sorted": SORTED},
            mistakes={
                "wrong-axis": Mistake(WRONG_AXIS, (("axis=1", "axis=0"),)),
                "counts": Mistake(COUNTS, (("np.mean", "np.sum"),)),
                "highest-score": Mistake(MAXIMUM, (("argmax", "max"),)),
                "error-rate": Mistake(ERROR_RATE, (("==", "!="),)),
                "per-cent": Mistake(PER_CENT, ((MEAN, f"100 * {MEAN}"),)),
                "class-by-class": Mistake(PER_CLASS, ((MEAN, CLASS_MEAN),)),
                "over-classes": Mistake(OVER_CLASSES, ((MEAN, "np.sum(predicted == labels) / logits.shape[1]"),)),
                "threshold": Mistake(THRESHOLD, (("logits.argmax(axis=1)", "(logits > 0.5).argmax(axis=1)"),)),
                "lowest-score": Mistake(SMALLEST, (("argmax", "argmin"),)),
            },
        ),
    },
    complexity=_(
        "O(N·K) time, as every logit is looked at once; O(N) extra memory for the predicted classes. Beside the "
        "forward pass that made the logits it does not count."
    ),
)
