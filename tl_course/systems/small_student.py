"""The student of a system for images: a small convolutional network, at most a tenth of its teacher."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.building import library
from tl_course.systems.comparison import framework_of, num_parameters
from tl_course.systems.system import Distillation

SHARE = 10
"""How many times more parameters the teacher has to have."""

LARGEST_SIDE = 64
"""Images are resized to at most this side for the student."""

WIDTHS = (16, 8, 4)
"""Widths of its first layer, the widest that is small enough being taken."""


def plan(write_unlabelled: Callable[[Path], None]) -> Distillation:
    """How it learns, from any teacher.

    Args:
        write_unlabelled: writes the demonstration's images without classes to a folder.
    """
    return Distillation(
        small_student,
        num_epochs=60,
        demonstration_epochs=12,
        write_unlabelled=write_unlabelled,
        recipe={"lr": 3e-3, "batch_size": 32, "patience": 15},
        temperature=4.0,
        alpha=0.9,
    )


def small_student(teacher: Any, seed: int) -> Any:
    """A new convolutional classifier with random weights, of the teacher's framework, classes and channels.

    Raises:
        BadInput: the teacher is so small that no width gives a tenth of its parameters.
    """
    students, backbone = library(framework_of(teacher), "students"), teacher.backbone
    side = min(backbone.image_size, LARGEST_SIDE)
    most = num_parameters(teacher) // SHARE
    for width in WIDTHS:
        student = students.small_cnn(
            teacher.class_names, channels=backbone.channels, image_size=side, width=width, seed=seed
        )
        if num_parameters(student) <= most:
            return student
    raise BadInput(
        _("a teacher with {share} times the parameters of the smallest student").format(share=SHARE),
        _("{name} with {count:,}").format(name=backbone.name, count=num_parameters(teacher)),
        _("pass a larger --backbone"),
    )
