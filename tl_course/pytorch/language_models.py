"""Masked and causal language models on our encoder, and their pretraining, in PyTorch.

Devlin et al., BERT, 2019 (masked); Radford et al., GPT, 2018 (causal). Letters for shapes: N texts, L tokens, D = dim,
V = vocab_size, P positions that predict.
"""

import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tl_course.errors import CourseError
from tl_course.fit_options import batch_sizes, progress_bar
from tl_course.i18n import _
from tl_course.masking import IGNORED, MaskingVocab
from tl_course.pretraining import Objective, PretrainingHistory, TokenBatch, check_objective, draw_token, token_batches
from tl_course.pytorch.encoder import Encoder
from tl_course.pytorch.features import evaluation_mode
from tl_course.schedules import warmup_cosine


class MaskedLM(nn.Module):
    """Predicts hidden tokens from both sides, with BERT's head (Devlin et al., 2019):

        logits = LN(GELU(W h + c)) Eᵀ + b,   E the encoder's token vectors: output and input share them

    Tying saves V D weights and trains every token vector in both roles (Press & Wolf, 2017).
    """

    objective: Objective = "masked"

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        dim = encoder.config.dim
        self.encoder = encoder
        self.transform = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, encoder.config.eps)
        self.bias = nn.Parameter(torch.zeros(encoder.config.vocab_size))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """Token ids (N, L) -> logits (N, L, V), or (P, V) at the flat positions `at` (P,), which saves the rest."""
        hidden = _at(self.encoder(input_ids, attention_mask).last_hidden_state, at)
        hidden = self.norm(functional.gelu(self.transform(hidden)))
        return functional.linear(hidden, self.encoder.embeddings.tokens.weight, self.bias)


class CausalLM(nn.Module):
    """Predicts each next token from those before it: logits = h Eᵀ, E the encoder's token vectors (GPT-2)."""

    objective: Objective = "causal"

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """Token ids (N, L) -> logits (N, L, V); those at position i are for position i + 1. `at` as in `MaskedLM`."""
        hidden = _at(self.encoder(input_ids, attention_mask, causal=True).last_hidden_state, at)
        return functional.linear(hidden, self.encoder.embeddings.tokens.weight)


LanguageModel = MaskedLM | CausalLM


def masked_lm_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, mean over the positions whose label is not -100: a scalar.

    Over all positions it would mostly reward copying tokens that are in plain sight.

    Args:
        logits: (..., V).
        labels: int64 (...), true ids where a token was chosen, -100 elsewhere; at least one is not.
    """
    return functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED)


def next_token_loss(logits: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits at i against the token at i + 1, mean over the positions that have a next token.

    Args:
        logits: (N, L, V).
        input_ids: int64 (N, L), the ids the logits were computed from.
        attention_mask: (N, L), 0 for padding, which is never a target; None: no padding.
    """
    targets = input_ids[:, 1:]
    if attention_mask is not None:
        targets = targets.masked_fill(attention_mask[:, 1:] == 0, IGNORED)
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
    """Train a language model in place with AdamW (Loshchilov & Hutter, 2019), leave it in evaluation mode.

    Args:
        model: on whichever device it should train.
        token_ids: int (N, L), padded on the right, no longer than the encoder takes.
        objective: "masked" or "causal", the model's own; written down so that a reader sees it.
        num_steps: updates.
        vocab, batch_size, rate, pad_id: see `pretraining.token_batches`.
        lr, warmup: peak rate and its schedule, see `schedules.warmup_cosine`.
        weight_decay: decoupled, on matrices only.
        seed: of order, masks and dropout; the global random state is kept.
        progress: show a progress bar.

    Raises:
        BadInput: a model of the other objective, or what `token_batches` refuses.
        CourseError: the loss is not a number any more.
    """
    check_objective(model, objective)
    options = {"vocab": vocab, "batch_size": batch_size, "rate": rate, "pad_id": pad_id}
    batches = token_batches(token_ids, objective, num_steps, **options, rng=np.random.default_rng(seed))
    optimizer = torch.optim.AdamW(_groups(model, weight_decay), lr=lr)
    history, start = PretrainingHistory(objective), time.perf_counter()
    device = next(model.parameters()).device
    losses = torch.zeros(num_steps, device=device)
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        progress_bar(progress, num_steps) as show,
    ):
        torch.manual_seed(seed)
        model.train()
        for step, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = warmup_cosine(step, num_steps, lr, warmup)
            loss = _batch_loss(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()
            show(step + 1, objective)
    model.eval()
    history.loss, history.seconds = losses.tolist(), time.perf_counter() - start
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
    total, count = 0.0, 0
    with evaluation_mode(model), torch.inference_mode():
        for batch in token_batches(token_ids, model.objective, steps, **options, rng=np.random.default_rng(seed)):
            total += float(_batch_loss(model, batch)) * len(batch.at)
            count += len(batch.at)
    return total / count


def generate(
    model: CausalLM,
    ids: np.ndarray,
    num_tokens: int,
    seed: int = 0,
    temperature: float = 1.0,
) -> np.ndarray:
    """Continue texts token by token (ancestral sampling), in evaluation mode.

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
    device = next(model.parameters()).device
    with evaluation_mode(model), torch.inference_mode():
        for _token in range(num_tokens):
            seen = torch.from_numpy(text[:, -model.encoder.config.max_tokens :]).to(device)
            last = torch.arange(1, len(text) + 1, device=device) * seen.shape[1] - 1  # (N,), flat
            logits = model(seen, at=last)  # (N, V)
            text = np.column_stack([text, draw_token(logits.cpu().numpy(), temperature, rng)])
    return text


def _at(hidden: Tensor, at: Tensor | None) -> Tensor:
    """(N, L, D) -> (P, D) at flat positions (P,); all of it when there are none."""
    return hidden if at is None else hidden.flatten(0, 1)[at]


def _batch_loss(model: LanguageModel, batch: TokenBatch) -> Tensor:
    device = next(model.parameters()).device
    ids, mask, at, targets = (
        torch.from_numpy(array).to(device) for array in (batch.input_ids, batch.attention_mask, batch.at, batch.targets)
    )
    return masked_lm_loss(model(ids, mask, at), targets)


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices are decayed, biases and gains are not."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
