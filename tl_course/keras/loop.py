"""The training loop behind `fit`: what it trains on, and a train step that is traced anew for every run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf
from keras import ops

from tl_course.data.dataset import Split
from tl_course.errors import CourseError
from tl_course.fit_options import Augmentation, Show, batch_sizes, progress_bar
from tl_course.history import History
from tl_course.i18n import _
from tl_course.keras import optim
from tl_course.keras.augment import augmentation, draw_mixup, mix
from tl_course.keras.classifier import Classifier
from tl_course.keras.freezing import has_free_statistics
from tl_course.keras.heads import backbone_layers
from tl_course.keras.text_classifier import TextClassifier
from tl_course.schedules import warmup_cosine
from tl_course.text_batches import AT_ONCE, length_buckets, pad

_AT_ONCE = 64  # images run at once where nothing is trained
_SHARE_OF_MEMORY = 0.25  # of what is free; prepared images may take so much


Objective = Callable[[Any, Any], Any]
"""Logits float32 (n, K) and the targets float32 of the same examples (n, ...) -> their mean loss, a scalar."""


@dataclass(frozen=True, repr=False)
class Examples:
    """Inputs and labels of one split as tensors.

    Attributes:
        inputs: images (N, H, W, C), prepared once where nothing is augmented and memory suffices; features (N, D); or
            token ids (N, L), -1 where a text has ended.
        y: int64 (N,).
        recipe: a batch of inputs -> what the model takes; it becomes a part of the traced step.
        lengths: of texts, in tokens: like lengths then come together.
        num_views: V; then `inputs` has V N rows, N for each view, and epoch e takes those of view e mod V.
    """

    inputs: Any
    y: np.ndarray
    recipe: Callable[[Any], Any]
    lengths: np.ndarray | None = None
    num_views: int = 1

    @classmethod
    def of(cls, classifier: Classifier, split: Split, augment: Augmentation = "none", seed: int = 0) -> "Examples":
        """A split of images float32 (N, H, W, C) in [0, 1].

        Raises:
            BadInput: images that the classifier does not take.
        """
        backbone = classifier.backbone
        images = backbone.check(split.x)
        height, width = backbone.new_size(images) or images.shape[1:3]
        num_bytes = 4 * len(images) * height * width * images.shape[3]
        if augment == "none" and num_bytes <= _SHARE_OF_MEMORY * psutil.virtual_memory().available:
            parts = [backbone.prepare(images[i : i + _AT_ONCE]) for i in range(0, len(images), _AT_ONCE)]
            return cls(tf.concat(parts, axis=0), split.y, lambda x: x)
        change = augmentation(augment, seed=seed)
        return cls(tf.convert_to_tensor(images), split.y, lambda x: backbone.prepare(change(x, training=True)))

    @classmethod
    def of_texts(cls, classifier: TextClassifier, split: Split) -> "Examples":
        """A split of texts (N,), tokenised once; each batch is padded to its longest text, inside the one graph.

        Raises:
            BadInput: something else than texts.
        """
        ids = classifier.backbone.token_ids(split.x)
        padded, mask = pad(ids, 0)
        pad_id = classifier.tokenizer.pad_token_id
        inputs = tf.convert_to_tensor(np.where(mask == 1, padded, -1))
        return cls(inputs, split.y, lambda rows: _token_batch(rows, pad_id), mask.sum(axis=1))

    def __len__(self) -> int:
        return len(self.y)

    def batches(self, batch_size: int, rng: np.random.Generator, epoch: int = 0) -> list[np.ndarray]:
        """Where the examples of each of an epoch's batches stand, in an order that `rng` draws."""
        if self.lengths is not None:
            return length_buckets(self.lengths, batch_size, rng)
        rows = rng.permutation(len(self)) + epoch % self.num_views * len(self)
        return np.split(rows, np.cumsum(batch_sizes(len(self), batch_size))[:-1])

    def apply(self, forward: Callable[[Any], Any]) -> np.ndarray:
        """`forward` of every input, a few at a time: (N, ...)."""
        if self.lengths is not None:
            batches = length_buckets(self.lengths, AT_ONCE)
            rows = [np.asarray(forward(self.recipe(tf.gather(self.inputs, batch)))) for batch in batches]
            return np.concatenate(rows)[np.argsort(np.concatenate(batches))]
        starts = range(0, len(self.inputs), _AT_ONCE)
        return np.concatenate([np.asarray(forward(self.recipe(self.inputs[i : i + _AT_ONCE]))) for i in starts])

    def features(self, classifier: Classifier | TextClassifier) -> "Examples":
        """What reaches the model's head, in inference mode, as inputs for the head alone."""
        texts = isinstance(classifier, TextClassifier)
        forward = classifier.feature_graph() if texts else classifier.backbone.prepared_features
        return Examples(tf.convert_to_tensor(self.apply(forward)), self.y, lambda x: x, num_views=self.num_views)


def _token_batch(rows: Any, pad_id: int) -> dict[str, Any]:
    """Token ids (n, L), -1 where a text has ended -> input_ids and attention_mask, cut to the longest text."""
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(rows >= 0, tf.int64), axis=1))
    rows = rows[:, :longest]
    return {
        "input_ids": tf.where(rows >= 0, rows, tf.constant(pad_id, rows.dtype)),
        "attention_mask": tf.cast(rows >= 0, tf.int64),
    }


@dataclass(repr=False)
class Loop:
    """One run.

    Attributes:
        model: what is kept: the classifier's whole model.
        forward: model inputs -> logits, as in training; the whole model, or its head on kept features.
        infer: model inputs -> logits in inference mode.
        optimizer: built on the trainable variables of `model`.
        targets: float32, one for each row of `train.inputs`.
        objective: the loss of a batch.
        lr: the head's peak rate, for the history.
        penalty: added to the loss, or None.
    """

    model: keras.Model
    forward: Callable[[Any], Any]
    infer: Callable[[Any], Any]
    optimizer: optim.GroupedAdamW
    train: Examples
    val: Examples
    targets: Any
    objective: Objective
    num_epochs: int
    batch_size: int
    lr: float
    warmup: float
    mixup: float
    penalty: Callable[[], Any] | None
    seed: int
    step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.num_steps = self.num_epochs * len(batch_sizes(len(self.train), self.batch_size))
        indices, number = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.float32)
        self.train_step = tf.function(self._train_step, autograph=False).get_concrete_function(indices, number, indices)

    def run(self, patience: int | None, restore_best: bool, progress: bool) -> History:
        """Every epoch until the last, or until patience runs out."""
        history = History()
        best = self.model.get_weights() if restore_best else []
        text = _("epoch 1 of {num_epochs}").format(num_epochs=self.num_epochs)
        try:
            with progress_bar(progress, self.num_steps) as show:
                for epoch in range(self.num_epochs):
                    start = time.perf_counter()
                    train_loss = self._epoch(epoch, show, text)
                    val_loss, val_accuracy = self._validate()
                    rate = warmup_cosine(self.step - 1, self.num_steps, self.lr, self.warmup)
                    if history.add(train_loss, val_loss, val_accuracy, rate, time.perf_counter() - start):
                        best = self.model.get_weights() if restore_best else []
                    text = _(
                        "epoch {epoch} of {num_epochs}: loss {loss:.3f}, validation accuracy {accuracy:.3f}"
                    ).format(epoch=epoch + 1, num_epochs=self.num_epochs, loss=train_loss, accuracy=val_accuracy)
                    if patience is not None and history.epochs_since_best >= patience:
                        history.stopped_early = epoch + 1 < self.num_epochs
                        break
        finally:
            if restore_best:
                self.model.set_weights(best)
        return history

    def _epoch(self, epoch: int, show: Show, text: str) -> float:
        """Every training example once, in a new order; the mean loss over them. The loss is read once, at the end."""
        total = tf.zeros(())
        for chosen in self.train.batches(self.batch_size, self.rng, epoch):
            count = len(chosen)
            keep, partners = draw_mixup(count, self.mixup, self.rng) if self.mixup > 0 else (1.0, np.arange(count))
            self.optimizer.learning_rate = warmup_cosine(self.step, self.num_steps, 1.0, self.warmup)
            loss = self.train_step(tf.constant(chosen), tf.constant(keep, tf.float32), tf.constant(partners))
            total += loss * count
            self.step += 1
            show(self.step, text)
        mean = float(total) / len(self.train)
        if not np.isfinite(mean):
            raise CourseError(
                _(
                    "the training loss is {loss} in epoch {epoch}: training has broken down; lower lr "
                    "(and backbone_lr), or lengthen the warm-up"
                ).format(loss=mean, epoch=epoch + 1)
            )
        return mean

    def _train_step(self, chosen: Any, keep: Any, partners: Any) -> Any:
        """One update from the examples at `chosen` (n,), mixed with those at `chosen[partners]`; returns the loss."""
        x = self.train.recipe(tf.gather(self.train.inputs, chosen))
        target = tf.gather(self.targets, chosen)  # (n, ...)
        if self.mixup > 0:
            x, target = mix(x, keep, partners), mix(target, keep, partners)
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = ops.cast(self.forward(x), "float32")  # (n, K)
            loss = self.objective(logits, target)
            if self.penalty is not None:
                loss += self.penalty()
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _validate(self) -> tuple[float, float]:
        """Mean cross-entropy and accuracy on the validation examples."""
        logits = self.val.apply(self.infer)
        losses = keras.losses.sparse_categorical_crossentropy(self.val.y, logits, from_logits=True)
        return float(ops.mean(losses)), float(np.mean(logits.argmax(axis=1) == self.val.y))


def is_frozen(model: keras.Model) -> bool:
    """Whether nothing of the backbone can move: neither a parameter nor a BatchNorm statistic."""
    layers = backbone_layers(model)
    return not (any(layer.trainable_weights for layer in layers) or has_free_statistics(layers))


@contextmanager
def compute_in_bfloat16(model: keras.Model, wanted: bool) -> Iterator[None]:
    """The backbone computes in bfloat16 inside, on weights that stay float32."""
    layers = backbone_layers(model) if wanted else []
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = "mixed_bfloat16"
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
