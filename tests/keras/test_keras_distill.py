"""Distillation in Keras: it teaches, leaves the teacher as it was, and refuses what would teach nothing."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

from tl_course import data
from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.keras.classifier import Classifier
from tl_course.keras.distill import distill, draw_views, self_distill
from tl_course.keras.distill_losses import kd_loss
from tl_course.keras.fit import fit
from tl_course.keras.freezing import freeze_backbone
from tl_course.keras.students import small_cnn
from tl_course.teacher_cache import TeacherCache

QUIET: dict[str, Any] = {"progress": False, "batch_size": 16}
NAMES = tuple("0123456789")


def digits(per_class: int = 4, val: int = 60) -> Dataset:
    full = data.load("digits")
    train = full.train.take(data.few_shot(full.train.y, per_class, seed=0))
    return Dataset("digits", train, full.test, full.val.take(np.arange(val)), NAMES, "", "")  # pyright: ignore[reportOptionalMemberAccess]


def build(seed: int = 0) -> Classifier:
    """A student: three times as quick to trace as the teacher."""
    return small_cnn(NAMES, channels=1, image_size=16, width=8, seed=seed)


@pytest.fixture(scope="module")
def teacher() -> Classifier:
    """Right about most digits."""
    made = Classifier.build("fashion_resnet", NAMES, image_size=16)
    fit(made, digits(20), num_epochs=4, lr=3e-3, **QUIET)
    return made


def same(before: list[np.ndarray], model: keras.Model) -> bool:
    return all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_a_student_learns_from_unlabelled_digits_and_the_teacher_stays_bit_for_bit(teacher: Classifier) -> None:
    full = data.load("digits")
    dataset, before = digits(), teacher.model.get_weights()
    accuracies = []
    for taught in (True, False):
        student = build(seed=1)
        if taught:
            more = full.train.x[:300]
            history = distill(teacher, student, dataset, num_epochs=6, lr=3e-3, unlabelled=more, **QUIET)
            assert len(history) == 6 and history.train_loss[-1] < 0.5 * history.train_loss[0]
            assert max(history.val_accuracy) == pytest.approx(history.val_accuracy[history.best_epoch - 1])
        else:
            fit(student, dataset, num_epochs=50, lr=3e-3, **QUIET)  # as many steps
        accuracies.append(float(np.mean(student.predict(full.test.x) == full.test.y)))
    assert accuracies[0] > accuracies[1] + 0.03 and accuracies[0] > 0.7
    assert same(before, teacher.model)


def test_the_teacher_is_asked_once_for_every_image_and_view_of_the_pixels_the_student_sees(
    teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[np.ndarray] = []
    dataset, cache, student = digits(2), TeacherCache(), build(seed=2)
    real = teacher.logits
    monkeypatch.setattr(teacher, "logits", lambda images: asked.append(images) or real(images))
    options: dict[str, Any] = {"augment": "digit", "num_views": 2, "cache": cache, **QUIET}
    history = distill(teacher, student, dataset, num_epochs=3, **options)
    assert [len(images) for images in asked] == [20, 20] and len(history) == 3
    for images, view in zip(asked, draw_views(dataset.train.x, "digit", 2, 0), strict=True):
        np.testing.assert_array_equal(images, view)
    assert not np.array_equal(asked[0], asked[1]) and not np.array_equal(asked[0], dataset.train.x)
    again = distill(teacher, build(seed=2), dataset, num_epochs=3, **options)
    assert len(asked) == 2 and (cache.hits, cache.misses) == (2, 2)
    assert again.train_loss == history.train_loss


def test_answers_stay_with_their_images_and_views_take_turns(teacher: Classifier) -> None:
    """With a rate of 0 the loss of epoch e is kd_loss on view e mod 2, labels and answers in the images' order."""
    dataset = digits(2)
    student = build(seed=3)
    freeze_backbone(student.model)  # BatchNorm on its averages, so the loss can be computed from outside
    more = data.load("digits").test.x[:7]
    options: dict[str, Any] = {"augment": "digit", "num_views": 2, "unlabelled": more, "temperature": 3.0, "alpha": 0.3}
    history = distill(teacher, student, dataset, num_epochs=3, lr=0.0, seed=5, **options, **QUIET)
    images, y = np.concatenate([dataset.train.x, more]), np.concatenate([dataset.train.y, np.full(7, -1)])
    expected = [
        float(kd_loss(student.logits(view), teacher.logits(view), y, temperature=3.0, alpha=0.3))
        for view in draw_views(images, "digit", 2, 5)
    ]
    assert history.train_loss == pytest.approx([expected[0], expected[1], expected[0]], rel=1e-4)
    assert expected[0] != pytest.approx(expected[1], rel=1e-3)


def test_an_array_of_logits_and_a_function_teach_as_the_classifier_does(teacher: Classifier) -> None:
    dataset, losses = digits(2), []
    more = data.load("digits").test.x[:6]
    array = teacher.logits(np.concatenate([dataset.train.x, more]))
    for who in (teacher, array, lambda images: teacher.logits(images)):
        history = distill(who, build(seed=4), dataset, num_epochs=2, unlabelled=more, **QUIET)
        losses.append(history.train_loss)
    assert losses[0] == pytest.approx(losses[1]) and losses[0] == pytest.approx(losses[2])
    held_out = dataclasses.replace(dataset, val=None)
    pair = [distill(w, build(4), held_out, num_epochs=1, val_fraction=0.5, **QUIET) for w in (teacher, array[:20])]
    assert pair[0].train_loss == pytest.approx(pair[1].train_loss)


def test_alpha_moves_from_the_labels_to_the_teacher(teacher: Classifier) -> None:
    """With alpha=0 it is `fit`; with alpha=1 the labels count for nothing."""
    dataset = digits(2)
    wrong = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, y=(dataset.train.y + 1) % 10))
    plain = fit(build(seed=4), dataset, num_epochs=2, **QUIET)
    assert distill(teacher, build(seed=4), dataset, num_epochs=2, alpha=0.0, **QUIET).train_loss == pytest.approx(
        plain.train_loss, rel=1e-4
    )
    blind = [distill(teacher, build(4), part, num_epochs=2, alpha=1.0, **QUIET).train_loss for part in (dataset, wrong)]
    assert blind[0] == blind[1] != pytest.approx(plain.train_loss, rel=0.05)


def test_what_would_teach_nothing_is_refused(teacher: Classifier) -> None:
    dataset, student = digits(2), build(seed=1)
    many = Classifier.build("fashion_resnet", [f"n{i}" for i in range(1000)], weights=None, image_size=16)
    turned = Classifier.build("fashion_resnet", NAMES[::-1], weights=None, image_size=16)
    noisy = np.random.default_rng(0)
    cases: dict[str, tuple[Any, dict[str, Any]]] = {
        "a teacher with the student's 10 classes": (many, {}),
        "a teacher with the student's 10 classes, in their order": (turned, {}),
        "a teacher other than the student": (student, {}),
        "a student that differs from its teacher": (build(seed=1), {}),
        "before softmax": (lambda images: teacher.predict_proba(images), {}),
        "one answer to one input": (lambda images: noisy.normal(size=(len(images), 10)), {}),
        "finite teacher's logits": (teacher.logits(dataset.train.x[:-1]), {}),
        "10 logits, one for each": (lambda images: teacher.logits(images)[:, :9], {}),
        "a bare network lacks": (teacher.model, {}),
        "a teacher that can be asked": (teacher.logits(dataset.train.x), {"augment": "digit"}),
        "num_views of at least 1": (teacher, {"num_views": 2}),
        "temperature above 0": (teacher, {"temperature": 0.0}),
        "alpha from 0 to 1": (teacher, {"alpha": -0.1}),
        "unlabelled inputs like those": (teacher, {"unlabelled": np.zeros((2, 9, 9, 1), np.float32)}),
        "num_epochs of at least 0": (teacher, {"num_epochs": -1}),
    }
    before = student.model.get_weights()
    for message, (who, options) in cases.items():
        with pytest.raises(BadInput, match=message):
            distill(who, student, dataset, **{"num_epochs": 1, **QUIET, **options})
    assert same(before, student.model)
    assert len(distill(teacher, student, dataset, num_epochs=0)) == 0 and same(before, student.model)


def test_views_are_fixed_by_seed_and_number_and_stay_images() -> None:
    images = data.load("digits").train.x[:70]
    first, second = draw_views(images, "photo", 2, 7)
    assert first.shape == images.shape and first.dtype == np.float32 and 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(first, next(draw_views(images, "photo", 1, 7)))
    assert not np.array_equal(first, second) and not np.array_equal(first, next(draw_views(images, "photo", 1, 8)))


def test_born_again_generations_learn_from_the_one_before() -> None:
    generations = self_distill(lambda number: build(number), digits(2), num_epochs=1, **QUIET)
    assert len(generations) == 2 and all(len(history) == 1 for _made, history in generations)
    first, second = (made for made, _history in generations)
    assert first is not second and not same(first.model.get_weights(), second.model)
