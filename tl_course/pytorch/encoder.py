"""A Transformer encoder in PyTorch, out of self-attention, embeddings and blocks.

Vaswani et al., Attention Is All You Need, 2017 (the blocks); Devlin et al., BERT, 2019 (the embeddings); the same
classes with the same numbers are in tl_course/keras/encoder.py. Attention itself is in self_attention.py. Letters for
shapes: N texts, L tokens, D = dim, H heads.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tl_course.bert_folder import read_bert
from tl_course.encoder_config import EncoderConfig, Norm, check_norm, check_tokens
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.positions import sinusoidal_positions
from tl_course.pytorch.self_attention import (
    MultiHeadAttention,
    attention_weights,
    causal_mask,
    linear_map,
    padding_mask,
    scaled_dot_product_attention,
)

__all__ = [
    "Embeddings",
    "Encoder",
    "EncoderBlock",
    "EncoderConfig",
    "EncoderOutput",
    "MultiHeadAttention",
    "attention_weights",
    "causal_mask",
    "load_bert",
    "padding_mask",
    "run_blocks",
    "scaled_dot_product_attention",
]


class EncoderBlock(nn.Module):
    """Attention, then a feed-forward network on each token, each with a residual connection and LayerNorm.

        norm="post":  x = LN(x + attention(x));   x = LN(x + FFN(x))        (Vaswani et al., 2017; BERT)
        norm="pre":   x = x + attention(LN(x));   x = x + FFN(LN(x))        (Xiong et al., 2020; GPT-2, ViT)
        FFN(x) = contract(GELU(expand(x))), the GELU exact: x Φ(x) (Hendrycks & Gimpel, 2016)

    Args:
        dim: D.
        num_heads: H.
        hidden_dim: width between `expand` and `contract`, usually 4 D.
        dropout: probability, in training mode, on attention weights and on what each branch adds.
        norm: "post" or "pre".
        eps: of LayerNorm.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden_dim: int,
        dropout: float = 0.1,
        norm: Norm = "post",
        eps: float = 1e-12,
    ) -> None:
        super().__init__()
        check_norm(norm)
        self.pre_norm = norm == "pre"
        self.attention = MultiHeadAttention(dim, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(dim, eps)
        self.expand = linear_map(dim, hidden_dim)
        self.contract = linear_map(hidden_dim, dim)
        self.feed_forward_norm = nn.LayerNorm(dim, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, may_attend: Tensor | None = None, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Token vectors (N, L, D) -> token vectors (N, L, D) and, when asked for, attention maps (N, H, L, L).

        Args:
            may_attend: the mask, bool, True where a token may attend; broadcastable to (N, H, L, L).
        """
        if self.pre_norm:
            mixed, weights = self.attention(self.attention_norm(x), may_attend, output_attentions=output_attentions)
            x = x + self.dropout(mixed)
            x = x + self.dropout(self._feed_forward(self.feed_forward_norm(x)))
        else:
            mixed, weights = self.attention(x, may_attend, output_attentions=output_attentions)
            x = self.attention_norm(x + self.dropout(mixed))
            x = self.feed_forward_norm(x + self.dropout(self._feed_forward(x)))
        return x, weights

    def _feed_forward(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, L, hidden_dim) -> (N, L, D), each token by itself."""
        return self.contract(functional.gelu(self.expand(x)))


class Embeddings(nn.Module):
    """Token vectors plus position vectors plus segment vectors (Devlin et al., 2019, figure 2).

    With sinusoidal positions the token vectors are multiplied by √D, as Vaswani et al. (2017, section 3.4) do, so that
    both parts are of like size.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.tokens = _embedding(config.vocab_size, config.dim)
        self.segments = _embedding(config.num_segments, config.dim) if config.num_segments else None
        self.positions = _embedding(config.max_tokens, config.dim) if config.positions == "learned" else None
        if self.positions is None:
            fixed = torch.from_numpy(sinusoidal_positions(config.max_tokens, config.dim))  # (max_tokens, D)
            self.register_buffer("fixed_positions", fixed, persistent=False)
        self.scale = 1.0 if config.positions == "learned" else config.dim**0.5
        self.norm = nn.LayerNorm(config.dim, config.eps) if config.norm == "post" else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Token ids (N, L) and segments (N, L), None for all in segment 0 -> vectors (N, L, D)."""
        length = input_ids.shape[1]
        positions = self.get_buffer("fixed_positions") if self.positions is None else self.positions.weight
        x = self.tokens(input_ids) * self.scale + positions[:length]  # (N, L, D) + (L, D)
        if self.segments is not None:
            x = x + self.segments(torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids)
        return self.dropout(x if self.norm is None else self.norm(x))


class EncoderOutput(NamedTuple):
    """What an `Encoder` returns.

    Attributes:
        last_hidden_state: (N, L, D).
        hidden_states: num_layers + 1 tensors (N, L, D): the embeddings and what each block gave. With post-norm the
            last is last_hidden_state; with pre-norm the encoder's final LayerNorm lies between the two.
        attentions: num_layers maps (N, H, L, L), or None when they were not asked for.
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...]
    attentions: tuple[Tensor, ...] | None


class Encoder(nn.Module):
    """Embeddings and a stack of blocks: BERT as it stands, and GPT with causal=True and pre-norm.

    Args:
        config: the sizes. `load_bert` builds one from a Hugging Face folder and fills in its weights.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        sizes = (config.dim, config.num_heads, config.hidden_dim, config.dropout, config.norm, config.eps)
        self.blocks = nn.ModuleList(EncoderBlock(*sizes) for _layer in range(config.num_layers))
        self.norm = nn.LayerNorm(config.dim, config.eps) if config.norm == "pre" else None

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        causal: bool = False,
        output_attentions: bool = False,
    ) -> EncoderOutput:
        """Token ids -> token vectors that know their context.

        Args:
            input_ids: (N, L), integers below vocab_size, L at most max_tokens.
            attention_mask: (N, L), non-zero for a token, 0 for padding; None: no padding.
            token_type_ids: (N, L), the segment of each token; None: all in segment 0.
            causal: let each token see only itself and what stands before it.
            output_attentions: return the attention maps as well.

        Raises:
            BadInput: shapes that do not fit, too many tokens, or ids outside the vocabulary.
        """
        check_tokens(self.config, input_ids, attention_mask, token_type_ids)
        _check_ids(input_ids, self.config.vocab_size)
        mask = None if attention_mask is None else padding_mask(attention_mask)  # (N, 1, 1, L)
        if causal:
            before = causal_mask(input_ids.shape[1], input_ids.device)  # (1, 1, L, L)
            mask = before if mask is None else mask & before  # (N, 1, L, L)
        x = self.embeddings(input_ids, token_type_ids)
        last, hidden_states, attentions = run_blocks(self.blocks, x, mask, output_attentions=output_attentions)
        return EncoderOutput(last if self.norm is None else self.norm(last), hidden_states, attentions)


def run_blocks(
    blocks: nn.ModuleList, x: Tensor, mask: Tensor | None = None, output_attentions: bool = False
) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...] | None]:
    """Send x (N, L, D) through the blocks -> the last output, all of them with x in front, and the maps or None."""
    hidden_states, attentions = [x], []
    for block in blocks:
        x, weights = block(x, mask, output_attentions=output_attentions)
        hidden_states.append(x)
        attentions.append(weights)
    return x, tuple(hidden_states), tuple(attentions) if output_attentions else None


def load_bert(folder: str | Path) -> Encoder:
    """An `Encoder` in evaluation mode with the weights of a Hugging Face BERT folder (config.json, model.safetensors).

    A pooler or a head in the file is left out.

    Raises:
        BadInput: files that are missing, or a model that is no BERT as Devlin et al. (2019) describe it.
    """
    config, state = read_bert(folder)
    encoder = Encoder(config)
    encoder.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return encoder.eval()


def _embedding(count: int, dim: int) -> nn.Embedding:
    """Vectors that start as BERT's do: normal with standard deviation 0.02."""
    layer = nn.Embedding(count, dim)
    nn.init.normal_(layer.weight, std=0.02)
    return layer


def _check_ids(input_ids: Tensor, vocab_size: int) -> None:
    """Torch's own message names neither the id nor the vocabulary, and on a GPU it ends the process."""
    low, high = (int(value) for value in input_ids.aminmax())
    if low < 0 or high >= vocab_size:
        raise BadInput(
            _("input_ids from 0 to {last}").format(last=vocab_size - 1),
            _("ids from {low} to {high}").format(low=low, high=high),
            _("use the tokenizer that belongs to this encoder"),
        )
