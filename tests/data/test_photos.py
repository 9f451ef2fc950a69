"""Crops of one photograph never share a pixel between splits."""

import numpy as np
import pytest

from tl_course.data import load
from tl_course.data import photos as module
from tl_course.errors import BadInput


def mark_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace every photograph by one of its size whose pixel (r, c) holds the value r * W + c, exact in float32."""
    original = module.read_photo

    def marked(path: object, colour: bool) -> np.ndarray:
        height, width = original(path, colour).shape[:2]  # pyright: ignore[reportArgumentType]
        return np.arange(height * width, dtype=np.float32).reshape(height, width, 1)

    monkeypatch.setattr(module, "read_photo", marked)


@pytest.mark.parametrize("size", [32, 64, 72])
def test_no_pixel_is_in_two_splits(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    mark_pixels(monkeypatch)
    data = load("photos", size=size, per_photo={"train": 40, "val": 40, "test": 40})
    for label in range(18):
        train, val, test = (set(part.x[part.y == label].ravel().tolist()) for part in data.splits.values())
        assert len(train) > size * size
        assert not (train & val or train & test or val & test)


@pytest.mark.parametrize(("height", "width"), [(512, 512), (172, 448), (660, 550), (191, 384)])
def test_regions_are_kept_apart_by_the_guard_band(height: int, width: int) -> None:
    cover = np.zeros((height, width), int)
    for box in module.regions(height, width).values():
        cover[box.top : box.bottom, box.left : box.right] += 1
        assert min(box.bottom - box.top, box.right - box.left) >= module.SIZES[1]
    assert cover.max() == 1
    assert (cover == 0).sum() == 2 * module.GUARD * min(height, width)


def test_colour_and_grey_show_the_same_places() -> None:
    few = {"train": 3, "val": 2, "test": 2}
    colour, grey = load("photos", size=32, per_photo=few), load("photos", size=32, per_photo=few, colour=False)
    assert colour.train.x.shape == (54, 32, 32, 3) and grey.train.x.shape == (54, 32, 32, 1)
    assert colour.train.x.dtype == np.float32 and colour.train.x.min() >= 0 and colour.train.x.max() <= 1
    luma = colour.test.x @ np.array([0.299, 0.587, 0.114], np.float32)
    assert np.abs(luma - grey.test.x[..., 0]).max() < 1.5 / 255
    names = np.array(colour.class_names)[colour.train.y]
    assert colour.train.x[names == "coffee"].std(axis=-1).max() > 0.1
    assert colour.train.x[names == "grass"].std(axis=-1).max() < 1e-6


def test_crops_are_fixed_balanced_and_show_something() -> None:
    few, more = ({"train": n, "val": 2, "test": 2} for n in (3, 5))
    one, two = load("photos", size=32, per_photo=few), load("photos", size=32, per_photo=more)
    for label in range(18):
        assert np.array_equal(one.train.x[one.train.y == label], two.train.x[two.train.y == label][:3])
    assert np.bincount(one.train.y).tolist() == [3] * 18
    many = load("photos", size=16).train.x  # black corners of the retina and white paper are among the places drawn
    assert min(crop.mean(axis=2).std() for crop in many) >= module.FLAT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 96}, "8 to 72"),
        ({"size": 32.0}, "integer"),
        ({"per_photo": {"train": 0}}, "1 to 10,000"),
        ({"per_photo": {"trian": 5}}, "trian"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load("photos", **options)
