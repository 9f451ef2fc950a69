"""The shape of a Transformer encoder, the same for PyTorch and Keras."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tl_course.errors import BadInput
from tl_course.i18n import _

Norm = Literal["post", "pre"]
Positions = Literal["learned", "sinusoidal"]


@dataclass(frozen=True)
class EncoderConfig:
    """What decides the weights of an `Encoder`. The defaults past `hidden_dim` are BERT's (Devlin et al., 2019).

    Attributes:
        vocab_size: number of different tokens.
        max_tokens: longest text, in tokens.
        dim: D, width of the token vectors.
        num_layers: number of blocks.
        num_heads: attention heads of each block; `dim` is a multiple of it.
        hidden_dim: width of the feed-forward network between its two linear maps.
        dropout: probability in training mode, after the embeddings, on attention weights and on each branch.
        norm: LayerNorm "post", after each residual sum (Vaswani et al., 2017; BERT), or "pre", before each branch
            (Xiong et al., 2020; GPT-2, ViT).
        positions: "learned" vectors, or "sinusoidal" ones, which are fixed.
        num_segments: number of segments a token may belong to (BERT: 2, sentence A and B); 0: no segment vectors.
        eps: added to the variance in every LayerNorm.

    Raises:
        BadInput: a size below 1, a `dim` that its heads cannot share equally, or an unknown choice.
    """

    vocab_size: int
    max_tokens: int
    dim: int
    num_layers: int
    num_heads: int
    hidden_dim: int
    dropout: float = 0.1
    norm: Norm = "post"
    positions: Positions = "learned"
    num_segments: int = 2
    eps: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("vocab_size", "max_tokens", "dim", "num_layers", "num_heads", "hidden_dim"):
            if getattr(self, name) < 1:
                raise BadInput(_("{name} of at least 1").format(name=name), str(getattr(self, name)), _("correct it"))
        check_heads(self.dim, self.num_heads)
        check_dropout(self.dropout)
        check_norm(self.norm)
        if self.positions not in get_args(Positions):
            raise BadInput(_("positions 'learned' or 'sinusoidal'"), repr(self.positions), _("choose one of the two"))
        if self.num_segments < 0:
            raise BadInput(_("num_segments of at least 0"), str(self.num_segments), _("0 leaves segment vectors out"))


def check_heads(dim: int, num_heads: int) -> None:
    """Refuse a width that cannot be cut into equal heads."""
    if num_heads < 1 or dim < 1 or dim % num_heads:
        raise BadInput(
            _("dim as a multiple of num_heads"),
            _("dim={dim}, num_heads={num_heads}").format(dim=dim, num_heads=num_heads),
            _("each head takes dim / num_heads columns: choose for example dim=64, num_heads=4"),
        )


def check_dropout(dropout: float) -> None:
    """Refuse a probability outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise BadInput(_("dropout in [0, 1)"), str(dropout), _("0.1 is BERT's, 0 switches it off"))


def check_norm(norm: str) -> None:
    """Refuse a place for LayerNorm other than "post" and "pre"."""
    if norm not in get_args(Norm):
        raise BadInput(_("norm 'post' or 'pre'"), repr(norm), _("choose one of the two"))


def check_tokens(config: EncoderConfig, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> None:
    """Refuse token batches whose shapes do not fit the encoder or each other. Values are not looked at.

    Args:
        config: the encoder's.
        input_ids, attention_mask, token_type_ids: tensors or arrays of any framework, the last two possibly None.
    """
    for name, given in (
        ("input_ids", input_ids),
        ("attention_mask", attention_mask),
        ("token_type_ids", token_type_ids),
    ):
        if not hasattr(given, "shape") and (given is not None or name == "input_ids"):
            raise BadInput(
                _("{name} as a tensor").format(name=name), type(given).__name__, _("make it an integer tensor")
            )
    shape = tuple(input_ids.shape)
    if len(shape) != 2 or 0 in shape:
        raise BadInput(
            _("input_ids of shape (N, L), at least one text of one token"),
            _("shape {shape}").format(shape=shape),
            _("add the batch axis: input_ids[None]") if len(shape) == 1 else _("pass what the tokenizer gives"),
        )
    if shape[1] is not None and shape[1] > config.max_tokens:
        raise BadInput(
            _("at most {most} tokens a text").format(most=config.max_tokens),
            _("{length} tokens").format(length=shape[1]),
            _("cut in the tokenizer: truncation=True, max_length={most}").format(most=config.max_tokens),
        )
    for name, other in (("attention_mask", attention_mask), ("token_type_ids", token_type_ids)):
        if other is not None and (len(other.shape) != 2 or _differ(shape, tuple(other.shape))):
            raise BadInput(
                _("{name} of shape {shape}, as input_ids").format(name=name, shape=shape),
                _("shape {shape}").format(shape=tuple(other.shape)),
                _("pass both from one call of the tokenizer"),
            )
    if token_type_ids is not None and not config.num_segments:
        raise BadInput(
            _("no token_type_ids, as num_segments=0"), _("token_type_ids"), _("leave them out: there are no segments")
        )


def _differ(shape: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Whether two shapes are known to differ; None stands for a length not yet known while a graph is built."""
    return any(a is not None and b is not None and a != b for a, b in zip(shape, other, strict=True))
