"""The area under the ROC curve, by ranks."""

import tracemalloc

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: how likely a random positive example scores above a random negative one.

    Args:
        scores: any finite numbers, float, shape (N,); the higher, the surer of class 1. Not modified.
        labels: 1 for positive, 0 for negative, integer, shape (N,). Not modified.

    Returns:
        A number in [0, 1]. A positive and a negative with equal scores count one half. Time is O(N log N), memory O(N):
        no table of all pairs of a positive and a negative.

    Raises:
        ValueError: there is no positive, or no negative: the area is not defined.
    """
    positive = labels == 1
    num_positive = positive.sum()
    num_negative = len(labels) - num_positive
    if num_positive * num_negative == 0:
        raise ValueError("positives and negatives are needed")
    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]  # (N,), from 1; equal scores share their mean rank
    wins = ranks[positive].sum() - num_positive * (num_positive + 1) / 2
    return wins / (num_positive * num_negative)
'''

SEARCH = """
import numpy as np


def auroc(scores, labels):
    if len(set(labels.tolist())) < 2:
        raise ValueError("one class only")
    high, low = scores[labels == 1], np.sort(scores[labels == 0])
    below, up_to = np.searchsorted(low, high, side="left"), np.searchsorted(low, high, side="right")
    return float(np.mean((below + up_to) / 2) / len(low))
"""

TRAPEZOIDS = """
import numpy as np


def auroc(scores, labels):
    if labels.all() or not labels.any():
        raise ValueError(f"{labels.sum()} positives among {len(labels)} examples")
    order = np.argsort(-scores)
    ranked = labels[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.concatenate([[0], np.cumsum(ranked)[last_of_ties]])
    alarms = np.concatenate([[0], np.cumsum(1 - ranked)[last_of_ties]])
    return np.trapezoid(hits / hits[-1], alarms / alarms[-1])
"""

WALK = """
def auroc(scores, labels):
    tally = {}
    for score, label in zip(scores.tolist(), labels.tolist()):
        tally.setdefault(score, [0, 0])[label] += 1
    negatives = wins = positives = 0
    for score in sorted(tally):
        low, high = tally[score]
        wins += high * (negatives + low / 2)
        negatives, positives = negatives + low, positives + high
    if not negatives or not positives:
        raise ValueError
    return wins / negatives / positives
"""

RANKS = "(np.cumsum(counts) - (counts - 1) / 2)[group]"
GUARD = 'raise ValueError("positives and negatives are needed")'
RETURN = "return wins / (num_positive * num_negative)"
MEMORY = 3 * 2**20  # bytes: less than one byte for each of the 2,000 x 2,000 pairs of the largest case
PAIRS = """
import numpy as np


def auroc(scores, labels):
    high, low = scores[labels == 1], scores[labels == 0]
    if not len(high) or not len(low):
        raise ValueError("one class only")
    return np.mean((high[:, None] > low) + 0.5 * (high[:, None] == low))
"""
MISTAKES = {
    "table-of-pairs": Mistake(
        _("all pairs of a positive and a negative stand in one table: 100,000 of each would take ten billion entries"),
        source=PAIRS,
    ),
    "ties-by-order": Mistake(
        _("equal scores are ranked by where they stand: another order of the same data gives another area"),
        ((RANKS, 'np.argsort(np.argsort(scores, kind="stable")) + 1'),),
    ),
    "ties-won": Mistake(
        _("ties count as wins: a constant score would get the full area"), ((RANKS, "np.cumsum(counts)[group]"),)
    ),
    "ties-lost": Mistake(
        _("the ranks of ties are those of the first of them: ties count as losses"),
        ((RANKS, "(np.cumsum(counts) - counts + 1)[group]"),),
    ),
    "ties-dense": Mistake(
        _("ranks were given to distinct scores: how many examples share a score is lost"), ((RANKS, "group + 1"),)
    ),
    "classes-swapped": Mistake(
        _("this is how likely a negative scores above a positive"), ((RETURN, f"{RETURN[:7]}1 - {RETURN[7:]}"),)
    ),
    "never-below-half": Mistake(
        _("an area below one half was turned round: that hides a model that ranks the wrong way"),
        ((RETURN, "area = wins / (num_positive * num_negative)\n    return max(area, 1 - area)"),),
    ),
    "all-pairs": Mistake(
        _("the wins are divided by all pairs of examples, those of one class among them"),
        ((RETURN, "return wins / (len(labels) * (len(labels) - 1) / 2)"),),
    ),
    "own-class-counted": Mistake(
        _("the rank sum includes the positives' ranks among themselves"),
        ((" - num_positive * (num_positive + 1) / 2", ""),),
    ),
    "half-for-one-class": Mistake(
        _("with one class the area is not defined: a number such as one half would enter averages unnoticed"),
        ((GUARD, "return 0.5"),),
    ),
    "nan-for-one-class": Mistake(
        _("with one class zero is divided by zero; the input should be refused instead"), ((GUARD, "return np.nan"),)
    ),
    "balanced-accuracy": Mistake(
        _("scores were cut at a threshold: the area under the curve looks at their order over all thresholds"),
        ((RANKS, "np.where(scores > 0.5, (scores > 0.5).mean(), 0) * len(labels)"),),
    ),
    "in-place": Mistake(
        _("the caller's scores are overwritten"),
        (("    _, group", "    scores *= -1\n    scores *= -2\n    _, group"),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Distinct scores, ties within and between classes, the extremes, one class, no example, and many."""

    def case(name: str, scores: list[float] | np.ndarray, labels: list[int] | np.ndarray, *criteria: str) -> Case:
        order = rng.permutation(len(labels))
        arrays = {"scores": np.array(scores, dtype=float)[order], "labels": np.array(labels, dtype=np.int64)[order]}
        return Case(name, arrays, criteria)

    uneven = [1] * 4 + [0] * 9
    return [
        case("distinct scores", 3 * rng.normal(size=13), uneven, "value", "untouched"),
        case("ties", rng.integers(0, 4, size=13) / 4, uneven, "ties"),
        case("more ties", rng.integers(0, 3, size=17), [1] * 11 + [0] * 6, "ties"),
        case("perfect", [0.1, 0.2, 0.2, 0.7, 0.9], [0, 0, 0, 1, 1], "extremes"),
        case("the wrong way round", [-5, -4, -6, 0, 2], [1, 1, 1, 0, 0], "extremes"),
        case("constant", [0.3] * 5, [1, 0, 0, 1, 0], "extremes"),
        case("no negative", rng.normal(size=4), [1] * 4, "one class"),
        case("no positive", rng.normal(size=5), [0] * 5, "one class"),
        case("no example", [], [], "one class"),
        case("many", rng.integers(0, 3000, size=4000), np.arange(4000) % 2, "lean"),
    ]


def expected(scores: np.ndarray, labels: np.ndarray) -> float:
    """The share of pairs of a positive and a negative that are won, ties one half, one positive after another."""
    negatives = scores[labels == 0]
    wins = [np.sign(score - negatives).sum() for score in scores[labels == 1]]
    return 0.5 + sum(wins) / (2 * len(wins) * len(negatives))


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the area, or look for the refusal."""
    name = case.criteria[0]
    if name == "one class":
        text = _("a ValueError was expected ({case}), yours gave {seen}")
        return [holds(name, observed["error"] == "ValueError", text.format(case=case.name, seen=observed["error"]))]
    if observed["error"] != "none":
        text = _("it stopped with {error} ({case})").format(error=observed["error"], case=case.name)
        return [Finding(criterion, False, text) for criterion in case.criteria]
    right, what = expected(**case.inputs), _("the area, {case}").format(case=case.name)
    found = [close(name, observed["area"], right, what, rtol=1e-7, atol=1e-7)]
    if name == "lean":
        found.append(holds(name, observed["lean"], _("4,000 examples took megabytes: are all pairs in one table?")))
    if "untouched" in case.criteria:
        found.append(holds("untouched", observed["kept"], _("the arrays you were given had other values afterwards")))
    return found


def probe(candidate, inputs):
    """The area, or the name of the error, whether the arrays stayed as they were, and whether memory stayed small."""
    tracemalloc.start()
    try:
        with np.errstate(all="ignore"):
            area, kept = _watch.call(candidate, inputs["scores"], inputs["labels"])
        lean = tracemalloc.get_traced_memory()[1] < MEMORY
    except ValueError as error:
        return {"area": 0.0, "error": type(error).__name__, "kept": True, "lean": True}
    finally:
        tracemalloc.stop()
    return {"area": as_array(area), "error": "none", "kept": kept, "lean": lean}


EXERCISE = Exercise(
    id="auroc",
    title=_("AUROC by ranks"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Write `auroc(scores, labels)` in NumPy, without scikit-learn: the probability that a random positive scores "
        "above a random negative, where equal scores count one half. Labels are 0 and 1, shape (N,). It takes "
        "O(N log N) time and O(N) memory and does not depend on the order of the examples. Where a class is missing, "
        "raise ValueError. Leave the inputs unchanged."
    ),
    hints=(
        _("Sort all the scores once. What does the sum of the positives' ranks count, and what too much?"),
        _("Equal scores get the mean of the ranks they fill; `np.unique` can tell group and size."),
        _("Rank sum less n(n + 1)/2 for n positives is the number of pairs won; divide by the number of pairs."),
    ),
    follow_ups=(
        FollowUp(
            _("One example in a thousand is positive and the AUROC is 0.95. Would you ship it?"),
            _(
                "That cannot be said yet. At a false-alarm rate of 1 % there are ten false alarms for each positive, "
                "whatever the area is. Look at precision at the recall that is needed, or at average precision, whose "
                "baseline is the share of positives."
            ),
        ),
        FollowUp(
            _("Does it change when you put the scores through a sigmoid, and what if you round them to two digits?"),
            _(
                "Any strictly increasing function keeps the order, and with it the area, unless floating point makes "
                "scores equal: a float32 sigmoid saturates at 1. Rounding makes ties, which pull the area towards one "
                "half within each group."
            ),
        ),
        FollowUp(
            _("A billion scores on many machines: how?"),
            _(
                "Each machine counts positives and negatives in, say, 10,000 bins of the score; the histograms are "
                "added up, and one pass over the bins gives the area with ties within a bin counting one half. The "
                "error is at most half the share of pairs that meet in a bin."
            ),
        ),
    ),
    complexity=_("O(N log N) time for the sort; O(N) extra memory."),
    criteria={
        "value": Criterion(_("gives the share of pairs that are won"), weight=2),
        "ties": Criterion(_("counts ties one half"), weight=1.5),
        "extremes": Criterion(_("gives 1, 0 and one half where they are due")),
        "one class": Criterion(_("refuses input with one class or none"), needs=("value",)),
        "lean": Criterion(_("needs no table of all pairs"), weight=0.5, needs=("value",)),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"search": SEARCH, "trapezoids": TRAPEZOIDS, "walk": WALK},
            mistakes=MISTAKES,
            equivalent={"raise ValueError('positives and negatives are needed_')": "the wording is free"},
        ),
    },
)
