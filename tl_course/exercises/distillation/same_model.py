"""Find the fault: a soft loss of exactly 0, because the student is its teacher."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tl_course.exercises.distillation import _same_model_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """A trained teacher of three layers: each has a kernel and a bias."""
    sizes = [int(rng.integers(6, 9)), 7, 5, 3]
    shapes = [shape for pair in pairwise(sizes) for shape in (pair, pair[1:])]
    weights = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    return [Case("a trained teacher", {"weights": weights}, ("fresh", "apart", "learns", "kept"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Look at shapes and values of the student's weights, at who can learn, and at the teacher afterwards."""
    given, student = case.inputs["weights"], observed["student"]
    shapes = _("the student's weights have shapes {seen}, the teacher's {right}")
    sizes = [tuple(array.shape) for array in student], [array.shape for array in given]
    alike = sizes[0] == sizes[1]
    kernels = [(mine, theirs) for mine, theirs in zip(student, given, strict=False) if theirs.ndim == 2]
    known = sum(not (np.abs(mine - theirs) > 1e-3).mean() > 0.9 for mine, theirs in kernels) if alike else 0
    text = _("{count} of the student's {total} layers hold the teacher's weights").format(
        count=known, total=len(kernels)
    )
    drawn = alike and all(len(np.unique(mine)) > mine.size / 2 for mine, _theirs in kernels)
    frozen = _("{count} of the student's {total} weights are trainable, in training mode: {mode}")
    frozen = frozen.format(count=observed["trainable"], total=len(student), mode=observed["training"])
    learns = observed["trainable"] == len(given) and observed["training"]
    changed = _("the teacher is no longer frozen and in inference mode")
    apart = _("a change of the student's weights changes the teacher's answers")
    return [
        holds("fresh", alike, shapes.format(seen=sizes[0], right=sizes[1])),
        holds("fresh", known == 0, text),
        holds("fresh", drawn or not alike, _("the student's weights are not drawn at random")),
        holds("learns", learns, frozen),
        holds("apart", observed["apart"], apart),
        *(
            close("kept", new, old, _("a weight of the teacher"))
            for new, old in zip(observed["teacher"], given, strict=True)
        ),
        holds("kept", observed["teacher frozen"], changed),
    ]


def _observe(weights: Callable, student, teacher, disturb: Callable) -> dict[str, Plain]:
    """Both models' weights, and whether disturbing the student's leaves the teacher's alone."""
    before, mine = weights(teacher), weights(student)
    disturb()
    apart = all(np.array_equal(old, new) for old, new in zip(before, weights(teacher), strict=True))
    return {"student": mine, "teacher": before, "apart": apart}


def probe_pytorch(candidate, inputs):
    """Make a student; look at both models, then disturb the student."""
    import torch
    from torch import nn

    kernels, biases = inputs["weights"][::2], inputs["weights"][1::2]
    layers: list[nn.Module] = []
    for kernel, bias in zip(kernels, biases, strict=True):
        linear = nn.Linear(*kernel.shape)
        linear.load_state_dict({"weight": torch.tensor(kernel.T), "bias": torch.tensor(bias)})
        layers += [linear, nn.ReLU()]
    teacher = nn.Sequential(*layers[:-1]).requires_grad_(False).eval()
    student = instance(candidate(teacher), nn.Module)

    def weights(model: nn.Module) -> list[np.ndarray]:
        return [as_array(value.T) if value.ndim == 2 else as_array(value) for value in model.parameters()]

    def disturb() -> None:
        for value in student.parameters():
            value.data += 1

    trainable = sum(value.requires_grad for value in student.parameters())
    flags = [value.requires_grad for value in teacher.parameters()], [m.training for m in teacher.modules()]
    training = all(module.training for module in student.modules())
    student(torch.zeros(2, len(kernels[0])))
    found = _observe(weights, student, teacher, disturb)
    return {**found, "trainable": trainable, "training": training, "teacher frozen": not any(flags[0] + flags[1])}


def probe_keras(candidate, inputs):
    """Make a student; look at both models, then disturb the student."""
    import keras
    from keras import layers

    kernels = inputs["weights"][::2]
    inside = [keras.Input((len(kernels[0]),))]
    for number, kernel in enumerate(kernels):
        activation = None if number == len(kernels) - 1 else "relu"
        inside.append(layers.Dense(kernel.shape[1], activation=activation, name=f"layer_{number}"))
    teacher = keras.Sequential(inside, name="teacher")
    teacher.set_weights(inputs["weights"])
    teacher.trainable = False
    student = instance(candidate(teacher), keras.Model)
    trainable, frozen = len(student.trainable_variables), not any(layer.trainable for layer in teacher.layers)

    def disturb() -> None:
        student.set_weights([value + 1 for value in student.get_weights()])

    found = _observe(lambda model: model.get_weights(), student, teacher, disturb)
    return {**found, "trainable": trainable, "training": True, "teacher frozen": frozen}


EXERCISE = Exercise(
    id="same-model",
    title=_("The student is the teacher"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "For self-distillation the student has its teacher's architecture. The log shows a soft loss of exactly 0 from "
        "the first step on; with the labels' term added, the teacher's accuracy changes along with the student's. Find "
        "the fault in `new_student`, fix it, and prove it: another model with layers of the same shapes, newly "
        "initialised, all trainable (PyTorch: in training mode), while the teacher stays trained and frozen."
    ),
    hints=(
        _("How many sets of weights are there? Change one weight of the student and print the teacher's."),
        _("A copy with its own weights is not enough: with the same values there is nothing to learn."),
        _("PyTorch: a deep copy whose layers are reset. Keras: a function that clones. Then look at the flags."),
    ),
    follow_ups=(
        FollowUp(
            _("What is there to gain when student and teacher have the same architecture?"),
            _(
                "Born-again networks (Furlanello et al., 2018) often beat their teacher a little: soft targets act "
                "like an instance-specific label smoothing. It makes nothing smaller, so compare it with an ensemble "
                "and with training for longer."
            ),
        ),
        FollowUp(
            _("A smaller student starts from some of the teacher's layers. Why is that no fault?"),
            _(
                "Its output differs from the teacher's at once, as layers are missing, so the soft loss is above 0 and "
                "has a gradient. The copied weights are a good start (DistilBERT); they must be copies, though."
            ),
        ),
    ),
    criteria={
        "fresh": Criterion(_("gives a newly initialised model of the same shapes"), weight=2),
        "apart": Criterion(_("shares no weight with the teacher"), needs=("fresh",)),
        "learns": Criterion(_("gives a student that can be trained"), needs=("fresh",)),
        "kept": Criterion(_("leaves the teacher trained and frozen"), needs=("fresh",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"built": code.PYTORCH_BUILT, "drawn": code.PYTORCH_DRAWN},
            mistakes=code.mistakes("pytorch"),
            equivalent={"for module in student:": "a Sequential gives the same linear layers one by one"},
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"from config": code.KERAS_CONFIG, "built": code.KERAS_BUILT},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(P) time and memory for the student's own P parameters, once. In training gradients and optimiser state for "
        "these come on top, and for each batch a forward pass of the teacher that costs as much as the student's own."
    ),
)
