"""Where a token stands, as a vector: attention alone cannot tell one order of the tokens from another."""

import numpy as np
from numpy.typing import NDArray

from tl_course.errors import BadInput
from tl_course.i18n import _

LONGEST_WAVE = 10_000.0
"""Wavelengths run from 2π towards this times 2π tokens."""


def sinusoidal_positions(length: int, dim: int) -> NDArray[np.float32]:
    """Fixed position vectors (Vaswani et al., Attention Is All You Need, 2017, section 3.5).

        P[t, 2i]     = sin(t / 10000^(2i / dim))
        P[t, 2i + 1] = cos(t / 10000^(2i / dim))

    Each pair of columns is a clock hand of its own speed, so P[t + k] is a rotation of P[t] that depends on k only.

    Args:
        length: L, the number of positions, at least 1.
        dim: D, even.

    Returns:
        float32 (L, D) with values in [-1, 1].

    Raises:
        BadInput: a length below 1, or an odd or non-positive dim.
    """
    if length < 1:
        raise BadInput(_("length of at least 1"), str(length), _("count the tokens of the longest text"))
    if dim < 2 or dim % 2:
        raise BadInput(_("an even dim of at least 2"), str(dim), _("sines and cosines come in pairs"))
    positions = np.arange(length)[:, None]  # (L, 1)
    angles = positions / LONGEST_WAVE ** (np.arange(0, dim, 2) / dim)  # (L, D / 2)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim).astype(np.float32)  # (L, D)
