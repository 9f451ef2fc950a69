"""A hint: the student's features, through a projector, towards the teacher's."""

import numpy as np

from tl_course.exercises.distillation import _hint_loss_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Features of two widths, and a projector that has learned something."""
    student_dim, teacher_dim = int(rng.integers(3, 5)), int(rng.integers(6, 8))
    drawn = {
        "student": rng.normal(size=(5, student_dim)),
        "teacher": rng.normal(size=(5, teacher_dim)),
        "kernel": rng.normal(size=(student_dim, teacher_dim)),
        "bias": rng.normal(size=teacher_dim),
    }
    inputs = {name: array.astype(np.float32) for name, array in drawn.items()}
    return [Case("two widths", inputs, ("value", "student", "projector", "teacher"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare loss and gradients with those worked out by hand."""
    inputs = {name: array.astype(np.float64) for name, array in case.inputs.items()}
    gap = inputs["student"] @ inputs["kernel"] + inputs["bias"] - inputs["teacher"]
    slope = 2 * gap / gap.size
    right = {"kernel": inputs["student"].T @ slope, "bias": slope.sum(axis=0)}
    stuck = _("no gradient reaches the projector's {name}")
    none = _("no gradient reaches the student's features")
    found = [
        close("value", observed["loss"], (gap**2).mean(), _("the loss")),
        holds("student", observed["student"] is not None, none),
        holds("teacher", not observed["touched"], _("gradients flow to the teacher")),
    ]
    if observed["student"] is not None:
        what = _("the gradient by the student's features")
        found.append(close("student", observed["student"], slope @ inputs["kernel"].T, what))
    for name, gradient in right.items():
        seen = observed[name]
        found.append(holds("projector", seen is not None, stuck.format(name=name)))
        what = _("the gradient by the projector's {name}").format(name=name)
        found += [close("projector", seen, gradient, what)] if seen is not None else []
    return found


def _fitting(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        text = _("the projector's weight has shape {seen}; {right} was expected")
        raise NotPlain(text.format(seen=shape, right=expected))


def _with_bias(projector) -> None:
    if projector.bias is None:
        raise NotPlain(_("the projector has no bias"))


def probe_pytorch(candidate, inputs):
    """The loss with a given projector, and all gradients."""
    import torch

    hint = instance(candidate(inputs["student"].shape[1], inputs["teacher"].shape[1]), torch.nn.Module)
    projector = instance(getattr(hint, "projector", None), torch.nn.Linear)
    _with_bias(projector)
    _fitting(tuple(projector.weight.shape), inputs["kernel"].T.shape)
    with torch.no_grad():
        projector.weight.copy_(torch.tensor(inputs["kernel"].T))
        projector.bias.copy_(torch.tensor(inputs["bias"]))
    student, teacher = (torch.tensor(inputs[name], requires_grad=True) for name in ("student", "teacher"))
    loss = instance(hint(student, teacher), torch.Tensor)
    if loss.ndim == 0 and loss.requires_grad:
        loss.backward()
    grads = [None if t.grad is None else as_array(t.grad) for t in (student, teacher, projector.weight, projector.bias)]
    kernel = None if grads[2] is None else grads[2].T
    touched = grads[1] is not None and bool(grads[1].any())
    return {"loss": as_array(loss), "student": grads[0], "kernel": kernel, "bias": grads[3], "touched": touched}


def probe_keras(candidate, inputs):
    """The loss with a given projector, and all gradients."""
    import keras
    import tensorflow as tf

    hint = instance(candidate(inputs["student"].shape[1], inputs["teacher"].shape[1]), keras.layers.Layer)
    student, teacher = (tf.constant(inputs[name]) for name in ("student", "teacher"))
    hint(student, teacher)  # builds its layers
    projector = instance(getattr(hint, "projector", None), keras.layers.Dense)
    _with_bias(projector)
    _fitting(tuple(projector.kernel.shape), inputs["kernel"].shape)
    projector.kernel.assign(inputs["kernel"])
    projector.bias.assign(inputs["bias"])
    with tf.GradientTape() as tape:
        tape.watch([student, teacher])
        loss = tf.convert_to_tensor(hint(student, teacher))
    wanted = [student, teacher, projector.kernel.value, projector.bias.value]
    given = tape.gradient(loss, wanted) if loss.shape == () else [None] * 4
    trained = {id(variable) for variable in hint.trainable_variables}
    frozen = [id(variable) not in trained for variable in (projector.kernel, projector.bias)]
    grads = [None if gradient is None else as_array(gradient) for gradient in given]
    kernel, bias = (None if still else gradient for still, gradient in zip(frozen, grads[2:], strict=True))
    touched = grads[1] is not None and bool(grads[1].any())
    return {"loss": as_array(loss), "student": grads[0], "kernel": kernel, "bias": bias, "touched": touched}


NAME = "a layer's name computes nothing"

EXERCISE = Exercise(
    id="hint-loss",
    title=_("A hint from a hidden layer"),
    lesson="06_distillation",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "FitNets teach a student what its teacher computes half-way. The widths differ, so a projector stands between "
        "them. Write `HintLoss(student_dim, teacher_dim)`, an nn.Module or a Keras layer with the linear layer "
        "`projector` (with bias). Called with student features (N, student_dim) and teacher features (N, teacher_dim), "
        "it returns the mean, over all elements, of the squared difference after projection. Gradients reach the "
        "student and the projector, never the teacher."
    ),
    hints=(
        _("Which of the two sides is projected, so that the target stays fixed?"),
        _("One linear layer without activation, one difference, one mean. And one of the two is a constant."),
        _("project(student) - stop_gradient(teacher), squared, mean over everything."),
    ),
    follow_ups=(
        FollowUp(
            _("Why project the student to the teacher's width, and not the teacher to the student's?"),
            _(
                "A projector on the teacher that is trained along could map everything to a constant which the student "
                "copies at once: loss 0, nothing learned. On the student's side the target is fixed."
            ),
        ),
        FollowUp(
            _("What happens to the projector after training, and how deep should the hint be taken?"),
            _(
                "It is thrown away. Romero et al. take the middle layer of both: too deep a hint regularises too much "
                "and leaves the student no freedom. For Transformers, TinyBERT takes several layers and the embeddings."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the mean squared difference after projection"), weight=2),
        "student": Criterion(_("teaches the student")),
        "projector": Criterion(_("trains the projector along")),
        "teacher": Criterion(_("leaves the teacher alone"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"loss module": code.PYTORCH_MODULE, "by hand": code.PYTORCH_BY_HAND},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"loss class": code.KERAS_LOSS, "by hand": code.KERAS_BY_HAND},
            mistakes=code.mistakes("keras"),
            equivalent={
                "self.projector = layers.Dense(teacher_dim)": NAME,
                "self.projector = layers.Dense(teacher_dim, name='projector_')": NAME,
            },
        ),
    },
    complexity=_(
        "O(N·`student_dim`·`teacher_dim`) time for the projector, three times that with its backward pass, and "
        "(`student_dim` + 1)·`teacher_dim` parameters, which are thrown away after training. The teacher's forward "
        "pass dominates."
    ),
)
