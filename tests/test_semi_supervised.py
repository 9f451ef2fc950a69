"""Pseudo-labels and FixMatch: one definition in both frameworks, by hand-computed values, and able to learn."""

from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch import nn

from tl_course.errors import BadInput
from tl_course.keras import semi_supervised as in_keras
from tl_course.pytorch import semi_supervised as in_torch
from tl_course.views import strong_view, weak_view

FRAMEWORKS = [pytest.param(in_torch, id="pytorch"), pytest.param(in_keras, id="keras")]


def tensor(module: ModuleType, values: np.ndarray):
    return torch.from_numpy(values) if module is in_torch else tf.constant(values)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def inputs(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(4, 3)).astype("float32"),
        rng.integers(0, 3, 4),
        2 * rng.normal(size=(9, 3)).astype("float32"),
        rng.normal(size=(9, 3)).astype("float32"),
    )


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_pseudo_labels_are_kept_from_the_threshold_on(module: ModuleType) -> None:
    probabilities = np.array([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]], np.float32)
    labels, kept = (np.asarray(part) for part in module.pseudo_labels(tensor(module, probabilities), 0.75))
    assert labels.tolist() == [0, 0, 2] and kept.tolist() == [True, False, True] and labels.dtype == np.int64
    with pytest.raises(BadInput, match="softmax"):
        module.pseudo_labels(tensor(module, 3 * probabilities))


@pytest.mark.parametrize("module", FRAMEWORKS)
@pytest.mark.parametrize("threshold", [0.0, 0.8, 1.1])
def test_the_loss_is_its_definition(module: ModuleType, threshold: float) -> None:
    logits, y, weak, strong = inputs()
    probabilities = np.exp(log_softmax(weak))
    kept = probabilities.max(1) >= threshold
    consistency = -(log_softmax(strong)[np.arange(9), probabilities.argmax(1)] * kept).sum() / 9
    expected = -log_softmax(logits)[np.arange(4), y].mean() + 0.7 * consistency
    loss = module.fixmatch_loss(*(tensor(module, part) for part in (logits, y, weak, strong)), threshold, 0.7)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_nothing_flows_back_through_the_weak_view() -> None:
    logits, y, weak, strong = inputs()
    parts = [torch.from_numpy(part).requires_grad_(part.dtype == np.float32) for part in (logits, y, weak, strong)]
    in_torch.fixmatch_loss(*parts, threshold=0.0).backward()
    assert parts[2].grad is None and parts[3].grad.abs().sum() > 0
    variables = [tf.Variable(part) for part in (weak, strong)]
    with tf.GradientTape() as tape:
        loss = in_keras.fixmatch_loss(tf.constant(logits), tf.constant(y), *variables, threshold=0.0)
    through_weak, through_strong = tape.gradient(loss, variables)
    assert through_weak is None
    np.testing.assert_allclose(through_strong, parts[3].grad, atol=1e-6)


def spots(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright spots in one of three places of a noisy image, (N, 14, 14, 1)."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.uniform(0, 0.3, (count, 14, 14, 1))
    for image, label in zip(x, y, strict=True):
        image[5:9, 1 + 4 * label : 5 + 4 * label] = 1
    return x.astype("float32"), y


def linear_model(module: ModuleType):
    if module is in_torch:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(196, 3)), torch.from_numpy
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((14, 14, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]), tf.constant


def right(module: ModuleType, model, prepare, x: np.ndarray, y: np.ndarray) -> float:
    with torch.inference_mode():
        logits = np.asarray(model(prepare(x)))
    return float(np.mean(logits.argmax(1) == y))


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_training_uses_the_unlabelled_images_and_repeats(module: ModuleType) -> None:
    (x, y), (others, truth) = spots(6, 0), spots(60, 1)
    found = []
    for _ in range(2):
        model, prepare = linear_model(module)
        history = module.train_fixmatch(
            model, prepare, x, y, others, num_steps=40, lr=0.01, batch_size=6, threshold=0.6, seed=3, unlabelled_y=truth
        )
        found.append(history.loss)
    assert right(module, model, prepare, others, truth) > 0.9
    assert len(history.loss) == len(history.kept) == 40 and history.kept[-1] > 0.5 and history.right[-1] > 0.9
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_weight_zero_learns_from_the_labels_alone(module: ModuleType) -> None:
    x, y = spots(6, 0)
    model, prepare = linear_model(module)
    history = module.train_fixmatch(model, prepare, x, y, x, num_steps=3, batch_size=4, weight=0.0)
    assert len(history.loss) == 3 and not history.kept
    with pytest.raises(BadInput, match="weight=0"):
        module.train_fixmatch(model, prepare, x, y, x[:0])


def test_views_keep_shape_range_and_order_and_the_strong_one_changes_more() -> None:
    x, _ = spots(30, 0)
    weak, strong = (view(x, np.random.default_rng(0)) for view in (weak_view, strong_view))
    assert weak.shape == strong.shape == x.shape and weak.dtype == strong.dtype == np.float32
    assert strong.min() >= 0 and strong.max() <= 1
    changes = [np.abs(view - x).mean() for view in (weak, strong)]
    assert 0 < changes[0] < changes[1]
    np.testing.assert_array_equal(strong, strong_view(x, np.random.default_rng(0)))
