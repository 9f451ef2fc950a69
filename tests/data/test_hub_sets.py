"""The hub sets through torchvision's own loaders, on a few images written in the real on-disk format.

torchvision pins the MD5 sums of the real archives; where it does, the tests put those of the small
files in their place.
"""

import gzip
import hashlib
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tl_course import assets
from tl_course.compat import torchvision
from tl_course.data import load
from tl_course.errors import BadInput

RNG = np.random.default_rng(0)
LABELS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Six batches of 20 as the makers' pickles; returns the first batch's rows."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    cls = torchvision().datasets.CIFAR10
    first = np.zeros(0)
    for name in ["test_batch", *(f"data_batch_{number}" for number in range(1, 6))]:
        rows = RNG.integers(0, 256, (20, 3072), dtype=np.uint8)
        content = {"data": rows, "labels": [position % 10 for position in range(20)], "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        first = rows if name == "data_batch_1" else first
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": LABELS}, protocol=2))
    for table in ("train_list", "test_list"):
        monkeypatch.setattr(cls, table, [[name, md5(folder / name)] for name, _md5 in getattr(cls, table)])
    monkeypatch.setattr(cls, "meta", cls.meta | {"md5": md5(folder / "batches.meta")})
    return first


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write_cifar(tmp_path, monkeypatch)
    data = load("cifar10", root=tmp_path)
    assert data.val is not None and data.class_names == tuple(LABELS)
    assert data.train.x.shape == (90, 32, 32, 3) and data.val.x.shape == (10, 32, 32, 3)
    assert np.bincount(data.val.y).tolist() == [1] * 10 and np.bincount(data.test.y).tolist() == [2] * 10
    images = np.concatenate([data.train.x, data.val.x])
    labels = np.concatenate([data.train.y, data.val.y])
    expected = rows[7].reshape(3, 32, 32).transpose(1, 2, 0) / np.float32(255)
    hits = [position for position, image in enumerate(images) if np.array_equal(image, expected)]
    assert len(hits) == 1 and labels[hits[0]] == 7


def test_a_damaged_cifar10_is_refused_before_it_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    write_cifar(tmp_path, monkeypatch)
    with (tmp_path / "cifar-10-batches-py" / "data_batch_3").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BadInput, match=r"remove a damaged copy first\); load\('photos'\) works offline"):
        load("cifar10", root=tmp_path)


def write_flowers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve images of three classes: four each for trnid, valid and tstid."""
    folder = root / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    for number in range(1, 13):
        Image.new("RGB", (50, 40), (number * 20, 0, 0)).save(folder / "jpg" / f"image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 2, 102] * 4], np.uint8)})
    ids = {"trnid": [[1, 2, 3, 4]], "valid": [[5, 6, 7, 8]], "tstid": [[9, 10, 11, 12]]}
    savemat(folder / "setid.mat", {name: np.array(numbers, np.uint16) for name, numbers in ids.items()})
    sums = {str(file): md5(file) for file in folder.glob("*.mat")}
    monkeypatch.setattr(
        torchvision().datasets.flowers102, "check_integrity", lambda path, _md5: md5(Path(path)) == sums[str(path)]
    )


def test_flowers102(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None) -> None:
    write_flowers(tmp_path, monkeypatch)
    data = load("flowers102", root=tmp_path, size=32)
    assert data.val is not None and data.num_classes == 102 and data.class_names[0] == "pink primrose"
    assert data.train.x.shape == (4, 32, 32, 3) and data.train.x.dtype == np.float32
    assert [part.y.tolist() for part in data.splits.values()] == [[0, 1, 101, 0], [1, 101, 0, 1], [101, 0, 1, 101]]
    assert data.test.x[:, 16, 16, 0] == pytest.approx(np.array([180, 200, 220, 240]) / 255, abs=0.02)
    (tmp_path / "flowers-102" / "jpg" / "image_00010.jpg").unlink()
    with pytest.raises(BadInput, match=r"image_00010\.jpg"):
        load("flowers102", root=tmp_path, size=32)


def write_pets(root: Path) -> None:
    """Two breeds with 20 images for trainval and 3 for test each."""
    images, notes = root / "oxford-iiit-pet" / "images", root / "oxford-iiit-pet" / "annotations"
    images.mkdir(parents=True)
    notes.mkdir()
    for part, numbers in (("trainval", range(20)), ("test", range(20, 23))):
        lines: list[str] = []
        for label, (breed, species) in enumerate([("Abyssinian", 1), ("american_bulldog", 2)], start=1):
            for number in numbers:
                mode = "L" if number == 0 else "RGB"
                noise = Image.fromarray(RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)).convert(mode)
                noise.save(images / f"{breed}_{number}.jpg")
                lines.append(f"{breed}_{number} {label} {species} 1\n")
        (notes / f"{part}.txt").write_text("".join(lines))


def test_oxford_pets(tmp_path: Path, no_network: None) -> None:
    write_pets(tmp_path)
    data = load("oxford_pets", root=tmp_path, size=24)
    assert data.val is not None and data.class_names == ("Abyssinian", "American Bulldog")
    assert data.train.x.shape == (36, 24, 24, 3)
    assert np.bincount(data.val.y).tolist() == [2, 2] and np.bincount(data.test.y).tolist() == [3, 3]
    images = np.concatenate([part.x for part in data.splits.values()])
    assert len({image.tobytes() for image in images}) == 46
    (tmp_path / "oxford-iiit-pet" / "annotations" / "test.txt").unlink()
    with pytest.raises(BadInput, match="annotations"):
        load("oxford_pets", root=tmp_path)


def write_fashion(root: Path, packed: bool) -> np.ndarray:
    """IDX files with 120 and 20 images; returns the test images."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    pixels = np.zeros(0)
    for part, count in (("train", 120), ("t10k", 20)):
        pixels = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        sizes = b"".join(size.to_bytes(4, "big") for size in (count, 28, 28))
        files = {
            f"{part}-images-idx3-ubyte": b"\0\0\x08\x03" + sizes + pixels.tobytes(),
            f"{part}-labels-idx1-ubyte": b"\0\0\x08\x01" + sizes[:4] + bytes(n % 10 for n in range(count)),
        }
        for name, content in files.items():
            path = folder / (name + ".gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)
    return pixels


def test_fashion_mnist_unpacked_by_torchvision(tmp_path: Path, no_network: None) -> None:
    pixels = write_fashion(tmp_path, packed=False)
    data = load("fashion_mnist", root=tmp_path)
    assert data.val is not None and data.class_names[9] == "Ankle boot"
    assert (len(data.train), len(data.val), len(data.test)) == (110, 10, 20)
    assert np.bincount(data.val.y).tolist() == [1] * 10
    assert np.array_equal(data.test.x, pixels[..., None] / np.float32(255)) and data.test.y[:3].tolist() == [0, 1, 2]


def test_fashion_mnist_from_gzipped_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = write_fashion(tmp_path, packed=True)
    monkeypatch.setattr(assets, "status", lambda _name: "ready")
    monkeypatch.setattr(assets, "path", lambda _name: tmp_path / "FashionMNIST" / "raw")
    data = load("fashion_mnist")
    assert np.array_equal(data.test.x, pixels[..., None] / np.float32(255)) and len(data.train) == 110


@pytest.mark.skipif(assets.status("fashion_mnist") == "missing", reason="Fashion-MNIST is not on this computer")
def test_the_real_fashion_mnist_has_no_image_in_two_splits() -> None:
    data = load("fashion_mnist")
    images = [{image.tobytes() for image in part.x} for part in data.splits.values()]
    assert len(set().union(*images)) == sum(map(len, images)) == 70_000
    assert [set(np.bincount(part.y).tolist()) for part in data.splits.values()] == [{5500}, {500}, {1000}]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names do not resolve, as on a computer without network."""

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("name", "folder", "instead"),
    [
        ("fashion_mnist", "FashionMNIST/raw", "mnist"),
        ("cifar10", "cifar-10-batches-py", "photos"),
        ("flowers102", "imagelabels.mat", "photos"),
        ("oxford_pets", "annotations.tar.gz", "photos"),
    ],
)
def test_without_network_the_error_says_what_to_place_where_and_what_works(
    tmp_path: Path, no_network: None, name: str, folder: str, instead: str
) -> None:
    with pytest.raises(BadInput) as caught:
        load(name, root=tmp_path / "new")
    said = str(caught.value)
    assert str(tmp_path / "new") in said and folder in said and f"load('{instead}') works offline" in said
    assert "Name or service not known" in said and "\n" not in said
    shutil.rmtree(tmp_path / "new")


def test_image_sets_check_size_and_memory(tmp_path: Path, no_network: None) -> None:
    write_pets(tmp_path)
    with pytest.raises(BadInput, match="size as an integer"):
        load("oxford_pets", root=tmp_path, size=0)
    with pytest.raises(BadInput, match="46 images of 300 x 300"):
        load("oxford_pets", root=tmp_path, size=300, max_gib=0.01)
