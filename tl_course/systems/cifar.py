"""CIFAR-10's own files: six pickled batches and one of names, read without trusting them, and written.

Layout, below the root: cifar-10-batches-py/ with data_batch_1 to data_batch_5, test_batch and batches.meta. A batch is
a dictionary: "data" uint8 (N, 3072), a row being the red, then the green, then the blue plane of 32 x 32 pixels, and
"labels", a list of N integers. Format: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tl_course.data import Dataset, Split, load
from tl_course.data.splits import split_by_hash
from tl_course.errors import BadInput
from tl_course.i18n import _

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
META = "batches.meta"
SIDE = 32
VAL_SHARE = 0.1

_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]

SAFE: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, _encoding: text.encode("latin1"),
}
"""All that a batch needs a pickle to name: arrays and byte strings. Nothing here can run other code."""


class _ArraysOnly(pickle.Unpickler):
    """A pickle can call anything it names; this one may name what `SAFE` holds."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in SAFE:
            raise pickle.UnpicklingError(_("it names {name}").format(name=f"{module_name}.{global_name}"))
        return SAFE[module_name, global_name]


def read(root: Path) -> Dataset:
    """A root in CIFAR-10's layout, of any number of images and names: x (N, 32, 32, 3) float32 in [0, 1].

    The makers' test batch is `test`; a tenth of every class of the training batches (fixed) is `val`. A root that holds
    only the archive is unpacked by torchvision, which checks its sum.

    Raises:
        BadInput: no such folder; a file is missing, cut off or holds something else; one class only; a class with
            fewer than two training images or without a test image.
    """
    if not root.is_dir():
        raise _refused(root, _("no such folder: {path}").format(path=root), _("check the path you pass"))
    folder = root if (root / TEST).is_file() else root / FOLDER
    if not folder.is_dir() and (root / ARCHIVE).is_file():
        return load("cifar10", root=root)
    names = tuple(str(name) for name in _unpickled(folder / META, root).get("label_names", ()))
    if len(names) < 2:
        raise _refused(root, _("{count} class name(s) in {file}").format(count=len(names), file=META), _mend())
    batches = [_batch(folder / name, len(names), root) for name in (*TRAIN, TEST)]
    pixels, y = (np.concatenate(parts) for parts in zip(*batches[:-1], strict=True))
    test_pixels, test_y = batches[-1]
    _check_classes(y, test_y, names, root)
    keys = [image.tobytes() for image in pixels]
    kept, held, _none = split_by_hash(keys, y.tolist(), (1 - VAL_SHARE, VAL_SHARE, 0.0), salt="cifar10")
    val = Split(_images(pixels[held]), y[held]) if len(held) else None
    return Dataset(
        name=root.resolve().name,
        train=Split(_images(pixels[kept]), y[kept]),
        test=Split(_images(test_pixels), test_y),
        val=val,
        class_names=names,
        source=_("the folder {name}, in CIFAR-10's layout").format(name=root.name),
        licence=_("whatever its makers state"),
    )


def write(dataset: Dataset, root: Path) -> None:
    """Write images (N, 32, 32, 3) in [0, 1] in CIFAR-10's layout, train over five batches, test into one."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    order = np.random.default_rng(0).permutation(len(dataset.train))
    for name, positions in zip(TRAIN, np.array_split(order, len(TRAIN)), strict=True):
        _write(folder / name, dataset.train.take(positions))
    _write(folder / TEST, dataset.test)
    (folder / META).write_bytes(pickle.dumps({"label_names": list(dataset.class_names)}, protocol=2))


def _write(file: Path, split: Split) -> None:
    rows = np.rint(split.x * 255).astype(np.uint8).transpose(0, 3, 1, 2).reshape(len(split), -1)
    content = {"batch_label": file.name, "labels": split.y.tolist(), "data": rows}
    file.write_bytes(pickle.dumps(content, protocol=2))


def _batch(file: Path, num_classes: int, root: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Rows (N, 3072) and labels (N,) of one batch."""
    content = _unpickled(file, root)
    rows, labels = np.asarray(content.get("data")), content.get("labels")
    shape = rows.shape if rows.dtype == np.uint8 else ()
    if len(shape) != 2 or shape[1] != 3 * SIDE**2 or not isinstance(labels, list) or len(labels) != len(rows):
        raise _refused(root, _("{file} without data uint8 (N, 3072) and N labels").format(file=file.name), _mend())
    if not all(isinstance(label, int) and 0 <= label < num_classes for label in labels):
        got = _("labels outside 0 to {top} in {file}").format(top=num_classes - 1, file=file.name)
        raise _refused(root, got, _mend())
    return rows, np.array(labels, dtype=np.int64)


def _unpickled(file: Path, root: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = _ArraysOnly(stream, encoding="latin1").load()
    except FileNotFoundError as error:
        raise _refused(root, _("no {file}").format(file=f"{FOLDER}/{file.name}"), _mend()) from error
    except Exception as error:  # a damaged pickle can fail in any way
        got = _("{file}, which cannot be read ({reason})").format(file=file.name, reason=error)
        raise _refused(root, got, _mend()) from error
    if not isinstance(content, dict):
        raise _refused(root, _("{file} without a dictionary").format(file=file.name), _mend())
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}


def _check_classes(y: NDArray[np.int64], test_y: NDArray[np.int64], names: tuple[str, ...], root: Path) -> None:
    train, test = (np.bincount(labels, minlength=len(names)) for labels in (y, test_y))
    thin = [name for name, count, tested in zip(names, train, test, strict=True) if count < 2 or tested < 1]
    if thin:
        got = _("too few of {names}").format(names=", ".join(thin))
        raise _refused(root, got, _("give every class two training images and a test image at least"))


def _images(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    return rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1).astype(np.float32) / np.float32(255)


def _mend() -> str:
    return _("unpack {archive} into it anew").format(archive=ARCHIVE)


def _refused(root: Path, got: str, remedy: str) -> BadInput:
    return BadInput(_("a folder in CIFAR-10's layout ({root})").format(root=root), got, remedy)
