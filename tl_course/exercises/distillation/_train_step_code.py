"""The code of the exercise on one step of distillation: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn
from torch.nn import functional


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    """The distillation loss, given."""
    log_q = torch.log_softmax(student_logits / temperature, dim=1)
    p = torch.softmax(teacher_logits / temperature, dim=1)
    soft = temperature**2 * functional.kl_div(log_q, p, reduction="batchmean")
    return alpha * soft + (1 - alpha) * functional.cross_entropy(student_logits, labels)


def distill_step(
    student: nn.Module,
    teacher: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: tuple[torch.Tensor, torch.Tensor],
    temperature: float,
    alpha: float,
) -> float:
    """One step of training a student with a teacher and labels.

    Args:
        student: gives logits (n, K); in any mode when it comes, in training mode for the step.
        teacher: gives logits (n, K); in any mode when it comes; it answers as it does in use, and stays as it is.
        optimizer: holds the student's parameters.
        batch: inputs (n, D) and classes (n,).
        temperature: T of the loss.
        alpha: weight of the loss's soft term.

    Returns:
        The loss before the step.
    """
    x, labels = batch
    student.train()
    teacher.eval()
    with torch.no_grad():
        teacher_logits = teacher(x)
    loss = kd_loss(student(x), teacher_logits, labels, temperature, alpha)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
'''

PYTORCH_GRAD = """
import torch
from torch.nn import functional


def distill_step(student, teacher, optimizer, batch, temperature, alpha):
    student.train(True), teacher.train(False)
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    logits, target = student(batch[0]), teacher(batch[0])
    cross = [functional.cross_entropy(z / temperature, (target / temperature).softmax(1)) for z in (logits, target)]
    loss = alpha * temperature**2 * (cross[0] - cross[1]) + (1 - alpha) * functional.cross_entropy(logits, batch[1])
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
        parameter.grad = gradient
    optimizer.step()
    return float(loss)
"""

PYTORCH_CLOSURE = """
import torch
from torch.nn import functional


def distill_step(student, teacher, optimizer, batch, temperature, alpha):
    x, y = batch
    with torch.inference_mode():
        p = functional.softmax(teacher.eval()(x) / temperature, dim=-1)
    p = p.clone()
    model = student.train()

    def closure():
        optimizer.zero_grad(set_to_none=False)
        logits = model(x)
        log_q = functional.log_softmax(logits / temperature, dim=-1)
        soft = functional.kl_div(log_q, p, reduction="sum") / x.shape[0]
        loss = torch.lerp(functional.nll_loss(logits.log_softmax(-1), y), soft * temperature * temperature, alpha)
        loss.backward()
        return loss

    return optimizer.step(closure).detach()
"""

KERAS = '''
import keras
import tensorflow as tf
from keras import ops


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    """The distillation loss, given."""
    p, q = (ops.softmax(logits / temperature) for logits in (teacher_logits, student_logits))
    soft = temperature**2 * keras.losses.KLDivergence()(p, q)
    hard = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, student_logits)
    return alpha * soft + (1 - alpha) * hard


class Distiller(keras.Model):
    """Trains a student with a teacher and labels: `compile(optimizer=...)`, then `fit(x, y)`.

    It has the attributes `student` and `teacher`. Called, it gives the student's logits. The teacher answers as it does
    in use, and stays as it is.
    """

    def __init__(self, student: keras.Model, teacher: keras.Model, temperature: float, alpha: float) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher
        self.temperature, self.alpha = temperature, alpha

    def call(self, inputs, training=False):
        """The student's logits, shape (n, K), for inputs (n, D)."""
        return self.student(inputs, training=training)

    def train_step(self, data):
        """One step for a batch (x, y), the student in training mode.

        Returns:
            {"kd_loss": the loss before the step}. Keras fills in a value named "loss" from a tracker of its own.
        """
        x, y = data
        teacher_logits = self.teacher(x, training=False)
        variables = self.student.trainable_variables
        with tf.GradientTape() as tape:
            loss = kd_loss(self(x, training=True), teacher_logits, y, self.temperature, self.alpha)
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"kd_loss": loss}
'''

KERAS_COMPUTE_LOSS = """
import keras
from keras import ops


class Distiller(keras.Model):
    def __init__(self, student, teacher, temperature, alpha):
        super().__init__()
        self.student, self.teacher = student, teacher
        teacher.trainable = False
        self.settings = temperature, alpha

    def call(self, inputs, training=None):
        return self.student(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        temperature, alpha = self.settings
        log_p, log_q = (ops.log_softmax(z / temperature) for z in (self.teacher(x, training=False), y_pred))
        soft = ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1) * temperature**2
        hard = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
        return ops.mean(alpha * soft + (1 - alpha) * hard)

    def train_step(self, data):
        return {"kd_loss": super().train_step(data)["loss"]}
"""

KERAS_BY_HAND = """
import keras
import tensorflow as tf


class Distiller(keras.Model):
    def __init__(self, student, teacher, temperature, alpha, **kwargs):
        super().__init__(**kwargs)
        self.student = student
        self.teacher = teacher
        self.T, self.alpha = temperature, alpha

    def call(self, x):
        return self.student(x)

    def train_step(self, data):
        x, y = data
        t = self.teacher(x) / self.T
        p = tf.nn.softmax(t)
        with tf.GradientTape() as tape:
            z = self.student(x, training=True)
            cross, entropy = (tf.nn.softmax_cross_entropy_with_logits(p, each) for each in (z / self.T, t))
            soft = cross - entropy
            hard = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(y, "int32"), z)
            loss = tf.reduce_mean(self.alpha * self.T**2 * soft + (1 - self.alpha) * hard)
        gradients = tape.gradient(loss, self.student.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.student.trainable_variables))
        return {"kd_loss": loss}
"""

MESSAGES = {
    "teacher-in-training": _(
        "the teacher runs in training mode: its statistics move, and its answers depend on the batch"
    ),
    "teacher-learns": _("the teacher is trained along with the student"),
    "gradients-for-teacher": _("gradients are worked out for the teacher as well: twice the work, for nothing"),
    "student-in-evaluation": _("the student runs in inference mode: its Dropout and BatchNorm never train"),
    "logits-swapped": _("teacher and student have changed places in the loss"),
    "settings-swapped": _("temperature and alpha have changed places"),
    "labels-only": _("the loss has the labels' term only: the teacher is never asked"),
    "accumulates": _("each step's gradients are added to those of all steps before it"),
    "no-step": _("the loss is worked out, and no weight moves"),
    "loss-after": _("the loss that is reported is another batch's or a later one: it was to be that before the step"),
}
TORCH_ASK = "    with torch.no_grad():\n        teacher_logits = teacher(x)\n"
ASK_WITH_GRADIENT = "    teacher_logits = teacher(x)\n"
TORCH_CALL = "kd_loss(student(x), teacher_logits, labels, temperature, alpha)"
TORCH_RETURN, OPTIMIZER_STEP = "    return loss.item()\n", "    optimizer.step()\n"
TORCH_EDITS = {
    "teacher-in-training": (("    teacher.eval()\n", "    teacher.train()\n"),),
    "gradients-for-teacher": ((TORCH_ASK, ASK_WITH_GRADIENT),),
    "teacher-learns": (
        (TORCH_ASK, ASK_WITH_GRADIENT),
        (
            OPTIMIZER_STEP,
            OPTIMIZER_STEP + '    rate = optimizer.param_groups[0]["lr"]\n'
            "    torch.optim.SGD(teacher.parameters(), lr=rate).step()\n",
        ),
    ),
    "student-in-evaluation": (("    student.train()\n", "    student.eval()\n"),),
    "logits-swapped": ((TORCH_CALL, "kd_loss(teacher_logits, student(x), labels, temperature, alpha)"),),
    "settings-swapped": ((TORCH_CALL, "kd_loss(student(x), teacher_logits, labels, alpha, temperature)"),),
    "labels-only": ((TORCH_CALL, "functional.cross_entropy(student(x), labels)"),),
    "accumulates": (("    optimizer.zero_grad()\n", ""),),
    "no-step": ((OPTIMIZER_STEP, ""),),
    "loss-after": ((TORCH_RETURN, f"    return {TORCH_CALL}.item()\n"),),
}
KERAS_ASK, KERAS_VARIABLES = "self.teacher(x, training=False)", "variables = self.student.trainable_variables"
KERAS_CALL = "kd_loss(self(x, training=True), teacher_logits, y, self.temperature, self.alpha)"
KERAS_EDITS = {
    "teacher-in-training": ((KERAS_ASK, "self.teacher(x, training=True)"),),
    "teacher-learns": (
        (KERAS_VARIABLES, "variables = self.trainable_variables"),
        (f"        teacher_logits = {KERAS_ASK}\n", ""),
        (KERAS_CALL, KERAS_CALL.replace("teacher_logits", KERAS_ASK)),
    ),
    "student-in-evaluation": (("self(x, training=True)", "self(x, training=False)"),),
    "logits-swapped": (
        (
            KERAS_CALL,
            KERAS_CALL.replace("self(x, training=True), teacher_logits", "teacher_logits, self(x, training=True)"),
        ),
    ),
    "settings-swapped": (
        (KERAS_CALL, KERAS_CALL.replace("self.temperature, self.alpha", "self.alpha, self.temperature")),
    ),
    "labels-only": ((KERAS_CALL, KERAS_CALL.replace("self.alpha", "0.0")),),
    "no-step": (("        self.optimizer.apply(tape.gradient(loss, variables), variables)\n", ""),),
    "loss-after": (('{"kd_loss": loss}', '{"kd_loss": ' + KERAS_CALL + "}"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
