"""The code of the question on multi-head attention: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""Multi-head self-attention (Vaswani et al., 2017) with padding, forward, without dropout.

    Args:
        x: token vectors, float, shape (N, L, D).
        mask: 1 for a token, 0 for padding, integer, shape (N, L).
        w_q, w_k, w_v, w_o: projections of shape (D, D), used as x @ w; no biases. The first D / H columns of w_q, w_k
            and w_v belong to the first head, the next to the second, ...; w_o takes the heads in this order.
        num_heads: H, a divisor of D. Scores are divided by the root of D / H.

    Returns:
        Shape (N, L, D). No token attends to padding, however large the scores are, which may reach 100,000. What stands
        at padding's own positions does not matter, but a text that is all padding gives zeros.
    """'''

NUMPY = f"""
import numpy as np


def multi_head_attention(
    x: np.ndarray,
    mask: np.ndarray,
    w_q: np.ndarray,
    w_k: np.ndarray,
    w_v: np.ndarray,
    w_o: np.ndarray,
    num_heads: int,
) -> np.ndarray:
    {DOCSTRING}
    n, length, width = x.shape
    size = width // num_heads

    def heads(projected: np.ndarray) -> np.ndarray:
        return projected.reshape(n, length, num_heads, size).transpose(0, 2, 1, 3)  # (N, H, L, D / H)

    q, k, v = heads(x @ w_q), heads(x @ w_k), heads(x @ w_v)
    scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(size)  # (N, H, L, L)
    real = mask[:, None, None, :] == 1
    scores = np.where(real, scores, np.finfo(scores.dtype).min)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = real * weights / weights.sum(axis=-1, keepdims=True)
    return (weights @ v).transpose(0, 2, 1, 3).reshape(n, length, width) @ w_o
"""

NUMPY_LOOPS = """
import numpy as np


def multi_head_attention(x, mask, w_q, w_k, w_v, w_o, num_heads):
    size = x.shape[2] // num_heads
    out = np.zeros(x.shape)
    for text, keep, rows in zip(x, mask.astype(bool), out):
        tokens = text[keep]  # padding is cut off, not masked
        if not len(tokens):
            continue
        for head in range(num_heads):
            part = slice(head * size, (head + 1) * size)
            scores = text @ w_q[:, part] @ (tokens @ w_k[:, part]).T / size**0.5
            weights = np.exp(scores - np.logaddexp.reduce(scores, axis=1)[:, None])
            rows += weights @ (tokens @ w_v[:, part]) @ w_o[part]
    return out
"""

NUMPY_EINSUM = """
import numpy as np


def multi_head_attention(x, mask, w_q, w_k, w_v, w_o, num_heads):
    shape = (*x.shape[:2], num_heads, x.shape[2] // num_heads)
    q, k, v = ((x @ w).reshape(shape) for w in (w_q, w_k, w_v))
    scores = np.einsum("nqhs,nkhs->nqkh", q, k) * shape[3] ** -0.5
    keep = np.broadcast_to(mask[:, None, :, None] > 0, scores.shape)
    top = np.max(scores, axis=2, keepdims=True, where=keep, initial=-1e30)
    weights = np.exp(np.minimum(scores - top, 0)) * keep
    weights /= np.maximum(weights.sum(axis=2, keepdims=True), 1e-30)
    return np.einsum("nqkh,nkhs->nqhs", weights, v).reshape(x.shape) @ w_o
"""

PYTORCH = f"""
import torch


def multi_head_attention(
    x: torch.Tensor,
    mask: torch.Tensor,
    w_q: torch.Tensor,
    w_k: torch.Tensor,
    w_v: torch.Tensor,
    w_o: torch.Tensor,
    num_heads: int,
) -> torch.Tensor:
    {DOCSTRING}
    n, length, width = x.shape
    size = width // num_heads

    def heads(projected: torch.Tensor) -> torch.Tensor:
        return projected.reshape(n, length, num_heads, size).permute(0, 2, 1, 3)  # (N, H, L, D / H)

    q, k, v = heads(x @ w_q), heads(x @ w_k), heads(x @ w_v)
    scores = q @ k.permute(0, 1, 3, 2) / size**0.5  # (N, H, L, L)
    padding = (mask == 0)[:, None, None, :]
    scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1).masked_fill(padding, 0)
    return (weights @ v).permute(0, 2, 1, 3).reshape(n, length, width) @ w_o
"""

PYTORCH_FUNCTIONAL = """
import torch
from torch.nn import functional


def multi_head_attention(x, mask, w_q, w_k, w_v, w_o, num_heads):
    q, k, v = (torch.stack((x @ w).chunk(num_heads, dim=-1), dim=1) for w in (w_q, w_k, w_v))
    keep = mask.bool()
    empty = ~keep.any(dim=1)
    allowed = (keep | empty[:, None])[:, None, None, :].expand(-1, num_heads, x.shape[1], -1)
    mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return torch.cat(mixed.unbind(dim=1), dim=-1) @ w_o * ~empty[:, None, None]
"""

PYTORCH_LOOPS = """
import torch


def multi_head_attention(x, mask, w_q, w_k, w_v, w_o, num_heads):
    out = torch.zeros_like(x)
    for i, text in enumerate(x):
        tokens = text[mask[i] == 1]
        if len(tokens) == 0:
            continue
        for q, k, v, o in zip(*(w.chunk(num_heads, dim=1) for w in (w_q, w_k, w_v)), w_o.chunk(num_heads, dim=0)):
            weights = (text @ q @ (tokens @ k).T / k.shape[1] ** 0.5).softmax(dim=1)
            out[i] += weights @ (tokens @ v) @ o
    return out
"""

KERAS = f"""
from keras import ops


def multi_head_attention(x, mask, w_q, w_k, w_v, w_o, num_heads):
    {DOCSTRING}
    n, length, width = x.shape
    size = width // num_heads

    def heads(projected):
        return ops.transpose(ops.reshape(projected, (n, length, num_heads, size)), (0, 2, 1, 3))  # (N, H, L, D / H)

    q, k, v = heads(x @ w_q), heads(x @ w_k), heads(x @ w_v)
    scores = q @ ops.transpose(k, (0, 1, 3, 2)) / size**0.5  # (N, H, L, L)
    real = mask[:, None, None, :] == 1
    weights = ops.softmax(ops.where(real, scores, -3e38), axis=-1)
    weights = ops.where(real, weights, 0.0)
    return ops.reshape(ops.transpose(weights @ v, (0, 2, 1, 3)), (n, length, width)) @ w_o
"""

KERAS_DPA = """
from keras import ops


def multi_head_attention(x, mask, w_q, w_k, w_v, w_o, num_heads):
    shape = (x.shape[0], x.shape[1], num_heads, x.shape[2] // num_heads)
    q, k, v = (ops.reshape(ops.matmul(x, w), shape) for w in (w_q, w_k, w_v))
    keep = ops.cast(mask, x.dtype)
    scores = ops.einsum("nqhs,nkhs->nhqk", q, k) * shape[3] ** -0.5
    top = ops.max(ops.where(keep[:, None, None] > 0, scores, -1e30), axis=3, keepdims=True)
    weights = ops.exp(ops.minimum(scores - top, 0.0)) * keep[:, None, None]
    weights = weights / ops.maximum(ops.sum(weights, axis=3, keepdims=True), 1e-30)
    return ops.matmul(ops.reshape(ops.einsum("nhqk,nkhs->nqhs", weights, v), x.shape), w_o)
"""

KERAS_HEADS = """
from keras import ops


def multi_head_attention(x, mask, w_q, w_k, w_v, w_o, num_heads):
    size = w_q.shape[1] // num_heads
    real = ops.cast(mask, "bool")[:, None, :]
    out = ops.zeros_like(x)
    for start in range(0, w_q.shape[1], size):
        q, k, v = (x @ w[:, start : start + size] for w in (w_q, w_k, w_v))
        scores = ops.where(real, q @ ops.swapaxes(k, 1, 2) / ops.sqrt(float(size)), -float("inf"))
        weights = ops.where(real, ops.exp(ops.log_softmax(scores, axis=2)), 0.0)
        out = out + weights @ v @ w_o[start : start + size]
    return out
"""

MESSAGES = {
    "not-scaled": _("the scores are not scaled: the softmax is too sharp"),
    "scaled-by-width": _("the scores are scaled by the whole width, not by one head's"),
    "no-mask": _("padding is attended to like tokens"),
    "queries-masked": _("the mask lies along the queries: padding asks nothing, but is still listened to"),
    "zero-scores": _("padding gets the score 0, which is a score like any other: the softmax still gives it weight"),
    "after-softmax": _("padding's weights are set to zero after the softmax, so a token's weights do not add up to 1"),
    "weak-mask": _("a number is taken off padding's scores that larger scores outweigh"),
    "nan-for-empty": _("a text that is all padding gives NaN: all its scores are minus infinity"),
    "mean-for-empty": _("a text that is all padding attends to its padding evenly"),
    "one-head": _("the heads are not kept apart: there is one softmax over the whole width"),
    "heads-mixed": _("splitting mixes positions with features: a head must get its columns of every position"),
    "not-put-back": _("the heads' results are not brought back behind each position before they are joined"),
    "no-output-projection": _("the heads' results are joined and never projected"),
    "wrong-axis": _("the weights add up to 1 over the queries, not over what each query attends to"),
    "swapped": _("queries and keys have changed places"),
    "overflows": _("the scores go into the exponential as they are: large ones overflow"),
}
ROOT = {"numpy": "np.sqrt(size)", "pytorch": "size**0.5", "keras": "size**0.5"}
QKV = "q, k, v = heads(x @ w_q), heads(x @ w_k), heads(x @ w_v)"
SCORES = "scores = np.where(real, scores, np.finfo(scores.dtype).min)"
FILL, WHERE = "torch.finfo(scores.dtype).min)", "ops.where(real, scores, -3e38)"
SOFTMAX = "torch.softmax(scores, dim=-1)"
NUMPY_EDITS = {
    "no-mask": (("mask[:, None, None, :] == 1", "mask[:, None, None, :] > -1"),),
    "queries-masked": (("mask[:, None, None, :]", "mask[:, None, :, None]"),),
    "zero-scores": ((SCORES, "scores = scores * real"), ("real * weights /", "weights /")),
    "after-softmax": ((f"    {SCORES}\n", ""),),
    "weak-mask": (
        (SCORES, "scores = scores - 1e4 * ~real"),
        ("real * weights /", "weights * real.any(axis=-1, keepdims=True) /"),
    ),
    "nan-for-empty": (("np.finfo(scores.dtype).min", "-np.inf"),),
    "mean-for-empty": (("real * weights /", "weights /"),),
    "heads-mixed": (
        ("reshape(n, length, num_heads, size).transpose(0, 2, 1, 3)", "reshape(n, num_heads, length, size)"),
    ),
    "not-put-back": (("(weights @ v).transpose(0, 2, 1, 3)", "(weights @ v)"),),
    "wrong-axis": (
        ("scores.max(axis=-1, keepdims=True)", "scores.max(axis=-2, keepdims=True)"),
        ("weights.sum(axis=-1, keepdims=True)", "np.maximum(weights.sum(axis=-2, keepdims=True), 1e-30)"),
    ),
    "overflows": ((" - scores.max(axis=-1, keepdims=True)", ""),),
}
PYTORCH_EDITS = {
    "no-mask": (("(mask == 0)", "(mask < 0)"),),
    "queries-masked": (("[:, None, None, :]", "[:, None, :, None]"),),
    "zero-scores": ((FILL, "0)"), ("dim=-1).masked_fill(padding, 0)", "dim=-1)")),
    "after-softmax": ((f"    scores = scores.masked_fill(padding, {FILL}\n", ""),),
    "weak-mask": (
        (f"scores.masked_fill(padding, {FILL}", "scores - 1e4 * padding"),
        (".masked_fill(padding, 0)", ".masked_fill(padding.all(dim=-1, keepdim=True), 0)"),
    ),
    "nan-for-empty": ((FILL, '-float("inf"))'), (".masked_fill(padding, 0)", "")),
    "mean-for-empty": ((".masked_fill(padding, 0)", ""),),
    "heads-mixed": (
        ("reshape(n, length, num_heads, size).permute(0, 2, 1, 3)", "reshape(n, num_heads, length, size)"),
    ),
    "not-put-back": (("(weights @ v).permute(0, 2, 1, 3)", "(weights @ v)"),),
    "wrong-axis": (("dim=-1", "dim=-2"),),
    "overflows": ((SOFTMAX, "torch.exp(scores) / torch.exp(scores).sum(dim=-1, keepdim=True)"),),
}
KERAS_EDITS = {
    "no-mask": (("mask[:, None, None, :] == 1", "mask[:, None, None, :] > -1"),),
    "queries-masked": (("mask[:, None, None, :]", "mask[:, None, :, None]"),),
    "zero-scores": ((WHERE, "ops.where(real, scores, 0.0)"), ("    weights = ops.where(real, weights, 0.0)\n", "")),
    "after-softmax": ((WHERE, "scores"),),
    "weak-mask": (
        (WHERE, "ops.where(real, scores, scores - 1e4)"),
        ("ops.where(real, weights, 0.0)", "ops.where(ops.any(real, axis=-1, keepdims=True), weights, 0.0)"),
    ),
    "nan-for-empty": (("-3e38", '-float("inf")'), ("    weights = ops.where(real, weights, 0.0)\n", "")),
    "mean-for-empty": (("    weights = ops.where(real, weights, 0.0)\n", ""),),
    "heads-mixed": (
        (
            "ops.transpose(ops.reshape(projected, (n, length, num_heads, size)), (0, 2, 1, 3))",
            "ops.reshape(projected, (n, num_heads, length, size))",
        ),
    ),
    "not-put-back": (("ops.transpose(weights @ v, (0, 2, 1, 3))", "weights @ v"),),
    "wrong-axis": (("axis=-1", "axis=-2"),),
    "overflows": (
        (
            f"ops.softmax({WHERE}, axis=-1)",
            f"ops.exp({WHERE})\n    weights = weights / ops.sum(weights, axis=-1, keepdims=True)",
        ),
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The named wrong answers in a framework."""
    root = ROOT[framework]
    edits = {
        "not-scaled": ((f" / {root}", ""),),
        "scaled-by-width": ((root, root.replace("size", "width")),),
        **{"numpy": NUMPY_EDITS, "pytorch": PYTORCH_EDITS, "keras": KERAS_EDITS}[framework],
        "one-head": (("    size = width // num_heads\n", "    num_heads, size = 1, width\n"),),
        "no-output-projection": ((" @ w_o\n", "\n"),),
        "swapped": ((QKV, "q, k, v = heads(x @ w_k), heads(x @ w_q), heads(x @ w_v)"),),
    }
    return {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}


KERAS_EQUIVALENT = {
    "weights = ops.softmax(ops.where(real, scores, -3e+38))": "the last axis is the default",
    "weights = ops.softmax(ops.where(real, scores, -6e+38), axis=-1)": "minus infinity; NaN is replaced afterwards",
}
