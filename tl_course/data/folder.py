"""image_folder: a learner's own images, one folder a class, read through torchvision's ImageFolder."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tl_course.compat import torchvision
from tl_course.data.dataset import Dataset, Split
from tl_course.data.images import MAX_GIB, UnusableImage, check_size, read_image, stack_images, tracked
from tl_course.data.splits import FRACTIONS, Indices, split_by_hash
from tl_course.errors import BadInput
from tl_course.i18n import _

SPLIT_FOLDERS = ("train", "val", "test")
SHOWN = 20
"""Problems that a message spells out; further ones are counted."""

IGNORED_FOLDERS = frozenset({"__MACOSX"})

Sample = tuple[Path, str, str]
"""File, class name, split folder ("" where the classes lie directly below the root)."""


def image_folder(
    path: str | Path,
    size: int = 64,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    max_gib: float = MAX_GIB,
) -> Dataset:
    """Load a folder of images: x (N, size, size, 3) float32 RGB in [0, 1].

    Layout: `path/CLASS/image.jpg`, or `path/train/CLASS/…`, `path/test/CLASS/…` and, if you like, `path/val/CLASS/…`.
    Files and folders whose names begin with a dot are ignored, as are files that are not named as images. Every image
    is resized as it is read (see `fit_image`): 12 * size * size bytes of memory each, checked before reading starts.

    Without split folders the files of every class are split by `fractions`; which file goes where depends on its
    contents and `seed` alone, and copies of one file stay in one split. With train/ and test/ but no val/, the share
    of val is held out of train/. Dataset.val is None where the val share is 0 or too small for a single image.

    Args:
        path: the folder.
        size: side of the resized images in pixels.
        fractions: shares of train, val and test; they sum to 1.
        seed: another seed gives another split.
        max_gib: refuse to load more than this many GiB of images.

    Raises:
        BadInput: the folder cannot be used. All problems are listed in one message, each with its file or class: a
            file that is no image, is cut off, has hardly a pixel or too many; an empty class; one class only; classes
            that differ between splits; the same file in two classes or two splits; too few images to split.
    """
    root = Path(path).expanduser()
    check_size(size)
    _check_fractions(fractions, seed)
    samples, problems = _scan(root)
    known = tuple(sorted({name for _file, name, _part in samples}))
    if len(known) == 1:
        problems.append(
            _("there is one class only, {name}: add a folder for a second class").format(name=_show(known[0]))
        )
    labels = np.array([known.index(name) for _file, name, _part in samples], dtype=np.int64)
    digests = [_digest(file) for file, _name, _part in samples]
    problems += _copies(root, samples, digests)
    positions = _split(samples, digests, labels, fractions, seed) if not problems else {}
    problems += _thin_classes(positions, labels, known)
    x = stack_images(len(samples), size, _read_all(root, samples, size, problems), max_gib)
    if problems:
        raise _refusal(root, problems)
    parts = {name: Split(x[part], labels[part]) for name, part in positions.items() if len(part)}
    names = tuple(unicodedata.normalize("NFC", name) for name in known)
    source = _("the folder {name}").format(name=root.name)
    return Dataset(root.name, parts["train"], parts["test"], parts.get("val"), names, source, _("your own images"))


def _scan(root: Path) -> tuple[list[Sample], list[str]]:
    """All image files with their class and split folder, and what is wrong with the layout."""
    if not root.is_dir():
        got = _("a file: {path}") if root.exists() else _("no such folder: {path}")
        raise BadInput(
            _("a folder with one folder of images a class"), got.format(path=root), _("check the path you pass")
        )
    below = _folders(root)
    if not {"train", "test"} & set(below):
        return _scan_classes(root, root, "")
    problems = [
        _("{name} lies beside {found}: keep only train, val and test there").format(
            name=_show(name), found=_("train or test")
        )
        for name in below
        if name not in SPLIT_FOLDERS
    ]
    problems += [
        _("there is no folder {name} beside {found}: add it, or put the class folders directly into {root}").format(
            name=name, found=", ".join(below), root=_show(root.name)
        )
        for name in ("train", "test")
        if name not in below
    ]
    samples: list[Sample] = []
    classes: dict[str, set[str]] = {}
    for part in (name for name in SPLIT_FOLDERS if name in below):
        found, wrong = _scan_classes(root, root / part, part)
        samples += found
        problems += wrong
        classes[part] = set(_folders(root / part))
    for part, names in classes.items():
        for name in sorted(set().union(*classes.values()) - names):
            problems.append(_("class {name} is missing in {part}/: add it there").format(name=_show(name), part=part))
    return samples, problems


def _scan_classes(root: Path, folder: Path, part: str) -> tuple[list[Sample], list[str]]:
    """The image files below the class folders of one folder, found by torchvision's ImageFolder."""
    datasets = torchvision().datasets
    extensions = tuple(datasets.folder.IMG_EXTENSIONS)
    is_image = lambda name: not Path(name).name.startswith(".") and name.lower().endswith(extensions)  # noqa: E731

    class VisibleFolder(datasets.ImageFolder):
        def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
            names = _folders(Path(directory))
            return names, {name: position for position, name in enumerate(names)}

    names = _folders(folder)
    problems = [
        _("{file} is in no class folder: move it into one").format(file=_show(str(file.relative_to(root))))
        for file in sorted(folder.iterdir())
        if file.is_file() and is_image(file.name)
    ]
    if not names:
        problems.append(_("{folder} has no class folders: make one a class").format(folder=_show(folder.name)))
        return [], problems
    found = VisibleFolder(str(folder), is_valid_file=is_image, allow_empty=True)
    samples = [(Path(file), found.classes[label], part) for file, label in found.samples]
    filled = {name for _file, name, _part in samples}
    for name in (name for name in names if name not in filled):
        others = sorted({file.suffix.lower() or file.name for file in (folder / name).rglob("*") if file.is_file()})
        problems.append(
            _("class {name} has no images ({found}): add some ({extensions}) or remove the folder").format(
                name=_show(str((folder / name).relative_to(root))),
                found=_("files found: {kinds}").format(kinds=", ".join(others[:5])) if others else _("it is empty"),
                extensions=", ".join(extensions),
            )
        )
    return samples, problems


def _read_all(root: Path, samples: Sequence[Sample], size: int, problems: list[str]) -> Iterator[NDArray[np.float32]]:
    """The images one by one; a black one and an entry in `problems` for each that cannot be used."""
    for file, _name, _part in tracked(samples, _("reading images")):
        try:
            yield read_image(file, size)
        except UnusableImage as error:
            problems.append(f"{_show(str(file.relative_to(root)))} {error}")
            yield np.zeros((size, size, 3), np.float32)


def _split(
    samples: Sequence[Sample],
    digests: Sequence[str],
    labels: Indices,
    fractions: tuple[float, float, float],
    seed: int,
) -> dict[str, Indices]:
    given = np.array([part for _file, _name, part in samples])
    salt = f"seed {seed}"
    if not samples[0][2]:
        return dict(zip(SPLIT_FOLDERS, split_by_hash(digests, labels.tolist(), fractions, salt), strict=True))
    positions = {part: np.flatnonzero(given == part).astype(np.int64) for part in SPLIT_FOLDERS}
    if not len(positions["val"]):
        train = positions["train"]
        share = fractions[1] / (fractions[0] + fractions[1])
        kept, held, _none = split_by_hash(
            [digests[i] for i in train.tolist()], labels[train].tolist(), (1 - share, share, 0.0), salt
        )
        positions |= {"train": train[kept], "val": train[held]}
    return positions


def _copies(root: Path, samples: Sequence[Sample], digests: Sequence[str]) -> list[str]:
    """Files of equal contents in two classes (one label must be wrong) or in two splits (a leak)."""
    first: dict[str, Sample] = {}
    problems: list[str] = []
    for sample, digest in zip(samples, digests, strict=True):
        original = first.setdefault(digest, sample)
        if original[1:] != sample[1:]:
            problems.append(
                _("{one} and {other} are the same file: remove one").format(
                    one=_show(str(original[0].relative_to(root))), other=_show(str(sample[0].relative_to(root)))
                )
            )
    return problems


def _thin_classes(positions: Mapping[str, Indices], labels: Indices, names: Sequence[str]) -> list[str]:
    return [
        _("class {name} has {count} different image(s), too few for both train and test: add some").format(
            name=_show(name), count=int((labels == label).sum())
        )
        for label, name in enumerate(names)
        if positions and any(label not in labels[positions[part]] for part in ("train", "test"))
    ]


def _refusal(root: Path, problems: Sequence[str]) -> BadInput:
    listed = " ".join(f"({number}) {problem}." for number, problem in enumerate(problems[:SHOWN], start=1))
    more = _(" And {count} more.").format(count=len(problems) - SHOWN) if len(problems) > SHOWN else ""
    return BadInput(
        _("a folder with one folder of images a class"),
        _("{count} problem(s) in {root}: {listed}").format(
            count=len(problems), root=_show(str(root)), listed=listed + more
        ),
        _("mend these and load it again"),
    )


def _check_fractions(fractions: tuple[float, float, float], seed: int) -> None:
    good = len(fractions) == 3 and abs(sum(fractions) - 1) < 1e-6 and min(fractions) >= 0
    if not good or fractions[0] <= 0 or fractions[2] <= 0:
        raise BadInput(
            _("fractions of train, val and test that sum to 1, train and test above 0"),
            repr(fractions),
            _("pass for example fractions=(0.6, 0.1, 0.3)"),
        )
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise BadInput(_("seed as an integer"), repr(seed), _("pass for example seed=0"))


def _folders(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in IGNORED_FOLDERS
    )


def _digest(file: Path) -> str:
    """SHA-256 of the file; of its path where it cannot be read, which reading the image will report."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return str(file)


def _show(name: str) -> str:
    """A name that can be printed anywhere: undecodable bytes are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
