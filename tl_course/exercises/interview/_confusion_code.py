"""The code of the question on the confusion matrix: reference, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int, normalise: bool = False
) -> np.ndarray:
    """Count how often each class was predicted for each true class.

    Args:
        labels: the true classes, integers 0..K-1, shape (N,); N may be 0. Not modified.
        predictions: the predicted classes, integers 0..K-1, shape (N,). Not modified.
        num_classes: K; some classes may occur nowhere.
        normalise: give shares instead: each row divided by its sum.

    Returns:
        Rows are true classes, columns predicted ones, shape (K, K): integers when counted, floats when normalised.
        The row of a class without examples is all zeros in both.

    Raises:
        ValueError: a label or a prediction lies outside 0..K-1.
    """
    both = np.concatenate([labels, predictions])
    if np.any((both < 0) | (both >= num_classes)):
        raise ValueError("a class lies outside 0..K-1")
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predictions), 1)
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) if normalise else matrix
'''

BINCOUNT = """
import numpy as np


def confusion_matrix(labels, predictions, num_classes, normalise=False):
    for classes in (labels, predictions):
        if classes.size and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError("a class that does not exist")
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    counts = counts.reshape(num_classes, num_classes)
    if not normalise:
        return counts
    totals = counts.sum(1)[:, None]
    return np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
"""

ONE_HOT = """
import numpy as np


def confusion_matrix(labels, predictions, num_classes, normalise=False):
    classes = np.arange(num_classes)
    true, guessed = labels[:, None] == classes, predictions[:, None] == classes
    if not (true.any(1).all() and guessed.any(1).all()):
        raise ValueError("each label and prediction must be a class")
    matrix = true.T.astype(int) @ guessed.astype(int)
    if normalise:
        matrix = np.array([row / row.sum() if row.any() else row * 0.0 for row in matrix])
    return matrix
"""

LOOP = """
import numpy as np


def confusion_matrix(labels, predictions, num_classes, normalise=False):
    table = [[0] * num_classes for _ in range(num_classes)]
    for true, guess in zip(labels.tolist(), predictions.tolist()):
        if min(true, guess) < 0 or max(true, guess) >= num_classes:
            raise ValueError((true, guess))
        table[true][guess] += 1
    if normalise:
        table = [[count / (sum(row) or 1) for count in row] for row in table]
    return np.array(table)
"""

CHECK = '    if np.any((both < 0) | (both >= num_classes)):\n        raise ValueError("a class lies outside 0..K-1")\n'
COUNT, SUMS = "np.add.at(matrix, (labels, predictions), 1)", "np.maximum(matrix.sum(axis=1, keepdims=True), 1)"
MISTAKES = {
    "transposed": Mistake(
        _("rows and columns have changed places: recall read off such a table is precision"),
        ((COUNT, "np.add.at(matrix, (predictions, labels), 1)"),),
    ),
    "buffered": Mistake(
        _("indexing with += adds only once for indices that occur several times: every count is 0 or 1"),
        ((COUNT, "matrix[labels, predictions] += 1"),),
    ),
    "present-only": Mistake(
        _("only classes that occur get a row: the table changes its size with the data"),
        (
            (
                "    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)\n",
                "    labels, predictions = (np.searchsorted(np.unique(both), part) for part in (labels, predictions))\n"
                "    num_classes = len(np.unique(both))\n"
                "    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)\n",
            ),
        ),
    ),
    "no-guard": Mistake(
        _("the row of a class without examples divides zero by zero"), ((SUMS, "matrix.sum(axis=1, keepdims=True)"),)
    ),
    "by-columns": Mistake(
        _("the columns are made to add up to 1: that tells how far to trust a prediction, not what a class gets"),
        ((SUMS, "np.maximum(matrix.sum(axis=0, keepdims=True), 1)"),),
    ),
    "misaligned-sums": Mistake(
        _("the row sums lie along the columns when you divide: each entry is divided by another row's sum"),
        ((SUMS, "np.maximum(matrix.sum(axis=1), 1)"),),
    ),
    "by-total": Mistake(
        _("everything is divided by the number of examples: a rare class's row is small whatever it gets"),
        ((SUMS, "max(matrix.sum(), 1)"),),
    ),
    "unchecked": Mistake(
        _("a class that does not exist is counted from the end, or stops with another error than the one asked for"),
        ((CHECK, ""),),
    ),
    "labels-unchecked": Mistake(
        _("only the labels are checked: a predicted class of -1 is counted as the last one"),
        (("np.concatenate([labels, predictions])", "labels"),),
    ),
    "never-normalised": Mistake(
        _("normalise changes nothing"), ((f"matrix / {SUMS} if normalise else matrix", "matrix"),)
    ),
    "floats": Mistake(
        _("counts come back as floats; they are whole numbers"), (("dtype=np.int64", "dtype=np.float64"),)
    ),
}
