"""Does a score order models as their results do? Kendall's tau, with ties."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def kendall_tau(scores: np.ndarray, results: np.ndarray) -> float:
    """Kendall's rank correlation, corrected for ties (tau-b; Kendall, 1945).

    Args:
        scores: what a score says of each of M models, float, shape (M,).
        results: how well they did, in the same order, float, shape (M,).

    Returns:
        (C - D) / sqrt(P Q): C pairs of models that both order alike, D that they order oppositely, P pairs that do not
        tie in the scores, Q that do not tie in the results. From -1 to 1; 0.0 where all scores or all results tie.
    """
    a = np.sign(scores[:, None] - scores)  # (M, M)
    b = np.sign(results[:, None] - results)
    untied = np.sqrt((a**2).sum() * (b**2).sum())
    return (a * b).sum() / untied if untied else 0.0
'''

PAIRS = """
from itertools import combinations


def kendall_tau(scores, results):
    alike = opposite = p = q = 0
    for i, j in combinations(range(len(scores)), 2):
        first, second = scores[i] - scores[j], results[i] - results[j]
        p += first != 0
        q += second != 0
        alike += first * second > 0
        opposite += first * second < 0
    return 0.0 if p == 0 or q == 0 else float((alike - opposite) / (p * q) ** 0.5)
"""

LIBRARY = """
import numpy as np
from scipy.stats import kendalltau


def kendall_tau(scores, results):
    if len(np.unique(scores)) == 1 or len(np.unique(results)) == 1:
        return 0.0
    return kendalltau(scores, results).statistic
"""

A, B = "np.sign(scores[:, None] - scores)", "np.sign(results[:, None] - results)"
RETURN, UNTIED = "(a * b).sum() / untied if untied else 0.0", "np.sqrt((a**2).sum() * (b**2).sum())"
MESSAGES = {
    "all-pairs": _("pairs that tie stay in the denominator (tau-a): even a perfect order with ties stays below 1"),
    "gamma": _("pairs that tie in either are left out of both parts: that is Goodman and Kruskal's gamma"),
    "one-sided": _("ties are corrected for in one of the two lists only"),
    "share-alike": _("the share of pairs in the same order is returned; chance alone gives a half"),
    "spearman": _("ranks are correlated: that is Spearman's rho, which weighs large differences in rank more"),
    "pearson": _("the values are correlated, so the distances between them count, and not their order alone"),
    "neighbours": _("only models next to one another in the list are compared"),
    "ties-opposite": _("a tie counts as an opposite order"),
    "distance": _("the sign is turned: a perfect order gives -1"),
    "undefined": _("where all values tie, 0 is divided by 0"),
    "top-one": _("only pairs with the best model are compared"),
}
RANKS = "np.sum(scores[:, None] > scores, axis=1) + np.sum(scores[:, None] >= scores, axis=1)"
EDITS = {
    "all-pairs": ((UNTIED, "len(scores) * (len(scores) - 1)"),),
    "gamma": ((UNTIED, "np.abs(a * b).sum()"),),
    "one-sided": ((UNTIED, "(b**2).sum()"),),
    "share-alike": ((RETURN, "(a * b > 0).sum() / untied if untied else 0.0"),),
    "spearman": (
        (A, f"({RANKS})[:, None] - ({RANKS})"),
        (B, f"({RANKS})[:, None] - ({RANKS})".replace("scores", "results")),
    ),
    "pearson": ((A, "scores[:, None] - scores"), (B, "results[:, None] - results")),
    "neighbours": ((A, "np.sign(np.diff(scores))"), (B, "np.sign(np.diff(results))")),
    "ties-opposite": (
        (A, "np.where(scores[:, None] > scores, 1, -1)"),
        (B, "np.where(results[:, None] > results, 1, -1)"),
    ),
    "distance": ((RETURN, "-(a * b).sum() / untied if untied else 0.0"),),
    "undefined": ((RETURN, "(a * b).sum() / untied"),),
    "top-one": ((A, "np.sign(scores.max() - scores)"), (B, "np.sign(results[scores.argmax()] - results)")),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Scores without ties, with ties in either list, and all equal."""
    results = rng.permutation(9) / 10.0
    scores = np.exp(3 * results + rng.normal(size=9) * 0.6)
    # 11 models, five values of the score and four of the result, so that many pairs tie in one list or in both
    tied = {"scores": rng.permutation(np.arange(11) % 5) * 1.5, "results": np.sort(np.arange(11) % 4) / 4.0}
    equal = {"scores": np.full(6, 0.7), "results": rng.uniform(size=6)}
    return [
        Case("no ties", {"scores": scores, "results": results}, ("value", "order", "inputs")),
        Case("ties", tied, ("ties",)),
        Case("equal scores", equal, ("equal",)),
        Case("equal results", {"scores": rng.uniform(size=5), "results": np.full(5, 0.25)}, ("equal",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with SciPy, and with what another measure of the same order gives."""
    from scipy.stats import kendalltau

    scores, results = case.inputs["scores"], case.inputs["results"]
    right = 0.0 if case.criteria == ("equal",) else float(kendalltau(scores, results).statistic)
    what = _("the correlation in case '{case}'").format(case=case.name)
    found = [close(case.criteria[0], observed["tau"], right, what)]
    if "order" in case.criteria:
        text = _("the correlation after the scores were replaced by their cubes")
        found.append(close("order", observed["stretched"], right, text))
        found.append(close("order", observed["swapped"], right, _("the correlation of results and scores")))
        found.append(holds("inputs", observed["kept"], _("your function changed the arrays it was given")))
    return found


def probe(candidate, inputs):
    """The correlation; with stretched scores; with the lists exchanged."""
    scores, results = inputs["scores"].copy(), inputs["results"].copy()
    tau = as_array(candidate(scores, results))
    kept = np.array_equal(scores, inputs["scores"]) and np.array_equal(results, inputs["results"])
    stretched = as_array(candidate(inputs["scores"] ** 3, inputs["results"].copy()))
    swapped = as_array(candidate(inputs["results"].copy(), inputs["scores"].copy()))
    return {"tau": tau, "stretched": stretched, "swapped": swapped, "kept": kept}


EXERCISE = Exercise(
    id="rank-correlation",
    title=_("Does the score order models rightly?"),
    lesson="09_choosing_a_model",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A transferability score is worth as much as its order of models agrees with the order of their results. Write "
        "`kendall_tau(scores, results)` for M models: over all pairs of models, those ordered alike minus those "
        "ordered oppositely, divided by the root of (pairs that do not tie in the scores) times (pairs that do not tie "
        "in the results). Return a number from -1 to 1, and 0.0 where all scores or all results are equal."
    ),
    hints=(
        _("Take two models. When do score and result agree on them, when do they disagree, and when is it neither?"),
        _("The sign of a difference is 1, -1 or, for a tie, 0. What do two signs give when they are multiplied?"),
        _(
            "Count untied pairs in each list by itself: the sum of squared signs. Counting each pair twice, in all "
            "three sums, cancels."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("A paper reports tau = 0.6 over five models. How sure are you that the score is of use?"),
            _(
                "Hardly: of the 120 orders of five models, 14 reach 0.6 or more by chance, 12 %. More models, several "
                "target tasks, and an interval by bootstrap are needed."
            ),
        ),
        FollowUp(
            _("You only need the best model. Is tau what you want to know?"),
            _(
                "Not quite: it counts errors among bad models as much. Look at the regret, the accuracy lost by "
                "taking the model the score puts first, or at a weighted tau that stresses the top."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the correlation of two orders"), weight=2),
        "ties": Criterion(_("corrects for ties in both lists"), needs=("value",), weight=2),
        "equal": Criterion(_("copes with lists of equal values"), weight=0.5, needs=("value",)),
        "order": Criterion(_("depends on the orders alone, and not on which comes first"), needs=("value",)),
        "inputs": Criterion(_("leaves the arrays it was given as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"pairs": PAIRS, "library": LIBRARY},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(M²) time and memory for all pairs of M models, quite enough for a few hundred. By merge sort it is O(M log "
        "M) time and O(M) memory (Knight, 1966)."
    ),
)
