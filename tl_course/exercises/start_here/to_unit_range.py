"""Bring bytes of an image into [0, 1]."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

REFERENCE = '''
import numpy as np


def to_unit_range(images: np.ndarray) -> np.ndarray:
    """Bring images from bytes to the unit range.

    Args:
        images: uint8 in 0..255, shape (N, H, W, C). They stay as they are.

    Returns:
        float32 in [0, 1], shape (N, H, W, C): 0 for byte 0, 1 for byte 255.
    """
    return images.astype(np.float32) / 255
'''

TABLE = """
import numpy as np


def to_unit_range(images):
    table = np.linspace(0, 1, 256, dtype=np.float32)
    return table[images]
"""

MULTIPLY = """
import numpy as np


def to_unit_range(images):
    return np.multiply(images, 1 / 255, dtype=np.float32)
"""

IN_STEPS = """
import numpy as np


def to_unit_range(images):
    scaled = np.empty(images.shape, dtype="float32")
    for index in range(len(images)):
        scaled[index] = images[index] / 255.0
    return scaled
"""

INTEGER_DIVISION = _("the division is one of whole numbers, so every byte but the brightest becomes 0")
IN_PLACE = _("the result is written back into the caller's bytes, which hold whole numbers only")
DIVIDES_BY_256 = _("a byte has 256 values, but the largest of them is not 256: white comes out below 1")
PER_IMAGE = _("each image is stretched by its own brightest pixel, so a dark image and a bright one become alike")
PER_BATCH = _("the scale comes from the batch, so an image's values depend on its neighbours in the batch")
DOUBLE = _("the values are right but in double precision: twice the memory, and models compute in float32")
HALF = _("half precision keeps about three digits, and the task asks for float32")
UNSCALED = _("the type changes but the range does not: the values still run up to 255")
SIGNED = _("this range is centred at zero: some models want it, but it is not the unit range")


def cases(rng: np.random.Generator) -> list[Case]:
    """A batch that holds black and white, and one that is dark throughout."""
    bright = rng.integers(0, 256, size=(2, 3, 5, 4), dtype=np.uint8)
    bright[0, 0, 0, :2] = 0, 255
    bright[1, 0, 0, 0] = 240
    bright[1] = np.minimum(bright[1], 240)
    dark = rng.integers(20, 90, size=(3, 4, 2, 1), dtype=np.uint8)
    criteria = ("value", "dtype", "untouched")
    return [Case("black to white", {"images": bright}, criteria), Case("dark", {"images": dark}, criteria)]


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Compare with 256 evenly spaced numbers, and the input afterwards with what it was."""
    right = np.linspace(0, 1, 256)[case.inputs["images"]]
    dtype = _("float32 was expected, yours is {dtype}").format(dtype=observed["dtype"])
    return [
        close("value", observed["scaled"], right, _("the images")),
        holds("dtype", observed["dtype"] == "float32", dtype),
        holds("untouched", not observed["changed"], _("the images handed to your function are not what they were")),
    ]


def probe(candidate, inputs):
    """Scale a batch, and see whether the batch itself changed."""
    images = inputs["images"].copy()
    scaled = as_array(candidate(images))
    changed = bool((images != inputs["images"]).any())
    return {"scaled": scaled, "dtype": str(scaled.dtype), "changed": changed}


SCALING = "images.astype(np.float32) / 255"
BATCH_RANGE = "np.interp(images, [images.min(), images.max()], [0, 1]).astype(np.float32)"

EXERCISE = Exercise(
    id="to-unit-range",
    title=_("From bytes to the unit range"),
    lesson="00_start_here",
    minutes=4,
    difficulty=1,
    points=2,
    statement=_(
        "Images arrive as bytes, 0 to 255. Write `to_unit_range`: it takes uint8 images of shape (N, H, W, C) and "
        "returns them as float32 in [0, 1], same shape, with byte 255 at exactly 1. The scale is the same for every "
        "image, however dark, and the caller's array stays as it was."
    ),
    hints=(
        _("Two things change: the type of the numbers and their range."),
        _("Which number must the largest possible byte be divided by to give 1?"),
        _("Make a float32 copy with `astype` first; then divide the copy."),
    ),
    follow_ups=(
        FollowUp(
            _(
                "A model was trained on images in [0, 1] and is served images in 0..255. What happens, and does "
                "anything fail?"
            ),
            _(
                "Nothing fails: shapes and types are right. The activations are far outside what the weights were "
                "trained for, so predictions are often wrong and may be very confident. Only a check of the input's "
                "range or a drop in accuracy shows it."
            ),
        ),
        FollowUp(
            _("Why do data sets store uint8 and convert late, batch by batch?"),
            _(
                "A byte needs a quarter of the memory, disk and bandwidth of a float32, and it is what the image file "
                "holds, so nothing is lost. Converting one batch costs little, and only that batch needs the fourfold "
                "memory."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("brings every byte to its place in [0, 1]"), weight=2),
        "dtype": Criterion(_("returns float32"), needs=("value",)),
        "untouched": Criterion(_("leaves the caller's images as they were"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=REFERENCE,
            probe=probe,
            alternatives={"look-up table": TABLE, "multiply": MULTIPLY, "image by image": IN_STEPS},
            mistakes={
                "integer-division": Mistake(INTEGER_DIVISION, ((SCALING, "images // 255"),)),
                "integer-division, then float32": Mistake(
                    INTEGER_DIVISION, ((SCALING, "(images // 255).astype(np.float32)"),)
                ),
                "in-place": Mistake(IN_PLACE, ((f"return {SCALING}", "images[:] = images / 255\n    return images"),)),
                "divides-by-256": Mistake(DIVIDES_BY_256, (("/ 255", "/ 256"),)),
                "per-image-maximum": Mistake(PER_IMAGE, (("/ 255", "/ images.max(axis=(1, 2, 3), keepdims=True)"),)),
                "batch-maximum": Mistake(PER_BATCH, (("/ 255", "/ images.max()"),)),
                "batch-range": Mistake(PER_BATCH, ((SCALING, BATCH_RANGE),)),
                "double-precision": Mistake(DOUBLE, ((SCALING, "images / 255"),)),
                "half-precision": Mistake(HALF, ((SCALING, "images.astype(np.float16) / 255"),)),
                "not-scaled": Mistake(UNSCALED, ((" / 255", ""),)),
                "minus-one-to-one": Mistake(SIGNED, (("/ 255", "/ 127.5 - 1"),)),
            },
        ),
    },
    complexity=_(
        "O(N·H·W·C) time, bound by memory traffic and not by arithmetic. The result takes four times the memory of the "
        "bytes; for a moment twice that, as cast and quotient are two arrays."
    ),
)
