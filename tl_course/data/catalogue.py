"""The data sets by name: how to load them, and what they hold."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import getdoc, signature
from typing import Any

from tl_course.assets import ASSETS
from tl_course.data import cluttered
from tl_course.data.dataset import Dataset
from tl_course.data.hub import HUBS, cifar10, fashion_mnist, flowers102, oxford_pets
from tl_course.data.packaged import digits, mnist
from tl_course.data.photos import photos
from tl_course.data.sentiment import sentiment
from tl_course.data.shapes import LICENCE, SOURCE, shapes
from tl_course.errors import BadInput
from tl_course.i18n import _


@dataclass(frozen=True)
class Entry:
    """A data set as `load(name)` returns it without options; counts are train, val, test."""

    load: Callable[..., Dataset]
    counts: tuple[int, int, int]
    shape: tuple[int, ...]
    num_classes: int
    offline: bool = True
    origin: tuple[str, str] | None = None  # source and licence of what is neither downloaded nor an asset


_ENTRIES = {
    "digits": Entry(digits, (1078, 180, 539), (8, 8, 1), 10),
    "mnist": Entry(mnist, (3000, 500, 1500), (28, 28, 1), 10),
    "photos": Entry(photos, (1800, 360, 720), (64, 64, 3), 18),
    "cluttered_digits": Entry(
        cluttered.cluttered_digits,
        (3000, 500, 1500),
        (48, 48, 1),
        10,
        origin=(cluttered.SOURCE, cluttered.LICENCE),
    ),
    "sentiment": Entry(sentiment, (2052, 329, 1051), (), 2),
    "shapes": Entry(shapes, (800, 200, 400), (32, 32, 3), 8, origin=(SOURCE, LICENCE)),
    "fashion_mnist": Entry(fashion_mnist, (55000, 5000, 10000), (28, 28, 1), 10, offline=False),
    "cifar10": Entry(cifar10, (45000, 5000, 10000), (32, 32, 3), 10, offline=False),
    "flowers102": Entry(flowers102, (1020, 1020, 6149), (64, 64, 3), 102, offline=False),
    "oxford_pets": Entry(oxford_pets, (3312, 368, 3669), (64, 64, 3), 37, offline=False),
}


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(_ENTRIES)


def load(name: str, **options: Any) -> Dataset:
    """Load a data set by name.

    Options (all have defaults):

    - photos: size (8 to 72), colour, per_photo={"train": 100, "val": 20, "test": 40}
    - cluttered_digits: size (28 to 72), seed
    - sentiment: domain ("tweets", "movies", "products", "news"), neutral (0.5)
    - shapes: domain ("plain", "coloured", "textured", "cluttered", "inverted", "wild"), size (16 to 64), per_class,
      seed, colour, texture, background and inversion (0 to 1), spurious (0 to 1)
    - fashion_mnist, cifar10: root (folder that holds the files)
    - flowers102, oxford_pets: root, size (64), max_gib

    Returns:
        Images float32 (N, H, W, C) in [0, 1] or texts str (N,); y int64 (N,). The same on every machine.

    Raises:
        BadInput: an unknown name or option, options out of range, or files that cannot be had.
    """
    entry = _entry(name)
    allowed = list(signature(entry.load).parameters)
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise BadInput(
            _("options of {name}: {allowed}").format(name=name, allowed=", ".join(allowed) or _("none")),
            ", ".join(unknown),
            _("leave it out or correct its spelling"),
        )
    return entry.load(**options)


def describe(name: str) -> dict[str, Any]:
    """What a data set holds, without loading it, as `load(name)` gives it without options.

    Returns:
        {"name", "train", "val", "test" (numbers of examples), "shape" (of one example; () for a text), "classes"
        (how many), "offline" (True if it needs no download beyond the course's set-up), "licence", "source", "notes"}.

    Raises:
        BadInput: an unknown name.
    """
    entry = _entry(name)
    train, val, test = entry.counts
    source, licence = _origin(name, entry)
    return {
        "name": name,
        "train": train,
        "val": val,
        "test": test,
        "shape": entry.shape,
        "classes": entry.num_classes,
        "offline": entry.offline,
        "licence": licence,
        "source": source,
        "notes": getdoc(entry.load),
    }


def _origin(name: str, entry: Entry) -> tuple[str, str]:
    """Source and licence of a data set."""
    if entry.origin:
        return entry.origin
    if name in HUBS:
        return HUBS[name].source, HUBS[name].licence
    return ASSETS[name].citation, ASSETS[name].licence


def _entry(name: str) -> Entry:
    if name not in _ENTRIES:
        raise BadInput(
            _("a data set out of {names}").format(names=", ".join(_ENTRIES)),
            repr(name),
            _("choose one of these, or image_folder(path) for your own images"),
        )
    return _ENTRIES[name]
