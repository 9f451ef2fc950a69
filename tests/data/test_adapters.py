"""Splits as torch and TensorFlow batches: same numbers, right layout, same order for the same seed."""

import numpy as np
import pytest

from tl_course.data import Split, load, to_tf, to_torch
from tl_course.errors import BadInput


def part() -> Split:
    rng = np.random.default_rng(0)
    return Split(rng.random((10, 4, 6, 3), dtype=np.float32), np.arange(10, dtype=np.int64))


def test_to_torch_gives_channels_first_batches() -> None:
    import torch

    split = part()
    batches = list(to_torch(split, batch_size=4))
    assert [tuple(x.shape) for x, _y in batches] == [(4, 3, 4, 6), (4, 3, 4, 6), (2, 3, 4, 6)]
    assert batches[0][0].dtype == torch.float32 and batches[0][1].dtype == torch.int64
    assert np.array_equal(torch.cat([x for x, _y in batches]).permute(0, 2, 3, 1).numpy(), split.x)
    features = Split(np.ones((3, 5), np.float32), np.zeros(3, np.int64))
    assert next(iter(to_torch(features)))[0].shape == (3, 5)


def test_to_torch_order_depends_on_the_seed_alone() -> None:
    import torch

    def orders(seed: int) -> list[list[int]]:
        loader = to_torch(part(), batch_size=3, shuffle=True, seed=seed)
        torch.manual_seed(torch.seed() % 1000)
        return [torch.cat([y for _x, y in loader]).tolist() for _epoch in range(2)]

    first, second = orders(1)
    assert orders(1) == [first, second] and first != second and orders(2)[0] != first
    assert sorted(first) == list(range(10))
    loader = to_torch(part(), batch_size=3, shuffle=True)
    assert all(np.allclose(x.permute(0, 2, 3, 1).numpy(), part().x[y]) for x, y in loader)


def test_to_torch_leaves_the_split_alone() -> None:
    split = part()
    before = split.x.copy()
    for x, _y in to_torch(split):
        x.zero_()
    assert np.array_equal(split.x, before)


def test_to_tf_gives_channels_last_batches() -> None:
    split = part()
    batches = list(to_tf(split, batch_size=4).as_numpy_iterator())
    assert [x.shape for x, _y in batches] == [(4, 4, 6, 3), (4, 4, 6, 3), (2, 4, 6, 3)]
    assert batches[0][0].dtype == np.float32 and batches[0][1].dtype == np.int64
    assert np.array_equal(np.concatenate([x for x, _y in batches]), split.x)


def test_to_tf_order_depends_on_the_seed() -> None:
    def orders(seed: int) -> list[list[int]]:
        data = to_tf(part(), batch_size=3, shuffle=True, seed=seed)
        return [np.concatenate([y for _x, y in data.as_numpy_iterator()]).tolist() for _epoch in range(2)]

    first, second = orders(1)
    assert orders(1) == [first, second] and first != second and orders(2)[0] != first
    assert sorted(first) == list(range(10))


@pytest.mark.parametrize("adapter", [to_torch, to_tf])
def test_texts_and_bad_batch_sizes_are_named(adapter: object) -> None:
    assert callable(adapter)
    with pytest.raises(BadInput, match="tokenise them"):
        adapter(load("sentiment").val)
    with pytest.raises(BadInput, match="batch_size as an integer of at least 1"):
        adapter(part(), batch_size=0)
