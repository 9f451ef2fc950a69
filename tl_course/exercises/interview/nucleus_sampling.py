"""The top-p filter of nucleus sampling."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def nucleus(probabilities: np.ndarray, p: float) -> np.ndarray:
    """Keep the nucleus of each distribution (Holtzman et al., 2020).

    Args:
        probabilities: one distribution over V tokens a row, float, shape (N, V), in the vocabulary's order; not
            modified.
        p: the probability to reach, in [0, 1].

    Returns:
        Shape (N, V), in the vocabulary's order: in each row the smallest set of most probable tokens whose probability
        is at least p, renormalised to sum 1; 0 elsewhere. At least one token is kept, the most probable, however small
        p is. Of equally probable tokens, those of lower index are kept first.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked = -np.sort(-probabilities)
    before = np.cumsum(ranked, axis=1) - ranked  # what the more probable tokens have together
    before[:, 0] = -1  # the first is always kept
    kept = np.zeros_like(probabilities)
    np.put_along_axis(kept, order, np.where(before < p, ranked, 0), axis=1)
    return kept / kept.sum(axis=1, keepdims=True)
'''

LOOP = """
import numpy as np


def nucleus(probabilities, p):
    out = np.zeros(probabilities.shape)
    for i, row in enumerate(probabilities.tolist()):
        total = 0.0
        for token in sorted(range(len(row)), key=lambda t: (-row[t], t)):
            out[i, token] = row[token]
            total += row[token]
            if total >= p:
                break
        out[i] /= total
    return out
"""

SEARCH = """
import numpy as np


def nucleus(probabilities, p):
    rows = []
    for row in probabilities:
        order = np.lexsort((np.arange(len(row)), -row))
        count = np.searchsorted(np.cumsum(row[order]), p) + 1
        kept = np.where(np.isin(np.arange(len(row)), order[:count]), row, 0)
        rows.append(kept / np.sum(kept))
    return np.array(rows)
"""

RANK = """
import numpy as np


def nucleus(probabilities, p):
    ranks = np.argsort(np.argsort(-probabilities, kind="stable"), kind="stable")
    totals = np.cumsum(-np.sort(-probabilities), axis=-1)
    sizes = np.maximum((totals < p).sum(axis=-1, keepdims=True) + 1, 1)
    kept = probabilities * (ranks < sizes)
    return np.true_divide(kept, kept.sum(-1)[:, None])
"""

ORDER, RANKED = 'np.argsort(-probabilities, kind="stable")', "-np.sort(-probabilities)"
KEEP, RETURN = "np.where(before < p, ranked, 0)", "kept / kept.sum(axis=1, keepdims=True)"
MISTAKES = {
    "stops-short": Mistake(
        _("the token that takes the total to p is left out: the set stays below p"),
        (
            ("before = np.cumsum(ranked, axis=1) - ranked", "before = np.cumsum(ranked, axis=1)"),
            ("before < p", "before <= p"),
        ),
    ),
    "one-too-many": Mistake(
        _("a token is added although p has been reached exactly: the set is not the smallest"),
        (("before < p", "before <= p"),),
    ),
    "not-renormalised": Mistake(
        _("what is kept does not sum to 1, so it is no distribution to sample from"), ((RETURN, "kept"),)
    ),
    "may-be-empty": Mistake(
        _("for a very small p nothing is kept, and zero is divided by zero"),
        (("before[:, 0] = -1", "before[:, 0] = 0"),),
    ),
    "vocabulary-order": Mistake(
        _("the total is taken in the order of the vocabulary, not from the most probable token down"),
        ((ORDER, 'np.argsort(0 * probabilities, kind="stable")'), (RANKED, "probabilities")),
    ),
    "least-probable": Mistake(
        _("the total is taken from the least probable token up: the tail is kept and the head is cut off"),
        ((ORDER, 'np.argsort(probabilities, kind="stable")'), (RANKED, "np.sort(probabilities)")),
    ),
    "stays-sorted": Mistake(
        _("the result stays in sorted order: entry i is no longer token i"),
        (("np.put_along_axis(kept, order, ", "np.put_along_axis(kept, np.sort(order), "),),
    ),
    "threshold": Mistake(
        _("p was taken for the smallest probability of a token; it is what the kept tokens have together"),
        ((KEEP, "np.where((ranked >= p) | (before < 0), ranked, 0)"),),
    ),
    "count": Mistake(
        _("p was taken for a share of the vocabulary; the size of the nucleus depends on the distribution"),
        ((KEEP, "np.where(np.arange(ranked.shape[1]) < max(p * ranked.shape[1], 1), ranked, 0)"),),
    ),
    "softmax-again": Mistake(
        _("a softmax was put over the kept probabilities: their ratios change, and what was cut comes back"),
        ((f"return {RETURN}", "kept = np.exp(kept)\n    return kept / kept.sum(axis=1, keepdims=True)"),),
    ),
    "ties-kept": Mistake(
        _("all tokens as probable as the last one are kept: the set is not the smallest"),
        (
            (
                KEEP,
                "np.where((before < p) | (ranked >= np.where(before < p, ranked, 2).min(axis=1)[:, None]), ranked, 0)",
            ),
        ),
    ),
    "in-place": Mistake(
        _("the caller's probabilities are overwritten"),
        (("kept = np.zeros_like(probabilities)", "kept = probabilities\n    kept[:] = 0"),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Drawn distributions, totals that hit p exactly, many equal tokens, and the extremes of p."""

    def drawn(rows: int, tokens: int) -> np.ndarray:
        weights = np.exp(2 * rng.normal(size=(rows, tokens)))
        return weights / weights.sum(axis=1, keepdims=True)

    halves = rng.permuted(np.array([[8, 4, 2, 1, 1, 0], [4, 4, 4, 3, 1, 0], [12, 4, 0, 0, 0, 0]]) / 16, axis=1)
    few_values = rng.choice([4, 8, 16], size=(3, 80))
    few_values[np.arange(3), rng.integers(80, size=3)] += 1024 - few_values.sum(axis=1)
    peaked = drawn(4, 5) * 0.4
    peaked[np.arange(4), rng.integers(5, size=4)] += 0.6
    both = np.concatenate([drawn(2, 5), np.eye(5)[rng.integers(5, size=2)]])
    return [
        Case("drawn", {"probabilities": drawn(4, 9), "p": float(rng.uniform(0.6, 0.8))}, ("value", "untouched")),
        Case("reaches p exactly", {"probabilities": halves, "p": 0.75}, ("exact",)),
        Case("many equal tokens", {"probabilities": few_values / 1024, "p": 0.6}, ("ties",)),
        Case("the first exceeds p", {"probabilities": peaked, "p": 0.3}, ("one",)),
        Case("p = 0", {"probabilities": drawn(3, 6), "p": 0.0}, ("one",)),
        Case("p = 1", {"probabilities": both, "p": 1.0}, ("value",)),
    ]


def expected(probabilities: np.ndarray, p: float) -> np.ndarray:
    """The right filter: one token after another, each time the most probable that is left."""
    filtered = []
    for row in probabilities:
        left, kept = row.copy(), np.zeros_like(row)
        while not kept.any() or (kept.sum() < p and (left > 0).any()):
            token = int(left.argmax())
            kept[token], left[token] = row[token], -1
        filtered.append(kept / kept.sum())
    return np.array(filtered)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the filtered distributions."""
    name = case.criteria[0]
    right, what = expected(**case.inputs), _("the distributions, {case}").format(case=case.name)
    found = [close(name, observed["filtered"], right, what)]
    if "untouched" in case.criteria:
        text = _("the probabilities you were given had other values afterwards")
        found.append(holds("untouched", observed["kept"], text))
    return found


def probe(candidate, inputs):
    """The filtered distributions, and whether the given ones stayed as they were."""
    with np.errstate(all="ignore"):
        filtered, kept = _watch.call(candidate, inputs["probabilities"], inputs["p"])
    return {"filtered": as_array(filtered), "kept": kept}


EXERCISE = Exercise(
    id="nucleus-sampling",
    title=_("The nucleus of a distribution"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Write `nucleus(probabilities, p)`, the top-p filter, for rows of shape (N, V): in each row keep the smallest "
        "set of most probable tokens whose total reaches p, renormalise it to sum 1, and set the rest to 0, in the "
        "vocabulary's order. Reaching p exactly is enough; the token that takes the total to p belongs to the set; at "
        "least one token stays, even for p = 0; equal tokens are kept by lower index. Leave the input unchanged."
    ),
    hints=(
        _("Sort each row from the most probable token down. When is a token still needed?"),
        _("A token is needed as long as the tokens before it have less than p together; the first always is."),
        _("Use a stable sort of the negated rows, and write what is kept back to the places it came from."),
    ),
    follow_ups=(
        FollowUp(
            _("When does top-p behave better than top-k, and when do the two agree?"),
            _(
                "Where the model is sure, top-k lets in tokens it finds absurd; where many continuations are fine, it "
                "cuts good ones. Top-p adapts the number to the distribution. They agree when the k most probable "
                "tokens are just what it takes to reach p."
            ),
        ),
        FollowUp(
            _("In which order do temperature and top-p go, and does it matter?"),
            _(
                "Usually the temperature first: it changes the probabilities, and so how many tokens reach p. The "
                "other way round, the set is chosen at temperature 1 and the temperature only redistributes within "
                "it. Both are used, so say which."
            ),
        ),
        FollowUp(
            _("The vocabulary has 200,000 tokens and sorting dominates. What would you do?"),
            _(
                "Take the top few hundred by partial selection in O(V), sort only those, and fall back to the full "
                "sort for rows whose few hundred do not reach p. On accelerators, search for the probability "
                "threshold by bisection: a few passes of sums and no sort."
            ),
        ),
    ),
    complexity=_("O(N·V log V) time for the sort. O(N·V) extra memory."),
    criteria={
        "value": Criterion(_("keeps the smallest set that reaches p, renormalised, in the right places"), weight=2),
        "exact": Criterion(_("stops where p is reached exactly"), needs=("value",)),
        "ties": Criterion(_("keeps equal tokens by lower index"), weight=0.5, needs=("value",)),
        "one": Criterion(_("keeps at least one token"), needs=("value",)),
        "untouched": Criterion(_("leaves its input as it was"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"loop": LOOP, "search": SEARCH, "rank": RANK},
            mistakes=MISTAKES,
            equivalent={
                "order = np.argsort(-probabilities, kind='stable_')": "NumPy reads the first letter only",
                "before[:, 0] = -2": "anything below 0 is below every p",
            },
        ),
    },
)
