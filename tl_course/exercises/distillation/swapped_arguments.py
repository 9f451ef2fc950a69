"""Find the fault: a student that learns nothing from its teacher, and the wrong thing from the labels (Keras)."""

import numpy as np

from tl_course.exercises.distillation._losses import (
    draw_logits,
    fewer,
    hard_loss,
    probe_keras,
    soft_loss,
    value_and_gradient,
)
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

KERAS = '''
import keras
from keras import ops


def distillation_loss(student_logits, teacher_logits, labels, temperature: float, alpha: float):
    """The student's loss: cross-entropy with the teacher's softened probabilities, and with the labels.

    Args:
        student_logits: float, shape (N, K).
        teacher_logits: float, shape (N, K).
        labels: one-hot, float, shape (N, K).
        temperature: T > 0 of the soft term.
        alpha: weight of the soft term, in [0, 1].

    Returns:
        A scalar: alpha times T squared times the mean cross-entropy of the softened student with the softened teacher
        as its target, plus (1 - alpha) times the mean cross-entropy of the student with the labels as its target.
    """
    cross_entropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    soft = cross_entropy(ops.softmax(teacher_logits / temperature), student_logits / temperature)
    hard = cross_entropy(labels, student_logits)
    return (1 - alpha) * hard + alpha * temperature**2 * soft
'''

SOFT = "cross_entropy(ops.softmax(teacher_logits / temperature), student_logits / temperature)"
HARD = "cross_entropy(labels, student_logits)"
SOFT_WRONG = "cross_entropy(labels, teacher_logits / temperature)"
HARD_WRONG = "cross_entropy(student_logits, labels)"
STARTER = KERAS.replace(SOFT, SOFT_WRONG).replace(HARD, HARD_WRONG)

FUNCTIONS = """
import keras


def distillation_loss(student_logits, teacher_logits, labels, temperature, alpha):
    target = keras.activations.softmax(teacher_logits / temperature)
    given = keras.activations.softmax(student_logits / temperature)
    soft = keras.losses.categorical_crossentropy(target, given)
    hard = keras.losses.categorical_crossentropy(y_true=labels, y_pred=student_logits, from_logits=True)
    return keras.ops.mean(alpha * temperature * temperature * soft + (1 - alpha) * hard)
"""

OPS = """
from keras import ops


def distillation_loss(student_logits, teacher_logits, labels, temperature, alpha):
    p = ops.softmax(teacher_logits / temperature, axis=1)
    soft = -ops.sum(p * ops.log_softmax(student_logits / temperature, axis=1), axis=1)
    hard = ops.logsumexp(student_logits, axis=1) - ops.sum(labels * student_logits, axis=1)
    return ops.average(alpha * temperature**2 * soft + (1 - alpha) * hard)
"""

MESSAGES = {
    "both-terms": _(
        "one term does not hold the student at all, and in the other the thing to be learned and the learner are "
        "exchanged"
    ),
    "soft-left": _("the labels' term is right now; no gradient of the soft term reaches the student"),
    "hard-left": _("the soft term is right now; in the labels' term the student's outputs serve as the target"),
    "soft-exchanged": _("the student is the target now, and the teacher's outputs are what is judged"),
    "teacher-logits": _("the target of a cross-entropy is a distribution; the teacher's logits are none"),
    "no-square": _("T squared was lost on the way"),
    "hard-softened": _("the labels' term is softened as well"),
    "alpha-swapped": _("the weights of the two terms are exchanged"),
    "labels-only": _("both terms use the labels: the teacher has no say"),
}
EDITS = {
    "soft-left": (SOFT, SOFT_WRONG),
    "hard-left": (HARD, HARD_WRONG),
    "soft-exchanged": (SOFT, "cross_entropy(ops.softmax(student_logits / temperature), teacher_logits / temperature)"),
    "teacher-logits": (SOFT, "cross_entropy(teacher_logits / temperature, student_logits / temperature)"),
    "no-square": ("alpha * temperature**2 * soft", "alpha * soft"),
    "hard-softened": (HARD, HARD.replace("student_logits", "student_logits / temperature")),
    "alpha-swapped": ("(1 - alpha) * hard + alpha *", "alpha * hard + (1 - alpha) *"),
    "labels-only": (SOFT, "cross_entropy(labels, student_logits / temperature)"),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Both terms, and each alone."""
    labels = np.eye(4, dtype=np.float32)[rng.integers(0, 4, size=6)]
    settings = {"temperature": float(rng.uniform(2, 4)), "alpha": float(rng.uniform(0.2, 0.4))}
    inputs = {**draw_logits(rng, 6, 4), "labels": labels, **settings}
    return [
        Case("both terms", inputs, ("value",)),
        Case("teacher alone", {**fewer(inputs, 5), "alpha": 1.0}, ("soft",)),
        Case("labels alone", {**inputs, "alpha": 0.0}, ("hard",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare loss and gradient: a cross-entropy is the divergence plus the target's entropy."""
    inputs, alpha, temperature = case.inputs, case.inputs["alpha"], case.inputs["temperature"]
    soft, slope = soft_loss(inputs["student"], inputs["teacher"], temperature)
    same, _slope = soft_loss(np.zeros_like(inputs["teacher"]), inputs["teacher"], temperature)
    entropy = temperature**2 * np.log(inputs["teacher"].shape[1]) - same  # uniform: log K minus the divergence from it
    hard, other = hard_loss(inputs["student"], inputs["labels"].argmax(axis=1))
    right = alpha * (soft + entropy) + (1 - alpha) * hard, alpha * slope + (1 - alpha) * other
    return value_and_gradient(case.criteria[0], observed, right, case.name)


EXERCISE = Exercise(
    id="swapped-arguments",
    title=_("Two cross-entropies, both wrong"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A tutorial's Keras student trains without an error. With alpha = 1 its weights do not move at all; with alpha "
        "= 0 the loss falls and falls while accuracy stays at chance. Find the faults in `distillation_loss`, fix "
        "them, and prove it: alpha times T squared times the cross-entropy of the softened student with the softened "
        "teacher as target, plus (1 - alpha) times that with the one-hot labels, each a mean over the batch. The "
        "student's gradient is checked too."
    ),
    hints=(
        _("For each of the two terms: which argument is the target, and which one can learn?"),
        _("Take alpha = 1 and follow the student's logits through the loss. Do they occur?"),
        _("Keras's order is (y_true, y_pred). The teacher's probabilities are y_true, the student's logits y_pred."),
    ),
    follow_ups=(
        FollowUp(
            _("Here the soft term is a cross-entropy, elsewhere a KL divergence. Does the student notice?"),
            _(
                "No: they differ by the teacher's entropy, which does not depend on the student, so the gradients are "
                "equal. The reported number differs: only the divergence goes to 0."
            ),
        ),
        FollowUp(
            _("Which short tests show that a loss is wired up rightly before anything is trained?"),
            _(
                "Every input that should matter changes the value; the student gets a gradient and the teacher none; "
                "swapping the arguments changes the result; one small step along the gradient lowers the loss."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("weighs both cross-entropies rightly")),
        "soft": Criterion(_("teaches the student what the teacher thinks")),
        "hard": Criterion(_("teaches the student the labels")),
    },
    cases=cases,
    judge=judge,
    variants={
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            starter=STARTER,
            alternatives={"functions": FUNCTIONS, "operations": OPS},
            mistakes={
                "both-terms": Mistake(MESSAGES["both-terms"], source=STARTER),
                **{name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
            },
        ),
    },
    complexity=_(
        "O(N·K) time and memory, as in the faulty program: a few softmaxes over the classes. The teacher's forward "
        "pass, made before, and the student's two passes dominate the step."
    ),
)
