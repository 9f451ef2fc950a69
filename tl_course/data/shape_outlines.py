"""The outlines of the eight shapes, as signed distances that are drawn without jagged edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def _disc(u: Floats, v: Floats) -> Floats:
    return np.hypot(u, v) - 0.9


def _ring(u: Floats, v: Floats) -> Floats:
    return np.abs(np.hypot(u, v) - 0.75) - 0.2


def _crescent(u: Floats, v: Floats) -> Floats:
    return np.maximum(_disc(u, v), 0.75 - np.hypot(u - 0.45, v))


def _square(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(u), np.abs(v)) - 0.75


def _bar(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(u) - 1.0, np.abs(v) - 0.35)


def _triangle(u: Floats, v: Floats) -> Floats:
    slanted = 0.5 * v + np.float32(np.sqrt(3) / 2) * np.abs(u)
    return np.maximum(slanted, -v) - 0.5


def _cross(u: Floats, v: Floats) -> Floats:
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - 1.0, b - 0.3), np.maximum(b - 1.0, a - 0.3))


def _star(u: Floats, v: Floats) -> Floats:
    """Five points: the circle folded into ten sectors, in each the straight edge from a tip to a notch."""
    sector = np.pi / 5
    angle = np.abs((np.arctan2(v, u) + sector) % (2 * sector) - sector)  # 0 at a tip, pi / 5 at a notch
    along, beside = np.hypot(u, v) * np.cos(angle), np.hypot(u, v) * np.sin(angle)
    tip, notch = (1.05, 0.0), (0.45 * np.cos(sector), 0.45 * np.sin(sector))
    edge = np.array([notch[0] - tip[0], notch[1] - tip[1]])
    return ((along - tip[0]) * edge[1] - beside * edge[0]) / np.linalg.norm(edge)


_DISTANCES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "disc": _disc,
    "ring": _ring,
    "crescent": _crescent,
    "square": _square,
    "bar": _bar,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
}
"""Name -> signed distance to the outline, negative inside, of points (u, v) with the shape filling about [-1, 1]."""

CLASS_NAMES = tuple(_DISTANCES)


def coverage(y: NDArray[np.int64], drawn: Floats, size: int) -> Floats:
    """How much of each pixel a shape covers: (N, size, size) in [0, 1].

    Args:
        y: class of each image, (N,).
        drawn: numbers in [0, 1), (N, 4): radius (20 to 34 % of the side), place in both directions, angle.
        size: side of the images in pixels.
    """
    radius = 0.2 + 0.14 * drawn[:, 0, None, None]  # as a fraction of the side
    reach = 0.5 - 1.1 * radius  # keeps the shape inside
    across = 0.5 + reach * (2 * drawn[:, 1, None, None] - 1)
    down = 0.5 + reach * (2 * drawn[:, 2, None, None] - 1)
    angle = 2 * np.pi * drawn[:, 3, None, None]
    rows, columns = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size
    right, below = (columns - across) / radius, (rows - down) / radius
    u, v = np.cos(angle) * right + np.sin(angle) * below, np.cos(angle) * below - np.sin(angle) * right
    distance = np.empty((len(y), size, size), np.float32)
    for label, name in enumerate(CLASS_NAMES):
        chosen = y == label
        distance[chosen] = _DISTANCES[name](u[chosen], v[chosen])
    return np.clip(0.5 - distance * radius * size, 0, 1).astype(np.float32)
