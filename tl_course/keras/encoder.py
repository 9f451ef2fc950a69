"""A Transformer encoder in Keras, out of self-attention, embeddings and blocks.

Vaswani et al., Attention Is All You Need, 2017 (the blocks); Devlin et al., BERT, 2019 (the embeddings); the same
classes with the same numbers are in tl_course/pytorch/encoder.py. Attention itself is in self_attention.py. Letters for
shapes: N texts, L tokens, D = dim, H heads.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from tl_course.bert_folder import read_bert
from tl_course.encoder_config import EncoderConfig, Norm, check_norm, check_tokens
from tl_course.keras.encoder_weights import encoder_layers, set_state
from tl_course.keras.self_attention import (
    MultiHeadAttention,
    attention_weights,
    causal_mask,
    padding_mask,
    scaled_dot_product_attention,
)
from tl_course.positions import sinusoidal_positions

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

Tensor = Any
"""A tensor of whichever backend Keras runs on."""


@keras.saving.register_keras_serializable("tl_course")
class EncoderBlock(layers.Layer):
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_norm(norm)
        self.settings = {"dim": dim, "num_heads": num_heads, "hidden_dim": hidden_dim}
        self.settings |= {"dropout": dropout, "norm": norm, "eps": eps}
        self.pre_norm = norm == "pre"
        self.attention = MultiHeadAttention(dim, num_heads, dropout, name="attention")
        self.attention_norm = layers.LayerNormalization(epsilon=eps, name="attention_norm")
        self.expand = layers.Dense(hidden_dim, name="expand")
        self.contract = layers.Dense(dim, name="contract")
        self.feed_forward_norm = layers.LayerNormalization(epsilon=eps, name="feed_forward_norm")
        self.dropout = layers.Dropout(dropout)

    def build(self, input_shape: Sequence[int | None]) -> None:
        for layer in (self.attention, self.attention_norm, self.expand, self.feed_forward_norm):
            layer.build(input_shape)
        self.contract.build((*input_shape[:-1], self.expand.units))

    def call(
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
        return self.contract(ops.gelu(self.expand(x), approximate=False))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


class Embeddings(layers.Layer):
    """Token vectors plus position vectors plus segment vectors (Devlin et al., 2019, figure 2).

    With sinusoidal positions the token vectors are multiplied by √D, as Vaswani et al. (2017, section 3.4) do, so that
    both parts are of like size.
    """

    def __init__(self, config: EncoderConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.tokens = _embedding(config.vocab_size, config.dim, "tokens")
        self.segments = _embedding(config.num_segments, config.dim, "segments") if config.num_segments else None
        learned = config.positions == "learned"
        self.positions = _embedding(config.max_tokens, config.dim, "positions") if learned else None
        self.fixed_positions = None if learned else sinusoidal_positions(config.max_tokens, config.dim)
        self.scale = 1.0 if learned else config.dim**0.5
        self.norm = layers.LayerNormalization(epsilon=config.eps, name="norm") if config.norm == "post" else None
        self.dropout = layers.Dropout(config.dropout)

    def build(self, input_shape: Sequence[int | None]) -> None:
        for layer in filter(None, (self.tokens, self.segments, self.positions)):
            layer.build(input_shape)
        if self.norm is not None:
            self.norm.build((*input_shape, self.config.dim))

    def call(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Token ids (N, L) and segments (N, L), None for all in segment 0 -> vectors (N, L, D)."""
        length = ops.shape(input_ids)[1]
        positions: Any = self.fixed_positions if self.positions is None else self.positions.embeddings
        x = self.tokens(input_ids) * self.scale + positions[:length]  # (N, L, D) + (L, D)
        if self.segments is not None:
            x = x + self.segments(ops.zeros_like(input_ids) if token_type_ids is None else token_type_ids)
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


@keras.saving.register_keras_serializable("tl_course")
class Encoder(keras.Model):
    """Embeddings and a stack of blocks: BERT as it stands, and GPT with causal=True and pre-norm. Built when made.

    In a functional model (on `keras.Input`) call it with output_attentions=True, as Keras allows no None among outputs
    there; here the maps cost nothing extra.

    Args:
        config: the sizes. `load_bert` builds one from a Hugging Face folder and fills in its weights.
    """

    def __init__(self, config: EncoderConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.embeddings = Embeddings(config, name="embeddings")
        sizes = (config.dim, config.num_heads, config.hidden_dim, config.dropout, config.norm, config.eps)
        self.blocks = [EncoderBlock(*sizes, name=f"block_{number}") for number in range(config.num_layers)]
        self.norm = layers.LayerNormalization(epsilon=config.eps, name="norm") if config.norm == "pre" else None
        self.build((None, None))

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.embeddings.build(input_shape)
        for layer in filter(None, (*self.blocks, self.norm)):
            layer.build((*input_shape, self.config.dim))
        self.built = True

    def __call__(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **options: Any,
    ) -> EncoderOutput:
        """`call`, after a check of the shapes: what goes wrong inside `call`, Keras turns into a RuntimeError."""
        check_tokens(self.config, input_ids, attention_mask, token_type_ids)
        return super().__call__(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, **options)

    def call(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        causal: bool = False,
        output_attentions: bool = False,
    ) -> EncoderOutput:
        """Token ids -> token vectors that know their context. Works for any N and L in one graph.

        Args:
            input_ids: (N, L), integers below vocab_size, L at most max_tokens. TensorFlow on a processor refuses other
                ids; on a GPU it takes a zero vector for them.
            attention_mask: (N, L), non-zero for a token, 0 for padding; None: no padding.
            token_type_ids: (N, L), the segment of each token; None: all in segment 0.
            causal: let each token see only itself and what stands before it.
            output_attentions: return the attention maps as well.

        Raises:
            BadInput: shapes that do not fit, or too many tokens.
        """
        mask = None if attention_mask is None else padding_mask(attention_mask)  # (N, 1, 1, L)
        if causal:
            before = causal_mask(ops.shape(input_ids)[1])  # (1, 1, L, L)
            mask = before if mask is None else ops.logical_and(mask, before)  # (N, 1, L, L)
        x = self.embeddings(input_ids, token_type_ids)
        last, hidden_states, attentions = run_blocks(self.blocks, x, mask, output_attentions=output_attentions)
        return EncoderOutput(last if self.norm is None else self.norm(last), hidden_states, attentions)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Encoder":
        return cls(EncoderConfig(**config.pop("config")), **config)


def run_blocks(
    blocks: Sequence[EncoderBlock], x: Tensor, mask: Tensor | None = None, output_attentions: bool = False
) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...] | None]:
    """Send x (N, L, D) through the blocks -> the last output, all of them with x in front, and the maps or None."""
    hidden_states, attentions = [x], []
    for block in blocks:
        x, weights = block(x, mask, output_attentions=output_attentions)
        hidden_states.append(x)
        attentions.append(weights)
    return x, tuple(hidden_states), tuple(attentions) if output_attentions else None


def load_bert(folder: str | Path) -> Encoder:
    """An `Encoder` with the weights of a Hugging Face BERT folder (config.json, model.safetensors).

    A pooler or a head in the file is left out.

    Raises:
        BadInput: files that are missing, or a model that is no BERT as Devlin et al. (2019) describe it.
    """
    config, state = read_bert(folder)
    encoder = Encoder(config)
    set_state(encoder_layers(encoder), state)
    return encoder


def _embedding(count: int, dim: int, name: str) -> layers.Embedding:
    """Vectors that start as BERT's do: normal with standard deviation 0.02."""
    return layers.Embedding(count, dim, keras.initializers.RandomNormal(stddev=0.02), name=name)
