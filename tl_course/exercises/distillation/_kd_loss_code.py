"""The code of the exercise on the distillation loss: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""The loss a student is trained with (Hinton et al., 2015).

    Args:
        student_logits: float, shape (N, K), of any size.
        teacher_logits: float, shape (N, K), of any size; no gradient flows to them.
        labels: true classes, integer, shape (N,).
        temperature: T > 0 of the soft term; the hard term has none.
        alpha: weight of the soft term, in [0, 1].

    Returns:
        A scalar: alpha times T squared times the KL divergence of the student's softened probabilities from the
        teacher's, plus (1 - alpha) times the cross-entropy with the labels; both are means over the batch.
    """'''

NUMPY = f'''
import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of the classes, shape (N, K)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def kd_loss(
    student_logits: np.ndarray, teacher_logits: np.ndarray, labels: np.ndarray, temperature: float, alpha: float
) -> float:
    {DOCSTRING}
    log_teacher = log_softmax(teacher_logits / temperature)
    log_student = log_softmax(student_logits / temperature)
    soft = (np.exp(log_teacher) * (log_teacher - log_student)).sum(axis=1).mean()
    hard = -log_softmax(student_logits)[np.arange(len(labels)), labels].mean()
    return alpha * temperature**2 * soft + (1 - alpha) * hard
'''

NUMPY_ENTROPIES = """
import numpy as np


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    def log_teacherartition(z):
        top = z.max(axis=-1)
        return top + np.log(np.exp(z - top[:, None]).sum(axis=-1))

    t, s = teacher_logits / temperature, student_logits / temperature
    p = np.exp(t - log_teacherartition(t)[:, None])
    soft = (p * (t - s)).sum(-1) - log_teacherartition(t) + log_teacherartition(s)
    hard = log_teacherartition(student_logits) - np.take_along_axis(student_logits, labels[:, None], 1)[:, 0]
    return np.mean(alpha * temperature * temperature * soft + (1.0 - alpha) * hard)
"""

NUMPY_LOOP = """
import math


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    def log_teacher(row, T):
        row = [float(z) / T for z in row]
        total = sum(math.exp(z - max(row)) for z in row)
        return [z - max(row) - math.log(total) for z in row]

    total = 0.0
    for s, t, y in zip(student_logits, teacher_logits, labels):
        pairs = zip(log_teacher(t, temperature), log_teacher(s, temperature))
        total += alpha * temperature**2 * sum(math.exp(a) * (a - b) for a, b in pairs)
        total -= (1 - alpha) * log_teacher(s, 1)[y]
    return total / len(labels)
"""

PYTORCH = f"""
import torch
from torch.nn import functional


def kd_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, labels: torch.Tensor, temperature: float, alpha: float
) -> torch.Tensor:
    {DOCSTRING}
    log_teacher = torch.log_softmax(teacher_logits.detach() / temperature, dim=1)
    log_student = torch.log_softmax(student_logits / temperature, dim=1)
    soft = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1).mean()
    hard = functional.cross_entropy(student_logits, target=labels)
    return alpha * temperature**2 * soft + (1 - alpha) * hard
"""

PYTORCH_KL_DIV = """
import torch
import torch.nn as nn


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    with torch.no_grad():
        target = torch.softmax(teacher_logits / temperature, dim=-1)
    soft = nn.KLDivLoss(reduction="batchmean")(torch.log_softmax(student_logits / temperature, dim=-1), target)
    return soft * (alpha * temperature * temperature) + nn.CrossEntropyLoss()(student_logits, labels) * (1 - alpha)
"""

PYTORCH_CROSS_ENTROPY = """
import torch
from torch.nn import functional


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    t = (teacher_logits / temperature).detach()
    target = torch.softmax(t, dim=1)
    soft = functional.cross_entropy(student_logits / temperature, target) - functional.cross_entropy(t, target)
    chosen = student_logits.gather(1, labels[:, None])[:, 0]
    hard = torch.mean(torch.logsumexp(student_logits, dim=1) - chosen)
    return torch.lerp(hard, soft * temperature**2, alpha)
"""

KERAS = f"""
import keras
from keras import ops


def kd_loss(student_logits, teacher_logits, labels, temperature: float, alpha: float):
    {DOCSTRING}
    log_teacher = ops.log_softmax(ops.stop_gradient(teacher_logits) / temperature)
    log_student = ops.log_softmax(student_logits / temperature)
    soft = ops.mean(ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=1))
    hard = ops.average(keras.losses.sparse_categorical_crossentropy(labels, student_logits, from_logits=True))
    return alpha * temperature**2 * soft + (1 - alpha) * hard
"""

KERAS_ENTROPIES = """
import keras
from keras import ops


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    target = ops.softmax(ops.stop_gradient(teacher_logits / temperature), axis=-1)
    cross = keras.losses.CategoricalCrossentropy(from_logits=True)
    entropy = cross(target, ops.stop_gradient(teacher_logits) / temperature)
    soft = cross(target, student_logits / temperature) - entropy
    hard = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, student_logits)
    return soft * temperature * temperature * alpha + hard * (1 - alpha)
"""

KERAS_TENSORFLOW = """
import tensorflow as tf


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    teacher = tf.stop_gradient(teacher_logits) / temperature
    p = tf.nn.softmax(teacher)
    soft = tf.nn.softmax_cross_entropy_with_logits(p, student_logits / temperature)
    soft = soft - tf.nn.softmax_cross_entropy_with_logits(p, teacher)
    hard = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, student_logits)
    return tf.reduce_mean(alpha * temperature**2 * soft + (1 - alpha) * hard)
"""

MESSAGES = {
    "no-square": _(
        "the soft term's gradients shrink as the temperature grows: at high temperatures only the labels teach"
    ),
    "mean-over-classes": _("the soft term is averaged over the classes too, so it weighs less the more there are"),
    "summed": _("the soft term is added up over the batch, so its weight grows with the batch size"),
    "student-at-1": _("only the teacher is softened: a student with the teacher's very logits would be punished"),
    "teacher-at-1": _("only the student is softened: a student with the teacher's very logits would be punished"),
    "hard-softened": _("the hard term is softened as well: in use the student works without a temperature"),
    "reversed": _(
        "the two distributions are the wrong way round: the student may ignore classes that the teacher finds possible"
    ),
    "alpha-swapped": _("the weights of the two terms are exchanged"),
    "cross-entropy": _(
        "the soft term does not reach 0 where student and teacher agree: the teacher's entropy is in it"
    ),
    "overflow": _("large logits overflow: the exponentials are taken before the logarithm can undo them"),
    "teacher-learns": _("gradients flow into the teacher, who would move to meet the student"),
    "hard-missing": _("the labels have no say, whatever alpha is"),
}
SOFT = {
    "numpy": "(np.exp(log_teacher) * (log_teacher - log_student)).sum(axis=1).mean()",
    "pytorch": "(log_teacher.exp() * (log_teacher - log_student)).sum(dim=1).mean()",
    "keras": "ops.mean(ops.sum(ops.exp(log_teacher) * (log_teacher - log_student), axis=1))",
}
OTHER = {
    "mean-over-classes": {
        "numpy": "(np.exp(log_teacher) * (log_teacher - log_student)).mean()",
        "pytorch": "(log_teacher.exp() * (log_teacher - log_student)).mean()",
        "keras": "ops.mean(ops.exp(log_teacher) * (log_teacher - log_student))",
    },
    "summed": {
        "numpy": "(np.exp(log_teacher) * (log_teacher - log_student)).sum()",
        "pytorch": "(log_teacher.exp() * (log_teacher - log_student)).sum()",
        "keras": "ops.sum(ops.exp(log_teacher) * (log_teacher - log_student))",
    },
    "reversed": {
        "numpy": "(np.exp(log_student) * (log_student - log_teacher)).sum(axis=1).mean()",
        "pytorch": "(log_student.exp() * (log_student - log_teacher)).sum(dim=1).mean()",
        "keras": "ops.mean(ops.sum(ops.exp(log_student) * (log_student - log_teacher), axis=1))",
    },
    "cross-entropy": {
        "numpy": "-(np.exp(log_teacher) * log_student).sum(axis=1).mean()",
        "pytorch": "-(log_teacher.exp() * log_student).sum(dim=1).mean()",
        "keras": "-ops.mean(ops.sum(ops.exp(log_teacher) * log_student, axis=1))",
    },
}
TEACHER = {
    "numpy": "teacher_logits / temperature",
    "pytorch": "teacher_logits.detach() / temperature",
    "keras": "ops.stop_gradient(teacher_logits) / temperature",
}
HARD = {
    "numpy": "-log_softmax(student_logits)[np",
    "pytorch": "cross_entropy(student_logits,",
    "keras": "crossentropy(labels, student_logits,",
}
OVERFLOW = {
    "numpy": ("    shifted = logits - logits.max(axis=1, keepdims=True)\n", "    shifted = logits\n"),
    "pytorch": (
        "log_student = torch.log_softmax(student_logits / temperature, dim=1)",
        "log_student = student_logits / temperature - (student_logits / temperature).exp().sum(1, keepdim=True).log()",
    ),
    "keras": (
        "log_student = ops.log_softmax(student_logits / temperature)",
        "log_student = ops.log(ops.softmax(student_logits / temperature))",
    ),
}
LEARNS = {"pytorch": ("teacher_logits.detach()", "teacher_logits"), "keras": (TEACHER["keras"], TEACHER["numpy"])}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    soft, teacher, hard = SOFT[framework], TEACHER[framework], HARD[framework]
    edits = {
        "no-square": ("alpha * temperature**2 * soft", "alpha * soft"),
        **{name: (soft, code[framework]) for name, code in OTHER.items()},
        "student-at-1": ("(student_logits / temperature", "(student_logits"),
        "teacher-at-1": (teacher, teacher.removesuffix(" / temperature")),
        "hard-softened": (hard, hard.replace("student_logits", "student_logits / temperature")),
        "alpha-swapped": ("alpha * temperature**2 * soft + (1 - alpha)", "(1 - alpha) * temperature**2 * soft + alpha"),
        "overflow": OVERFLOW[framework],
        "hard-missing": (" + (1 - alpha) * hard", ""),
    }
    if framework in LEARNS:
        edits["teacher-learns"] = LEARNS[framework]
    return {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}
