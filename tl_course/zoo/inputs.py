"""What a pretrained model accepts, checked before anything is computed. Every refusal says what is wrong."""

from collections.abc import Iterable

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _

_OVERSHOOT = 1e-5  # rounding a resize may leave outside [0, 1]


def check_images(images: object, channels: int, min_size: int) -> np.ndarray:
    """The images, unchanged, when they are float32 (N, H, W, channels) in [0, 1] with H and W of at least `min_size`.

    Raises:
        BadInput: naming the first thing that does not match: type, dtype, shape, channel order, size, NaN or range.
    """
    expected = _("images float32 (N, H, W, {channels}) in [0, 1]").format(channels=channels)
    if not isinstance(images, np.ndarray):
        raise BadInput(
            expected, type(images).__name__, _("pass one NumPy array: np.asarray(images) or np.stack(images)")
        )
    _check_dtype(images, expected)
    _check_shape(images, channels, expected)
    height, width = images.shape[1:3]
    if min(height, width) < min_size:
        raise BadInput(
            _("images of at least {size}x{size} pixels").format(size=min_size),
            _("{height}x{width} pixels").format(height=height, width=width),
            _("enlarge them, or load the model with image_size={size}").format(size=max(min_size, 32)),
        )
    _check_range(images, expected)
    return images


def _check_dtype(images: np.ndarray, expected: str) -> None:
    if images.dtype == np.float32:
        return
    remedy = _("convert them: images.astype(np.float32)")
    if np.issubdtype(images.dtype, np.integer):
        remedy = _("these look like values from 0 to 255: images.astype(np.float32) / 255")
    raise BadInput(expected, _("dtype {dtype}").format(dtype=images.dtype), remedy)


def _check_shape(images: np.ndarray, channels: int, expected: str) -> None:
    shape = _("shape {shape}").format(shape=images.shape)
    if images.ndim == 3:
        raise BadInput(
            expected, shape, _("add the axis that is missing: images[None] (one image) or images[..., None]")
        )
    if images.ndim != 4:
        raise BadInput(expected, shape, _("give four axes: image, row, column, channel"))
    if len(images) == 0:
        raise BadInput(expected, shape, _("no image is left: check the split or the indices you selected with"))
    if images.shape[3] == channels:
        return
    if images.shape[1] in (1, 3, 4) and images.shape[3] not in (1, 3, 4):
        raise BadInput(
            expected,
            _("shape {shape}, channels first").format(shape=images.shape),
            _("move the channels last: images.transpose(0, 2, 3, 1)"),
        )
    remedies = {
        (1, 3): _("repeat the grey channel: np.repeat(images, 3, axis=-1)"),
        (3, 1): _("make them grey: images.mean(axis=-1, keepdims=True)"),
        (4, 3): _("drop the alpha channel: images[..., :3]"),
    }
    remedy = remedies.get((images.shape[3], channels), _("give {channels} channels, last").format(channels=channels))
    raise BadInput(expected, _("{n} channels, shape {shape}").format(n=images.shape[3], shape=images.shape), remedy)


def _check_range(images: np.ndarray, expected: str) -> None:
    low, high = float(images.min()), float(images.max())  # NaN if any value is
    if np.isnan(low):
        index = int(np.flatnonzero(np.isnan(images).any(axis=(1, 2, 3)))[0])
        raise BadInput(expected, _("NaN in image {index}").format(index=index), _("find out where it comes from"))
    if low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        return
    got = _("values from {low:.3g} to {high:.3g}").format(low=low, high=high)
    if np.isinf(low) or np.isinf(high):
        remedy = _("find out where the infinite values come from")
    elif low < -_OVERSHOOT:
        remedy = _("they look already normalised: pass the plain images, the model brings its own normalisation")
    elif high > 2:
        remedy = _("they look like values from 0 to 255: divide by 255")
    else:
        remedy = _("clip what lies outside: np.clip(images, 0, 1)")
    raise BadInput(expected, got, remedy)


def check_texts(texts: object) -> list[str]:
    """The texts as a list, when they are one or more strings.

    Raises:
        BadInput: one string instead of several, no text at all, or an element that is not a string.
    """
    expected = _("a sequence of texts")
    if isinstance(texts, str):
        raise BadInput(expected, _("one string"), _("put it in a list: [text]"))
    if not isinstance(texts, Iterable):
        raise BadInput(expected, type(texts).__name__, _("pass a list or an array of strings"))
    listed = list(texts)
    if not listed:
        raise BadInput(expected, _("an empty one"), _("check the split or the indices you selected with"))
    for index, text in enumerate(listed):
        if not isinstance(text, str):
            got = _("{kind} at position {index}").format(kind=type(text).__name__, index=index)
            raise BadInput(expected, got, _("drop missing values and convert the rest to str"))
    return [str(text) for text in listed]


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch size below 1."""
    if batch_size < 1:
        raise BadInput(_("batch_size of at least 1"), str(batch_size), _("64 is a good start"))


def check_image_size(image_size: int | None, min_size: int) -> None:
    """Refuse an `image_size` that is neither None nor an integer of at least `min_size`."""
    if image_size is None or (isinstance(image_size, int) and image_size >= min_size):
        return
    expected = _("image_size of at least {size}, or None").format(size=min_size)
    raise BadInput(expected, repr(image_size), _("leave it out for the size the weights were trained at"))
