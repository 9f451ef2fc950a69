"""Where a network looks: the loss of attention transfer."""

import numpy as np

from tl_course.exercises.distillation._losses import PROBES, fewer, teacher_alone, value_and_gradient
from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch.nn import functional


def attention_transfer_loss(student_maps: torch.Tensor, teacher_maps: torch.Tensor) -> torch.Tensor:
    """How far a student looks elsewhere than its teacher (Zagoruyko & Komodakis, 2017).

    Args:
        student_maps: activations, float, shape (N, C, H, W).
        teacher_maps: activations, float, shape (N, D, H, W), of another number of channels; no gradient flows to them.

    Returns:
        A scalar. Each example's picture is the mean over the channels of the squared activations, flattened to H * W
        values and brought to Euclidean length 1. The loss is the mean, over examples and positions, of the squared
        difference of the two pictures.
    """
    student, teacher = (
        functional.normalize(maps.square().mean(dim=1).flatten(1), dim=1) for maps in (student_maps, teacher_maps)
    )
    return functional.mse_loss(student, teacher.detach())
'''

PYTORCH_NORM = """
import torch


def attention_transfer_loss(student_maps, teacher_maps):
    def picture(maps):
        summed = torch.einsum("nchw,nchw->nhw", maps, maps).reshape(len(maps), -1)
        return summed / torch.linalg.vector_norm(summed, dim=1, keepdim=True)

    with torch.no_grad():
        target = picture(teacher_maps)
    gap = picture(student_maps) - target
    return (gap * gap).sum() / gap.numel()
"""

PYTORCH_COSINE = """
import torch


def attention_transfer_loss(student_maps, teacher_maps):
    s, t = ((maps**2).sum(1).flatten(start_dim=1) for maps in (student_maps, teacher_maps.detach()))
    cosine = torch.nn.functional.cosine_similarity(s, t, dim=1)  # of vectors of length 1: |s - t|^2 = 2 - 2 cos
    return torch.mean(2 - 2 * cosine) / s.shape[1]
"""

KERAS = '''
from keras import ops


def attention_transfer_loss(student_maps, teacher_maps):
    """How far a student looks elsewhere than its teacher (Zagoruyko & Komodakis, 2017).

    Args:
        student_maps: activations, float, shape (N, H, W, C).
        teacher_maps: activations, float, shape (N, H, W, D), of another number of channels; no gradient flows to them.

    Returns:
        A scalar. Each example's picture is the mean over the channels of the squared activations, flattened to H * W
        values and brought to Euclidean length 1. The loss is the mean, over examples and positions, of the squared
        difference of the two pictures.
    """
    student, teacher = (
        ops.normalize(ops.reshape(ops.mean(maps**2, axis=3), (len(maps), -1)), axis=1)
        for maps in (student_maps, teacher_maps)
    )
    return ops.mean((student - ops.stop_gradient(teacher)) ** 2)
'''

KERAS_NORM = """
from keras import ops


def attention_transfer_loss(student_maps, teacher_maps):
    def picture(maps):
        summed = ops.sum(ops.square(maps), axis=-1)  # (N, H, W)
        return summed / ops.sqrt(ops.sum(ops.square(summed), axis=(1, 2), keepdims=True))

    gap = picture(student_maps) - picture(ops.stop_gradient(teacher_maps))
    return ops.mean(ops.square(gap))
"""

KERAS_COSINE = """
import tensorflow as tf


def attention_transfer_loss(student_maps, teacher_maps):
    s, t = (tf.einsum("nhwc,nhwc->nhw", maps, maps) for maps in (student_maps, tf.stop_gradient(teacher_maps)))
    products = (tf.reduce_sum(a * b, axis=[1, 2]) for a, b in ((s, t), (s, s), (t, t)))
    st, ss, tt = products
    return tf.reduce_mean(2 - 2 * st * tf.math.rsqrt(ss * tt)) / (s.shape[1] * s.shape[2])
"""

MESSAGES = {
    "not-normalised": _(
        "the pictures are not brought to length 1: how strong activations are outweighs where they are"
    ),
    "not-squared": _("activations are averaged with their signs: strong ones of both signs cancel"),
    "over-positions": _("the mean is taken over positions: what is left says which channels are active, not where"),
    "batch-length": _("the whole batch is brought to length 1, not each example's picture"),
    "length-squared": _("the pictures add up to 1; they were to have Euclidean length 1"),
    "summed": _("the squared differences are added up, so the loss grows with the batch"),
    "teacher-learns": _("gradients flow to the teacher"),
    "absolute": _("absolute differences are taken, not squared ones"),
    "per-example": _("each example's loss is returned; a scalar was asked for"),
}
PICTURE = {
    "pytorch": "maps.square().mean(dim=1).flatten(1)",
    "keras": "ops.reshape(ops.mean(maps**2, axis=3), (len(maps), -1))",
}
WHOLE = {
    "pytorch": "functional.normalize(maps.square().mean(dim=1).flatten(1), dim=1)",
    "keras": "ops.normalize(ops.reshape(ops.mean(maps**2, axis=3), (len(maps), -1)), axis=1)",
}
RETURN = {
    "pytorch": "functional.mse_loss(student, teacher.detach())",
    "keras": "ops.mean((student - ops.stop_gradient(teacher)) ** 2)",
}
EDITS = {
    "pytorch": {
        "not-normalised": (WHOLE["pytorch"], PICTURE["pytorch"]),
        "not-squared": ("maps.square().mean", "maps.mean"),
        "over-positions": (PICTURE["pytorch"], "maps.square().mean(dim=1).mean(dim=1)"),
        "batch-length": (WHOLE["pytorch"], "functional.normalize(maps.square().mean(dim=1).flatten(), dim=0)"),
        "length-squared": (WHOLE["pytorch"], f"functional.normalize({PICTURE['pytorch']}, dim=1, p=1)"),
        "summed": (RETURN["pytorch"], "((student - teacher.detach()) ** 2).sum()"),
        "teacher-learns": ("teacher.detach()", "teacher"),
        "absolute": (RETURN["pytorch"], "functional.l1_loss(student, teacher.detach())"),
        "per-example": (RETURN["pytorch"], "((student - teacher.detach()) ** 2).mean(dim=1)"),
    },
    "keras": {
        "not-normalised": (WHOLE["keras"], PICTURE["keras"]),
        "not-squared": ("ops.mean(maps**2, axis=3)", "ops.mean(maps, axis=3)"),
        "over-positions": (PICTURE["keras"], "ops.mean(ops.mean(maps**2, axis=3), axis=1)"),
        "batch-length": (WHOLE["keras"], "ops.normalize(ops.reshape(ops.mean(maps**2, axis=3), (-1,)), axis=0)"),
        "length-squared": (WHOLE["keras"], WHOLE["keras"].replace("axis=1)", "axis=1, order=1)")),
        "summed": (RETURN["keras"], "ops.sum((student - ops.stop_gradient(teacher)) ** 2)"),
        "teacher-learns": ("ops.stop_gradient(teacher)", "teacher"),
        "absolute": (RETURN["keras"], "ops.mean(ops.abs(student - ops.stop_gradient(teacher)))"),
        "per-example": (RETURN["keras"], "ops.mean((student - ops.stop_gradient(teacher)) ** 2, axis=1)"),
    },
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Activations of both signs and of two widths, channels last; and the same, twice as strong in the teacher."""
    student, teacher = rng.normal(size=(4, 2, 3, 5)), rng.normal(size=(4, 2, 3, 7)) * 2
    inputs = {"student": student.astype(np.float32), "teacher": teacher.astype(np.float32)}
    scale = float(rng.uniform(3, 5))
    return [
        Case("two widths", inputs, ("value", "gradient", "teacher")),
        Case("a louder teacher", fewer({**inputs, "teacher": inputs["teacher"] * np.float32(scale)}, 3), ("scale",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[float, np.ndarray]:
    """The loss, example by example, and its gradient by the student's activations."""
    losses, gradients = [], []
    for student, teacher in zip(
        inputs["student"].astype(np.float64), inputs["teacher"].astype(np.float64), strict=True
    ):
        raw, target = ((maps**2).mean(axis=2) for maps in (student, teacher))
        length = np.sqrt((raw**2).sum())
        unit, target = raw / length, target / np.sqrt((target**2).sum())
        losses.append(((unit - target) ** 2).mean())
        slope = 2 * (unit - target) / unit.size
        back = (slope - unit * (slope * unit).sum()) / length  # through the division by the length
        gradients.append(back[..., None] * 2 * student / student.shape[2])
    return float(np.mean(losses)), np.array(gradients) / len(losses)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare loss and gradient."""
    right = expected(case.inputs)
    if case.name != "two widths":
        return [close("scale", observed["loss"], right[0], _("the loss, {name}").format(name=case.name))]
    value, *rest = value_and_gradient("value", observed, right, case.name)
    gradient = [Finding("gradient", part.passed, part.message) for part in rest]
    return [value, *gradient, teacher_alone("teacher", observed)]


def probe_pytorch(candidate, inputs):
    """The loss of the maps, channels first, and its gradients."""
    found = PROBES["pytorch"](candidate, {name: maps.transpose(0, 3, 1, 2).copy() for name, maps in inputs.items()})
    gradient = found["gradient"]
    return {**found, "gradient": gradient.transpose(0, 2, 3, 1) if gradient.ndim == 4 else gradient}


EXERCISE = Exercise(
    id="attention-transfer",
    title=_("Look where the teacher looks"),
    lesson="06_distillation",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Write `attention_transfer_loss(student_maps, teacher_maps)` for activations of a convolutional layer; "
        "PyTorch: (N, C, H, W), Keras: (N, H, W, C); the teacher has another number of channels. An example's picture "
        "is the mean over channels of the squared activations, flattened and brought to Euclidean length 1. Return "
        "the mean, over examples and positions, of the squared difference of the two pictures: a scalar, without a "
        "gradient for the teacher."
    ),
    hints=(
        _("What is left of (N, C, H, W) when the loss must not care how many channels there are?"),
        _("Square, mean over channels, flatten, divide each row by its length. Which axis is the channels'?"),
        _("Do this for both; the teacher's picture is a constant; then it is an ordinary mean squared error."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is each picture brought to length 1?"),
            _(
                "Activations of two networks differ in scale by orders of magnitude, by depth and by normalisation. "
                "Length 1 leaves the pattern: where, not how much. It also keeps one weight of the loss right for "
                "several layers."
            ),
        ),
        FollowUp(
            _("Is this the same 'attention' as in a Transformer?"),
            _(
                "No. Here it is a picture of where activations are strong, made from a convolutional network "
                "afterwards. In a Transformer attention weights are part of the computation; to copy those, compare "
                "the maps or relations themselves, as TinyBERT and MiniLM do."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("compares where both networks look"), weight=2),
        "gradient": Criterion(_("teaches the student"), needs=("value",)),
        "scale": Criterion(_("does not care how loud the teacher is")),
        "teacher": Criterion(_("leaves the teacher alone"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"norm": PYTORCH_NORM, "cosine": PYTORCH_COSINE},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS["pytorch"].items()},
            equivalent={
                "student, teacher = (functional.normalize(maps.square().mean(dim=1).flatten(1)) for maps in "
                "(student_maps, teacher_maps))": "rows are what PyTorch normalises unless told otherwise",
                "return functional.mse_loss(teacher.detach(), student)": "a squared difference is symmetric",
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=PROBES["keras"],
            alternatives={"norm": KERAS_NORM, "cosine": KERAS_COSINE},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS["keras"].items()},
            equivalent={
                "student, teacher = (ops.normalize(ops.reshape(ops.mean(maps ** 2, axis=3), (len(maps), -1))) for maps "
                "in (student_maps, teacher_maps))": "the last axis is what Keras normalises unless told otherwise",
            },
        ),
    },
    complexity=_(
        "O(N·H·W·(C + D)) time and memory for C student and D teacher channels, bound by memory traffic: the squares "
        "are as large as the activations. The teacher's forward pass costs far more."
    ),
)
