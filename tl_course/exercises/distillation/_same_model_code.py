"""The code of the exercise on a student that is its teacher: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import copy

from torch import nn


def new_student(teacher: nn.Module) -> nn.Module:
    """A student of its teacher's architecture that has everything still to learn.

    Args:
        teacher: linear layers with ReLU between them, trained, frozen and in inference mode; it stays all of that.

    Returns:
        Another model with layers of the same shapes in the same order, newly initialised, all of it trainable, in
        training mode.
    """
    student = copy.deepcopy(teacher)
    for module in student.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    student.train()
    return student.requires_grad_(True)
'''

TORCH_COPY = "copy.deepcopy(teacher)"
TORCH_RESET = """    for module in student.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
"""
PYTORCH_STARTER = PYTORCH.replace(TORCH_COPY, "copy.copy(teacher)").replace(TORCH_RESET, "")

PYTORCH_BUILT = """
from torch import nn


def new_student(teacher):
    layers = []
    for layer in teacher:
        if isinstance(layer, nn.Linear):
            layers.append(nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None))
        else:
            layers.append(type(layer)())
    return nn.Sequential(*layers)
"""

PYTORCH_DRAWN = """
import copy

import torch


def new_student(teacher):
    student = copy.deepcopy(teacher).train()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.requires_grad = True
            parameter.copy_(torch.randn_like(parameter) / parameter.shape[-1] ** 0.5)
    return student
"""

KERAS = '''
import keras


def new_student(teacher: keras.Model) -> keras.Model:
    """A student of its teacher's architecture that has everything still to learn.

    Args:
        teacher: Dense layers, trained and frozen; it stays all of that.

    Returns:
        Another model with layers of the same shapes in the same order, newly initialised, all of it trainable.
    """
    student = keras.models.clone_model(teacher)
    student.trainable = True
    return student
'''

KERAS_COPY = "keras.models.clone_model(teacher)"
KERAS_TRAINABLE = "    student.trainable = True\n"
SHARED = 'keras.Model(teacher.inputs, teacher.outputs, name="student")'
EACH_TRAINABLE = "    for layer in student.layers:\n        layer.trainable = True\n"
KERAS_STARTER = KERAS.replace(KERAS_COPY, SHARED).replace(KERAS_TRAINABLE, EACH_TRAINABLE)

KERAS_CONFIG = """
import keras


def new_student(teacher):
    student = type(teacher).from_config(teacher.get_config())
    for layer in student.layers:
        layer.trainable = True
    return student
"""

KERAS_BUILT = """
import keras
from keras import layers


def new_student(teacher):
    inside = [keras.Input(teacher.input_shape[1:])]
    for number, layer in enumerate(teacher.layers):
        inside.append(layers.Dense(layer.units, activation=layer.activation, name=f"student_{number}"))
    return keras.Sequential(inside)
"""

MESSAGES = {
    "shared": _(
        "it looks like a second model, but its layers are the teacher's own: what one learns, both have learned"
    ),
    "alias": _("this is the teacher under a second name"),
    "copied": _(
        "the student begins with all the teacher knows: the soft loss is 0, and so is its gradient; there is nothing "
        "to learn"
    ),
    "teacher-reset": _("the student is newly initialised, and the teacher has lost what it knew along with it"),
    "still-frozen": _("the student came out frozen like its teacher: no step will change it"),
    "head-only": _("only the last layer is new; the rest of the student is the teacher's copy"),
    "zeros": _("all weights are zero: units that start alike get equal gradients and stay alike"),
    "in-evaluation": _("the student is in inference mode like its teacher"),
    "teacher-unfrozen": _("the teacher can be trained now as well"),
}
TORCH_LAST = "    student.train()\n    return student.requires_grad_(True)\n"
TORCH_EDITS = {
    "alias": ((TORCH_COPY, "teacher"), (TORCH_RESET, ""), (TORCH_LAST, "    return student\n")),
    "copied": ((TORCH_RESET, ""),),
    "teacher-reset": ((TORCH_COPY, "copy.copy(teacher)"),),
    "still-frozen": (("student.requires_grad_(True)", "student"),),
    "head-only": ((TORCH_RESET, "    list(student.children())[-1].reset_parameters()\n"),),
    "zeros": ((TORCH_RESET, "    for weights in student.parameters():\n        nn.init.zeros_(weights)\n"),),
    "in-evaluation": (("    student.train()\n", ""),),
    "teacher-unfrozen": (("    student.train()\n", "    student.train()\n    teacher.requires_grad_(True)\n"),),
}
KERAS_EDITS = {
    "alias": ((KERAS_COPY, "teacher"), (KERAS_TRAINABLE, "")),
    "copied": ((KERAS_TRAINABLE, KERAS_TRAINABLE + "    student.set_weights(teacher.get_weights())\n"),),
    "teacher-reset": (
        (KERAS_TRAINABLE, KERAS_TRAINABLE + "    teacher.set_weights(student.get_weights())\n"),
        ("    return student\n", f"    return {SHARED}\n"),
    ),
    "still-frozen": ((KERAS_TRAINABLE, ""),),
    "head-only": (
        (
            KERAS_TRAINABLE,
            KERAS_TRAINABLE + "    student.set_weights(teacher.get_weights()[:-2] + student.get_weights()[-2:])\n",
        ),
    ),
    "zeros": (
        (KERAS_TRAINABLE, KERAS_TRAINABLE + "    student.set_weights([w * 0 for w in student.get_weights()])\n"),
    ),
    "teacher-unfrozen": ((KERAS_TRAINABLE, KERAS_TRAINABLE + "    teacher.trainable = True\n"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {"shared": Mistake(MESSAGES["shared"], source=starter), **found}
