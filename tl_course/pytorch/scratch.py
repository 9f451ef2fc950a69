"""A small CNN trained from scratch, in PyTorch: the baseline that transfer has to beat."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from tl_course.schedules import warmup_cosine
from tl_course.scratch_recipe import (
    WIDTHS,
    Recipe,
    ScratchResult,
    augmented_batches,
    check_images,
    standardizer,
)


def small_cnn(num_channels: int, num_classes: int, seed: int = 0, widths: Sequence[int] = WIDTHS) -> nn.Sequential:
    """Four 3x3 convolutions with BatchNorm and ReLU, max pooling between, global average pooling, a linear head.

    About 99,000 parameters for ten classes.

    Args:
        num_channels: channels of the images.
        num_classes: width of the head.
        seed: fixes the initial weights (He et al., 2015); the global random state is left as it was.
        widths: channels of the convolutions, here four.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in zip((num_channels, *widths), widths, strict=False):
            conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            layers += [conv, nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if after != widths[-1] else []
        head = nn.Linear(widths[-1], num_classes)
        nn.init.xavier_uniform_(head.weight)
        nn.init.zeros_(head.bias)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def train_small_cnn(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    num_classes: int,
    seed: int = 0,
    recipe: Recipe | None = None,
) -> ScratchResult:
    """Train `small_cnn` on the training images and score it on the test images, which influence nothing.

    Args:
        train_x: float32 (N, H, W, C) in [0, 1]. Their mean and standard deviation standardise all images.
        train_y: int64 (N,).
        test_x: float32 (M, H, W, C).
        test_y: int64 (M,).
        num_classes: number of classes.
        seed: fixes initial weights, order and augmentation.
        recipe: how to train; default `Recipe()`. `scratch_recipe.tune` finds a better one on validation data.

    Raises:
        BadInput: shapes or labels do not fit.
    """
    recipe = recipe or Recipe()
    check_images(train_x, train_y, num_classes)
    start = time.perf_counter()
    mean, std = standardizer(train_x)
    model = small_cnn(train_x.shape[-1], num_classes, seed)
    with _one_thread():
        losses = _fit(model, (train_x - mean) / std, train_y, recipe, np.random.default_rng(seed))
        predictions = _predict(model, (test_x - mean) / std)
    return ScratchResult(
        accuracy=float(np.mean(predictions == test_y)),
        predictions=predictions,
        num_parameters=sum(p.numel() for p in model.parameters()),
        num_steps=len(losses),
        final_loss=float(np.mean(losses[-max(1, len(losses) // 10) :])),
        seconds=time.perf_counter() - start,
        recipe=recipe,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for convolutions this small: more gain little alone, and lose much where others use the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, recipe: Recipe, rng: np.random.Generator
) -> list[float]:
    """AdamW over augmented batches; the loss of every step. BatchNorm's gains and all biases are not decayed."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}], lr=recipe.lr
    )
    num_steps = recipe.num_steps(len(images))
    losses = []
    model.train()
    for step, (batch_x, batch_y) in enumerate(augmented_batches(images, labels, recipe, num_steps, rng)):
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, num_steps, recipe.lr)
        logits = model(_channels_first(batch_x))  # (n, num_classes)
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(batch_y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _predict(model: nn.Module, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """The most likely class of each image: int64 (M,)."""
    model.eval()
    with torch.inference_mode():
        starts = range(0, len(images), batch_size)
        return np.concatenate([model(_channels_first(images[i : i + batch_size])).argmax(1).numpy() for i in starts])


def _channels_first(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) as (N, C, H, W) without a copy: PyTorch calls this memory layout channels_last."""
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).permute(0, 3, 1, 2)
