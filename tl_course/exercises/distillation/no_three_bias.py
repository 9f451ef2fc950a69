"""A student that never saw a three, and the one number that lets it say so (Hinton et al., 2015)."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array, describe
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def missing_class_offset(logits: np.ndarray, missing: int, share: float) -> float:
    """What to add to the bias of a class that the student never saw, so that it predicts it as often as it occurs.

    Args:
        logits: the student's, on unlabelled examples, shape (N, K); no two of them are equal.
        missing: the class that was left out of the transfer set.
        share: how often the class occurs, in [0, 1]. round(share * N) examples are to be predicted as this class.

    Returns:
        The offset, finite. The other classes' biases stay as they are.
    """
    others = np.delete(logits, missing, axis=1)
    needed = others.max(axis=1) - logits[:, missing]  # (N,): the offset at which each example tips over
    count = round(share * len(needed))
    padded = np.sort([needed.min() - 2, *needed, needed.max() + 2])
    return (padded[count] + padded[count + 1]) / 2
'''

BISECTION = """
import numpy as np


def missing_class_offset(logits, missing, share):
    wanted = int(round(share * logits.shape[0]))

    def predicted(offset):
        moved = logits.copy()
        moved[:, missing] += offset
        return int((moved.argmax(axis=1) == missing).sum())

    span = float(logits.max() - logits.min()) + 1.0
    low, high = -span, span
    for _ in range(200):
        middle = (low + high) / 2
        if predicted(middle) == wanted:
            return middle
        low, high = (middle, high) if predicted(middle) < wanted else (low, middle)
    return low
"""

SORTED = """
import numpy as np


def missing_class_offset(logits, missing, share):
    gaps = []
    for row in logits.tolist():
        own = row.pop(missing)
        gaps.append(max(row) - own)
    gaps.sort()
    count = round(share * len(gaps))
    if count == 0:
        return gaps[0] - 1.0
    if count == len(gaps):
        return gaps[-1] + 1.0
    return 0.5 * (gaps[count - 1] + gaps[count])
"""

OTHERS, NEEDED = "np.delete(logits, missing, axis=1)", "others.max(axis=1) - logits[:, missing]"
COUNT, RETURN = "round(share * len(needed))", "(padded[count] + padded[count + 1]) / 2"
MESSAGES = {
    "sign": _("the sign is wrong: the class is predicted even less often than before"),
    "mean-logit": _("equal means of the logits do not make a class win as often as it occurs"),
    "prior": _("the logarithm of the share knows nothing of the logits: how often the class wins stays open"),
    "complement": _("the share of the other classes was used"),
    "one-of-k": _("the class is given one K-th of the examples, whatever share was asked for"),
    "itself-among-others": _("the class is compared with itself, too: it needs no offset where it wins already"),
    "against-mean": _("the class must beat the largest of the others, not their mean"),
    "one-too-many": _("one example more than asked for tips over"),
    "no-ends": _("for none or all of the examples it fails: there is no neighbour to lie between"),
    "other-class": _("the offset is worked out for another class than the missing one"),
}
EDITS = {
    "sign": (RETURN, f"-{RETURN}"),
    "mean-logit": (RETURN, "others.mean() - logits[:, missing].mean()"),
    "prior": (RETURN, "np.log(np.clip(share, 1e-6, 1))"),
    "complement": (COUNT, "round((1 - share) * len(needed))"),
    "one-of-k": (COUNT, "len(needed) // logits.shape[1]"),
    "itself-among-others": (OTHERS, "logits"),
    "against-mean": (NEEDED, NEEDED.replace("max", "mean")),
    "one-too-many": (RETURN, "padded[min(count + 1, len(needed))] + 1e-6"),
    "no-ends": (RETURN, "np.sort(needed)[[count - 1, count]].mean()"),
    "other-class": (NEEDED, NEEDED.replace("missing", "missing - 1")),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A class never predicted; one predicted too often; and shares of 0 and 1."""
    count, num_classes = 40, 6
    missing = int(rng.integers(1, num_classes))
    logits = rng.normal(size=(count, num_classes)) * 2 + rng.normal(size=(count, 1)) * 3
    low, high = logits.copy(), logits.copy()
    low[:, missing] -= 8
    high[:, missing] += 8
    shares = {"some": float(rng.uniform(0.22, 0.45)), "few": float(rng.uniform(0.03, 0.08))}
    return [
        Case("never predicted", {"logits": low, "missing": missing, "share": shares["some"]}, ("count",)),
        Case("predicted too often", {"logits": high, "missing": missing, "share": shares["few"]}, ("too often",)),
        Case("none of them", {"logits": high, "missing": missing, "share": 0.0}, ("ends",)),
        Case("all of them", {"logits": low, "missing": missing, "share": 1.0}, ("ends",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Count the predictions with the offset: any offset that gives the right number is right."""
    inputs, (criterion,) = case.inputs, case.criteria
    offset = np.asarray(observed["offset"])
    if offset.shape != () or not np.isfinite(offset):
        text = _("one finite number was expected, yours is {offset}")
        return [Finding(criterion, False, text.format(offset=offset if offset.shape == () else describe(offset)))]
    moved = inputs["logits"] + float(offset) * np.eye(inputs["logits"].shape[1])[inputs["missing"]]
    seen, right = int((moved.argmax(axis=1) == inputs["missing"]).sum()), round(inputs["share"] * len(moved))
    text = _("with an offset of {offset:.4g}, {seen} of {total} examples are predicted as the class, not {right}")
    text = text.format(offset=float(offset), seen=seen, total=len(moved), right=right)
    changed = _("your function changed the logits it was given")
    return [holds(criterion, seen == right, text), holds(criterion, observed["kept"], changed)]


def probe_numpy(candidate, inputs):
    """The offset, and whether the logits were changed."""
    logits = inputs["logits"].copy()
    offset = as_array(candidate(logits, inputs["missing"], inputs["share"]))
    return {"offset": offset.astype(float), "kept": np.array_equal(logits, inputs["logits"])}


EXERCISE = Exercise(
    id="no-three-bias",
    title=_("A three, never seen"),
    lesson="06_distillation",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Hinton's student was distilled on digits without a single 3 and still knows much about them from soft "
        "targets; only its bias for the class is far too low. Write `missing_class_offset(logits, missing, share)`: "
        "the number to add to logit `missing` so that exactly `round(share * N)` of the N examples are predicted as "
        "this class. No labels are needed; the other logits stay. It must work for shares 0 and 1 too, and may be "
        "negative."
    ),
    hints=(
        _("Take one example. From which offset on is it predicted as the missing class?"),
        _("Each example tips over at one number of its own. Sort these numbers."),
        _("The answer lies between two neighbours of the sorted list; for none or all of them, beyond its ends."),
    ),
    follow_ups=(
        FollowUp(
            _("Hinton et al. chose the bias that does best on the test set. What would you do instead, and why?"),
            _(
                "Choosing on the test set makes its result too good. Use validation data, or no labels at all: a known "
                "frequency of the class, as here. The finding stands either way: features for 3 were learned without "
                "one."
            ),
        ),
        FollowUp(
            _("How can a student know about threes without having seen one?"),
            _(
                "The teacher gives small probabilities of 3 to certain 8s, 5s and 2s. At a high temperature they weigh "
                "enough to shape the student's features and the class's weights; the bias alone learns that a 3 "
                "never is the answer."
            ),
        ),
    ),
    criteria={
        "count": Criterion(_("lets the class be predicted as often as asked for"), weight=2),
        "too often": Criterion(_("also lowers a class that is predicted too often")),
        "ends": Criterion(_("works for none and for all of the examples")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"bisection": BISECTION, "sorted": SORTED},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
            equivalent={
                "padded = np.sort([needed.min() - 3, *needed, needed.max() + 2])": "as good a place below all of them",
                "padded = np.sort([needed.min() - 2, *needed, needed.max() + 3])": "as good a place above all of them",
            },
        ),
    },
    complexity=_(
        "O(N·K + N log N) time: a maximum for each example, then one sort, in place of which a selection would do in "
        "O(N). O(N·K) memory, as the other logits are copied. Nothing is trained."
    ),
)
