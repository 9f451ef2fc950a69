"""How much transfer gains at each number of labels, with its uncertainty, and where the lead ends."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def transfer_gain(
    transfer: np.ndarray, scratch: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int | None]:
    """Compare transfer with training from scratch at several numbers of labels.

    Args:
        transfer: accuracies with transfer, float, shape (S, C): one row per seed, one column per label count.
        scratch: accuracies from scratch with the same seeds (same labelled examples), shape (S, C).
        counts: labels per class of each column, ascending, integer, shape (C,).

    Returns:
        The mean gain, shape (C,); its standard error (sample standard deviation over the root of S), shape (C,); and
        the smallest count from which on transfer never leads, None when it leads at the largest count. Transfer leads
        where its gain is above two standard errors.
    """
    difference = transfer - scratch  # (S, C)
    gain = difference.mean(axis=0)
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    leads = np.flatnonzero(gain > 2 * error)
    after = leads[-1] + 1 if len(leads) else 0
    return gain, error, counts[after] if after < len(counts) else None
'''

BACKWARDS = """
import numpy as np


def transfer_gain(transfer, scratch, counts):
    runs = transfer.shape[0]
    gain = transfer.mean(0) - scratch.mean(0)
    residuals = transfer - scratch - gain
    error = ((residuals**2).sum(0) / (runs - 1) / runs) ** 0.5
    error[(transfer == scratch).all(0)] = 0
    crossover = None
    for column in reversed(range(len(counts))):
        if gain[column] > 2 * error[column]:
            break
        crossover = counts[column]
    return gain, error, crossover
"""

COLUMNS = """
import math
import statistics


def transfer_gain(transfer, scratch, counts):
    gains, errors, crossover = [], [], None
    for ours, theirs, count in zip(transfer.T.tolist(), scratch.T.tolist(), counts.tolist()):
        differences = [a - b for a, b in zip(ours, theirs)]
        gains.append(statistics.fmean(differences))
        errors.append(statistics.stdev(differences) / math.sqrt(len(differences)))
        if gains[-1] > 2 * errors[-1]:
            crossover = None
        elif crossover is None:
            crossover = count
    return gains, errors, crossover
"""

UNPAIRED = _(
    "the spread of each method is taken by itself: an easy draw of labels helps both, and this common part does not "
    "belong in the uncertainty of their difference"
)
DEVIATION = _("this is how far single seeds scatter, not how uncertain their mean is")
POPULATION = _("with a handful of seeds, dividing the squares by S makes the spread too small")
FIRST_TIE = _("the first count without a lead is reported, although transfer leads again at a larger one")
ANY_GAIN = _("any positive gain counts as a lead, however uncertain it is")
SIGN = _("the gain has the wrong sign: it is positive where transfer is better")
POSITION = _("the position of a column is reported, not its number of labels")
LAST_LEAD = _("this is the last count at which transfer still leads, not the first of those where it no longer does")
RELATIVE = _("the gain is taken in per cent of the accuracy from scratch; asked is the difference of accuracies")
LABELS_AXIS = _("mean and spread run over the label counts; each count needs its own, over the seeds")


def _runs(rng: np.random.Generator, ratios: list[float], name: str) -> Case:
    """Accuracies whose mean difference is a given multiple of its standard error, in each column."""
    seeds, columns = 5, len(ratios)
    noise = rng.normal(size=(seeds, columns))
    noise -= noise.mean(axis=0)
    noise /= np.sqrt((noise**2).sum(axis=0) / (seeds - 1) / seeds)  # a standard error of 1
    scratch = rng.uniform(0.35, 0.6, size=(seeds, columns)) + np.linspace(0, 0.2, columns)
    difference = (noise + np.array(ratios)) * rng.uniform(0.006, 0.012, size=columns)
    difference[:, np.array(ratios) == 0] = 0  # both reach the same accuracy with every seed
    counts = np.cumsum(rng.integers(2, 20, size=columns))
    inputs = {"transfer": scratch + difference, "scratch": scratch, "counts": counts}
    return Case(name, inputs, ("gain", "error", "crossover"))


def cases(rng: np.random.Generator) -> list[Case]:
    """A lead that ends after a tie in between; one that lasts; none at all; one that ends in equal accuracies."""
    return [
        _runs(rng, [9, 2.6, 0.8, 2.5, 1.4, -1.2, 1.7], "ends"),
        _runs(rng, [-3, 1.5, 4], "lasts"),
        _runs(rng, [1.3, -4, 1.6, 0.5], "never"),
        _runs(rng, [8, 2.4, 0], "equal"),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray, int | None]:
    """The right answer from all pairs of seeds, and a search over the counts."""
    difference = inputs["transfer"] - inputs["scratch"]
    seeds = len(difference)
    pairs = difference[:, None] - difference[None]  # the variance is half the mean square over pairs of two seeds
    error = np.sqrt((pairs**2).sum(axis=(0, 1)) / (2 * seeds * (seeds - 1)) / seeds)
    gain = difference.sum(axis=0) / seeds
    lasting = [c for i, c in enumerate(inputs["counts"]) if (gain[i:] <= 2 * error[i:]).all()]
    return gain, error, int(lasting[0]) if lasting else None


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with statistics from pairs of seeds."""
    gain, error, crossover = expected(case.inputs)
    seen = None if observed["crossover"] is None else np.asarray(observed["crossover"])
    right = seen is None if crossover is None else seen is not None and seen.shape == () and seen == crossover
    text = _("the gains over their standard errors are {ratios}: {right} was expected for the counts {counts}")
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.round(np.nan_to_num(gain / error), 1).tolist()
    message = text.format(ratios=ratios, right=crossover, counts=case.inputs["counts"].tolist())
    return [
        close("gain", observed["gain"], gain, _("the gain")),
        close("error", observed["error"], error, _("the standard error"), atol=1e-7),
        holds("crossover", right, message),
    ]


def probe(candidate, inputs):
    """What the candidate says of one set of runs."""
    gain, error, crossover = candidate(inputs["transfer"], inputs["scratch"], inputs["counts"])
    crossover = None if crossover is None else as_array(crossover)
    return {"gain": as_array(gain), "error": as_array(error), "crossover": crossover}


ERROR, AFTER = "difference.std(axis=0, ddof=1)", "leads[-1] + 1 if len(leads) else 0"

EXERCISE = Exercise(
    id="transfer-gain",
    title=_("Where the lead of transfer ends"),
    lesson="01_concepts",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Transfer and training from scratch were run with the same seeds at several numbers of labels. Write "
        "`transfer_gain`: for each label count the mean gain and its standard error, paired by seed; then the "
        "smallest count from which on transfer never leads (it leads where the gain is above two standard errors), "
        "or None when it leads at the largest count."
    ),
    hints=(
        _("A seed that drew easy labels helps both methods. What is left of that luck when you subtract?"),
        _("One number per seed and label count comes first; mean and standard error are taken of these numbers."),
        _("At which counts does transfer lead? What you look for stands right behind the last of them."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the paired standard error usually smaller than the unpaired one?"),
            _(
                "Both methods see the same labelled examples with one seed, so their accuracies rise and fall "
                "together. The variance of a difference is the sum of variances minus twice the covariance; pairing "
                "keeps that term, and treating the runs as independent throws it away."
            ),
        ),
        FollowUp(
            _("The lead ends at 500 labels per class. Is that a reason to train from scratch beyond?"),
            _(
                "Not by itself: equal accuracy is not an advantage of scratch, and transfer usually converges in fewer "
                "steps. It says that the pretrained weights no longer buy accuracy (He et al. 2019 on COCO), so cost, "
                "licence and robustness decide."
            ),
        ),
    ),
    criteria={
        "gain": Criterion(_("gives the mean gain at each label count")),
        "error": Criterion(_("gives the standard error of the paired differences")),
        "crossover": Criterion(_("finds the count from which on transfer never leads"), needs=("gain", "error")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"backwards": BACKWARDS, "columns": COLUMNS},
            mistakes={
                "unpaired": Mistake(
                    UNPAIRED, ((ERROR, "np.sqrt(transfer.var(axis=0, ddof=1) + scratch.var(axis=0, ddof=1))"),)
                ),
                "deviation": Mistake(DEVIATION, ((" / np.sqrt(len(difference))", ""),)),
                "population": Mistake(POPULATION, ((", ddof=1", ""),)),
                "first-tie": Mistake(
                    FIRST_TIE,
                    (
                        ("leads = np.flatnonzero(gain > 2 * error)", "ties = np.flatnonzero(gain <= 2 * error)"),
                        (AFTER, "ties[0] if len(ties) else len(counts)"),
                    ),
                ),
                "any-gain": Mistake(ANY_GAIN, (("gain > 2 * error", "gain > 0"),)),
                "sign": Mistake(SIGN, (("transfer - scratch", "scratch - transfer"),)),
                "position": Mistake(POSITION, (("counts[after]", "after"),)),
                "last-lead": Mistake(LAST_LEAD, (("counts[after] if", "counts[max(after - 1, 0)] if"),)),
                "relative": Mistake(RELATIVE, (("transfer - scratch", "(transfer - scratch) / scratch"),)),
                "labels-axis": Mistake(LABELS_AXIS, (("mean(axis=0)", "mean(axis=1)"), ("std(axis=0", "std(axis=1"))),
            },
        ),
    },
    complexity=_(
        "O(S·C) time and memory for S seeds and C label counts. Nothing beside the 2·S·C trainings that filled the "
        "tables: more seeds make the standard error smaller only with the root of S."
    ),
)
