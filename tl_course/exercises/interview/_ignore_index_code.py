"""The code of the live-coding question on cross-entropy with ignored positions: references, alternatives, mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""Cross-entropy averaged over the positions that count.

    Args:
        logits: scores, not probabilities, of each class at each position, float, shape (N, L, K); as large as several
            hundred; not modified.
        labels: integers, shape (N, L): a class 0..K-1 or `ignore_index`; not modified.
        ignore_index: the label of positions that do not count. Any integer: -100, -1, or one of 0..K-1.

    Returns:
        A scalar: the sum of the losses at the positions that count, divided by the number of these positions in the
        whole batch; 0 where none counts.{more}
    """'''
GRADIENT = " Gradients flow to the logits; they are 0 at ignored positions."

NUMPY = f"""
import numpy as np


def cross_entropy(logits: np.ndarray, labels: np.ndarray, ignore_index: int) -> float:
    {DOCSTRING.format(more="")}
    counted = labels != ignore_index  # (N, L)
    rows, right = logits[counted], labels[counted]  # (C, K) and (C,)
    rows = rows - rows.max(axis=1, keepdims=True)
    losses = np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(len(right)), right]
    return losses.sum() / max(len(right), 1)
"""

NUMPY_WHERE = """
import numpy as np


def cross_entropy(logits, labels, ignore_index):
    weights = (labels != ignore_index).astype(np.float64)
    chosen = np.take_along_axis(logits, np.where(weights, labels, 0)[..., None], axis=-1)[..., 0]
    losses = np.logaddexp.reduce(logits, axis=-1) - chosen
    total = weights.sum()
    return float((losses * weights).sum() / total) if total > 0 else 0.0
"""

NUMPY_LOOP = """
import math


def cross_entropy(logits, labels, ignore_index):
    losses = []
    for sentence, names in zip(logits.tolist(), labels.tolist()):
        for scores, name in zip(sentence, names):
            if name == ignore_index:
                continue
            top = max(scores)
            losses.append(top + math.log(sum(math.exp(score - top) for score in scores)) - scores[name])
    return math.fsum(losses) / len(losses) if losses else 0
"""

PYTORCH = f"""
import torch
from torch.nn import functional


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, ignore_index: int) -> torch.Tensor:
    {DOCSTRING.format(more=GRADIENT)}
    counted = labels != ignore_index  # (N, L)
    total = functional.cross_entropy(logits[counted], labels[counted], reduction="sum")
    return total / counted.sum().clamp(min=1)
"""

PYTORCH_FLAT = """
import torch
from torch import nn


def cross_entropy(logits, labels, ignore_index):
    losses = nn.CrossEntropyLoss(ignore_index=ignore_index, reduction="none")(logits.transpose(1, 2), labels)
    return losses.sum() / max(1, int((labels != ignore_index).sum()))
"""

PYTORCH_GATHER = """
import torch


def cross_entropy(logits, labels, ignore_index):
    counted = labels.ne(ignore_index)
    log_p = logits.log_softmax(dim=-1)
    chosen = log_p.gather(-1, labels.masked_fill(~counted, 0).unsqueeze(-1)).squeeze(-1)
    if not counted.any():
        return logits.sum() * 0.0
    return -torch.masked_select(chosen, counted).mean()
"""

KERAS = f"""
import keras
from keras import ops


def cross_entropy(logits, labels, ignore_index: int):
    {DOCSTRING.format(more=GRADIENT)}
    counted = ops.not_equal(labels, ignore_index)  # (N, L)
    classes = ops.where(counted, labels, 0)  # any class will do where none counts
    losses = keras.losses.sparse_categorical_crossentropy(classes, logits, from_logits=True)
    weights = ops.cast(counted, losses.dtype)
    return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1)
"""

KERAS_ONE_HOT = """
from keras import ops


def cross_entropy(logits, labels, ignore_index):
    counted = ops.cast(labels != ignore_index, "float32")
    target = ops.one_hot(labels * ops.cast(counted, labels.dtype), logits.shape[-1]) * ops.expand_dims(counted, -1)
    total, count = -ops.sum(target * ops.log_softmax(logits, axis=-1)), ops.sum(counted)
    return total / ops.where(count > 0, count, 1.0)
"""

KERAS_TENSORFLOW = """
import tensorflow as tf


def cross_entropy(logits, labels, ignore_index):
    counted = tf.not_equal(labels, ignore_index)
    rows, right = tf.boolean_mask(logits, counted), tf.boolean_mask(labels, counted)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=right, logits=rows)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32))
"""

MESSAGES = {
    "over-all": _("the sum is divided by all positions, so padding makes the loss smaller"),
    "row-means": _("each row is averaged first, so a position in a short text weighs more than one in a long text"),
    "nothing-ignored": _("ignored positions count as if they had a class"),
    "only-minus-100": _("the index to ignore is fixed in the code; the caller chooses it"),
    "negative-only": _("only negative labels are ignored; the index may also be one of the classes"),
    "no-guard": _("where nothing counts, zero is divided by zero"),
    "summed": _("the losses are added up: a longer batch takes a longer step"),
    "overflow": _("large logits overflow: the exponentials are taken before the logarithm can undo them"),
    "sign": _("the sign is wrong: training would make the right class less likely"),
    "per-example": _("the sum is divided by the number of examples, not of positions"),
    "zero-losses-dropped": _(
        "positions whose loss is 0 are left out of the count, although they are right, not ignored"
    ),
    "probabilities": _("the logits were taken for probabilities"),
    "in-place": _("the caller's labels are overwritten"),
}
NUMPY_COUNT, TORCH_COUNT, KERAS_COUNT = (
    "max(len(right), 1)",
    "counted.sum().clamp(min=1)",
    "ops.maximum(ops.sum(weights), 1)",
)
COUNTS = {
    "over-all": ("labels.size", "labels.numel()", "(labels.shape[0] * labels.shape[1])"),
    "per-example": ("len(labels)", "len(labels)", "labels.shape[0]"),
    "no-guard": ("np.float64(len(right))", "counted.sum()", "ops.sum(weights)"),
}
NUMPY_EDITS = {
    "nothing-ignored": (
        ("labels != ignore_index", "labels != labels.max() + 1"),
        ("labels[counted]", "np.maximum(labels[counted], 0)"),
    ),
    "only-minus-100": (("labels != ignore_index", "labels != -100"),),
    "negative-only": (("labels != ignore_index", "labels >= 0"),),
    "row-means": (
        (
            "losses.sum() / max(len(right), 1)",
            "np.mean([losses[np.nonzero(counted)[0] == i].mean() for i in np.flatnonzero(counted.any(axis=1))] or [0])",
        ),
    ),
    "summed": ((" / max(len(right), 1)", ""),),
    "overflow": (("    rows = rows - rows.max(axis=1, keepdims=True)\n", ""),),
    "sign": (("return losses", "return -losses"),),
    "zero-losses-dropped": ((NUMPY_COUNT, "max((losses > 1e-6).sum(), 1)"),),
    "probabilities": (
        (
            "np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(len(right)), right]",
            "-np.log(np.abs(logits[counted][np.arange(len(right)), right]) + 1e-9)",
        ),
    ),
    "in-place": (("    rows, right", "    labels[~counted] = 0\n    rows, right"),),
}
PYTORCH_EDITS = {
    "nothing-ignored": (
        ("labels != ignore_index", "labels != labels.max() + 1"),
        ("labels[counted],", "labels[counted].clamp(min=0),"),
    ),
    "only-minus-100": NUMPY_EDITS["only-minus-100"],
    "negative-only": NUMPY_EDITS["negative-only"],
    "row-means": (
        (
            f"total / {TORCH_COUNT}",
            "torch.stack([functional.cross_entropy(x[k], y[k]) if k.any() else x.sum() * 0"
            " for x, y, k in zip(logits, labels, counted)]).sum() / counted.any(dim=1).sum().clamp(min=1)",
        ),
    ),
    "summed": ((f" / {TORCH_COUNT}", ""),),
    "overflow": (
        (
            'functional.cross_entropy(logits[counted], labels[counted], reduction="sum")',
            "(logits[counted].exp().sum(1).log() - logits[counted].gather(1, labels[counted][:, None])[:, 0]).sum()",
        ),
    ),
    "sign": (("return total", "return -total"),),
    "probabilities": (("cross_entropy(logits[counted]", "nll_loss(logits[counted].abs().add(1e-9).log()"),),
    "in-place": (("    total =", "    labels.masked_fill_(~counted, 0)\n    total ="),),
}
KERAS_EDITS = {
    "nothing-ignored": (("ops.cast(counted, losses.dtype)", "ops.ones_like(losses)"),),
    "only-minus-100": (("not_equal(labels, ignore_index)", "not_equal(labels, -100)"),),
    "negative-only": (("ops.not_equal(labels, ignore_index)", "labels >= 0"),),
    "row-means": (
        (
            f"ops.sum(losses * weights) / {KERAS_COUNT}",
            "ops.sum(ops.sum(losses * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1))"
            " / ops.maximum(ops.sum(ops.max(weights, axis=1)), 1)",
        ),
    ),
    "summed": ((f" / {KERAS_COUNT}", ""),),
    "overflow": (
        (
            "keras.losses.sparse_categorical_crossentropy(classes, logits, from_logits=True)",
            "ops.log(ops.sum(ops.exp(logits), axis=-1)) - ops.take_along_axis(logits, classes[..., None], -1)[..., 0]",
        ),
    ),
    "sign": (("return ops", "return -ops"),),
    "probabilities": ((", from_logits=True", ""),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    place = ("numpy", "pytorch", "keras").index(framework)
    count = (NUMPY_COUNT, TORCH_COUNT, KERAS_COUNT)[place]
    edits = {name: ((count, codes[place]),) for name, codes in COUNTS.items()}
    edits |= (NUMPY_EDITS, PYTORCH_EDITS, KERAS_EDITS)[place]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
