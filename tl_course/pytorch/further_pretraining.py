"""Further pretraining: an encoder reads unlabelled texts of the target domain before it is fine-tuned.

Gururangan et al., Don't Stop Pretraining, 2020; Howard & Ruder, ULMFiT, 2018, call it language-model fine-tuning.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tl_course.fit_options import batch_sizes
from tl_course.masking import MaskingVocab
from tl_course.pretraining import Objective, PretrainingHistory
from tl_course.pytorch.language_models import pretrain
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.text_batches import pad
from tl_course.zoo.texts import TextModel


class EncoderLM(nn.Module):
    """A masked language model on any Hugging Face encoder, with a fresh head of BERT's form:

        logits = LN(GELU(W h + c)) Eᵀ + b,   E the encoder's token vectors

    Args:
        encoder: trained in place; it tells its token vectors (V, E) by `get_input_embeddings`.
        width: D, of what it gives.
    """

    objective: Objective = "masked"

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder: Any = encoder
        vocab_size, dim = self.token_vectors().shape
        self.transform = nn.Linear(width, dim)
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.to(next(encoder.parameters()).device)

    def token_vectors(self) -> Tensor:
        """E (V, E)."""
        return self.encoder.get_input_embeddings().weight

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, at: Tensor | None = None) -> Tensor:
        """Token ids (N, L) -> logits (N, L, V), or (P, V) at the flat positions `at` (P,), which saves the rest."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (N, L, D)
        hidden = hidden if at is None else hidden.flatten(0, 1)[at]  # (P, D)
        hidden = self.norm(nn.functional.gelu(self.transform(hidden)))
        return nn.functional.linear(hidden, self.token_vectors(), self.bias)


def further_pretrain(
    model: TextClassifier | TextModel,
    texts: Iterable[str],
    *,
    num_epochs: int = 1,
    head_epochs: int = 1,
    lr: float = 5e-5,
    head_lr: float = 1e-3,
    batch_size: int = 32,
    rate: float = 0.15,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = True,
) -> PretrainingHistory:
    """Train the encoder in place to restore hidden tokens of unlabelled texts.

    The language model's head is new, and gone afterwards. It first trains alone, on the frozen encoder: the gradients
    of a random head would pull the encoder about.

    Args:
        model: a text classifier, or a text model of the zoo; its own head is left as it is.
        texts: of the target domain. Labels are not needed; test texts are not to be used.
        num_epochs: rounds over the texts in which the encoder trains.
        head_epochs: rounds before that, for the new head alone.
        lr: peak rate of the encoder's rounds.
        head_lr: peak rate of the head's rounds.
        batch_size, rate, warmup, weight_decay, seed: see `language_models.pretrain`.
        progress: show a progress bar.

    Returns:
        The loss of every step, the head's rounds first.

    Raises:
        BadInput: no texts, or a tokenizer without a mask token.
        CourseError: the loss is not a number any more.
    """
    backbone = model.backbone if isinstance(model, TextClassifier) else model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        language_model: Any = EncoderLM(backbone.model, backbone.feature_dim)
    token_ids, _mask = pad(backbone.token_ids(texts), backbone.tokenizer.pad_token_id)
    steps = len(batch_sizes(len(token_ids), batch_size))
    options = {"vocab": MaskingVocab.of(backbone.tokenizer), "batch_size": batch_size, "rate": rate, "warmup": warmup}
    options |= {"weight_decay": weight_decay, "pad_id": backbone.tokenizer.pad_token_id, "progress": progress}
    flags = [(parameter, parameter.requires_grad) for parameter in backbone.model.parameters()]
    history = PretrainingHistory("masked")
    for alone, rounds, peak in ((True, head_epochs, head_lr), (False, num_epochs, lr)):
        for parameter, trains in flags:
            parameter.requires_grad_(trains and not alone)
        if rounds:
            part = pretrain(language_model, token_ids, "masked", rounds * steps, lr=peak, seed=seed, **options)
            history.loss += part.loss
            history.seconds += part.seconds
    return history
