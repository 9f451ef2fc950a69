"""Find the fault: an alarm for shifted inputs that has never gone off."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def shift_alarm(reference: np.ndarray, batch: np.ndarray, threshold: float) -> tuple[np.ndarray, bool]:
    """Watch the features of a service: is a batch's mean where the training data's mean was?

    Args:
        reference: features of training data, float, shape (N, D); every feature varies.
        batch: features of a batch from production, float, shape (M, D), M from 1 up.
        threshold: an absolute score above this is an alarm.

    Returns:
        For each feature how many standard errors the batch's mean lies above the reference mean, shape (D,), with the
        reference's standard deviation (as np.std gives it) over the root of M as standard error; and the alarm, True
        or False.
    """
    centred = batch - reference.mean(axis=0)
    scores = centred.mean(axis=0) / (reference.std(axis=0) / np.sqrt(len(batch)))
    return scores, bool((np.abs(scores) > threshold).any())
'''

STARTER = NUMPY.replace(
    """    centred = batch - reference.mean(axis=0)
    scores = centred.mean(axis=0) / (reference.std(axis=0) / np.sqrt(len(batch)))
""",
    """    def standardise(features):
        std = features.std(axis=0)
        return (features - features.mean(axis=0)) / np.where(std == 0, 1, std)

    shift = standardise(batch).mean(axis=0) - standardise(reference).mean(axis=0)
    scores = shift * np.sqrt(len(batch))
""",
)

STANDARDISE_FIRST = """
import numpy as np


def shift_alarm(reference, batch, threshold):
    centre, spread = np.mean(reference, 0), np.var(reference, 0) ** 0.5
    scores = ((batch - centre) / spread).sum(0) / len(batch) ** 0.5
    return scores, scores.max() > threshold or scores.min() < -threshold
"""

COLUMNS = """
import math
import statistics


def shift_alarm(reference, batch, threshold):
    scores = []
    for known, new in zip(reference.T.tolist(), batch.T.tolist()):
        gap = statistics.fmean(new) - statistics.fmean(known)
        scores.append(gap * math.sqrt(len(new)) / statistics.pstdev(known))
    return scores, any(abs(score) > threshold for score in scores)
"""

MESSAGES = {
    "own-statistics": _(
        "every batch is measured with its own mean and spread, so its mean is 0 by construction, whatever comes in"
    ),
    "pooled": _("the batch takes part in the mean it is compared with, so it hides part of its own shift"),
    "batch-spread": _("the spread comes from the batch: a shift that widens the features excuses itself"),
    "no-root": _("single examples scatter by a standard deviation; the mean of M of them scatters less"),
    "one-sided": _("only features that rise give an alarm; a darker camera is a shift too"),
    "all-features": _("the alarm waits until every feature has shifted"),
    "averaged": _("scores are averaged before they are compared, so features that rise and fall cancel"),
    "all-numbers": _("one mean and one spread are used for all features, so small features are never heard"),
    "sample-deviation": _("the sum of squares is divided by N - 1, not by N as np.std does by itself"),
    "signless": _("the scores have lost their sign: whoever looks for the cause wants to know the direction"),
}
ALARM, SPREAD = "(np.abs(scores) > threshold).any()", "reference.std(axis=0) / np.sqrt(len(batch))"
EDITS = {
    "pooled": (("batch - reference.mean(axis=0)", "batch - np.concatenate([reference, batch]).mean(axis=0)"),),
    "batch-spread": (("reference.std(axis=0)", "np.where(len(batch) > 1, batch.std(axis=0), 1)"),),
    "no-root": ((SPREAD, "reference.std(axis=0)"),),
    "one-sided": (("np.abs(scores) > threshold", "scores > threshold"),),
    "all-features": ((".any()", ".all()"),),
    "averaged": ((ALARM, "abs(scores.mean()) > threshold"),),
    "all-numbers": (("reference.mean(axis=0)", "reference.mean()"), ("reference.std(axis=0)", "reference.std()")),
    "sample-deviation": (("reference.std(axis=0)", "reference.std(axis=0, ddof=1)"),),
    "signless": (("return scores, ", "return np.abs(scores), "),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Batches with no shift, a rise in one feature, a fall in one, a single example far away, many that rise."""
    scale, offset = rng.uniform(0.2, 6, size=4), rng.uniform(-4, 9, size=4)
    reference = rng.normal(size=(40, 4)) * scale + offset

    def batch(count: int, scores: list[float], spread: float = 1.0) -> np.ndarray:
        """Examples whose mean is a given number of standard errors away from the reference mean."""
        drawn = rng.normal(size=(count, 4)) * spread
        drawn += np.array(scores) / np.sqrt(count) - drawn.mean(axis=0)
        return drawn * reference.std(axis=0) + reference.mean(axis=0)

    column, other = (int(i) for i in rng.choice(4, size=2, replace=False))
    rise, fall, wide = [0.3, -0.5, 0.8, -0.2], [0.6, 0.1, -0.4, 0.2], [0.2, 0.9, -0.3, 0.5]
    rise[column], fall[column] = 4.5, -4.2
    wide[column], wide[other] = 4.4, -4.6
    found = [
        ("usual", batch(25, [0.5, -1.2, 1.8, -0.3]), 3.0, False),
        ("rise", batch(16, rise), 3.0, True),
        ("fall", batch(9, fall), 3.0, True),
        ("wide", batch(14, wide, 3.0), 3.0, True),
        ("one example", batch(1, rise), 3.0, True),
        ("many rise", batch(11, [4.1, 3.4, 2.2, 4.4]), 3.0, True),
    ]
    return [
        Case(
            name,
            {"reference": reference, "batch": values, "threshold": threshold, "shifted": shifted},
            ("silent",) if not shifted else ("scores", "alarm"),
        )
        for name, values, threshold, shifted in found
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with scores feature by feature; whether it should be an alarm is known from how the batch was made."""
    inputs = case.inputs
    scores = []
    for known, new in zip(inputs["reference"].T, inputs["batch"].T, strict=True):
        variance = np.mean(known**2) - np.mean(known) ** 2
        scores.append((np.sum(new) / len(new) - np.mean(known)) / np.sqrt(variance / len(new)))
    criterion = "alarm" if inputs["shifted"] else "silent"
    missed = _("case '{case}': the largest score is {score:.1f}, the threshold {threshold:g}, and there was no alarm")
    false = _("case '{case}': the largest score is {score:.1f}, the threshold {threshold:g}, and there was an alarm")
    message = (missed if inputs["shifted"] else false).format(
        case=case.name, score=np.abs(scores).max(), threshold=inputs["threshold"]
    )
    found = [holds(criterion, observed["alarm"] == inputs["shifted"], message)]
    if inputs["shifted"]:
        what = _("the scores in case '{case}'").format(case=case.name)
        found.append(close("scores", observed["scores"], scores, what, atol=1e-6))
    return found


def probe(candidate, inputs):
    """Scores and alarm for one batch."""
    scores, alarm = candidate(inputs["reference"].copy(), inputs["batch"].copy(), inputs["threshold"])
    alarm = bool(alarm) if isinstance(alarm, (bool, np.bool_)) else type(alarm).__name__
    return {"scores": as_array(scores), "alarm": alarm}


EXERCISE = Exercise(
    id="shift-detector",
    title=_("The alarm that never rings"),
    lesson="08_when_transfer_fails",
    kind="find-the-fault",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "An alarm watches the features of a service. It has been silent for a year, although a camera was replaced and "
        "accuracy fell. Find the fault in `shift_alarm`, fix it and prove it: a feature's score says how many "
        "standard errors (reference's np.std over the root of the batch size) the batch's mean lies above the "
        "reference mean; an absolute score above `threshold` in any feature is an alarm. A batch may hold a single "
        "example."
    ),
    hints=(
        _("Feed it a batch from another world and print every step. Where does the difference disappear?"),
        _("For each number in the score, ask from which of the two data sets it should come."),
        _("What is normal was fixed when the model was trained; a batch contributes its mean and its size."),
    ),
    follow_ups=(
        FollowUp(
            _("With 2048 features and a threshold of 3, how often does a healthy service ring?"),
            _(
                "Nearly always: each score passes 3 by chance in 0.27 % of batches, which makes 5 to 6 of 2048 "
                "features per batch. Correct for the number of tests, reduce the features first, or set the threshold "
                "on healthy batches by replay."
            ),
        ),
        FollowUp(
            _("Which shifts does this detector miss even when fixed?"),
            _(
                "Those that leave every mean in place: a change of spread, of correlation, or a mixture of opposite "
                "moves; and concept shift, which changes no input. A domain classifier or MMD sees more, and labels "
                "are needed for the last."
            ),
        ),
    ),
    criteria={
        "scores": Criterion(_("measures each feature against the reference"), weight=2),
        "alarm": Criterion(_("rings when any feature rises or falls"), needs=("scores",)),
        "silent": Criterion(_("stays silent on usual batches"), needs=("alarm",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            starter=STARTER,
            alternatives={"standardise first": STANDARDISE_FIRST, "columns": COLUMNS},
            mistakes={
                "own-statistics": Mistake(MESSAGES["own-statistics"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={
                "return (scores, bool((np.abs(scores) >= threshold).any()))": "no score is exactly the threshold",
                "return (scores, (np.abs(scores) > threshold).any())": "NumPy's booleans are as good",
            },
        ),
    },
    complexity=_(
        "O((N + M)·D) time and memory. The reference's part does not depend on the batch: kept as 2·D numbers it "
        "leaves O(M·D) for a batch in service."
    ),
)
