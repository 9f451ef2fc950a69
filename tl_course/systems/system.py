"""What every system of the course is: data in a known layout, a backbone, a way to train it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.zoo.pretrained import Framework


@dataclass(frozen=True)
class Training:
    """How a classifier is to be trained.

    Attributes:
        num_epochs: at most so many, of every stage; the best weights on `val` are kept.
        pretrained: whether the backbone has pretrained weights; a random one needs higher rates.
        seed: of the head, the order of the images and their augmentation.
        progress: whether to show a progress bar.
    """

    num_epochs: int
    pretrained: bool
    seed: int
    progress: bool


@dataclass(frozen=True)
class Demonstration:
    """What a system runs on where no data is given.

    Attributes:
        write: writes real images into a folder, in the layout that the system reads.
        image_size, num_epochs: small enough for a minute on one processor core.
        note: what the images are.
    """

    write: Callable[[Path], None]
    image_size: int
    num_epochs: int
    note: str


@dataclass(frozen=True)
class System:
    """One of the documents' systems.

    Attributes:
        name: in kebab-case, as `tl-course run` takes it.
        framework: "pytorch" or "keras".
        documents: numbers of the code listings that this system puts right.
        title: one line.
        backbone: the default one, by its name in the zoo.
        image_size, num_epochs: on a user's own data.
        train: trains a Classifier of the framework on the train and val splits.
        read: reads a folder (path, image_size, seed); the test split of what it returns is used once, at the end.
        demonstration: see there.
        num_classes: the only number of classes it takes; None for any from two.
    """

    name: str
    framework: Framework
    documents: tuple[int, ...]
    title: str
    backbone: str
    image_size: int
    num_epochs: int
    train: Callable[[Any, Dataset, Training], History]
    read: Callable[[Path, int, int], Dataset]
    demonstration: Demonstration
    num_classes: int | None = None
