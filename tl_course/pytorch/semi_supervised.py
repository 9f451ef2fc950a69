"""Learning from unlabelled data in PyTorch: pseudo-labels, and FixMatch's consistency between two views of an image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.errors import BadInput
from tl_course.schedules import warmup_cosine
from tl_course.views import View, strong_view, weak_view


def pseudo_labels(probabilities: Tensor, threshold: float = 0.95) -> tuple[Tensor, Tensor]:
    """The predicted class of every example, and whether the model is sure enough for it to be used (Lee, 2013).

    Args:
        probabilities: (N, K), rows sum to 1.
        threshold: an example counts when its largest probability is at least this.

    Returns:
        labels int64 (N,) and kept bool (N,); neither carries a gradient.

    Raises:
        BadInput: rows that are not probabilities, such as logits.
    """
    probabilities = probabilities.detach()
    if probabilities.ndim != 2 or (probabilities < 0).any() or (probabilities.sum(1) - 1).abs().max() > 1e-3:
        raise BadInput("probabilities (N, K)", "rows that do not sum to 1", "apply softmax to the logits first")
    confidence, labels = probabilities.max(dim=1)
    return labels, confidence >= threshold


def fixmatch_loss(
    labelled_logits: Tensor,
    y: Tensor,
    weak_logits: Tensor,
    strong_logits: Tensor,
    threshold: float = 0.95,
    weight: float = 1.0,
) -> Tensor:
    """FixMatch (Sohn et al., 2020): CE(labelled) + weight * consistency, a scalar.

    Consistency is the sum over unlabelled images with max softmax(weak) >= threshold of CE(strong, argmax weak),
    divided by the number of ALL unlabelled images. So a model that is rarely sure is rarely moved. Nothing flows back
    through the weak view: it is the teacher.

    Args:
        labelled_logits: (B, K).
        y: int64 (B,).
        weak_logits: (U, K), of the weakly changed unlabelled images.
        strong_logits: (U, K), of the same images strongly changed, in the same order.
        threshold: see `pseudo_labels`.
        weight: of the second term.
    """
    labels, kept = pseudo_labels(weak_logits.softmax(dim=1), threshold)
    each = nn.functional.cross_entropy(strong_logits, labels, reduction="none")  # (U,)
    return nn.functional.cross_entropy(labelled_logits, y) + weight * (each * kept).mean()


@dataclass
class FixMatchHistory:
    """What happened, step by step.

    Attributes:
        loss: the whole loss.
        kept: share of the unlabelled images of the batch that were used.
        right: share of the used ones whose pseudo-label was right; NaN where the true labels are not given or none was
            used. It is measured only: training never sees these labels.
    """

    loss: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)


def train_fixmatch(
    model: nn.Module,
    prepare: Callable[[np.ndarray], Tensor],
    x: np.ndarray,
    y: np.ndarray,
    unlabelled: np.ndarray,
    *,
    num_steps: int = 300,
    lr: float = 1e-3,
    batch_size: int = 20,
    ratio: int = 3,
    threshold: float = 0.95,
    weight: float = 1.0,
    weight_decay: float = 0.0,
    flip: bool = False,
    labelled_view: View = weak_view,
    seed: int = 0,
    unlabelled_y: np.ndarray | None = None,
) -> FixMatchHistory:
    """Train a classifier in place on labelled and unlabelled images. With weight 0 it learns from the labels alone.

    Args:
        model: prepared images -> logits. Its BatchNorm sees labelled and unlabelled images in one batch.
        prepare: images float32 (N, H, W, C) in [0, 1] -> what the model takes, such as a zoo model's `preprocess`.
        x: labelled images (N, H, W, C).
        y: int64 (N,).
        unlabelled: images (M, H, W, C); with weight 0 they are not looked at, pass x again.
        num_steps, lr: AdamW with warm-up and cosine decay.
        batch_size: labelled images a step.
        ratio: unlabelled images a step, as a multiple of batch_size.
        threshold, weight: see `fixmatch_loss`.
        weight_decay: decoupled, on weights only.
        flip: whether mirroring keeps the class.
        labelled_view: how the labelled images are changed; a baseline without unlabelled images may want `strong_view`.
        seed: order and augmentation.
        unlabelled_y: true labels of the unlabelled images, for the history's `right` only.

    Raises:
        BadInput: there are no labelled or no unlabelled images.
    """
    if not len(y) or not len(unlabelled):
        raise BadInput(
            "labelled and unlabelled images",
            f"{len(y)} and {len(unlabelled)}",
            "for labels alone pass weight=0 and the labelled images as unlabelled ones",
        )
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=lr,
    )
    history = FixMatchHistory()
    labelled, others = _endless(len(y), batch_size, rng), _endless(len(unlabelled), batch_size * ratio, rng)
    model.train()
    for step in range(num_steps):
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, num_steps, lr)
        chosen, drawn = next(labelled), next(others)
        batch = [labelled_view(x[chosen], rng, flip)]
        if weight > 0:
            batch += [weak_view(unlabelled[drawn], rng, flip), strong_view(unlabelled[drawn], rng, flip)]
        logits = model(prepare(np.concatenate(batch)))
        targets = torch.from_numpy(y[chosen]).to(logits.device)
        if weight > 0:
            on_labels, weak, strong = logits.split([len(chosen), len(drawn), len(drawn)])
            loss = fixmatch_loss(on_labels, targets, weak, strong, threshold, weight)
            _note(history, weak, threshold, None if unlabelled_y is None else unlabelled_y[drawn])
        else:
            loss = nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.loss.append(loss.item())
    model.eval()
    return history


def _note(history: FixMatchHistory, weak_logits: Tensor, threshold: float, truth: np.ndarray | None) -> None:
    labels, kept = (part.cpu().numpy() for part in pseudo_labels(weak_logits.softmax(dim=1), threshold))
    history.kept.append(float(kept.mean()))
    right = np.nan if truth is None or not kept.any() else np.mean(labels[kept] == truth[kept])
    history.right.append(float(right))


def _endless(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of row numbers, every row once a round, for ever."""
    order = np.empty(0, dtype=np.int64)
    while True:
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[:size]
        order = order[size:]
