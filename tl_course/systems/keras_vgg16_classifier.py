"""Listing 57 made right: VGG16 with a head of its own, all of it trained, in Keras.

The head sits on the backbone's pooled features, not on ImageNet's 1,000 probabilities; the images get VGG16's own
preprocessing; labels are class numbers and the loss takes logits; the backbone learns a hundred times more slowly than
the new head; validation images choose the epoch, and test images are looked at once.

VGG: Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015.
"""

from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.demonstration import photos, write_image_folder
from tl_course.systems.source import read_folder
from tl_course.systems.system import Demonstration, ImageSystem, Training

CLASSES = ("astronaut", "brick", "grass", "retina")


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """Everything at once: the backbone slowly where it is pretrained, at one small rate where it is random."""
    from tl_course.keras.fit import fit

    lr, backbone_lr = (1e-3, 1e-5) if training.pretrained else (1e-4, 1e-4)
    return fit(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=lr,
        backbone_lr=backbone_lr,
        batch_size=16,
        patience=4,
        seed=training.seed,
        progress=training.progress,
    )


def write(root: Path) -> None:
    """Four photographs in class folders."""
    write_image_folder(photos(CLASSES, 32, {"train": 30, "val": 10, "test": 25}), root)


SYSTEM = ImageSystem(
    name="keras-vgg16-classifier",
    framework="keras",
    documents=(57,),
    title="VGG16 with a new head, all of it fine-tuned, on a folder of images",
    backbone="vgg16",
    image_size=224,
    num_epochs=10,
    train=train,
    read=read_folder,
    demonstration=Demonstration(write, image_size=32, num_epochs=4, note="crops of four photographs"),
)
