"""The code of the exercise on a teacher that takes part: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn
from torch.nn import functional


def distill(
    student: nn.Module, teacher: nn.Module, batches: list[torch.Tensor], lr: float, temperature: float
) -> nn.Module:
    """Train a student on a teacher's soft targets, without labels, with plain SGD, one step per batch.

    Args:
        student: gives logits (n, K); trained in place, in training mode.
        teacher: gives logits (n, K); may be in any mode when it comes. It stays what it is in use.
        batches: inputs (n, D) of each batch.
        lr: learning rate.
        temperature: T > 0; the loss is T squared times KL(teacher ‖ student), a mean over the batch.

    Returns:
        The student.
    """
    teacher.eval()
    student.train()
    optimizer = torch.optim.SGD(student.parameters(), lr=lr)
    for x in batches:
        with torch.no_grad():
            p = torch.softmax(teacher(x) / temperature, dim=1)
        log_q = torch.log_softmax(student(x) / temperature, dim=1)
        optimizer.zero_grad()
        (temperature**2 * functional.kl_div(log_q, p, reduction="batchmean")).backward()
        optimizer.step()
    return student
'''

NO_GRAD = "        with torch.no_grad():\n            p = torch.softmax(teacher(x) / temperature, dim=1)\n"
GRAD = "        p = torch.softmax(teacher(x) / temperature, dim=1)\n"
EVAL, TORCH_TRAIN = "    teacher.eval()\n", "    student.train()\n"
PYTORCH_STARTER = PYTORCH.replace(NO_GRAD, GRAD).replace(EVAL, "    teacher.train()\n")

PYTORCH_FIRST = """
import torch
from torch import nn


def distill(student, teacher, batches, lr, temperature):
    teacher.train(False)
    with torch.no_grad():
        targets = [nn.functional.softmax(teacher(x) / temperature, dim=-1) for x in batches]
    student.train(True)
    for x, p in zip(batches, targets):
        loss = nn.functional.cross_entropy(student(x) / temperature, p) * temperature**2
        parameters = list(student.parameters())
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
                parameter -= lr * gradient
    return student
"""

PYTORCH_FROZEN = """
import torch
from torch.nn import functional


def distill(student, teacher, batches, lr, temperature):
    teacher = teacher.eval().requires_grad_(False)
    optimizer = torch.optim.SGD([*student.train().parameters(), *teacher.parameters()], lr)
    for x in batches:
        log_p, log_q = (functional.log_softmax(m(x) / temperature, dim=1) for m in (teacher, student))
        loss = temperature**2 * functional.kl_div(log_q, log_p, reduction="sum", log_target=True) / len(x)
        student.zero_grad()
        loss.backward()
        optimizer.step()
    return student
"""

KERAS = '''
import keras
import tensorflow as tf
from keras import ops


def distill(student: keras.Model, teacher: keras.Model, batches: list, lr: float, temperature: float) -> keras.Model:
    """Train a student on a teacher's soft targets, without labels, with plain SGD, one step per batch.

    Args:
        student: gives logits (n, K); trained in place, in training mode.
        teacher: gives logits (n, K). It stays what it is in use.
        batches: inputs (n, D) of each batch.
        lr: learning rate.
        temperature: T > 0; the loss is T squared times KL(teacher ‖ student), a mean over the batch.

    Returns:
        The student.
    """
    optimizer = keras.optimizers.SGD(lr)
    variables = student.trainable_variables
    divergence = keras.losses.KLDivergence()
    for x in batches:
        with tf.GradientTape() as tape:
            p = ops.softmax(teacher(x, training=False) / temperature)
            q = ops.softmax(student(x, training=True) / temperature)
            loss = temperature**2 * divergence(p, q)
        optimizer.apply(tape.gradient(loss, variables), variables)
    return student
'''

VARIABLES = "variables = student.trainable_variables\n"
BOTH = "variables = teacher.trainable_variables + student.trainable_variables\n"
KERAS_TEACHER = "teacher(x, training=False)"
KERAS_STARTER = KERAS.replace(VARIABLES, BOTH).replace(KERAS_TEACHER, "teacher(x, training=True)")

KERAS_FIRST = """
import keras
import tensorflow as tf


def distill(student, teacher, batches, lr, temperature):
    targets = [tf.nn.softmax(teacher(x) / temperature) for x in batches]
    for x, p in zip(batches, targets):
        with tf.GradientTape() as tape:
            logits = student(x, training=True) / temperature
            loss = temperature**2 * tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(p, logits))
        for variable, gradient in zip(student.trainable_variables, tape.gradient(loss, student.trainable_variables)):
            variable.assign_sub(lr * gradient)
    return student
"""

KERAS_FROZEN = """
import keras
import tensorflow as tf
from keras import ops


def distill(student, teacher, batches, lr, temperature):
    teacher.trainable = False
    optimizer = keras.optimizers.SGD(learning_rate=lr)
    for x in batches:
        log_p = ops.log_softmax(ops.stop_gradient(teacher(x, training=True)) / temperature)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in student.trainable_variables])
            log_q = ops.log_softmax(student(x, training=True) / temperature)
            loss = temperature**2 * ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1))
        gradients = tape.gradient(loss, [variable.value for variable in student.trainable_variables])
        optimizer.apply_gradients(zip(gradients, student.trainable_variables))
    return student
"""

MESSAGES = {
    "takes-part": _(
        "the teacher behaves like a model in training: its answers depend on the batch, its statistics move, and "
        "gradients are worked out for it"
    ),
    "only-no-grad": _(
        "no gradients reach the teacher now, but its layers are still in training mode: that is another switch"
    ),
    "only-eval": _("the teacher is in inference mode now, but gradients are still worked out for it"),
    "teacher-learns": _("the teacher takes steps as well: it walks towards its student, and the loss falls by itself"),
    "student-in-evaluation": _("the student is in inference mode: its Dropout and BatchNorm would never train"),
    "restored": _("the teacher is put back afterwards, but its targets were those of a model in training"),
    "hard-targets": _("the student gets the teacher's first choice only: what it thinks of the other classes is lost"),
    "accumulates": _("each batch's gradients are added to those of all batches before it"),
    "swapped": _("teacher and student have changed places in the divergence"),
    "nothing-learned": _("the teacher is safe, but the student has not learned either"),
}
SGD = "torch.optim.SGD(student.parameters(), lr=lr)"
P, TORCH_KL = "torch.softmax(teacher(x) / temperature, dim=1)", "functional.kl_div(log_q, p, "
RETURN = "    return student\n"
TORCH_EDITS = {
    "only-no-grad": ((EVAL, "    teacher.train()\n"),),
    "only-eval": ((NO_GRAD, GRAD),),
    "teacher-learns": (
        (NO_GRAD, GRAD),
        (SGD, SGD.replace("student.parameters()", "[*student.parameters(), *teacher.parameters()]")),
    ),
    "student-in-evaluation": ((TORCH_TRAIN, "    student.eval()\n"),),
    "restored": (
        (
            EVAL,
            "    teacher.train()\n    kept = {name: value.clone() for name, value in teacher.state_dict().items()}\n",
        ),
        (RETURN, "    teacher.load_state_dict(kept)\n" + RETURN),
    ),
    "hard-targets": ((P, "functional.one_hot(teacher(x).argmax(dim=1), teacher(x).shape[1]).float()"),),
    "accumulates": (("        optimizer.zero_grad()\n", ""),),
    "swapped": ((TORCH_KL, "functional.kl_div(p.log(), log_q.exp(), "),),
    "nothing-learned": (("        optimizer.step()\n", ""),),
}
KERAS_EDITS = {
    "only-no-grad": ((KERAS_TEACHER, "teacher(x, training=True)"),),
    "teacher-learns": ((VARIABLES, BOTH),),
    "student-in-evaluation": (("student(x, training=True)", "student(x, training=False)"),),
    "restored": (
        (KERAS_TEACHER, "teacher(x, training=True)"),
        ("    for x in batches:\n", "    kept = teacher.get_weights()\n    for x in batches:\n"),
        (RETURN, "    teacher.set_weights(kept)\n" + RETURN),
    ),
    "hard-targets": (
        (
            f"ops.softmax({KERAS_TEACHER} / temperature)",
            f"ops.one_hot(ops.argmax({KERAS_TEACHER}, axis=1), teacher.output_shape[1])",
        ),
    ),
    "swapped": (("divergence(p, q)", "divergence(q, p)"),),
    "nothing-learned": (("        optimizer.apply(", "        list("), ("variables), variables)", "variables))")),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {"takes-part": Mistake(MESSAGES["takes-part"], source=starter), **found}
