"""Fixed splits and few-shot subsets that are the same on every machine and with every version of NumPy."""

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tl_course.errors import BadInput
from tl_course.i18n import _

FRACTIONS = (0.6, 0.1, 0.3)
"""Share of train, val and test wherever a data set comes without an official split."""

Indices = NDArray[np.int64]


def split_by_hash(
    keys: Sequence[str | bytes],
    strata: Iterable[Hashable] | None = None,
    fractions: tuple[float, float, float] = FRACTIONS,
    salt: str = "",
) -> tuple[Indices, Indices, Indices]:
    """Split examples by the SHA-256 of their keys: nothing is drawn at random, so nothing can drift.

    Examples of the same key (same image, same document) always land in the same split. Keys are taken in the
    order of their hashes: the first go to test until it holds its share, the next to val, the rest to train.
    The shares are therefore exact when keys are unique and overshoot by less than one group otherwise.

    Args:
        keys: one for each example.
        strata: one for each example; every stratum is split on its own (pass the labels to balance classes).
            A key must not occur in two strata.
        fractions: shares of train, val and test; they sum to 1.
        salt: another salt gives another split.

    Returns:
        Sorted positions of the train, val and test examples.
    """
    groups: dict[Hashable, dict[str | bytes, list[int]]] = {}
    labels = [None] * len(keys) if strata is None else strata
    for position, (key, stratum) in enumerate(zip(keys, labels, strict=True)):
        groups.setdefault(stratum, {}).setdefault(key, []).append(position)
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    for by_key in groups.values():
        total = sum(map(len, by_key.values()))
        taken = 0
        for key in sorted(by_key, key=lambda k: _digest(k, salt)):
            if taken < round(fractions[2] * total):
                test += by_key[key]
            elif taken < round((fractions[1] + fractions[2]) * total):
                val += by_key[key]
            else:
                train += by_key[key]
            taken += len(by_key[key])
    return _sorted(train), _sorted(val), _sorted(test)


def few_shot(y: ArrayLike, per_class: int, seed: int = 0) -> Indices:
    """Positions of a balanced subset: `per_class` examples of every class in `y`.

    The order is round by round (one example of each class, then a second of each …), and the draws are nested:
    with the same seed, the subset for 5 a class begins with the subset for 1 a class. Curves over the number of
    labels then differ by added labels only. The same arguments give the same positions with every NumPy version.

    Args:
        y: class indices, integers of shape (N,), none negative.
        per_class: examples of each class, at least 1.
        seed: chooses the subset, at least 0.

    Returns:
        int64 of shape (per_class * number of classes in y,).

    Raises:
        BadInput: `y` is not a vector of class indices, or some class has fewer than `per_class` examples.
    """
    labels = _class_indices(y)
    for name, value, least in (("per_class", per_class, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise BadInput(
                _("{name} as an integer of at least {least}").format(name=name, least=least),
                repr(value),
                _("pass for example {name}=5").format(name=name),
            )
    classes, counts = np.unique(labels, return_counts=True)
    short = [f"{label}: {count}" for label, count in zip(classes, counts, strict=True) if count < per_class]
    if short:
        raise BadInput(
            _("at least per_class={per_class} examples of every class").format(per_class=per_class),
            _("too few in (class: examples) {short}").format(short=", ".join(short)),
            _("use per_class={most} or less, or a larger split").format(most=counts.min()),
        )
    columns = [_draw(np.flatnonzero(labels == label), per_class, seed, int(label)) for label in classes]
    return np.stack(columns, axis=1).ravel().astype(np.int64)


def _draw(members: NDArray[Any], per_class: int, seed: int, label: int) -> NDArray[Any]:
    # RandomState's streams are frozen by NumPy's policy (NEP 19); those of Generator may change between versions.
    frozen = np.random.RandomState(np.random.MT19937(np.random.SeedSequence((int(seed), label))))
    return frozen.permutation(members)[:per_class]


def _class_indices(y: ArrayLike) -> NDArray[Any]:
    labels = np.asarray(y)
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise BadInput(
            _("y as class indices: non-negative integers of shape (N,)"),
            _("dtype {dtype}, shape {shape}").format(dtype=labels.dtype, shape=labels.shape),
            _("pass the y of a split, for example load('mnist').train.y"),
        )
    return labels


def _digest(key: str | bytes, salt: str) -> bytes:
    raw = key.encode() if isinstance(key, str) else key
    return hashlib.sha256(salt.encode() + b"\0" + raw).digest()


def _sorted(positions: list[int]) -> Indices:
    return np.array(sorted(positions), dtype=np.int64)
