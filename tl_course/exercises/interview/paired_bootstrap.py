"""How sure is it that one model beats another: the paired bootstrap."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def paired_bootstrap(
    right_a: np.ndarray, right_b: np.ndarray, num_resamples: int, level: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Percentile bootstrap interval for the difference of two models' accuracies on the same test examples.

    Args:
        right_a: whether model A is right on each test example, boolean, shape (N,), N at least 1; not modified.
        right_b: the same for model B on the same examples in the same order, boolean, shape (N,); not modified.
        num_resamples: how many bootstrap resamples to draw, each of N examples with replacement.
        level: of the interval, in (0, 1): 0.95 leaves out 2.5 % of the resampled differences at either end.
        rng: the only source of randomness, used as it comes: neither seeded nor replaced.

    Returns:
        Accuracy of A less accuracy of B on the test set, and the lower and the upper end of the interval, as numbers
        (shares, not per cent). Each resample draws examples, and both models are judged on the same ones.
    """
    gap = right_a.astype(float) - right_b  # (N,): 1, 0 or -1
    drawn = rng.integers(len(gap), size=(num_resamples, len(gap)))
    low, high = np.quantile(gap[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return gap.mean(), low, high
'''

LOOP = """
import numpy as np


def paired_bootstrap(right_a, right_b, num_resamples, level, rng):
    n, differences = len(right_a), []
    for _ in range(num_resamples):
        rows = rng.choice(n, size=n, replace=True)
        differences.append(np.mean(right_a[rows]) - np.mean(right_b[rows]))
    tail = 50 * (1 - level)
    low, high = np.percentile(differences, [tail, 100 - tail])
    return float(np.mean(right_a) - np.mean(right_b)), float(low), float(high)
"""

COUNTS = """
import numpy as np


def paired_bootstrap(right_a, right_b, num_resamples, level, rng):
    n = right_a.size
    only_a, only_b = np.sum(right_a & ~right_b), np.sum(right_b & ~right_a)
    shares = np.array([only_a, only_b, n - only_a - only_b]) / n
    draws = rng.multinomial(n, shares, size=num_resamples)
    differences = np.sort(draws[:, 0] - draws[:, 1]) / n
    cut = round(num_resamples * (1 - level) / 2)
    return (only_a - only_b) / n, differences[cut], differences[-1 - cut]
"""

GAP, DRAWN = "right_a.astype(float) - right_b", "rng.integers(len(gap), size=(num_resamples, len(gap)))"
MEANS, ENDS, RETURN = "gap[drawn].mean(axis=1)", "[(1 - level) / 2, (1 + level) / 2]", "return gap.mean(), low, high"
MISTAKES = {
    "not-paired": Mistake(
        _("each model gets a resample of its own: that throws away that both saw the same examples"),
        (
            (
                MEANS,
                "right_a[drawn].mean(axis=1) - right_b[rng.integers(len(gap), size=drawn.shape)].mean(axis=1)",
            ),
        ),
    ),
    "without-replacement": Mistake(
        _("a resample holds each example exactly once, so all resamples are the same"),
        ((DRAWN, "np.argsort(rng.random((num_resamples, len(gap))), axis=1)"),),
    ),
    "half-samples": Mistake(
        _("the resamples are smaller than the test set: the interval comes out too wide"),
        ((DRAWN, "rng.integers(len(gap), size=(num_resamples, len(gap) // 2))"),),
    ),
    "level-as-tail": Mistake(_("the level was taken for what is left out"), ((ENDS, "[level / 2, 1 - level / 2]"),)),
    "one-tail": Mistake(
        _("all that may be left out is left out at each end, so twice too much is"), ((ENDS, "[1 - level, level]"),)
    ),
    "extremes": Mistake(
        _("the ends are the smallest and the largest difference; they grow with the number of resamples"),
        ((ENDS, "[0, 1]"),),
    ),
    "around-zero": Mistake(
        _("the interval is centred on zero: that is a null distribution, not the uncertainty of the difference"),
        ((MEANS, f"{MEANS} - gap.mean()"),),
    ),
    "turned-round": Mistake(_("the difference is that of B over A"), ((GAP, "right_b.astype(float) - right_a"),)),
    "mean-of-resamples": Mistake(
        _("the difference returned is an average over the resamples; the test set itself gives it without noise"),
        ((RETURN, f"return {MEANS}.mean(), low, high"),),
    ),
    "seeds-itself": Mistake(
        _("the generator is made anew in the function: every call draws the same resamples"),
        (("drawn = rng", "drawn = np.random.default_rng(0)"),),
    ),
    "global-random": Mistake(
        _("the numbers come from NumPy's global state: the caller's generator has no say"),
        ((DRAWN, "np.random.randint(len(gap), size=(num_resamples, len(gap)))"),),
    ),
    "per-cent": Mistake(
        _("per cent and share differ by a factor of 100"), ((RETURN, "return 100 * gap.mean(), 100 * low, 100 * high"),)
    ),
    "one-model": Mistake(
        _("this is the interval of A's accuracy; the question is about the difference"),
        ((MEANS, "right_a[drawn].mean(axis=1)"),),
    ),
}

SIZE, RESAMPLES = 400, 1000


def cases(rng: np.random.Generator) -> list[Case]:
    """Models that err independently, models that err together, models that agree, and one that is always better."""

    def case(name: str, right_a: np.ndarray, right_b: np.ndarray, *criteria: str) -> Case:
        level, seed = float(rng.choice([0.75, 0.8, 0.85])), int(rng.integers(1000))
        return Case(name, {"right_a": right_a, "right_b": right_b, "level": level, "seed": seed}, criteria)

    accuracy = rng.uniform(0.65, 0.8)
    alone_a, alone_b = rng.random((2, SIZE)) < np.array([[accuracy], [accuracy - 0.1]])
    together = rng.random(SIZE - 37) < accuracy
    flipped = together.copy()
    flipped[rng.choice(len(flipped), size=36, replace=False)] ^= True
    same = rng.random(50) < 0.7
    return [
        case("errors of their own", alone_a, alone_b, "difference", "interval", "random", "untouched"),
        case("errors in common", together, flipped, "paired"),
        case("the same answers", same, same.copy(), "edges"),
        case("A always better", np.ones(9, dtype=bool), np.zeros(9, dtype=bool), "edges"),
    ]


def expected(right_a: np.ndarray, right_b: np.ndarray, level: float) -> tuple[float, float, float, float]:
    """Difference, ends of the interval by 40,000 draws of how often each outcome occurs, and the standard error."""
    outcomes = [np.mean(right_a & ~right_b), np.mean(right_b & ~right_a), np.mean(right_a == right_b)]
    counts = np.random.default_rng(0).multinomial(len(right_a), outcomes, size=40_000)
    differences = (counts[:, 0] - counts[:, 1]) / len(right_a)
    low, high = np.quantile(differences, [0.5 - level / 2, 0.5 + level / 2])
    return outcomes[0] - outcomes[1], float(low), float(high), float(differences.std())


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the difference exactly, and the ends of the interval within a quarter of a standard error."""
    given = {name: case.inputs[name] for name in ("right_a", "right_b", "level")}
    difference, low, high, error = expected(**given)
    names = ("difference", "interval") if "interval" in case.criteria else case.criteria * 2
    what = _("the difference, {case}").format(case=case.name)
    found = [close(names[0], observed["difference"], difference, what, atol=1e-9)]
    for end, right, name in (("low", low, _("the lower end")), ("high", high, _("the upper end"))):
        what = _("{end}, {case}").format(end=name, case=case.name)
        found.append(close(names[1], observed[end], right, what, rtol=0, atol=error / 4 + 1e-9))
    if "random" in case.criteria:
        same = _("the same generator state gave two different intervals: is all randomness taken from `rng`?")
        new = _("a second call with the same generator gave the same interval: it should go on drawing")
        text = _("the arrays you were given had other values afterwards")
        found += [holds("random", observed["repeats"], same), holds("random", observed["renews"], new)]
        found.append(holds("untouched", observed["kept"], text))
    return found


def probe(candidate, inputs):
    """Difference and interval; and intervals of 5 resamples, which show where the random numbers come from."""
    arrays, level = (inputs["right_a"], inputs["right_b"]), inputs["level"]
    rng, again = np.random.default_rng(inputs["seed"]), np.random.default_rng(inputs["seed"])
    (difference, low, high), kept = _watch.call(
        candidate, *arrays, RESAMPLES, level, np.random.default_rng(7 + inputs["seed"])
    )
    few, few_again = ([as_array(candidate(*arrays, 5, level, source)) for _call in range(3)] for source in (rng, again))
    repeats = np.array_equal(few, few_again)
    renews = not all(np.array_equal(few[0], other) for other in few[1:])
    numbers = {"difference": as_array(difference), "low": as_array(low), "high": as_array(high)}
    return {**numbers, "repeats": repeats, "renews": renews, "kept": kept}


EXERCISE = Exercise(
    id="paired-bootstrap",
    title=_("Is the better model better?"),
    lesson="11_interview_clinic",
    minutes=14,
    difficulty=3,
    points=4,
    statement=_(
        "Two models were tested on the same N examples; `right_a` and `right_b` (N,) say where each is right. Write "
        "`paired_bootstrap(right_a, right_b, num_resamples, level, rng)`: the difference of accuracies A - B, and the "
        "lower and upper end of its percentile bootstrap interval at `level`. A resample has N examples, drawn with "
        "replacement, the same for both models. All randomness comes from the generator `rng`, used as it is. Leave "
        "the inputs unchanged."
    ),
    hints=(
        _("What is one observation here: a model's answer, or what both models did with one example?"),
        _("Take A's hit less B's hit for each example; the difference of the accuracies is its mean."),
        _("Draw an index array (num_resamples, N), take means along N, and two quantiles with (1 - level)/2 outside."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the paired interval usually narrower, and when is it not?"),
            _(
                "Both models get the easy examples right and the hard ones wrong, so most differences are 0: the "
                "variance is that of A plus that of B less twice the covariance. With uncorrelated errors nothing is "
                "gained; with negatively correlated ones it is wider."
            ),
        ),
        FollowUp(
            _("What uncertainty does this interval leave out?"),
            _(
                "That of training: with another seed or sample of training data both models would differ. Repeat the "
                "training over seeds and resample these too. It also assumes independent test examples: patches of one "
                "photograph or sentences of one author must be resampled as a group."
            ),
        ),
        FollowUp(
            _("N is a million and you want 10,000 resamples. How do you save time and memory?"),
            _(
                "Only three outcomes matter: A alone right, B alone, neither. A resample is one multinomial draw of "
                "three counts, so the cost does not depend on N. For a plain difference the normal approximation with "
                "the paired standard error agrees at such an N anyway."
            ),
        ),
    ),
    complexity=_("O(R·N) time and memory for R resamples; one resample at a time takes O(N) memory."),
    criteria={
        "difference": Criterion(_("gives the difference of the accuracies on the test set")),
        "interval": Criterion(_("gives the percentile interval at the level asked for"), weight=2),
        "paired": Criterion(_("judges both models on the same resampled examples"), weight=1.5, needs=("interval",)),
        "edges": Criterion(_("gives an interval of width 0 where resampling changes nothing"), needs=("interval",)),
        "random": Criterion(_("takes all randomness from the generator given"), needs=("interval",)),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("interval",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"loop": LOOP, "counts": COUNTS},
            mistakes=MISTAKES,
        ),
    },
)
