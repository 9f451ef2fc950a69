"""Learning from unlabelled data in Keras: pseudo-labels, and FixMatch's consistency between two views of an image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tl_course.errors import BadInput
from tl_course.schedules import warmup_cosine
from tl_course.views import View, strong_view, weak_view


def pseudo_labels(probabilities: tf.Tensor, threshold: float = 0.95) -> tuple[tf.Tensor, tf.Tensor]:
    """The predicted class of every example, and whether the model is sure enough for it to be used (Lee, 2013).

    Args:
        probabilities: (N, K), rows sum to 1.
        threshold: an example counts when its largest probability is at least this.

    Returns:
        labels int64 (N,) and kept bool (N,); neither carries a gradient.

    Raises:
        BadInput: rows that are not probabilities, such as logits.
    """
    probabilities = ops.stop_gradient(ops.convert_to_tensor(probabilities))
    values = ops.convert_to_numpy(probabilities)
    if values.ndim != 2 or (values < 0).any() or np.abs(values.sum(1) - 1).max() > 1e-3:
        raise BadInput("probabilities (N, K)", "rows that do not sum to 1", "apply softmax to the logits first")
    return ops.cast(ops.argmax(probabilities, axis=1), "int64"), ops.max(probabilities, axis=1) >= threshold


def fixmatch_loss(
    labelled_logits: tf.Tensor,
    y: tf.Tensor,
    weak_logits: tf.Tensor,
    strong_logits: tf.Tensor,
    threshold: float = 0.95,
    weight: float = 1.0,
) -> tf.Tensor:
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
    labels, kept = pseudo_labels(ops.softmax(weak_logits, axis=1), threshold)
    each = keras.losses.sparse_categorical_crossentropy(labels, strong_logits, from_logits=True)  # (U,)
    supervised = keras.losses.sparse_categorical_crossentropy(y, labelled_logits, from_logits=True)
    return ops.mean(supervised) + weight * ops.mean(each * ops.cast(kept, each.dtype))


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
    model: keras.Model,
    prepare: Callable[[np.ndarray], tf.Tensor],
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
    optimizer = keras.optimizers.AdamW(learning_rate=lr, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_list=[w for w in model.trainable_weights if len(w.shape) <= 1])
    history = FixMatchHistory()
    labelled, others = _endless(len(y), batch_size, rng), _endless(len(unlabelled), batch_size * ratio, rng)
    for step in range(num_steps):
        optimizer.learning_rate = warmup_cosine(step, num_steps, lr)
        chosen, drawn = next(labelled), next(others)
        batch = [labelled_view(x[chosen], rng, flip)]
        if weight > 0:
            batch += [weak_view(unlabelled[drawn], rng, flip), strong_view(unlabelled[drawn], rng, flip)]
        inputs = prepare(np.concatenate(batch))
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            if weight > 0:
                on_labels, weak, strong = tf.split(logits, [len(chosen), len(drawn), len(drawn)])
                loss = fixmatch_loss(on_labels, tf.constant(y[chosen]), weak, strong, threshold, weight)
                _note(history, weak, threshold, None if unlabelled_y is None else unlabelled_y[drawn])
            else:
                each = keras.losses.sparse_categorical_crossentropy(y[chosen], logits, from_logits=True)
                loss = ops.mean(each)
        optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
        history.loss.append(float(loss))
    return history


def _note(history: FixMatchHistory, weak_logits: tf.Tensor, threshold: float, truth: np.ndarray | None) -> None:
    chosen = pseudo_labels(ops.softmax(weak_logits, axis=1), threshold)
    labels, kept = (ops.convert_to_numpy(part) for part in chosen)
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
