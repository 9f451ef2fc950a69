"""Find the fault: a teacher that takes part in the training."""

import numpy as np

from tl_course.exercises.distillation import _teacher_gradient_code as code
from tl_course.exercises.distillation._teachers import (
    TEACHER,
    draw_student,
    draw_teacher,
    keras_observed,
    keras_pair,
    same_object,
    torch_observed,
    torch_pair,
    train_student,
)
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Unlabelled batches of unequal size, whose features lie beside those that the teacher's statistics come from."""
    sizes = [8, 6, 7]
    inputs = {
        "teacher": draw_teacher(rng),
        "student": draw_student(rng),
        "x": [(rng.normal(size=(size, 5)) + 0.5).astype(np.float32) for size in sizes],
        "lr": float(rng.uniform(0.1, 0.2)),
        "temperature": float(rng.uniform(2, 4)),
    }
    return [Case("unlabelled batches", inputs, ("targets", "teacher", "gradient", "mode"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the teacher with what it was, and the student with the training calculated step by step."""
    inputs = case.inputs
    labels = [np.zeros(len(x), np.int64) for x in inputs["x"]]
    right, _losses = train_student({**inputs, "y": labels, "alpha": 1.0})
    found = [close("targets", observed["student"][k], right[k], _("the student's {k}").format(k=k)) for k in right]
    for name in TEACHER:
        what = _("the teacher's {name} after training").format(name=name)
        found.append(close("teacher", observed["teacher"][name], inputs["teacher"][name], what, rtol=0, atol=0))
    gradients = _("gradients were worked out for the teacher")
    mode = _("the student did not run in training mode")
    return [
        *found,
        holds("gradient", not observed["gradients"], gradients),
        holds("mode", observed["student training"], mode),
    ]


def probe_pytorch(candidate, inputs):
    """Distil over the batches; look at both models."""
    import torch

    teacher, student, modes = torch_pair(inputs)
    batches = [torch.tensor(x) for x in inputs["x"]]
    same_object(candidate(student, teacher, batches, inputs["lr"], inputs["temperature"]), student)
    return torch_observed(teacher, student, modes)


def probe_keras(candidate, inputs):
    """Distil over the batches; look at both models."""
    teacher, student, modes = keras_pair(inputs)
    same_object(candidate(student, teacher, inputs["x"], inputs["lr"], inputs["temperature"]), student)
    return keras_observed(teacher, student, modes, inputs)


EXERCISE = Exercise(
    id="teacher-gradient",
    title=_("The teacher takes part"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "After a night of distillation the student is mediocre, and the teacher, tested again, is worse than before. "
        "Each batch took twice the memory it should, and the same image got other targets in other batches. Find the "
        "faults in `distill`, fix them, and prove it: the student, in training mode, learns from the answers that the "
        "teacher gives in use; the teacher's weights and statistics stay bit for bit; no gradient reaches it. Return "
        "the student."
    ),
    hints=(
        _("Compare all of the teacher's tensors before and after: not only those with a gradient."),
        _("Two switches are independent of each other: how layers behave, and what is differentiated."),
        _("The teacher in inference mode, its call outside the gradient, and only the student's weights updated."),
    ),
    follow_ups=(
        FollowUp(
            _("Is `torch.no_grad()` enough for a teacher? Is `eval()`?"),
            _(
                "Neither. `no_grad` stops differentiation and leaves Dropout and BatchNorm in training mode; `eval` "
                "does the reverse. In Keras, `training=False` sets the behaviour, and the tape and the list of "
                "variables decide about gradients."
            ),
        ),
        FollowUp(
            _("When would one let a teacher change on purpose?"),
            _(
                "A mean teacher is a moving average of its student (Tarvainen & Valpola, 2017); in mutual learning "
                "both train from each other (Zhang et al., 2018). There it is a rule of its own, never a gradient "
                "that happens to flow."
            ),
        ),
    ),
    criteria={
        "targets": Criterion(_("the student learns from what the teacher gives in use"), weight=2),
        "teacher": Criterion(_("the teacher's weights and statistics stay bit for bit"), needs=("targets",)),
        "gradient": Criterion(_("no gradient reaches the teacher"), needs=("targets",)),
        "mode": Criterion(_("the student is in training mode"), weight=0.5, needs=("targets",)),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"targets first": code.PYTORCH_FIRST, "frozen": code.PYTORCH_FROZEN},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"targets first": code.KERAS_FIRST, "frozen": code.KERAS_FROZEN},
            mistakes=code.mistakes("keras"),
            equivalent={"p = ops.softmax(teacher(x) / temperature)": "called by itself, a model is in inference mode"},
        ),
    },
    complexity=_(
        "A batch costs one forward pass of the teacher and about three of the student, which has a backward pass too; "
        "the faulty program ran backward through both. Without a graph the teacher's activations need not be kept."
    ),
)
