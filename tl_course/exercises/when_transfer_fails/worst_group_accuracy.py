"""The accuracy of the group that fares worst."""

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def worst_group(
    y: np.ndarray, predictions: np.ndarray, groups: np.ndarray, num_groups: int
) -> tuple[float, int]:
    """The lowest accuracy of a group, and which group that is.

    Args:
        y: true classes, integer, shape (N,).
        predictions: predicted classes, integer, shape (N,).
        groups: group of each example, integer from 0 to num_groups - 1, shape (N,).
        num_groups: number of groups G; some may have no example here and are left out.

    Returns:
        The lowest accuracy and its group; the smaller number where two groups are equal.
    """
    total = np.bincount(groups, minlength=num_groups)
    right = np.bincount(groups, predictions == y, num_groups)
    accuracy = np.divide(right, total, out=np.full(num_groups, np.inf), where=total > 0)
    return accuracy.min(), accuracy.argmin()
'''

LOOP = """
import numpy as np


def worst_group(y, predictions, groups, num_groups):
    worst = None
    for group in range(num_groups):
        members = groups == group
        if not members.any():
            continue
        accuracy = np.mean(y[members] == predictions[members])
        if worst is None or accuracy < worst[0]:
            worst = accuracy, group
    return worst
"""

PRESENT = """
import numpy as np


def worst_group(y, predictions, groups, num_groups):
    present, member = np.unique(groups, return_inverse=True)
    table = np.eye(len(present))[member]
    accuracies = (y == predictions) @ table / table.sum(0)
    return min(zip(accuracies.tolist(), present.tolist()))
"""

MESSAGES = {
    "overall": _("this is the accuracy of everybody together: a small group hardly shows in it"),
    "mean-of-groups": _("the groups are averaged, and the worst is hidden behind the others"),
    "empty-zero": _("a group without an example is given accuracy 0, though nothing is known about it"),
    "shifted": _("empty groups are dropped before the worst is looked for, so the position is no group number"),
    "most-errors": _("the group with the most errors is reported: a large group has more errors at the same accuracy"),
    "by-class": _("examples are grouped by their class, not by the group they belong to"),
    "best": _("this is the group that fares best"),
    "last": _("where two groups are equal, the larger number is reported"),
    "error-rate": _("the share of errors is reported, not the accuracy"),
}
RESULT = "accuracy.min(), accuracy.argmin()"
EDITS = {
    "overall": ((RESULT, "np.mean(predictions == y), accuracy.argmin()"),),
    "mean-of-groups": ((RESULT, "accuracy[total > 0].mean(), accuracy.argmin()"),),
    "empty-zero": (("np.full(num_groups, np.inf)", "np.zeros(num_groups)"),),
    "shifted": ((RESULT, "accuracy.min(), accuracy[total > 0].argmin()"),),
    "most-errors": ((RESULT, "accuracy[(total - right).argmax()], (total - right).argmax()"),),
    "by-class": (
        ("np.bincount(groups, minlength", "np.bincount(y, minlength"),
        ("np.bincount(groups, predictions == y", "np.bincount(y, predictions == y"),
    ),
    "best": (("np.inf", "-np.inf"), (RESULT, "accuracy.max(), accuracy.argmax()")),
    "last": ((RESULT, "accuracy.min(), len(accuracy) - 1 - accuracy[::-1].argmin()"),),
    "error-rate": ((RESULT, "1 - accuracy.min(), accuracy.argmin()"),),
}


def _sample(rng: np.random.Generator, counts: np.ndarray) -> dict[str, Plain]:
    """Examples in mixed order, for each group so many right of so many: counts, integer, shape (groups, 2)."""
    right, total = counts.T
    groups = np.repeat(np.arange(len(total)), total)
    hit = np.concatenate([np.arange(count) < good for good, count in zip(right, total, strict=True)])
    order = rng.permutation(len(groups))
    y = rng.integers(0, 3, size=len(groups))
    predictions = np.where(hit, y, (y + rng.integers(1, 3, size=len(y))) % 3)
    return {"y": y[order], "predictions": predictions[order], "groups": groups[order], "num_groups": len(total)}


def cases(rng: np.random.Generator) -> list[Case]:
    """A small group that fares worst; empty groups before and behind it; two equal groups; nobody right; one group."""
    few, many, half = int(rng.integers(5, 10)), int(rng.integers(45, 60)), int(rng.integers(2, 6))
    small = [(many - int(rng.integers(9, 13)), many), (9, 12), (int(rng.integers(1, 4)), few), (6, 7)]
    worse = int(rng.integers(5, 10))
    present = rng.permutation([(8, 10), (int(rng.integers(1, worse // 2 + 1)), worse), (7, 9)])
    empty = [np.zeros((count, 2), dtype=int) for count in rng.integers(1, 4, size=3)]
    gaps = np.concatenate([empty[0], present[:1], empty[1], present[1:], empty[2]])
    equal = [(5, 6), (half, 2 * half), (2 * half, 4 * half), (6, 7)]
    whole = [(int(rng.integers(3, 8)),) * 2, (0, 0), (0, 0), (0, 0)]
    return [
        Case("small group", _sample(rng, rng.permutation(small)), ("accuracy", "group")),
        Case("empty groups", _sample(rng, gaps), ("empty",)),
        Case("equal groups", _sample(rng, rng.permutation(equal)), ("group",)),
        Case("nobody right", _sample(rng, rng.permutation([(5, 6), (0, 1), (4, 8)])), ("accuracy",)),
        Case("all right", _sample(rng, rng.permutation(whole)), ("empty",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with a count group by group."""
    inputs = case.inputs
    hits: dict[int, list[bool]] = {}
    for group, truth, said in zip(*(inputs[name].tolist() for name in ("groups", "y", "predictions")), strict=True):
        hits.setdefault(group, []).append(truth == said)
    accuracy, group = min((sum(found) / len(found), group) for group, found in hits.items())
    texts = {"accuracy": _("the lowest accuracy"), "group": _("the worst group")}
    if case.criteria == ("empty",):
        pairs = [("empty", "accuracy"), ("empty", "group")]
    else:
        pairs = [(name, name) for name in case.criteria]
    right = {"accuracy": accuracy, "group": group}
    text = _("{what} in case '{case}'")
    return [
        close(criterion, observed[name], right[name], text.format(what=texts[name], case=case.name))
        for criterion, name in pairs
    ]


def probe(candidate, inputs):
    """The worst group of one sample."""
    accuracy, group = candidate(inputs["y"], inputs["predictions"], inputs["groups"], inputs["num_groups"])
    return {"accuracy": as_array(accuracy), "group": as_array(group)}


EXERCISE = Exercise(
    id="worst-group-accuracy",
    title=_("Who is left behind?"),
    lesson="08_when_transfer_fails",
    minutes=6,
    difficulty=1,
    points=2,
    statement=_(
        "An average hides the group a model fails on. Write `worst_group(y, predictions, groups, num_groups)`: the "
        "lowest accuracy of a group, and that group's number (the smaller one where two are equal). Groups are "
        "numbered from 0 to num_groups - 1; those without an example say nothing and are left out."
    ),
    hints=(
        _("Each group needs two numbers: how many examples it has and how many of them are right."),
        _("What is 0 divided by 0 here, and which value would never be the lowest?"),
        _("Fill the accuracy of empty groups with infinity, so that positions stay group numbers."),
    ),
    follow_ups=(
        FollowUp(
            _("You choose the model by worst-group accuracy on 8 examples of that group. What is wrong?"),
            _(
                "One example is 12.5 points, so the choice is mostly noise, and the minimum of noisy accuracies is too "
                "low on average. Give an interval per group, merge or collect more of the rare one."
            ),
        ),
        FollowUp(
            _("How can fine-tuning raise the mean and lower the worst group?"),
            _(
                "Mean loss is dominated by frequent groups, so a shortcut that serves them (background, camera) wins "
                "although it fails the rare one. Group-balanced sampling or group DRO (Sagawa 2020) weigh groups "
                "instead."
            ),
        ),
    ),
    criteria={
        "accuracy": Criterion(_("gives the lowest accuracy")),
        "group": Criterion(_("names the worst group"), needs=("accuracy",)),
        "empty": Criterion(_("leaves empty groups out"), needs=("accuracy",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"loop": LOOP, "present": PRESENT},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(N + G) time for N examples and G groups, and as much extra memory: counting in one pass, where a loop with "
        "a mask for each group takes O(N·G) time."
    ),
)
