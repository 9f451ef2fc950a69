"""The data sets by name."""

from collections.abc import Callable
from typing import Any

from tl_course.data.dataset import Dataset
from tl_course.data.packaged import digits, mnist
from tl_course.data.photos import photos
from tl_course.data.sentiment import sentiment
from tl_course.errors import BadInput
from tl_course.i18n import _

_LOADERS: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "mnist": mnist,
    "photos": photos,
    "sentiment": sentiment,
}


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(_LOADERS)


def load(name: str, **options: Any) -> Dataset:
    """Load a data set: see the loader's own docstring for its options and shapes.

    Raises:
        BadInput: an unknown name, or options out of range.
    """
    if name not in _LOADERS:
        raise BadInput(
            _("a data set out of {names}").format(names=", ".join(_LOADERS)), repr(name), _("choose one of these")
        )
    return _LOADERS[name](**options)
