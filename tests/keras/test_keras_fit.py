"""Training: it learns, repeats, keeps the best, leaves the test split alone, and says what is wrong."""

import random
from typing import Any

import keras
import numpy as np
import pytest

from tl_course import data
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput, CourseError
from tl_course.keras.classifier import Classifier
from tl_course.keras.fit import evaluate, fit
from tl_course.keras.freezing import freeze, freeze_backbone, stages, unfreeze
from tl_course.keras.heads import backbone_parameters
from tl_course.keras.loop import Examples, compute_in_bfloat16

QUIET: dict[str, Any] = {"progress": False, "batch_size": 16}


class Untouchable(Dataset):
    """A data set that fails when anything looks at its test split."""

    def __getattribute__(self, name: str) -> object:
        if name in ("test", "splits"):
            raise AssertionError("the test split was looked at")
        return super().__getattribute__(name)


def digits(per_class: int = 8, val: int | None = 60, **parts: Any) -> Untouchable:
    """Real digits, 8x8 pixels, ten classes."""
    full = data.load("digits")
    train = full.train.take(data.few_shot(full.train.y, per_class, seed=0))
    own = None if val is None else full.val.take(np.arange(val))  # pyright: ignore[reportOptionalMemberAccess]
    made = {"train": train, "val": own, "class_names": full.class_names} | parts
    return Untouchable(name="digits", test=full.test, source="", licence="", **made)


def build(seed: int = 0) -> Classifier:
    return Classifier.build("fashion_resnet", data.load("digits").class_names, image_size=16, seed=seed)


def moved(classifier: Classifier, before: list[np.ndarray]) -> set[str]:
    pairs = zip(classifier.model.weights, before, strict=True)
    return {weight.path for weight, old in pairs if not np.array_equal(weight, old)}


def test_it_learns_real_digits_without_the_test_split() -> None:
    classifier = build()
    history = fit(classifier, digits(), num_epochs=8, lr=3e-3, **QUIET)
    assert history.train_loss[-1] < 0.3 * history.train_loss[0] and len(history) == 8
    test = data.load("digits").test
    found = evaluate(classifier, test)
    assert found.accuracy > 0.7 > 0.3 > found.majority
    assert found.accuracy == pytest.approx(np.mean(classifier.predict(test.x) == test.y))


def test_the_same_seed_gives_the_same_numbers_and_global_state_is_kept() -> None:
    runs = []
    for seed in (1, 1):
        classifier = build()
        random.seed(5)
        np.random.seed(5)
        options = {"augment": "digit", "mixup": 0.2, "label_smoothing": 0.1, "num_epochs": 1}
        history = fit(classifier, digits(2), seed=seed, **options, **QUIET)
        assert (random.random(), np.random.random()) == (random.Random(5).random(), np.random.RandomState(5).random())
        runs.append((history.train_loss, history.val_loss))
    assert runs[0] == runs[1]


def test_the_best_weights_come_back_and_patience_stops() -> None:
    classifier, dataset = build(), digits(2)
    history = fit(classifier, dataset, num_epochs=30, lr=0.03, warmup=0.0, patience=2, **QUIET)
    assert history.stopped_early and len(history) == history.best_epoch + 2
    assert dataset.val is not None
    right = np.mean(classifier.predict(dataset.val.x) == dataset.val.y)
    assert right == pytest.approx(max(history.val_accuracy))


def test_no_epochs_change_nothing() -> None:
    classifier = build()
    before = classifier.model.get_weights()
    assert len(fit(classifier, digits(2), num_epochs=0)) == 0 and moved(classifier, before) == set()


def test_a_broken_loss_stops_with_a_clear_error_and_the_weights_come_back() -> None:
    classifier = build()
    before = classifier.model.get_weights()
    with pytest.raises(CourseError, match=r"the training loss is (nan|inf) in epoch 1: .*lower lr"):
        fit(classifier, digits(4), num_epochs=2, lr=1e30, warmup=0.0, **QUIET)
    assert moved(classifier, before) == set()


def test_a_frozen_backbone_is_left_alone_with_and_without_augmentation() -> None:
    classifier = build()
    freeze_backbone(classifier.model)
    for augment in ("none", "digit"):
        before = classifier.model.get_weights()
        fit(classifier, digits(2), num_epochs=1, augment=augment, restore_best=False, **QUIET)
        assert moved(classifier, before) == {"head/kernel", "head/bias"}


def test_a_frozen_stage_stays_and_unfreezing_needs_no_compile() -> None:
    classifier = build()
    model = classifier.model
    freeze(stages(model)[0][1])
    for frozen in (True, False):
        before = model.get_weights()
        fit(classifier, digits(2), num_epochs=1, restore_best=False, **QUIET)
        expected = {w.path for w in model.weights if not (frozen and w.path.startswith("stem."))}
        assert moved(classifier, before) == expected
        unfreeze(model, statistics=True)


def test_l2_sp_keeps_the_weights_nearer_to_their_start() -> None:
    distances = []
    for strength in (0.0, 1.0):
        classifier = build()
        before = [np.asarray(p).copy() for p in backbone_parameters(classifier.model)]
        fit(classifier, digits(4), num_epochs=2, lr=3e-3, l2_sp=strength, restore_best=False, **QUIET)
        pairs = zip(backbone_parameters(classifier.model), before, strict=True)
        distances.append(sum(float(np.square(np.asarray(p) - old).sum()) for p, old in pairs))
    assert distances[1] < 0.7 * distances[0]


def test_features_of_prepared_images_are_those_of_the_zoo() -> None:
    classifier, train = build(), digits(2).train
    features = Examples.of(classifier, train).features(classifier)
    np.testing.assert_allclose(features.inputs, classifier.backbone.features(train.x), rtol=1e-4, atol=1e-5)


def test_bfloat16_is_used_inside_only() -> None:
    model = build().model
    x = np.ones((1, 16, 16, 1), np.float32)
    before = np.asarray(model(x))
    with compute_in_bfloat16(model, wanted=True):
        assert model.get_layer("stage1.conv1")(np.ones((1, 8, 8, 32), np.float32)).dtype == "bfloat16"
        inside = model(x)
    assert inside.dtype == "float32" and not np.array_equal(inside, before)
    np.testing.assert_array_equal(model(x), before)
    assert all(weight.dtype == "float32" for weight in model.weights)


def test_val_is_carved_from_train_where_there_is_none() -> None:
    assert len(fit(build(), digits(4, val=None), num_epochs=1, **QUIET)) == 1


def test_the_bar_is_drawn_only_when_wanted_and_stderr_stays_empty(capfd: pytest.CaptureFixture[str]) -> None:
    classifier = build()
    freeze_backbone(classifier.model)
    for _ in range(6):  # TensorFlow warns of repeated tracing from the fifth time on
        fit(classifier, digits(2), num_epochs=1, **QUIET)
    assert capfd.readouterr() == ("", "")
    fit(classifier, digits(2), num_epochs=1, batch_size=16, progress=True)
    shown = capfd.readouterr()
    assert "epoch 1 of 1" in shown.out and shown.err == ""


def test_wrong_data_and_options_are_refused() -> None:
    classifier, dataset = build(), digits(2)
    for wrong, message in (
        ({"num_epochs": -1}, "num_epochs of at least 0"),
        ({"num_epochs": 1, "batch_size": 0}, "batch_size of at least 1"),
        ({"num_epochs": 1, "batch_size": 1}, "a batch of one"),
        ({"num_epochs": 1, "patience": 0}, "patience of at least 1"),
        ({"num_epochs": 1, "label_smoothing": 1.0}, "label_smoothing from 0"),
        ({"num_epochs": 1, "mixup": -0.1}, "mixup of at least 0"),
        ({"num_epochs": 1, "mixed_precision": True}, "an accelerator with bfloat16"),
        ({"num_epochs": 1, "augment": "flip"}, "augment 'none'"),
    ):
        with pytest.raises(BadInput, match=message):
            fit(classifier, dataset, progress=False, **wrong)
    names = dataset.class_names
    with pytest.raises(BadInput, match=r"build the classifier with dataset\.class_names"):
        fit(classifier, digits(2, class_names=(names[1], names[0], *names[2:])), num_epochs=1)
    with pytest.raises(BadInput, match="labels from 0 to 9"):
        fit(classifier, digits(2, train=Split(dataset.train.x, dataset.train.y + 5)), num_epochs=1)
    freeze(classifier.model)
    with pytest.raises(BadInput, match="something to train"):
        fit(classifier, dataset, num_epochs=1)


def test_dropout_draws_from_the_seed() -> None:
    inputs = keras.Input((8,))
    layers = keras.layers
    model = keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.5)(inputs)))
    from tl_course.keras.fit import seed_dropout

    outputs = []
    for seed in (1, 1, 2):
        seed_dropout(model, seed)
        outputs.append(np.asarray(model(np.ones((4, 8)), training=True)))
    assert np.array_equal(outputs[0], outputs[1]) and not np.array_equal(outputs[0], outputs[2])
