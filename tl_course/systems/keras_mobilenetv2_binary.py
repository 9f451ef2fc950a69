"""Listing 61 made right: two classes, augmented images, a frozen MobileNetV2 and its fine-tuning, saved, in Keras.

The images are normalised as the backbone's weights expect, by the saved model itself, so training and prediction
cannot differ; augmentation touches training images only; there are validation images; two logits and a softmax say
the same as one logit and a sigmoid; BatchNorm keeps its statistics while the backbone is fine-tuned.

MobileNetV2: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.
"""

from pathlib import Path
from typing import Any

from tl_course.data import Dataset
from tl_course.history import History
from tl_course.systems.demonstration import photos, write_image_folder
from tl_course.systems.source import read_folder
from tl_course.systems.system import Demonstration, ImageSystem, Training

CLASSES = ("motorcycle", "retina")


def train(classifier: Any, dataset: Dataset, training: Training) -> History:
    """The head alone, then everything, on images that are flipped, shifted, turned and scaled at random."""
    from tl_course.keras.finetune import lp_ft

    return lp_ft(
        classifier,
        dataset,
        num_epochs=training.num_epochs,
        lr=1e-4 if training.pretrained else 1e-3,
        batch_size=16,
        augment="photo",
        patience=4,
        seed=training.seed,
        progress=training.progress,
    )


def write(root: Path) -> None:
    """Two photographs in class folders."""
    write_image_folder(photos(CLASSES, 64, {"train": 40, "val": 15, "test": 50}), root)


SYSTEM = ImageSystem(
    name="keras-mobilenetv2-binary",
    framework="keras",
    documents=(61,),
    title="one of two classes with MobileNetV2 and augmentation, on a folder of images",
    backbone="mobilenet_v2",
    image_size=224,
    num_epochs=10,
    train=train,
    read=read_folder,
    demonstration=Demonstration(write, image_size=64, num_epochs=3, note="crops of two photographs"),
    num_classes=2,
)
