"""Every refusal names what does not match."""

from typing import Any

import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.zoo.inputs import check_image_size, check_images, check_texts

GOOD = np.random.default_rng(0).random((2, 40, 36, 3), dtype=np.float32)


def _with(value: float) -> np.ndarray:
    images = GOOD.copy()
    images[1, 0, 0, 0] = value
    return images


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (GOOD.tolist(), "list"),
        ((GOOD * 255).astype(np.uint8), "dtype uint8; these look like values from 0 to 255"),
        (GOOD.astype(np.float64), "dtype float64; convert them"),
        (GOOD * 255, "they look like values from 0 to 255"),
        ((GOOD - 0.45) / 0.22, "already normalised"),
        (GOOD * 2 - 1, "already normalised"),
        (_with(1.2), "clip what lies outside"),
        (_with(np.nan), "NaN in image 1"),
        (_with(np.inf), "infinite"),
        (GOOD.transpose(0, 3, 1, 2), "channels first; move the channels last"),
        (GOOD[0], "shape (40, 36, 3); add the axis that is missing"),
        (GOOD[..., :1], "1 channels, shape (2, 40, 36, 1); repeat the grey channel"),
        (GOOD[..., [0, 1, 2, 0]], "drop the alpha channel"),
        (GOOD[..., :2], "2 channels"),
        (GOOD[:0], "no image is left"),
        (GOOD[:, :31], "31x36 pixels"),
        (GOOD[0, 0], "give four axes"),
    ],
)
def test_images_that_do_not_match(images: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_images(images, channels=3, min_size=32)
    assert said in str(caught.value)


def test_images_that_match_come_back_unchanged() -> None:
    assert check_images(GOOD, channels=3, min_size=32) is GOOD
    extremes = np.stack([np.zeros((32, 32, 1)), np.ones((32, 32, 1))]).astype(np.float32)
    assert check_images(extremes, channels=1, min_size=32) is extremes


def test_rounding_at_the_ends_of_the_range_is_no_reason_to_refuse() -> None:
    check_images(_with(1 + 1e-6), channels=3, min_size=32)
    check_images(_with(-1e-6), channels=3, min_size=32)


def test_colour_for_a_grey_model() -> None:
    with pytest.raises(BadInput, match="make them grey"):
        check_images(GOOD, channels=1, min_size=8)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("one text", "one string; put it in a list"),
        ([], "an empty one"),
        (["fine", float("nan")], "float at position 1"),
        (["fine", None], "NoneType at position 1"),
        ([b"bytes"], "bytes at position 0"),
        (7, "int"),
    ],
)
def test_texts_that_do_not_match(texts: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_texts(texts)
    assert said in str(caught.value)


def test_numpy_strings_are_texts() -> None:
    assert check_texts(np.array(["a", "b"])) == ["a", "b"]


@pytest.mark.parametrize("size", [0, 16, 32.5, "32"])
def test_image_sizes_that_cannot_be(size: Any) -> None:
    with pytest.raises(BadInput, match="image_size of at least 32"):
        check_image_size(size, min_size=32)
