"""Listing 65 made right: one function that adapts any of torchvision's classifiers to new classes, in PyTorch.

The head is found whatever its name is (`fc`, `classifier`, `heads` …), and the given model is left as it was; images
are preprocessed one by one to one size, with the weights' own normalisation; accuracy is measured on images that
neither the weights nor the choice of epoch have seen. First the head is trained, then everything at a smaller rate,
which distorts the features less (Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution, ICLR 2022).
"""

from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.demonstration import photos, write_image_folder
from tl_course.systems.source import read_folder
from tl_course.systems.system import Demonstration, ImageSystem, Training

CLASSES = ("brick", "cat", "coffee", "grass", "gravel", "motorcycle")


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """The head alone, then everything."""
    from tl_course.pytorch.finetune import lp_ft

    return lp_ft(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=1e-4 if training.pretrained else 1e-3,
        patience=4,
        seed=training.seed,
        progress=training.progress,
    )


def write(root: Path) -> None:
    """Six photographs in class folders."""
    write_image_folder(photos(CLASSES, 64, {"train": 20, "val": 10, "test": 25}), root)


SYSTEM = ImageSystem(
    name="pytorch-transfer",
    framework="pytorch",
    documents=(65,),
    title="any classifier of torchvision (--backbone NAME): a new head, then everything, on a folder of images",
    backbone="mobilenet_v2",
    image_size=224,
    num_epochs=10,
    train=train,
    read=read_folder,
    demonstration=Demonstration(write, image_size=96, num_epochs=3, note="crops of six photographs"),
)
