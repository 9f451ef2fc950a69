"""Listing 59 made right: ResNet-18 on a folder of images, in PyTorch.

Images of any size are brought to one, then normalised as the weights expect; there are splits for training, validation
and test; the model is put into its training and evaluation modes; the loss is averaged over the epoch.

ResNet: He, Zhang, Ren & Sun, Deep Residual Learning for Image Recognition, CVPR 2016.
"""

from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.demonstration import photos, write_image_folder
from tl_course.systems.source import read_folder
from tl_course.systems.system import Demonstration, ImageSystem, Training

CLASSES = ("astronaut", "brick", "cat", "coffee", "grass", "retina")


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


def write(root: Path) -> None:
    """Six photographs in class folders."""
    write_image_folder(photos(CLASSES, 64, {"train": 40, "val": 10, "test": 25}), root)


SYSTEM = ImageSystem(
    name="pytorch-resnet18-folder",
    framework="pytorch",
    documents=(59,),
    title="ResNet-18 fine-tuned on a folder of images",
    backbone="resnet18",
    image_size=224,
    num_epochs=10,
    train=train,
    read=read_folder,
    demonstration=Demonstration(write, image_size=64, num_epochs=6, note="crops of six photographs"),
)
