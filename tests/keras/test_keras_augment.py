"""Augmentation keeps shape, range and class; every image is changed by itself, and by the seed alone."""

import keras
import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.keras.augment import RandomResizedCrop, augmentation, mixup


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Eight times the same: a bright rectangle on black, off the centre."""
    image = np.zeros((24, 24, 1), np.float32)
    image[6:14, 4:10] = 0.9
    return np.stack([image] * 8)


@pytest.mark.parametrize("kind", ["photo", "digit"])
def test_each_image_is_changed_by_itself_and_by_the_seed(kind: str, images: np.ndarray) -> None:
    first, again, other = (np.asarray(augmentation(kind, seed=seed)(images, training=True)) for seed in (1, 1, 2))  # pyright: ignore[reportArgumentType]
    assert first.shape == images.shape and first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len({image.tobytes() for image in first}) == 8
    np.testing.assert_array_equal(augmentation(kind)(images, training=False), images)  # pyright: ignore[reportArgumentType]


def test_a_digit_stays_whole_and_is_never_mirrored(images: np.ndarray) -> None:
    changed = np.asarray(augmentation("digit")(images, training=True))
    assert np.all(np.abs(changed.sum(axis=(1, 2, 3)) / images[0].sum() - 1) < 0.35)
    columns = (changed.sum(axis=(1, 3)) * np.arange(24)).sum(axis=1) / changed.sum(axis=(1, 2, 3))
    assert np.all(columns < 11.5)  # a mirrored rectangle would be on the right


def test_a_crop_is_a_part_enlarged_to_the_whole() -> None:
    """On a ramp the crop's values tell where it was taken: between 55 and 100 % of each side, inside the image."""
    ramp = np.broadcast_to(np.linspace(0, 1, 33, dtype=np.float32)[None, None, :, None], (64, 33, 33, 1))
    both = np.concatenate([ramp, ramp.transpose(0, 2, 1, 3)], axis=-1)
    crops = np.asarray(RandomResizedCrop(seed=0)(both, training=True))
    assert crops.min() >= 0 and crops.max() <= 1
    widths, heights = np.ptp(crops[..., 0], axis=(1, 2)), np.ptp(crops[..., 1], axis=(1, 2))
    area = widths * heights
    assert 0.3 < area.min() < 0.5 < 0.8 < area.max() <= 1.0
    assert (widths / heights).max() < 1.4 and (widths / heights).min() > 1 / 1.4
    again = keras.layers.deserialize(keras.layers.serialize(RandomResizedCrop(seed=3)))
    assert isinstance(again, RandomResizedCrop) and again.seed == 3


def test_photo_gives_the_size_asked_for_and_none_changes_nothing(images: np.ndarray) -> None:
    assert augmentation("photo", size=12)(images, training=True).shape == (8, 12, 12, 1)
    np.testing.assert_array_equal(augmentation("none")(images, training=True), images)
    with pytest.raises(BadInput, match="augment 'none', 'photo' or 'digit'"):
        augmentation("flip")  # pyright: ignore[reportArgumentType]


def test_mixup_mixes_images_and_labels_with_the_same_weight() -> None:
    """One-hot images tell who was mixed with whom: then images and labels have to be equal."""
    eye = np.eye(6, dtype=np.float32)
    x, y = (np.asarray(part) for part in mixup(eye, eye, alpha=0.4, seed=3))
    np.testing.assert_allclose(x, y)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
    assert len(np.unique(np.diag(y).round(5))) <= 2 and not np.array_equal(y, eye)
    rng = np.random.default_rng(3)
    np.testing.assert_allclose(mixup(eye, eye, 0.4, rng)[0], x)
    assert not np.allclose(mixup(eye, eye, 0.4, rng)[0], x)
    with pytest.raises(BadInput, match="alpha above 0"):
        mixup(eye, eye, alpha=0.0, seed=0)
    with pytest.raises(BadInput, match=r"labels of shape \(6, K\)"):
        mixup(eye, np.arange(6), alpha=0.2, seed=0)
