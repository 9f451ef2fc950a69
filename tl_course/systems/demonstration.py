"""Real images, written in the layout that a user's own have, so that every system runs without any data at hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tl_course.data import Dataset, Split, load

Counts = dict[str, int]


def photos(classes: Sequence[str], size: int, counts: Counts) -> Dataset:
    """Crops of these photographs only, {"train": …, "val": …, "test": …} of each; no pixel is in two splits."""
    every = load("photos", size=size, per_photo=counts)
    kept = np.array([every.class_names.index(name) for name in sorted(classes)])
    parts = {name: _only(split, kept) for name, split in every.splits.items()}
    return Dataset(
        every.name, parts["train"], parts["test"], parts["val"], tuple(sorted(classes)), every.source, every.licence
    )


def write_image_folder(dataset: Dataset, root: Path) -> None:
    """Write images (N, H, W, 3) in [0, 1] as root/SPLIT/CLASS/NUMBER.png, the layout `data.image_folder` reads."""
    for part, split in dataset.splits.items():
        for number, (image, label) in enumerate(zip(split.x, split.y, strict=True)):
            _save(image, root / part / dataset.class_names[label] / f"{number:05d}.png")


def write_images(images: np.ndarray, root: Path) -> None:
    """Write images (N, H, W, 3) in [0, 1] as root/NUMBER.png: no folder tells a class."""
    for number, image in enumerate(images):
        _save(image, root / f"{number:05d}.png")


def _save(image: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(file)


def _only(split: Split, classes: np.ndarray) -> Split:
    """The examples of these classes, numbered anew in their order."""
    chosen = split.take(np.flatnonzero(np.isin(split.y, classes)))
    return Split(chosen.x, np.searchsorted(classes, chosen.y).astype(np.int64))
