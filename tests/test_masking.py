"""Masking for masked language models: BERT's shares, and what is never touched."""

import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.masking import IGNORED, MaskingVocab, mask_tokens

PAD, UNK, CLS, SEP, MASK = range(5)
VOCAB = MaskingVocab(size=200, mask_id=MASK, special_ids=(PAD, UNK, CLS, SEP, MASK))


def texts(count=400, length=30, seed=0):
    """Ids (count, length) of texts of 1 to length - 2 tokens between [CLS] and [SEP], padded."""
    rng = np.random.default_rng(seed)
    ids = np.full((count, length), PAD)
    for row in ids:
        number = rng.integers(1, length - 1)
        row[0], row[1 : number + 1], row[number + 1] = CLS, rng.integers(5, 200, size=number), SEP
    return ids


def test_shares_are_berts():
    ids = texts(2000)
    inputs, labels = mask_tokens(ids, VOCAB, rng=np.random.default_rng(1))
    chosen, ordinary = labels != IGNORED, ids >= 5
    assert chosen[ordinary & (ordinary.sum(1) > 20)[:, None]].sum() / ordinary[ordinary.sum(1) > 20].sum() == (
        pytest.approx(0.15, abs=0.01)
    )
    now = inputs[chosen]
    assert (now == MASK).mean() == pytest.approx(0.8, abs=0.02)
    assert (now == ids[chosen]).mean() == pytest.approx(0.1, abs=0.02)
    swapped = now[(now != MASK) & (now != ids[chosen])]
    assert swapped.size / now.size == pytest.approx(0.1, abs=0.02)
    assert swapped.min() >= 5 and np.unique(swapped).size > 150  # any ordinary token, never a special one


def test_labels_hold_the_truth_and_everything_else_stays():
    ids = texts()
    before = ids.copy()
    inputs, labels = mask_tokens(ids, VOCAB, rng=np.random.default_rng(0))
    chosen = labels != IGNORED
    assert (ids == before).all()
    assert (labels[chosen] == ids[chosen]).all() and (labels[~chosen] == -100).all()
    assert (inputs[~chosen] == ids[~chosen]).all()
    assert (ids[chosen] >= 5).all()
    assert chosen.any(axis=1).all()


def test_a_text_of_specials_alone_has_nothing_to_restore():
    inputs, labels = mask_tokens(np.array([[CLS, SEP, PAD]]), VOCAB, rate=1.0, rng=np.random.default_rng(0))
    assert inputs.tolist() == [[CLS, SEP, PAD]] and (labels == IGNORED).all()


def test_the_one_token_of_a_short_text_varies():
    ids = np.tile(np.array([[CLS, 10, 11, 12, SEP]]), (300, 1))
    labels = mask_tokens(ids, VOCAB, rate=1e-9, rng=np.random.default_rng(0))[1]
    assert ((labels != IGNORED).sum(axis=1) == 1).all()
    assert set(labels[labels != IGNORED]) == {10, 11, 12}


def test_the_generator_decides():
    first, again, other = (mask_tokens(texts(), VOCAB, rng=np.random.default_rng(seed))[0] for seed in (3, 3, 4))
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(
    ("ids", "rate", "message"),
    [
        (np.array([5, 6]), 0.15, r"\(N, L\)"),
        (np.array([[0.5]]), 0.15, "float64"),
        (np.array([[5, 200]]), 0.15, "0 to 199"),
        (np.array([[5, -1]]), 0.15, "-1 to 5"),
        (np.array([[5, 6]]), 0.0, "0.15"),
        (np.array([[5, 6]]), 1.5, "rate"),
    ],
)
def test_bad_input_is_refused(ids, rate, message):
    with pytest.raises(BadInput, match=message):
        mask_tokens(ids, VOCAB, rate, rng=np.random.default_rng(0))
