"""Training a classifier: one lean loop with validation, early stopping and the best weights kept."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.fit_options import (
    Augmentation,
    MixedPrecision,
    batch_sizes,
    check_batches,
    check_dataset,
    check_options,
    check_text_options,
)
from tl_course.history import History
from tl_course.holdout import VAL_FRACTION, train_and_val
from tl_course.i18n import _
from tl_course.metrics import Report, report
from tl_course.pytorch import optim
from tl_course.pytorch.batches import Examples
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.freezing import has_free_statistics
from tl_course.pytorch.heads import head
from tl_course.pytorch.loop import Loop, Objective, Penalty, TrainingExamples, is_frozen
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.pytorch.text_examples import TextExamples


def fit(
    classifier: Classifier | TextClassifier,
    dataset: Dataset,
    *,
    num_epochs: int,
    lr: float = 1e-3,
    backbone_lr: float | None = None,
    layer_decay: float = 1.0,
    weight_decay: float = 0.05,
    batch_size: int = 32,
    warmup: float = 0.1,
    augment: Augmentation = "none",
    label_smoothing: float = 0.0,
    mixup: float = 0.0,
    l2_sp: float = 0.0,
    patience: int | None = None,
    restore_best: bool = True,
    mixed_precision: MixedPrecision = "auto",
    seed: int = 0,
    val_fraction: float = VAL_FRACTION,
    progress: bool = True,
) -> History:
    """Train what is trainable with AdamW (Loshchilov & Hutter, 2019), cross-entropy and `warmup_cosine`.

    Only `dataset.train` and `dataset.val` are read, so the test split can influence nothing. What `freezing.freeze`
    froze stays as it is. A backbone that is frozen throughout runs in evaluation mode, dropout included, and where
    nothing is augmented its features are computed once. On a processor, the same seed gives the same numbers.

    Args:
        classifier: trained in place, left in evaluation mode.
        dataset: images float32 (N, H, W, C) in [0, 1], or texts (N,); classes named as the classifier's.
        num_epochs: rounds over the training examples; 0 changes nothing.
        lr: peak rate of the head. For a text backbone 2e-5 to 5e-5 is usual (Devlin et al., 2019): `backbone_lr`.
        backbone_lr, layer_decay, weight_decay: see `optim.param_groups`.
        batch_size: examples a step. One left over joins the batch before it, as BatchNorm needs two. Texts of like
            length come together and are padded to the longest of their batch; see `text_batches.length_buckets`.
        warmup: see `schedules.warmup_cosine`.
        augment: images only: "none", "photo" or "digit"; see `augment.augmentation`.
        label_smoothing: share of the target that is spread over all classes (Szegedy et al., 2016).
        mixup: images only: alpha of `augment.mixup`; 0 for none.
        l2_sp: alpha of `optim.l2_sp`, towards the weights as they are now; above 0 it takes weight_decay's place.
        patience: stop after so many epochs without a better one (see `History`); None trains to the end.
        restore_best: give the model the weights of the best epoch at the end.
        mixed_precision: run in bfloat16 where that is safe: "auto" where the accelerator has it, True demands it.
        seed: of order, augmentation, mixup, dropout and the held-out images; the global random state is kept.
        val_fraction: share of train held out where the data set has no val.
        progress: show a progress bar.

    Raises:
        BadInput: the data do not fit the classifier, or an option is out of range.
        CourseError: the loss is not a number any more. With restore_best the model has its best weights so far.
    """
    check_options(num_epochs, batch_size, label_smoothing, mixup, l2_sp, patience)
    train, val = train_and_val(dataset, val_fraction, seed)
    check_dataset(classifier.class_names, dataset, train, val)
    if isinstance(classifier, TextClassifier):
        check_text_options(classifier.class_names, train, augment, mixup)
    return train_loop(
        classifier,
        lambda: _examples(classifier, train, val, augment, mixup),
        partial(nn.functional.cross_entropy, label_smoothing=label_smoothing),
        num_epochs=num_epochs,
        lr=lr,
        backbone_lr=backbone_lr,
        layer_decay=layer_decay,
        weight_decay=weight_decay,
        batch_size=batch_size,
        warmup=warmup,
        mixup=mixup,
        l2_sp=l2_sp,
        patience=patience,
        restore_best=restore_best,
        mixed_precision=mixed_precision,
        seed=seed,
        progress=progress,
    )


def train_loop(
    classifier: Classifier | TextClassifier,
    prepare: Callable[[], tuple[nn.Module, TrainingExamples, Examples | TextExamples]],
    objective: Objective,
    *,
    num_epochs: int,
    lr: float,
    backbone_lr: float | None,
    layer_decay: float,
    weight_decay: float,
    batch_size: int,
    warmup: float,
    l2_sp: float,
    patience: int | None,
    restore_best: bool,
    mixed_precision: MixedPrecision,
    seed: int,
    progress: bool,
    mixup: float = 0.0,
) -> History:
    """What `fit` and `distill.distill` share: optimiser, schedule, seeds, the loop, and the best weights in the end.

    Args:
        classifier: trained in place, left in evaluation mode.
        prepare: gives the module to train (the classifier's, or its head), what to train and what to validate it on;
            not called where num_epochs is 0.
        objective: the loss of a batch.
        num_epochs, lr, …: see `fit`.
    """
    precision = _precision(classifier.device, mixed_precision)
    if num_epochs == 0:
        return History()
    penalty = Penalty(classifier.model, l2_sp)
    decay = 0.0 if l2_sp > 0 else weight_decay
    rates = {"backbone_lr": backbone_lr, "layer_decay": layer_decay, "weight_decay": decay}
    groups = optim.param_groups(classifier.model, lr, **rates)
    with torch.random.fork_rng(devices=_accelerators(classifier.device)):
        torch.manual_seed(seed)
        model, train, val = prepare()
        sizes = batch_sizes(len(train), batch_size)
        check_batches(sizes, has_free_statistics(model))
        loop = Loop(
            model=model,
            optimizer=torch.optim.AdamW(groups, fused=classifier.device.type in ("cpu", "cuda")),
            train=train,
            val=val,
            rng=np.random.default_rng(seed),
            batch_size=batch_size,
            num_steps=num_epochs * len(sizes),
            warmup=warmup,
            num_classes=len(classifier.class_names),
            objective=objective,
            mixup=mixup,
            penalty=penalty,
            precision=precision,
        )
        try:
            return loop.run(classifier.model, num_epochs, patience, restore_best, progress)
        finally:
            classifier.model.eval()


def evaluate(classifier: Classifier | TextClassifier, split: Split, seed: int = 0) -> Report:
    """Measure a classifier on a split: accuracy with its interval, confusion, precision, recall, calibration.

    Args:
        classifier: left as it was.
        split: images float32 (N, H, W, C) in [0, 1], or texts (N,), and class numbers; the test split, once, at the
            very end.
        seed: see `metrics.report`.
    """
    return report(split.y, classifier.predict_proba(split.x), classifier.class_names, seed)


def _examples(
    classifier: Classifier | TextClassifier, train: Split, val: Split, augment: Augmentation, mixup: float
) -> tuple[nn.Module, Examples | TextExamples, Examples | TextExamples]:
    """What the loop trains, and on what: a frozen backbone's features and the head, or the examples and the model."""
    if isinstance(classifier, TextClassifier):
        parts = classifier.examples(train.x, train.y), classifier.examples(val.x, val.y)
    else:
        parts = Examples.of(classifier, train, augment), Examples.of(classifier, val)
    if augment == "none" and mixup == 0:
        model, (known, unseen) = on_kept_features(classifier.model, parts)
        return model, known, unseen
    return classifier.model, parts[0], parts[1]


def on_kept_features(
    model: nn.Module, parts: Sequence[Examples | TextExamples]
) -> tuple[nn.Module, Sequence[Examples | TextExamples]]:
    """The head and a frozen backbone's features of these examples; or, where that is not the same, what was given."""
    if is_frozen(model) and isinstance(head(model), nn.Linear):
        features = [part.features(model) for part in parts]
        known = [part for part in features if part is not None]
        if len(known) == len(parts):
            return head(model), known
    return model, parts


def _precision(device: torch.device, wanted: MixedPrecision) -> torch.dtype | None:
    """bfloat16 where it is wanted and the accelerator computes in it; it needs no loss scaling."""
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted is True and not able:
        raise BadInput(
            _("an accelerator with bfloat16 for mixed_precision=True"), str(device), _("use 'auto', which finds out")
        )
    return torch.bfloat16 if wanted and able else None


def _accelerators(device: torch.device) -> list[int]:
    """The devices whose random state is to be kept, beside the processor's."""
    return [torch.cuda.current_device()] if device.type == "cuda" else []
