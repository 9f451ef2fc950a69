"""Data sets as plain NumPy arrays in fixed splits.

    data = load("mnist")
    data.train.x                                        # float32 (N, H, W, C) in [0, 1]
    few = data.train.take(few_shot(data.train.y, per_class=5, seed=0))

`names()` lists the data sets. Importing this module loads no framework.
"""

from tl_course.data.catalogue import load, names
from tl_course.data.dataset import Dataset, Split
from tl_course.data.splits import few_shot

__all__ = ["Dataset", "Split", "few_shot", "load", "names"]
