"""Language-model pretraining without a framework: what is predicted where, batch by batch, and how text is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.masking import IGNORED, MaskingVocab, mask_tokens
from tl_course.text_batches import length_buckets

Objective = Literal["masked", "causal"]
"""What is predicted: chosen tokens from both sides (BERT), or each token from those before it (GPT)."""


@dataclass(frozen=True)
class TokenBatch:
    """One step's input and what is to be predicted.

    Attributes:
        input_ids: int64 (n, L), no longer than the longest text of the batch.
        attention_mask: int64 (n, L), 1 for a token, 0 for padding.
        at: int64 (P,), the positions that predict, in the flattened (n L) order.
        targets: int64 (P,), the ids they should predict.
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    at: np.ndarray
    targets: np.ndarray


@dataclass
class PretrainingHistory:
    """What happened.

    Attributes:
        objective: "masked" or "causal".
        loss: mean cross-entropy over the predicted positions of each step, in nats.
        seconds: duration of the run.
    """

    objective: Objective
    loss: list[float] = field(default_factory=list)
    seconds: float = 0.0


def masked_batch(
    input_ids: np.ndarray, attention_mask: np.ndarray, vocab: MaskingVocab, rate: float, rng: np.random.Generator
) -> TokenBatch:
    """Hide tokens by BERT's rule; the hidden positions predict what stood there."""
    inputs, labels = mask_tokens(input_ids, vocab, rate, rng=rng)
    at = np.flatnonzero(labels != IGNORED)
    return TokenBatch(inputs, attention_mask, at, labels.ravel()[at])


def causal_batch(input_ids: np.ndarray, attention_mask: np.ndarray) -> TokenBatch:
    """Position i predicts the token at i + 1, except where that is padding or past the end."""
    labels = np.full_like(input_ids, IGNORED)
    labels[:, :-1] = np.where(attention_mask[:, 1:] != 0, input_ids[:, 1:], IGNORED)
    at = np.flatnonzero(labels != IGNORED)
    return TokenBatch(input_ids, attention_mask, at, labels.ravel()[at])


def token_batches(
    token_ids: np.ndarray,
    objective: Objective,
    num_steps: int,
    *,
    vocab: MaskingVocab | None = None,
    batch_size: int = 64,
    rate: float = 0.15,
    pad_id: int = 0,
    rng: np.random.Generator,
) -> Iterator[TokenBatch]:
    """Batches for so many steps, epoch after epoch: like lengths together, cut to their longest, masked anew each time.

    Args:
        token_ids: int (N, L), padded on the right.
        objective: "masked" or "causal".
        num_steps: number of batches.
        vocab: for "masked": size and special ids.
        batch_size: texts in a batch.
        rate: for "masked": share of tokens to predict.
        pad_id: the padding's id.
        rng: draws order and masks.

    Raises:
        BadInput: an unknown objective, ids of another shape, or "masked" without vocab.
    """
    ids = np.asarray(token_ids)
    if objective not in get_args(Objective):
        raise BadInput(_("objective 'masked' or 'causal'"), repr(objective), _("choose one of the two"))
    if ids.ndim != 2 or 0 in ids.shape or not np.issubdtype(ids.dtype, np.integer):
        raise BadInput(
            _("token_ids as integers (N, L)"),
            _("{dtype} of shape {shape}").format(dtype=ids.dtype, shape=ids.shape),
            _("encode the texts first: vocabulary.encode(tokenizer, texts, max_tokens)"),
        )
    if objective == "masked" and vocab is None:
        raise BadInput(
            _("vocab for the masked objective"), "None", _("pass vocab=MaskingVocab.of(tokenizer): it names [MASK]")
        )
    return _token_batches(ids, num_steps, vocab if objective == "masked" else None, batch_size, rate, pad_id, rng)


def _token_batches(
    ids: np.ndarray,
    num_steps: int,
    vocab: MaskingVocab | None,
    batch_size: int,
    rate: float,
    pad_id: int,
    rng: np.random.Generator,
) -> Iterator[TokenBatch]:
    lengths = (ids != pad_id).sum(axis=1)
    waiting: list[np.ndarray] = []
    for _step in range(num_steps):
        waiting = waiting or length_buckets(lengths, batch_size, rng)
        chosen = waiting.pop()
        inputs = ids[chosen, : max(1, lengths[chosen].max())].astype(np.int64)
        mask = (inputs != pad_id).astype(np.int64)
        yield causal_batch(inputs, mask) if vocab is None else masked_batch(inputs, mask, vocab, rate, rng)


def check_objective(model: object, objective: Objective) -> None:
    """Refuse to train a model on another objective than its own: a causal model would see what it is to predict."""
    own = getattr(model, "objective", None)
    if own != objective:
        raise BadInput(
            _("a model of the {objective} objective").format(objective=objective),
            type(model).__name__,
            _("MaskedLM goes with 'masked', CausalLM with 'causal'"),
        )


def draw_token(logits: np.ndarray, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """The next token of each text, from softmax(logits / temperature).

    Args:
        logits: (N, V).
        temperature: 1 draws as the model believes, below 1 more boldly, 0 takes the most probable token.
        rng: makes the draw.

    Returns:
        int64 (N,).

    Raises:
        BadInput: a negative temperature.
    """
    if temperature < 0:
        raise BadInput(_("temperature of at least 0"), str(temperature), _("1 draws as the model believes"))
    if temperature == 0:
        return logits.argmax(axis=1)
    scores = logits.astype(np.float64) / temperature
    # The largest of logits plus Gumbel noise is a draw from their softmax (Gumbel, 1954).
    return (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
