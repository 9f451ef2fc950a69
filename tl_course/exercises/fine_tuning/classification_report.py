"""Which classes are mixed up: confusion matrix, precision and recall."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

REFERENCE = '''
import numpy as np


def classification_report(y_true: np.ndarray, y_pred: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """Precision and recall of each class, and what is mixed up with what.

    Args:
        y_true: true classes, integer, shape (N,).
        y_pred: predicted classes, integer, shape (N,).
        num_classes: K; some classes may never occur or never be predicted.

    Returns:
        "confusion": integer counts (K, K), rows are true classes, columns predicted ones;
        "precision", "recall": float, shape (K,), 0 where undefined;
        "undefined": bool, shape (K,), True for a class whose precision or recall (or both) has no examples to count.
    """
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(confusion, (y_true, y_pred), 1)
    right = confusion.diagonal()
    predicted, occurring = confusion.sum(axis=0), confusion.sum(axis=1)
    return {
        "confusion": confusion,
        "precision": right / predicted.clip(min=1),
        "recall": right / occurring.clip(min=1),
        "undefined": predicted * occurring == 0,
    }
'''

BINCOUNT = """
import numpy as np


def classification_report(y_true, y_pred, num_classes):
    pairs = num_classes * np.asarray(y_true) + np.asarray(y_pred)
    confusion = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    with np.errstate(invalid="ignore"):
        precision = confusion.diagonal() / confusion.sum(0)
        recall = confusion.diagonal() / confusion.sum(1)
    undefined = np.isnan(precision) | np.isnan(recall)
    found = {"precision": np.nan_to_num(precision), "recall": np.nan_to_num(recall)}
    return {"undefined": undefined, "confusion": confusion, **found}
"""

LOOPS = """
def classification_report(y_true, y_pred, num_classes):
    confusion = [[0] * num_classes for _ in range(num_classes)]
    for truth, guess in zip(y_true, y_pred):
        confusion[truth][guess] += 1
    precision, recall, undefined = [], [], []
    for k in range(num_classes):
        hits = confusion[k][k]
        guesses = sum(row[k] for row in confusion)
        truths = sum(confusion[k])
        precision.append(hits / guesses if guesses else 0.0)
        recall.append(hits / truths if truths else 0.0)
        undefined.append(guesses == 0 or truths == 0)
    return {"confusion": confusion, "precision": precision, "recall": recall, "undefined": undefined}
"""

CONFUSION = "np.add.at(confusion, (y_true, y_pred), 1)"
MISTAKES = {
    "transposed": Mistake(
        _("your confusion matrix has the predicted classes in its rows"),
        (
            (CONFUSION, "np.add.at(confusion, (y_pred, y_true), 1)"),
            ("confusion.sum(axis=0), confusion.sum(axis=1)", "confusion.sum(axis=1), confusion.sum(axis=0)"),
        ),
    ),
    "swapped": Mistake(
        _("precision and recall are the wrong way round: which of them asks about the examples that truly belong?"),
        (("confusion.sum(axis=0), confusion.sum(axis=1)", "confusion.sum(axis=1), confusion.sum(axis=0)"),),
    ),
    "counted-once": Mistake(
        _("repeated pairs are counted once: NumPy's indexed += does not add up equal positions"),
        ((CONFUSION, "confusion[y_true, y_pred] += 1"),),
    ),
    "not-a-number": Mistake(
        _("a class that never occurs, or is never predicted, divides zero by zero"),
        (
            ("predicted.clip(min=1)", "np.where(predicted == 0, np.nan, predicted)"),
            ("occurring.clip(min=1)", "np.where(occurring == 0, np.nan, occurring)"),
        ),
    ),
    "one-for-undefined": Mistake(
        _("what is undefined was given the value 1, which flatters a class the model never finds"),
        (
            ('"precision": right / predicted.clip(min=1)', '"precision": np.where(predicted, right / predicted, 1)'),
            ('"recall": right / occurring.clip(min=1)', '"recall": np.where(occurring, right / occurring, 1)'),
            ("    confusion = np.zeros", '    np.seterr(all="ignore")\n    confusion = np.zeros'),
        ),
    ),
    "both-missing": Mistake(
        _("a class is flagged only when it neither occurs nor is predicted; one of the two is enough"),
        (("predicted * occurring == 0", "predicted + occurring == 0"),),
    ),
    "recall-only": Mistake(
        _("a class that is never predicted has no precision, and it is not flagged"),
        (("predicted * occurring == 0", "occurring == 0"),),
    ),
    "zero-is-undefined": Mistake(
        _("a value of 0 is flagged as undefined, yet a class may be predicted often and never rightly"),
        (("predicted * occurring == 0", "right == 0"),),
    ),
    "seen-classes": Mistake(
        _("the size comes from the classes that happen to occur, so two reports cannot be compared"),
        source="""
import numpy as np


def classification_report(y_true, y_pred, num_classes):
    seen = np.union1d(y_true, y_pred)
    confusion = np.array([[np.sum((y_true == a) & (y_pred == b)) for b in seen] for a in seen])
    predicted, occurring = confusion.sum(axis=0), confusion.sum(axis=1)
    precision, recall = (np.diag(confusion) / np.maximum(counts, 1) for counts in (predicted, occurring))
    return {
        "confusion": confusion,
        "precision": precision,
        "recall": recall,
        "undefined": (predicted == 0) | (occurring == 0),
    }
""",
    ),
    "fractions": Mistake(
        _(
            "the confusion matrix holds shares of the rows; counts were asked for, as shares hide how few examples "
            "there are"
        ),
        (('"confusion": confusion,', '"confusion": confusion / occurring.clip(min=1)[:, None],'),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Five classes that all occur; seven of which one is absent, one missed, one always wrong and one unused."""
    truth = np.concatenate([np.arange(5), rng.integers(0, 5, size=30)])
    guess = np.concatenate([np.arange(5), np.where(rng.random(30) < 0.6, truth[5:], rng.integers(0, 5, size=30))])
    order = rng.permutation(35)
    absent, missed, wrong, plain, other, single, _unused = (int(k) for k in rng.permutation(7))
    rare_truth = np.array([plain] * 5 + [missed] * 3 + [wrong] * 2 + [other] * 4 + [single])
    rare_guess = np.array(
        [plain] * 4 + [absent] + [plain] * 2 + [other] + [plain, other] + [other] * 3 + [wrong, single]
    )
    return [
        Case("every class", {"y_true": truth[order], "y_pred": guess[order], "num_classes": 5}, ("confusion", "rates")),
        Case("rare classes", {"y_true": rare_truth, "y_pred": rare_guess, "num_classes": 7}, ("zeros", "undefined")),
    ]


def expected(inputs: dict[str, Plain]) -> dict[str, np.ndarray]:
    """The right report, counted by comparing every example with every class."""
    each = np.arange(inputs["num_classes"])
    truth, guess = inputs["y_true"][:, None] == each, inputs["y_pred"][:, None] == each  # (N, K)
    confusion = truth.T.astype(int) @ guess.astype(int)
    hits = (truth & guess).sum(axis=0)
    found = {"confusion": confusion, "undefined": ~(truth.any(axis=0) & guess.any(axis=0))}
    for name, counted in (("precision", guess), ("recall", truth)):
        found[name] = np.array([hit / count if count else 0 for hit, count in zip(hits, counted.sum(0), strict=True)])
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with counts taken class by class."""
    right = expected(case.inputs)
    rates = "rates" if case.name == "every class" else "zeros"
    found = [close(rates, observed[name], right[name], name) for name in ("precision", "recall")]
    whole = holds(
        "confusion", np.asarray(observed["confusion"]).dtype.kind in "iu", _("counts are whole numbers; yours are not")
    )
    if case.name == "every class":
        flagged = holds("rates", not np.any(observed["undefined"]), _("a class with examples is flagged as undefined"))
        return [
            whole,
            close("confusion", observed["confusion"], right["confusion"], _("the confusion matrix")),
            *found,
            flagged,
        ]
    flags = np.asarray(observed["undefined"])
    kind = holds("undefined", flags.dtype == bool, _("`undefined` holds True or False for each class"))
    return [*found, kind, close("undefined", flags, right["undefined"], _("which classes are undefined (1 = True)"))]


def probe(candidate, inputs):
    """The report, each part as an array."""
    report = candidate(inputs["y_true"].copy(), inputs["y_pred"].copy(), inputs["num_classes"])
    names = ("confusion", "precision", "recall", "undefined")
    if not isinstance(report, dict) or not set(names) <= set(report):
        raise NotPlain(_("a dict with the keys {names} was expected").format(names=", ".join(names)))
    return {name: as_array(report[name]) for name in names}


EXERCISE = Exercise(
    id="classification-report",
    title=_("Which classes are mixed up"),
    lesson="04_fine_tuning_images",
    minutes=10,
    difficulty=2,
    points=3,
    statement=_(
        "Accuracy hides which classes fail. Write `classification_report(y_true, y_pred, num_classes)`, a dict with "
        "`confusion` (integer counts, rows are true classes), `precision`, `recall` and `undefined`, one value per "
        "class. A precision or recall without any example to count is 0, and that class is True in `undefined`. "
        "Classes that occur nowhere keep their place."
    ),
    hints=(
        _("Everything follows from one table of counts. Fill it first and look at its row and column sums."),
        _(
            "Precision asks: of the images called k, how many are? Recall: of the images that are k, how many were "
            "found?"
        ),
        _("Divide the diagonal by column sums for one, by row sums for the other; guard the zeros before you divide."),
    ),
    follow_ups=(
        FollowUp(
            _("Why report 0 with a flag rather than leave undefined classes out of the mean?"),
            _(
                "Left out, a model that never predicts its hardest class gets a better mean for it. With 0 the mean "
                "shows the failure, and the flag tells readers that it rests on no examples."
            ),
        ),
        FollowUp(
            _("After fine-tuning, accuracy rose and the mean recall over classes fell. What happened?"),
            _(
                "The gain came from frequent classes and the loss from rare ones, as accuracy weighs images and the "
                "mean weighs classes. Look at the rows of the confusion matrix, then at class weights or balanced "
                "sampling."
            ),
        ),
    ),
    criteria={
        "confusion": Criterion(_("counts true classes in rows and predicted ones in columns")),
        "rates": Criterion(_("gives precision and recall where all classes occur"), weight=2),
        "zeros": Criterion(_("gives 0 where nothing can be counted")),
        "undefined": Criterion(_("flags the classes with an undefined value"), needs=("zeros",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=REFERENCE,
            probe=probe,
            alternatives={"bincount": BINCOUNT, "loops": LOOPS},
            mistakes=MISTAKES,
        ),
    },
    complexity=_(
        "O(N + K²) time for K classes and O(K²) memory: one pass over the examples to count, then sums over the table. "
        "For thousands of classes the table is the larger part, and mostly empty."
    ),
)
