"""The one type that every data set comes as: plain NumPy arrays in named splits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl_course.errors import BadInput
from tl_course.i18n import _


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        x: images as float32 of shape (N, H, W, C) in [0, 1], or texts as an array of str of shape (N,).
        y: class indices, int64 of shape (N,).
        extras: further arrays of length N, by name (sentiment has "rating" and "document").
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {"x": len(self.x), "y": len(self.y)} | {name: len(values) for name, values in self.extras.items()}
        if len(set(lengths.values())) > 1:
            raise BadInput(
                _("arrays of one length in a split"), str(lengths), _("give every array one entry an example")
            )

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: NDArray[np.integer[Any]]) -> "Split":
        """The examples at these positions (or under this mask), in this order, as a new split.

        Pairs with few_shot: `data.train.take(few_shot(data.train.y, per_class=5, seed=0))`.
        """
        extras = {name: values[indices] for name, values in self.extras.items()}
        return Split(self.x[indices], self.y[indices], extras)


@dataclass(frozen=True)
class Dataset:
    """A data set in fixed splits. `val` is for choosing settings; `test` is for the number you report.

    Attributes:
        name: as in `tl_course.data.names()`, or the name of the user's own folder or table.
        train, val, test: no example is in two of them. `val` is None where a data set has none.
        class_names: `class_names[y[i]]` names the class of example i.
        source: where the data come from, with the paper.
        licence: under which terms they may be used.
        notes: what was found and done on the way, for people to read (see `read_table`).
    """

    name: str
    train: Split
    test: Split
    val: Split | None
    class_names: tuple[str, ...]
    source: str
    licence: str
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that exist, by name, in the order train, val, test."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}
