"""shapes: images of simple shapes, drawn by ourselves, in a domain whose distance from plain black and white is a dial.

What a shape is (class, place, size, angle) and how it looks (colour, texture, background, inversion) are drawn from
separate numbers. The same seed therefore gives the same shapes in every domain, and only their look differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl_course.data.dataset import Dataset, Split
from tl_course.data.shape_outlines import CLASS_NAMES, coverage
from tl_course.errors import BadInput
from tl_course.i18n import _

Floats = NDArray[np.floating[Any]]

SOURCE = "drawn by the course's own generator, tl_course/data/shapes.py"
LICENCE = "Apache-2.0"
PER_CLASS = {"train": 100, "val": 25, "test": 50}
SIZES = (16, 64)
CLUTTER = 8
"""Strokes in a full background."""

NUM_GEOMETRY, NUM_LOOK = 4, 21 + 4 * CLUTTER
"""Random numbers an image takes for its outline and for its look."""

CHUNK = 256


@dataclass(frozen=True)
class Look:
    """How far a domain is from plain, each from 0 (plain) to 1 (all the way).

    Attributes:
        colour: from grey values to hues; at 1 shape and ground differ in hue, and either may be the brighter one.
        texture: stripes on shape and ground, at other angles and spacings; at 1 little other contrast is left.
        background: strokes as bright as the shape, lying behind it; the number is their opacity.
        inversion: the fraction of the images that is inverted, x -> 1 - x.
    """

    colour: float = 0.0
    texture: float = 0.0
    background: float = 0.0
    inversion: float = 0.0


DOMAINS = {
    "plain": Look(),
    "coloured": Look(colour=1.0),
    "textured": Look(texture=1.0),
    "cluttered": Look(background=1.0),
    "inverted": Look(inversion=1.0),
    "wild": Look(colour=0.8, texture=0.6, background=0.8, inversion=0.5),
}
"""Named domains; single strengths can be overridden."""


def shapes(
    domain: str = "plain",
    size: int = 32,
    per_class: int | Mapping[str, int] | None = None,
    seed: int = 0,
    colour: float | None = None,
    texture: float | None = None,
    background: float | None = None,
    inversion: float | None = None,
    spurious: float | None = None,
) -> Dataset:
    """Images of eight shapes: disc, ring, crescent, square, bar, triangle, cross, star; N a class, size x size x 3.

    Args:
        domain: "plain" (light grey on dark grey), "coloured", "textured", "cluttered", "inverted" or "wild" (all).
        size: side of the images in pixels, 16 to 64.
        per_class: training images of each class, or {"train": 100, "val": 25, "test": 50} (the default). Asking for
            more adds images and keeps the earlier ones.
        seed: another seed draws other images; train, val and test never share one. Source and target of an experiment
            should have different seeds, as one seed draws the same outlines in every domain.
        colour, texture, background, inversion: strengths from 0 to 1 that override the domain's (see `Look`).
        spurious: the ground takes a tint, one for each class. In this fraction of the train and val images it is the
            tint of the image's own class, in the others that of another class; in test all tints are equally likely,
            whatever the class. `extras["tint"]` holds the class whose tint an image got. None: no tint.

    Returns:
        x float32 (N, size, size, 3) in [0, 1], sorted by class; the same on every machine up to rounding.

    Raises:
        BadInput: an unknown domain, or a number out of range.
    """
    counts, look = _checked_counts(per_class), _checked_look(domain, colour, texture, background, inversion)
    _check_numbers(size, seed, spurious)
    parts = {
        part: _split(number, counts[part], look, size, seed, None if part == "test" else spurious, spurious is not None)
        for number, part in enumerate(PER_CLASS)
    }
    return Dataset("shapes", parts["train"], parts["test"], parts["val"], CLASS_NAMES, SOURCE, LICENCE)


def _split(part: int, per_class: int, look: Look, size: int, seed: int, agreement: float | None, tinted: bool) -> Split:
    """One split: its images class by class."""
    num_classes = len(CLASS_NAMES)
    y = np.repeat(np.arange(num_classes, dtype=np.int64), per_class)
    geometry = _uniforms(seed, part, 0, per_class, NUM_GEOMETRY)
    drawn = _uniforms(seed, part, 1, per_class, NUM_LOOK)
    tint = _tints(y, _uniforms(seed, part, 2, per_class, 2), agreement) if tinted else None
    x = np.empty((len(y), size, size, 3), np.float32)
    for start in range(0, len(y), CHUNK):
        rows = slice(start, start + CHUNK)
        mask = coverage(y[rows], geometry[rows], size)
        x[rows] = _paint(mask, drawn[rows], look, None if tint is None else tint[rows])
    return Split(x, y, {} if tint is None else {"tint": tint})


def _uniforms(seed: int, part: int, purpose: int, per_class: int, width: int) -> Floats:
    """Numbers in [0, 1), (classes * per_class, width); more a class leaves the earlier ones as they were."""
    blocks = []
    for label in range(len(CLASS_NAMES)):
        # RandomState's streams are frozen by NumPy's policy (NEP 19).
        key = np.random.SeedSequence((seed, part, purpose, label))
        blocks.append(np.random.RandomState(np.random.MT19937(key)).random_sample((per_class, width)))
    return np.concatenate(blocks).astype(np.float32)


def _tints(y: NDArray[np.int64], drawn: Floats, agreement: float | None) -> NDArray[np.int64]:
    """The class whose tint each image takes: its own with probability `agreement` (None: any, equally likely)."""
    num_classes = len(CLASS_NAMES)
    if agreement is None:
        return (drawn[:, 1] * num_classes).astype(np.int64)
    another = (y + 1 + (drawn[:, 1] * (num_classes - 1)).astype(np.int64)) % num_classes
    return np.where(drawn[:, 0] < agreement, y, another)


def _paint(mask: Floats, drawn: Floats, look: Look, tint: NDArray[np.int64] | None) -> Floats:
    """Outlines (N, S, S) in [0, 1] as images (N, S, S, 3): ground, strokes, shape, then inversion."""
    size = mask.shape[1]
    ground, shape = _base_colours(drawn, look)
    if tint is not None:
        ground = 0.5 * ground + 0.5 * _hsv(tint / np.float32(len(CLASS_NAMES)), 0.9, 0.7)
    strokes = look.background * _strokes(drawn[:, 21:], size)  # (N, S, S)
    canvas = _blend(ground[:, None, None] * np.ones((1, size, size, 1), np.float32), shape, strokes)
    canvas += look.texture * 0.35 * _stripes(drawn[:, 9:12], size)[..., None]
    surface = shape[:, None, None] + look.texture * 0.35 * _stripes(drawn[:, 12:15], size)[..., None]
    image = canvas + mask[..., None] * (surface - canvas)
    image = np.where((drawn[:, 15] < look.inversion)[:, None, None, None], 1 - image, image)
    return np.clip(image, 0, 1).astype(np.float32)


def _base_colours(drawn: Floats, look: Look) -> tuple[Floats, Floats]:
    """Colours of ground and shape, (N, 3) each."""
    dark, light = 0.05 + 0.15 * drawn[:, 0:1], 0.75 + 0.2 * drawn[:, 1:2]  # (N, 1)
    hue = drawn[:, 2]
    other_hue = hue + 0.25 + 0.5 * drawn[:, 3]  # at least a quarter of the circle away
    hues = [_hsv(h, 0.85, 0.35 + 0.6 * drawn[:, column]) for h, column in ((hue, 4), (other_hue, 5))]
    ground, shape = (
        (1 - look.colour) * grey + look.colour * hue for grey, hue in zip((dark, light), hues, strict=True)
    )
    middle = (ground + shape) / 2
    kept = 1 - 0.75 * look.texture
    return middle + kept * (ground - middle), middle + kept * (shape - middle)


def _hsv(hue: Floats, saturation: float, value: Floats | float) -> Floats:
    """Hue (N,) as a fraction of the circle, with saturation and value in [0, 1] -> RGB (N, 3) in [0, 1]."""
    offsets = np.array([5, 3, 1], np.float32)
    k = (offsets + 6 * np.asarray(hue, np.float32)[:, None]) % 6
    fade = np.clip(np.minimum(k, 4 - k), 0, 1)
    return np.asarray(value, np.float32).reshape(-1, 1) * (1 - saturation * fade)


def _stripes(drawn: Floats, size: int) -> Floats:
    """Sine waves (N, S, S) in [-1, 1] from angle, spacing and phase, (N, 3)."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    angle, phase = np.pi * drawn[:, 0, None, None], 2 * np.pi * drawn[:, 2, None, None]
    waves = 3 + 5 * drawn[:, 1, None, None]  # over the image's side
    return np.sin(2 * np.pi * waves * (np.cos(angle) * columns + np.sin(angle) * rows) + phase).astype(np.float32)


def _strokes(drawn: Floats, size: int) -> Floats:
    """Coverage (N, S, S) in [0, 1] by short straight strokes; (N, 4 * CLUTTER): centre, angle, length of each."""
    rows, columns = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size
    covered = np.zeros((len(drawn), size, size), np.float32)
    for numbers in drawn.reshape(len(drawn), CLUTTER, 4).transpose(1, 2, 0)[..., None, None]:
        across, down = columns - numbers[0], rows - numbers[1]
        cosine, sine = np.cos(np.pi * numbers[2]), np.sin(np.pi * numbers[2])
        along, beside = np.abs(cosine * across + sine * down), np.abs(cosine * down - sine * across)
        distance = np.maximum(along - (0.08 + 0.15 * numbers[3]), beside - 0.03)
        covered = np.maximum(covered, np.clip(0.5 - distance * size, 0, 1))
    return covered


def _blend(canvas: Floats, colour: Floats, opacity: Floats) -> Floats:
    return canvas + opacity[..., None] * (colour[:, None, None] - canvas)


def _checked_counts(per_class: int | Mapping[str, int] | None) -> dict[str, int]:
    given = {"train": per_class} if isinstance(per_class, int) else dict(per_class or {})
    counts = PER_CLASS | given
    if set(counts) != set(PER_CLASS) or not all(type(n) is int and 1 <= n <= 10_000 for n in counts.values()):
        raise BadInput(
            _("per_class as a count from 1 to 10,000, or such counts for train, val and test"),
            repr(per_class),
            _("pass for example per_class={example}").format(example=PER_CLASS),
        )
    return counts


def _checked_look(domain: str, *strengths: float | None) -> Look:
    if domain not in DOMAINS:
        raise BadInput(
            _("a domain out of {names}").format(names=", ".join(DOMAINS)),
            repr(domain),
            _("choose one of these and adjust it with colour, texture, background and inversion"),
        )
    names = ("colour", "texture", "background", "inversion")
    chosen = {name: value for name, value in zip(names, strengths, strict=True) if value is not None}
    for name, value in chosen.items():
        _check_fraction(name, value)
    return replace(DOMAINS[domain], **chosen)


def _check_numbers(size: int, seed: int, spurious: float | None) -> None:
    if type(size) is not int or not SIZES[0] <= size <= SIZES[1]:
        raise BadInput(
            _("size as an integer from {least} to {most}").format(least=SIZES[0], most=SIZES[1]),
            repr(size),
            _("pass for example size=32"),
        )
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise BadInput(_("seed as an integer from 0 to 4294967295"), repr(seed), _("pass for example seed=0"))
    if spurious is not None:
        _check_fraction("spurious", spurious)


def _check_fraction(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise BadInput(_("{name} as a number from 0 to 1").format(name=name), repr(value), _("pass for example 0.5"))
