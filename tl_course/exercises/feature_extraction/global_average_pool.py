"""Turn a feature map into one number per channel."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import torch


def global_average_pool(feature_map: torch.Tensor) -> torch.Tensor:
    """Average each channel of a feature map over all positions.

    Args:
        feature_map: what a convolutional backbone returns, channels first: float, shape (N, C, H, W).

    Returns:
        One feature per channel, shape (N, C), whatever H and W are.
    """
    return feature_map.mean(dim=(2, 3))
'''

PYTORCH_ADAPTIVE = """
import torch
from torch import nn


def global_average_pool(feature_map):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())(feature_map)
"""

PYTORCH_EINSUM = """
import torch


def global_average_pool(feature_map):
    height, width = feature_map.shape[2:]
    return torch.einsum("nchw->nc", feature_map) / (height * width)
"""

PYTORCH_FLATTEN = """
def global_average_pool(feature_map):
    return feature_map.flatten(2).mean(-1)
"""

KERAS = '''
from keras import ops


def global_average_pool(feature_map):
    """Average each channel of a feature map over all positions.

    Args:
        feature_map: what a convolutional backbone returns, channels last: float, shape (N, H, W, C).

    Returns:
        One feature per channel, shape (N, C), whatever H and W are.
    """
    return ops.mean(feature_map, axis=(1, 2))
'''

KERAS_LAYER = """
from keras import layers


def global_average_pool(feature_map):
    return layers.GlobalAveragePooling2D()(feature_map)
"""

KERAS_RESHAPE = """
from keras import ops


def global_average_pool(feature_map):
    n, height, width, channels = feature_map.shape
    rows = ops.reshape(feature_map, (n, height * width, channels))
    return ops.sum(rows, axis=1) / (height * width)
"""

MAXIMUM = _("the strongest position was kept, not the average of all: that is global max pooling")
ADDS_UP = _("the positions are added up and not divided, so a larger image gets larger features")
OTHER_LAYOUT = _("the averaged axes are those of the other framework's layout: check where the channels stand")
ONE_AXIS = _("only one of the two spatial axes is gone")
KEEPS_AXES = _(
    "the averages are right, but the spatial axes are still there with length 1: a linear layer needs (N, C)"
)
SQUEEZES = _("dropping every axis of length 1 also drops the batch axis when the batch holds a single image")
FLATTENS = _("every position stays a feature of its own: that is flattening, and its length depends on the image size")
OVER_BATCH = _("the average runs over the images too, so all images of a batch share one vector")


def cases(rng: np.random.Generator) -> list[Case]:
    """A rectangular map, one of another size, and a batch of one image; channels last."""
    shapes = {"value": (2, 3, 4, 5), "size": (4, 6, 2, 3), "single": (1, 2, 5, 4)}
    maps = {name: rng.normal(0.5, 1, size=shape).astype(np.float32) for name, shape in shapes.items()}
    return [Case(name, {"feature_map": feature_map}, (name, "dtype")) for name, feature_map in maps.items()]


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Compare with the mean taken image by image and channel by channel."""
    maps = case.inputs["feature_map"]
    channels = range(maps.shape[-1])
    right = [[float(image[..., c].sum()) / image[..., c].size for c in channels] for image in maps]
    dtype = _("float32 was expected, as in the feature map; yours is {dtype}").format(dtype=observed["dtype"])
    return [
        close(case.name, observed["pooled"], right, _("the pooled features")),
        holds("dtype", observed["dtype"] == "float32", dtype),
    ]


def probe_pytorch(candidate, inputs):
    """Pool a map, channels first."""
    import torch

    feature_map = torch.from_numpy(inputs["feature_map"].transpose(0, 3, 1, 2).copy())
    pooled = as_array(candidate(feature_map))
    return {"pooled": pooled, "dtype": str(pooled.dtype)}


def probe_keras(candidate, inputs):
    """Pool a map, channels last."""
    from keras import ops

    pooled = as_array(candidate(ops.convert_to_tensor(inputs["feature_map"])))
    return {"pooled": pooled, "dtype": str(pooled.dtype)}


TORCH_CALL, KERAS_CALL = "feature_map.mean(dim=(2, 3))", "ops.mean(feature_map, axis=(1, 2))"

EXERCISE = Exercise(
    id="global-average-pool",
    title=_("One number per channel"),
    lesson="03_feature_extraction",
    minutes=4,
    difficulty=1,
    points=2,
    statement=_(
        "A convolutional backbone ends in a feature map: a value for each channel and position. Write "
        "`global_average_pool`: it takes a feature map, (N, C, H, W) in PyTorch and (N, H, W, C) in Keras, and "
        "returns the mean of each channel over all positions, shape (N, C). It must work for every H and W and for a "
        "batch of one image."
    ),
    hints=(
        _("Two of the four axes say where in the image; the others must survive."),
        _("A mean can run over several axes at once: name both spatial ones."),
        _("Channels first: the spatial axes are 2 and 3. Channels last: they are 1 and 2."),
    ),
    follow_ups=(
        FollowUp(
            _("VGG16 ends in 7 x 7 x 512. How many inputs has the head after flattening, and how many after pooling?"),
            _(
                "Flattened: 7 x 7 x 512 = 25,088 inputs. Pooled: 512, one for each channel, so the head has 49 times "
                "fewer weights."
            ),
        ),
        FollowUp(
            _("Why does a network that ends in global average pooling accept images of any size?"),
            _(
                "Convolution kernels slide over whatever size they get, and the average turns any height and width "
                "into C numbers, so the head always sees the same length. The image must only be large enough for the "
                "downsampling, and accuracy falls when objects have a very different size from those in training."
            ),
        ),
        FollowUp(
            _("What does the average lose that matters for detection or segmentation?"),
            _(
                "Where something is: the mean of a channel is the same whether an object stands at the left or at the "
                "right. Detection and segmentation need a place for each answer, so they work on the feature map "
                "itself."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("averages each channel over both spatial axes"), weight=2),
        "size": Criterion(_("works for a feature map of another height and width")),
        "single": Criterion(_("keeps the batch axis when there is one image")),
        "dtype": Criterion(_("returns float32, as the feature map is"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"adaptive": PYTORCH_ADAPTIVE, "einsum": PYTORCH_EINSUM, "flatten": PYTORCH_FLATTEN},
            mistakes={
                "maximum": Mistake(MAXIMUM, ((".mean(", ".amax("),)),
                "adds-up": Mistake(ADDS_UP, ((".mean(", ".sum("),)),
                "other-layout": Mistake(OTHER_LAYOUT, (("(2, 3)", "(1, 2)"),)),
                "one-axis": Mistake(ONE_AXIS, (("(2, 3)", "3"),)),
                "keeps-axes": Mistake(KEEPS_AXES, (("(2, 3)", "(2, 3), keepdim=True"),)),
                "squeezes": Mistake(SQUEEZES, ((TORCH_CALL, f"{TORCH_CALL}.squeeze()"),)),
                "flattens": Mistake(FLATTENS, ((TORCH_CALL, "feature_map.flatten(1)"),)),
                "over-the-batch": Mistake(OVER_BATCH, (("(2, 3)", "(0, 2, 3)"),)),
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"layer": KERAS_LAYER, "reshape": KERAS_RESHAPE},
            mistakes={
                "maximum": Mistake(MAXIMUM, (("ops.mean", "ops.max"),)),
                "adds-up": Mistake(ADDS_UP, (("ops.mean", "ops.sum"),)),
                "other-layout": Mistake(OTHER_LAYOUT, (("(1, 2)", "(2, 3)"),)),
                "one-axis": Mistake(ONE_AXIS, (("(1, 2)", "1"),)),
                "keeps-axes": Mistake(KEEPS_AXES, (("(1, 2)", "(1, 2), keepdims=True"),)),
                "squeezes": Mistake(SQUEEZES, ((KERAS_CALL, f"ops.squeeze({KERAS_CALL})"),)),
                "flattens": Mistake(FLATTENS, ((KERAS_CALL, "ops.reshape(feature_map, (len(feature_map), -1))"),)),
                "over-the-batch": Mistake(OVER_BATCH, (("(1, 2)", "(0, 1, 2)"),)),
            },
        ),
    },
    complexity=_(
        "O(N·C·H·W) time, each value being read once, and O(N·C) memory. No parameters; a linear head behind it has "
        "H·W times fewer inputs than one behind a flattened map."
    ),
)
