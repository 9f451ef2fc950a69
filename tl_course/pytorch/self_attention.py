"""Self-attention in PyTorch, from its formula to many heads side by side.

Vaswani et al., Attention Is All You Need, 2017; the same functions with the same numbers are in
tl_course/keras/self_attention.py. Letters for shapes: N texts, L tokens, D = dim, H heads, each d = D / H wide.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tl_course.encoder_config import check_dropout, check_heads
from tl_course.errors import BadInput
from tl_course.i18n import _


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
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5  # (..., Lq, Lk)
    if mask is None:
        return scores.softmax(dim=-1)
    mask = _bool(mask)
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0)


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
    return weights @ value, weights


def padding_mask(attention_mask: Tensor) -> Tensor:
    """A tokenizer's attention_mask (N, L), non-zero for a token -> bool (N, 1, 1, L): nobody attends to padding."""
    if attention_mask.ndim != 2:
        raise BadInput(
            _("attention_mask of shape (N, L)"),
            _("shape {shape}").format(shape=tuple(attention_mask.shape)),
            _("pass what the tokenizer gives"),
        )
    return attention_mask.bool()[:, None, None, :]


def causal_mask(length: int, device: torch.device | None = None) -> Tensor:
    """bool (1, 1, L, L): a token attends to itself and to what stands before it, as in GPT (Radford et al., 2018)."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()[None, None]


class MultiHeadAttention(nn.Module):
    """Self-attention in `num_heads` subspaces side by side (Vaswani et al., 2017, section 3.2.2).

        head_h = attention(X Wq_h, X Wk_h, X Wv_h),   output = [head_1 … head_H] Wo

    Args:
        dim: D, a multiple of num_heads.
        num_heads: H.
        dropout: probability, in training mode, that an attention weight is dropped.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_heads(dim, num_heads)
        check_dropout(dropout)
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = linear_map(dim, dim)
        self.key = linear_map(dim, dim)
        self.value = linear_map(dim, dim)
        self.out = linear_map(dim, dim)

    def forward(
        self, x: Tensor, may_attend: Tensor | None = None, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Token vectors (N, L, D) -> the mixed vectors (N, L, D) and, when asked for, the maps (N, H, L, L).

        Without maps torch's fused kernel computes the same without ever writing the (L, L) matrix down. The maps are
        the weights before dropout, so their rows sum to 1 in training mode too.

        Args:
            may_attend: the mask, bool, True where a token may attend; broadcastable to (N, H, L, L). A token that may
                attend to nothing takes nothing: it gets the bias of `out`.
        """
        query, key, value = (self._split(linear(x)) for linear in (self.query, self.key, self.value))  # (N, H, L, d)
        rate = self.dropout if self.training else 0.0
        if output_attentions:
            weights = attention_weights(query, key, may_attend)  # (N, H, L, L)
            mixed = functional.dropout(weights, rate) @ value  # (N, H, L, d)
        else:
            weights = None
            mask = None if may_attend is None else _bool(may_attend)
            mixed = functional.scaled_dot_product_attention(query, key, value, mask, dropout_p=rate)  # (N, H, L, d)
        return self.out(mixed.transpose(1, 2).flatten(2)), weights  # (N, L, H, d) -> (N, L, D)

    def _split(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, H, L, d): head h takes columns h d to (h + 1) d."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (N, L, H, d) -> (N, H, L, d)


def linear_map(in_features: int, out_features: int) -> nn.Linear:
    """A linear map whose weights start as Keras's do: Glorot & Bengio (2010), uniform; biases 0."""
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _bool(mask: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        raise BadInput(_("a bool mask, True = may attend"), str(mask.dtype), _("convert it: mask.bool()"))
    return mask
