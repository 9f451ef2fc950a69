"""Listing 60 made right: a frozen VGG16 under a new head, and then the fine-tuning stage that was promised, in Keras.

The input has a size, the features are averaged over positions (512 numbers, where flattening 224 x 224 images gives
25,088 and a head fifty times larger), and VGG16's own preprocessing is used. The second stage unfreezes the backbone
and compiles anew, without which Keras leaves its weights unmoved, at a rate a hundred times smaller.
"""

from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.demonstration import photos, write_image_folder
from tl_course.systems.source import read_folder
from tl_course.systems.system import Demonstration, ImageSystem, Training

CLASSES = ("cell", "coffee", "page", "rocket")


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """The head alone, then everything."""
    from tl_course.keras.finetune import lp_ft

    return lp_ft(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=1e-5 if training.pretrained else 1e-4,
        batch_size=16,
        patience=4,
        seed=training.seed,
        progress=training.progress,
    )


def write(root: Path) -> None:
    """Four photographs in class folders."""
    write_image_folder(photos(CLASSES, 32, {"train": 30, "val": 10, "test": 25}), root)


SYSTEM = ImageSystem(
    name="keras-vgg16-frozen",
    framework="keras",
    documents=(60,),
    title="a new head on frozen VGG16, then fine-tuning, on a folder of images",
    backbone="vgg16",
    image_size=224,
    num_epochs=10,
    train=train,
    read=read_folder,
    demonstration=Demonstration(write, image_size=32, num_epochs=4, note="crops of four photographs"),
)
