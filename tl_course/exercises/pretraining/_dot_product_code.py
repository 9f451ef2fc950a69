"""The code of the exercise on scaled dot-product attention: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''    """Scaled dot-product attention (Vaswani et al., 2017).

    Args:
        query: float, shape (..., Lq, D).
        key: float, shape (..., Lk, D).
        value: float, shape (..., Lk, Dv).
        mask: bool, broadcastable to (..., Lq, Lk), True where a query may attend to a key; None: everywhere.

    Returns:
        The output, shape (..., Lq, Dv), and the weights, shape (..., Lq, Lk): each row adds up to 1, or holds zeros
        where a query may attend to nothing.
    """
'''

NUMPY = (
    """
import math

import numpy as np


def attend(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
"""
    + DOCSTRING
    + """    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])  # (..., Lq, Lk)
    allowed = True if mask is None else mask
    scores = np.where(allowed, scores, -1e9)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True)) * allowed
    weights = shares / np.maximum(shares.sum(axis=-1, keepdims=True), 1)  # at least 1 unless blind
    return weights @ value, weights
"""
)

NUMPY_EINSUM = """
import numpy as np


def attend(query, key, value, mask=None):
    scores = np.einsum("...qd,...kd->...qk", query * query.shape[-1] ** -0.5, key)
    if mask is None:
        mask = np.ones(scores.shape, dtype=bool)
    highest = np.max(scores, axis=-1, keepdims=True, where=mask, initial=-1e30)
    shares = np.exp(np.minimum(scores - highest, 0)) * mask
    total = shares.sum(-1, keepdims=True)
    weights = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    return np.einsum("...qk,...kd->...qd", weights, value), weights
"""

NUMPY_SCIPY = """
import numpy as np
from scipy.special import softmax


def attend(query, key, value, mask=None):
    scores = np.matmul(query, np.moveaxis(key, -1, -2)) / key.shape[-1] ** 0.5
    if mask is not None:
        mask = np.broadcast_to(mask, scores.shape)
        blind = ~mask.any(axis=-1, keepdims=True)
        scores = np.where(mask | blind, scores, -np.inf)
    weights = softmax(scores, axis=-1)
    if mask is not None:
        weights = np.where(blind, 0, weights)
    return np.matmul(weights, value), weights
"""

PYTORCH = (
    """
import math

import torch


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
"""
    + DOCSTRING
    + """    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # (..., Lq, Lk)
    allowed = torch.tensor(True) if mask is None else mask
    scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1) * allowed
    return weights @ value, weights
"""
)

PYTORCH_NAN = """
import torch
import torch.nn.functional as F


def attend(query, key, value, mask=None):
    bias = 0.0 if mask is None else torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))
    weights = torch.nan_to_num(F.softmax((query * query.size(-1) ** -0.5) @ key.mT + bias, dim=-1))
    return torch.matmul(weights, value), weights
"""

PYTORCH_BUILT_IN = """
import torch
import torch.nn.functional as F


def attend(query, key, value, mask=None):
    if mask is not None:
        shape = (*query.shape[:-1], key.shape[-2])
        mask = mask.expand(shape)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    weights = F.scaled_dot_product_attention(query, key, torch.eye(key.shape[-2]).expand(*key.shape[:-1], -1), mask)
    if mask is not None:
        some = mask.any(dim=-1, keepdim=True)
        output, weights = output.where(some, torch.zeros(())), weights.where(some, torch.zeros(()))
    return output, weights
"""

KERAS = (
    """
import math

from keras import ops


def attend(query, key, value, mask=None):
"""
    + DOCSTRING
    + """    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / math.sqrt(query.shape[-1])  # (..., Lq, Lk)
    allowed = True if mask is None else mask
    scores = ops.where(allowed, scores, -1e9)
    weights = ops.softmax(scores) * ops.cast(allowed, scores.dtype)
    return ops.matmul(weights, value), weights
"""
)

KERAS_EINSUM = """
from keras import ops


def attend(query, key, value, mask=None):
    scores = ops.einsum("...qd,...kd->...qk", query * query.shape[-1] ** -0.5, key)
    keep = ops.ones_like(scores) if mask is None else ops.cast(mask, scores.dtype) * ops.ones_like(scores)
    scores = scores + (keep - 1) * 1e9
    shares = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True)) * keep
    weights = shares / (ops.sum(shares, axis=-1, keepdims=True) + 1e-9)
    return ops.einsum("...qk,...kd->...qd", weights, value), weights
"""

KERAS_TENSORFLOW = """
import tensorflow as tf


def attend(query, key, value, mask=None):
    scores = tf.matmul(query, key, transpose_b=True) / tf.sqrt(float(key.shape[-1]))
    if mask is None:
        weights = tf.nn.softmax(scores)
    else:
        weights = tf.nn.softmax(tf.where(mask, scores, float("-inf")), axis=-1)
        weights = tf.where(tf.math.is_nan(weights), 0.0, weights)
    return weights @ value, weights
"""

MESSAGES = {
    "no-scale": _("the scores are not scaled: with long vectors the softmax gets close to picking a single key"),
    "scale-by-dim": _("the scores are divided by the vectors' length itself; a dot product grows with its square root"),
    "scale-by-keys": _("the scores are scaled by the number of keys instead of the length of the vectors"),
    "over-queries": _("the softmax runs over the queries: each key hands out its weight, instead of each query"),
    "ignores-mask": _("the mask changes nothing"),
    "adds-mask": _("the boolean mask is added to the scores: True counts as 1 and False as 0, so nothing is forbidden"),
    "inverted": _("the mask is read the wrong way round: True means that a query may attend to a key"),
    "zero-score": _("a forbidden key gets the score 0, and the softmax still gives it weight: exp(0) is 1"),
    "after-softmax": _("forbidden keys take part in the softmax first, so the rest of a row adds up to less than 1"),
    "uniform": _("a query that may attend to nothing attends to everything alike"),
    "nan": _("a query that may attend to nothing divides zero by zero"),
    "overflow": _("large scores overflow: only differences between the scores of a row matter to a softmax"),
    "weights-of-keys": _("the weights sum up the keys; what they should sum up are the values"),
}
FORBIDDEN = {
    "numpy": "np.where(allowed, scores, -1e9)",
    "pytorch": "scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)",
    "keras": "ops.where(allowed, scores, -1e9)",
}
EMPTY = {"numpy": " * allowed", "pytorch": " * allowed", "keras": " * ops.cast(allowed, scores.dtype)"}
ADDED = {
    "numpy": "scores + allowed",
    "pytorch": "scores + allowed",
    "keras": "scores + ops.cast(allowed, scores.dtype)",
}
GUARD = "np.maximum(shares.sum(axis=-1, keepdims=True), 1)"
SPECIAL = {
    "numpy": {
        "over-queries": (
            ("scores.max(axis=-1,", "scores.max(axis=-2,"),
            ("shares.sum(axis=-1,", "shares.sum(axis=-2,"),
        ),
        "inverted": (("else mask", "else ~mask"),),
        "zero-score": ((EMPTY["numpy"], ""), (FORBIDDEN["numpy"], "scores * allowed")),
        "after-softmax": ((EMPTY["numpy"], ""), (FORBIDDEN["numpy"], "scores"), (GUARD, GUARD + " * allowed")),
        "nan": ((FORBIDDEN["numpy"], "np.where(allowed, scores, -np.inf)"),),
        "overflow": (
            ("scores - scores.max(axis=-1, keepdims=True)", "scores"),
            (GUARD, GUARD.replace("), 1)", "), 1e-30)")),
        ),
        "weights-of-keys": (("weights @ value", "weights @ key"),),
    },
    "pytorch": {
        "over-queries": (("softmax(dim=-1)", "softmax(dim=-2)"),),
        "inverted": (("else mask", "else ~mask"),),
        "zero-score": ((EMPTY["pytorch"], ""), (FORBIDDEN["pytorch"], "scores * allowed")),
        "after-softmax": ((FORBIDDEN["pytorch"], "scores"),),
        "nan": (("torch.finfo(scores.dtype).min", 'float("-inf")'),),
        "overflow": (("scores.softmax(dim=-1)", "scores.exp() / scores.exp().sum(dim=-1, keepdim=True)"),),
        "weights-of-keys": (("weights @ value", "weights @ key"),),
    },
    "keras": {
        "over-queries": (("ops.softmax(scores)", "ops.softmax(scores, axis=-2)"),),
        "inverted": (("else mask", "else ops.logical_not(mask)"),),
        "zero-score": ((EMPTY["keras"], ""), (FORBIDDEN["keras"], "ops.where(allowed, scores, 0.0)")),
        "after-softmax": ((FORBIDDEN["keras"], "scores"),),
        "nan": (("scores, -1e9", 'scores, float("-inf")'),),
        "overflow": (("ops.softmax(scores)", "ops.exp(scores) / ops.sum(ops.exp(scores), axis=-1, keepdims=True)"),),
        "weights-of-keys": (("ops.matmul(weights, value)", "ops.matmul(weights, key)"),),
    },
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    scale = "math.sqrt(query.shape[-1])"
    edits = {
        "no-scale": ((" / " + scale, ""),),
        "scale-by-dim": ((scale, "query.shape[-1]"),),
        "scale-by-keys": ((scale, scale.replace("query.shape[-1]", "key.shape[-2]")),),
        "uniform": ((EMPTY[framework], ""),),
        "ignores-mask": ((EMPTY[framework], ""), (FORBIDDEN[framework], "scores")),
        "adds-mask": ((EMPTY[framework], ""), (FORBIDDEN[framework], ADDED[framework])),
        **SPECIAL[framework],
    }
    return {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
