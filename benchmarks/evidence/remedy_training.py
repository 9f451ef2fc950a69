"""One training loop for the experiments of lesson 08: everything that is compared is an argument of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.schedules import warmup_cosine

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Prepare = Callable[[np.ndarray], Tensor]


@dataclass(frozen=True)
class Run:
    """How one network is trained; the defaults regularise nothing.

    Attributes:
        num_steps, lr, batch_size: AdamW with warm-up and cosine decay.
        weight_decay: decoupled decay towards 0, on weights only.
        l2_sp: alpha of alpha / 2 ||w - w0||^2 over the backbone (Li et al., 2018).
        mixup: alpha of the Beta distribution the mixing weight is drawn from (Zhang et al., 2018); 0 mixes nothing.
        batchnorm: "frozen" keeps the statistics of the pretraining, "free" lets them move.
    """

    num_steps: int = 150
    lr: float = 1e-3
    batch_size: int = 32
    weight_decay: float = 0.0
    l2_sp: float = 0.0
    mixup: float = 0.0
    batchnorm: str = "frozen"


def train(
    backbone: nn.Module,
    head: nn.Module,
    images: np.ndarray,
    y: np.ndarray,
    run: Run,
    seed: int,
    prepare: Prepare,
    augment: Augmentation | None = None,
    after_step: Callable[[int], None] | None = None,
) -> list[float]:
    """Train backbone and head together, in place; the loss of every step.

    Args:
        backbone: what `prepare` gives -> features (N, D).
        head: features -> logits.
        images: float32 (N, H, W, C) in [0, 1].
        y: int64 (N,).
        run: how.
        seed: order, augmentation, mixing, dropout.
        prepare: images -> what the backbone takes.
        augment: images, generator -> images.
        after_step: called with the number of steps done.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    start = [p.detach().clone() for p in backbone.parameters()]
    optimizer = _adamw(backbone, head, run)
    set_modes(backbone, head, training=True, batchnorm=run.batchnorm)
    losses, order = [], np.empty(0, dtype=np.int64)
    size = min(run.batch_size, len(y))
    for step in range(run.num_steps):
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(len(y))])
        chosen, order = order[:size], order[size:]
        batch = images[chosen] if augment is None else augment(images[chosen], rng)
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, run.num_steps, run.lr)
        loss = _loss(backbone, head, prepare(batch), torch.from_numpy(y[chosen]), run.mixup, rng)
        if run.l2_sp:
            moved = sum(((p - p0) ** 2).sum() for p, p0 in zip(backbone.parameters(), start, strict=True))
            loss = loss + run.l2_sp / 2 * moved
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if after_step is not None:
            after_step(step + 1)
            set_modes(backbone, head, training=True, batchnorm=run.batchnorm)
    set_modes(backbone, head, training=False)
    return losses


def set_modes(backbone: nn.Module, head: nn.Module, training: bool, batchnorm: str = "frozen") -> None:
    """Training or inference mode, BatchNorm apart."""
    backbone.train(training)
    head.train(training)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d) and batchnorm == "frozen":
            module.eval()


def outputs(
    backbone: nn.Module, head: nn.Module, images: np.ndarray, prepare: Prepare
) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and logits (N, K), in inference mode."""
    set_modes(backbone, head, training=False)
    with torch.inference_mode():
        features = torch.cat([backbone(prepare(images[i : i + 128])) for i in range(0, len(images), 128)])
        return features.numpy(), head(features).numpy()


def accuracy(backbone: nn.Module, head: nn.Module, split_x: np.ndarray, split_y: np.ndarray, prepare: Prepare) -> float:
    """Share of the images whose most likely class is right."""
    return float(np.mean(outputs(backbone, head, split_x, prepare)[1].argmax(1) == split_y))


def new_head(width: int, num_classes: int, seed: int, dropout: float = 0.0) -> nn.Sequential:
    """Dropout and a linear layer with random weights (Glorot & Bengio, 2010)."""
    linear = nn.Linear(width, num_classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.Dropout(dropout), linear)


def probe_head(features: np.ndarray, y: np.ndarray, C: float = 1.0) -> nn.Sequential:
    """The linear probe as a module: logistic regression on these features."""
    from sklearn.linear_model import LogisticRegression

    unit = float(np.sqrt(features.var(axis=0).mean())) + 1e-12
    mean = features.mean(axis=0)
    fitted = LogisticRegression(C=C, max_iter=2000).fit((features - mean) / unit, y)
    weight, bias = fitted.coef_ / unit, fitted.intercept_
    if len(weight) == 1:  # two classes: one hyperplane, as half of it for either class
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    head = new_head(features.shape[1], len(weight), seed=0)
    with torch.no_grad():
        head[1].weight.copy_(torch.from_numpy(weight))
        head[1].bias.copy_(torch.from_numpy(bias - weight @ mean))
    return head


def _adamw(backbone: nn.Module, head: nn.Module, run: Run) -> torch.optim.AdamW:
    parameters = [*backbone.parameters(), *head.parameters()]
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": run.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=run.lr,
    )


def _loss(backbone: nn.Module, head: nn.Module, x: Tensor, y: Tensor, mixup: float, rng: np.random.Generator) -> Tensor:
    """Cross-entropy, or its mixture over two labels of mixed inputs."""
    loss = nn.functional.cross_entropy
    if not mixup:
        return loss(head(backbone(x)), y)
    share = float(rng.beta(mixup, mixup))
    other = torch.from_numpy(rng.permutation(len(y)))
    logits = head(backbone(share * x + (1 - share) * x[other]))
    return share * loss(logits, y) + (1 - share) * loss(logits, y[other])
