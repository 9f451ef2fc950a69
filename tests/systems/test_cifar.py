"""CIFAR-10's layout: what is written is read back, torchvision reads it too, and no file is trusted."""

import hashlib
import os
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl_course.compat import torchvision
from tl_course.data import Dataset, Split
from tl_course.errors import BadInput
from tl_course.systems import cifar

RNG = np.random.default_rng(0)
NAMES = ("airplane", "bird", "cat")


def drawn(per_class: int) -> Split:
    x = RNG.integers(0, 256, (3 * per_class, 32, 32, 3)).astype(np.float32) / np.float32(255)
    return Split(x, np.tile(np.arange(3, dtype=np.int64), per_class))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    root = tmp_path_factory.mktemp("cifar") / "root"
    dataset = Dataset("drawn", drawn(20), drawn(5), None, NAMES, "here", "none")
    cifar.write(dataset, root)
    return root, dataset


@pytest.fixture
def root(written: tuple[Path, Dataset], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(written[0], tmp_path / "root")


def test_what_is_written_is_read_back(written: tuple[Path, Dataset]) -> None:
    root, dataset = written
    found = cifar.read(root)
    assert found.val is not None and found.class_names == NAMES
    assert (len(found.train), len(found.val), len(found.test)) == (54, 6, 15)
    np.testing.assert_array_equal(found.test.x, dataset.test.x)
    np.testing.assert_array_equal(found.test.y, dataset.test.y)
    labels = {image.tobytes(): label for image, label in zip(dataset.train.x, dataset.train.y.tolist(), strict=True)}
    assert len(labels) == 60
    for image, label in [*zip(found.train.x, found.train.y, strict=True), *zip(found.val.x, found.val.y, strict=True)]:
        assert labels.pop(image.tobytes()) == label
    assert np.bincount(found.val.y).tolist() == [2, 2, 2]


def test_the_folder_of_the_batches_is_taken_for_the_root(written: tuple[Path, Dataset]) -> None:
    np.testing.assert_array_equal(cifar.read(written[0] / cifar.FOLDER).train.x, cifar.read(written[0]).train.x)


def test_torchvision_reads_the_same(written: tuple[Path, Dataset]) -> None:
    root, dataset = written
    folder = root / cifar.FOLDER

    def sum_of(name: str) -> str:
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    sums = {
        "train_list": [[name, sum_of(name)] for name in cifar.TRAIN],
        "test_list": [[cifar.TEST, sum_of(cifar.TEST)]],
        "meta": {"filename": cifar.META, "key": "label_names", "md5": sum_of(cifar.META)},
    }
    theirs = type("Ours", (torchvision().datasets.CIFAR10,), sums)(root, train=False)
    assert tuple(theirs.classes) == NAMES
    np.testing.assert_array_equal(theirs.data, np.rint(dataset.test.x * 255).astype(np.uint8))
    assert theirs.targets == dataset.test.y.tolist()


def test_a_batch_as_python_2_wrote_it(root: Path) -> None:
    """The makers' files are protocol 2 with NumPy's old module name and byte strings as keys."""
    file = root / cifar.FOLDER / cifar.TEST
    content = pickle.loads(file.read_bytes())
    old = pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=2)
    assert b"numpy._core.multiarray" in old
    file.write_bytes(old.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert len(cifar.read(root).test) == 15


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def rewrite(root: Path, name: str, **changes: Any) -> None:
    file = root / cifar.FOLDER / name
    content = pickle.loads(file.read_bytes()) | changes
    file.write_bytes(pickle.dumps({key: value for key, value in content.items() if value is not None}, protocol=2))


def test_a_file_that_would_run_code_does_not(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rewrite(root, "data_batch_2", extra=Evil())
    with pytest.raises(BadInput, match=r"data_batch_2, which cannot be read \(it names posix.mkdir\)"):
        cifar.read(root)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("name", "changes", "got"),
    [
        ("test_batch", {"data": np.zeros((15, 3072), np.float32)}, "test_batch without data uint8"),
        ("test_batch", {"data": np.zeros((15, 784), np.uint8)}, "test_batch without data uint8"),
        ("test_batch", {"labels": [0] * 14}, "test_batch without data uint8"),
        ("data_batch_5", {"labels": None}, "data_batch_5 without data uint8"),
        ("data_batch_1", {"labels": [3] * 12}, "labels outside 0 to 2 in data_batch_1"),
        ("data_batch_1", {"labels": ["cat"] * 12}, "labels outside 0 to 2 in data_batch_1"),
        ("test_batch", {"labels": [0, 1] * 7 + [0]}, "too few of cat"),
        ("batches.meta", {"label_names": ["cat"]}, "1 class name"),
        ("batches.meta", {"label_names": None}, "0 class name"),
    ],
)
def test_what_is_wrong_is_named(root: Path, name: str, changes: dict[str, Any], got: str) -> None:
    rewrite(root, name, **changes)
    with pytest.raises(BadInput) as caught:
        cifar.read(root)
    assert got in caught.value.got and "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_named(root: Path) -> None:
    file = root / cifar.FOLDER / "data_batch_3"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(BadInput, match="data_batch_3, which cannot be read"):
        cifar.read(root)
    file.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(BadInput, match="data_batch_3 without a dictionary"):
        cifar.read(root)
    file.unlink()
    with pytest.raises(BadInput, match="no cifar-10-batches-py/data_batch_3"):
        cifar.read(root)
    with pytest.raises(BadInput, match="no such folder"):
        cifar.read(root / "nowhere")


def test_an_archive_that_is_not_the_makers_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    alone = tmp_path / "alone"
    alone.mkdir()
    with tarfile.open(alone / cifar.ARCHIVE, "w:gz") as archive:
        archive.add(root / cifar.FOLDER, arcname=cifar.FOLDER)
    with pytest.raises(BadInput, match="files of cifar10"):
        cifar.read(alone)
