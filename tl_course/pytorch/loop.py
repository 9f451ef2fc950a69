"""The training loop behind `fit`."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.errors import CourseError
from tl_course.fit_options import progress_bar
from tl_course.history import History
from tl_course.i18n import _
from tl_course.pytorch import optim
from tl_course.pytorch.augment import mixup
from tl_course.pytorch.batches import Examples
from tl_course.pytorch.features import evaluation_mode
from tl_course.pytorch.freezing import has_free_statistics
from tl_course.pytorch.heads import backbone_parameters, head
from tl_course.pytorch.text_examples import TextExamples
from tl_course.schedules import warmup_cosine

Objective = Callable[[Tensor, Tensor], Tensor]
"""Logits float32 (n, K) and the targets of the same examples (n, ...) -> their mean loss, a scalar."""


class TrainingExamples(Protocol):
    """What one trains on: `Examples`, `TextExamples`, or what changes from epoch to epoch."""

    @property
    def y(self) -> Tensor:
        """Targets (N, ...), on the device."""
        ...

    def __len__(self) -> int: ...

    def epoch(self, rng: np.random.Generator, batch_size: int) -> Iterator[tuple[Any, Tensor]]:
        """Model inputs and targets of every example once, in an order that `rng` draws."""
        ...


class Penalty:
    """L2-SP towards the weights as they are when this is made; free of cost where alpha is 0."""

    def __init__(self, model: nn.Module, alpha: float) -> None:
        self.model, self.alpha = model, alpha
        self.start = optim.snapshot(model) if alpha > 0 else {}

    def __call__(self, loss: Tensor) -> Tensor:
        return loss + optim.l2_sp(self.model, self.start, self.alpha) if self.alpha > 0 else loss


@dataclass
class Loop:
    """One run: what it trains, on what, and how. `model` is the classifier's module, or its head on kept features."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    train: TrainingExamples
    val: Examples | TextExamples
    rng: np.random.Generator
    batch_size: int
    num_steps: int
    warmup: float
    num_classes: int
    objective: Objective
    mixup: float
    penalty: Penalty
    precision: torch.dtype | None

    def __post_init__(self) -> None:
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.step = 0

    def run(
        self, whole: nn.Module, num_epochs: int, patience: int | None, restore_best: bool, progress: bool
    ) -> History:
        """Every epoch until the last, or until patience runs out. `whole` is the module whose weights are kept."""
        history = History()
        best = _state(whole) if restore_best else {}
        text = _("epoch 1 of {num_epochs}").format(num_epochs=num_epochs)
        try:
            with progress_bar(progress, self.num_steps) as show:
                for epoch in range(num_epochs):
                    start = time.perf_counter()
                    train_loss = self._epoch(epoch, lambda step, line=text: show(step, line))
                    val_loss, val_accuracy = self._validate()
                    rate = self.optimizer.param_groups[-1]["lr"]  # the head's groups come last
                    if history.add(train_loss, val_loss, val_accuracy, rate, time.perf_counter() - start):
                        best = _state(whole) if restore_best else {}
                    text = _(
                        "epoch {epoch} of {num_epochs}: loss {loss:.3f}, validation accuracy {accuracy:.3f}"
                    ).format(epoch=epoch + 1, num_epochs=num_epochs, loss=train_loss, accuracy=val_accuracy)
                    if patience is not None and history.epochs_since_best >= patience:
                        history.stopped_early = epoch + 1 < num_epochs
                        break
        finally:
            if restore_best:
                whole.load_state_dict(best)
        return history

    def _epoch(self, epoch: int, tick: Callable[[int], None]) -> float:
        """Every training example once, in a new order; the mean loss over them. The loss is read once, at the end."""
        _training_mode(self.model)
        total = torch.zeros((), device=self.train.y.device)
        for x, y in self.train.epoch(self.rng, self.batch_size):
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                group["lr"] = warmup_cosine(self.step, self.num_steps, peak, self.warmup)
            loss = self._loss(x, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(y)
            self.step += 1
            tick(self.step)
        mean = float(total) / len(self.train)
        if not np.isfinite(mean):
            raise CourseError(
                _(
                    "the training loss is {loss} in epoch {epoch}: training has broken down; lower lr "
                    "(and backbone_lr), or lengthen the warm-up"
                ).format(loss=mean, epoch=epoch + 1)
            )
        return mean

    def _loss(self, x: Any, y: Tensor) -> Tensor:
        target = y
        if self.mixup > 0:
            one_hot = nn.functional.one_hot(y, self.num_classes).float()
            x, target = mixup(x, one_hot, self.mixup, self.rng)
        with self._autocast():
            logits = self.model(x)  # (n, K)
        return self.penalty(self.objective(logits.float(), target))

    def _validate(self) -> tuple[float, float]:
        """Mean cross-entropy and accuracy on the validation examples."""
        with evaluation_mode(self.model), torch.inference_mode(), self._autocast():
            logits = self.val.logits(self.model).float()
        loss = nn.functional.cross_entropy(logits, self.val.y)
        return float(loss), int((logits.argmax(dim=1) == self.val.y).sum()) / len(self.val)

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision is None:
            return nullcontext()
        return torch.autocast(self.train.y.device.type, self.precision)


def is_frozen(model: nn.Module) -> bool:
    """Whether nothing of the backbone can move: neither a parameter nor a BatchNorm statistic."""
    return not (any(p.requires_grad for p in backbone_parameters(model)) or has_free_statistics(model))


def _training_mode(model: nn.Module) -> None:
    """Training mode; but a backbone that is frozen throughout stays in evaluation mode."""
    if isinstance(model, nn.Linear) or not is_frozen(model):
        model.train()
    else:
        model.eval()
        head(model).train()


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
