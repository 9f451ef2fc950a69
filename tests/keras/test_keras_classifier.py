"""One object and one file for model, preprocessing and class names."""

import random
from pathlib import Path

import keras
import numpy as np
import pytest

from tl_course import classifier_file, zoo
from tl_course.classifier_file import ClassifierFile
from tl_course.errors import BadInput
from tl_course.keras.classifier import Classifier, load

NAMES = ("ankle boot", "bag", "coat")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.build("fashion_resnet", NAMES, seed=1)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((9, 20, 24, 1), dtype=np.float32)


def test_predictions_are_the_models_on_preprocessed_images(classifier: Classifier, images: np.ndarray) -> None:
    expected = np.asarray(classifier.model(classifier.preprocess(images), training=False))
    np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-4, atol=1e-4)
    shares = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(images, batch_size=4), shares, rtol=1e-3, atol=1e-5)
    predicted = classifier.predict(images)
    assert predicted.dtype == np.int64 and (predicted == expected.argmax(axis=1)).all()


def test_predictions_follow_the_weights_and_features_are_the_new_models(images: np.ndarray) -> None:
    classifier = Classifier.build("fashion_resnet", NAMES)
    before, features = classifier.logits(images), classifier.backbone.features(images)
    layer = classifier.model.get_layer("stem.1")
    layer.set_weights([weight + 1 for weight in layer.get_weights()])
    assert not np.allclose(classifier.logits(images), before)
    assert not np.allclose(classifier.backbone.features(images), features) and features.shape == (9, 128)


def test_the_zoos_model_is_left_as_it_is(images: np.ndarray) -> None:
    backbone = zoo.load("fashion_resnet", "keras")
    expected = backbone.features(images)
    first, second = Classifier(backbone, NAMES, seed=0), Classifier(backbone, NAMES[:2], seed=1)
    assert backbone.model.output_shape == (None, 10) and first.model.output_shape == (None, 3)
    first.model.set_weights([0 * weight for weight in first.model.get_weights()])
    np.testing.assert_array_equal(backbone.features(images), expected)
    np.testing.assert_allclose(second.backbone.features(images), expected, rtol=1e-4, atol=1e-5)


def test_a_seed_decides_head_and_random_weights() -> None:
    random.seed(3)
    expected = random.random()
    random.seed(3)
    made = [Classifier.build("fashion_resnet", NAMES, weights=None, seed=seed).model for seed in (1, 1, 2)]
    assert random.random() == expected
    for layer in ("head", "stem.0"):
        first, again, other = (model.get_layer(layer).get_weights()[0] for model in made)
        assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(("name", "size", "channels"), [("fashion_resnet", None, 1), ("efficientnetb0", 32, 3)])
def test_save_and_load_give_the_same_predictions(name: str, size: int | None, channels: int, tmp_path: Path) -> None:
    classifier = Classifier.build(name, NAMES, weights=None, image_size=size, seed=4)
    rng = np.random.default_rng(1)
    for layer in classifier.model.layers:  # statistics as after training
        if isinstance(layer, keras.layers.BatchNormalization | keras.layers.Normalization):
            layer.set_weights([(0.5 + rng.random(w.shape)).astype(w.dtype) for w in layer.get_weights()])
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()
    images = rng.random((3, 33, 33, channels), dtype=np.float32)
    found = load(classifier.save(tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(found.logits(images), classifier.logits(images))
    assert (found.class_names, found.backbone.name, found.backbone.image_size) == (NAMES, name, size)


def test_what_does_not_fit_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    path = classifier.save(tmp_path / "m")
    kept = classifier_file.read(path)
    assert kept.mean == pytest.approx((0.2860,), rel=1e-4) and kept.std == pytest.approx((0.3530,), rel=1e-4)
    for changes, message in (
        ({"class_names": NAMES[:2]}, "fashion_resnet with 2 classes"),
        ({"weights": dict(list(kept.weights.items())[:-1])}, r"0046\.bias: None in the file"),
        ({"mean": (0.5,)}, "the preprocessing of fashion_resnet"),
        ({"framework": "pytorch"}, r"one in pytorch; load it with tl_course\.pytorch\.classifier"),
    ):
        changed = classifier_file.write(tmp_path / "changed", ClassifierFile(**{**vars(kept), **changes}))
        with pytest.raises(BadInput, match=message):
            load(changed)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="a whole safetensors file"):
        load(path)
    with pytest.raises(BadInput, match="nothing at"):
        load(tmp_path / "missing")


def test_bad_names_images_and_backbones_are_refused(classifier: Classifier, images: np.ndarray) -> None:
    for names in ("cat", [], ["a", "a"], ["a", 1]):
        with pytest.raises(BadInput, match="one or more different strings"):
            Classifier.build("fashion_resnet", names)  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="values from 0 to 255"):
        classifier.predict((images * 255).astype(np.uint8))
    with pytest.raises(BadInput, match="batch_size of at least 1"):
        classifier.predict(images, batch_size=0)
    with pytest.raises(BadInput, match="device only with framework"):
        Classifier.build("fashion_resnet", NAMES, device="cpu")
    with pytest.raises(BadInput, match="an image model in Keras"):
        Classifier(classifier.model, NAMES)  # pyright: ignore[reportArgumentType]
