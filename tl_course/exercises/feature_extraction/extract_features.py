"""Run a frozen backbone over all images and keep its features."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.feature_extraction._backbones import backbone_features, backbone_weights
from tl_course.exercises.feature_extraction._watched_backbone import probe_keras, probe_pytorch
from tl_course.i18n import _

PYTORCH = '''
import numpy as np
import torch
from torch import nn


def extract_features(backbone: nn.Module, images: torch.Tensor, batch_size: int) -> np.ndarray:
    """Run a backbone over all images, batch by batch, and collect its features.

    Args:
        backbone: takes images (n, 3, H, W) and returns features (n, D). Its weights, BatchNorm statistics and
            training flag are afterwards what they were before.
        images: float32, shape (N, 3, H, W), N at least 1.
        batch_size: how many images the backbone sees at once; the last batch may be smaller.

    Returns:
        The features in inference mode, in the order of the images: NumPy, float32, shape (N, D).
    """
    was_training = backbone.training
    backbone.eval()
    with torch.no_grad():
        features = [backbone(batch) for batch in images.split(batch_size)]  # each (n, D)
    backbone.train(was_training)
    return torch.cat(features).cpu().numpy()
'''

PYTORCH_LOADER = """
import torch
from torch.utils.data import DataLoader, TensorDataset


@torch.inference_mode()
def extract_features(backbone, images, batch_size):
    flags = {module: module.training for module in backbone.modules()}
    backbone.train(False)
    rows = []
    for (batch,) in DataLoader(TensorDataset(images), batch_size=batch_size, shuffle=False):
        rows.extend(backbone(batch).tolist())
    for module, flag in flags.items():
        module.training = flag
    return torch.tensor(rows).numpy()
"""

PYTORCH_COPY = """
import copy

import numpy as np
import torch


def extract_features(backbone, images, batch_size):
    frozen = copy.deepcopy(backbone).eval().requires_grad_(False)
    result = None
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        features = frozen(images[start:stop])
        if result is None:
            result = np.zeros((len(images), features.shape[1]), dtype=np.float32)
        result[start:stop] = features
    return result
"""

KERAS = '''
import keras
import numpy as np
from keras import ops


def extract_features(backbone: keras.Model, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Run a backbone over all images, batch by batch, and collect its features.

    Args:
        backbone: takes images (n, H, W, 3) and returns features (n, D). Its weights, BatchNorm statistics and
            trainable flag are afterwards what they were before.
        images: float32, shape (N, H, W, 3), N at least 1.
        batch_size: how many images the backbone sees at once; the last batch may be smaller.

    Returns:
        The features in inference mode, in the order of the images: NumPy, float32, shape (N, D).
    """
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    features = [backbone(batch, training=False) for batch in batches]  # each (n, D)
    return ops.convert_to_numpy(ops.concatenate(features))
'''

KERAS_PREDICT = """
def extract_features(backbone, images, batch_size):
    return backbone.predict(images, batch_size=batch_size, verbose=0)
"""

KERAS_TF_DATA = """
import numpy as np
import tensorflow as tf


def extract_features(backbone, images, batch_size):
    rows = []
    for batch in tf.data.Dataset.from_tensor_slices(images).batch(batch_size):
        rows.extend(np.asarray(backbone.predict_on_batch(batch)))
    return np.stack(rows)
"""

TRAINING_MODE = _("the backbone ran in training mode: an image's features then depend on chance and on its neighbours")
TRACKED = _("every step was recorded for a backward pass that never comes, which costs memory for nothing")
NEITHER = _("cutting the result off from the graph comes too late: it ran in training mode and every step was recorded")
DROPS_LAST = _("only full batches were run: what does not fill the last one is missing")
SHUFFLED = _("the features come in another order than the images, so they no longer belong to the labels")
LEFT_IN_EVAL = _(
    "the backbone was in training mode before and is in evaluation mode afterwards: the caller did not ask for that"
)
LEFT_IN_TRAIN = _("the backbone is put into training mode at the end, whichever mode it was in before")
ALL_AT_ONCE = _("all images went through the backbone at once: with real images that is how memory runs out")
ONE_AT_A_TIME = _("the backbone saw one image at a time, so it ran far more often than it had to")
LAST_ONLY = _("each batch replaces the one before, so only the last one's features come back")
LEFT_FROZEN = _("the backbone's parameters are left frozen: the caller could not fine-tune it afterwards")
TENSOR = _("the values are right, but what comes back is the framework's tensor and not a NumPy array")
DOUBLE = _("the values are right but in double precision, twice the memory for nothing gained")


def cases(rng: np.random.Generator) -> list[Case]:
    """A backbone in training mode and one in evaluation mode; the last batch is smaller than the others."""
    found = []
    for name, count, batch_size, training in (("training", 7, 3, True), ("evaluation", 9, 4, False)):
        images = rng.normal(size=(count, 2, 5, 3)).astype(np.float32)
        inputs = {"images": images, "weights": backbone_weights(rng), "batch_size": batch_size, "training": training}
        found.append(Case(name, inputs, ("value", "batches", "untouched", "array")))
    return found


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Compare with the features calculated from the weights, and the backbone afterwards with what it was."""
    inputs = case.inputs
    right = backbone_features(inputs["weights"], inputs["images"])
    limit = inputs["batch_size"]
    passes = -(-len(inputs["images"]) // limit)
    ran, largest = int(observed["passes"]), int(observed["largest"])
    ways = _("batch_size {limit}, {count} images: the backbone ran {ran} times, on up to {largest} images")
    kind = _("a NumPy array of float32 was expected, yours is {kind} of {dtype}")
    recorded = _("the backbone's steps were recorded for gradients")
    array = observed["kind"] == "ndarray" and observed["dtype"] == "float32"
    return [
        close("value", observed["features"], right, _("the features")),
        holds(
            "batches",
            largest <= limit and ran == passes,
            ways.format(limit=limit, count=len(inputs["images"]), ran=ran, largest=largest),
        ),
        holds(
            "untouched", not observed["changed"], _("afterwards these differ: {what}").format(what=observed["changed"])
        ),
        holds("array", array, kind.format(kind=observed["kind"], dtype=observed["dtype"])),
        holds("array", not observed["recorded"], recorded),
    ]


TORCH_LOOP = "[backbone(batch) for batch in images.split(batch_size)]"
KERAS_RETURN = "ops.convert_to_numpy(ops.concatenate(features))"
KERAS_STEPS = "range(0, len(images), batch_size)"
FULL_ONLY = "range(0, len(images) - batch_size + 1, batch_size)"

EXERCISE = Exercise(
    id="extract-features",
    title=_("Features of every image"),
    lesson="03_feature_extraction",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "Write `extract_features(backbone, images, batch_size)`: the backbone's features of all N images as a NumPy "
        "float32 array (N, D), in the order of the images. The backbone runs in inference mode, on at most "
        "`batch_size` images at a time and no more often than needed; nothing is recorded for gradients. Afterwards "
        "it is as it was: weights, BatchNorm statistics, mode and what is trainable. In PyTorch all its modules are in "
        "one mode when your function gets it, training or evaluation; afterwards every module's mode is compared."
    ),
    hints=(
        _(
            "Two switches are independent: how layers such as BatchNorm and Dropout behave, and whether gradients are "
            "recorded."
        ),
        _(
            "Step through the images from 0 to N in steps of batch_size; the last slice may be shorter. Collect, then "
            "join."
        ),
        _(
            "PyTorch: note the mode before you change it, and set both switches before the loop. Keras: a call takes "
            "the mode as an argument, so nothing has to be restored."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("What does `eval()` change, what does `no_grad()` change, and what goes wrong when either is missing?"),
            _(
                "eval() changes how layers behave: BatchNorm uses its running statistics and Dropout is off. "
                "no_grad() stops the recording for gradients. Without the first, features are random or depend on "
                "their batch and the statistics drift; without the second, the features are right but memory grows "
                "with every batch."
            ),
        ),
        FollowUp(
            _(
                "Only the BatchNorm layers of a training model were in eval mode. What does `train(True)` at the end "
                "do to them?"
            ),
            _(
                "train(True) works on all submodules, so those BatchNorm layers go into training mode too, and the "
                "next training step overwrites their statistics. To restore exactly, remember the flag of every "
                "module and set each one back."
            ),
        ),
        FollowUp(
            _("Features can be computed once and cached. Which changes to the data or the model make the cache stale?"),
            _(
                "Everything that a feature depends on: the images, their preprocessing (size, crop, normalisation, "
                "augmentation), the weights, the layer and pooling they are read from. New labels or another head "
                "leave the cache valid."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("returns every image's features in order, in inference mode"), weight=2),
        "batches": Criterion(_("gives the backbone batches of the size asked for"), needs=("value",)),
        "untouched": Criterion(_("leaves the backbone as it was"), needs=("value",)),
        "array": Criterion(_("returns a NumPy float32 array and records nothing for gradients"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"data loader": PYTORCH_LOADER, "copy": PYTORCH_COPY},
            mistakes={
                "training-mode": Mistake(TRAINING_MODE, (("    backbone.eval()\n", ""),)),
                "neither-switch": Mistake(
                    NEITHER,
                    (
                        ("    backbone.eval()\n", ""),
                        ("torch.no_grad()", "torch.enable_grad()"),
                        (".numpy", ".detach().numpy"),
                    ),
                ),
                "recorded": Mistake(
                    TRACKED, (("torch.no_grad()", "torch.enable_grad()"), (".numpy", ".detach().numpy"))
                ),
                "drops-last": Mistake(
                    DROPS_LAST, (("images.split(", "images[: len(images) // batch_size * batch_size].split("),)
                ),
                "shuffled": Mistake(SHUFFLED, (("images.split", "images[torch.randperm(len(images))].split"),)),
                "left-in-eval": Mistake(LEFT_IN_EVAL, (("    backbone.train(was_training)\n", ""),)),
                "left-in-train": Mistake(LEFT_IN_TRAIN, (("train(was_training)", "train()"),)),
                "all-at-once": Mistake(ALL_AT_ONCE, ((TORCH_LOOP, "[backbone(images)]"),)),
                "one-at-a-time": Mistake(ONE_AT_A_TIME, (("split(batch_size)", "split(1)"),)),
                "last-only": Mistake(LAST_ONLY, (("torch.cat(features)", "features[-1]"),)),
                "left-frozen": Mistake(LEFT_FROZEN, (("backbone.eval()", "backbone.eval().requires_grad_(False)"),)),
                "tensor": Mistake(TENSOR, ((".cpu().numpy()", ""),)),
                "double-precision": Mistake(DOUBLE, ((".numpy()", ".double().numpy()"),)),
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"predict": KERAS_PREDICT, "tf.data": KERAS_TF_DATA},
            mistakes={
                "training-mode": Mistake(TRAINING_MODE, (("training=False", "training=True"),)),
                "drops-last": Mistake(DROPS_LAST, ((KERAS_STEPS, FULL_ONLY),)),
                "shuffled": Mistake(
                    SHUFFLED, (("    batches =", "    images = np.random.permutation(images)\n    batches ="),)
                ),
                "all-at-once": Mistake(ALL_AT_ONCE, ((KERAS_STEPS, "[0]"), ("start + batch_size", "len(images)"))),
                "one-at-a-time": Mistake(
                    ONE_AT_A_TIME, ((KERAS_STEPS, "range(len(images))"), ("start + batch_size", "start + 1"))
                ),
                "last-only": Mistake(LAST_ONLY, (("ops.concatenate(features)", "features[-1]"),)),
                "left-frozen": Mistake(
                    LEFT_FROZEN, (("    batches =", "    backbone.trainable = False\n    batches ="),)
                ),
                "tensor": Mistake(TENSOR, ((KERAS_RETURN, "ops.concatenate(features)"),)),
                "double-precision": Mistake(DOUBLE, ((KERAS_RETURN, f'{KERAS_RETURN}.astype("float64")'),)),
            },
            equivalent={
                "features = [backbone(batch) for batch in batches]": "a model called by itself runs in inference mode"
            },
        ),
    },
    complexity=_(
        "One forward pass over N images in ceil(N / `batch_size`) calls dominates. Memory: the activations of one "
        "batch, as nothing is kept for gradients, and O(N·D) for the features, twice that while they are joined."
    ),
)
