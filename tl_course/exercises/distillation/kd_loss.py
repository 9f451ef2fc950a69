"""The distillation loss: soft targets at a temperature, and the labels."""

import numpy as np

from tl_course.exercises.distillation import _kd_loss_code as code
from tl_course.exercises.distillation._losses import (
    PROBES,
    draw_logits,
    fewer,
    kd_loss,
    teacher_alone,
    value_and_gradient,
)
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Both terms; each alone; and logits so large that their exponentials overflow."""
    logits, labels = draw_logits(rng, 6, 4), rng.integers(0, 4, size=6)
    settings = {"temperature": float(rng.uniform(2, 5)), "alpha": float(rng.uniform(0.2, 0.4))}
    inputs = {**logits, "labels": labels, **settings}
    large = {name: value * 100 for name, value in logits.items()}
    return [
        Case("both terms", inputs, ("value", "teacher")),
        Case("labels alone", {**inputs, "alpha": 0.0}, ("limits",)),
        Case("teacher alone", {**fewer(inputs, 5), "alpha": 1.0}, ("limits",)),
        Case("large logits", {**inputs, **large}, ("stable",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare loss and gradient with those written out."""
    found = value_and_gradient(case.criteria[0], observed, kd_loss(case.inputs), case.name)
    return [*found, teacher_alone("teacher", observed)] if case.name == "both terms" else found


ALTERNATIVES = {
    "numpy": {"entropies": code.NUMPY_ENTROPIES, "loop": code.NUMPY_LOOP},
    "pytorch": {"kl_div": code.PYTORCH_KL_DIV, "cross-entropy": code.PYTORCH_CROSS_ENTROPY},
    "keras": {"entropies": code.KERAS_ENTROPIES, "tensorflow": code.KERAS_TENSORFLOW},
}
REFERENCES = {"numpy": code.NUMPY, "pytorch": code.PYTORCH, "keras": code.KERAS}

EXERCISE = Exercise(
    id="kd-loss",
    title=_("The distillation loss"),
    lesson="06_distillation",
    minutes=12,
    difficulty=2,
    points=5,
    statement=_(
        "Write `kd_loss(student_logits, teacher_logits, labels, temperature, alpha)`: alpha times T squared times the "
        "KL divergence KL(teacher ‖ student) of the probabilities softened by T, plus (1 - alpha) times the plain "
        "cross-entropy with the labels. Logits have shape (N, K), labels are integers (N,). Both terms are means over "
        "the batch; the result is a scalar. It stays right for logits of several hundred, and the teacher gets no "
        "gradient."
    ),
    hints=(
        _("Two terms, two jobs. Which of the two has a temperature, and whose logits does it divide?"),
        _("Work with log-probabilities throughout. KL is, per example, a sum over the classes of p (log p - log q)."),
        _("Sum over classes, mean over the batch, times T squared and alpha; then the labels' term at T = 1."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the soft term multiplied by T squared?"),
            _(
                "Its gradient by a logit is (q - p) / T, and for large T the difference q - p itself shrinks as 1/T. "
                "Together that is 1/T². Multiplying by T² keeps the balance of soft and hard term while T is tuned."
            ),
        ),
        FollowUp(
            _("What does the soft term do in the limit of a very high temperature?"),
            _(
                "With T² in front, its gradient goes to (s - t) / K with both logits' means taken off: it matches "
                "zero-meaned logits. Low temperatures look mostly at the classes the teacher finds likely."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("weighs the soft and the hard term, each a mean over the batch"), weight=2),
        "limits": Criterion(_("is the right term alone for alpha 0 and 1")),
        "stable": Criterion(_("stays right for large logits")),
        "teacher": Criterion(_("leaves the teacher alone"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        name: Variant(
            reference=REFERENCES[name],
            probe=PROBES[name],
            alternatives=ALTERNATIVES[name],
            mistakes=code.mistakes(name),
        )
        for name in REFERENCES
    },
    complexity=_(
        "O(N·K) time and memory: three softmaxes over the classes. In a step it is lost beside the teacher's forward "
        "pass and the student's forward and backward pass."
    ),
)
