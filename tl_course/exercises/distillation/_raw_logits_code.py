"""The code of the exercise on raw logits in a divergence: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""What the student learns from the teacher alone.

    Args:
        student_logits: float, shape (N, K), of either sign.
        teacher_logits: float, shape (N, K), of either sign; a constant for training.
        temperature: T > 0, softens both.

    Returns:
        A scalar: T squared times the mean divergence KL(teacher ‖ student) of the softened distributions. It is 0
        where both give the same distribution, and positive elsewhere.
    """'''
PYTORCH = f"""
import torch
from torch import nn


def soft_loss(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    {DOCSTRING}
    divergence = nn.KLDivLoss(reduction="batchmean")
    target = torch.softmax(teacher_logits / temperature, dim=1)
    log_student = torch.log_softmax(student_logits / temperature, dim=1)
    return temperature**2 * divergence(log_student, target)
"""

TORCH_P, TORCH_Q = (
    "torch.softmax(teacher_logits / temperature, dim=1)",
    "torch.log_softmax(student_logits / temperature, dim=1)",
)
PYTORCH_STARTER = f"""
import torch
from torch import nn


def soft_loss(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    {DOCSTRING}
    divergence = nn.KLDivLoss(reduction="batchmean")
    target = teacher_logits / temperature
    log_student = student_logits / temperature
    return temperature**2 * divergence(log_student, target)
"""

PYTORCH_LOG_TARGET = """
from torch.nn import functional


def soft_loss(student_logits, teacher_logits, temperature):
    log_p, log_student = (functional.log_softmax(z / temperature, dim=-1) for z in (teacher_logits, student_logits))
    return functional.kl_div(log_student, log_p, reduction="sum", log_target=True) / len(log_student) * temperature**2
"""

PYTORCH_PARTITION = """
import torch


def soft_loss(student_logits, teacher_logits, temperature):
    t, s = teacher_logits / temperature, student_logits / temperature
    gap = t - s
    rows = (t.softmax(1) * gap).sum(1) + torch.logsumexp(s, 1) - torch.logsumexp(t, 1)
    return rows.mean() * temperature * temperature
"""

KERAS = f"""
import keras
from keras import ops


def soft_loss(student_logits, teacher_logits, temperature: float):
    {DOCSTRING}
    divergence = keras.losses.KLDivergence()
    p = ops.softmax(teacher_logits / temperature)
    student = ops.softmax(student_logits / temperature)
    return temperature**2 * divergence(p, student)
"""

KERAS_P, KERAS_Q = "ops.softmax(teacher_logits / temperature)", "ops.softmax(student_logits / temperature)"
KERAS_STARTER = KERAS.replace(KERAS_P, "teacher_logits / temperature").replace(KERAS_Q, "student_logits / temperature")

KERAS_LOGS = """
from keras import ops


def soft_loss(student_logits, teacher_logits, temperature):
    log_p, log_student = (ops.log_softmax(z / temperature, axis=-1) for z in (teacher_logits, student_logits))
    rows = ops.sum(ops.exp(log_p) * (log_p - log_student), axis=-1)
    return ops.mean(rows) * temperature * temperature
"""

KERAS_PARTITION = """
import tensorflow as tf


def soft_loss(student_logits, teacher_logits, temperature):
    t, s = teacher_logits / temperature, student_logits / temperature
    p = tf.exp(t - tf.reduce_logsumexp(t, axis=1, keepdims=True))
    rows = tf.reduce_sum(p * (t - s), axis=1) + tf.reduce_logsumexp(s, axis=1) - tf.reduce_logsumexp(t, axis=1)
    return tf.reduce_mean(rows) * temperature**2
"""

MESSAGES = {
    "raw-logits": _("a divergence compares distributions; neither of the two things given to it is one"),
    "teacher-raw": _("the student's side is right now; what the teacher gives is still not a distribution"),
    "student-raw": _("the teacher's side is right now; what the student gives is still not a distribution"),
    "log-missing": _("one of the two is expected as log-probabilities, and gets probabilities"),
    "log-twice": _("one of the two is expected as probabilities, and gets log-probabilities"),
    "symptom-hidden": _("NaN is replaced by 0: the log is calm, and the student still learns from nonsense"),
    "clipped": _("what is not positive is cut off, so there is a number; it is still no distribution"),
    "normalised-by-sum": _("the logits are divided by their sum: that is no softmax, and negative shares remain"),
    "swapped": _("the two distributions have changed places"),
    "across-batch": _("the probabilities add up to 1 over the examples, not over the classes"),
    "temperature-gone": _("the distributions are right, but no longer softened by the temperature"),
}
TORCH_EDITS = {
    "teacher-raw": ((TORCH_P, "teacher_logits / temperature"),),
    "student-raw": ((TORCH_Q, "student_logits / temperature"),),
    "log-missing": ((TORCH_Q, TORCH_Q.replace("log_", "")),),
    "log-twice": ((TORCH_P, TORCH_P.replace("softmax", "log_softmax")),),
    "symptom-hidden": (
        (TORCH_P, "teacher_logits / temperature"),
        (TORCH_Q, "student_logits / temperature"),
        ("divergence(log_student, target)", "torch.nan_to_num(divergence(log_student, target))"),
    ),
    "clipped": (
        (TORCH_P, "(teacher_logits / temperature).clamp(min=1e-7)"),
        (TORCH_Q, "(student_logits / temperature).clamp(min=1e-7).log()"),
    ),
    "normalised-by-sum": (
        (TORCH_P, "teacher_logits / teacher_logits.sum(dim=1, keepdim=True)"),
        (TORCH_Q, "(student_logits / student_logits.sum(dim=1, keepdim=True)).log()"),
    ),
    "swapped": (("divergence(log_student, target)", "divergence(target.log(), log_student.exp())"),),
    "across-batch": (
        (TORCH_P, TORCH_P.replace("dim=1", "dim=0")),
        (TORCH_Q, TORCH_Q.replace("dim=1", "dim=0")),
    ),
    "temperature-gone": (
        (TORCH_P, TORCH_P.replace(" / temperature", "")),
        (TORCH_Q, TORCH_Q.replace(" / temperature", "")),
    ),
}
KERAS_EDITS = {
    "teacher-raw": ((KERAS_P, "teacher_logits / temperature"),),
    "student-raw": ((KERAS_Q, "student_logits / temperature"),),
    "log-twice": ((KERAS_P, KERAS_P.replace("softmax", "log_softmax")),),
    "log-missing": ((KERAS_Q, KERAS_Q.replace("softmax", "log_softmax")),),
    "normalised-by-sum": (
        (KERAS_P, "teacher_logits / ops.sum(teacher_logits, axis=1, keepdims=True)"),
        (KERAS_Q, "student_logits / ops.sum(student_logits, axis=1, keepdims=True)"),
    ),
    "swapped": (("divergence(p, student)", "divergence(student, p)"),),
    "across-batch": (
        (KERAS_P, KERAS_P.replace("temperature)", "temperature, axis=0)")),
        (KERAS_Q, KERAS_Q.replace("temperature)", "temperature, axis=0)")),
    ),
    "temperature-gone": (
        (KERAS_P, KERAS_P.replace(" / temperature", "")),
        (KERAS_Q, KERAS_Q.replace(" / temperature", "")),
    ),
}
STUDENT_AS_LOG = _("this divergence expects probabilities on both sides, and gets logarithms on one")


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    messages = (
        MESSAGES if framework == "pytorch" else {**MESSAGES, "log-missing": STUDENT_AS_LOG, "log-twice": STUDENT_AS_LOG}
    )
    found = {name: Mistake(messages[name], given) for name, given in edits.items()}
    return {"raw-logits": Mistake(messages["raw-logits"], source=starter), **found}
