"""LEEP: how well the source model's own answers predict the target's classes (Nguyen et al., 2020)."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def leep(source_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Log expected empirical prediction (LEEP): a score of a source model for a target task (Nguyen et al., 2020).

    Args:
        source_probabilities: what the source model, with its own head, says of the target's examples: theta(x) over
            the Z source classes, rows sum to 1, float, shape (N, Z). A source class may have no probability at all.
        labels: target classes, integer, any numbers, shape (N,).

    Returns:
        The mean over examples of log sum_z P(y | z) theta(x)_z, at most 0, where P(y | z) comes from the soft counts
        of target class y together with source class z over all examples.
    """
    members = labels[:, None] == np.unique(labels)  # (N, K)
    joint = members.T @ source_probabilities  # (K, Z): soft counts
    totals = joint.sum(axis=0)
    conditional = joint / np.where(totals > 0, totals, 1)  # P(y | z): columns sum to 1
    predicted = source_probabilities @ conditional.T  # (N, K)
    return np.log(predicted[members]).mean()
'''

LOOP = """
import math


def leep(source_probabilities, labels):
    count, width = source_probabilities.shape
    total = 0.0
    for i in range(count):
        same = [j for j in range(count) if labels[j] == labels[i]]
        expected = 0.0
        for z in range(width):
            weight = sum(source_probabilities[:, z])
            if weight:
                share = sum(source_probabilities[j, z] for j in same) / weight
                expected += share * source_probabilities[i, z]
        total += math.log(expected)
    return total / count
"""

EMPIRICAL = """
import numpy as np


def leep(source_probabilities, labels):
    used = source_probabilities[:, source_probabilities.any(axis=0)]
    marginal = used.mean(axis=0)
    classes, index = np.unique(labels, return_inverse=True)
    table = np.stack([used[index == k].sum(axis=0) for k in range(len(classes))]) / len(used) / marginal
    return float(np.average(np.log(np.einsum("nz,nz->n", used, table[index]))))
"""

JOINT = "members.T @ source_probabilities"
CONDITIONAL = "joint / np.where(totals > 0, totals, 1)"
LAST = "np.log(predicted[members]).mean()"
HARD = "members.T @ np.eye(source_probabilities.shape[1])[source_probabilities.argmax(axis=1)]"
MESSAGES = {
    "hard": _("only the source model's first choice is counted: that is NCE, and throws its doubts away"),
    "hard-both": _("the most probable source class alone counts, in the table and in the prediction"),
    "other-way": _("the table holds P(z | y), normalised over source classes; wanted is P(y | z)"),
    "joint": _("joint counts are not normalised: a frequent source class speaks louder than a rare one"),
    "log-inside": _("the logarithm is taken inside the sum over source classes, where it answers another question"),
    "sum": _("log-likelihoods are added up: more examples make any model look worse"),
    "no-log": _("the probabilities are averaged without a logarithm"),
    "negated": _("the sign is turned: this is a score, larger is better"),
    "log2": _("the logarithm has base 2"),
    "own-example": _("each example's predicted class is scored; the true class matters"),
    "unused-class": _("a source class that never has any probability is divided by"),
}
EDITS = {
    "hard": ((JOINT, HARD),),
    "hard-both": (
        (JOINT, HARD),
        (
            "source_probabilities @ conditional.T",
            "np.maximum(conditional.T[source_probabilities.argmax(axis=1)], 1e-12)",
        ),
    ),
    "other-way": ((CONDITIONAL, "joint / joint.sum(axis=1, keepdims=True)"),),
    "joint": ((CONDITIONAL, "joint / len(labels)"),),
    "log-inside": (
        ("source_probabilities @ conditional.T", "source_probabilities @ np.log(np.maximum(conditional, 1e-12)).T"),
        (LAST, "predicted[members].mean()"),
    ),
    "sum": ((LAST, "np.log(predicted[members]).sum()"),),
    "no-log": ((LAST, "predicted[members].mean()"),),
    "negated": ((LAST, "-np.log(predicted[members]).mean()"),),
    "log2": ((LAST, "np.log2(predicted[members]).mean()"),),
    "own-example": ((LAST, "np.log(predicted.max(axis=1)).mean()"),),
    "unused-class": ((CONDITIONAL, "joint / totals"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A source model with rare classes; one that never uses one of its classes."""

    def drawn(count: int, width: int) -> dict[str, np.ndarray]:
        labels = rng.permutation(np.arange(count) % 3) * 2 + 1
        ease = rng.gamma(1.0, size=(7, width)) + 0.05
        probabilities = np.array([rng.dirichlet(ease[label]) for label in labels])
        probabilities[:, width - 1] *= 0.05  # hardly ever
        return {
            "source_probabilities": probabilities / probabilities.sum(axis=1, keepdims=True),
            "labels": labels,
            "order": rng.permutation(width),
        }

    unused = drawn(11, 4)
    unused["source_probabilities"] = np.insert(unused["source_probabilities"], 2, 0.0, axis=1)
    unused["order"] = rng.permutation(5)
    return [
        Case("examples", drawn(14, 5), ("value", "names", "inputs")),
        Case("an unused source class", unused, ("unused",)),
    ]


def expected(inputs: dict[str, Plain]) -> float:
    """The score by Bayes' rule, one example at a time: how much of each source class belongs to the example's class."""
    theta, labels = inputs["source_probabilities"], inputs["labels"]
    likelihood = 0.0
    for row, label in zip(theta, labels, strict=True):
        of_class = [float(column[labels == label].sum()) for column in theta.T]
        not_of_class = [float(column[labels != label].sum()) for column in theta.T]
        parts = zip(row, of_class, not_of_class, strict=True)
        likelihood += np.log(sum(p * a / (a + b) for p, a, b in parts if a + b > 0))
    return likelihood / len(labels)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the score example by example, and with what other names of the classes give."""
    right = expected(case.inputs)
    if case.name == "an unused source class":
        return [close("unused", observed["leep"], right, _("the score with an unused source class"))]
    return [
        close("value", observed["leep"], right, _("the score")),
        close("names", observed["reordered"], right, _("the score after source classes changed places")),
        close("names", observed["renamed"], right, _("the score after target classes got other numbers")),
        holds("inputs", observed["kept"], _("your function changed the arrays it was given")),
    ]


def probe(candidate, inputs):
    """The score, and again with source and target classes numbered otherwise."""
    theta, labels = inputs["source_probabilities"].copy(), inputs["labels"].copy()
    score = as_array(candidate(theta, labels))
    kept = np.array_equal(theta, inputs["source_probabilities"]) and np.array_equal(labels, inputs["labels"])
    reordered = as_array(candidate(inputs["source_probabilities"][:, inputs["order"]], inputs["labels"].copy()))
    renamed = as_array(candidate(inputs["source_probabilities"].copy(), 9 - inputs["labels"]))
    return {"leep": score, "reordered": reordered, "renamed": renamed, "kept": kept}


EXERCISE = Exercise(
    id="leep",
    title=_("A score from the source model's answers"),
    lesson="09_choosing_a_model",
    minutes=15,
    difficulty=3,
    points=5,
    statement=_(
        "A source model, with its old head, says which of its Z classes it sees in the target's images. Write "
        "`leep(source_probabilities, labels)` after Nguyen et al. (2020): sum up the probabilities by target class y "
        "and source class z, turn these soft counts into P(y | z), predict each example by sum_z P(y | z) theta(x)_z, "
        "and return the mean logarithm of what the true classes get. Labels may be any whole numbers; a source class "
        "without any probability adds nothing."
    ),
    hints=(
        _("The table of soft counts has a row for each target class and a column for each source class."),
        _("P(y | z) asks: given source class z, how likely is y? So which sums have to be 1, rows or columns?"),
        _(
            "Divide each column by its sum where that is not 0; multiply the N x Z probabilities by the table's "
            "transpose; take the logarithm of each example's own class, then the mean."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("What does LEEP need that LogME does not, and which models does that rule out?"),
            _(
                "The source model's classification head and its probabilities. Self-supervised backbones, detectors "
                "and language models have none; LogME and the H-score need only features."
            ),
        ),
        FollowUp(
            _("LEEP is computed on the training data without training. What can it not see?"),
            _(
                "What fine-tuning could change: it scores the source head's view as it is. Two models with equal "
                "heads and different features get equal scores, and it tells nothing of cost or of how well a longer "
                "training would go. Check its ranking against a probe."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the score of a source model"), weight=2),
        "unused": Criterion(_("copes with a source class that is never used"), needs=("value",)),
        "names": Criterion(_("does not depend on how classes are numbered"), needs=("value",)),
        "inputs": Criterion(_("leaves the arrays it was given as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"loop": LOOP, "only used classes": EMPIRICAL},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            equivalent={
                "conditional = joint / np.where(totals > 0, totals, 2)": "0 divided by anything but 0",
            },
        ),
    },
    complexity=_(
        "O(N·K·Z) time for K target classes: two matrix products. O(N·K + K·Z) extra memory. The source model's "
        "forward pass over the N examples, made before, costs far more: LEEP trains nothing."
    ),
)
