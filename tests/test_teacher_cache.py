"""Answers of a teacher: kept under what it saw and who it is, in memory and on disk, and used for nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.holdout import train_and_val
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.students import small_cnn
from tl_course.teacher_cache import TeacherCache, answers_for_train, check_answers, check_teacher

IMAGES = np.random.default_rng(0).random((6, 12, 12, 1), dtype=np.float32)


@pytest.fixture
def teacher() -> Classifier:
    return small_cnn(("a", "b", "c"), channels=1, image_size=8, width=4, device="cpu")


def change_weights(teacher: Classifier) -> None:
    with torch.no_grad():
        next(teacher.model.parameters()).add_(1e-3)


def change_size(teacher: Classifier) -> None:
    teacher.backbone.image_size = 9


def change_mean(teacher: Classifier) -> None:
    teacher.backbone.mean = (0.4,)


def change_statistics(teacher: Classifier) -> None:
    next(buffer for name, buffer in teacher.model.named_buffers() if "running_var" in name).mul_(2)


def test_the_same_question_is_answered_without_the_teacher(teacher: Classifier) -> None:
    cache = TeacherCache()
    first, second = cache.logits(teacher, IMAGES), cache.logits(teacher, IMAGES.copy())
    assert (cache.hits, cache.misses) == (1, 1)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, teacher.logits(IMAGES))


@pytest.mark.parametrize("change", [change_weights, change_size, change_mean, change_statistics])
def test_another_teacher_is_asked_again(teacher: Classifier, change: Callable[[Classifier], None]) -> None:
    cache = TeacherCache()
    before = cache.logits(teacher, IMAGES).copy()
    change(teacher)
    after = cache.logits(teacher, IMAGES)
    assert cache.misses == 2 and not np.array_equal(before, after)
    np.testing.assert_array_equal(after, teacher.logits(IMAGES))


@pytest.mark.parametrize(
    "other", [IMAGES[::-1].copy(), IMAGES[:5], IMAGES[:, ::-1].copy(), np.nextafter(IMAGES, np.float32(0))]
)
def test_other_inputs_are_asked_again(teacher: Classifier, other: np.ndarray) -> None:
    cache = TeacherCache()
    cache.logits(teacher, IMAGES)
    np.testing.assert_array_equal(cache.logits(teacher, other), teacher.logits(other))
    assert (cache.hits, cache.misses) == (0, 2)


def test_a_folder_outlives_the_cache_and_a_damaged_file_is_computed_again(teacher: Classifier, tmp_path: Path) -> None:
    first = TeacherCache(tmp_path).logits(teacher, IMAGES)
    later = TeacherCache(tmp_path)
    np.testing.assert_array_equal(later.logits(teacher, IMAGES), first)
    assert (later.hits, later.misses) == (1, 0)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    again = TeacherCache(tmp_path)
    np.testing.assert_array_equal(again.logits(teacher, IMAGES), first)
    assert (again.hits, again.misses) == (0, 1)
    assert TeacherCache(tmp_path).logits(teacher, IMAGES).shape == (6, 3)  # and was written whole


@dataclass
class Texts:
    """A teacher of texts, as far as the cache looks at one: it cuts them after max_tokens words."""

    max_tokens: int
    model: Any

    class_names: tuple[str, ...] = ("a", "b")

    @property
    def backbone(self) -> "Texts":
        return self

    def logits(self, texts: Any) -> np.ndarray:
        return np.array([[len(text.split()[: self.max_tokens]), -1] for text in texts], np.float32)


def test_texts_cut_elsewhere_are_other_inputs() -> None:
    cache, texts, model = TeacherCache(), np.array(["short", "one two three four five"]), torch.nn.Linear(1, 1)
    assert [cache.logits(Texts(cut, model), texts)[1, 0] for cut in (2, 4, 2)] == [2, 4, 2]
    assert (cache.hits, cache.misses) == (1, 2)


def test_a_function_is_asked_every_time_and_must_repeat_itself() -> None:
    cache, answers = TeacherCache(), np.random.default_rng(0)
    weights = answers.normal(size=(144, 3))

    def steady(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1) @ weights

    np.testing.assert_allclose(cache.logits(steady, IMAGES), steady(IMAGES), rtol=1e-5)
    weights *= 2  # what a function depends on cannot be seen from outside
    np.testing.assert_allclose(cache.logits(steady, IMAGES), steady(IMAGES), rtol=1e-5)
    assert not cache.kept
    with pytest.raises(BadInput, match="evaluation mode"):
        cache.logits(lambda images: steady(images) * answers.normal(size=(len(images), 1)), IMAGES)


def test_rows_of_an_array_follow_the_examples_that_are_trained_on() -> None:
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0, 1, 0])
    nothing = Split(np.zeros(0), np.zeros(0, np.int64))
    dataset = Dataset("d", Split(np.arange(10.0), y), nothing, None, ("a", "b"), "", "")
    logits = np.stack([np.arange(13.0), -np.arange(13.0)], axis=1)
    train, _val = train_and_val(dataset, 0.3, seed=2)
    found = answers_for_train(logits, dataset, 3, 0.3, seed=2)
    np.testing.assert_array_equal(found[:, 0], [*train.x, 10, 11, 12])
    whole = replace(dataset, val=dataset.train)
    np.testing.assert_array_equal(answers_for_train(logits[:10], whole, 0, 0.3, seed=2)[:, 0], np.arange(10))
    with pytest.raises(BadInput, match=r"shape \(13, K\)"):
        answers_for_train(logits[:10], dataset, 3, 0.3, seed=2)


def test_teachers_that_cannot_teach(teacher: Classifier) -> None:
    student = small_cnn(("a", "b", "c"), channels=1, image_size=8, width=4, seed=1, device="cpu")
    check_teacher(teacher, student)
    for wrong in (student, teacher.model, "teacher", small_cnn(("a", "c", "b"), device="cpu")):
        with pytest.raises(BadInput):
            check_teacher(wrong, student)  # pyright: ignore[reportArgumentType]
    answers = teacher.logits(IMAGES)
    check_answers(answers, student.logits(IMAGES[:4]))
    with pytest.raises(BadInput, match="3 logits"):
        check_answers(np.zeros((6, 10)), student.logits(IMAGES[:4]))
    with pytest.raises(BadInput, match="KL is 0"):
        check_answers(answers, teacher.logits(IMAGES[:4]))
