"""`Distiller` with Keras's own compile and fit, and each fault of a Keras distillation that is often written."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tl_course.errors import BadInput
from tl_course.keras.batchnorm import seeded
from tl_course.keras.distill_losses import kd_loss
from tl_course.keras.distiller import Distiller

RNG = np.random.default_rng(0)
N, K = 40, 3
X = RNG.normal(size=(N, 6)).astype(np.float32)
Y = np.argmax(X[:, :K] + 0.3 * RNG.normal(size=(N, K)), axis=1)
TEACHER = (4 * X[:, :K]).astype(np.float32)


def network(activation: str | None = None, penalty: float = 0.0) -> keras.Sequential:
    """With BatchNorm and dropout, which behave otherwise in training."""
    with seeded(0):
        made = [keras.Input((6,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.1, seed=1)]
        last = layers.Dense(K, activation=activation, kernel_regularizer=keras.regularizers.L2(penalty), name="head")
        return keras.Sequential([*made, last])


def compiled(student: keras.Model, **options: Any) -> Distiller:
    distiller = Distiller(student, **options)
    distiller.compile(optimizer=keras.optimizers.Adam(0.02), metrics=["accuracy"])
    return distiller


def test_plain_compile_and_fit_teach_a_student_with_metrics_and_validation() -> None:
    student = network()
    distiller = compiled(student, temperature=2.0)
    history = distiller.fit(X, (Y, TEACHER), validation_data=(X, Y), epochs=30, batch_size=16, verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["loss"][-1] < 0.4 * history["loss"][0] and history["val_accuracy"][-1] > 0.8
    logits = student.predict(X, verbose=0)
    np.testing.assert_array_equal(distiller.predict(X, verbose=0), logits)
    log = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
    assert history["val_loss"][-1] == pytest.approx(np.mean(log - logits[np.arange(N), Y]), rel=1e-4)
    assert distiller.evaluate(X, (Y, TEACHER), verbose=0) == pytest.approx(distiller.evaluate(X, Y, verbose=0))
    assert [w.path for w in distiller.trainable_variables] == [w.path for w in student.trainable_variables]


def test_one_step_is_the_gradient_of_kd_loss_with_the_student_in_training_mode() -> None:
    student, other = network(), network()
    other.set_weights(student.get_weights())
    for made in (student, other):
        made.layers[2].rate = 0.0
    distiller = Distiller(student, temperature=3.0, alpha=0.7)
    distiller.compile(optimizer=keras.optimizers.SGD(0.1))
    loss = distiller.train_on_batch(X, (Y, TEACHER))
    with tf.GradientTape() as tape:
        expected = kd_loss(other(X, training=True), TEACHER, Y, temperature=3.0, alpha=0.7)
    grads = tape.gradient(expected, other.trainable_variables)
    assert float(np.ravel(loss)[0]) == pytest.approx(float(expected), rel=1e-5)
    for variable, before, grad in zip(student.trainable_variables, other.trainable_variables, grads, strict=True):
        np.testing.assert_allclose(variable, before - 0.1 * grad, atol=1e-5)
    for new, same in zip(student.non_trainable_variables, other.non_trainable_variables, strict=True):
        if "moving" in new.path:
            np.testing.assert_allclose(new, same, atol=1e-6)


def test_what_the_teacher_says_changes_what_is_learnt() -> None:
    """A teacher that is never asked, or stands where the prediction belongs, would change nothing."""
    results = []
    for answers in (TEACHER, TEACHER[:, ::-1]):
        student = network()
        compiled(student, alpha=0.9).fit(X, (Y, answers), epochs=25, batch_size=16, shuffle=False, verbose=0)
        results.append(np.mean(student.predict(X, verbose=0).argmax(1) == Y))
    assert results[0] > 0.8 and results[1] < 0.6


def test_a_data_set_a_frozen_layer_and_regularisers_count() -> None:
    student = network(penalty=10.0)
    frozen = student.layers[0]
    frozen.trainable = False
    before = frozen.get_weights()
    distiller = compiled(student)
    batches = tf.data.Dataset.from_tensor_slices((X, (Y, TEACHER))).batch(16)  # the last batch is smaller
    first = distiller.fit(batches, epochs=1, shuffle=False, verbose=0).history["loss"][0]
    for old, new in zip(before, frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert first > 5, "the penalty on the head's kernel is left out"


FAULTS: dict[str, tuple[Any, Any]] = {
    "no teacher's logits at all": (Y, r"targets \(labels, teacher's logits\); got ndarray"),
    "a teacher of 1000 classes": (
        (Y, np.ones((N, 1000), np.float32)),
        r"\(40, 3\); got \(40,\) of int64, and \(40, 1000\)",
    ),
    "softmax outputs for logits": (
        (Y, np.asarray(tf.nn.softmax(TEACHER))),
        "before softmax; got rows of probabilities",
    ),
    "teacher and labels swapped": ((TEACHER, Y), r"got \(40, 3\) of float32, and \(40,\); .* labels come first"),
    "one-hot labels": ((np.eye(K)[Y], TEACHER), r"got \(40, 3\) of float64"),
    "answers to other examples": ((Y, TEACHER[:-1]), r"\(39, 3\); student, teacher and labels must count the same"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_before_training(fault: str) -> None:
    targets, message = FAULTS[fault]
    with pytest.raises(BadInput, match=message):
        compiled(network()).fit(X, targets, epochs=1, verbose=0)


def test_students_that_cannot_learn_are_refused() -> None:
    for student, message in (
        (network(activation="softmax"), "ends in a softmax"),
        (keras.Sequential([layers.Dense(K)]), "a keras.Model that is built"),
    ):
        with pytest.raises(BadInput, match=message):
            Distiller(student)
    with pytest.raises(BadInput, match="temperature above 0"):
        Distiller(network(), temperature=-1.0)
