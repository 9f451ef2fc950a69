"""Find the fault: probabilities taken for logits."""

import numpy as np

from tl_course.exercises.distillation._losses import (
    PROBES,
    draw_logits,
    fewer,
    log_softmax,
    soft_loss,
    value_and_gradient,
)
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

DOCSTRING = '''"""What the student learns from a teacher of which only the probabilities are known.

    Args:
        student_logits: float, shape (N, K).
        teacher_probabilities: the teacher's outputs at temperature 1, float, shape (N, K); rows add up to 1. Some may
            be exactly 0.
        temperature: T > 0, softens both.

    Returns:
        T squared times the mean KL(teacher ‖ student) of the softened distributions, a scalar: what it would be for
        the teacher's logits, if they were known.
    """'''
PYTORCH = f"""
import torch
from torch.nn import functional


def soft_loss(
    student_logits: torch.Tensor, teacher_probabilities: torch.Tensor, temperature: float
) -> torch.Tensor:
    {DOCSTRING}
    powers = teacher_probabilities ** (1 / temperature)
    p = powers / powers.sum(dim=1, keepdim=True)
    log_q = torch.log_softmax(student_logits / temperature, dim=1)
    return temperature**2 * functional.kl_div(log_q, p, reduction="batchmean")
"""

PYTORCH_LOGARITHM = """
import torch


def soft_loss(student_logits, teacher_probabilities, temperature):
    p = torch.softmax(teacher_probabilities.log() / temperature, dim=-1)
    gap = torch.special.xlogy(p, p) - p * torch.log_softmax(student_logits / temperature, dim=-1)
    return gap.sum(dim=-1).mean() * temperature * temperature
"""

PYTORCH_CLAMP = """
import torch
from torch import nn


def soft_loss(student_logits, teacher_probabilities, temperature):
    logits = torch.log(teacher_probabilities.clamp(min=1e-30))
    log_p = nn.functional.log_softmax(logits / temperature, dim=1)
    log_q = nn.functional.log_softmax(student_logits / temperature, dim=1)
    return nn.KLDivLoss(reduction="batchmean", log_target=True)(log_q, log_p).mul(temperature**2)
"""

KERAS = f"""
import keras
from keras import ops


def soft_loss(student_logits, teacher_probabilities, temperature: float):
    {DOCSTRING}
    powers = teacher_probabilities ** (1 / temperature)
    p = powers / ops.sum(powers, axis=1, keepdims=True)
    q = ops.softmax(student_logits / temperature)
    return temperature**2 * keras.losses.KLDivergence()(p, q)
"""

KERAS_LOGARITHM = """
from keras import ops


def soft_loss(student_logits, teacher_probabilities, temperature):
    log_p = ops.log_softmax(ops.log(ops.maximum(teacher_probabilities, 1e-30)) / temperature, axis=-1)
    log_q = ops.log_softmax(student_logits / temperature, axis=-1)
    return ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)) * temperature * temperature
"""

KERAS_CROSS = """
import tensorflow as tf


def soft_loss(student_logits, teacher_probabilities, temperature):
    p = tf.pow(teacher_probabilities, 1.0 / temperature)
    p = p / tf.norm(p, ord=1, axis=1, keepdims=True)
    cross = tf.nn.softmax_cross_entropy_with_logits(p, student_logits / temperature)
    entropy = -tf.reduce_sum(tf.math.xlogy(p, p), axis=1)
    return temperature**2 * tf.reduce_mean(cross - entropy)
"""

MESSAGES = {
    "taken-for-logits": _(
        "a softmax is taken over numbers between 0 and 1: the teacher seems to find all classes about as likely"
    ),
    "not-softened": _("the student is softened and the teacher is not: they could agree and still be told apart"),
    "divided": _("probabilities divided by T do not add up to 1; that is not what softening does to them"),
    "wrong-power": _("the power is the wrong way round: the teacher is made surer of itself"),
    "not-normalised": _("after softening the teacher's numbers add up to more than 1"),
    "zeros-break": _("where the teacher gives a class exactly 0, the loss is no number"),
    "student-twice": _("the student's softmax is taken twice"),
    "no-square": _("T squared was lost on the way"),
    "mean-over-classes": _("the mean runs over the classes as well"),
}
POWER, ROOT = "teacher_probabilities ** (1 / temperature)", "powers / {sum}"
SUM = {"pytorch": "powers.sum(dim=1, keepdim=True)", "keras": "ops.sum(powers, axis=1, keepdims=True)"}
SOFTMAX = {"pytorch": "torch.softmax({}, dim=1)", "keras": "ops.softmax({})"}
STUDENT = {
    "pytorch": ("torch.log_softmax(student_logits /", "torch.log_softmax(torch.softmax(student_logits, dim=1) /"),
    "keras": ("ops.softmax(student_logits /", "ops.softmax(ops.softmax(student_logits) /"),
}
DIVERGENCE = {
    "pytorch": 'functional.kl_div(log_q, p, reduction="batchmean")',
    "keras": "keras.losses.KLDivergence()(p, q)",
}
BREAKS = {
    "pytorch": "(p * (p.log() - log_q)).sum(dim=1).mean()",
    "keras": "ops.mean(ops.sum(p * (ops.log(p) - ops.log(q)), axis=1))",
}
MEAN = {
    "pytorch": 'functional.kl_div(log_q, p, reduction="none").mean()',
    "keras": "keras.losses.KLDivergence()(p, q) / q.shape[1]",
}
REFERENCE = {"pytorch": PYTORCH, "keras": KERAS}
LINES = {name: f"    powers = {POWER}\n    p = {ROOT.format(sum=SUM[name])}\n" for name in REFERENCE}
STARTER = {
    name: code.replace(LINES[name], f"    p = {SOFTMAX[name].format('teacher_probabilities / temperature')}\n")
    for name, code in REFERENCE.items()
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    lines, divergence = LINES[framework], DIVERGENCE[framework]
    edits = {
        "not-softened": (lines, "    p = teacher_probabilities\n"),
        "divided": (lines, "    p = teacher_probabilities / temperature\n"),
        "wrong-power": (POWER, "teacher_probabilities**temperature"),
        "not-normalised": (lines, f"    p = {POWER}\n"),
        "zeros-break": (divergence, BREAKS[framework]),
        "student-twice": STUDENT[framework],
        "no-square": ("return temperature**2 * ", "return "),
        "mean-over-classes": (divergence, MEAN[framework]),
    }
    found = {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}
    return {"taken-for-logits": Mistake(MESSAGES["taken-for-logits"], source=STARTER[framework]), **found}


def cases(rng: np.random.Generator) -> list[Case]:
    """Probabilities of a sure teacher; the same without softening; and a teacher who rules classes out."""
    logits, temperature = draw_logits(rng, 6, 5), float(rng.uniform(2, 4))
    p = np.exp(log_softmax(logits["teacher"]))
    ruled_out = np.where(np.arange(5) == rng.integers(0, 5, size=6)[:, None], 0, p)
    sure, zeros = (_row_shares(array) for array in (p, ruled_out))
    inputs = {"student": logits["student"], "teacher": sure, "temperature": temperature}
    return [
        Case("a sure teacher", inputs, ("value",)),
        Case("temperature 1", {**fewer(inputs, 4), "temperature": 1.0}, ("plain",)),
        Case("classes ruled out", {**inputs, "teacher": zeros}, ("zeros",)),
    ]


def _row_shares(p: np.ndarray) -> np.ndarray:
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the loss for logits that give these probabilities."""
    inputs = case.inputs
    logits = np.log(np.maximum(inputs["teacher"].astype(np.float64), 1e-300))
    right = soft_loss(inputs["student"], logits, inputs["temperature"])
    return value_and_gradient(case.criteria[0], observed, right, case.name)


ALTERNATIVES = {
    "pytorch": {"logarithm": PYTORCH_LOGARITHM, "clamped": PYTORCH_CLAMP},
    "keras": {"logarithm": KERAS_LOGARITHM, "cross-entropy": KERAS_CROSS},
}

EXERCISE = Exercise(
    id="probability-targets",
    title=_("Probabilities taken for logits"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "The teacher is a saved model whose last layer is a softmax; its outputs were called logits. Students come out "
        "unsure of everything: their highest probability hardly exceeds one over the number of classes. Find the fault "
        "in `soft_loss`, fix it, and prove it: the loss must be the one that the teacher's logits would give, at every "
        "temperature. Classes to which the teacher gives exactly 0 are allowed."
    ),
    hints=(
        _("Print the targets of one example beside the teacher's probabilities. Which are the flatter ones?"),
        _("Which logits would give these probabilities? They are known up to a constant, and that is enough."),
        _("softmax(log p / T) is p to the power 1/T, divided by its sum. The power also does the right thing at 0."),
    ),
    follow_ups=(
        FollowUp(
            _("Logits are not known exactly from probabilities. What is lost, and does it matter here?"),
            _(
                "A constant per example, which softmax does not see. In float32, also whatever was rounded to 0 or 1: "
                "a very sure teacher's small probabilities. If you can, save logits, not probabilities."
            ),
        ),
        FollowUp(
            _("Only the teacher's top five classes and their probabilities were kept. How would you distil?"),
            _(
                "Soften those, and spread what is missing evenly over the other classes, or treat it as one class "
                "'other' on both sides. For large vocabularies this is usual, and the loss changes little."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the loss that the teacher's logits would give"), weight=2),
        "plain": Criterion(_("takes the probabilities as they are at temperature 1")),
        "zeros": Criterion(_("allows for probabilities of exactly 0")),
    },
    cases=cases,
    judge=judge,
    variants={
        name: Variant(
            reference=REFERENCE[name],
            probe=PROBES[name],
            starter=STARTER[name],
            alternatives=ALTERNATIVES[name],
            mistakes=mistakes(name),
        )
        for name in REFERENCE
    },
    complexity=_(
        "O(N·K) time and memory, the same as for a teacher whose logits are known. Nor does a cache of its answers "
        "differ: N·K numbers, which serve every temperature."
    ),
)
