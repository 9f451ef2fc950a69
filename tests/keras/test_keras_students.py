"""Students in Keras: a teacher's layers copied, texts distilled, and a small CNN that is small."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.keras.adapters import add_adapters
from tl_course.keras.classifier import Classifier
from tl_course.keras.distill import distill
from tl_course.keras.distill_losses import kd_loss
from tl_course.keras.fit import fit
from tl_course.keras.lora import add_lora
from tl_course.keras.students import shallow_student, small_cnn
from tl_course.keras.text_classifier import TextClassifier
from tl_course.teacher_cache import TeacherCache

Make = Callable[..., TextClassifier]
TEXTS = ["Terrible.", "", "naïve café 迁移学习 🙂", "Would buy again; arrived a day early and works as described."]
QUIET: dict[str, Any] = {"progress": False, "batch_size": 8}


def random_weights(classifier: TextClassifier) -> TextClassifier:
    """No weight as it was made, so that each copy can be told."""
    rng = np.random.default_rng(0)
    for weight in classifier.model.trainable_variables:
        weight.assign(rng.normal(scale=0.1, size=weight.shape))
    return classifier


@pytest.mark.parametrize("added", ["nothing", "lora", "adapters"])
def test_a_student_of_some_layers_is_the_teacher_without_the_others(
    added: str, text_classifier: Make, tmp_path: Path
) -> None:
    """The teacher, with the layer that the student lacks taken out, gives the student's logits."""
    teacher = text_classifier(pooling="cls", max_tokens=20)
    if added == "lora":
        add_lora(teacher.model, rank=2)
    if added == "adapters":
        add_adapters(teacher.model, size=4)
    random_weights(teacher)
    before = teacher.logits(TEXTS)
    student = shallow_student(teacher, (0, 2))
    np.testing.assert_array_equal(teacher.logits(TEXTS), before)
    blocks, adapters = teacher.model.encoder.blocks, teacher.model.adapters.adapters
    teacher.model.encoder.blocks = [blocks[0], blocks[2]]
    teacher.model.adapters.adapters = [adapters[0], adapters[2]] if adapters else []
    tokens = student.preprocess(TEXTS)
    np.testing.assert_allclose(student.logits(TEXTS), teacher.model(tokens, training=False), atol=1e-5)
    assert student.backbone.model.config.num_layers == 2 and student.backbone.max_tokens == 20
    assert len(student.model.trainable_variables) == len(student.model.weights) - sum(
        weight.name == "seed_generator_state" for weight in student.model.weights
    )
    np.testing.assert_array_equal(
        TextClassifier.load(student.save(tmp_path / "s.tlc")).logits(TEXTS), student.logits(TEXTS)
    )


def test_layers_that_are_not_there_are_refused(text_classifier: Make) -> None:
    for layers in ((), (0, 1, 2), (0, 3), (2, 0), (-1, 1), (1, 1)):
        with pytest.raises(BadInput, match="some of the teacher's 3 layers"):
            shallow_student(text_classifier(), layers)


def test_texts_are_distilled_with_and_without_labels(text_classifier: Make, tweets: Dataset) -> None:
    teacher = text_classifier(dropout=0.1)
    fit(teacher, tweets, num_epochs=2, lr=1e-3, **QUIET)
    before, cache = teacher.model.get_weights(), TeacherCache()
    student = shallow_student(teacher, (0, 2))
    few = dataclasses.replace(tweets, train=tweets.train.take(np.arange(16)))
    more = [str(text) for text in tweets.train.x[16:]]
    answers, guesses = teacher.logits(tweets.train.x), student.logits(tweets.train.x)
    options: dict[str, Any] = {"alpha": 0.9, "lr": 1e-3, "unlabelled": more, "cache": cache, **QUIET}
    history = distill(teacher, student, few, num_epochs=8, restore_best=False, **options)
    assert len(history) == 8 and cache.misses == 1
    after = float(kd_loss(student.logits(tweets.train.x), answers))
    assert after < 0.5 * float(kd_loss(guesses, answers)), "the student does not come nearer to its teacher"
    assert all(np.array_equal(old, new) for old, new in zip(before, teacher.model.get_weights(), strict=True))
    distill(teacher, shallow_student(teacher, (0,)), few, num_epochs=1, **options)
    assert (cache.hits, cache.misses) == (1, 1)
    fit(teacher, tweets, num_epochs=1, lr=1e-3, restore_best=False, **QUIET)
    distill(teacher, shallow_student(teacher, (0,)), few, num_epochs=1, **options)
    assert cache.misses == 2, "a teacher that was trained on gives other answers"
    with pytest.raises(BadInput, match="they change pixels"):
        distill(teacher, student, few, num_epochs=1, augment="photo", **QUIET)


def test_the_small_cnn_is_small_and_like_any_classifier(tmp_path: Path) -> None:
    names = [str(number) for number in range(10)]
    wide, usual = small_cnn(names, width=20, seed=1), small_cnn(names, channels=1, image_size=8, seed=1)
    assert wide.model.count_params() < 220_000 and 95_000 < usual.model.count_params() < 100_000
    images = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(Classifier.load(usual.save(tmp_path / "s.tlc")).logits(images), usual.logits(images))
    np.testing.assert_array_equal(
        small_cnn(names, channels=1, image_size=8, seed=1).logits(images), usual.logits(images)
    )
    assert not np.array_equal(small_cnn(names, channels=1, image_size=8, seed=2).logits(images), usual.logits(images))
    with pytest.raises(BadInput, match="width and channels of at least 1"):
        small_cnn(names, width=0)
