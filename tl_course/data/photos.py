"""photos: square crops of the photographs and textures in scikit-image; the class is the photograph.

Each photograph is cut across its longer side into three regions, for train, val and test, with a guard band between
them. Every crop lies inside one region, so no pixel is shared between splits.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tl_course import assets
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.i18n import _

FILES = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "cameraman": "camera.png",
    "cat": "chelsea.png",
    "cell": "cell.png",
    "clock": "clock_motion.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "galaxies": "hubble_deep_field.jpg",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "page": "page.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
    "writing": "text.png",
}
"""Class name -> file among scikit-image's."""

GUARD = 8
"""Pixels between two regions that no crop touches."""

SHARES = {"train": 0.5, "val": 0.2, "test": 0.3}
"""Share of the longer side that each region takes, after the guard bands."""

PER_PHOTO = {"train": 100, "val": 20, "test": 40}
SIZES = (8, 72)
FLAT = 1 / 255
"""Crops whose grey values spread (standard deviation) less than one level of 255 show nothing and are skipped."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: rows top..bottom, columns left..right, the ends excluded."""

    top: int
    left: int
    bottom: int
    right: int


def photos(size: int = 64, colour: bool = True, per_photo: dict[str, int] | None = None) -> Dataset:
    """Crops of 18 photographs and textures, at their own scale (nothing is resized).

    Args:
        size: side of the crops in pixels, 8 to 72.
        colour: (N, size, size, 3) with the grey photographs repeated over the channels, or, if False,
            (N, size, size, 1) grey values (ITU-R 601 luma).
        per_photo: crops of each photograph, such as {"train": 100, "val": 20, "test": 40} (the default).
            Asking for more adds crops and keeps the earlier ones. Crops of one split may overlap each other.

    Returns:
        x in [0, 1]; positions are fixed, so the same arguments give the same crops everywhere.

    Raises:
        BadInput: size or per_photo out of range.
    """
    counts = _checked(size, per_photo)
    folder = assets.path("photos")
    names = sorted(FILES)
    crops: dict[str, list[NDArray[np.float32]]] = {part: [] for part in SHARES}
    for name in names:
        photo = read_photo(folder / FILES[name], colour)
        for number, (part, region) in enumerate(regions(*photo.shape[:2]).items()):
            # RandomState's streams are frozen by NumPy's policy, and the seed differs between regions.
            rng = np.random.RandomState(number)
            crops[part].append(_crops(photo, region, size, counts[part], rng))
    train, val, test = (
        Split(np.concatenate(crops[part]), np.repeat(np.arange(len(names), dtype=np.int64), counts[part]))
        for part in ("train", "val", "test")
    )
    asset = assets.ASSETS["photos"]
    return Dataset("photos", train, test, val, tuple(names), asset.citation, asset.licence)


def read_photo(path: Path, colour: bool) -> NDArray[np.float32]:
    """One photograph as (H, W, 3) or, grey, (H, W, 1), float32 in [0, 1]."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB") if colour else image.convert("L"), dtype=np.float32) / np.float32(255)
    return pixels if colour else pixels[:, :, None]


def regions(height: int, width: int) -> dict[str, Box]:
    """The rectangles that the crops of each split are taken from: strips across the longer side."""
    longer = max(height, width)
    usable = longer - (len(SHARES) - 1) * GUARD
    boxes: dict[str, Box] = {}
    start = 0
    for part, share in SHARES.items():
        stop = longer if part == "test" else start + int(share * usable)
        boxes[part] = Box(0, start, height, stop) if width >= height else Box(start, 0, stop, width)
        start = stop + GUARD
    return boxes


def _crops(
    photo: NDArray[np.float32], region: Box, size: int, count: int, rng: np.random.RandomState
) -> NDArray[np.float32]:
    """`count` crops at random places of the region, (count, size, size, C)."""
    found: list[NDArray[np.float32]] = []
    while len(found) < count:
        top = rng.randint(region.top, region.bottom - size + 1)
        left = rng.randint(region.left, region.right - size + 1)
        crop = photo[top : top + size, left : left + size]
        if crop.mean(axis=2).std() >= FLAT:
            found.append(crop)
    return np.stack(found) if found else np.empty((0, size, size, photo.shape[2]), np.float32)


def _checked(size: int, per_photo: dict[str, int] | None) -> dict[str, int]:
    if not isinstance(size, int) or not SIZES[0] <= size <= SIZES[1]:
        raise BadInput(
            _("size as an integer from {least} to {most}").format(least=SIZES[0], most=SIZES[1]),
            repr(size),
            _("larger crops would not fit between the guard bands; resize crops of {most} instead").format(
                most=SIZES[1]
            ),
        )
    counts = PER_PHOTO | (per_photo or {})
    if set(counts) != set(PER_PHOTO) or not all(isinstance(n, int) and 1 <= n <= 10_000 for n in counts.values()):
        raise BadInput(
            _("per_photo as counts from 1 to 10,000 for train, val and test"),
            repr(per_photo),
            _("pass for example per_photo={example}").format(example=PER_PHOTO),
        )
    return counts
