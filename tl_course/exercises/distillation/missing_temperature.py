"""Find the fault: the higher the temperature, the less the student listens."""

import numpy as np

from tl_course.exercises.distillation._losses import PROBES, draw_logits, fewer, kd_loss, value_and_gradient
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

DOCSTRING = '''"""The loss a student is trained with.

    Args:
        student_logits: float, shape (N, K).
        teacher_logits: float, shape (N, K), a constant for training.
        labels: true classes, integer, shape (N,).
        temperature: T > 0 of the soft term; the hard term has none.
        alpha: weight of the soft term, in [0, 1].

    Returns:
        A scalar: alpha times the soft term plus (1 - alpha) times the mean cross-entropy with the labels. The soft
        term is the mean KL(teacher ‖ student) of the softened probabilities, times the power of T that keeps the size
        of its gradient for high temperatures.
    """'''
PYTORCH = f"""
import torch
from torch.nn import functional


def kd_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, labels: torch.Tensor, temperature: float, alpha: float
) -> torch.Tensor:
    {DOCSTRING}
    p = torch.softmax(teacher_logits / temperature, dim=1)
    log_q = torch.log_softmax(student_logits / temperature, dim=1)
    soft = functional.kl_div(log_q, p, reduction="batchmean") * temperature**2
    hard = functional.cross_entropy(student_logits, labels)
    return alpha * soft + (1 - alpha) * hard
"""

PYTORCH_BY_GRADIENT = """
import torch


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    s, t = student_logits / temperature, teacher_logits / temperature
    rows = (t.softmax(-1) * (t - s)).sum(-1) - t.logsumexp(-1) + s.logsumexp(-1)
    own = student_logits[torch.arange(labels.shape[0]), labels]
    hard = student_logits.logsumexp(-1) - own
    return torch.mean(alpha * temperature * temperature * rows + (1 - alpha) * hard)
"""

PYTORCH_MODULES = """
from torch import nn


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    weights = {"soft": alpha * temperature**2, "hard": 1 - alpha}
    log_p, log_q = (nn.functional.log_softmax(z.div(temperature), dim=1) for z in (teacher_logits, student_logits))
    terms = {
        "soft": nn.KLDivLoss(reduction="batchmean", log_target=True)(log_q, log_p),
        "hard": nn.NLLLoss()(nn.LogSoftmax(dim=1)(student_logits), labels),
    }
    return sum(weights[name] * terms[name] for name in terms)
"""

KERAS = f"""
import keras
from keras import ops


def kd_loss(student_logits, teacher_logits, labels, temperature: float, alpha: float):
    {DOCSTRING}
    log_p = ops.log_softmax(teacher_logits / temperature)
    log_q = ops.log_softmax(student_logits / temperature)
    soft = ops.mean(ops.sum(ops.exp(log_p) * (log_p - log_q), axis=1)) * temperature**2
    hard = ops.mean(keras.losses.sparse_categorical_crossentropy(labels, student_logits, from_logits=True))
    return alpha * soft + (1 - alpha) * hard
"""

KERAS_LOSSES = """
import keras


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    p, q = (keras.activations.softmax(z / temperature) for z in (teacher_logits, student_logits))
    soft = keras.losses.KLDivergence()(p, q) * temperature * temperature
    hard = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, student_logits)
    return soft * alpha - (alpha - 1) * hard
"""

KERAS_PARTITION = """
from keras import ops


def kd_loss(student_logits, teacher_logits, labels, temperature, alpha):
    s, t = student_logits / temperature, teacher_logits / temperature
    rows = ops.sum(ops.softmax(t) * (t - s), axis=-1) - ops.logsumexp(t, axis=-1) + ops.logsumexp(s, axis=-1)
    own = ops.sum(ops.one_hot(labels, student_logits.shape[1]) * student_logits, axis=-1)
    hard = ops.logsumexp(student_logits, axis=-1) - own
    return ops.mean(alpha * temperature**2 * rows + (1 - alpha) * hard)
"""

MESSAGES = {
    "no-square": _("the soft term's gradient shrinks twice as the temperature grows, and only the labels are left"),
    "first-power": _("one of two effects is made up for: the gradient still shrinks as the temperature grows"),
    "whole-loss": _("the labels' term is multiplied as well, so the balance between the two is still lost"),
    "hard-term": _("the wrong term is multiplied: the labels weigh even more"),
    "fixed-factor": _("the factor fits one temperature and no other"),
    "inverse": _("the soft term is made smaller with the temperature, not larger"),
    "third-power": _("the factor is larger than what it makes up for: the soft term's gradient grows without end"),
    "hard-softened": _("the labels' term has a temperature now; in use the student works without one"),
    "alpha-divided": _("weights are changed by the temperature: for alpha 1 the labels still have a say"),
}
RETURN, POWER = "alpha * soft + (1 - alpha) * hard", " * temperature**2"
REFERENCE = {"pytorch": PYTORCH, "keras": KERAS}
STARTER = {name: reference.replace(POWER, "") for name, reference in REFERENCE.items()}
HARD = {
    "pytorch": ("cross_entropy(student_logits,", "cross_entropy(student_logits / temperature,"),
    "keras": ("crossentropy(labels, student_logits,", "crossentropy(labels, student_logits / temperature,"),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {
        "first-power": ((POWER, " * temperature"),),
        "whole-loss": ((POWER, ""), (RETURN, f"temperature**2 * ({RETURN})")),
        "hard-term": ((POWER, ""), (RETURN, RETURN + POWER)),
        "fixed-factor": ((POWER, " * 16"),),
        "inverse": ((POWER, " / temperature**2"),),
        "third-power": ((POWER, " * temperature**3"),),
        "hard-softened": (HARD[framework],),
        "alpha-divided": ((POWER, ""), (RETURN, "alpha * soft + (1 - alpha) / temperature**2 * hard")),
    }
    found = {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
    return {"no-square": Mistake(MESSAGES["no-square"], source=STARTER[framework]), **found}


def cases(rng: np.random.Generator) -> list[Case]:
    """Both terms; no softening; and a temperature so high that only its limit matters."""
    inputs = {**draw_logits(rng, 6, 5), "labels": rng.integers(0, 5, size=6)}
    warm = {"temperature": float(rng.uniform(2, 3)), "alpha": float(rng.uniform(0.5, 0.7))}
    return [
        Case("both terms", {**inputs, **warm}, ("value",)),
        Case("temperature 1", {**fewer(inputs, 4), **warm, "temperature": 1.0}, ("plain",)),
        Case("temperature 60", {**inputs, "temperature": 60.0, "alpha": 1.0}, ("hot",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare loss and gradient; for a high temperature, the gradient with that of matched zero-meaned logits."""
    inputs, right = case.inputs, kd_loss(case.inputs)
    if case.name != "temperature 60":
        return value_and_gradient(case.criteria[0], observed, right, case.name)
    seen = np.asarray(observed["gradient"], dtype=np.float64)
    gap = inputs["student"].astype(np.float64) - inputs["teacher"]
    limit = (gap - gap.mean(axis=1, keepdims=True)) / gap.size
    sizes = [float(np.linalg.norm(array)) for array in (limit, seen)]
    text = _("at temperature 60 the soft term's gradient should be about {right:.3g} long, yours is {seen:.3g}")
    near = abs(sizes[1] / sizes[0] - 1) < 0.25
    what = _("the gradient by the student's logits, {name}").format(name=case.name)
    return [
        holds("hot", near, text.format(right=sizes[0], seen=sizes[1])),
        close("hot", observed["gradient"], right[1], what, rtol=1e-2, atol=1e-3),
    ]


ALTERNATIVES = {
    "pytorch": {"partition": PYTORCH_BY_GRADIENT, "modules": PYTORCH_MODULES},
    "keras": {"loss classes": KERAS_LOSSES, "partition": KERAS_PARTITION},
}

EXERCISE = Exercise(
    id="missing-temperature",
    title=_("The hotter, the deafer"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=8,
    difficulty=2,
    points=4,
    statement=_(
        "A team tunes the temperature: from 1 to 20 the student gets steadily more like one trained on labels alone, "
        "as if the teacher fell silent. The log shows the soft term's gradient hundreds of times smaller at 20 than at "
        "1. Find the fault in `kd_loss`, fix it, and prove it: at T = 1 nothing changes; for high temperatures the "
        "soft term's gradient tends to a limit other than 0; the labels' term stays as it is for every T."
    ),
    hints=(
        _("Measure the soft term's gradient at T = 10 and T = 20. By which factor does it shrink?"),
        _("Dividing the logits by T costs one factor of T. The difference between soft distributions costs another."),
        _("Multiply the soft term, and only this one, by the power of T that makes up for both."),
    ),
    follow_ups=(
        FollowUp(
            _("Someone leaves the factor out and tunes alpha anew for each T. What is wrong with that?"),
            _(
                "It can be made to work for one T, since only the balance counts. But T and alpha are then tied: a "
                "search over T changes the balance too, and settings from papers mean something else."
            ),
        ),
        FollowUp(
            _("With T² and alpha = 0.5, are the two terms' gradients of equal size?"),
            _(
                "Comparable, not equal: the soft one depends on how far student and teacher are apart and falls as "
                "they agree; the factor only takes the temperature out of the balance."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("weighs both terms rightly at a usual temperature"), weight=2),
        "plain": Criterion(_("is the plain sum of both at temperature 1"), needs=("value",)),
        "hot": Criterion(_("keeps the soft term's gradient at a high temperature")),
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
        "O(N·K) time and memory for both terms, at every temperature: the repair adds O(1). The teacher's forward pass "
        "is what costs, and a search over temperatures may reuse its logits."
    ),
)
