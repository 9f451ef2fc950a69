"""Self-attention in Keras, from its formula to many heads side by side.

Vaswani et al., Attention Is All You Need, 2017; the same functions with the same numbers are in
tl_course/pytorch/self_attention.py. Letters for shapes: N texts, L tokens, D = dim, H heads, each d = D / H wide.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tl_course.encoder_config import check_dropout, check_heads
from tl_course.errors import BadInput
from tl_course.i18n import _

Tensor = Any
"""A tensor of whichever backend Keras runs on."""


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(Q Kᵀ / √d), row by row: how much each query takes from each key.

    Args:
        query: (..., Lq, d).
        key: (..., Lk, d).
        mask: bool, True where a query may attend to a key; broadcastable to (..., Lq, Lk).

    Returns:
        (..., Lq, Lk), not negative; rows sum to 1, but a row that may attend to nothing is 0.

    Raises:
        BadInput: a mask that is not bool.
    """
    scores = ops.matmul(query, ops.swapaxes(key, -2, -1)) / query.shape[-1] ** 0.5  # (..., Lq, Lk)
    if mask is None:
        return _softmax(scores)
    mask = _bool(mask)
    scores = ops.where(mask, scores, float(np.finfo(np.float32).min))
    return ops.where(mask, _softmax(scores), 0.0)


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """softmax(Q Kᵀ / √d) V: for each query a weighted mean of the values (Vaswani et al., 2017, equation 1).

    Products of d random numbers spread like √d; without the division softmax would put all weight on one key.

    Args:
        query: (..., Lq, d).
        key: (..., Lk, d).
        value: (..., Lk, e).
        mask: bool, True where a query may attend to a key; broadcastable to (..., Lq, Lk).

    Returns:
        The output (..., Lq, e) and the weights (..., Lq, Lk). A row that may attend to nothing gives zeros in both.

    Raises:
        BadInput: a mask that is not bool.
    """
    weights = attention_weights(query, key, mask)
    return ops.matmul(weights, value), weights


def padding_mask(attention_mask: Tensor) -> Tensor:
    """A tokenizer's attention_mask (N, L), non-zero for a token -> bool (N, 1, 1, L): nobody attends to padding."""
    if len(attention_mask.shape) != 2:
        raise BadInput(
            _("attention_mask of shape (N, L)"),
            _("shape {shape}").format(shape=tuple(attention_mask.shape)),
            _("pass what the tokenizer gives"),
        )
    return ops.cast(attention_mask, "bool")[:, None, None, :]


def causal_mask(length: int) -> Tensor:
    """bool (1, 1, L, L): a token attends to itself and to what stands before it, as in GPT (Radford et al., 2018)."""
    position = ops.arange(length)
    return (position[:, None] >= position[None, :])[None, None]


@keras.saving.register_keras_serializable("tl_course")
class MultiHeadAttention(layers.Layer):
    """Self-attention in `num_heads` subspaces side by side (Vaswani et al., 2017, section 3.2.2).

        head_h = attention(X Wq_h, X Wk_h, X Wv_h),   output = [head_1 … head_H] Wo

    Args:
        dim: D, a multiple of num_heads.
        num_heads: H.
        dropout: probability, in training mode, that an attention weight is dropped.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_heads(dim, num_heads)
        check_dropout(dropout)
        self.settings = {"dim": dim, "num_heads": num_heads, "dropout": dropout}
        self.num_heads = num_heads
        self.query = layers.Dense(dim, name="query")
        self.key = layers.Dense(dim, name="key")
        self.value = layers.Dense(dim, name="value")
        self.out = layers.Dense(dim, name="out")
        self.dropout = layers.Dropout(dropout)

    def build(self, input_shape: Sequence[int | None]) -> None:
        for layer in (self.query, self.key, self.value, self.out):
            layer.build(input_shape)

    def call(
        self, x: Tensor, may_attend: Tensor | None = None, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Token vectors (N, L, D) -> the mixed vectors (N, L, D) and, when asked for, the maps (N, H, L, L).

        The maps are the weights before dropout, so their rows sum to 1 in training mode too.

        Args:
            may_attend: the mask, bool, True where a token may attend; broadcastable to (N, H, L, L). A token that may
                attend to nothing takes nothing: it gets the bias of `out`.
        """
        query, key, value = (self._split(dense(x)) for dense in (self.query, self.key, self.value))  # (N, H, L, d)
        weights = attention_weights(query, key, may_attend)  # (N, H, L, L)
        mixed = ops.matmul(self.dropout(weights), value)  # (N, H, L, d)
        joined = ops.reshape(ops.swapaxes(mixed, 1, 2), ops.shape(x))  # (N, L, H, d) -> (N, L, D)
        return self.out(joined), weights if output_attentions else None

    def _split(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, H, L, d): head h takes columns h d to (h + 1) d."""
        count, length, dim = ops.shape(x)
        heads = ops.reshape(x, (count, length, self.num_heads, dim // self.num_heads))  # (N, L, H, d)
        return ops.swapaxes(heads, 1, 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


def _softmax(scores: Tensor) -> Tensor:
    """exp(s) / Σ exp(s) over the last axis; keras.ops.softmax takes a text of one token for a mistake and warns."""
    exponentials = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True)))
    return exponentials / ops.sum(exponentials, axis=-1, keepdims=True)


def _bool(mask: Tensor) -> Tensor:
    kind = keras.backend.standardize_dtype(mask.dtype)
    if kind != "bool":
        raise BadInput(_("a bool mask, True = may attend"), kind, _("convert it: keras.ops.cast(mask, 'bool')"))
    return mask
