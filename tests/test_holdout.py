"""Validation data: the set's own, or a share of each class; never the test split."""

import numpy as np
import pytest

from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.holdout import train_and_val


def dataset(counts: tuple[int, ...], val: Split | None = None) -> Dataset:
    """So many examples of each class; x is the example's number, and the test split may not be touched."""
    y = np.repeat(np.arange(len(counts)), counts)
    train = Split(np.arange(len(y)), y)
    return Dataset("own", train, None, val, tuple("abc"[: len(counts)]), "", "")  # pyright: ignore[reportArgumentType]


def test_every_class_gives_its_share_and_no_example_is_in_both() -> None:
    train, val = train_and_val(dataset((10, 20, 5)), val_fraction=0.2, seed=3)
    assert np.bincount(val.y).tolist() == [2, 4, 1] and np.bincount(train.y).tolist() == [8, 16, 4]
    assert sorted([*train.x, *val.x]) == list(range(35))


def test_the_seed_decides_and_repeats() -> None:
    first, again, other = (train_and_val(dataset((20, 20)), seed=seed)[1].x.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_its_own_validation_split_is_used_and_training_stays_whole() -> None:
    own = Split(np.array([99]), np.array([0]))
    data = dataset((4, 4), own)
    train, val = train_and_val(data)
    assert train is data.train and val is own


def test_few_examples() -> None:
    train, val = train_and_val(dataset((2, 1, 3)), val_fraction=0.9)
    assert np.bincount(train.y).tolist() == [1, 1, 1] and np.bincount(val.y, minlength=3).tolist() == [1, 0, 2]
    with pytest.raises(BadInput, match="no two of a class"):
        train_and_val(dataset((1, 1, 1)))
    with pytest.raises(BadInput, match="training examples"):
        train_and_val(dataset((0,)))
    with pytest.raises(BadInput, match="val_fraction between 0 and 1"):
        train_and_val(dataset((5, 5)), val_fraction=1.0)
