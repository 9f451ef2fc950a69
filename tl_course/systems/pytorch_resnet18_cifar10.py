"""Listing 70 made right: ResNet-18 on CIFAR-10, with its accuracy on the makers' test images, in PyTorch.

The new head takes 512 features; the images are normalised with ImageNet's mean and standard deviation, and enlarged,
as 32 x 32 pixels shrink to a single position in ResNet-18's last stage; the model is evaluated in evaluation mode;
images are flipped and cropped at random; validation images are held out of the training batches.

CIFAR-10: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems import cifar
from tl_course.systems.demonstration import photos
from tl_course.systems.system import Demonstration, ImageSystem, Training

CLASSES = ("astronaut", "brick", "cat", "cell", "coffee", "galaxies", "grass", "page", "retina", "rocket")


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """Everything at once, the pretrained backbone at a tenth of the head's rate."""
    from tl_course.pytorch.fit import fit

    return fit(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=1e-3,
        backbone_lr=1e-4 if training.pretrained else 1e-3,
        augment="photo",
        patience=4,
        seed=training.seed,
        progress=training.progress,
    )


def read(path: Path, image_size: int, seed: int) -> Dataset:
    """The images at their own 32 x 32 pixels: the classifier enlarges them batch by batch. The split is fixed."""
    return cifar.read(path)


def write(root: Path) -> None:
    """Ten photographs, at CIFAR-10's size and in its layout."""
    cifar.write(photos(CLASSES, cifar.SIDE, {"train": 40, "val": 1, "test": 20}), root)


SYSTEM = ImageSystem(
    name="pytorch-resnet18-cifar10",
    framework="pytorch",
    documents=(70,),
    title="ResNet-18 fine-tuned on CIFAR-10, with test accuracy",
    backbone="resnet18",
    image_size=128,
    num_epochs=10,
    train=train,
    read=read,
    demonstration=Demonstration(
        write, image_size=64, num_epochs=4, note="crops of ten photographs in CIFAR-10's layout, not CIFAR-10 itself"
    ),
)
