"""One step of distillation: PyTorch's loop body, Keras's train_step."""

import numpy as np

from tl_course.exercises.distillation import _train_step_code as code
from tl_course.exercises.distillation._teachers import (
    TEACHER,
    draw_student,
    draw_teacher,
    keras_observed,
    keras_pair,
    torch_observed,
    torch_pair,
    train_student,
)
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Two steps on batches of unequal size."""
    sizes = [7, 5]
    inputs = {
        "teacher": draw_teacher(rng),
        "student": draw_student(rng),
        "x": [(rng.normal(size=(size, 5)) + 0.5).astype(np.float32) for size in sizes],
        "y": [rng.integers(0, 4, size=size) for size in sizes],
        "lr": float(rng.uniform(0.1, 0.2)),
        "temperature": float(rng.uniform(2, 3)),
        "alpha": float(rng.uniform(0.3, 0.7)),
    }
    return [Case("two steps", inputs, ("student", "teacher", "mode", "loss"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the student and the losses with those calculated step by step, and the teacher with what it was."""
    inputs = case.inputs
    right, losses = train_student(inputs)
    found = [close("student", observed["student"][k], right[k], _("the student's {k}").format(k=k)) for k in right]
    for name in TEACHER:
        what = _("the teacher's {name} after training").format(name=name)
        found.append(close("teacher", observed["teacher"][name], inputs["teacher"][name], what, rtol=0, atol=0))
    return [
        *found,
        holds("teacher", not observed["gradients"], _("gradients were worked out for the teacher")),
        holds("mode", observed["student training"], _("the student did not run in training mode")),
        holds("mode", observed["in use"], _("called in use, the student should run once, in inference mode")),
        close("loss", observed["losses"], losses, _("the losses"), rtol=1e-3, atol=1e-4),
    ]


def probe_pytorch(candidate, inputs):
    """Take the steps; look at both models and the losses."""
    import torch

    teacher, student, modes = torch_pair(inputs)
    optimizer = torch.optim.SGD(student.parameters(), lr=inputs["lr"])
    losses = []
    for x, y in zip(inputs["x"], inputs["y"], strict=True):
        batch = torch.tensor(x), torch.tensor(y)
        losses.append(as_array(candidate(student, teacher, optimizer, batch, inputs["temperature"], inputs["alpha"])))
    return {**torch_observed(teacher, student, modes), "losses": as_array(losses), "in use": True}


def probe_keras(candidate, inputs):
    """Take the steps, without the graph that `fit` would make; look at both models and the losses."""
    import keras
    import tensorflow as tf

    teacher, student, modes = keras_pair(inputs)
    distiller = instance(candidate(student, teacher, inputs["temperature"], inputs["alpha"]), keras.Model)
    distiller.compile(optimizer=keras.optimizers.SGD(inputs["lr"]), run_eagerly=True)
    losses = []
    for x, y in zip(inputs["x"], inputs["y"], strict=True):
        distiller.reset_metrics()
        losses.append(as_array(distiller.train_step((tf.constant(x), tf.constant(y)))["kd_loss"]))
    found = keras_observed(teacher, student, modes, inputs)
    modes["student"].clear()
    distiller(inputs["x"][0])
    return {**found, "losses": as_array(losses), "in use": modes["student"] == [False]}


EXERCISE = Exercise(
    id="train-step",
    title=_("One step of distillation"),
    lesson="06_distillation",
    minutes=15,
    difficulty=3,
    points=5,
    statement=_(
        "`kd_loss` is given; write what is around it. PyTorch: `distill_step(student, teacher, optimizer, batch, "
        "temperature, alpha)`. Keras: the model `Distiller(student, teacher, temperature, alpha)` with its own "
        "`train_step`, used through `compile(optimizer=...)` and `fit`. The student learns in training mode; the "
        "teacher answers in inference mode, gets no gradient and stays bit for bit the same; the loss before the step "
        'is returned (Keras: as "kd_loss").'
    ),
    hints=(
        _("Write the step in five lines of words: ask the teacher, ask the student, loss, gradients, update."),
        _("For each of the two models: which mode, with gradients or without, and who updates it?"),
        _("PyTorch: eval and no_grad for the teacher. Keras: training=False, and only the student's variables."),
    ),
    follow_ups=(
        FollowUp(
            _("The teacher takes ten times as long as the student. What do you do?"),
            _(
                "Its answers do not change, so compute them once for every view and read them from a cache; use larger "
                "batches and lower precision for it. Then a step costs what the student costs."
            ),
        ),
        FollowUp(
            _("Why may a student be better than its teacher, and why is it often not?"),
            _(
                "Soft targets regularise and tell how classes resemble each other, and unlabelled data can be added. "
                "But a small student cannot copy a very strong teacher (the capacity gap), and its mistakes are "
                "copied too."
            ),
        ),
    ),
    criteria={
        "student": Criterion(_("trains the student on both terms"), weight=2),
        "teacher": Criterion(_("leaves the teacher as it is"), needs=("student",)),
        "mode": Criterion(_("trains the student in training mode"), weight=0.5, needs=("student",)),
        "loss": Criterion(_("reports the loss before the step"), weight=0.5),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"gradients": code.PYTORCH_GRAD, "closure": code.PYTORCH_CLOSURE},
            mistakes=code.mistakes("pytorch"),
            equivalent={"return loss": "a scalar tensor, which shows as a number"},
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"compute_loss": code.KERAS_COMPUTE_LOSS, "by hand": code.KERAS_BY_HAND},
            mistakes=code.mistakes("keras"),
            equivalent={
                "return self.student(inputs)": "Keras hands the outer call's mode on to the layers inside",
                "teacher_logits = self.teacher(x)": "called by itself, a model is in inference mode",
            },
        ),
    },
    complexity=_(
        "One forward pass of the teacher, whose activations are not kept, and about three of the student for forward "
        "and backward pass. For fixed inputs a cache of N·K logits would spare the teacher all epochs but the first."
    ),
)
