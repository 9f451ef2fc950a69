"""Mix a batch with itself: images and labels with the same weight."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import numpy as np
import torch
import torch.nn.functional as F


def mixup(
    images: torch.Tensor, y: torch.Tensor, num_classes: int, alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each example with a partner from the same batch (Zhang et al. 2018).

    Args:
        images: float, shape (N, C, H, W).
        y: classes, integer, shape (N,).
        num_classes: number of classes K.
        alpha: the batch's weight is `rng.beta(alpha, alpha)`; 0 turns mixing off.
        rng: where chance comes from: first the weight, then the partners, `rng.permutation(N)`.

    Returns:
        weight * own + (1 - weight) * partner: of the images, shape (N, C, H, W), and of the one-hot labels, (N, K).
    """
    targets = F.one_hot(y, num_classes).float()
    if alpha == 0:
        return images, targets
    weight, partner = rng.beta(alpha, alpha), rng.permutation(len(y))
    mixed = weight * images + (1 - weight) * images[partner]
    return mixed, weight * targets + (1 - weight) * targets[partner]
'''

PYTORCH_LERP = """
import torch


def mixup(images, y, num_classes, alpha, rng):
    weight = rng.beta(alpha, alpha) if alpha else 1.0
    order = torch.as_tensor(rng.permutation(y.numel()))
    targets = torch.eye(num_classes)[y]
    return tuple(torch.lerp(part[order], part, weight) for part in (images, targets))
"""

PYTORCH_LOOP = """
import torch


def mixup(images, y, num_classes, alpha, rng):
    weight = float(rng.beta(alpha, alpha)) if alpha > 0 else 1.0
    partners = rng.permutation(len(images)).tolist()
    mixed, targets = images * weight, torch.zeros(len(y), num_classes)
    for i, j in enumerate(partners):
        mixed[i] += (1 - weight) * images[j]
        targets[i, y[i]] += weight
        targets[i, y[j]] += 1 - weight
    return mixed, targets
"""

KERAS = '''
import numpy as np
from keras import ops


def mixup(images, y, num_classes: int, alpha: float, rng: np.random.Generator):
    """Mix each example with a partner from the same batch (Zhang et al. 2018).

    Args:
        images: float, shape (N, H, W, C).
        y: classes, integer, shape (N,).
        num_classes: number of classes K.
        alpha: the batch's weight is `rng.beta(alpha, alpha)`; 0 turns mixing off.
        rng: where chance comes from: first the weight, then the partners, `rng.permutation(N)`.

    Returns:
        weight * own + (1 - weight) * partner: of the images, shape (N, H, W, C), and of the one-hot labels, (N, K).
    """
    targets = ops.one_hot(y, num_classes)
    if alpha == 0:
        return images, targets
    weight, partner = rng.beta(alpha, alpha), rng.permutation(len(y))
    mixed = weight * images + (1 - weight) * ops.take(images, partner, axis=0)
    return mixed, weight * targets + (1 - weight) * ops.take(targets, partner, axis=0)
'''

KERAS_MATRIX = """
import numpy as np
from keras import ops


def mixup(images, y, num_classes, alpha, rng):
    weight = rng.beta(alpha, alpha) if alpha else 1.0
    count = images.shape[0]
    matrix = weight * np.eye(count) + (1 - weight) * np.eye(count)[rng.permutation(count)]
    matrix = ops.convert_to_tensor(matrix.astype("float32"))
    return ops.tensordot(matrix, images, axes=1), ops.matmul(matrix, ops.one_hot(y, num_classes))
"""

KERAS_NUMPY = """
import keras
import numpy as np


def mixup(images, y, num_classes, alpha, rng):
    x, targets = np.asarray(images), keras.utils.to_categorical(np.asarray(y), num_classes)
    weight = 1.0 if alpha == 0 else rng.beta(alpha, alpha)
    order = rng.permutation(len(x))
    return [keras.ops.convert_to_tensor(part[order] + weight * (part - part[order])) for part in (x, targets)]
"""

MESSAGES = {
    "labels-kept": _("the images are mixed and the labels are not: half a dog keeps the label of a whole cat"),
    "images-kept": _("the labels are mixed and the images are not: that is noise in the labels"),
    "label-weight": _("the labels get the weights the other way round"),
    "label-partner": _("the labels are mixed with other partners than the images"),
    "numbers": _("class numbers are mixed: half of class 0 and half of class 2 is not class 1"),
    "per-example": _("each example gets a weight of its own; here one weight is drawn for the batch"),
    "reversed": _("the partner is the example at the other end of the batch, not one that chance assigns"),
    "average": _("the weight is always one half; it should be drawn, and alpha says how"),
    "no-off": _("alpha 0 should turn mixing off: a beta distribution needs positive parameters"),
    "uniform": _("alpha plays no part: the weight is drawn evenly"),
}
DRAW, TARGETS = "rng.beta(alpha, alpha), rng.permutation(len(y))", "weight * targets + (1 - weight) * "
OFF = "    if alpha == 0:\n        return images, targets\n"
COMMON = {
    "images-kept": (("return mixed, weight", "return images, weight"),),
    "label-weight": ((TARGETS, "(1 - weight) * targets + weight * "),),
    "reversed": ((DRAW, "rng.beta(alpha, alpha), np.arange(len(y))[::-1].copy()"),),
    "average": (("rng.beta(alpha, alpha), rng", "0.5, rng"),),
    "no-off": ((OFF, ""),),
    "uniform": (("rng.beta(alpha, alpha), rng", "rng.uniform(), rng"),),
}
SHAPED = "rng.beta(alpha, alpha, len(y))"
TORCH_EDITS = {
    **COMMON,
    "labels-kept": ((TARGETS + "targets[partner]", "targets"),),
    "label-partner": (("targets[partner]", "targets[rng.permutation(len(y))]"),),
    "numbers": ((TARGETS + "targets[partner]", "weight * y + (1 - weight) * y[partner]"),),
    "per-example": (
        (DRAW, f"torch.tensor({SHAPED}).float()[:, None], rng.permutation(len(y))"),
        ("weight * images + (1 - weight) *", "weight[..., None, None] * images + (1 - weight[..., None, None]) *"),
    ),
}
KERAS_PARTNER = "ops.take(targets, partner, axis=0)"
KERAS_EDITS = {
    **COMMON,
    "labels-kept": ((TARGETS + KERAS_PARTNER, "targets"),),
    "label-partner": ((KERAS_PARTNER, "ops.take(targets, rng.permutation(len(y)), axis=0)"),),
    "numbers": (
        (TARGETS + KERAS_PARTNER, 'weight * ops.cast(y, "float32") + (1 - weight) * ops.cast(y, "float32")[::-1]'),
    ),
    "per-example": (
        (DRAW, f'{SHAPED}.astype("float32")[:, None], rng.permutation(len(y))'),
        ("weight * images + (1 - weight) *", "weight[..., None, None] * images + (1 - weight[..., None, None]) *"),
    ),
}
EQUIVALENT = {"weight, partner = (rng.beta(alpha, alpha), rng.permutation(len(y)))": "both parameters are alpha"}


def cases(rng: np.random.Generator) -> list[Case]:
    """Two batches that are mixed, and one that is not."""

    def batch(alpha: float) -> dict[str, Plain]:
        images = rng.uniform(size=(6, 2, 4, 3)).astype(np.float32)  # (N, H, W, C)
        y = rng.permutation([0, 1, 2, 3, 4, 2])
        return {"images": images, "y": y, "num_classes": 7, "alpha": alpha, "seed": int(rng.integers(1000))}

    mixed = ("images", "labels", "untouched")
    return [
        Case("alpha 0.4", batch(0.4), mixed),
        Case("alpha 2", batch(2.0), mixed),
        Case("alpha 0", batch(0.0), ("off",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the batch mixed example by example, by the same generator."""
    inputs, rng = case.inputs, np.random.default_rng(case.inputs["seed"])
    weight = rng.beta(inputs["alpha"], inputs["alpha"]) if inputs["alpha"] else 1.0
    partner = rng.permutation(len(inputs["y"]))
    images, targets = np.zeros(inputs["images"].shape), np.zeros((len(partner), inputs["num_classes"]))
    for i, j in enumerate(partner):
        for k, share in ((i, weight), (j, 1 - weight)):
            images[i] += share * inputs["images"][k]
            targets[i, inputs["y"][k]] += share
    if case.name == "alpha 0":
        return [
            close("off", observed["images"], images, _("the images with alpha 0")),
            close("off", observed["labels"], targets, _("the labels with alpha 0")),
        ]
    return [
        close("images", observed["images"], images, _("the images")),
        close("labels", observed["labels"], targets, _("the labels")),
        holds("untouched", observed["kept"], _("your function changed the batch that it was given")),
    ]


def probe_pytorch(candidate, inputs):
    """Mix one batch; channels stand first in PyTorch."""
    import torch

    images = torch.from_numpy(inputs["images"]).permute(0, 3, 1, 2).contiguous()
    given, y = images.clone(), torch.from_numpy(inputs["y"])
    rng = np.random.default_rng(inputs["seed"])
    mixed, targets = candidate(given, y, inputs["num_classes"], inputs["alpha"], rng)
    mixed = as_array(mixed)
    mixed = np.moveaxis(mixed, 1, -1) if mixed.ndim == 4 else mixed
    kept = torch.equal(given, images) and np.array_equal(as_array(y), inputs["y"])
    return {"images": mixed, "labels": as_array(targets), "kept": kept}


def probe_keras(candidate, inputs):
    """Mix one batch."""
    from keras import ops

    images, y = ops.convert_to_tensor(inputs["images"]), ops.convert_to_tensor(inputs["y"])
    rng = np.random.default_rng(inputs["seed"])
    mixed, targets = candidate(images, y, inputs["num_classes"], inputs["alpha"], rng)
    return {"images": as_array(mixed), "labels": as_array(targets), "kept": True}


EXERCISE = Exercise(
    id="mixup-batch",
    title=_("Between two examples"),
    lesson="08_when_transfer_fails",
    minutes=10,
    difficulty=2,
    points=3,
    statement=_(
        "Mixup trains on blends of two examples. Write `mixup(images, y, num_classes, alpha, rng)`: draw one weight "
        "for the batch with `rng.beta(alpha, alpha)`, then partners with `rng.permutation(N)`, in this order, and "
        "return weight times own plus (1 - weight) times partner, of the images and of the one-hot labels. With alpha "
        "0 nothing is mixed. The batch that came in stays as it was."
    ),
    hints=(
        _("What happens to the images must happen to the labels, or they no longer belong together."),
        _("Class numbers cannot be averaged. In which form can labels be?"),
        _("Draw weight and partners once, index images and one-hot labels with the same partners, and blend both."),
    ),
    follow_ups=(
        FollowUp(
            _("What does alpha control? Compare 0.2 with 2."),
            _(
                "The shape of the weight's distribution: 0.2 puts most weights near 0 or 1, so blends are nearly pure; "
                "2 puts them near one half. Small alphas regularise gently; large ones underfit small models and "
                "blur fine differences."
            ),
        ),
        FollowUp(
            _("Training accuracy under mixup is low. Is something wrong?"),
            _(
                "No: a blend has no single right class, so argmax accuracy on mixed batches means little and the loss "
                "cannot reach zero. Judge by clean validation data."
            ),
        ),
    ),
    criteria={
        "images": Criterion(_("blends each image with its partner"), needs=("labels",)),
        "labels": Criterion(_("blends the one-hot labels in the same way")),
        "off": Criterion(_("mixes nothing when alpha is 0"), weight=0.5),
        "untouched": Criterion(_("leaves the batch it was given alone"), weight=0.5, needs=("images", "labels")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"lerp": PYTORCH_LERP, "loop": PYTORCH_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in TORCH_EDITS.items()},
            equivalent=EQUIVALENT,
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"matrix": KERAS_MATRIX, "numpy": KERAS_NUMPY},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in KERAS_EDITS.items()},
            equivalent=EQUIVALENT,
        ),
    },
    complexity=_(
        "O(N·C·H·W + N·K) time and memory: the mixed images are a new array, and for a moment the partners are "
        "another. The model's work is that of a plain batch: one forward and backward pass for N images."
    ),
)
