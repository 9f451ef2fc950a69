"""Did transfer help, harm, or has neither been shown? An exact test on paired runs."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import itertools

import numpy as np


def transfer_report(transfer: np.ndarray, scratch: np.ndarray, alpha: float) -> tuple[float, float, str]:
    """Say whether transfer helped or harmed, from runs paired by seed.

    Args:
        transfer: number of right test answers with transfer, integer, one per seed, shape (S,).
        scratch: the same from scratch, with the same seeds and test set, shape (S,).
        alpha: largest p-value at which a difference counts as shown.

    Returns:
        The mean difference (transfer minus scratch); its p-value; and "help", "harm" or "not shown". If transfer made
        no difference, each seed's difference could as well have the other sign: p is the share of all 2**S ways to
        choose signs for which the sum of differences is, in absolute value, at least the observed one.
    """
    difference = transfer - scratch  # (S,)
    signs = list(itertools.product((-1, 1), repeat=len(difference)))  # 2**S tuples of S
    p = np.mean(np.abs(signs @ difference) >= np.abs(difference.sum()))
    if p > alpha:
        return difference.mean(), p, "not shown"
    return difference.mean(), p, "help" if difference.mean() > 0 else "harm"
'''

SUMS = """
from collections import Counter


def transfer_report(transfer, scratch, alpha):
    differences = [int(a) - int(b) for a, b in zip(transfer, scratch)]
    ways = Counter({0: 1})
    for difference in differences:
        following = Counter()
        for total, count in ways.items():
            following[total + difference] += count
            following[total - difference] += count
        ways = following
    observed = sum(differences)
    p = sum(count for total, count in ways.items() if abs(total) >= abs(observed)) / 2 ** len(differences)
    verdict = "not shown" if p > alpha else ("harm", "help")[observed > 0]
    return observed / len(differences), p, verdict
"""

BITS = """
import numpy as np


def transfer_report(transfer, scratch, alpha):
    difference = np.asarray(transfer) - np.asarray(scratch)
    runs = len(difference)
    flips = (np.arange(2**runs)[:, None] >> np.arange(runs)) & 1
    totals = difference.sum() - 2 * (flips * difference).sum(1)
    p = 2 * np.mean(totals >= abs(difference.sum())) if difference.sum() else 1.0
    verdicts = {0: "not shown", 1: "help", -1: "harm"}
    return difference.mean(), p, verdicts[int(np.sign(difference.sum()) * (p <= alpha))]
"""

MESSAGES = {
    "sign-only": _("the sign of the mean decides alone: with other seeds it might have been the other one"),
    "one-sided": _("only sums in the observed direction count: a harm as large would have surprised you just as much"),
    "unpaired": _("the runs are shuffled across seeds: what both methods owe to a seed is taken for noise"),
    "strictly": _("sign choices that give exactly the observed sum are left out; the observed one is among them"),
    "reversed": _("the difference is taken the wrong way round, so a harm is called a help"),
    "counts-signs": _("only the number of wins is used; how far apart the runs are is lost"),
    "p-inverted": _("the share of sign choices that are less extreme is 1 - p"),
    "none-harm": _("what is not shown to help is called a harm: the absence of proof is not a proof"),
    "sum": _("the sum of differences is reported; asked is the mean"),
}
VERDICT = '"help" if difference.mean() > 0 else "harm"'
EXTREME = "np.mean(np.abs(signs @ difference) >= np.abs(difference.sum()))"
NOT_SHOWN = '    if p > alpha:\n        return difference.mean(), p, "not shown"\n'
EDITS = {
    "sign-only": ((NOT_SHOWN, ""),),
    "one-sided": ((EXTREME, "np.mean(np.sign(difference.sum()) * (signs @ difference) >= np.abs(difference.sum()))"),),
    "strictly": (("signs @ difference) >=", "signs @ difference) >"),),
    "reversed": (("transfer - scratch", "scratch - transfer"),),
    "counts-signs": ((EXTREME, "np.mean(np.abs(np.sum(signs, axis=1)) >= np.abs(np.sign(difference).sum()))"),),
    "p-inverted": (("signs @ difference) >=", "signs @ difference) <"),),
    "none-harm": ((', "not shown"', ', "harm"'),),
    "sum": (
        (f"difference.mean(), p, {VERDICT}", f"difference.sum(), p, {VERDICT}"),
        ('mean(), p, "not', 'sum(), p, "not'),
    ),
}
UNPAIRED = """
import itertools

import numpy as np


def transfer_report(transfer, scratch, alpha):
    both, runs = np.concatenate([transfer, scratch]), len(transfer)
    gaps = []
    for chosen in itertools.combinations(range(2 * runs), runs):
        gaps.append(2 * both[list(chosen)].sum() - both.sum())
    observed = (transfer - scratch).sum()
    p = np.mean(np.abs(gaps) >= abs(observed))
    verdict = "not shown" if p > alpha else "help" if observed > 0 else "harm"
    return observed / runs, p, verdict
"""


def _runs(rng: np.random.Generator, differences: list[int], alpha: float) -> dict[str, Plain]:
    """Runs with given differences, and a part common to both methods that varies far more."""
    scratch = rng.choice(np.arange(400, 700), size=len(differences), replace=False)
    return {"transfer": scratch + rng.permutation(differences), "scratch": scratch, "alpha": alpha}


def cases(rng: np.random.Generator) -> list[Case]:
    """A help, a harm, too few seeds, one large exception, ties between sign choices, p exactly alpha, no difference."""
    step = int(rng.integers(2, 6))
    every = ("mean", "p", "verdict")
    return [
        Case("help", _runs(rng, [step, 9, 7, 1, 12, 8, 3], 0.05), every),
        Case("harm", _runs(rng, [-step, -9, -7, -15, 1, -8, -6], 0.05), every),
        Case("four seeds", _runs(rng, [step, 9, 11, 8], 0.05), every),
        Case("exception", _runs(rng, [step, 2, 1, 3, 2, 1, -20], 0.05), every),
        Case("small exception", _runs(rng, [10, 12, 9, 11, -1, -step, 14, 8], 0.05), every),
        Case("equal steps", _runs(rng, [step] * 5 + [-step], 0.2), every),
        Case("exactly alpha", _runs(rng, [step, 1, 4, 6, 2, 3], 1 / 32), every),
        Case("small help", _runs(rng, [1, 1, 1, 0, 1, 1, 1], 0.05), every),
        Case("no difference", _runs(rng, [0, 3, -3, step, -step], 0.05), every),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the distribution of sums, built up seed by seed."""
    transfer, scratch = (case.inputs[name].tolist() for name in ("transfer", "scratch"))
    differences = [ours - theirs for ours, theirs in zip(transfer, scratch, strict=True)]
    totals = [0]
    for difference in differences:
        totals = [total + part for total in totals for part in (difference, -difference)]
    p = sum(abs(total) >= abs(sum(differences)) for total in totals) / len(totals)
    verdict = "not shown" if p > case.inputs["alpha"] else "help" if sum(differences) > 0 else "harm"
    text = _(
        "{case}: differences {differences}, p = {p:.4f}, alpha = {alpha:g}: {right!r} was expected, yours is {yours!r}"
    )
    message = text.format(
        case=case.name,
        differences=differences,
        p=p,
        alpha=case.inputs["alpha"],
        right=verdict,
        yours=observed["verdict"],
    )
    mean = sum(differences) / len(differences)
    return [
        close("mean", observed["mean"], mean, _("the mean difference of case '{case}'").format(case=case.name)),
        close("p", observed["p"], p, _("the p-value of case '{case}'").format(case=case.name)),
        holds("verdict", observed["verdict"] == verdict, message),
    ]


def probe(candidate, inputs):
    """The report on one set of runs."""
    mean, p, verdict = candidate(inputs["transfer"], inputs["scratch"], inputs["alpha"])
    verdict = str(verdict) if isinstance(verdict, str) else type(verdict).__name__
    return {"mean": as_array(mean), "p": as_array(p), "verdict": verdict}


EXERCISE = Exercise(
    id="negative-transfer-report",
    title=_("Help, harm, or not shown"),
    lesson="01_concepts",
    minutes=15,
    difficulty=4,
    points=5,
    statement=_(
        "Transfer and scratch ran with the same few seeds; you know how many test answers each run got right. Write "
        "`transfer_report(transfer, scratch, alpha)`: the mean difference, an exact p-value and 'help', 'harm' or 'not "
        "shown' (p above alpha). If transfer made no difference, every seed's difference might have the other sign: p "
        "is the share of all 2**S choices of signs whose sum is, in absolute value, at least the observed one."
    ),
    hints=(
        _("Everything you need of two runs with one seed is one number."),
        _("With 7 seeds there are 128 ways to choose signs. Write them down, or let `itertools.product` do it."),
        _("Each choice of signs gives a sum of signed differences. Count how many are as far from 0 as yours."),
    ),
    follow_ups=(
        FollowUp(
            _("Why can four seeds never show anything at alpha = 0.05 with this test?"),
            _(
                "Even if all four differences agree, two of the 16 sign choices are as extreme, so p is at least 1/8. "
                "In general p is at least 2 / 2**S: six seeds are the minimum, and 'not shown' from four says nothing "
                "against transfer."
            ),
        ),
        FollowUp(
            _("You test ten source data sets and one shows a help with p = 0.04. What do you say?"),
            _(
                "With ten tests at 5 %, the chance of at least one false alarm is about 40 %. Correct for it (Holm or "
                "Bonferroni), or repeat the winner with fresh seeds."
            ),
        ),
    ),
    criteria={
        "mean": Criterion(_("gives the mean paired difference")),
        "p": Criterion(_("gives the exact two-sided p-value"), weight=2, needs=("mean",)),
        "verdict": Criterion(_("draws the conclusion"), needs=("mean", "p")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"sums": SUMS, "bits": BITS},
            mistakes={
                "unpaired": Mistake(MESSAGES["unpaired"], source=UNPAIRED),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={
                "return (difference.mean(), p, 'help' if difference.mean() >= 0 else 'harm')": "a mean of 0 has p = 1"
            },
        ),
    },
    complexity=_(
        "O(S·2^S) time and memory, as all choices of signs are written down: fine for ten seeds, while twenty give a "
        "million choices. Beyond that one draws signs at random and estimates p."
    ),
)
