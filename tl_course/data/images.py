"""Image files as arrays of one size: decoding, colour, resizing, and what can be wrong with a file."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tl_course.errors import BadInput
from tl_course.i18n import _

if TYPE_CHECKING:
    from rich.console import Console

MIN_SIDE = 8
"""Images with a shorter side than this many pixels are refused: nothing can be seen in them."""

MAX_GIB = 2.0
"""Memory that the images of one data set may take unless the caller allows more."""

PROGRESS_AFTER = 2.0
"""Seconds of work after which a progress bar appears."""

Item = TypeVar("Item")


class UnusableImage(Exception):
    """A file that cannot serve as an image; the message says what is wrong with it and what to do."""


def read_image(path: Path, size: int) -> NDArray[np.float32]:
    """One image file as (size, size, 3) float32 RGB in [0, 1], made to fit by `fit_image`.

    Raises:
        UnusableImage: not an image, cut off, too small or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if min(image.size) < MIN_SIDE:
                    raise UnusableImage(_too_small(image.size))
                image.draft(None, (2 * size, 2 * size))  # lets JPEG decode a large photograph at a lower scale
                return fit_image(image, size)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UnusableImage(
            _("has more than {most} million pixels: scale it down").format(most=(Image.MAX_IMAGE_PIXELS or 0) // 10**6)
        ) from error
    except UnidentifiedImageError as error:
        raise UnusableImage(_not_an_image(path)) from error
    except (OSError, SyntaxError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnusableImage(
            _("cannot be read ({reason}): replace it by an intact copy or remove it").format(reason=reason)
        ) from error


def fit_image(image: Image.Image, size: int) -> NDArray[np.float32]:
    """An image as (size, size, 3) float32 RGB in [0, 1].

    Turned upright by its EXIF tag, scaled so that the shorter side is `size`, cropped at the centre. Grey images are
    repeated over the channels, transparent ones laid on white, CMYK and palettes converted, of animations the first
    frame is taken.
    """
    rgb = _to_rgb(ImageOps.exif_transpose(image))
    fitted = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(fitted, dtype=np.float32) / np.float32(255)


def stack_images(
    count: int, size: int, images: Iterable[NDArray[np.float32]], max_gib: float = MAX_GIB
) -> NDArray[np.float32]:
    """`count` images of shape (size, size, 3) as one array (count, size, size, 3), filled in place.

    Raises:
        BadInput: the array would take more than `max_gib` GiB.
    """
    gib = count * size * size * 3 * 4 / 2**30
    if gib > max_gib:
        raise BadInput(
            _("images that fit into {most:g} GiB").format(most=max_gib),
            _("{count} images of {size} x {size}, which take {gib:.1f} GiB").format(count=count, size=size, gib=gib),
            _("pass a smaller size, or max_gib={need:.0f} if this computer has the memory").format(need=gib + 1),
        )
    stacked = np.zeros((count, size, size, 3), np.float32)
    for position, image in enumerate(images):
        stacked[position] = image
    return stacked


def check_size(size: int) -> None:
    """Raises BadInput unless `size` is a side that images can be resized to."""
    if isinstance(size, bool) or not isinstance(size, int) or not MIN_SIDE <= size <= 1024:
        raise BadInput(
            _("size as an integer from {least} to 1024").format(least=MIN_SIDE),
            repr(size),
            _("pass for example size=64"),
        )


def tracked(
    items: Sequence[Item],
    description: str,
    clock: Callable[[], float] = monotonic,
    console: "Console | None" = None,
) -> Iterator[Item]:
    """The items one by one; nothing is shown unless that takes over two seconds, then a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    started = clock()
    bar = Progress(console=console or Console(stderr=True))
    task = None
    try:
        for done, item in enumerate(items):
            if task is None and clock() - started > PROGRESS_AFTER:
                bar.start()
                task = bar.add_task(description, total=len(items))
            yield item
            if task is not None:
                bar.update(task, completed=done + 1)
    finally:
        if task is not None:
            bar.stop()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image, dtype=np.float32) / 65535 * 255
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnusableImage(_("holds 32-bit grey values without a known range: save it with 8 or 16 bits"))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _too_small(size: tuple[int, int]) -> str:
    return _("has {width} x {height} pixels, fewer than {least} on a side: remove it").format(
        width=size[0], height=size[1], least=MIN_SIDE
    )


def _not_an_image(path: Path) -> str:
    if not path.stat().st_size:
        return _("is empty (0 bytes): replace it by an intact copy or remove it")
    with path.open("rb") as file:
        start = file.read(12)
    return _("is not an image, whatever its name says (it begins with {start!r}): remove it").format(start=start)
