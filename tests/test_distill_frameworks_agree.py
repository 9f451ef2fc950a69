"""Distillation in PyTorch and in Keras: the same losses and gradients, comparable students, equal copies of layers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

from tl_course import data, zoo
from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.keras import distill as keras_distill
from tl_course.keras import distill_losses as in_keras
from tl_course.keras import students as keras_students
from tl_course.keras.classifier import Classifier as KerasClassifier
from tl_course.keras.text_classifier import TextClassifier as KerasTextClassifier
from tl_course.pytorch import distill as torch_distill
from tl_course.pytorch import distill_losses as in_torch
from tl_course.pytorch import students as torch_students
from tl_course.pytorch.text_classifier import TextClassifier as TorchTextClassifier

RNG = np.random.default_rng(0)
N, L, K, D = 6, 5, 4, 12


def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * RNG.normal(size=shape)).astype(np.float32)


STUDENT, TEACHER, LABELS = normal(N, K), normal(N, K, scale=2.0), RNG.integers(K, size=N)
SURE = np.exp(TEACHER.astype(np.float64)) / np.exp(TEACHER.astype(np.float64)).sum(axis=1, keepdims=True)
MASK = (np.arange(L) < RNG.integers(2, L + 1, size=N)[:, None]).astype(np.int64)
TOKENS = np.where((RNG.random((N, L)) < 0.5) & (MASK == 1), RNG.integers(K, size=(N, L)), -100)
HIDDEN, WANTED = normal(N, L, D), normal(N, L, D)
CASES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "both terms": ("kd_loss", (STUDENT, TEACHER, LABELS), {}),
    "T=1, more teacher": ("kd_loss", (STUDENT, TEACHER, LABELS), {"temperature": 1.0, "alpha": 0.9}),
    "labels alone": ("kd_loss", (STUDENT, TEACHER, LABELS), {"alpha": 0.0}),
    "some without label": ("kd_loss", (STUDENT, TEACHER, np.where(np.arange(N) < 2, -1, LABELS)), {"alpha": 0.3}),
    "teacher alone": ("kd_loss", (STUDENT, TEACHER), {"temperature": 2.0}),
    "probabilities": ("kd_loss_from_probabilities", (STUDENT, SURE.astype(np.float32), LABELS), {}),
    "certain": ("kd_loss_from_probabilities", (STUDENT, np.eye(K, dtype=np.float32)[LABELS]), {"temperature": 3.0}),
    "hints": ("hint_loss", (HIDDEN, WANTED), {}),
    "relations": ("relation_loss", (HIDDEN, normal(N, L, 2 * D), MASK, 4), {}),
    "language model": ("distilbert_loss", (normal(N, L, K), normal(N, L, K), TOKENS, HIDDEN, WANTED, MASK), {}),
    "classifier": (
        "distilbert_loss",
        (STUDENT, TEACHER, LABELS, HIDDEN, WANTED, MASK),
        {"temperature": 3.0, "soft_weight": 0.5, "hard_weight": 0.7, "cosine_weight": 2.0},
    ),
}


def by_torch(name: str, arrays: tuple[Any, ...], options: dict[str, Any]) -> tuple[float, list[np.ndarray]]:
    """Loss, and its gradient with respect to each array of floats; 0 where nothing flows."""
    parts = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arrays]
    floats = [p.requires_grad_() for p in parts if isinstance(p, torch.Tensor) and p.is_floating_point()]
    loss = getattr(in_torch, name)(*parts, **options)
    grads = torch.autograd.grad(loss, floats, allow_unused=True)
    return loss.item(), [np.zeros(p.shape) if g is None else g.numpy() for p, g in zip(floats, grads, strict=True)]


def by_keras(name: str, arrays: tuple[Any, ...], options: dict[str, Any]) -> tuple[float, list[np.ndarray]]:
    """The same, eagerly; the loss traced for unknown numbers must be equal."""
    parts = [tf.constant(a) if isinstance(a, np.ndarray) else a for a in arrays]
    floats = [p for p in parts if isinstance(p, tf.Tensor) and p.dtype.is_floating]
    function: Callable[..., Any] = getattr(in_keras, name)
    with tf.GradientTape() as tape:
        tape.watch(floats)
        loss = function(*parts, **options)
    tensors = [p for p in parts if isinstance(p, tf.Tensor)]
    numbers = parts[len(tensors) :]
    specs = [tf.TensorSpec((None, *p.shape[1:]), p.dtype) for p in tensors]
    traced = tf.function(lambda *given: function(*given, *numbers, **options)).get_concrete_function(*specs)
    assert float(traced(*tensors)) == pytest.approx(float(loss), rel=1e-6)
    grads: list[Any] = tape.gradient(loss, floats)  # pyright: ignore[reportAssignmentType]
    return float(loss), [
        np.zeros(p.numpy().shape) if g is None else g.numpy() for p, g in zip(floats, grads, strict=True)
    ]


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_equal(case: str) -> None:
    (loss, grads), (same, others) = by_torch(*CASES[case]), by_keras(*CASES[case])
    assert loss == pytest.approx(same, rel=1e-6, abs=1e-6) and loss > 0.01
    for one, other in zip(grads, others, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(grads[0]).max() > 1e-4, "nothing flows into the student"
    assert not np.any(grads[1]), "something flows into the teacher"


def test_attention_transfer_is_equal_whichever_side_the_channels_are_on() -> None:
    student, teacher = normal(3, 4, 5, 6), normal(3, 4, 5, 8)  # (N, H, W, C)
    first = [torch.tensor(maps.transpose(0, 3, 1, 2)).requires_grad_() for maps in (student, teacher)]
    loss = in_torch.attention_transfer_loss(*first)
    loss.backward()
    second = [tf.constant(maps) for maps in (student, teacher)]
    with tf.GradientTape() as tape:
        tape.watch(second)
        same = in_keras.attention_transfer_loss(*second)
    grads: list[Any] = tape.gradient(same, second)  # pyright: ignore[reportAssignmentType]
    assert loss.item() == pytest.approx(float(same), abs=1e-6) and loss.item() > 1e-4
    assert first[0].grad is not None and first[1].grad is None and grads[1] is None
    np.testing.assert_allclose(first[0].grad.numpy().transpose(0, 2, 3, 1), grads[0], atol=1e-6)


REFUSED: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "1000 against 10 classes": ("kd_loss", (normal(N, 10), normal(N, 1000)), {}),
    "other examples": ("kd_loss", (STUDENT, TEACHER[:-1]), {}),
    "one example without its axis": ("kd_loss", (STUDENT[0], TEACHER[0]), {}),
    "softmax outputs": ("kd_loss", (STUDENT, SURE.astype(np.float32)), {}),
    "logits for probabilities": ("kd_loss_from_probabilities", (STUDENT, TEACHER), {}),
    "one-hot labels": ("kd_loss", (STUDENT, TEACHER, np.eye(K, dtype=np.float32)[LABELS]), {}),
    "arguments swapped": ("kd_loss", (LABELS, STUDENT, TEACHER), {}),
    "no temperature": ("kd_loss", (STUDENT, TEACHER), {"temperature": 0.0}),
    "alpha out of range": ("kd_loss", (STUDENT, TEACHER), {"alpha": 1.5}),
    "features of two widths": ("hint_loss", (HIDDEN, normal(N, L, 2 * D)), {}),
    "maps of two sizes": ("attention_transfer_loss", (normal(2, 3, 4, 4), normal(2, 3, 6, 4)), {}),
    "heads that do not fit": ("relation_loss", (HIDDEN, normal(N, L, 10), MASK, 4), {}),
    "a mask of other texts": ("relation_loss", (HIDDEN, WANTED, MASK[1:], 4), {}),
    "hidden states of two widths": (
        "distilbert_loss",
        (STUDENT, TEACHER, LABELS, HIDDEN, normal(N, L, 2 * D), MASK),
        {},
    ),
    "no token hidden": (
        "distilbert_loss",
        (normal(N, L, K), normal(N, L, K), np.full((N, L), -100), HIDDEN, WANTED, MASK),
        {},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_both_refuse_the_same_with_the_same_words(case: str) -> None:
    messages = []
    for module, convert in ((in_torch, torch.tensor), (in_keras, tf.constant)):
        name, arrays, options = REFUSED[case]
        with pytest.raises(BadInput) as error:
            getattr(module, name)(*(convert(a) if isinstance(a, np.ndarray) else a for a in arrays), **options)
        messages.append((error.value.got, error.value.remedy))
    (got, remedy), (same, also) = messages
    if case not in ("one-hot labels", "maps of two sizes"):  # these name a framework's own type and function
        assert (got, remedy) == (same, also)


def test_keras_refuses_labels_of_unknown_classes() -> None:
    with pytest.raises(BadInput, match="labels from 0 to 3; got 1 to 4"):
        in_keras.kd_loss(STUDENT[:2], TEACHER[:2], np.array([1, 4]))


def test_one_teacher_gives_comparable_students_in_both_frameworks() -> None:
    """A Keras teacher for both. The frozen students start alike, so their first losses are equal, and end alike."""
    full = data.load("digits")
    train = full.train.take(data.few_shot(full.train.y, 3, seed=0))
    assert full.val is not None
    dataset = Dataset("digits", train, full.test, full.val.take(np.arange(60)), full.class_names, "", "")
    teacher = KerasClassifier.build("fashion_resnet", full.class_names, image_size=16, seed=7)
    more = full.train.x[:30]
    options: dict[str, Any] = {"unlabelled": more, "temperature": 2.0, "batch_size": 16, "progress": False}
    one = torch_students.small_cnn(full.class_names, channels=1, image_size=16, seed=1)
    other = keras_students.small_cnn(full.class_names, channels=1, image_size=16, seed=1)
    kernels = [p for p in one.model.parameters() if p.ndim > 1]
    others = [v for v in other.model.trainable_variables if len(v.shape) > 1]
    for source, target in zip(kernels, others, strict=True):
        array = source.detach().numpy()
        target.assign(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T)
    np.testing.assert_allclose(one.logits(train.x), other.logits(train.x), atol=1e-4)
    found = [
        module.distill(teacher, student, dataset, num_epochs=4, lr=3e-3, restore_best=False, **options)
        for module, student in ((torch_distill, one), (keras_distill, other))
    ]
    assert found[0].train_loss == pytest.approx(found[1].train_loss, rel=5e-3)  # Adam magnifies rounding
    assert found[0].val_loss == pytest.approx(found[1].val_loss, rel=2e-2)
    assert found[0].train_loss[-1] < 0.8 * found[0].train_loss[0]


def test_a_shallow_student_has_the_same_layers_in_both_frameworks() -> None:
    names = ("negative", "positive")
    one: Any = TorchTextClassifier(zoo.load("minilm", device="cpu"), names)
    other = KerasTextClassifier(zoo.load("minilm", "keras"), names)
    other.model.head.kernel.assign(one.model.head.weight.detach().numpy().T)
    texts = ["Terrible.", "naïve café 迁移学习", "Would buy again; arrived a day early and works as described."]
    students = torch_students.shallow_student(one), keras_students.shallow_student(other)
    logits = [student.logits(texts) for student in students]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-4)
    assert np.abs(logits[0] - one.logits(texts)).max() > 1e-2
    np.testing.assert_allclose(one.logits(texts), other.logits(texts), atol=1e-4)
