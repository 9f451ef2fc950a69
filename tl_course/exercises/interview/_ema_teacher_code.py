"""The code of the question on a teacher that averages its student: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def update_teacher(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Move a teacher towards its student, in place, after one of the student's steps (Tarvainen and Valpola, 2017).

    Each parameter becomes decay x the teacher's + (1 - decay) x the student's. Each buffer (BatchNorm's statistics and
    its counter of batches) becomes a copy of the student's.

    Args:
        teacher: of the student's architecture; its parameters may require gradients or not. Its tensors stay the same
            objects, share no memory with the student's, and the update is not part of any graph of gradients.
        student: stays as it is: values, gradients, mode, and which parameters are trained.
        decay: 0 to 1, both included.
    """
    with torch.no_grad():
        for mine, other in zip(teacher.parameters(), student.parameters()):
            mine.mul_(decay).add_(other * (1 - decay))
        for mine, other in zip(teacher.buffers(), student.buffers()):
            mine.copy_(other)
'''

PYTORCH_LERP = """
import torch


@torch.no_grad()
def update_teacher(teacher, student, decay):
    averaged = {name for name, _ in student.named_parameters()}
    theirs = student.state_dict()
    for name, tensor in teacher.state_dict().items():
        if name in averaged:
            tensor.lerp_(theirs[name], 1 - decay)
        else:
            tensor.copy_(theirs[name])
"""

PYTORCH_LOAD = """
def update_teacher(teacher, student, decay):
    state = {name: buffer.detach().clone() for name, buffer in student.named_buffers()}
    old = dict(teacher.named_parameters())
    for name, parameter in student.named_parameters():
        state[name] = (decay * old[name] + (1 - decay) * parameter).detach()
    teacher.load_state_dict(state)
"""

KERAS = '''
import keras


def update_teacher(teacher, student, decay):
    """Move a teacher towards its student, in place, after one of the student's steps (Tarvainen and Valpola, 2017).

    Each parameter becomes decay x the teacher's + (1 - decay) x the student's. Each other weight (the statistics of
    BatchNormalization) becomes a copy of the student's.

    Args:
        teacher: keras.Model of the student's architecture, its weights in the student's order; it may be frozen, and
            stays frozen or not as it came.
        student: keras.Model of which nothing is frozen; it stays as it is.
        decay: 0 to 1, both included.
    """
    parameters = {variable.path for variable in student.trainable_weights}
    for mine, other in zip(teacher.weights, student.weights):
        if other.path in parameters:
            mine.assign(decay * mine + (1 - decay) * other)
        else:
            mine.assign(other)
'''

KERAS_SET_WEIGHTS = """
import numpy as np


def update_teacher(teacher, student, decay):
    trained = [id(weight) for weight in student.trainable_weights]
    values = []
    for weight, old, new in zip(student.weights, teacher.get_weights(), student.get_weights()):
        values.append(np.average([old, new], axis=0, weights=[decay, 1 - decay]) if id(weight) in trained else new)
    teacher.set_weights(values)
"""

KERAS_LAYERS = """
def update_teacher(teacher, student, decay):
    for mine, other in zip(teacher.layers, student.layers):
        trained = {id(weight) for weight in other.trainable_weights}
        for to, source in zip(mine.weights, other.weights):
            share = decay if id(source) in trained else 0.0
            to.assign_sub((1 - share) * (to - source))
"""

MESSAGES = {
    "swapped": _("decay weights the student: the teacher follows every step instead of averaging many"),
    "averages-all": _("the statistics are averaged like parameters: they lag behind, and a counter stops counting"),
    "buffers-forgotten": _("the statistics stay as they are: they do not belong to the teacher's new weights"),
    "copies": _("the student is copied whole: there is no average"),
    "wrong-way": _("the student is changed, and the teacher stays"),
    "no-effect": _("the averages are worked out and given to local names: the teacher's own tensors do not change"),
    "no-old-part": _("the student's part is added to the whole of the teacher: the weights grow with each update"),
    "graph": _("the update is recorded: the teacher hangs on a graph that grows with every step"),
    "shared": _("the teacher takes the student's own tensors: whatever the student does next happens to the teacher"),
    "new-tensors": _("the teacher gets new tensors: what held its old ones, such as an optimiser, holds nothing now"),
    "student-in-evaluation": _(
        "the student is put into evaluation mode and trains on without its Dropout and BatchNorm"
    ),
    "student-frozen": _("the student's parameters no longer require gradients: it stops learning"),
    "loses-gradients": _("the student's gradients are lost"),
    "frozen-list": _("a frozen model has no trainable weights: the loop over the teacher's list ends at once"),
    "unfreezes": _("the teacher is unfrozen on the way, and an optimiser may train it from now on"),
}
AVERAGE, COPY = "mine.mul_(decay).add_(other * (1 - decay))", "            mine.copy_(other)\n"
COPIES = f"        for mine, other in zip(teacher.buffers(), student.buffers()):\n{COPY}"
BLOCK = "    with torch.no_grad():\n"
PYTORCH_EDITS = {
    "swapped": ((AVERAGE, "mine.mul_(1 - decay).add_(other * decay)"),),
    "averages-all": ((COPY, "            mine.copy_(decay * mine + (1 - decay) * other)\n"),),
    "buffers-forgotten": ((COPIES, ""),),
    "copies": ((AVERAGE, "mine.copy_(other)"),),
    "wrong-way": (
        (AVERAGE, "other.mul_(1 - decay).add_(mine * decay)"),
        (COPY, "            other.copy_(mine)\n"),
    ),
    "no-effect": ((AVERAGE, "mine = decay * mine + (1 - decay) * other"),),
    "no-old-part": ((AVERAGE, "mine.add_(other * (1 - decay))"),),
    "graph": ((BLOCK, "    if True:\n"),),
    "shared": ((COPY, "            mine.data = other.data\n"),),
    "new-tensors": (
        (BLOCK, f"    old = [tensor.clone() for tensor in teacher.parameters()]\n    import copy\n\n{BLOCK}"),
        (
            "        for mine, other in zip(teacher.parameters(), student.parameters()):\n",
            "        for name, module in student.named_children():\n"
            "            setattr(teacher, name, copy.deepcopy(module))\n"
            "        for mine, other in zip(teacher.parameters(), old):\n",
        ),
        (AVERAGE, "mine.mul_(1 - decay).add_(other * decay)"),
    ),
    "student-in-evaluation": ((BLOCK, f"    student.eval()\n{BLOCK}"),),
    "student-frozen": ((BLOCK, f"    student.requires_grad_(False)\n{BLOCK}"),),
    "loses-gradients": ((BLOCK, f"    student.zero_grad()\n{BLOCK}"),),
}
KERAS_AVERAGE, CONDITION = "mine.assign(decay * mine + (1 - decay) * other)", "if other.path in parameters:"
PAIRS = "zip(teacher.weights, student.weights)"
KERAS_EDITS = {
    "swapped": ((KERAS_AVERAGE, "mine.assign((1 - decay) * mine + decay * other)"),),
    "averages-all": ((CONDITION, "if True:"),),
    "buffers-forgotten": (("            mine.assign(other)\n", "            pass\n"),),
    "copies": ((KERAS_AVERAGE, "mine.assign(other)"),),
    "wrong-way": (
        (KERAS_AVERAGE, "other.assign(decay * mine + (1 - decay) * other)"),
        ("            mine.assign(other)\n", "            other.assign(mine)\n"),
    ),
    "no-effect": ((KERAS_AVERAGE, "mine = decay * mine + (1 - decay) * other"),),
    "no-old-part": ((KERAS_AVERAGE, "mine.assign_add((1 - decay) * other)"),),
    "frozen-list": ((PAIRS, "zip(teacher.trainable_weights, student.trainable_weights)"),),
    "unfreezes": (("    for mine, other", "    teacher.trainable = True\n    for mine, other"),),
    "student-frozen": (("    for mine, other", "    student.trainable = False\n    for mine, other"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The named wrong answers in a framework."""
    edits = {"pytorch": PYTORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
