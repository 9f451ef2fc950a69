"""Find the fault: features standardised with statistics that have seen the test set."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def standardise(train_x: np.ndarray, test_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring features to mean 0 and standard deviation 1 (as np.std gives it) before a linear probe.

    Args:
        train_x: training features, float, shape (N, D).
        test_x: test features, float, shape (M, D).

    Returns:
        The standardised training and test features, shapes (N, D) and (M, D). A constant feature is only centred.
    """
    mean = train_x.mean(axis=0)  # (D,)
    std = train_x.std(axis=0)
    std = np.where(std == 0, 1, std)
    return (train_x - mean) / std, (test_x - mean) / std
'''

STARTER = '''
import numpy as np


def standardise(train_x: np.ndarray, test_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring features to mean 0 and standard deviation 1 (as np.std gives it) before a linear probe.

    Args:
        train_x: training features, float, shape (N, D).
        test_x: test features, float, shape (M, D).

    Returns:
        The standardised training and test features, shapes (N, D) and (M, D). A constant feature is only centred.
    """
    features = np.concatenate([train_x, test_x])  # (N + M, D)
    mean = features.mean(axis=0)  # (D,)
    std = features.std(axis=0)
    features = (features - mean) / np.where(std == 0, 1, std)
    return features[: len(train_x)], features[len(train_x) :]
'''

NUMPY_COLUMNS = """
import numpy as np


def standardise(train_x, test_x):
    train, test = np.array(train_x, dtype=np.float64), np.array(test_x, dtype=np.float64)
    for column in range(train.shape[1]):
        middle = train[:, column].sum() / len(train)
        spread = (((train[:, column] - middle) ** 2).sum() / len(train)) ** 0.5
        for features in (train, test):
            features[:, column] -= middle
            if spread > 0:
                features[:, column] /= spread
    return train, test
"""

NUMPY_APPLY = """
import numpy as np


def standardise(train_x, test_x):
    centre, spread = np.mean(train_x, 0, keepdims=True), np.sqrt(np.var(train_x, 0, keepdims=True))
    spread[spread < 1e-12] = 1.0

    def apply(features):
        return (features - centre) / spread

    return [apply(train_x), apply(test_x)]
"""

LEAKS = _(
    "the test examples helped to compute the statistics, so the training features know something of the test set and "
    "the measured accuracy flatters"
)
OWN_STATISTICS = _(
    "each split is standardised by itself: the same example gets other features in training and in use, and one "
    "example alone becomes all zeros"
)
TEST_UNTOUCHED = _("the test features are left as they were, but the probe was trained on another scale")
ONLY_CENTRED = _("the features are centred and keep their spread")
SAMPLE_DEVIATION = _("the sum of squares is divided by N - 1: your training features have a standard deviation below 1")
VARIANCE = _("the features are divided by their variance, which has the unit of the feature squared")
EXAMPLES_AXIS = _("the statistics run over each example's features; each feature needs its own, taken over examples")
ONE_NUMBER = _("one mean and one standard deviation for all features leave large features large and small ones small")
NO_GUARD = _("a feature that never varied in training is divided by zero")
EPSILON = _(
    "a small number added to zero is still a small number: where a constant feature moves later, dividing by it "
    "makes the feature huge"
)


def cases(rng: np.random.Generator) -> list[Case]:
    """Features of several scales with a shifted test set; in the second case some never vary in training."""
    scale, offset = rng.uniform(0.1, 20, size=5), rng.uniform(-3, 8, size=5)
    train = (rng.normal(size=(11, 5)) * scale + offset).astype(np.float32)
    test = (rng.normal(size=(7, 5)) * scale * 1.5 + offset + 0.7 * scale).astype(np.float32)
    other = (test * rng.uniform(1.5, 3) + 4).astype(np.float32)
    still, moved = train.copy(), test.copy()
    still[:, 1] = 0.0  # a dead ReLU
    still[:, 3] = float(rng.integers(2, 9)) / 4
    moved[:, 1] = np.abs(moved[:, 1])
    return [
        Case("features", {"train_x": train, "test_x": test, "other_x": other}, ("train", "test", "leak", "inputs")),
        Case("constant features", {"train_x": still, "test_x": moved, "other_x": other}, ("constant",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray]:
    """The right answer, feature by feature."""
    columns = []
    for train, test in zip(inputs["train_x"].T.astype(np.float64), inputs["test_x"].T.astype(np.float64), strict=True):
        spread = np.sqrt(np.mean(train**2) - np.mean(train) ** 2) if np.ptp(train) > 0 else 1.0
        columns.append((np.concatenate([train, test]) - np.mean(train)) / spread)
    both = np.stack(columns, axis=1)
    return both[: len(inputs["train_x"])], both[len(inputs["train_x"]) :]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with each feature's training statistics, and with other company in the test set."""
    train, test = expected(case.inputs)
    if case.name == "constant features":
        return [
            close("constant", observed["train"], train, _("the training features, two of them constant"), atol=1e-4),
            close(
                "constant", observed["test"], test, _("the test features, two of them constant in training"), atol=1e-4
            ),
        ]
    steady = np.allclose(observed["train"], observed["train, other test"], rtol=1e-4, atol=1e-4)
    alone = np.allclose(observed["test"][:1], observed["test, one alone"], rtol=1e-4, atol=1e-4)
    return [
        close("train", observed["train"], train, _("the training features"), atol=1e-4),
        close("test", observed["test"], test, _("the test features"), atol=1e-4),
        holds("leak", steady, _("with another test set, your training features are different")),
        holds("leak", alone, _("a test example gets other features when it is the only one in the test set")),
        holds("inputs", observed["inputs kept"], _("your function changed the arrays it was given")),
    ]


def probe_numpy(candidate, inputs):
    """Standardise with the test set, with another one, and with one test example alone."""

    def standardised(test_x: np.ndarray) -> list[np.ndarray]:
        result = candidate(inputs["train_x"].copy(), test_x.copy())
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise NotPlain(_("two arrays were expected: the training features and the test features"))
        return [as_array(part) for part in result]

    given = inputs["train_x"].copy(), inputs["test_x"].copy()
    candidate(*given)
    kept = (given[0] == inputs["train_x"]).all() and (given[1] == inputs["test_x"]).all()
    train, test = standardised(inputs["test_x"])
    return {
        "train": train,
        "test": test,
        "train, other test": standardised(inputs["other_x"])[0],
        "test, one alone": standardised(inputs["test_x"][:1])[1],
        "inputs kept": bool(kept),
    }


EXERCISE = Exercise(
    id="leaky-probe",
    title=_("Standardised features for a probe"),
    lesson="03_feature_extraction",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A team standardises backbone features before its linear probe. Offline the probe scores well; in production "
        "it does worse, and colleagues notice that the *training* features change whenever someone edits the *test* "
        "file. Find the fault in `standardise`, fix it, and prove it: a test example gets the same features alone "
        "as in company. Both results keep their shapes; a feature that is constant in training is centred and not "
        "scaled. The inputs stay unchanged."
    ),
    hints=(
        _("For each number the function computes, ask: could I have computed it before the test set existed?"),
        _("Production sees one example at a time. Which statistics can it use then?"),
        _("Fit on one split, apply to both. A standard deviation of exactly 0 is replaced by 1 before you divide."),
    ),
    follow_ups=(
        FollowUp(
            _("Where else does such a leak hide: PCA, feature selection, choosing the layer, early stopping?"),
            _(
                "In each of them, as soon as test examples take part in fitting or in choosing; selecting features by "
                "their labels is the worst. Fit on the training split, choose on a validation split, and use the test "
                "set once at the end."
            ),
        ),
        FollowUp(
            _("How would you standardise inside five-fold cross-validation?"),
            _(
                "Inside each fold: mean and standard deviation from the four training parts, applied to the held-out "
                "part. A scikit-learn Pipeline of StandardScaler and classifier, handed to cross_val_score, does just "
                "that."
            ),
        ),
        FollowUp(
            _("When does this leak change the accuracy a lot, and when hardly at all?"),
            _(
                "A lot when the two splits differ, when the training set is small beside the test set, or when the "
                "service sees single examples and cannot repeat the computation. Hardly at all when both are large "
                "samples of one distribution, because their statistics agree; it is still wrong."
            ),
        ),
    ),
    criteria={
        "train": Criterion(_("training features have mean 0 and standard deviation 1 (of np.std)")),
        "test": Criterion(_("test features are on the scale the probe was trained on")),
        "leak": Criterion(
            _("nothing of the test set reaches another example's features"), weight=2, needs=("train", "test")
        ),
        "constant": Criterion(_("a feature that is constant in training is only centred")),
        "inputs": Criterion(_("leaves the arrays it was given as they were"), weight=0.5, needs=("train", "test")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            starter=STARTER,
            alternatives={"columns": NUMPY_COLUMNS, "apply": NUMPY_APPLY},
            mistakes={
                "leaks": Mistake(LEAKS, source=STARTER),
                "own-statistics": Mistake(
                    OWN_STATISTICS,
                    (
                        (
                            "(test_x - mean) / std",
                            "(test_x - test_x.mean(axis=0)) / np.where(test_x.std(axis=0) == 0, 1, test_x.std(axis=0))",
                        ),
                    ),
                ),
                "test-untouched": Mistake(TEST_UNTOUCHED, (("(test_x - mean) / std", "test_x"),)),
                "only-centred": Mistake(
                    ONLY_CENTRED, (("(train_x - mean) / std, (test_x - mean) / std", "train_x - mean, test_x - mean"),)
                ),
                "sample-deviation": Mistake(SAMPLE_DEVIATION, (("std(axis=0)", "std(axis=0, ddof=1)"),)),
                "variance": Mistake(VARIANCE, (("train_x.std(axis=0)", "train_x.var(axis=0)"),)),
                "examples-axis": Mistake(
                    EXAMPLES_AXIS,
                    source="""
import numpy as np


def standardise(train_x, test_x):
    def apply(features):
        std = features.std(axis=1, keepdims=True)
        return (features - features.mean(axis=1, keepdims=True)) / np.where(std == 0, 1, std)

    return apply(train_x), apply(test_x)
""",
                ),
                "one-number": Mistake(
                    ONE_NUMBER, (("train_x.mean(axis=0)", "train_x.mean()"), ("train_x.std(axis=0)", "train_x.std()"))
                ),
                "no-guard": Mistake(NO_GUARD, (("    std = np.where(std == 0, 1, std)\n", ""),)),
                "epsilon": Mistake(EPSILON, (("np.where(std == 0, 1, std)", "std + 1e-7"),)),
            },
        ),
    },
    complexity=_(
        "O((N + M)·D) time and memory, with the fault and without. In production, where 2·D stored numbers are at "
        "hand, one example costs O(D)."
    ),
)
