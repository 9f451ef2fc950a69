"""A Keras classifier exported to ONNX gives its own numbers through onnxruntime."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.exported_model import load_onnx
from tl_course.keras.classifier import Classifier
from tl_course.keras.export import export_onnx, save_keras
from tl_course.keras.text_classifier import TextClassifier

NAMES = ("shirt", "bag", "coat")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.build("fashion_resnet", NAMES, weights=None, image_size=28)


def test_onnx_gives_the_originals_logits_at_any_batch_and_image_size(classifier: Classifier, tmp_path: Path) -> None:
    exported = load_onnx(export_onnx(classifier, tmp_path / "made" / "m.onnx"))
    assert (exported.class_names, exported.description.framework, exported.image_size) == (NAMES, "keras", 28)
    for shape in ((1, 28, 28, 1), (5, 28, 28, 1), (3, 50, 40, 1)):
        images = np.random.default_rng(0).random(shape, dtype=np.float32)
        np.testing.assert_allclose(exported.logits(images), classifier.logits(images), atol=1e-4)


def test_the_keras_file_holds_the_model_and_nothing_around_it(classifier: Classifier, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((4, 28, 28, 1), dtype=np.float32)
    back = keras.models.load_model(save_keras(classifier, tmp_path / "m.keras"))
    logits = np.asarray(back(classifier.preprocess(images), training=False))
    np.testing.assert_allclose(logits, classifier.logits(images), atol=1e-5)
    with pytest.raises(BadInput, match=r"ends in \.keras"):
        save_keras(classifier, tmp_path / "m.h5")


def test_what_cannot_be_exported_is_refused(text_classifier: Callable[..., TextClassifier], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="text classifier in Keras"):
        export_onnx(text_classifier(), tmp_path / "t.onnx")  # type: ignore[arg-type]
    anything = Classifier.build("fashion_resnet", NAMES, weights=None, image_size=None)
    with pytest.raises(BadInput, match="image_size=28"):
        export_onnx(anything, tmp_path / "a.onnx")
