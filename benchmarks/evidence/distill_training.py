"""Small networks and one loop for the experiments of lesson 06: the targets are labels, or a teacher's soft answers."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tl_course.pytorch.distill_losses import kd_loss
from tl_course.schedules import warmup_cosine
from tl_course.scratch_recipe import random_shift

torch.set_num_threads(1)

LossOf = Callable[[Tensor, np.ndarray, Tensor], Tensor]
"""Takes logits (n, K), the images' places (n,), and the pixels (n, C, H, W) that the network has just seen."""


def cnn(widths: tuple[int, ...], num_classes: int, seed: int, num_channels: int = 1) -> nn.Sequential:
    """3x3 convolutions with BatchNorm and ReLU, max pooling between, global average pooling, a linear head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in zip((num_channels, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if after != widths[-1] else []
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes))


def mlp(widths: tuple[int, ...], num_classes: int, seed: int, num_inputs: int = 64) -> nn.Sequential:
    """Pixels in a row, linear layers with ReLU between, no BatchNorm: 8 x 8 digits train in a second."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip((num_inputs, *widths), widths, strict=False):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))


def by_labels(y: np.ndarray, smoothing: float = 0.0) -> LossOf:
    """Cross-entropy with the labels, smoothed or not."""
    labels = torch.from_numpy(y)
    return lambda logits, chosen, _pixels: cross_entropy(logits, labels[chosen], label_smoothing=smoothing)


def by_answers(teacher_logits: np.ndarray, temperature: float) -> LossOf:
    """The soft term alone, from a teacher's logits (N, K) for the images as they are: computed once."""
    kept = torch.from_numpy(teacher_logits)
    return lambda logits, chosen, _pixels: kd_loss(logits, kept[chosen], temperature=temperature)


def by_teacher(teacher: nn.Module, temperature: float) -> LossOf:
    """The soft term alone, from a teacher that looks at the very pixels the student sees."""
    teacher.eval()

    def loss(logits: Tensor, _chosen: np.ndarray, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            answers = teacher(pixels)
        return kd_loss(logits, answers, temperature=temperature)

    return loss


def train(
    model: nn.Module,
    images: np.ndarray,
    loss_of: LossOf,
    *,
    num_steps: int,
    seed: int,
    shift: float = 0.0,
    flip: bool = False,
    lr: float = 3e-3,
    batch_size: int = 64,
) -> nn.Module:
    """Train in place with AdamW, warm-up and cosine; the model, in inference mode.

    Args:
        model: (N, C, H, W) -> logits (N, K).
        images: float32 (N, H, W, C).
        loss_of: what the logits are compared with.
        num_steps, lr, batch_size: the same for everything that is compared.
        seed: order and moves.
        shift, flip: see `scratch_recipe.random_shift`; 0 and False leave the images as they are.
    """
    rng, order = np.random.default_rng(seed), np.empty(0, dtype=np.int64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05, fused=True)
    size = min(batch_size, len(images))
    model.train()
    for step in range(num_steps):
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(len(images))])
        chosen, order = order[:size], order[size:]
        batch = random_shift(images[chosen], shift, flip, rng) if shift or flip else images[chosen]
        optimizer.param_groups[0]["lr"] = warmup_cosine(step, num_steps, lr)
        pixels = tensor(batch)
        loss = loss_of(model(pixels), chosen, pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@torch.inference_mode()
def logits_of(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """(N, K), in inference mode."""
    model.eval()
    return torch.cat([model(part) for part in tensor(images).split(256)]).numpy()


def accuracy(model: nn.Module, split_x: np.ndarray, split_y: np.ndarray) -> float:
    """Share of the images whose most likely class is right."""
    return float(np.mean(logits_of(model, split_x).argmax(1) == split_y))


def tensor(images: np.ndarray) -> Tensor:
    """(N, H, W, C) as (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).permute(0, 3, 1, 2)
