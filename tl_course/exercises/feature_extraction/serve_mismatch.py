"""Find the fault: a service that feeds and runs its model otherwise than training did."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.feature_extraction._served_model import logits, probe_keras, probe_pytorch, telling_inputs
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def training_inputs(images: torch.Tensor) -> torch.Tensor:
    """What the training code feeds the backbone for RGB images in [0, 1], shape (N, 3, H, W)."""
    return (images - MEAN) / STD


@torch.inference_mode()
def predict(backbone: nn.Module, head: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The class of each image, as the service answers.

    Args:
        backbone: the trained backbone, in whatever mode it was loaded; gives features (N, D).
        head: the trained head; gives logits (N, num_classes).
        images: RGB, float, in [0, 1], shape (N, 3, H, W).

    Returns:
        Class indices, integer, shape (N,).
    """
    backbone.eval()
    head.eval()
    return head(backbone(training_inputs(images))).argmax(dim=1)
'''

PYTORCH_STARTER = PYTORCH.replace(
    """    backbone.eval()
    head.eval()
    return head(backbone(training_inputs(images))).argmax(dim=1)
""",
    """    features = backbone(images)  # (N, D)
    return head(features).argmax(dim=1)
""",
)

PYTORCH_SEQUENTIAL = """
import torch
from torch import nn


class Normalise(nn.Module):
    def forward(self, images):
        reds, greens, blues = images.unbind(1)
        return torch.stack([(reds - 0.485) / 0.229, (greens - 0.456) / 0.224, (blues - 0.406) / 0.225], 1)


def predict(backbone, head, images):
    model = nn.Sequential(Normalise(), backbone, head).eval()
    with torch.no_grad():
        logits = model(images)
    return logits.softmax(-1).max(-1).indices
"""

PYTORCH_ONE_BY_ONE = """
import torch


def predict(backbone, head, images):
    modes = [(module, module.training) for part in (backbone, head) for module in part.modules()]
    for module, was_training in modes:
        module.training = False
    mean, std = images.new_tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    classes = []
    for image in images:
        pixels = (image.permute(1, 2, 0) - mean) / std
        classes.append(int(head(backbone(pixels.permute(2, 0, 1)[None]))[0].argmax()))
    for module, was_training in modes:
        module.training = was_training
    return classes
"""

KERAS = '''
import keras
from keras import ops


def training_inputs(images):
    """What the training code feeds the backbone for RGB images in [0, 1], shape (N, H, W, 3)."""
    return images * 2.0 - 1.0


def predict(backbone: keras.Model, head: keras.Model, images):
    """The class of each image, as the service answers.

    Args:
        backbone: the trained backbone; gives features (N, D).
        head: the trained head; gives logits (N, num_classes).
        images: RGB, float, in [0, 1], shape (N, H, W, 3).

    Returns:
        Class indices, integer, shape (N,).
    """
    features = backbone(training_inputs(images), training=False)
    return ops.argmax(head(features, training=False), axis=1)
'''

KERAS_STARTER = KERAS.replace(
    """    features = backbone(training_inputs(images), training=False)
    return ops.argmax(head(features, training=False), axis=1)
""",
    """    features = backbone(images, training=True)  # (N, D)
    return ops.argmax(head(features, training=True), axis=1)
""",
)

KERAS_SEQUENTIAL = """
import keras
from keras import ops


def predict(backbone, head, images):
    model = keras.Sequential([keras.layers.Rescaling(2.0, offset=-1.0), backbone, head])
    return ops.argmax(ops.softmax(model(images)), axis=-1)
"""

KERAS_ONE_BY_ONE = """
import numpy as np


def predict(backbone, head, images):
    pixels = (np.asarray(images) - 0.5) / 0.5
    return [int(np.argmax(head(backbone(pixels[i : i + 1])))) for i in range(len(pixels))]
"""

BATCH_STATISTICS = _(
    "the model is run as in training: each batch is normalised with its own statistics, which also hides what scale "
    "the inputs have"
)
MESSAGES = {
    "both-faults": BATCH_STATISTICS,
    "both-training": BATCH_STATISTICS,
    "training-mode": _("the backbone normalises with each batch's own statistics, and serving changes the model"),
    "head-training": _("dropout in the head is still active: each answer is computed with some features missing"),
    "raw-inputs": _("the backbone gets pixels on another scale than in training"),
    "other-range": _("the pixels are blown up to 0…255 before the preprocessing, which expects them in [0, 1]"),
    "other-convention": _("this is the preprocessing of other pretrained weights; these were trained with their own"),
    "own-batch": _(
        "the pixels are standardised with the served batch's statistics, so an answer depends on its company"
    ),
    "bgr": _("the colour channels come in reverse order: the model sees red where blue is"),
    "argmin": _("the class reported is the least likely one"),
    "batch-axis": _("the largest value is sought over the images of the batch, not over the classes of an image"),
    "softmax-axis": _("the softmax runs over the batch, so images compete with each other instead of classes"),
    "logits": _("the service answers with one number for each class; callers expect one class for each image"),
}
TORCH_FED, TORCH_CLASS = "backbone(training_inputs(images))", ".argmax(dim=1)"
TORCH_EDITS = {
    "both-training": ("    backbone.eval()\n    head.eval()\n", ""),
    "training-mode": ("    backbone.eval()\n", ""),
    "head-training": ("    head.eval()\n", ""),
    "raw-inputs": (TORCH_FED, "backbone(images)"),
    "other-range": (TORCH_FED, "backbone(training_inputs(images * 255))"),
    "other-convention": (TORCH_FED, "backbone(images * 2 - 1)"),
    "own-batch": (TORCH_FED, "backbone((images - images.mean((0, 2, 3), True)) / images.std((0, 2, 3), keepdim=True))"),
    "bgr": (TORCH_FED, "backbone(training_inputs(images.flip(1)))"),
    "argmin": (TORCH_CLASS, ".argmin(dim=1)"),
    "batch-axis": (TORCH_CLASS, ".argmax(dim=0)"),
    "softmax-axis": (TORCH_CLASS, ".softmax(dim=0).argmax(dim=1)"),
    "logits": (TORCH_CLASS, ""),
}
KERAS_BODY = KERAS.partition("features = ")[2].strip()
KERAS_FED, KERAS_CLASS = (
    "backbone(training_inputs(images), training=False)",
    "ops.argmax(head(features, training=False), axis=1)",
)
KERAS_EDITS = {
    "both-training": (KERAS_BODY, KERAS_BODY.replace("False", "True")),
    "training-mode": (KERAS_FED, "backbone(training_inputs(images), training=True)"),
    "head-training": ("head(features, training=False)", "head(features, training=True)"),
    "raw-inputs": (KERAS_FED, "backbone(images, training=False)"),
    "other-range": (KERAS_FED, "backbone(training_inputs(images * 255.0))"),
    "other-convention": (KERAS_FED, "backbone((images - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])"),
    "own-batch": (KERAS_FED, "backbone((images - ops.mean(images, (0, 1, 2))) / ops.std(images, (0, 1, 2)))"),
    "bgr": (KERAS_FED, "backbone(training_inputs(images[..., ::-1]))"),
    "argmin": ("argmax", "argmin"),
    "batch-axis": ("axis=1", "axis=0"),
    "softmax-axis": (KERAS_CLASS, "ops.argmax(ops.softmax(head(features), axis=0), axis=1)"),
    "logits": (KERAS_CLASS, "head(features)"),
}
KERAS_DEFAULT = "a Keras model that is called without training= runs in inference"


def cases(rng: np.random.Generator) -> list[Case]:
    """A tiny trained model and images on which every wrong preprocessing shows."""
    return [Case("service", telling_inputs(rng), ("value", "alone", "state"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the model computed in NumPy on the training code's inputs."""
    seen = np.asarray(observed["classes"])
    right = logits(case.inputs, observed["scheme"]).argmax(axis=1)
    found = close("value", seen, right, _("the classes"))
    if not found.passed and seen.shape == right.shape:
        text = _("{wrong} of {count} images get another class than the trained model gives them offline")
        found = Finding("value", False, text.format(wrong=int((seen != right).sum()), count=len(right)))
    if seen.dtype.kind not in "iu":
        found = Finding("value", False, _("class indices are whole numbers; yours have another dtype"))
    alone = np.asarray(observed["alone"])
    text = _("{changed} of 4 images get another class alone than in a batch")
    changed = int((alone != seen[: len(alone)]).sum()) if alone.shape == seen[:4].shape else len(alone)
    kept = _("serving changed the weights or statistics of the backbone")
    return [
        found,
        holds("alone", changed == 0, text.format(changed=changed)),
        holds("state", observed["state kept"], kept),
        holds("state", observed["images kept"], _("your function changed the images it was given")),
    ]


def _mistakes(starter: str, edits: dict[str, tuple[str, str]]) -> dict[str, Mistake]:
    """The starter and the edits of the reference, each with its message."""
    edited = {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}
    return {"both-faults": Mistake(MESSAGES["both-faults"], source=starter), **edited}


EXERCISE = Exercise(
    id="serve-mismatch",
    title=_("Right offline, wrong in the service"),
    lesson="03_feature_extraction",
    kind="find-the-fault",
    minutes=12,
    difficulty=4,
    points=4,
    statement=_(
        "The model scored well offline. In production it is wrong about many images, and the same image gets "
        "different answers in different batches. `training_inputs` is what the training code does to its images and "
        "is right; the weights are right too. Find what is wrong in `predict`, fix it, and prove it: images in [0, 1] "
        "get the classes that the trained model gives offline, alone as in a batch. Serving leaves the images, the "
        "weights and the BatchNorm statistics unchanged; the mode of the model may change. Return class indices, "
        "shape (N,)."
    ),
    hints=(
        _("Follow one image from the request to the logits, and compare every step with what happens offline."),
        _("Which layers behave differently in training and in use? Which mode is the model in when `predict` runs?"),
        _("Feed the backbone what the training code fed it, and switch both backbone and head to inference."),
    ),
    follow_ups=(
        FollowUp(
            _("How would you package a model so that its preprocessing cannot be forgotten?"),
            _(
                "Save it with the model: as the first layers of the exported graph, or as a module that holds mean "
                "and std as buffers. The service then sends raw images, and a reference image with known logits is "
                "checked at start."
            ),
        ),
        FollowUp(
            _("Which single number, logged in training and in service, would have shown the fault on the first day?"),
            _(
                "The mean of what the backbone receives (its standard deviation beside it): training and service "
                "would differ by a fixed shift and scale from the first request on. It needs no labels."
            ),
        ),
        FollowUp(
            _(
                "Frozen in training, is a backbone with batch normalisation really unchanged? What must be set besides "
                "requires_grad?"
            ),
            _(
                "Not by itself: in training mode BatchNorm updates its running statistics without any gradient, and "
                "normalises by the batch. Put those layers into inference mode too: eval() again after every train() "
                "in PyTorch, training=False in the call in Keras."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives each image the class that the trained model gives it"), weight=2),
        "alone": Criterion(_("gives an image the same class alone and in a batch"), needs=("value",)),
        "state": Criterion(_("leaves the backbone and the images as they were"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            starter=PYTORCH_STARTER,
            alternatives={"sequential": PYTORCH_SEQUENTIAL, "one-by-one": PYTORCH_ONE_BY_ONE},
            mistakes=_mistakes(PYTORCH_STARTER, TORCH_EDITS),
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            starter=KERAS_STARTER,
            alternatives={"sequential": KERAS_SEQUENTIAL, "one-by-one": KERAS_ONE_BY_ONE},
            mistakes=_mistakes(KERAS_STARTER, KERAS_EDITS),
            equivalent={
                "features = backbone(training_inputs(images))": KERAS_DEFAULT,
                "return ops.argmax(head(features), axis=1)": KERAS_DEFAULT,
            },
        ),
    },
    complexity=_(
        "One forward pass of backbone and head over the N images, before the repair and after it; work on the pixels "
        "is O(N·H·W), little beside that. Memory: activations as they come, none kept for a backward pass."
    ),
)
