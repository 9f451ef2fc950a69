"""What `fit` accepts and refuses, and the bar it shows; the same in both frameworks."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypedDict

import numpy as np

from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.i18n import _

MixedPrecision = bool | Literal["auto"]
Augmentation = Literal["none", "photo", "digit"]

Show = Callable[[int, str], None]
"""Takes the number of steps done and a line that says where training stands."""


class FitOptions(TypedDict, total=False):
    """The options of `fit` that the strategies of `finetune` pass on; `fit` says what they mean."""

    backbone_lr: float | None
    layer_decay: float
    weight_decay: float
    batch_size: int
    warmup: float
    augment: Augmentation
    label_smoothing: float
    mixup: float
    l2_sp: float
    patience: int | None
    restore_best: bool
    mixed_precision: MixedPrecision
    seed: int
    val_fraction: float
    progress: bool


def check_options(
    num_epochs: int, batch_size: int, label_smoothing: float, mixup: float, l2_sp: float, patience: int | None
) -> None:
    """Raise BadInput for an option out of its range."""
    least = {"num_epochs": (num_epochs, 0), "batch_size": (batch_size, 1), "mixup": (mixup, 0), "l2_sp": (l2_sp, 0)}
    least |= {} if patience is None else {"patience": (patience, 1)}
    for name, (value, lowest) in least.items():
        if value < lowest:
            raise BadInput(_("{name} of at least {lowest}").format(name=name, lowest=lowest), str(value), _("raise it"))
    if not 0 <= label_smoothing < 1:
        raise BadInput(_("label_smoothing from 0 to below 1"), str(label_smoothing), _("0.1 is usual"))


def check_rates(lr: float, backbone_lr: float | None, layer_decay: float, weight_decay: float) -> None:
    """Raise BadInput for a rate, factor or decay out of its range."""
    rates = {"lr": lr, "weight_decay": weight_decay} | ({} if backbone_lr is None else {"backbone_lr": backbone_lr})
    for name, value in rates.items():
        if value < 0:
            raise BadInput(_("{name} of at least 0").format(name=name), str(value), _("1e-3 is a usual rate"))
    if not 0 < layer_decay <= 1:
        raise BadInput(_("layer_decay above 0 and at most 1"), str(layer_decay), _("0.8 is a usual factor"))


def check_dataset(class_names: Sequence[str], dataset: Dataset, train: Split, val: Split) -> None:
    """Raise BadInput unless the classes agree by name and in order, and every label has a name.

    A classifier whose classes are in another order would be right by its own count only.
    """
    if tuple(dataset.class_names) != tuple(class_names):
        raise BadInput(
            _("a data set with the classifier's classes, {names}").format(names=_some(class_names)),
            _some(dataset.class_names),
            _("build the classifier with dataset.class_names"),
        )
    low, high = min(train.y.min(), val.y.min()), max(train.y.max(), val.y.max())
    if not 0 <= low <= high < len(class_names):
        raise BadInput(
            _("labels from 0 to {last}").format(last=len(class_names) - 1),
            _("{low} to {high}").format(low=low, high=high),
            _("give every class a name, and number them as the names are"),
        )


def check_text_options(class_names: Sequence[str], train: Split, augment: Augmentation, mixup: float) -> None:
    """Raise BadInput for options that only images have, and for texts that are all of one class."""
    if augment != "none" or mixup > 0:
        raise BadInput(
            _("augment='none' and mixup=0 for texts"),
            _("augment={augment!r} and mixup={mixup}").format(augment=augment, mixup=mixup),
            _("leave them out: they change pixels"),
        )
    present = np.unique(train.y)
    if len(present) < 2:
        raise BadInput(
            _("texts of at least two classes to train on"),
            _("{count} texts, all {name!r}").format(count=len(train), name=class_names[int(present[0])]),
            _("add texts of another class"),
        )


def check_kd_options(temperature: float, alpha: float) -> None:
    """Raise BadInput for a temperature or a share of the teacher that is out of its range."""
    if not 0 < temperature < float("inf"):
        raise BadInput(_("a finite temperature above 0"), str(temperature), _("4 is a good start; 1 softens nothing"))
    if not 0 <= alpha <= 1:
        raise BadInput(_("alpha from 0 to 1"), str(alpha), _("0.5 weighs teacher and labels alike"))


def are_probabilities(rows: np.ndarray) -> bool:
    """Whether all rows (N, K) are probabilities: none below 0, each of sum 1. Logits are so by a rare accident only."""
    return bool(rows.min(initial=0) >= 0 and np.abs(rows.sum(axis=1) - 1).max(initial=0) < 1e-3)


def check_batches(sizes: Sequence[int], free_statistics: bool) -> None:
    """Raise BadInput for a batch of one where BatchNorm would normalise with it."""
    if 1 in sizes and free_statistics:
        raise BadInput(
            _("batches of at least two images, as BatchNorm compares them"),
            _("a batch of one"),
            _("raise batch_size, or freeze the statistics: freezing.freeze(model) and unfreeze(model)"),
        )


def batch_sizes(num_examples: int, batch_size: int) -> list[int]:
    """Sizes of an epoch's batches; a single example left over joins the batch before it."""
    full, rest = divmod(num_examples, batch_size)
    if rest == 1 and full:
        return [batch_size] * (full - 1) + [batch_size + 1]
    return [batch_size] * full + ([rest] if rest else [])


@contextmanager
def progress_bar(wanted: bool, num_steps: int) -> Iterator[Show]:
    """A bar that is drawn a few times a second at most; what is shown more often costs nothing."""
    if not wanted:
        yield lambda _step, _text: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, refresh_per_second=4) as bar:
        task = bar.add_task("", total=num_steps)
        last = 0.0

        def show(step: int, text: str) -> None:
            nonlocal last
            if time.monotonic() - last > 0.2 or step == num_steps:
                last = time.monotonic()
                bar.update(task, completed=step, description=text)

        yield show


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "") + f" ({len(names)})"
