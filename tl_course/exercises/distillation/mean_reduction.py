"""Find the fault: the more classes there are, the less the teacher has to say."""

import numpy as np

from tl_course.exercises.distillation._losses import (
    PROBES,
    draw_logits,
    soft_loss,
    teacher_alone,
    value_and_gradient,
)
from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

DOCSTRING = '''"""What the student learns from the teacher alone.

    Args:
        student_logits: float, shape (N, K).
        teacher_logits: float, shape (N, K); no gradient flows to them.
        temperature: T > 0, softens both.

    Returns:
        T squared times the mean, over the examples, of the KL divergence of the student's softened probabilities from
        the teacher's: a scalar.
    """'''
PYTORCH = f"""
import torch
from torch.nn import functional


def soft_loss(student_logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    {DOCSTRING}
    p = torch.softmax(teacher_logits.detach() / temperature, dim=1)
    log_q = torch.log_softmax(student_logits / temperature, dim=1)
    return functional.kl_div(log_q, p, reduction="batchmean") * temperature**2
"""

PYTORCH_SUM = """
import torch


def soft_loss(student_logits, teacher_logits, temperature):
    log_p = torch.log_softmax(teacher_logits.detach() / temperature, dim=1)
    log_q = torch.log_softmax(student_logits / temperature, dim=1)
    each = torch.nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True)  # (N, K)
    return each.sum(dim=1).mean(dim=0) * temperature**2
"""

PYTORCH_EINSUM = """
import torch


def soft_loss(student_logits, teacher_logits, temperature):
    with torch.no_grad():
        log_p = (teacher_logits / temperature).log_softmax(1)
    gap = log_p.sub(torch.log_softmax(student_logits / temperature, 1))
    return torch.einsum("nk,nk->", log_p.exp(), gap).mul(temperature * temperature / gap.shape[0])
"""

KERAS = f"""
from keras import ops


def soft_loss(student_logits, teacher_logits, temperature: float):
    {DOCSTRING}
    log_p = ops.log_softmax(ops.stop_gradient(teacher_logits) / temperature)
    log_q = ops.log_softmax(student_logits / temperature)
    return temperature**2 * ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=1))
"""

KERAS_LOSS = """
import keras
from keras import ops


def soft_loss(student_logits, teacher_logits, temperature):
    p = ops.softmax(ops.stop_gradient(teacher_logits) / temperature)
    q = ops.softmax(student_logits / temperature)
    return keras.losses.KLDivergence(reduction="sum_over_batch_size")(p, q) * temperature**2
"""

KERAS_CROSS = """
import tensorflow as tf


def soft_loss(student_logits, teacher_logits, temperature):
    t = tf.stop_gradient(teacher_logits) / temperature
    p = tf.nn.softmax(t)
    cross = [tf.nn.softmax_cross_entropy_with_logits(p, z) for z in (student_logits / temperature, t)]
    return temperature * temperature * tf.reduce_mean(cross[0] - cross[1])
"""

MESSAGES = {
    "mean-over-classes": _("the mean runs over the classes as well: the loss is K times too small"),
    "summed": _("the examples are added up: another batch size means another weight of the teacher"),
    "times-ten": _("the factor that makes up for the mean is right for ten classes and wrong for any other number"),
    "per-example": _("each example's divergence is returned; a scalar was asked for"),
    "mean-of-batch-sum": _("the sum runs over the examples and the mean over the classes; it should be the reverse"),
    "no-square": _("the mean is right now, but T squared was lost on the way"),
    "reversed": _("the divergence is measured from the wrong side"),
}
TORCH, KL = (
    'functional.kl_div(log_q, p, reduction="batchmean")',
    "ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=1))",
)
EACH = {
    "pytorch": 'functional.kl_div(log_q, p, reduction="none")',
    "keras": "ops.exp(log_p) * (log_p - log_q)",
}
REDUCED = {
    "pytorch": {
        "mean-over-classes": "({}).mean()",
        "summed": "({}).sum()",
        "times-ten": "({}).mean() * 10",
        "per-example": "({}).sum(dim=1)",
        "mean-of-batch-sum": "({}).sum(dim=0).mean()",
    },
    "keras": {
        "mean-over-classes": "ops.mean({})",
        "summed": "ops.sum({})",
        "times-ten": "ops.mean({}) * 10",
        "per-example": "ops.sum({}, axis=1)",
        "mean-of-batch-sum": "ops.mean(ops.sum({}, axis=0))",
    },
}
REVERSED = {
    "pytorch": "functional.kl_div(p.log(), log_q.exp(), reduction='batchmean')",
    "keras": "ops.mean(ops.sum(ops.exp(log_q) * (log_q - log_p), axis=1))",
}
REFERENCE, RIGHT = {"pytorch": PYTORCH, "keras": KERAS}, {"pytorch": TORCH, "keras": KL}
SQUARE = {"pytorch": " * temperature**2", "keras": "temperature**2 * "}
STARTER = {
    "pytorch": PYTORCH.replace('"batchmean"', '"mean"'),
    "keras": KERAS.replace(KL, "ops.mean(ops.exp(log_p) * (log_p - log_q))"),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference; the first does what the starter does."""
    codes = {name: code.format(EACH[framework]) for name, code in REDUCED[framework].items()}
    edits = {name: (RIGHT[framework], code) for name, code in codes.items() if name != "mean-over-classes"}
    edits["reversed"] = (RIGHT[framework], REVERSED[framework])
    edits["no-square"] = SQUARE[framework], ""
    found = {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}
    return {"mean-over-classes": Mistake(MESSAGES["mean-over-classes"], source=STARTER[framework]), **found}


def cases(rng: np.random.Generator) -> list[Case]:
    """A few classes; many, most of which nobody considers; and the same examples twice."""
    inputs = {**draw_logits(rng, 6, 4), "temperature": float(rng.uniform(2, 4))}
    logits = {name: inputs[name] for name in ("student", "teacher")}
    more = {name: np.pad(value, ((0, 0), (0, 33)), constant_values=-500) for name, value in logits.items()}
    return [
        Case("4 classes", inputs, ("value", "teacher")),
        Case("37 classes", {**inputs, **more}, ("classes",)),
        Case("every example twice", {**inputs, **{k: np.tile(v, (2, 1)) for k, v in logits.items()}}, ("batch",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the loss written out; other classes and repeated examples leave it as it is."""
    inputs = case.inputs
    right = soft_loss(inputs["student"], inputs["teacher"], inputs["temperature"])
    if case.name != "4 classes":
        return [close(case.criteria[0], observed["loss"], right[0], _("the loss, {name}").format(name=case.name))]
    return [*value_and_gradient("value", observed, right, case.name), teacher_alone("teacher", observed)]


ALTERNATIVES = {
    "pytorch": {"sum and mean": PYTORCH_SUM, "einsum": PYTORCH_EINSUM},
    "keras": {"loss class": KERAS_LOSS, "cross-entropies": KERAS_CROSS},
}

EXERCISE = Exercise(
    id="mean-reduction",
    title=_("The teacher falls silent"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=8,
    difficulty=2,
    points=4,
    statement=_(
        "On ten classes a team found a good weight for the soft term. On a hundred classes, with the same weight, the "
        "student learns as if there were no teacher. Find the fault in `soft_loss`, fix it, and prove it: the loss is "
        "T squared times the KL divergence, a sum over the classes and a mean over the examples. Classes that both "
        "models rule out change nothing, and neither does a batch that holds every example twice."
    ),
    hints=(
        _("Print the loss of the same examples with four classes, then with 33 impossible classes more."),
        _("A KL divergence is one number per example. Over how many numbers does this mean run?"),
        _("Sum over classes first. In PyTorch, look up what `reduction` of `kl_div` may be."),
    ),
    follow_ups=(
        FollowUp(
            _("Why did PyTorch keep `mean` as the default of a KL divergence, and what does its manual say?"),
            _(
                "All its losses share reductions element by element. The manual says that 'mean' is not the true "
                "divergence and that 'batchmean' is the mathematical definition; a warning is printed."
            ),
        ),
        FollowUp(
            _("Could you keep the mean and multiply alpha by K?"),
            _(
                "For one data set, yes. But the setting then means something else for every number of classes, cannot "
                "be compared with any paper, and for token-level losses K is the vocabulary: tens of thousands."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the mean over examples of the divergence, times T squared"), weight=2),
        "classes": Criterion(_("is not changed by classes that both models rule out"), needs=("value",)),
        "batch": Criterion(_("is not changed by the batch's size"), needs=("value",)),
        "teacher": Criterion(_("leaves the teacher alone"), needs=("value",)),
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
        "O(N·K) time and memory for a few arrays of the logits' shape, with the fault and without. Only for very many "
        "classes, such as the tokens of a vocabulary, does that show beside the two forward passes."
    ),
)
