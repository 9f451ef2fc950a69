"""The code of the question on top-k accuracy: reference, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The share of examples whose right class is among the k highest scores.

    Args:
        scores: finite numbers, higher is better, shape (N, K); not modified.
        labels: the right classes, integers 0..K-1, shape (N,).
        k: at least 1; where it is K or more, every example counts.

    Returns:
        A number from 0 to 1. Ties count against the model: an example counts only if fewer than k other classes score
        at least as high as the right one.

    Raises:
        ValueError: there is no example, or k is less than 1.
    """
    if len(labels) == 0 or k < 1:
        raise ValueError("an example and k of at least 1 are needed")
    right = scores[np.arange(len(labels)), labels][:, None]
    rivals = np.sum(scores >= right, axis=1) - 1
    return np.mean(rivals < k)
'''

SORTED = """
import numpy as np


def top_k_accuracy(scores, labels, k):
    if k < 1 or not labels.size:
        raise ValueError("nothing to count")
    n, classes = scores.shape
    if k >= classes:
        return 1.0
    own = scores[np.arange(n), labels]
    others = np.sort(scores, axis=1)[:, ::-1]
    return float(np.mean(others[:, k] < own))
"""

LOOP = """
def top_k_accuracy(scores, labels, k):
    if k <= 0:
        raise ValueError(f"k is {k}")
    hits = []
    for row, label in zip(scores.tolist(), labels.tolist()):
        own = row.pop(label)
        hits.append(sum(value >= own for value in row) < k)
    if not hits:
        raise ValueError("no examples")
    return sum(hits) / len(hits)
"""

LAST = """
import numpy as np


def top_k_accuracy(scores, labels, k):
    if k < 1 or len(labels) < 1:
        raise ValueError("no examples, or k too small")
    hits = 0
    for row, label in zip(scores, labels):
        order = np.lexsort((np.arange(len(row)) == label, -row))  # of equal scores, the right class comes last
        hits += label in order[:k]
    return hits / len(labels)
"""

CHECK = '    if len(labels) == 0 or k < 1:\n        raise ValueError("an example and k of at least 1 are needed")\n'
RIGHT, RIVALS = (
    "right = scores[np.arange(len(labels)), labels][:, None]",
    "rivals = np.sum(scores >= right, axis=1) - 1",
)
COUNTED = f"    {RIGHT}\n    {RIVALS}\n    return np.mean(rivals < k)\n"
MISTAKES = {
    "ties-in-favour": Mistake(
        _("ties count for the model: one that gives every class the same score would be right every time"),
        ((RIVALS, "rivals = np.sum(scores > right, axis=1)"),),
    ),
    "argsort": Mistake(
        _("which of several equal scores comes first is left to the sort, and so to the classes' numbers"),
        (
            (
                COUNTED,
                "    top = np.argsort(-scores, axis=1, kind='stable')[:, :k]\n"
                "    return np.mean((top == labels[:, None]).any(axis=1))\n",
            ),
        ),
    ),
    "argpartition": Mistake(
        _("the k highest are picked with a function that fails when there are no more than k classes"),
        (
            (
                COUNTED,
                "    best = np.take_along_axis(scores, np.argpartition(-scores, k, axis=1)[:, : k + 1], axis=1)\n"
                "    own = scores[np.arange(len(labels)), labels]\n"
                "    return np.mean(np.sum(best >= own[:, None], axis=1) <= k)\n",
            ),
        ),
    ),
    "lowest": Mistake(_("the k lowest scores are taken for the highest"), (("scores >= right", "scores <= right"),)),
    "top-one": Mistake(_("k is ignored: only the highest score counts"), (("rivals < k", "rivals < 1"),)),
    "one-too-many": Mistake(
        _("one class too many is let in: count how many others may stand before the right class"),
        (("rivals < k", "rivals <= k"),),
    ),
    "counts-itself": Mistake(
        _("the right class is counted among its own rivals: one class too few is let in"), ((" - 1\n", "\n"),)
    ),
    "kth-only": Mistake(
        _("an example counts only where the right class stands exactly at place k"),
        (("rivals < k", "rivals == k - 1"),),
    ),
    "divided-by-k": Mistake(
        _("hits are divided by the k predictions of each example, as for a precision; here each example counts once"),
        (("np.mean(rivals < k)", "np.mean(rivals < k) / min(k, scores.shape[1])"),),
    ),
    "unchecked": Mistake(
        _("no examples give NaN, and k of 0 an accuracy, where an error was asked for"), ((CHECK, ""),)
    ),
}
