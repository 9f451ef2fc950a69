"""Listing 64 made right: a small network learns from a fine-tuned MobileNetV2, on a folder of images, in PyTorch.

The loss compares log-probabilities of the student with probabilities of the teacher, both softened by a temperature
whose square scales the loss, summed over the classes and averaged over the images: raw logits where PyTorch's
divergence takes log-probabilities give NaN or nonsense, and its plain mean divides by the number of classes as well.
The teacher is fine-tuned first, in evaluation mode and without gradient; the labels keep their share. Whether the
teacher helped is measured: the same student is trained on the labels alone, and accuracy is that of test images.

Hinton, Vinyals & Dean, Distilling the Knowledge in a Neural Network, 2015; one view of an image for teacher and
student: Beyer et al., Knowledge Distillation: A Good Teacher Is Patient and Consistent, CVPR 2022.
"""

from pathlib import Path

from tl_course.systems import small_student
from tl_course.systems.demonstration import photos, write_image_folder, write_images
from tl_course.systems.pytorch_transfer import train
from tl_course.systems.source import read_folder
from tl_course.systems.system import Demonstration, ImageSystem

CLASSES = ("brick", "cat", "coffee", "grass", "gravel", "motorcycle")


def write(root: Path) -> None:
    """Six photographs in class folders."""
    write_image_folder(photos(CLASSES, 64, {"train": 20, "val": 10, "test": 25}), root)


def write_unlabelled(root: Path) -> None:
    """More of the same photographs, without their names; the pixels are those that training may see."""
    write_images(photos(CLASSES, 64, {"train": 80, "val": 1, "test": 1}).train.x, root)


SYSTEM = ImageSystem(
    name="distill",
    framework="pytorch",
    documents=(64,),
    title="a small CNN that learns from a fine-tuned MobileNetV2, on a folder of images",
    backbone="mobilenet_v2",
    image_size=224,
    num_epochs=10,
    train=train,
    read=read_folder,
    demonstration=Demonstration(write, image_size=64, num_epochs=3, note="crops of six photographs"),
    distillation=small_student.plan(write_unlabelled),
)
