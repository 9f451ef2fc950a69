"""Data sets as plain NumPy arrays in fixed splits, and adapters to PyTorch and TensorFlow.

    data = load("mnist")
    data.train.x                                         # float32 (N, H, W, C) in [0, 1]
    few = data.train.take(few_shot(data.train.y, per_class=5, seed=0))
    loader = to_torch(few, batch_size=16, shuffle=True)  # torch DataLoader, images (N, C, H, W)
    batches = to_tf(few, batch_size=16, shuffle=True)    # tf.data.Dataset, images (N, H, W, C)
    mine = image_folder("my_images", size=64)            # one folder a class
    mine = read_table("mine.csv", text="review", label="stars")

`names()` lists the data sets, `describe(name)` says what one holds. Importing this module loads no framework.
"""

from tl_course.data.adapters import to_tf, to_torch
from tl_course.data.catalogue import describe, load, names
from tl_course.data.dataset import Dataset, Split
from tl_course.data.folder import image_folder
from tl_course.data.splits import few_shot
from tl_course.data.table import read_table

__all__ = [
    "Dataset",
    "Split",
    "describe",
    "few_shot",
    "image_folder",
    "load",
    "names",
    "read_table",
    "to_tf",
    "to_torch",
]
