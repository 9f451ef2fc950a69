"""One training loop for every experiment of lesson 01: what differs between methods is the start and what is frozen."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from tl_course import data
from tl_course.pytorch.scratch import small_cnn
from tl_course.schedules import warmup_cosine
from tl_course.scratch_recipe import WIDTHS, Recipe, augmented_batches

torch.set_num_threads(1)

Network = TypeVar("Network", bound=nn.Module)

LAYERS = len(WIDTHS)
"""Convolutions of the small CNN: each with its BatchNorm is one layer of these experiments; the head is not counted."""


def layer(model: nn.Sequential, number: int) -> nn.Sequential:
    """Layer 1 to LAYERS of a small CNN: convolution, BatchNorm and ReLU."""
    first = 4 * (number - 1)  # a max pooling stands between two layers
    return nn.Sequential(*list(model)[first : first + 3])


def start_from(source: nn.Sequential, num_layers: int, num_classes: int, seed: int) -> nn.Sequential:
    """A small CNN whose first layers are copied from `source` and whose other layers and head are fresh."""
    num_channels = next(source.parameters()).shape[1]  # of the first kernel (out, in, 3, 3)
    model = small_cnn(num_channels, num_classes, seed)
    for number in range(1, num_layers + 1):
        layer(model, number).load_state_dict(layer(source, number).state_dict())
    return model


def train(
    model: Network,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    seed: int,
    frozen: Iterable[nn.Module] = (),
    watch: Callable[[int, nn.Module], None] | None = None,
) -> Network:
    """Train a model in place, cross-entropy and AdamW, and return it; frozen modules keep weights and statistics.

    Args:
        model: takes (N, C, H, W), gives logits.
        images: float32 (N, H, W, C), standardised as at the model's source.
        labels: int64 (N,).
        recipe: learning rate, weight decay, batch size, steps, shift, flip.
        seed: order of the images and augmentation.
        frozen: modules that stay as they are: no gradient, and BatchNorm in inference mode.
        watch: called after every step with the number of steps taken; may put the model into inference mode.
    """
    held = list(frozen)
    for module in held:
        module.requires_grad_(False)
    free = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in free if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in free if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr)
    num_steps = recipe.num_steps(len(images))
    batches = augmented_batches(images, labels, recipe, num_steps, np.random.default_rng(seed))
    for step, (batch_x, batch_y) in enumerate(batches):
        model.train()
        for module in held:
            module.eval()
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, num_steps, recipe.lr)
        loss = nn.functional.cross_entropy(model(tensor(batch_x)), torch.from_numpy(batch_y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if watch:
            watch(step + 1, model)
    return model


@torch.inference_mode()
def predict(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """The most likely class of standardised images (N, H, W, C), BatchNorm in inference mode: int64 (N,)."""
    model.eval()
    return torch.cat([model(batch).argmax(1) for batch in tensor(images).split(256)]).numpy()


def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of standardised images (N, H, W, C) that the model gets right."""
    return float((predict(model, images) == labels).mean())


@torch.inference_mode()
def pooled_features(model: nn.Sequential, images: np.ndarray) -> np.ndarray:
    """What the head sees: (N, 128)."""
    model.eval()
    return torch.cat([model[:-1](batch) for batch in tensor(images).split(256)]).numpy()


def best_recipe(score: Callable[[Recipe], float], recipes: Sequence[Recipe]) -> Recipe:
    """The recipe with the highest score on validation data; the earlier one wins a tie."""
    return recipes[int(np.argmax([score(recipe) for recipe in recipes]))]


def variants(base: Recipe, lrs: Sequence[float], weight_decays: Sequence[float] = (0.05,)) -> list[Recipe]:
    """The recipe with every pair of learning rate and weight decay."""
    return [replace(base, lr=lr, weight_decay=decay) for decay in weight_decays for lr in lrs]


def digits(split: data.Split, low: int, high: int) -> data.Split:
    """The images of the digits low to high - 1, labelled from 0."""
    chosen = split.take(np.flatnonzero((split.y >= low) & (split.y < high)))
    return data.Split(chosen.x, chosen.y - low)


def tensor(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, C) as (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).permute(0, 3, 1, 2)
