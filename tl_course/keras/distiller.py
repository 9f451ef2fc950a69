"""Distillation by Keras's own `compile` and `fit`: a model whose train step learns from a teacher's answers."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_course.errors import BadInput
from tl_course.fit_options import are_probabilities, check_kd_options
from tl_course.i18n import _
from tl_course.keras.distill_losses import kd_loss


class Distiller(keras.Model):
    """A student that trains on (inputs, (labels, teacher's logits)).

        logits = teacher.predict(x)                                # once, in inference mode; before its softmax
        distiller = Distiller(student, temperature=4.0)
        distiller.compile(optimizer="adam", metrics=["accuracy"])  # no loss: it is `distill_losses.kd_loss`
        distiller.fit(x, (y, logits), validation_data=(x_val, y_val), epochs=10)
        student.save("student.keras")

    The teacher is not inside: its answers come with the batches. So it cannot be in training mode, can get no gradient
    and is asked once, not in every epoch. Where images are augmented, the answers must be those to the changed pixels;
    `distill.distill` sees to that. Training shows the loss of both terms, validation the plain cross-entropy with the
    labels, which other models have too.

    Args:
        student: inputs -> logits (N, K), built, no softmax at its end. Trained in place.
        temperature, alpha: see `distill_losses.kd_loss`.

    Raises:
        BadInput: a student that is not built or ends in a softmax, or an option out of range; in `fit`, targets that
            are not labels and logits of the student's classes.
    """

    def __init__(self, student: keras.Model, *, temperature: float = 4.0, alpha: float = 0.5) -> None:
        super().__init__(name="distiller")
        check_kd_options(temperature, alpha)
        _check_student(student)
        self.student, self.temperature, self.alpha = student, temperature, alpha
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The student's logits (N, K)."""
        return self.student(inputs, training=training)

    def fit(self, x: Any = None, y: Any = None, **options: Any) -> keras.callbacks.History:
        """`keras.Model.fit`, after a look at the targets.

        Args:
            x: inputs, or a `tf.data.Dataset` of (inputs, (labels, teacher's logits)).
            y: labels, integers (N,), and the teacher's logits (N, K).
            options: of `keras.Model.fit`, but for weights of examples or classes.
        """
        if options.get("sample_weight") is not None or options.get("class_weight") is not None:
            raise BadInput(_("examples that count alike"), _("weights for them"), _("leave the weights out"))
        inputs, targets = next(iter(x)) if isinstance(x, tf.data.Dataset) else (x, y)
        _check_targets(targets, self.student.output_shape[-1], len(keras.tree.flatten(inputs)[0]))
        return super().fit(x, y, **options)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update from (inputs, (labels (n,), teacher's logits (n, K))); the means of loss and metrics so far."""
        inputs, (labels, teacher_logits), _weights = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.student.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.student(inputs, training=True)  # (n, K)
            loss = kd_loss(logits, teacher_logits, labels, temperature=self.temperature, alpha=self.alpha)
            loss += sum(self.student.losses)  # its own regularisers
            scaled = self.optimizer.scale_loss(loss)  # as mixed precision wants it
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return self._noted(inputs, labels, logits, loss)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Cross-entropy and metrics of (inputs, labels), or of what `train_step` takes; nothing changes."""
        inputs, targets, _weights = keras.utils.unpack_x_y_sample_weight(data)
        labels = targets[0] if isinstance(targets, tuple | list) else targets
        logits = self.student(inputs, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return self._noted(inputs, labels, logits, tf.reduce_mean(losses))

    def _noted(self, inputs: Any, labels: Any, logits: Any, loss: Any) -> dict[str, Any]:
        for metric in self.metrics:
            if metric.name == "loss":  # Keras's own, of every compiled model
                metric.update_state(loss, sample_weight=tf.shape(logits)[0])
        return self.compute_metrics(inputs, labels, logits)


def _check_student(student: keras.Model) -> None:
    if not isinstance(student, keras.Model) or not student.built:
        raise BadInput(
            _("a keras.Model that is built, as student"), type(student).__name__, _("give it a keras.Input first")
        )
    last = student.layers[-1]
    if isinstance(last, keras.layers.Softmax) or getattr(last, "activation", None) is keras.activations.softmax:
        raise BadInput(
            _("a student that gives logits"),
            _("{name}, which ends in a softmax").format(name=student.name),
            _("leave the last activation out; softmax its predictions afterwards"),
        )


def _check_targets(targets: Any, num_classes: int, count: int) -> None:
    if not isinstance(targets, tuple | list) or len(targets) != 2:
        raise BadInput(
            _("targets (labels, teacher's logits)"),
            type(targets).__name__,
            _("ask the teacher once: distiller.fit(x, (y, teacher.predict(x)))"),
        )
    labels, logits = (np.asarray(part) for part in targets)
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or logits.shape != (count, num_classes):
        raise BadInput(
            _("labels: integers ({count},), and teacher's logits ({count}, {classes})").format(
                count=count, classes=num_classes
            ),
            _("{labels} of {type}, and {logits}").format(labels=labels.shape, type=labels.dtype, logits=logits.shape),
            _("student, teacher and labels must count the same examples and classes; labels come first"),
        )
    if are_probabilities(logits):
        raise BadInput(
            _("the teacher's logits, before softmax"),
            _("rows of probabilities, each of sum 1"),
            _("cut the teacher before its softmax, or pass np.log(probabilities), which are logits too"),
        )
