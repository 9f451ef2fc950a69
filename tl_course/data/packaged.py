"""digits and mnist: small real data sets that come with installed Python packages."""

import gzip

import numpy as np

from tl_course import assets
from tl_course.data.dataset import Dataset, Split
from tl_course.data.splits import split_by_hash

DIGIT_NAMES = tuple("0123456789")


def digits() -> Dataset:
    """1,797 handwritten digits, (N, 8, 8, 1) in [0, 1] (17 grey levels), 10 classes of 174 to 183.

    Split 60/10/30 within each class. Writers are not recorded, so one writer may be in two splits.
    """
    return _from_table("digits", side=8, top=16)


def mnist() -> Dataset:
    """5,000 handwritten digits, (N, 28, 28, 1) in [0, 1], 10 classes of exactly 500.

    Split 60/10/30 within each class: 300 train, 50 val and 150 test images a class. This is a slice of MNIST, not
    the official split, and writers are not recorded: compare numbers within this course, not with papers.
    """
    return _from_table("mnist", side=28, top=255)


def _from_table(name: str, side: int, top: int) -> Dataset:
    """A gzipped table: a row is side * side grey values in 0..top followed by the label."""
    with gzip.open(assets.path(name), "rt", encoding="ascii") as file:
        table = np.loadtxt(file.read().splitlines(), delimiter=",", dtype=np.uint8)
    pixels, y = table[:, :-1], table[:, -1].astype(np.int64)
    x = (pixels.astype(np.float32) / top).reshape(-1, side, side, 1)
    train, val, test = (
        Split(x[part], y[part]) for part in split_by_hash([row.tobytes() for row in pixels], strata=y.tolist())
    )
    asset = assets.ASSETS[name]
    return Dataset(name, train, test, val, DIGIT_NAMES, asset.citation, asset.licence)
