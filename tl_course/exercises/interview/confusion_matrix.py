"""The confusion matrix, counted and normalised."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _confusion_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Uneven classes; classes that never occur, the last one too; no examples; classes that do not exist."""
    labels = rng.permutation(np.repeat(np.arange(4), (9, 5, 3, 1)))
    predictions = np.where(rng.random(18) < 0.5, labels, rng.integers(4, size=18))
    predictions[labels == 0] = rng.permutation([0, 0, 0, 1, 1, 2, 3, 3, 3])  # off the diagonal, and not symmetric
    usual = {"labels": labels, "predictions": predictions, "num_classes": 4}
    some = {"labels": 2 * (labels[labels < 3] % 2), "predictions": predictions[labels < 3] % 3, "num_classes": 6}
    none = {"labels": labels[:0], "predictions": predictions[:0], "num_classes": 3}
    found = [
        Case("usual", {**usual, "normalise": False}, ("counts", "untouched")),
        Case("shares", {**usual, "normalise": True}, ("shares",)),
        Case("missing classes", {**some, "normalise": False}, ("missing",)),
        Case("missing classes, shares", {**some, "normalise": True}, ("missing",)),
        Case("no examples", {**none, "normalise": False}, ("missing",)),
        Case("no examples, shares", {**none, "normalise": True}, ("missing",)),
    ]
    for name in ("labels", "predictions"):
        for value in (-1, 4):
            wrong = usual[name].copy()
            wrong[int(rng.integers(18))] = value
            inputs = {**usual, name: wrong, "normalise": False}
            found.append(Case(f"{value} among the {name}", inputs, ("refuses",)))
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with a count of each pair of classes."""
    criterion, matrix = case.criteria[0], observed["matrix"]
    if criterion == "refuses":
        text = _("{name}: ValueError was expected, and a matrix came back").format(name=case.name)
        return [holds("refuses", isinstance(matrix, str), text)]
    inputs, classes = case.inputs, range(case.inputs["num_classes"])
    right = np.array(
        [[np.sum((inputs["labels"] == i) & (inputs["predictions"] == j)) for j in classes] for i in classes]
    )
    if inputs["normalise"]:
        right = np.array([row / row.sum() if row.sum() else np.zeros(len(row)) for row in right])
    found = [close(criterion, matrix, right, _("{name}: the matrix").format(name=case.name))]
    if not inputs["normalise"]:
        text = _("{name}: counts are integers, yours are {kind}").format(name=case.name, kind=np.asarray(matrix).dtype)
        found.append(holds(criterion, np.asarray(matrix).dtype.kind in "iu", text))
    if "untouched" in case.criteria:
        text = _("the arrays you were given had other values afterwards")
        found.append(holds("untouched", observed["kept"], text))
    return found


def probe(candidate, inputs):
    """The matrix, or the name of the error raised for classes that do not exist."""
    arguments = [inputs[name] for name in ("labels", "predictions", "num_classes")]
    named = {"normalise": True} if inputs["normalise"] else {}
    try:
        matrix, kept = _watch.call(candidate, *arguments, **named)
    except ValueError as error:
        classes = np.concatenate(arguments[:2])
        if np.isin(classes, np.arange(arguments[2])).all():
            raise
        return {"matrix": type(error).__name__, "kept": True}
    return {"matrix": as_array(matrix), "kept": kept}


EXERCISE = Exercise(
    id="confusion-matrix",
    title=_("Who is taken for whom"),
    lesson="11_interview_clinic",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "Write `confusion_matrix(labels, predictions, num_classes, normalise=False)` without scikit-learn: integers "
        "(K, K), rows are true classes, columns predicted ones. With normalise, divide each row by its sum. Classes "
        "may be missing from the data, and there may be no examples: the table stays (K, K), and the row of a class "
        "without examples is zeros. Raise `ValueError` for a class outside 0..K-1. Leave the inputs unchanged."
    ),
    hints=(
        _("Start from a table of zeros of the final size: then nothing depends on which classes occur."),
        _("The pair (true, predicted) is an index into the table. What if the same index occurs twice in one call?"),
        _("Check the range first: NumPy reads -1 as the last class. A sum of 0 may be replaced by 1 before dividing."),
    ),
    follow_ups=(
        FollowUp(
            _("Where do you read off recall and precision of a class, and the accuracy?"),
            _(
                "With rows as true classes: recall is the diagonal entry over its row's sum, precision over its "
                "column's sum, accuracy the trace over the total. The diagonal of the row-normalised table holds the "
                "recalls; its mean is the balanced accuracy."
            ),
        ),
        FollowUp(
            _("Why is matrix[labels, predictions] += 1 wrong?"),
            _(
                "NumPy reads the entries, adds 1 and writes them back: an index that occurs many times is written many "
                "times with the same value. np.add.at adds without this buffer; bincount of label * K + prediction is "
                "faster."
            ),
        ),
        FollowUp(
            _("Data come in batches from several machines. How do you combine the tables?"),
            _(
                "Add the counts, then normalise once. Averaging normalised tables weights batches, not examples, and "
                "treats a class missing from a batch as one that is always missed."
            ),
        ),
    ),
    complexity=_("O(N + K²) time and memory: one pass over the pairs, and the table."),
    criteria={
        "counts": Criterion(_("counts every pair, rows being the true classes"), weight=2),
        "shares": Criterion(_("divides each row by its sum when asked to")),
        "missing": Criterion(_("keeps its size and gives zeros where classes or all examples are missing")),
        "refuses": Criterion(_("raises ValueError for a class that does not exist"), weight=0.5, needs=("counts",)),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("counts",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe,
            alternatives={"bincount": code.BINCOUNT, "one-hot": code.ONE_HOT, "loop": code.LOOP},
            mistakes=code.MISTAKES,
            equivalent={
                "raise ValueError('a class lies outside 0..K-1_')": "the text of the error is free",
                "return matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True)) if normalise else matrix": (
                    "the maximum of two numbers is symmetric"
                ),
            },
        ),
    },
)
