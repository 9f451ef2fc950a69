"""A small subword vocabulary, trained on the texts at hand: byte-pair encoding (Sennrich et al., 2016)."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIALS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
"""Hugging Face's names of the special tokens, in the order of their ids: [PAD] is 0, [MASK] is 4."""

_ALPHABET = 100  # characters kept; rarer ones become [UNK]


def train_tokenizer(texts: Iterable[str], size: int = 2000) -> "PreTrainedTokenizerFast":
    """A lower-casing tokenizer whose pieces are the most frequent in `texts`; "▁" marks the start of a word.

    Texts come out as [CLS] pieces [SEP], as BERT has them. The same texts give the same vocabulary, in any run.

    Args:
        texts: training texts only: a vocabulary that has seen the test texts has learned from them.
        size: number of pieces, special ones included.

    Raises:
        BadInput: no texts, or a size without room for the characters.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    corpus = [str(text) for text in texts]
    least = len(SPECIALS) + _ALPHABET
    if not corpus or size <= least:
        raise BadInput(
            _("texts, and a size above {least}").format(least=least),
            _("{count} texts and size {size}").format(count=len(corpus), size=size),
            _("pass the training texts, and for example size=2000"),
        )
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIALS["unk_token"], fuse_unk=True))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIALS.values()), limit_alphabet=_ALPHABET, show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIALS)


def encode(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str] | np.ndarray, max_tokens: int) -> np.ndarray:
    """Ids int64 (N, L) of texts, padded to the longest of them and cut at max_tokens, [CLS] and [SEP] included."""
    encoded = tokenizer(
        [str(text) for text in texts], padding=True, truncation=True, max_length=max_tokens, return_tensors="np"
    )
    return np.asarray(encoded["input_ids"], dtype=np.int64)
