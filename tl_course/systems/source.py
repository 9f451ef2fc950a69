"""Where a run's images come from: a folder, a data set of the course by name, or the system's demonstration."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from tl_course.data import Dataset, Split, few_shot, image_folder, load, names
from tl_course.data import describe as describe_set
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.system import ImageSystem

SIZED = ("flowers102", "oxford_pets")
"""Data sets of the course whose images are resized as they are read."""

MEMORY_SHARE = 1 / 3
"""Of the free memory, what the images may take: training needs copies of them."""

LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)
"""Share of red, green and blue in brightness (ITU-R BT.601)."""


def read_folder(path: Path, image_size: int, seed: int) -> Dataset:
    """A folder of images, as `data.image_folder` takes it, up to what the memory holds."""
    free = psutil.virtual_memory().available / 2**30
    return image_folder(path, size=image_size, seed=seed, max_gib=MEMORY_SHARE * free)


def read_source(
    system: ImageSystem, data: str | Path | None, image_size: int, seed: int, per_class: int | None
) -> Dataset:
    """The images that a run trains on.

    Args:
        system: whose layout a folder has.
        data: a folder; or, where no folder has that name, one of `image_sets()`; or None for the demonstration.
        image_size: side that image files are resized to.
        seed: of the split, where the data come without one, and of the choice under `per_class`.
        per_class: use only so many training images of every class.

    Raises:
        BadInput: the folder or data set cannot be used, or has a number of classes that the system does not take.
    """
    if data is None:
        with tempfile.TemporaryDirectory(prefix="tl_course_") as folder:
            root = Path(folder) / "images"
            system.demonstration.write(root)
            dataset = system.read(root, image_size, seed)
    elif not Path(data).expanduser().exists() and str(data) in image_sets():
        dataset = load(str(data), **({"size": image_size} if data in SIZED else {}))
    else:
        dataset = system.read(_existing(data), image_size, seed)
    if system.num_classes is not None and dataset.num_classes != system.num_classes:
        raise BadInput(
            _("{count} classes for {name}").format(count=system.num_classes, name=system.name),
            _("{count}: {names}").format(count=dataset.num_classes, names=", ".join(dataset.class_names[:20])),
            _("keep {count} of the folders, or run another system").format(count=system.num_classes),
        )
    if per_class is None:
        return dataset
    train = dataset.train.take(few_shot(dataset.train.y, per_class, seed))
    return replace(dataset, train=train)


def image_sets() -> tuple[str, ...]:
    """The course's own data sets of images; those that need the network are fetched when first used."""
    return tuple(name for name in names() if describe_set(name)["shape"])


def _existing(data: str | Path) -> Path:
    path = Path(data).expanduser()
    if path.exists():
        return path
    raise BadInput(
        _("a folder of images, or a data set out of {names}").format(names=", ".join(image_sets())),
        _("no such folder: {path}").format(path=data),
        _("check the path, or leave --data away for a demonstration"),
    )


def with_channels(dataset: Dataset, channels: int) -> Dataset:
    """The data set with images (N, H, W, channels); see `convert`."""

    def converted(split: Split) -> Split:
        return replace(split, x=convert(split.x, channels))

    val = None if dataset.val is None else converted(dataset.val)
    return replace(dataset, train=converted(dataset.train), test=converted(dataset.test), val=val)


def convert(images: np.ndarray, channels: int) -> np.ndarray:
    """Grey images repeated over three channels, or the brightness (ITU-R 601) of colour images as their only one."""
    if images.shape[-1] == channels:
        return images
    return np.repeat(images, channels, axis=-1) if channels > 1 else images @ LUMA
