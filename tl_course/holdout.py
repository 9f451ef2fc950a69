"""Validation images that are never test images: the set's own, or held out from its training images."""

import numpy as np

from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.i18n import _

VAL_FRACTION = 0.2
"""Share of the training images that is held out where a data set has no validation split."""


def train_and_val(dataset: Dataset, val_fraction: float = VAL_FRACTION, seed: int = 0) -> tuple[Split, Split]:
    """What to train on and what to validate on. The test split is not looked at.

    Args:
        dataset: its `val` is used where it has one, and `train` then stays whole.
        val_fraction: otherwise this share of each class in `train` is held out, at least one example of every class
            that has two.
        seed: chooses the examples that are held out.

    Returns:
        (train, val).

    Raises:
        BadInput: nothing to train on, a fraction outside (0, 1), or too few examples to hold any out.
    """
    if len(dataset.train) == 0:
        raise BadInput(_("training examples"), _("an empty split"), _("check the indices you selected with"))
    if dataset.val is not None and len(dataset.val):
        return dataset.train, dataset.val
    if not 0 < val_fraction < 1:
        raise BadInput(_("val_fraction between 0 and 1"), str(val_fraction), _("0.2 holds out a fifth"))
    held_out = _draw(dataset.train.y, val_fraction, seed)
    if not held_out.any():
        raise BadInput(
            _("two examples of some class, to hold one out for validation"),
            _("{count} examples, no two of a class").format(count=len(dataset.train)),
            _("give the data set a val split, or take more examples of each class"),
        )
    return dataset.train.take(np.flatnonzero(~held_out)), dataset.train.take(np.flatnonzero(held_out))


def _draw(y: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Flags (N,) of the examples to hold out, the same share of every class."""
    held_out = np.zeros(len(y), dtype=bool)
    frozen = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))  # never changes (NEP 19)
    for label in np.unique(y):
        members = frozen.permutation(np.flatnonzero(y == label))
        count = 0 if len(members) < 2 else min(len(members) - 1, max(1, round(fraction * len(members))))
        held_out[members[:count]] = True
    return held_out
