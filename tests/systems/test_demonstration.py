"""The demonstrations: real images in the layout that the real loader reads, the same every time."""

from pathlib import Path

import numpy as np
import pytest

from tl_course import systems
from tl_course.data import image_folder
from tl_course.errors import BadInput
from tl_course.systems.demonstration import photos, write_image_folder
from tl_course.systems.source import convert, image_sets, read_source, with_channels
from tl_course.systems.system import ImageSystem

COUNTS = {"train": 5, "val": 2, "test": 3}


def image_system(name: str) -> ImageSystem:
    system = systems.get(name)
    assert isinstance(system, ImageSystem)
    return system


def test_an_image_folder_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    dataset = photos(("retina", "cat", "grass"), 32, COUNTS)
    assert dataset.class_names == ("cat", "grass", "retina")
    write_image_folder(dataset, tmp_path)
    found = image_folder(tmp_path, size=32)
    assert found.class_names == dataset.class_names
    for part, split in dataset.splits.items():
        np.testing.assert_array_equal(found.splits[part].y, split.y)
        np.testing.assert_array_equal(found.splits[part].x, split.x)


def test_photos_picks_the_classes_it_names() -> None:
    few = photos(("retina", "cell"), 32, COUNTS)
    every = photos(("retina", "cell", "cat"), 32, COUNTS)
    np.testing.assert_array_equal(few.train.x[few.train.y == 1], every.train.x[every.train.y == 2])
    assert [len(split) for split in few.splits.values()] == [10, 4, 6]


@pytest.mark.parametrize("name", [row["name"] for row in systems.listing("image")])
def test_every_demonstration_has_train_val_and_test_images_of_its_size(name: str) -> None:
    system = image_system(name)
    dataset = read_source(system, None, system.demonstration.image_size, seed=0, per_class=None)
    assert list(dataset.splits) == ["train", "val", "test"]
    for split in dataset.splits.values():
        counts = np.bincount(split.y, minlength=dataset.num_classes)
        assert counts.min() == counts.max() > 0
        side = 32 if "cifar" in name else system.demonstration.image_size
        assert split.x.shape[1:] == (side, side, 3)
    again = read_source(system, None, system.demonstration.image_size, seed=0, per_class=2)
    assert len(again.train) == 2 * again.num_classes
    np.testing.assert_array_equal(again.test.x, dataset.test.x)


def test_data_sets_by_name_in_the_channels_of_the_backbone() -> None:
    assert "mnist" in image_sets() and "cifar10" in image_sets() and "sentiment" not in image_sets()
    grey = read_source(image_system("pytorch-transfer"), "mnist", 64, seed=0, per_class=3)
    assert grey.train.x.shape == (30, 28, 28, 1)
    dataset = with_channels(grey, 3)
    assert dataset.train.x.shape == (30, 28, 28, 3) and dataset.val is not None and dataset.val.x.shape[3] == 3
    assert (dataset.train.x[..., 0] == dataset.train.x[..., 2]).all()
    np.testing.assert_allclose(with_channels(dataset, 1).test.x, grey.test.x, atol=1e-6)
    assert convert(np.array([[[[1.0, 0.5, 0.0]]]], np.float32), 1).item() == pytest.approx(0.299 + 0.587 / 2)


def test_a_folder_goes_before_a_data_set_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image_folder(photos(("cat", "grass"), 32, COUNTS), tmp_path / "mnist")
    assert read_source(image_system("pytorch-transfer"), "mnist", 32, 0, None).class_names == ("cat", "grass")


def test_the_binary_system_takes_two_classes_only(tmp_path: Path) -> None:
    write_image_folder(photos(("cat", "grass", "retina"), 32, COUNTS), tmp_path)
    with pytest.raises(BadInput, match="2 classes for keras-mobilenetv2-binary; got 3: cat, grass, retina"):
        read_source(image_system("keras-mobilenetv2-binary"), tmp_path, 32, 0, None)
