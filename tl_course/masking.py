"""Choosing the tokens that a masked language model has to restore: BERT's rule, in NumPy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a position that the loss leaves out; the value PyTorch's cross-entropy ignores unless told otherwise."""

MASKED, RANDOM = 0.8, 0.1  # shares of the chosen tokens; the other tenth stays as it is (Devlin et al., 2019, §3.1)


@dataclass(frozen=True)
class MaskingVocab:
    """What masking has to know about a vocabulary.

    Attributes:
        size: number of token ids, all from 0 to size - 1.
        mask_id: id of [MASK].
        special_ids: ids that are never chosen and never drawn as a replacement: [PAD], [CLS], [SEP], [UNK], [MASK].
    """

    size: int
    mask_id: int
    special_ids: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase") -> "MaskingVocab":
        """The vocabulary of a Hugging Face tokenizer.

        Raises:
            BadInput: a tokenizer without a mask token, such as GPT-2's.
        """
        mask_id = tokenizer.mask_token_id
        if not isinstance(mask_id, int):
            raise BadInput(
                _("a tokenizer with a mask token"),
                _("one without"),
                _("use a BERT-like tokenizer, or train a causal model, which needs none"),
            )
        return cls(len(tokenizer), mask_id, tuple(sorted(set(tokenizer.all_special_ids))))


def mask_tokens(
    ids: np.ndarray, vocab: MaskingVocab, rate: float = 0.15, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hide some tokens of each text and say which are to be restored (BERT: Devlin et al., 2019, section 3.1).

    Each token that is not special is chosen with probability `rate`; a text of which none was chosen gets one chosen at
    random, if it has any. Of the chosen, 80 % become [MASK], 10 % a random token and 10 % stay: the model cannot rely
    on seeing [MASK] wherever it is asked.

    Args:
        ids: int (N, L), padded with a special id.
        vocab: size and special ids.
        rate: share of tokens to choose, above 0 and at most 1.
        rng: makes the choice; every epoch should see another one (RoBERTa: Liu et al., 2019, "dynamic masking").

    Returns:
        inputs int64 (N, L), and labels int64 (N, L): the true id where a token was chosen, `IGNORED` elsewhere.

    Raises:
        BadInput: ids of another shape or outside the vocabulary, or a rate outside (0, 1].
    """
    tokens = np.asarray(ids)
    _check(tokens, vocab, rate)
    ordinary = ~np.isin(tokens, vocab.special_ids)
    chosen = ordinary & (rng.random(tokens.shape) < rate)
    chosen |= _one_each(ordinary, rng) & ~chosen.any(axis=1, keepdims=True)
    kind = rng.random(tokens.shape)
    replacements = np.setdiff1d(np.arange(vocab.size), vocab.special_ids)
    inputs = tokens.astype(np.int64)
    inputs[chosen & (kind < MASKED)] = vocab.mask_id
    swapped = chosen & (kind >= MASKED) & (kind < MASKED + RANDOM)
    inputs[swapped] = rng.choice(replacements, size=int(swapped.sum()))
    return inputs, np.where(chosen, tokens, IGNORED).astype(np.int64)


def _one_each(allowed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One allowed position of each row, at random: bool (N, L); none in a row that allows none."""
    scores = np.where(allowed, rng.random(allowed.shape), -1.0)
    best = scores.argmax(axis=1)[:, None] == np.arange(allowed.shape[1])
    return best & allowed


def _check(tokens: np.ndarray, vocab: MaskingVocab, rate: float) -> None:
    if tokens.ndim != 2 or tokens.shape[1] == 0 or not np.issubdtype(tokens.dtype, np.integer):
        raise BadInput(
            _("token ids as integers (N, L)"),
            _("{dtype} of shape {shape}").format(dtype=tokens.dtype, shape=tokens.shape),
            _("pass a padded batch of ids"),
        )
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocab.size:
        raise BadInput(
            _("ids from 0 to {last}").format(last=vocab.size - 1),
            _("{low} to {high}").format(low=tokens.min(), high=tokens.max()),
            _("use the vocabulary of the tokenizer that made the ids"),
        )
    if not 0 < rate <= 1:
        raise BadInput(_("rate above 0 and at most 1"), repr(rate), _("BERT uses 0.15"))
