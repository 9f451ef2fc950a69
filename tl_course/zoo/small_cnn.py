"""The small CNN as a model of the zoo: its name says how wide it is, so that a saved classifier can be built again."""

import re

from tl_course.errors import BadInput
from tl_course.i18n import _

MEAN, STD = 0.5, 0.25
"""Of every channel's normalisation: about what photographs have."""

SIZE = 32
"""Height and width where none is asked for."""

MIN_SIZE = 8
"""It halves height and width three times."""


def name_of(width: int, channels: int) -> str:
    """Such as small_cnn_16x3.

    Raises:
        BadInput: a width or number of channels below 1.
    """
    if width < 1 or channels < 1:
        raise BadInput(
            _("width and channels of at least 1"),
            _("{width} and {channels}").format(width=width, channels=channels),
            _("16 and 3 are usual"),
        )
    return f"small_cnn_{width}x{channels}"


def sizes_of(name: str) -> tuple[int, int] | None:
    """Width of the first layer and number of the images' channels, when the name is that of a small CNN."""
    found = re.fullmatch(r"small_cnn_([1-9]\d*)x([1-9]\d*)", name)
    return None if found is None else (int(found[1]), int(found[2]))


def widths_of(width: int) -> tuple[int, int, int, int]:
    """Channels of its four convolutions: each twice as many as the one before."""
    return width, 2 * width, 4 * width, 8 * width


def check_weights(name: str, weights: object) -> None:
    """Raise BadInput for pretrained weights: there are none."""
    if weights is not None:
        raise BadInput(_("weights=None for {name}").format(name=name), repr(weights), _("it starts from random ones"))
