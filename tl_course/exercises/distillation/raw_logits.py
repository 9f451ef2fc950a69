"""Find the fault: a loss that reads NaN, or never falls, while the weights still move."""

import numpy as np

from tl_course.exercises.distillation import _raw_logits_code as code
from tl_course.exercises.distillation._losses import PROBES, draw_logits, fewer, soft_loss, value_and_gradient
from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Any logits; a student that agrees with its teacher; and a student for whom all classes are equal."""
    inputs = {**draw_logits(rng, 5, 7), "temperature": float(rng.uniform(2, 4))}
    shift = rng.normal(size=(5, 1)).astype(np.float32)
    return [
        Case("any logits", inputs, ("value", "gradient")),
        Case("agreement", {**inputs, "student": inputs["teacher"] + shift}, ("zero",)),
        Case("undecided student", {**fewer(inputs, 4), "student": np.zeros((4, 7), np.float32)}, ("gradient",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the loss written out, and its gradient."""
    inputs, (criterion, *_rest) = case.inputs, case.criteria
    right = soft_loss(inputs["student"], inputs["teacher"], inputs["temperature"])
    value, flows, gradient = value_and_gradient(criterion, observed, right, case.name)
    if case.name == "agreement":
        return [value]
    found = [Finding("gradient", part.passed, part.message) for part in (flows, gradient)]
    if case.name == "undecided student":
        return [value, *found]
    number = np.asarray(observed["loss"])
    text = _("the loss is {loss}; no divergence can be").format(loss=number)
    possible = number.shape == () and bool(np.isfinite(number) and number >= 0)
    return [holds("value", possible or number.shape != (), text), value, *found]


EXERCISE = Exercise(
    id="raw-logits",
    title=_("NaN, and yet it trains"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=8,
    difficulty=2,
    points=4,
    statement=_(
        "A distillation log reads NaN from the first step (PyTorch), or a number that hardly falls (Keras). No error "
        "is raised, weights move, accuracy even rises, and the student ends far below its teacher. Find the fault in "
        "`soft_loss`, fix it, and prove it: T squared times the mean divergence KL(teacher ‖ student) of the "
        "distributions softened by T, with a right gradient for every logit; 0 when both agree."
    ),
    hints=(
        _("Print what goes into the divergence for one example. Does it add up to 1? Is it positive?"),
        _("Look up what the divergence of your library expects as its first and as its second argument."),
        _("PyTorch: log-probabilities of the student, probabilities of the teacher. Keras: probabilities of both."),
    ),
    follow_ups=(
        FollowUp(
            _("How can weights move sensibly while PyTorch's loss is NaN?"),
            _(
                "The NaN comes from the logarithm of a negative target, a constant. The gradient by the input is just "
                "minus the target, which is finite: the student's logits are pushed along the teacher's, without any "
                "bound. It is a training of a kind, towards something else."
            ),
        ),
        FollowUp(
            _("What do you put into a training loop so that such a fault stops the run?"),
            _(
                "Check that the loss is finite at every step, and that a divergence is not negative; try the loss once "
                "with the teacher as its own student, where it must be 0; overfit one batch."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the divergence of the softened distributions, times T squared")),
        "gradient": Criterion(_("gives every logit its gradient"), weight=2),
        "zero": Criterion(_("is 0 where the student agrees with the teacher"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=PROBES["pytorch"],
            starter=code.PYTORCH_STARTER,
            alternatives={"log target": code.PYTORCH_LOG_TARGET, "partition": code.PYTORCH_PARTITION},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=PROBES["keras"],
            starter=code.KERAS_STARTER,
            alternatives={"logarithms": code.KERAS_LOGS, "partition": code.KERAS_PARTITION},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(N·K) time and memory, with the faults and without: each logit of both models is read a constant number of "
        "times. Beside the teacher's forward pass it does not count."
    ),
)
