"""Masked and causal language models on our encoder, and their pretraining, in Keras.

Devlin et al., BERT, 2019 (masked); Radford et al., GPT, 2018 (causal). Letters for shapes: N texts, L tokens, D = dim,
V = vocab_size, P positions that predict.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tl_course.errors import CourseError
from tl_course.fit_options import batch_sizes, progress_bar
from tl_course.i18n import _
from tl_course.keras.encoder import Encoder
from tl_course.keras.fit import seed_dropout
from tl_course.keras.optim import GroupedAdamW
from tl_course.masking import IGNORED, MaskingVocab
from tl_course.pretraining import Objective, PretrainingHistory, TokenBatch, check_objective, draw_token, token_batches
from tl_course.schedules import warmup_cosine

Tensor = Any
"""A tensor of whichever backend Keras runs on."""


class MaskedLM(keras.Model):
    """Predicts hidden tokens from both sides, with BERT's head (Devlin et al., 2019):

        logits = LN(GELU(W h + c)) Eᵀ + b,   E the encoder's token vectors: output and input share them

    Tying saves V D weights and trains every token vector in both roles (Press & Wolf, 2017). Built when made.
    """

    objective: Objective = "masked"

    def __init__(self, encoder: Encoder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dim = encoder.config.dim
        self.encoder = encoder
        self.transform = layers.Dense(dim, name="transform")
        self.norm = layers.LayerNormalization(epsilon=encoder.config.eps, name="norm")
        self.bias = self.add_weight(shape=(encoder.config.vocab_size,), initializer="zeros", name="bias")
        for layer in (self.transform, self.norm):
            layer.build((None, None, dim))
        self.built = True

    def call(self, input_ids: Tensor, attention_mask: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """Token ids (N, L) -> logits (N, L, V), or (P, V) at the flat positions `at` (P,), which saves the rest."""
        hidden = _at(self.encoder(input_ids, attention_mask).last_hidden_state, at)
        hidden = self.norm(ops.gelu(self.transform(hidden), approximate=False))
        return ops.matmul(hidden, ops.transpose(self.encoder.embeddings.tokens.embeddings)) + self.bias


class CausalLM(keras.Model):
    """Predicts each next token from those before it: logits = h Eᵀ, E the encoder's token vectors (GPT-2)."""

    objective: Objective = "causal"

    def __init__(self, encoder: Encoder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.built = True

    def call(self, input_ids: Tensor, attention_mask: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """Token ids (N, L) -> logits (N, L, V); those at position i are for position i + 1. `at` as in `MaskedLM`."""
        hidden = _at(self.encoder(input_ids, attention_mask, causal=True).last_hidden_state, at)
        return ops.matmul(hidden, ops.transpose(self.encoder.embeddings.tokens.embeddings))


LanguageModel = MaskedLM | CausalLM


def masked_lm_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, mean over the positions whose label is not -100: a scalar.

    Over all positions it would mostly reward copying tokens that are in plain sight.

    Args:
        logits: (..., V).
        labels: int64 (...), true ids where a token was chosen, -100 elsewhere; at least one is not.
    """
    chosen = ops.cast(ops.not_equal(labels, IGNORED), logits.dtype)
    losses = ops.sparse_categorical_crossentropy(ops.maximum(labels, 0), logits, from_logits=True)
    return ops.sum(losses * chosen) / ops.sum(chosen)


def next_token_loss(logits: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits at i against the token at i + 1, mean over the positions that have a next token.

    Args:
        logits: (N, L, V).
        input_ids: int64 (N, L), the ids the logits were computed from.
        attention_mask: (N, L), 0 for padding, which is never a target; None: no padding.
    """
    targets = input_ids[:, 1:]
    if attention_mask is not None:
        targets = ops.where(ops.equal(attention_mask[:, 1:], 0), IGNORED, targets)
    return masked_lm_loss(logits[:, :-1], targets)


def pretrain(
    model: LanguageModel,
    token_ids: np.ndarray,
    objective: Objective,
    num_steps: int,
    *,
    vocab: MaskingVocab | None = None,
    batch_size: int = 64,
    lr: float = 2e-3,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    rate: float = 0.15,
    pad_id: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> PretrainingHistory:
    """Train a language model in place with AdamW (Loshchilov & Hutter, 2019).

    Without dropout the losses are PyTorch's, step for step, from the same weights.

    Args:
        model: to be trained.
        token_ids: int (N, L), padded on the right, no longer than the encoder takes.
        objective: "masked" or "causal", the model's own; written down so that a reader sees it.
        num_steps: updates.
        vocab, batch_size, rate, pad_id: see `pretraining.token_batches`.
        lr, warmup: peak rate and its schedule, see `schedules.warmup_cosine`.
        weight_decay: decoupled, on matrices only.
        seed: of order, masks and dropout.
        progress: show a progress bar.

    Raises:
        BadInput: a model of the other objective, or what `token_batches` refuses.
        CourseError: the loss is not a number any more.
    """
    check_objective(model, objective)
    options = {"vocab": vocab, "batch_size": batch_size, "rate": rate, "pad_id": pad_id}
    batches = token_batches(token_ids, objective, num_steps, **options, rng=np.random.default_rng(seed))
    rates: dict[str, Sequence[float]] = {
        v.path: (1.0, weight_decay if len(v.shape) > 1 else 0.0) for v in model.trainable_variables
    }
    optimizer = GroupedAdamW(rates)
    optimizer.build(model.trainable_variables)
    seed_dropout(model, seed)
    train_step = _train_step(model, optimizer)
    history, start = PretrainingHistory(objective), time.perf_counter()
    losses = []
    with progress_bar(progress, num_steps) as show:
        for step, batch in enumerate(batches):
            optimizer.learning_rate = warmup_cosine(step, num_steps, lr, warmup)
            losses.append(train_step(*_tensors(batch)))
            show(step + 1, objective)
    history.loss, history.seconds = [float(loss) for loss in losses], time.perf_counter() - start
    if not np.isfinite(history.loss).all():
        raise CourseError(_("the loss is not a number any more; lower lr or lengthen the warm-up"))
    return history


def held_out_loss(
    model: LanguageModel,
    token_ids: np.ndarray,
    *,
    vocab: MaskingVocab | None = None,
    batch_size: int = 64,
    rate: float = 0.15,
    pad_id: int = 0,
    seed: int = 0,
) -> float:
    """Mean cross-entropy in nats over the predicted tokens of texts, each text once, without dropout.

    Args: as `pretrain`; the seed fixes what is hidden, so that models are asked the same.
    """
    steps = len(batch_sizes(len(token_ids), batch_size))
    options = {"vocab": vocab, "batch_size": batch_size, "rate": rate, "pad_id": pad_id}
    infer = _traced(lambda ids, mask, at, targets: masked_lm_loss(model(ids, mask, at, training=False), targets))
    total, count = 0.0, 0
    for batch in token_batches(token_ids, model.objective, steps, **options, rng=np.random.default_rng(seed)):
        total += float(infer(*_tensors(batch))) * len(batch.at)
        count += len(batch.at)
    return total / count


def generate(
    model: CausalLM,
    ids: np.ndarray,
    num_tokens: int,
    seed: int = 0,
    temperature: float = 1.0,
) -> np.ndarray:
    """Continue texts token by token (ancestral sampling), without dropout.

    Args:
        model: a causal model.
        ids: int (N, L), the beginnings, all of one length, without padding or an end mark.
        num_tokens: tokens to add. The model sees the last `max_tokens` of what there is.
        seed: of the draws.
        temperature: see `pretraining.draw_token`.

    Returns:
        int64 (N, L + num_tokens). Texts do not stop at an end mark: cut there.
    """
    check_objective(model, "causal")
    rng, text = np.random.default_rng(seed), np.asarray(ids, dtype=np.int64)
    infer = _traced(lambda seen, mask, last, _unused: model(seen, mask, last, training=False))
    for _token in range(num_tokens):
        seen = text[:, -model.encoder.config.max_tokens :]
        last = np.arange(1, len(text) + 1) * seen.shape[1] - 1  # (N,), flat
        logits = infer(*_tensors(TokenBatch(seen, np.ones_like(seen), last, last)))  # (N, V)
        text = np.column_stack([text, draw_token(np.asarray(logits), temperature, rng)])
    return text


def _at(hidden: Tensor, at: Tensor | None) -> Tensor:
    """(N, L, D) -> (P, D) at flat positions (P,); all of it when there are none."""
    return hidden if at is None else ops.take(ops.reshape(hidden, (-1, hidden.shape[-1])), at, axis=0)


def _tensors(batch: TokenBatch) -> tuple[Tensor, ...]:
    arrays = (batch.input_ids, batch.attention_mask, batch.at, batch.targets)
    return tuple(tf.constant(array, tf.int64) for array in arrays)


def _traced(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """One graph for batches of any shape: traced once, not once for each length."""
    matrix, vector = tf.TensorSpec((None, None), tf.int64), tf.TensorSpec((None,), tf.int64)
    return tf.function(function, input_signature=(matrix, matrix, vector, vector), autograph=False)


def _train_step(model: LanguageModel, optimizer: GroupedAdamW) -> Callable[..., Tensor]:
    """(input_ids, attention_mask, at, targets) -> the loss, after one update."""

    def step(ids: Tensor, mask: Tensor, at: Tensor, targets: Tensor) -> Tensor:
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            loss = masked_lm_loss(model(ids, mask, at, training=True), targets)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return _traced(step)
