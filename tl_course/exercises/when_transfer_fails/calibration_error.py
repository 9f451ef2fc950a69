"""Expected calibration error: how far confidence and accuracy are apart."""

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def calibration_error(y: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Expected calibration error (ECE) with equal-width bins.

    Args:
        y: true classes, integer, shape (N,).
        probabilities: predicted probabilities, float, rows sum to 1, shape (N, K).
        bins: number B of bins; bin b holds confidences in (b / B, (b + 1) / B], and 1.0 belongs to the last.

    Returns:
        The mean over bins of |accuracy - mean confidence|, weighted by the bin's share of the examples; empty bins
        add nothing.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == y
    gaps = np.bincount(np.ceil(confidence * bins).astype(int), right - confidence)
    return np.abs(gaps).sum() / len(y)
'''

LOOP = """
import numpy as np


def calibration_error(y, probabilities, bins):
    confidence = np.max(probabilities, 1)
    hits = (np.argmax(probabilities, 1) == y).astype(float)
    edges, error = np.linspace(0, 1, bins + 1), 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return error
"""

DICTIONARY = """
import math
from collections import defaultdict


def calibration_error(y, probabilities, bins):
    groups = defaultdict(list)
    for label, row in zip(y.tolist(), probabilities.tolist()):
        top = max(row)
        groups[math.ceil(top * bins)].append((top, row.index(top) == label))
    total = 0
    for members in groups.values():
        accuracy = sum(hit for top, hit in members) / len(members)
        total += len(members) * abs(accuracy - sum(top for top, hit in members) / len(members))
    return total / len(y)
"""

MESSAGES = {
    "one-bin": _("one gap is taken over all examples, so overconfidence here and underconfidence there cancel"),
    "per-example": _("every example has a bin of its own: a single answer is right or wrong, never 80 % right"),
    "unweighted": _("a bin with one example counts as much as a bin with a hundred"),
    "maximum": _("the largest gap of a bin is reported: that is the maximum calibration error"),
    "signed": _("gaps keep their sign, so bins cancel each other"),
    "squared": _("gaps are squared before they are averaged"),
    "left-closed": _("bins hold their lower edge instead of their upper one"),
    "drops-ones": _("a confidence of exactly 1 falls into no bin"),
    "true-class": _("the probability of the true class is not the model's confidence"),
    "centres": _("the middle of a bin stands for the confidences in it"),
}
GAPS = "np.bincount(np.ceil(confidence * bins).astype(int), right - confidence)"
INDEX, RESULT, CONFIDENCE = (
    "np.ceil(confidence * bins).astype(int)",
    "np.abs(gaps).sum() / len(y)",
    "probabilities.max(axis=1)",
)
EDITS = {
    "one-bin": ((INDEX, "np.zeros(len(y), int)"),),
    "per-example": ((GAPS, "right - confidence"),),
    "unweighted": (
        (
            RESULT,
            f"np.mean([abs((right - confidence)[k == {INDEX}].mean()) for k in np.unique({INDEX})])",
        ),
    ),
    "maximum": (
        (
            RESULT,
            f"max(abs((right - confidence)[k == {INDEX}].mean()) for k in np.unique({INDEX}))",
        ),
    ),
    "signed": ((RESULT, "gaps.sum() / len(y)"),),
    "squared": (
        (
            RESULT,
            f"sum((right - confidence)[k == {INDEX}].mean() ** 2 * np.mean(k == {INDEX}) for k in np.unique({INDEX}))",
        ),
    ),
    "left-closed": ((INDEX, "np.minimum(np.floor(confidence * bins), bins - 1).astype(int)"),),
    "drops-ones": ((RESULT, "(np.abs(gaps).sum() - abs((right - confidence)[confidence == 1].sum())) / len(y)"),),
    "true-class": ((CONFIDENCE, "probabilities[np.arange(len(y)), y]"),),
    "centres": (("right - confidence", "right - (np.ceil(confidence * bins) - 0.5) / bins"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A sample with hits and misses in most bins; confidences on the edges of bins; more bins than examples."""

    def sample(count: int, num_classes: int) -> dict[str, np.ndarray]:
        probabilities = rng.dirichlet(np.full(num_classes, 0.5), size=count)
        y = np.where(rng.uniform(size=count) < 0.6, probabilities.argmax(axis=1), rng.integers(0, num_classes, count))
        return {"y": y, "probabilities": probabilities}

    edge = np.array([0.5, 0.625, 0.75, 0.75, 0.875, 0.6875, 1.0, 1.0, 0.53125])
    right = np.array([0, 1, 0, 0, 1, 0, 1, 0, 1])
    order = rng.permutation(len(edge))
    swap = rng.permutation([0, 1])
    edges = {"y": swap[1 - right][order], "probabilities": np.stack([edge, 1 - edge], axis=1)[order][:, swap]}
    odd = sample(23, 3)
    return [
        Case("sample", {**sample(80, 4), "bins": int(rng.integers(5, 9))}, ("value",)),
        Case("edges", {**edges, "bins": 8}, ("edges",)),
        Case("empty bins", {**odd, "bins": 40}, ("empty",)),
    ]


def expected(inputs: dict[str, Plain]) -> float:
    """The error bin by bin, with the edges compared as whole numbers of 1/B."""
    y, probabilities, bins = inputs["y"], inputs["probabilities"], inputs["bins"]
    error = 0.0
    for b in range(bins):
        members = [i for i, row in enumerate(probabilities) if b < row.max() * bins <= b + 1]
        hits = [float(probabilities[i, y[i]] == probabilities[i].max()) for i in members]
        error += abs(sum(hits) - sum(probabilities[i].max() for i in members))
    return error / len(y)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the error bin by bin."""
    (criterion,) = case.criteria
    what = _("the calibration error in case '{case}'").format(case=case.name)
    return [close(criterion, observed["error"], expected(case.inputs), what)]


def probe(candidate, inputs):
    """The error of one sample."""
    return {"error": as_array(candidate(inputs["y"], inputs["probabilities"], inputs["bins"]))}


EXERCISE = Exercise(
    id="calibration-error",
    title=_("Does 80 % mean 80 %?"),
    lesson="08_when_transfer_fails",
    minutes=10,
    difficulty=2,
    points=3,
    statement=_(
        "A calibrated model is right in 80 % of the cases in which it says 80 %. Write `calibration_error(y, "
        "probabilities, bins)`: put examples into equal-width bins (b/B, (b+1)/B] by the probability of their "
        "predicted class, and average |accuracy - mean confidence| over the bins, weighted by their share of the "
        "examples. Empty bins add nothing; a confidence of exactly 1 belongs to the last bin."
    ),
    hints=(
        _("Each example has two numbers: how sure the model was, and whether it was right."),
        _("Group by bin first. What must be averaged before the absolute value is taken?"),
        _(
            "Weight times gap is a sum over the bin's examples, divided by N: so a bin needs only its sum of right - "
            "sure."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("A useless model can have an ECE of 0. Give one, and say what you report besides."),
            _(
                "On balanced classes, one that always answers with the class frequencies: its confidence equals its "
                "accuracy. Report accuracy and a proper score (log-likelihood or Brier) with it; these reward "
                "being sharp as well."
            ),
        ),
        FollowUp(
            _("Why does ECE depend on the number of bins?"),
            _(
                "Few bins let gaps of opposite sign cancel, many bins hold so few examples that chance alone makes "
                "gaps, which biases the estimate upwards. Compare models only with the same bins and sample size."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the error of a sample"), weight=2),
        "edges": Criterion(_("puts confidences on the edges into the right bins"), needs=("value",)),
        "empty": Criterion(_("copes with empty bins"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"loop": LOOP, "dictionary": DICTIONARY},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(N·K + B) time for N examples, K classes and B bins: the rows' maxima dominate. O(N + B) extra memory; no "
        "loop over the bins."
    ),
)
