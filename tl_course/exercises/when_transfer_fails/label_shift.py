"""New class shares, estimated without a single target label (Saerens et al. 2002)."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def label_shift(
    probabilities: np.ndarray, source_prior: np.ndarray, num_rounds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the target's class shares by EM, and correct the predictions for them.

    Args:
        probabilities: the source model's predictions on target data, rows sum to 1, float, shape (N, K).
        source_prior: class shares of the training data, all above 0, shape (K,).
        num_rounds: rounds of EM, 0 or more. The first estimate is the source prior; each round corrects the model's
            original predictions for the current estimate, and their mean is the next estimate.

    Returns:
        The estimate after the last round, shape (K,), and the predictions corrected for it, rows sum to 1, (N, K).
    """
    prior, corrected = source_prior, probabilities
    for _ in range(num_rounds):
        prior = corrected.mean(axis=0)
        weighted = probabilities * (prior / source_prior)
        corrected = weighted / weighted.sum(axis=1, keepdims=True)
    return prior, corrected
'''

LIKELIHOODS = """
import numpy as np


def label_shift(probabilities, source_prior, num_rounds):
    likelihoods = probabilities / source_prior

    def posterior(prior):
        joint = np.einsum("nk,k->nk", likelihoods, prior)
        return joint / joint.sum(1)[:, None]

    prior = np.array(source_prior, dtype=float)
    while num_rounds > 0:
        prior = np.average(posterior(prior), axis=0)
        num_rounds -= 1
    return prior, posterior(prior)
"""

LOGS = """
import numpy as np


def label_shift(probabilities, source_prior, num_rounds):
    with np.errstate(divide="ignore"):
        scores = np.log(probabilities) - np.log(source_prior)
        prior = list(source_prior)
        for step in range(num_rounds + 1):
            shifted = scores + np.log(prior)
            shares = np.exp(shifted - shifted.max(axis=1, keepdims=True))
            shares = (shares.T / shares.sum(axis=1)).T
            if step < num_rounds:
                prior = shares.sum(axis=0) / len(shares)
    return np.array(prior), shares
"""

MESSAGES = {
    "compounds": _(
        "predictions that are corrected already are corrected again: the source's class shares are divided out once "
        "per round"
    ),
    "not-divided": _("predictions are multiplied by the new shares, though the old ones are still inside"),
    "inverted": _("the ratio of shares is upside down: classes that became frequent get rarer still"),
    "not-normalised": _("after weighting, rows no longer sum to 1"),
    "over-examples": _("the weighted values are divided by column sums; an example's probabilities should sum to 1"),
    "hard": _("predicted classes are counted: a class that is often second best never gets its share"),
    "one-round": _("the number of rounds plays no part: one round goes only part of the way"),
    "stale": _("the predictions are corrected for the estimate before the last one"),
    "prior-only": _("the estimate is right and the predictions come back as they were"),
}
WEIGHT = "probabilities * (prior / source_prior)"
MEAN, ROWS = "corrected.mean(axis=0)", "weighted / weighted.sum(axis=1, keepdims=True)"
EDITS = {
    "compounds": ((WEIGHT, "corrected * (prior / source_prior)"),),
    "not-divided": ((WEIGHT, "probabilities * prior"),),
    "inverted": ((WEIGHT, "probabilities * (source_prior / prior)"),),
    "not-normalised": ((ROWS, "weighted"),),
    "over-examples": ((ROWS, "weighted / weighted.sum(axis=0)"),),
    "hard": ((MEAN, "np.eye(len(prior))[corrected.argmax(axis=1)].mean(axis=0)"),),
    "one-round": (("range(num_rounds)", "range(1)"),),
    "stale": (("return prior, corrected", "return corrected.mean(axis=0), corrected"),),
    "prior-only": (("return prior, corrected", "return prior, probabilities"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """No, one and several rounds on predictions whose classes have shifted; one class is never possible for some."""

    def drawn(rounds: int) -> dict[str, Plain]:
        source = rng.dirichlet((6, 4, 5, 3)) * 0.8 + 0.05
        target = rng.permutation([0.55, 0.25, 0.15, 0.05])
        y = rng.choice(4, size=9, p=target)
        scores = rng.normal(size=(9, 4)) + 2 * np.eye(4)[y] + np.log(source)
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return {"probabilities": probabilities, "source_prior": source, "num_rounds": rounds}

    sparse = drawn(3)
    sparse["probabilities"][2] = rng.permutation([0.0, 0.3, 0.0, 0.7])
    return [
        Case("no round", drawn(0), ("start",)),
        Case("one round", drawn(1), ("prior", "corrected")),
        Case("several rounds", drawn(int(rng.integers(4, 9))), ("prior", "corrected", "inputs")),
        Case("zeros", sparse, ("prior", "corrected")),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray]:
    """EM example by example, with Bayes' rule."""
    source = inputs["source_prior"]
    prior, rows = source.copy(), []
    for step in range(inputs["num_rounds"] + 1):
        rows = []
        for row in inputs["probabilities"]:
            joint = [prior[k] * row[k] / source[k] for k in range(len(row))]
            rows.append([value / sum(joint) for value in joint])
        if step < inputs["num_rounds"]:
            prior = np.array([sum(column) / len(rows) for column in zip(*rows, strict=True)])
    return prior, np.array(rows)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with EM by Bayes' rule."""
    prior, corrected = expected(case.inputs)
    names = ("start", "start") if case.name == "no round" else ("prior", "corrected")
    text = _("{what} in case '{case}'")
    found = [
        close(names[0], observed["prior"], prior, text.format(what=_("the class shares"), case=case.name)),
        close(names[1], observed["corrected"], corrected, text.format(what=_("the predictions"), case=case.name)),
    ]
    if "inputs" in case.criteria:
        found.append(holds("inputs", observed["kept"], _("your function changed the arrays it was given")))
    return found


def probe(candidate, inputs):
    """Estimate and correct once; watch the inputs."""
    probabilities, source_prior = inputs["probabilities"].copy(), inputs["source_prior"].copy()
    prior, corrected = candidate(probabilities, source_prior, inputs["num_rounds"])
    observed = {"prior": as_array(prior), "corrected": as_array(corrected)}
    pairs = ((probabilities, inputs["probabilities"]), (source_prior, inputs["source_prior"]))
    return {**observed, "kept": all(np.array_equal(now, before) for now, before in pairs)}


EXERCISE = Exercise(
    id="label-shift",
    title=_("The classes changed their shares"),
    lesson="08_when_transfer_fails",
    minutes=18,
    difficulty=5,
    points=6,
    statement=_(
        "In the target, classes have other shares than in training; P(x|y) is the same. Write `label_shift("
        "probabilities, source_prior, num_rounds)` after Saerens et al. (2002): start from the source prior; in each "
        "round correct the model's original predictions for the current estimate with Bayes' rule, and take their "
        "mean as the next estimate. Return the last estimate and the predictions corrected for it. With 0 rounds "
        "nothing changes; the inputs stay as they are."
    ),
    hints=(
        _("What does the model's P(y|x) contain of the training data's class shares, and how would you take it out?"),
        _("By Bayes' rule P(y|x) is proportional to P(x|y) times the share of y. Only that last factor changes."),
        _("Weight each column of the original predictions by new share over old share, and normalise each row."),
    ),
    follow_ups=(
        FollowUp(
            _("What does this correction need of the model, and what if it is missing?"),
            _(
                "Calibrated probabilities on the source: the ratio P(y|x) / P(y) stands for the likelihood. An "
                "overconfident network pulls the estimate towards its own predictions; calibrate first, for example "
                "by temperature scaling (Alexandari 2020)."
            ),
        ),
        FollowUp(
            _("How would you notice that the shift is not one of labels?"),
            _(
                "Under label shift P(x|y) stays, so reweighting the source by the estimated shares must reproduce the "
                "target's distribution of features or predictions. If a two-sample test still tells them apart, or a "
                "few labelled target examples disagree, the assumption is wrong."
            ),
        ),
    ),
    criteria={
        "start": Criterion(_("changes nothing with 0 rounds"), weight=0.5, needs=("prior",)),
        "prior": Criterion(_("estimates the target's class shares")),
        "corrected": Criterion(_("corrects the predictions for them"), needs=("prior",)),
        "inputs": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("prior", "corrected")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"likelihoods": LIKELIHOODS, "logs": LOGS},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(`num_rounds`·N·K) time and O(N·K) memory. The model runs once, before: no round asks it again, and nothing "
        "is trained."
    ),
)
