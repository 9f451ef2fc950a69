"""Augmentation varies images one by one within its stated limits; mixup is its formula."""

import numpy as np
import pytest
import torch

from tl_course.errors import BadInput
from tl_course.pytorch.augment import augmentation, mixup


def ramp(count: int, channels: int = 3) -> torch.Tensor:
    """The same image many times: dark on the left, bright on the right, and darker towards the bottom."""
    row = torch.linspace(0.2, 0.8, 20)
    return (row[None, :] * torch.linspace(1, 0.5, 20)[:, None]).expand(count, channels, 20, 20).clone()


def test_every_image_of_a_batch_is_changed_in_its_own_way() -> None:
    for kind in ("photo", "digit"):
        torch.manual_seed(0)
        changed = augmentation(kind)(ramp(8))
        assert changed.shape == (8, 3, 20, 20) and 0 <= changed.min() <= changed.max() <= 1
        assert len({image.sum().item() for image in changed}) == 8


def test_photos_are_mirrored_half_of_the_time_and_digits_never() -> None:
    torch.manual_seed(0)
    images = ramp(120)

    def mirrored(kind: str) -> float:
        changed = augmentation(kind)(images)  # pyright: ignore[reportArgumentType]
        return (changed[..., 6:9].mean(dim=(1, 2, 3)) > changed[..., 11:14].mean(dim=(1, 2, 3))).float().mean().item()

    assert 0.35 < mirrored("photo") < 0.65 and mirrored("digit") == 0.0


def test_digits_stay_where_most_of_them_was_and_photos_take_the_size_asked_for() -> None:
    torch.manual_seed(0)
    images = torch.zeros(20, 1, 28, 28)
    images[:, :, 10:18, 10:18] = 1.0
    changed = augmentation("digit")(images)
    assert (changed[:, :, 12:16, 12:16].mean(dim=(1, 2, 3)) > 0.4).all()
    ratio = changed.sum(dim=(1, 2, 3)) / images.sum(dim=(1, 2, 3))
    assert 0.75 < ratio.min() < ratio.max() < 1.3
    assert augmentation("photo", size=12)(ramp(2)).shape == (2, 3, 12, 12)
    assert augmentation("photo")(ramp(2, channels=1)).shape == (2, 1, 20, 20)


def test_none_changes_nothing_and_the_generator_decides() -> None:
    images = ramp(3)
    assert torch.equal(augmentation("none")(images), images)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(augmentation("photo")(images))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_mixup_is_one_line_between_images_and_the_same_one_between_labels() -> None:
    """One-hot images with one-hot labels: whatever mixes them, both come out the same."""
    eye = torch.eye(6)
    x, y = mixup(eye, eye, alpha=0.5, seed=3)
    torch.testing.assert_close(x, y)
    torch.testing.assert_close(y.sum(dim=1), torch.ones(6))
    rng = np.random.default_rng(3)
    k, order = rng.beta(0.5, 0.5), rng.permutation(6)
    torch.testing.assert_close(x, (k * eye + (1 - k) * eye[order]))


def test_mixup_takes_a_generator_that_moves_on() -> None:
    eye, rng = torch.eye(4), np.random.default_rng(0)
    first, second = mixup(eye, eye, 1.0, rng)[0], mixup(eye, eye, 1.0, rng)[0]
    assert not torch.equal(first, second) and torch.equal(first, mixup(eye, eye, 1.0, 0)[0])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(BadInput, match="augment 'none', 'photo' or 'digit'"):
        augmentation("flip")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="alpha above 0"):
        mixup(torch.eye(3), torch.eye(3), 0.0, 0)
    with pytest.raises(BadInput, match=r"labels of shape \(3, K\)"):
        mixup(torch.eye(3), torch.arange(3), 0.2, 0)
