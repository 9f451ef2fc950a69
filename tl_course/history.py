"""What happened during training, epoch by epoch; the same in both frameworks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass
class History:
    """One entry an epoch in every list, the first for epoch 1.

    Attributes:
        train_loss: mean loss over the epoch's training batches, with label smoothing, mixup and penalties where used.
        val_loss: mean cross-entropy on the validation images, plain.
        val_accuracy: fraction of the validation images that were right, 0 to 1.
        lr: the head's learning rate at the epoch's last step.
        seconds: time the epoch took, validation included.
        stage: name of the training stage ("linear probe", "fine-tune" …); "" where there is only one.
        best_epoch: the epoch with the highest validation accuracy in the last stage, the lower validation loss deciding
            a tie; 0 before the first. With restore_best these are the weights the model has now.
        stopped_early: whether patience ran out before num_epochs were done.
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    stage: list[str] = field(default_factory=list)
    best_epoch: int = 0
    stopped_early: bool = False

    def __len__(self) -> int:
        return len(self.train_loss)

    def add(self, train_loss: float, val_loss: float, val_accuracy: float, lr: float, seconds: float) -> bool:
        """Record one epoch; returns whether it is the best so far (see `best_epoch`)."""
        is_best = self.best_epoch == 0 or (val_accuracy, -val_loss) > self._rank(self.best_epoch)
        self.train_loss.append(float(train_loss))
        self.val_loss.append(float(val_loss))
        self.val_accuracy.append(float(val_accuracy))
        self.lr.append(float(lr))
        self.seconds.append(float(seconds))
        self.stage.append("")
        if is_best:
            self.best_epoch = len(self)
        return is_best

    @property
    def epochs_since_best(self) -> int:
        """Epochs that brought nothing better; training stops when this reaches `patience`."""
        return len(self) - self.best_epoch

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary an epoch, for a table: epoch (from 1), stage, train_loss, val_loss, val_accuracy, …, best."""
        columns = ("stage", "train_loss", "val_loss", "val_accuracy", "lr", "seconds")
        lists = {name: getattr(self, name) for name in columns}
        return [
            {"epoch": i + 1} | {name: values[i] for name, values in lists.items()} | {"best": i + 1 == self.best_epoch}
            for i in range(len(self))
        ]

    def to_dict(self) -> dict[str, Any]:
        """All attributes, ready for JSON; `History(**history.to_dict())` is equal to `history`."""
        return asdict(self)

    @classmethod
    def join(cls, stages: Sequence[tuple[str, "History"]]) -> Self:
        """One history out of several stages in order, each epoch marked with its stage's name.

        `best_epoch` is the last stage's, as later stages start from the best weights of the one before.
        """
        joined = cls()
        for name, part in stages:
            joined.best_epoch = len(joined) + part.best_epoch if part.best_epoch else joined.best_epoch
            for column in ("train_loss", "val_loss", "val_accuracy", "lr", "seconds"):
                getattr(joined, column).extend(getattr(part, column))
            joined.stage += [name] * len(part)
            joined.stopped_early = joined.stopped_early or part.stopped_early
        return joined

    def _rank(self, epoch: int) -> tuple[float, float]:
        return self.val_accuracy[epoch - 1], -self.val_loss[epoch - 1]
