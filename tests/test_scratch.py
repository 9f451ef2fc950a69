"""The from-scratch baseline: one structure in both frameworks, trained by one recipe, and able to learn."""

from dataclasses import replace
from types import ModuleType

import keras
import numpy as np
import pytest
import torch

from tl_course.errors import BadInput
from tl_course.keras import scratch as keras_scratch
from tl_course.pytorch import scratch as torch_scratch
from tl_course.scratch_recipe import Recipe, augmented_batches, random_shift, tune

FRAMEWORKS = [pytest.param(torch_scratch, id="pytorch"), pytest.param(keras_scratch, id="keras")]


def stripes(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy stripes of three directions: (N, 16, 16, 1) in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:16, :16]
    y = np.repeat(np.arange(3), per_class).astype("int64")
    direction = np.stack([rows, columns, rows + columns])[y]
    waves = 0.5 + 0.5 * np.sin(direction + rng.uniform(0, 6, (len(y), 1, 1)))
    return np.clip(waves + rng.normal(0, 0.2, waves.shape), 0, 1)[..., None].astype("float32"), y


def shapes(weights: list[np.ndarray]) -> list[tuple[int, ...]]:
    return sorted(tuple(sorted(w.shape)) for w in weights)


@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (3, 18)])
def test_both_frameworks_build_the_same_structure(channels: int, classes: int) -> None:
    in_torch = [p.detach().numpy() for p in torch_scratch.small_cnn(channels, classes).parameters()]
    in_keras = [np.asarray(w) for w in keras_scratch.small_cnn(channels, classes).trainable_weights]
    assert shapes(in_torch) == shapes(in_keras)
    assert 90_000 < sum(w.size for w in in_torch) < 110_000


def test_equal_weights_give_equal_logits() -> None:
    in_torch, in_keras = torch_scratch.small_cnn(3, 5, seed=1).eval(), keras_scratch.small_cnn(3, 5)
    order = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
    parameters = [p.detach().numpy() for p in in_torch.parameters()]
    for target, source in zip(in_keras.trainable_weights, parameters, strict=True):
        target.assign(source.transpose(order[source.ndim]))
    images = np.random.default_rng(0).random((2, 20, 20, 3), dtype=np.float32)
    with torch.no_grad():
        expected = in_torch(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(np.asarray(in_keras(images, training=False)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_it_learns_and_repeats(module: ModuleType) -> None:
    recipe = Recipe(steps=60, shift=0.1)
    first = module.train_small_cnn(*stripes(8, 0), *stripes(30, 1), num_classes=3, seed=0, recipe=recipe)
    assert first.accuracy > 0.85 and first.num_steps == 60 and first.final_loss < 0.5
    np.testing.assert_allclose(first.accuracy, np.mean(first.predictions == stripes(30, 1)[1]))
    again = module.train_small_cnn(*stripes(8, 0), *stripes(30, 1), num_classes=3, seed=0, recipe=recipe)
    assert abs(again.accuracy - first.accuracy) < 0.05


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    torch_scratch.small_cnn(1, 2, seed=7)
    assert torch.equal(torch.rand(2), expected)
    keras.utils.set_random_seed(3)
    drawn = np.random.random()
    keras.utils.set_random_seed(3)
    keras_scratch.small_cnn(1, 2, seed=7)
    assert np.random.random() == drawn


def test_an_epoch_uses_every_image_once_and_batches_have_one_size() -> None:
    images, labels = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1), np.arange(10)
    recipe = Recipe(batch_size=4, shift=0.0)
    drawn = [y for _, y in augmented_batches(images, labels, recipe, 5, np.random.default_rng(0))]
    assert [len(y) for y in drawn] == [4] * 5
    flat = np.concatenate(drawn)
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))


def test_shift_moves_content_and_flip_mirrors_it() -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((200, 9, 9, 1), np.float32)
    images[:, 4, 4] = 1.0
    images[:, 4, 5] = 0.5
    moved = random_shift(images, 0.2, True, rng)
    positions = np.argwhere(moved[..., 0] == 1.0)[:, 1:]
    assert len(positions) == 200 and positions.min() == 2 and positions.max() == 6
    assert (
        60
        < sum(
            column[1] > half[1]
            for column, half in zip(positions, np.argwhere(moved[..., 0] == 0.5)[:, 1:], strict=True)
        )
        < 140
    )
    np.testing.assert_array_equal(random_shift(images, 0.0, False, rng), images)


def test_steps_grow_with_the_data_within_bounds() -> None:
    assert [Recipe().num_steps(n) for n in (10, 500, 10_000)] == [150, 320, 400]


def test_tune_takes_the_best_and_keeps_the_rest() -> None:
    start = Recipe(flip=True, steps=7)
    best = tune(lambda recipe: -abs(recipe.lr - 3e-3) - recipe.weight_decay, start)
    assert best == replace(start, lr=3e-3, weight_decay=0.05)


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_bad_input_is_refused(module: ModuleType) -> None:
    x, y = stripes(2, 0)
    with pytest.raises(BadInput, match="channel axis"):
        module.train_small_cnn(x[..., 0], y, x, y, 3)
    with pytest.raises(BadInput, match="labels of shape"):
        module.train_small_cnn(x, y[:-1], x, y, 3)
    with pytest.raises(BadInput, match="labels from 0 to 1"):
        module.train_small_cnn(x, y, x, y, 2)
