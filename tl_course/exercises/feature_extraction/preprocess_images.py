"""The preprocessing contract: give a backbone the numbers it was trained on."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import torch


def preprocess_images(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Bring images into the form a torchvision backbone was trained on.

    Args:
        images: RGB images, uint8 in 0..255, shape (N, H, W, 3).
        mean: means of red, green and blue over images in [0, 1], float, shape (3,).
        std: standard deviations of red, green and blue over images in [0, 1], float, shape (3,).

    Returns:
        Normalised images, channels first, float32, shape (N, 3, H, W).
    """
    scaled = images.to(torch.float32) / 255  # (N, H, W, 3)
    return ((scaled - mean) / std).permute(0, 3, 1, 2)
'''

PYTORCH_FOLDED = """
import torch


def preprocess_images(images, mean, std):
    pixels = torch.einsum("nhwc->nchw", images.float())
    shift = (255 * mean)[None, :, None, None]
    return (pixels - shift) / (255 * std)[None, :, None, None]
"""

PYTORCH_CHANNELS = """
import torch


def preprocess_images(images, mean, std):
    planes = [(images[..., c] / 255 - mean[c]) / std[c] for c in range(3)]
    return torch.stack(planes, dim=1)
"""

PYTORCH_MOVEDIM = """
import torch


def preprocess_images(images, mean, std):
    result = torch.movedim(images, -1, 1).to(torch.get_default_dtype()).div_(255)
    return result.sub_(mean.view(3, 1, 1)).div_(std.view(3, 1, 1))
"""

KERAS = '''
from keras import ops


def preprocess_images(images):
    """Bring images into the form that MobileNetV2 of keras.applications was trained on.

    Args:
        images: RGB images, uint8 in 0..255, shape (N, H, W, 3).

    Returns:
        Images in [-1, 1], channels last as before, float32, shape (N, H, W, 3).
    """
    return ops.cast(images, "float32") / 127.5 - 1
'''

KERAS_LIBRARY = """
from keras import ops
from keras.applications import mobilenet_v2


def preprocess_images(images):
    return mobilenet_v2.preprocess_input(ops.cast(images, "float32"))
"""

KERAS_LAYER = """
from keras import layers


def preprocess_images(images):
    return layers.Rescaling(scale=1 / 127.5, offset=-1.0)(images)
"""

KERAS_UNIT = """
import numpy as np


def preprocess_images(images):
    unit = np.asarray(images).astype("float32") / 255
    return 2 * unit - 1
"""

NOT_SCALED = _("the statistics are those of images in [0, 1], and the bytes were never brought there")
SCALED_LATE = _("the order of the steps matters: the statistics were applied to bytes, and scaling came after")
RESHAPED = _("reshaping only renames the axes: the numbers stay in their old order and the channels get mixed up")
SWAPS_SIDES = _("the channels are in place, but height and width have changed places: the images lie on their side")
VARIANCE = _("normalising divides by the standard deviation, not by its square")
WRONG_AXIS = _("the three statistics belong to the three channels, but they were lined up with another axis")
BY_128 = _("halving 256 is not halving 255: the brightest byte does not reach the end of the range")
BGR = _("the channels are in the order blue, green, red: OpenCV and Caffe models use it, this backbone does not")
NOT_MOVED = _("the channels stand on the wrong axis for this framework")
NOT_CENTRED = _("the values are not centred: nothing was subtracted")
NOT_DIVIDED = _("the values are centred but not brought to the backbone's scale")
OTHER_CONTRACT = _("these are the numbers another family of models expects: each backbone has its own contract")
OWN_STATISTICS = _("these are the batch's own statistics: an image's values then depend on its neighbours")
FIXED_NUMBERS = _("the statistics are written into the code, and the ones handed over are ignored")
DOUBLE = _("the values are right but in double precision, and the backbone's weights are float32")
UNIT_RANGE = _("these values lie in [0, 1]; this backbone was trained on a range centred at zero")
HALF_RANGE = _("these values are centred at zero, but they span only half the range")
ALREADY_UNIT = _("this treats the bytes as if they lay in [0, 1] already")


def cases(rng: np.random.Generator) -> list[Case]:
    """Images of one pixel, where no layout can go wrong, and a batch of rectangular images."""
    mean, std = rng.uniform(0.35, 0.6, size=3).astype(np.float32), rng.uniform(0.15, 0.35, size=3).astype(np.float32)
    pixels = rng.integers(0, 256, size=(6, 1, 1, 3), dtype=np.uint8)
    pixels[0], pixels[1] = 0, 255
    images = rng.integers(0, 256, size=(2, 4, 5, 3), dtype=np.uint8)
    return [
        Case("single pixels", {"images": pixels, "mean": mean, "std": std}, ("value",)),
        Case("images", {"images": images, "mean": mean, "std": std}, ("layout", "dtype")),
    ]


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Compare with a table of what each byte becomes in each channel."""
    images, channels_first = case.inputs["images"], observed["framework"] == "pytorch"
    mean, std = (case.inputs["mean"], case.inputs["std"]) if channels_first else ([0.5] * 3, [0.5] * 3)
    table = np.array([[(byte / 255 - mean[c]) / std[c] for byte in range(256)] for c in range(3)])
    planes = [table[c][images[..., c]] for c in range(3)]
    right = np.stack(planes, axis=1 if channels_first else 3)
    if case.name == "single pixels":
        return [close("value", np.squeeze(observed["prepared"]), np.squeeze(right), _("the images of one pixel"))]
    dtype = _("float32 was expected, yours is {dtype}").format(dtype=observed["dtype"])
    return [
        close("layout", observed["prepared"], right, _("the images")),
        holds("dtype", observed["dtype"] == "float32", dtype),
    ]


def probe_pytorch(candidate, inputs):
    """Prepare a batch with the given statistics."""
    import torch

    images, mean, std = (torch.from_numpy(inputs[name]) for name in ("images", "mean", "std"))
    prepared = as_array(candidate(images, mean, std))
    return {"framework": "pytorch", "prepared": prepared, "dtype": str(prepared.dtype)}


def probe_keras(candidate, inputs):
    """Prepare a batch."""
    from keras import ops

    prepared = as_array(candidate(ops.convert_to_tensor(inputs["images"])))
    return {"framework": "keras", "prepared": prepared, "dtype": str(prepared.dtype)}


BATCH_STATISTICS = "(scaled - scaled.mean(dim=(0, 1, 2))) / scaled.std(dim=(0, 1, 2))"
FIXED = "(scaled - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])"
CENTRED = "((scaled - mean) / std)"
CAFFE = 'ops.flip(ops.cast(images, "float32"), axis=-1) - ops.array([103.939, 116.779, 123.68])'
IMAGENET = '(ops.cast(images, "float32") / 255 - ops.array([0.485, 0.456, 0.406])) / ops.array([0.229, 0.224, 0.225])'
ALL = 'ops.cast(images, "float32") / 127.5 - 1'

EXERCISE = Exercise(
    id="preprocess-images",
    title=_("The preprocessing contract"),
    lesson="03_feature_extraction",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "A backbone is only as good as the numbers it gets. Write `preprocess_images` for RGB bytes of shape (N, H, "
        "W, 3), returning float32.\n\n"
        "- PyTorch: torchvision's contract. Scale to [0, 1], subtract `mean`, divide by `std` (both of shape (3,)), "
        "and return (N, 3, H, W).\n"
        "- Keras: MobileNetV2's contract. Map 0..255 to [-1, 1] and keep (N, H, W, 3).\n\n"
        "Colours keep their order, pixels their places."
    ),
    hints=(
        _(
            "Write down the range of the numbers after each step; the last one must be what the backbone saw in "
            "training."
        ),
        _("Calculate in float32 while the channels are last. Moving an axis and reshaping are different things."),
        _("PyTorch: divide by 255, normalise, then `permute`. Keras: 0, 127.5 and 255 must become -1, 0 and 1."),
    ),
    follow_ups=(
        FollowUp(
            _(
                "Training used the right contract and serving another one. Which symptom do you see, and which error "
                "message?"
            ),
            _(
                "There is no error message: shapes and types fit. Accuracy in service is lower than offline, "
                "predictions may gather in a few classes, and the mean and range of the model's inputs differ from "
                "those in training."
            ),
        ),
        FollowUp(
            _(
                "Would you normalise with ImageNet's statistics or your own data's, if the backbone stays frozen? And "
                "from scratch?"
            ),
            _(
                "Frozen: with the statistics the backbone was pretrained with, because its weights expect inputs on "
                "that scale. From scratch: with those of your own training split; any fixed, sensible scale will do, "
                "since the weights adapt to it."
            ),
        ),
        FollowUp(
            _("Where would you put the preprocessing, so that training and serving cannot differ?"),
            _(
                "Inside the exported model, as a layer or as buffers of a wrapping module, so that the service sends "
                "raw bytes. Otherwise in one versioned function that both import, with a test that compares the "
                "logits of a reference image."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives each byte of each channel the value that the backbone expects"), weight=2),
        "layout": Criterion(
            _("puts the channels where the framework wants them, with every pixel in its place"), weight=2
        ),
        "dtype": Criterion(_("returns float32"), needs=("layout",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"folded": PYTORCH_FOLDED, "by channel": PYTORCH_CHANNELS, "in place": PYTORCH_MOVEDIM},
            mistakes={
                "not-scaled": Mistake(NOT_SCALED, ((" / 255", ""),)),
                "scaled-late": Mistake(SCALED_LATE, ((" / 255", ""), (CENTRED, f"({CENTRED} / 255)"))),
                "reshaped": Mistake(
                    RESHAPED, (("permute(0, 3, 1, 2)", "reshape(len(images), 3, *images.shape[1:3])"),)
                ),
                "swaps-sides": Mistake(SWAPS_SIDES, (("0, 3, 1, 2", "0, 3, 2, 1"),)),
                "wrong-axis": Mistake(
                    WRONG_AXIS,
                    (
                        ("scaled - mean", "scaled.permute(0, 3, 1, 2) - mean"),
                        (" / std).permute(0, 3, 1, 2)", " / std)"),
                    ),
                ),
                "variance": Mistake(VARIANCE, (("/ std", "/ std**2"),)),
                "bgr": Mistake(BGR, (("permute(0, 3, 1, 2)", "permute(0, 3, 1, 2).flip(1)"),)),
                "channels-last": Mistake(NOT_MOVED, ((".permute(0, 3, 1, 2)", ""),)),
                "not-centred": Mistake(NOT_CENTRED, (("scaled - mean", "scaled"),)),
                "not-divided": Mistake(NOT_DIVIDED, ((" / std", ""),)),
                "other-contract": Mistake(OTHER_CONTRACT, ((CENTRED, "(2 * scaled - 1)"),)),
                "batch-statistics": Mistake(OWN_STATISTICS, ((CENTRED, f"({BATCH_STATISTICS})"),)),
                "fixed-numbers": Mistake(FIXED_NUMBERS, ((CENTRED, f"({FIXED})"),)),
                "double-precision": Mistake(DOUBLE, (("torch.float32", "torch.float64"),)),
            },
            equivalent={"scaled = images / 255": "torch divides bytes by a number in float32"},
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"library": KERAS_LIBRARY, "layer": KERAS_LAYER, "unit range": KERAS_UNIT},
            mistakes={
                "unit-range": Mistake(UNIT_RANGE, (("127.5 - 1", "255"),)),
                "by-128": Mistake(BY_128, (("127.5", "128"),)),
                "half-range": Mistake(HALF_RANGE, (("127.5 - 1", "255 - 0.5"),)),
                "not-centred": Mistake(NOT_CENTRED, ((" - 1", ""),)),
                "not-divided": Mistake(NOT_DIVIDED, (("/ 127.5 - 1", "- 127.5"),)),
                "already-unit": Mistake(ALREADY_UNIT, (("/ 127.5", "* 2"),)),
                "imagenet-statistics": Mistake(OTHER_CONTRACT, ((ALL, IMAGENET),)),
                "caffe": Mistake(OTHER_CONTRACT, ((ALL, CAFFE),)),
                "bgr": Mistake(BGR, ((ALL, f"({ALL})[..., ::-1]"),)),
                "channels-first": Mistake(NOT_MOVED, ((ALL, f"ops.transpose({ALL}, (0, 3, 1, 2))"),)),
                "swaps-sides": Mistake(SWAPS_SIDES, ((ALL, f"ops.transpose({ALL}, (0, 2, 1, 3))"),)),
                "double-precision": Mistake(DOUBLE, (('"float32"', '"float64"'),)),
            },
        ),
    },
    complexity=_(
        "O(N·H·W) time, bound by memory traffic. float32 takes four times the memory of the bytes and each step of the "
        "formula makes one more such array: so do it batch by batch, not for the whole data set."
    ),
)
