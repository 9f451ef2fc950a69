"""How the small CNN is trained from scratch, the same in both frameworks and free of either.

A comparison with transfer is worth what its baseline is worth, so this one gets augmentation, a schedule, enough
steps, and a search over learning rate and weight decay on data that are not the test set.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from tl_course.errors import BadInput

WIDTHS = (16, 32, 64, 128)
"""Channels of the four convolutions, each 3x3 without bias, followed by BatchNorm and ReLU; halved in size between."""


@dataclass(frozen=True)
class Recipe:
    """Everything about one training run except the data and the seed.

    Attributes:
        lr: peak learning rate of AdamW, reached after a tenth of the steps, then decayed (`schedules.warmup_cosine`).
        weight_decay: decoupled weight decay (Loshchilov & Hutter, 2019).
        batch_size: images a step, fewer when there are fewer.
        steps: gradient steps; None lets `num_steps` choose by the number of images.
        shift: images move by up to this fraction of their side, in both directions.
        flip: mirror half of the images left to right; wrong for digits, right for most photographs.
    """

    lr: float = 3e-3
    weight_decay: float = 0.05
    batch_size: int = 32
    steps: int | None = None
    shift: float = 0.1
    flip: bool = False

    def num_steps(self, num_images: int) -> int:
        """Gradient steps for so many images: 20 epochs, but at least 150 and at most 400 steps."""
        per_epoch = -(-num_images // self.batch_size)
        return self.steps if self.steps is not None else int(np.clip(20 * per_epoch, 150, 400))


GRID = tuple((lr, weight_decay) for lr in (1e-3, 3e-3, 1e-2) for weight_decay in (0.05, 0.5))
"""Peak learning rates and weight decays that `tune` tries."""


@dataclass(frozen=True)
class ScratchResult:
    """What a network trained from scratch reached.

    Attributes:
        accuracy: fraction of the test images that were right, 0 to 1. `float(result)` gives it too.
        predictions: int64 (M,).
        num_parameters: trainable parameters.
        num_steps: gradient steps taken.
        final_loss: mean training cross-entropy over the last tenth of the steps.
        seconds: time for training and prediction.
        recipe: how it was trained.
    """

    accuracy: float
    predictions: np.ndarray
    num_parameters: int
    num_steps: int
    final_loss: float
    seconds: float
    recipe: Recipe

    def __float__(self) -> float:
        return self.accuracy


def tune(score: Callable[[Recipe], float], start: Recipe, grid: tuple[tuple[float, float], ...] = GRID) -> Recipe:
    """The recipe with the best score over the grid; the earlier entry wins a tie.

    Args:
        score: accuracy of a recipe on validation data. Never hand it the test set.
        start: what stays the same in every try.
        grid: (lr, weight_decay) pairs.
    """
    tries = [replace(start, lr=lr, weight_decay=weight_decay) for lr, weight_decay in grid]
    return tries[int(np.argmax([score(recipe) for recipe in tries]))]


def augmented_batches(
    images: np.ndarray, labels: np.ndarray, recipe: Recipe, num_steps: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of one size for so many steps, every image once an epoch, shifted and mirrored as the recipe says.

    Args:
        images: (N, H, W, C).
        labels: (N,).
        recipe: batch_size, shift and flip are used.
        num_steps: number of batches.
        rng: source of all randomness.
    """
    size = min(recipe.batch_size, len(images))
    order = np.empty(0, dtype=np.int64)
    for _ in range(num_steps):
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(len(images))])
        chosen, order = order[:size], order[size:]
        yield random_shift(images[chosen], recipe.shift, recipe.flip, rng), labels[chosen]


def random_shift(images: np.ndarray, shift: float, flip: bool, rng: np.random.Generator) -> np.ndarray:
    """Each image moved by its own whole number of pixels, the border repeated, and mirrored with probability one half.

    Args:
        images: (N, H, W, C).
        shift: largest move as a fraction of the longer side.
        flip: whether to mirror left to right.
        rng: source of the moves.
    """
    count, height, width, _ = images.shape
    reach = round(shift * max(height, width))
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    moves = rng.integers(0, 2 * reach + 1, size=(count, 2))
    mirrored = rng.random(count) < (0.5 if flip else 0.0)
    moved = np.empty_like(images)
    for i, (row, column) in enumerate(moves):
        crop = padded[i, row : row + height, column : column + width]
        moved[i] = crop[:, ::-1] if mirrored[i] else crop
    return moved


def standardizer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, (C,) each, over the training images."""
    return images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2)) + 1e-6


def check_images(train_x: np.ndarray, train_y: np.ndarray, num_classes: int) -> None:
    """Raise BadInput unless these are at least two images (N, H, W, C), 8 pixels or larger, with one label each."""
    if train_x.ndim != 4 or len(train_x) < 2 or min(train_x.shape[1:3]) < 8:
        raise BadInput(
            "at least two images (N, H, W, C), 8 pixels or larger",
            f"shape {train_x.shape}",
            "add a channel axis with x[..., None] if the images are grey",
        )
    if train_y.shape != (len(train_x),):
        raise BadInput(f"labels of shape ({len(train_x)},)", f"shape {train_y.shape}", "select both with one index")
    if not 0 <= train_y.min() <= train_y.max() < num_classes:
        raise BadInput(
            f"labels from 0 to {num_classes - 1}",
            f"{train_y.min()} to {train_y.max()}",
            "raise num_classes or renumber",
        )
