"""Batches of texts: everything once, like lengths together, padded to the longest and no further."""

import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.text_batches import length_buckets, pad, padding_share, token_buckets

LENGTHS = np.random.default_rng(0).integers(3, 60, 1003)


@pytest.mark.parametrize("rng", [None, 1])
@pytest.mark.parametrize(("count", "size"), [(1003, 16), (1, 8), (9, 4), (8, 4), (3, 1)])
def test_every_text_is_in_one_batch(count: int, size: int, rng: int | None) -> None:
    drawn = None if rng is None else np.random.default_rng(rng)
    batches = length_buckets(LENGTHS[:count], size, drawn)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert all(len(batch) <= size + 1 for batch in batches) and batches[0].dtype == np.int64


def test_prediction_runs_longest_first() -> None:
    order = np.concatenate(length_buckets(LENGTHS, 16))
    assert (np.diff(LENGTHS[order]) <= 0).all()


def test_training_saves_padding_and_stays_random() -> None:
    shuffled = np.array_split(np.random.default_rng(2).permutation(1003), 62)
    rng = np.random.default_rng(3)
    first, second = length_buckets(LENGTHS, 16, rng), length_buckets(LENGTHS, 16, rng)
    assert padding_share(LENGTHS, first) < 0.05 < 0.4 < padding_share(LENGTHS, shuffled)
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    again = length_buckets(LENGTHS, 16, np.random.default_rng(3))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]
    means = np.array([LENGTHS[batch].mean() for batch in first])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4  # long batches come at any time


def test_texts_of_one_length_meet_in_changing_company() -> None:
    same = np.full(64, 7)
    rng = np.random.default_rng(0)
    runs = [{frozenset(batch.tolist()) for batch in length_buckets(same, 8, rng)} for _ in range(2)]
    assert not runs[0] & runs[1]


def test_padding_goes_to_the_longest_of_the_batch() -> None:
    ids, mask = pad([[5, 6, 7], [8]], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
    ids, mask = pad([[], [3]], pad_id=0)
    assert ids.tolist() == [[0], [3]] and mask.tolist() == [[0], [1]]


def test_share_of_padding() -> None:
    assert padding_share([1, 3, 4], [np.array([0, 1]), np.array([2])]) == pytest.approx(0.2)


def test_nothing_to_batch_is_refused() -> None:
    for lengths, size in (([], 4), ([3], 0), ([[3]], 2)):
        with pytest.raises(BadInput, match="at least one text"):
            length_buckets(lengths, size)


def test_batches_of_like_numbers_of_tokens_hardly_pad() -> None:
    batches = token_buckets(LENGTHS, 32, 512)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1003))
    assert (np.diff(LENGTHS[np.concatenate(batches)]) <= 0).all()
    positions = [len(batch) * LENGTHS[batch].max() for batch in batches]
    assert max(positions) <= 512 and max(len(batch) for batch in batches) == 32
    assert padding_share(LENGTHS, batches) < 0.03
    assert [len(batch) for batch in token_buckets([600, 600, 5], 8, 512)] == [1, 1, 1]
    with pytest.raises(BadInput, match="positions of at least 1"):
        token_buckets([3], 4, 0)
