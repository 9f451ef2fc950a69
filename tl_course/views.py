"""Two views of one image, weak and strong, for consistency training (FixMatch). Arrays in, arrays out, no framework."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import map_coordinates

from tl_course.scratch_recipe import random_shift

View = Callable[[np.ndarray, np.random.Generator, bool], np.ndarray]
"""Images, generator, may they be mirrored? -> changed images."""


def weak_view(images: np.ndarray, rng: np.random.Generator, flip: bool = False) -> np.ndarray:
    """Each image moved by up to a fourteenth of its side, and mirrored half the time where that keeps its class.

    Args:
        images: float32 (N, H, W, C) in [0, 1].
        rng: source of the moves.
        flip: whether mirroring keeps the class (photographs yes, digits no).
    """
    return random_shift(images, 1 / 14, flip, rng)


def strong_view(images: np.ndarray, rng: np.random.Generator, flip: bool = False) -> np.ndarray:
    """Each image turned and slanted, with another contrast and brightness, noise, moved, and a square cut out.

    What a model may still be asked to recognise is a matter of the data: these strengths suit digits and simple
    objects. Cutting out follows DeVries & Taylor (2017); the rest is in the spirit of FixMatch's RandAugment.

    Args:
        images, rng, flip: as in `weak_view`.

    Returns:
        float32 (N, H, W, C) in [0, 1].
    """
    changed = _turned(random_shift(images, 1 / 8, flip, rng), rng)
    contrast, brightness = rng.uniform(0.6, 1.4, (len(images), 1, 1, 1)), rng.uniform(-0.2, 0.2, (len(images), 1, 1, 1))
    middle = changed.mean(axis=(1, 2, 3), keepdims=True)
    changed = middle + contrast * (changed - middle) + brightness + rng.normal(0, 0.05, changed.shape)
    _cut_out(changed, middle, rng)
    return np.clip(changed, 0, 1).astype(np.float32)


def _turned(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image turned by up to 20 degrees, slanted and scaled by up to a fifth, bilinear, edges repeated."""
    count, height, width, _ = images.shape
    angle, slant = rng.uniform(-0.35, 0.35, count), rng.uniform(-0.2, 0.2, count)
    zoom = rng.uniform(0.85, 1.2, count)
    down, across = np.mgrid[:height, :width].astype(np.float64)
    down, across = down - (height - 1) / 2, across - (width - 1) / 2
    sine, cosine = (np.sin(angle) * zoom)[:, None, None], (np.cos(angle) * zoom)[:, None, None]
    rows = cosine * down - sine * across + (height - 1) / 2
    columns = sine * down + (cosine + slant[:, None, None]) * across + (width - 1) / 2
    turned = np.empty_like(images)
    for image, out, row, column in zip(images, turned, rows, columns, strict=True):
        for channel in range(image.shape[-1]):
            map_coordinates(image[..., channel], (row, column), out[..., channel], order=1, mode="nearest")
    return turned


def _cut_out(images: np.ndarray, fill: np.ndarray, rng: np.random.Generator) -> None:
    """In place: a square of up to 0.35 of the side, anywhere, filled with the image's mean."""
    count, height, width, _ = images.shape
    sides = rng.integers(0, max(2, round(0.35 * min(height, width))), count)
    tops, lefts = rng.integers(0, height, count), rng.integers(0, width, count)
    for image, mean, side, top, left in zip(images, fill, sides, tops, lefts, strict=True):
        image[top : top + side, left : left + side] = mean
