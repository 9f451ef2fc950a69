"""cluttered_digits: one handwritten digit somewhere on a crop of a photograph, and where exactly it stands.

After the cluttered MNIST of Mnih, Heess, Graves & Kavukcuoglu, Recurrent Models of Visual Attention, 2014. The digits
of one split are not in another, nor is any pixel of their backgrounds: `mnist` splits the digits, `photos` the
photographs.
"""

import numpy as np
from numpy.typing import NDArray

from tl_course import assets
from tl_course.data.dataset import Dataset, Split
from tl_course.data.packaged import mnist
from tl_course.data.photos import FILES, Box, read_photo, regions
from tl_course.errors import BadInput
from tl_course.i18n import _

SIZES = (28, 72)
BACKGROUNDS = tuple(sorted(set(FILES) - {"page", "writing", "clock"}))
"""The photographs behind the digits: those without figures or letters of their own."""

DIMMED = 0.6
"""Backgrounds are darkened to this share of their brightness; ink is white."""

INK = 0.5
"""From this opacity on a pixel belongs to the digit."""

SOURCE = f"digits: {assets.ASSETS['mnist'].citation}; backgrounds: {assets.ASSETS['photos'].citation}"
LICENCE = f"digits: {assets.ASSETS['mnist'].licence}; backgrounds: {assets.ASSETS['photos'].licence}"

Floats = NDArray[np.float32]


def cluttered_digits(size: int = 48, seed: int = 0) -> Dataset:
    """5,000 handwritten digits, each on a crop of a photograph, (N, size, size, 1) in [0, 1], 10 classes.

    Every digit of `mnist` occurs once, white, at a random place of a background darkened to 60 %. Neither digits nor
    background pixels are shared between splits, as `mnist` and `photos` have them.

    Args:
        size: side of the images in pixels, 28 to 72; the digits are 28 pixels wide, margin included.
        seed: another seed puts the training digits at other places of other backgrounds; val and test stay the same.

    Returns:
        Splits with two extras: "mask" bool (N, size, size), the digit's pixels, and "box" int64 (N, 4): first row,
        first column, last row + 1, last column + 1 of the mask.

    Raises:
        BadInput: size or seed out of range.
    """
    if not isinstance(size, int) or not SIZES[0] <= size <= SIZES[1]:
        raise BadInput(
            _("size as an integer from {least} to {most}").format(least=SIZES[0], most=SIZES[1]),
            repr(size),
            _("48 leaves the digit about a third of the image"),
        )
    if not isinstance(seed, int) or seed < 0:
        raise BadInput(_("seed as an integer of at least 0"), repr(seed), _("leave it out for the usual images"))
    digits = mnist()
    folder = assets.path("photos")
    photographs = [read_photo(folder / FILES[name], colour=False) for name in BACKGROUNDS]
    parts = {}
    for number, (part, split) in enumerate(digits.splits.items()):
        # RandomState's streams are frozen by NumPy's policy; every split has its own.
        rng = np.random.RandomState([number, seed if part == "train" else 0])
        backgrounds = [(photo, regions(*photo.shape[:2])[part]) for photo in photographs]
        parts[part] = compose(split.x, split.y, backgrounds, size, rng)
    return Dataset("cluttered_digits", **parts, class_names=digits.class_names, source=SOURCE, licence=LICENCE)


def compose(
    digits: Floats,
    y: NDArray[np.int64],
    backgrounds: list[tuple[Floats, Box]],
    size: int,
    rng: np.random.RandomState,
    spread: float = 1.0,
) -> Split:
    """Put each digit at a random place of a random crop.

    Args:
        digits: (N, h, w, 1), the opacity of the ink in [0, 1]; h and w at most `size`.
        y: (N,), their classes.
        backgrounds: photographs (H, W, 1) in [0, 1] with the region that crops may come from.
        size: side of the images.
        rng: draws photograph, crop and place of each digit.
        spread: how far from the centre a digit may be, as a share of what the image has room for.

    Returns:
        x (N, size, size, 1), y, and the extras "mask" and "box" of `cluttered_digits`.
    """
    count, height, width = digits.shape[:3]
    x = np.stack([_crop(*backgrounds[rng.randint(len(backgrounds))], size, rng) for _digit in range(count)])
    x *= np.float32(DIMMED)
    margins = [round((1 - spread) / 2 * (size - side)) for side in (height, width)]
    top = rng.randint(margins[0], size - height - margins[0] + 1, count)
    left = rng.randint(margins[1], size - width - margins[1] + 1, count)
    opacity = np.zeros_like(x)
    for i in range(count):
        opacity[i, top[i] : top[i] + height, left[i] : left[i] + width] = digits[i]
    mask = opacity[..., 0] >= INK
    return Split(x + opacity * (1 - x), y, {"mask": mask, "box": boxes(mask)})


def boxes(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The smallest rectangle around each mask: (N, H, W) -> (N, 4), see `cluttered_digits`; zeros for an empty mask."""
    sides = [np.any(mask, axis=2), np.any(mask, axis=1)]  # which rows (N, H) and which columns (N, W) it touches
    first = [side.argmax(axis=1) for side in sides]
    end = [np.where(side.any(axis=1), side.shape[1] - side[:, ::-1].argmax(axis=1), 0) for side in sides]
    return np.stack([*first, *end], axis=1).astype(np.int64)


def _crop(photo: Floats, region: Box, size: int, rng: np.random.RandomState) -> Floats:
    """A square of the region, (size, size, 1)."""
    top = rng.randint(region.top, region.bottom - size + 1)
    left = rng.randint(region.left, region.right - size + 1)
    return photo[top : top + size, left : left + size]
