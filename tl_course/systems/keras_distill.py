"""Listing 58 made right: a small network learns from a VGG16, on a folder of images, in Keras.

The teacher has the head of the task, not ImageNet's 1,000 classes, is trained before it teaches, and is called: its
logits come with every batch of the student's own training step, where a loss that nobody computes ends in an error and
one in which the student does not occur gives it no gradient. Logits are logits, softened by a temperature on both
sides; the labels enter once, in the place of the truth. And the student is small: hundreds of times smaller, not
dozens of millions of parameters in a layer on flattened pixels.

VGG: Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015; distillation:
Hinton, Vinyals & Dean, Distilling the Knowledge in a Neural Network, 2015.
"""

from pathlib import Path

from tl_course.systems import small_student
from tl_course.systems.demonstration import photos, write_image_folder, write_images
from tl_course.systems.keras_vgg16_classifier import train
from tl_course.systems.source import read_folder
from tl_course.systems.system import Demonstration, ImageSystem

CLASSES = ("astronaut", "brick", "grass", "retina")


def write(root: Path) -> None:
    """Four photographs in class folders."""
    write_image_folder(photos(CLASSES, 32, {"train": 30, "val": 10, "test": 50}), root)


def write_unlabelled(root: Path) -> None:
    """More of the same photographs, without their names; the pixels are those that training may see."""
    write_images(photos(CLASSES, 32, {"train": 90, "val": 1, "test": 1}).train.x, root)


SYSTEM = ImageSystem(
    name="keras-distill",
    framework="keras",
    documents=(58,),
    title="a small CNN that learns from a fine-tuned VGG16, on a folder of images",
    backbone="vgg16",
    image_size=224,
    num_epochs=10,
    train=train,
    read=read_folder,
    demonstration=Demonstration(write, image_size=32, num_epochs=4, note="crops of four photographs"),
    distillation=small_student.plan(write_unlabelled),
)
