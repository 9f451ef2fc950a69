"""How many parameters a new head has, flattened or pooled."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

REFERENCE = '''
def head_parameters(feature_map: tuple[int, int, int], pooling: str, num_classes: int) -> int:
    """How many trainable parameters a linear head (with bias) has on a backbone's feature map.

    Args:
        feature_map: height, width and channels of the backbone's output for one image.
        pooling: what stands between backbone and head: "flatten" or "average" (global average pooling).
        num_classes: how many classes the head tells apart.

    Returns:
        The number of weights and biases of the head.
    """
    height, width, channels = feature_map
    inputs = height * width * channels if pooling == "flatten" else channels
    return (inputs + 1) * num_classes
'''

BY_AXES = """
import math


def head_parameters(feature_map, pooling, num_classes):
    kept = feature_map if pooling == "flatten" else feature_map[-1:]
    weights = math.prod(kept) * num_classes
    biases = num_classes
    return weights + biases
"""

BY_ARRAYS = """
import numpy as np


def head_parameters(feature_map, pooling, num_classes):
    example = np.zeros(feature_map)
    features = {"flatten": example.ravel(), "average": example.mean(axis=(0, 1))}[pooling]
    return features.size * num_classes + np.zeros(num_classes).size
"""

NO_BIAS = _("the weights are counted and the biases are not")
ONE_BIAS = _("a single bias was counted for the whole head")
BIAS_PER_INPUT = _("biases were counted for the inputs: a bias belongs to something the head computes")
SAME_FOR_BOTH = _("both ways give the same count, as if pooling kept every position")
ALWAYS_POOLED = _("both ways give the same count, as if flattening dropped the positions")
ONE_SIDE = _("flattening keeps every position of the map, along both its height and its width")
CHANNELS_FIRST = _("the shape was read channels first; here the channels stand last")
POSITIONS = _("average pooling takes the mean over positions, so the positions go and the channels stay")
SWAPPED = _("the two ways are the wrong way round: pooling is the one that makes the head small")


def cases(rng: np.random.Generator) -> list[Case]:
    """A random small map both ways, and VGG16's both ways."""
    height, width, channels, num_classes = (int(low + rng.integers(0, 3)) for low in (2, 5, 8, 11))
    small = {"feature_map": [height, width, channels], "num_classes": num_classes}
    vgg16 = {"feature_map": [7, 7, 512], "num_classes": int(rng.integers(2, 6))}
    return [
        Case("flatten", {**small, "pooling": "flatten"}, ("flatten",)),
        Case("average", {**small, "pooling": "average"}, ("average",)),
        Case("VGG16 flattened", {**vgg16, "pooling": "flatten"}, ("vgg16",)),
        Case("VGG16 pooled", {**vgg16, "pooling": "average"}, ("vgg16",)),
    ]


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Count the elements of the head's two arrays."""
    example = np.zeros(case.inputs["feature_map"])
    features = example.reshape(-1) if case.inputs["pooling"] == "flatten" else example[0, 0]
    num_classes = case.inputs["num_classes"]
    right = np.empty((features.size, num_classes)).size + np.empty(num_classes).size
    message = _("{feature_map}, {pooling}, {num_classes} classes: the integer {right} was expected, yours is {yours}")
    text = message.format(**case.inputs, right=right, yours=observed["count"])
    (criterion,) = case.criteria
    count = observed["count"]
    return [holds(criterion, count.shape == () and count.dtype.kind in "iu" and count == right, text)]


def probe(candidate, inputs):
    """The count for one feature map."""
    return {"count": as_array(candidate(tuple(inputs["feature_map"]), inputs["pooling"], inputs["num_classes"]))}


FLAT, TOTAL = "height * width * channels", "(inputs + 1) * num_classes"

EXERCISE = Exercise(
    id="head-parameters",
    title=_("What a head costs"),
    lesson="03_feature_extraction",
    minutes=5,
    difficulty=1,
    points=2,
    statement=_(
        "VGG16 without its top returns a feature map of 7 x 7 x 512. Between it and a new linear head, some code "
        "flattens, other code pools. Write `head_parameters`: given the map's (height, width, channels), 'flatten' or "
        "'average', and num_classes, the number of the head's trainable parameters, weights and biases."
    ),
    hints=(
        _("How many numbers does the head receive for one image? That depends on what stands before it."),
        _("Flattening keeps all of height, width and channels; average pooling leaves one number per channel."),
        _("Each class has one weight for each input, and one bias of its own."),
    ),
    follow_ups=(
        FollowUp(
            _("With 50 labelled images, which of the two heads would you try first, and why?"),
            _(
                "The pooled one: 512 weights for each class instead of 25,088, so it overfits less with so few "
                "images. Flattening can pay only if the position in the image matters, and then with strong "
                "regularisation."
            ),
        ),
        FollowUp(
            _("Which image sizes does each of the two heads accept?"),
            _(
                "After flattening, only sizes whose map is 7 x 7: for VGG16, 224 to 255 pixels per side, because its "
                "five poolings halve and round down. After pooling, any size from 32 pixels on."
            ),
        ),
    ),
    criteria={
        "flatten": Criterion(_("counts the head after flattening")),
        "average": Criterion(_("counts the head after global average pooling")),
        "vgg16": Criterion(_("is right for VGG16, both ways")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=REFERENCE,
            probe=probe,
            alternatives={"by axes": BY_AXES, "by arrays": BY_ARRAYS},
            mistakes={
                "no-bias": Mistake(NO_BIAS, ((TOTAL, "inputs * num_classes"),)),
                "one-bias": Mistake(ONE_BIAS, ((TOTAL, "inputs * num_classes + 1"),)),
                "bias-per-input": Mistake(BIAS_PER_INPUT, ((TOTAL, "inputs * (num_classes + 1)"),)),
                "pooling-ignored": Mistake(SAME_FOR_BOTH, ((' if pooling == "flatten" else channels', ""),)),
                "always-pooled": Mistake(
                    ALWAYS_POOLED, ((f'{FLAT} if pooling == "flatten" else channels', "channels"),)
                ),
                "one-side-only": Mistake(ONE_SIDE, ((FLAT, "height * channels"),)),
                "channels-first": Mistake(
                    CHANNELS_FIRST, (("height, width, channels =", "channels, height, width ="),)
                ),
                "keeps-positions": Mistake(POSITIONS, (("else channels", "else height * width"),)),
                "swapped": Mistake(SWAPPED, (('== "flatten"', '== "average"'),)),
            },
        ),
    },
    complexity=_(
        "O(1) time and memory: nothing has to be built to be counted. With Adam each of these parameters takes 16 "
        "bytes in float32 while it trains: weight, gradient and two averages."
    ),
)
