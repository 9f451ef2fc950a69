"""fashion_mnist, cifar10, flowers102 and oxford_pets through torchvision's own loaders.

They are read from `cache_dir()/torchvision` (or `root`), downloaded when they are not there and a network is.
"""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl_course import assets
from tl_course.compat import torchvision
from tl_course.data.dataset import Dataset, Split
from tl_course.data.images import MAX_GIB, check_size, fit_image, stack_images, tracked
from tl_course.data.splits import split_by_hash
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.zoo.hub import short_timeout

TIMEOUT = 20.0
"""Seconds without an answer after which a download counts as failed."""


@dataclass(frozen=True)
class Hub:
    """What is known of a data set without having it."""

    files: str
    page: str
    instead: str
    source: str
    licence: str


HUBS = {
    "fashion_mnist": Hub(
        "FashionMNIST/raw/ with the four files *-ubyte (unpacked from the *-ubyte.gz)",
        "https://github.com/zalandoresearch/fashion-mnist",
        "mnist",
        assets.ASSETS["fashion_mnist"].citation,
        assets.ASSETS["fashion_mnist"].licence,
    ),
    "cifar10": Hub(
        "cifar-10-batches-py/, unpacked from cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "photos",
        "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        "none stated by its makers; published for research",
    ),
    "flowers102": Hub(
        "flowers-102/ with jpg/ (unpacked from 102flowers.tgz), imagelabels.mat and setid.mat",
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        "photos",
        "Nilsback and Zisserman, Automated Flower Classification over a Large Number of Classes, ICVGIP 2008",
        "none stated by its makers; published for research",
    ),
    "oxford_pets": Hub(
        "oxford-iiit-pet/ with images/ and annotations/, unpacked from images.tar.gz and annotations.tar.gz",
        "https://www.robots.ox.ac.uk/~vgg/data/pets/",
        "photos",
        "Parkhi, Vedaldi, Zisserman and Jawahar, Cats and Dogs, CVPR 2012",
        "CC BY-SA 4.0; the photographs remain their owners'",
    ),
}


def fashion_mnist(root: str | Path | None = None) -> Dataset:
    """70,000 articles of clothing, (N, 28, 28, 1) in [0, 1], 10 classes, balanced. 220 MB in memory.

    The official 10,000 test images; 5,000 of the 60,000 training images (500 a class, fixed) are held out as val.
    Without `root`, Debian's files (package dataset-fashion-mnist) are used where they are, else torchvision's.

    Raises:
        BadInput: the files are in neither place and cannot be downloaded.
    """
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    if root is None and assets.status("fashion_mnist") != "missing":
        folder = assets.path("fashion_mnist")
        train, test = _read_idx(folder, "train"), _read_idx(folder, "t10k")
    else:
        cls = torchvision().datasets.FashionMNIST
        parts = [
            _get("fashion_mnist", root, lambda at, download, of=of: cls(at, train=of, download=download))
            for of in (True, False)
        ]
        train, test = ((part.data.numpy()[..., None], part.targets.numpy()) for part in parts)
    return _with_val("fashion_mnist", train, test, 1 / 12, classes)


def cifar10(root: str | Path | None = None) -> Dataset:
    """60,000 photographs of ten kinds of things, (N, 32, 32, 3) in [0, 1], balanced. 740 MB in memory.

    The official 10,000 test images; 5,000 of the 50,000 training images (500 a class, fixed) are held out as val.
    About 3 % of the official test images closely resemble a training image (Barz and Denzler, Do We Train on Test
    Data?, J. Imaging 2020); results on this set are a little too good for that reason everywhere.

    Raises:
        BadInput: the files are not there (or damaged) and cannot be downloaded.
    """
    cls = torchvision().datasets.CIFAR10
    parts = [
        _get("cifar10", root, lambda at, download, of=of: cls(at, train=of, download=download)) for of in (True, False)
    ]
    train, test = ((part.data, np.array(part.targets)) for part in parts)
    return _with_val("cifar10", train, test, 1 / 10, tuple(parts[0].classes))


def flowers102(root: str | Path | None = None, size: int = 64, max_gib: float = MAX_GIB) -> Dataset:
    """8,189 photographs of 102 kinds of flowers, (N, size, size, 3) in [0, 1]: shorter side resized, centre cropped.

    The official split: 10 images a class for train, 10 for val, the rest (20 to 238 a class) for test.

    Raises:
        BadInput: the files are not there (or damaged) and cannot be downloaded, or the images would take more than
            `max_gib` GiB.
    """
    cls = torchvision().datasets.Flowers102
    train, val, test = _decode("flowers102", cls, ("train", "val", "test"), root, size, max_gib)
    hub = HUBS["flowers102"]
    return Dataset("flowers102", train, test, val, tuple(cls.classes), hub.source, hub.licence)


def oxford_pets(root: str | Path | None = None, size: int = 64, max_gib: float = MAX_GIB) -> Dataset:
    """7,349 photographs of 37 breeds of cats and dogs, (N, size, size, 3) in [0, 1]: shorter side resized, cropped.

    The official 3,669 test images; a tenth of the 3,680 of trainval (fixed, within each class) is held out as val.

    Raises:
        BadInput: the files are not there (or damaged) and cannot be downloaded, or the images would take more than
            `max_gib` GiB.
    """
    cls = torchvision().datasets.OxfordIIITPet
    trainval, test = _decode("oxford_pets", cls, ("trainval", "test"), root, size, max_gib)
    keys = [str(position) for position in range(len(trainval))]
    kept, held, _none = split_by_hash(keys, trainval.y.tolist(), (0.9, 0.1, 0.0), salt="oxford_pets")
    names = tuple(_get("oxford_pets", root, lambda at, download: cls(at, split="trainval", download=download)).classes)
    hub = HUBS["oxford_pets"]
    return Dataset("oxford_pets", trainval.take(kept), test, trainval.take(held), names, hub.source, hub.licence)


def _get(name: str, root: str | Path | None, open_at: Callable[[Path, bool], Any]) -> Any:
    """torchvision's data set, from the folder if it is there, else downloaded into it."""
    folder = Path(root).expanduser() if root else assets.cache_dir() / "torchvision"
    try:
        return open_at(folder, False)
    except (RuntimeError, OSError):  # how torchvision says that files are missing or damaged
        pass
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with short_timeout(TIMEOUT):
            return open_at(folder, True)
    except (RuntimeError, OSError, EOFError) as error:
        raise _unavailable(name, folder, error) from error


def _decode(
    name: str, cls: Callable[..., Any], parts: tuple[str, ...], root: str | Path | None, size: int, max_gib: float
) -> list[Split]:
    """Every split of a data set of image files, decoded and resized."""
    check_size(size)
    opened = [
        _get(
            name,
            root,
            lambda at, download, part=part: cls(
                at, split=part, download=download, transform=lambda image: fit_image(image, size)
            ),
        )
        for part in parts
    ]
    labels: list[int] = []

    def images() -> Iterator[NDArray[np.float32]]:
        for one in opened:
            for position in tracked(range(len(one)), _("reading {name}").format(name=name)):
                image, label = one[position]
                labels.append(label)
                yield image

    try:
        x = stack_images(sum(map(len, opened)), size, images(), max_gib)
    except OSError as error:
        raise _unavailable(name, Path(opened[0].root), error) from error
    y = np.array(labels, dtype=np.int64)
    ends = np.cumsum([len(one) for one in opened])
    return [Split(x[end - len(one) : end], y[end - len(one) : end]) for one, end in zip(opened, ends, strict=True)]


def _with_val(
    name: str,
    train: tuple[NDArray[np.uint8], NDArray[Any]],
    test: tuple[NDArray[np.uint8], NDArray[Any]],
    share: float,
    classes: tuple[str, ...],
) -> Dataset:
    """Official train and test as a Dataset, with a share of every class of train held out as val."""
    pixels, y = train
    kept, held, _none = split_by_hash(
        [image.tobytes() for image in pixels], y.tolist(), (1 - share, share, 0.0), salt=name
    )
    return Dataset(
        name,
        train=_split(pixels[kept], y[kept]),
        test=_split(*test),
        val=_split(pixels[held], y[held]),
        class_names=classes,
        source=HUBS[name].source,
        licence=HUBS[name].licence,
    )


def _split(pixels: NDArray[np.uint8], y: NDArray[Any]) -> Split:
    return Split(pixels.astype(np.float32) / np.float32(255), y.astype(np.int64))


def _read_idx(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (N, 28, 28, 1) and labels (N,) from gzipped IDX files: headers of 16 and 8 bytes, then unsigned bytes."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        return pixels, np.frombuffer(file.read(), np.uint8, offset=8)


def _unavailable(name: str, folder: Path, error: Exception) -> BadInput:
    hub = HUBS[name]
    return BadInput(
        _("the files of {name} in {folder}: {files}").format(name=name, folder=folder, files=hub.files),
        _("no complete set of them, and no download ({reason})").format(reason=" ".join(str(error).split())[:200]),
        _(
            "load it once with a network, or unpack the archives from {page} into that folder (remove a damaged copy "
            "first); load({instead!r}) works offline"
        ).format(page=hub.page, instead=hub.instead),
    )
