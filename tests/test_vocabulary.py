"""The tokenizer trained on given texts: the same in every run, and reversible."""

import subprocess
import sys

import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.masking import MaskingVocab
from tl_course.vocabulary import encode, train_tokenizer

TEXTS = ["The lowest of the low, and lower still!", "A newer film is newest.", "widest, wider: the wide-open sea"] * 20


def test_specials_come_first_and_texts_come_back():
    tokenizer = train_tokenizer(TEXTS, size=180)
    assert [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id] == [0, 1, 4]
    ids = encode(tokenizer, ["The newest film!", "low"], max_tokens=20)
    assert ids.dtype == np.int64
    assert tokenizer.convert_ids_to_tokens(ids[1])[:3] == ["[CLS]", "▁low", "[SEP]"]
    assert set(ids[1, 3:]) <= {0} and 0 not in ids[0]
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == "the newest film!"
    assert MaskingVocab.of(tokenizer) == MaskingVocab(len(tokenizer), 4, (0, 1, 2, 3, 4))


def test_frequent_words_are_one_piece_and_unknown_characters_unk():
    tokenizer = train_tokenizer(TEXTS, size=180)
    assert tokenizer.tokenize("the film") == ["▁the", "▁film"]
    assert "[UNK]" in tokenizer.tokenize("the 漢") and "[UNK]" not in tokenizer.tokenize("the film")
    assert len(tokenizer.tokenize("widely")) > 1


def test_cut_texts_keep_their_end_mark():
    ids = encode(train_tokenizer(TEXTS, size=180), TEXTS[:3], max_tokens=6)
    assert ids.shape == (3, 6) and (ids[:, 0] == 2).all() and (ids[:, -1] == 3).all()


def test_another_process_learns_the_same_vocabulary():
    code = (
        "import hashlib; from tl_course.vocabulary import train_tokenizer;"
        f"t = train_tokenizer({TEXTS!r}, size=180);"
        "print(hashlib.sha256(t.backend_tokenizer.to_str().encode()).hexdigest())"
    )
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 1


@pytest.mark.parametrize(("texts", "size"), [([], 2000), (TEXTS, 50)])
def test_bad_input_is_refused(texts, size):
    with pytest.raises(BadInput, match="size"):
        train_tokenizer(texts, size)


def test_a_tokenizer_without_a_mask_token_is_refused():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    with pytest.raises(BadInput, match="mask token"):
        MaskingVocab.of(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE())))
