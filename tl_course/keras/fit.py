"""Training a classifier: one lean loop with validation, early stopping and the best weights kept."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

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
from tl_course.keras import optim
from tl_course.keras.classifier import Classifier
from tl_course.keras.freezing import has_free_statistics
from tl_course.keras.heads import head
from tl_course.keras.loop import Examples, Loop, Objective, compute_in_bfloat16, is_frozen
from tl_course.keras.text_classifier import TextClassifier
from tl_course.metrics import Report, report


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
    froze stays as it is. The train step is traced anew each time, so what was frozen or unfrozen since the last call
    counts: Keras's own `fit` would go on as it was compiled. A backbone that is frozen throughout runs in inference
    mode, dropout included, and where nothing is augmented its features are computed once. On a processor, the same seed
    gives the same numbers.

    Args:
        classifier: trained in place.
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
        mixed_precision: images only: run in bfloat16 where that is safe: "auto" where the accelerator has it, True
            demands it.
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

    def objective(logits: Any, target: Any) -> Any:
        losses = keras.losses.categorical_crossentropy(
            target, logits, from_logits=True, label_smoothing=label_smoothing
        )
        return tf.reduce_mean(losses)

    return train_loop(
        classifier,
        lambda: (*_examples(classifier, train, val, augment, seed), tf.one_hot(train.y, len(classifier.class_names))),
        objective,
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
        same_every_epoch=augment == "none" and mixup == 0,
    )


def train_loop(
    classifier: Classifier | TextClassifier,
    prepare: Callable[[], tuple[Examples, Examples, Any]],
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
    same_every_epoch: bool = True,
) -> History:
    """What `fit` and `distill.distill` share: optimiser, schedule, seeds and the loop.

    Args:
        classifier: trained in place.
        prepare: gives what to train and what to validate on, and the targets of the first; not called where num_epochs
            is 0.
        objective: the loss of a batch.
        num_epochs, lr, …: see `fit`.
        same_every_epoch: the inputs come back as they are, so a frozen backbone's features are computed once.
    """
    in_bfloat16 = _use_bfloat16(mixed_precision, isinstance(classifier, TextClassifier))
    if num_epochs == 0:
        return History()
    model = classifier.model
    rates = {"backbone_lr": backbone_lr, "layer_decay": layer_decay, "weight_decay": 0.0 if l2_sp > 0 else weight_decay}
    optimizer = optim.GroupedAdamW(optim.param_groups(model, lr, **rates))
    optimizer.build(model.trainable_variables)
    train, val, targets = prepare()
    check_batches(batch_sizes(len(train), batch_size), has_free_statistics(model))
    seed_dropout(model, seed)
    start = optim.snapshot(model) if l2_sp > 0 else {}
    loop = Loop(
        model=model,
        optimizer=optimizer,
        **_parts(classifier, train, val, same_every_epoch),
        targets=targets,
        objective=objective,
        num_epochs=num_epochs,
        batch_size=batch_size,
        lr=lr,
        warmup=warmup,
        mixup=mixup,
        penalty=(lambda: optim.l2_sp(model, start, l2_sp)) if l2_sp > 0 else None,
        seed=seed,
    )
    with compute_in_bfloat16(model, in_bfloat16):
        return loop.run(patience, restore_best, progress)


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
    classifier: Classifier | TextClassifier, train: Split, val: Split, augment: Augmentation, seed: int
) -> tuple[Examples, Examples]:
    if isinstance(classifier, TextClassifier):
        return Examples.of_texts(classifier, train), Examples.of_texts(classifier, val)
    return Examples.of(classifier, train, augment, seed), Examples.of(classifier, val)


def _parts(
    classifier: Classifier | TextClassifier, known: Examples, unseen: Examples, same_every_epoch: bool
) -> dict[str, Any]:
    """What the loop runs, and on what: a frozen backbone's features and the head, or the examples and the model."""
    model = classifier.model
    frozen = is_frozen(model)
    if frozen and same_every_epoch:
        known, unseen = known.features(classifier), unseen.features(classifier)
        last = head(model)
        return {"forward": last, "infer": last, "train": known, "val": unseen}
    return {
        "forward": lambda x: model(x, training=not frozen),
        "infer": classifier.graph(),
        "train": known,
        "val": unseen,
    }


def seed_dropout(model: keras.Model, seed: int) -> None:
    """Start the random layers' own generators anew, those inside blocks included."""
    states = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for number, state in enumerate(states):
        state.assign([seed, number])


def _use_bfloat16(wanted: MixedPrecision, texts: bool) -> bool:
    """Whether to compute in bfloat16, which needs no loss scaling: where it is wanted and the accelerator has it."""
    if texts and wanted is True:
        raise BadInput(_("mixed_precision='auto' or False for texts in Keras"), "True", _("leave it out"))
    if texts:
        return False
    gpus = tf.config.list_physical_devices("GPU")
    capability = [tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]
    able = bool(gpus) and min(capability) >= (8, 0)
    if wanted is True and not able:
        raise BadInput(
            _("an accelerator with bfloat16 for mixed_precision=True"),
            _("{count} GPUs that have it").format(count=sum(found >= (8, 0) for found in capability)),
            _("use 'auto', which finds out"),
        )
    return bool(wanted) and able
