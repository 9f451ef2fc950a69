"""From Keras to one .onnx file, which onnxruntime runs without TensorFlow, and to Keras's own .keras file."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from tl_course import onnx_file
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.classifier import Classifier, normalisation
from tl_course.keras.text_classifier import TextClassifier
from tl_course.onnx_file import Description

_OPSET = 18


def export_onnx(classifier: Classifier, path: str | Path, *, image_size: int | None = None) -> Path:
    """Write an image classifier as one .onnx file, with class names and preprocessing; see `pytorch.export`.

    The graph takes any number of images, channels last as in Keras. tf2onnx translates it, as `keras.Model.export`
    does.

    Args:
        classifier: left as it was.
        path: usually ends in .onnx.
        image_size: height and width of the images, needed only where the classifier takes any.

    Raises:
        BadInput: a text classifier (tf2onnx knows no operation for their exact GELU), or one without an image size.
    """
    if isinstance(classifier, TextClassifier):
        remedy = _("build it in PyTorch and export that: tl_course.pytorch.export")
        raise BadInput(_("an image classifier"), _("a text classifier in Keras"), remedy)
    backbone = classifier.backbone
    size = backbone.image_size or image_size
    if size is None:
        raise BadInput(
            _("an image size"), _("a classifier that takes any"), _("say which: export_onnx(…, image_size=28)")
        )
    mean, std = normalisation(backbone)
    description = Description(
        "image", classifier.class_names, "keras", image_size=size, mean=mean, std=std, layout="NHWC"
    )
    return onnx_file.write(path, _graph(classifier, size), description)


def save_keras(classifier: Classifier, path: str | Path) -> Path:
    """Write the model alone as Keras's own file: architecture, weights, optimizer; neither classes nor preprocessing.

    Args:
        classifier: of images.
        path: must end in .keras.

    Raises:
        BadInput: another ending.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise BadInput(_("a file name that ends in .keras"), path.name, _("rename it"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's, of how it asks TensorFlow for arrays
        classifier.model.save(path)
    return path


def _graph(classifier: Classifier, size: int) -> Any:
    """The ONNX graph in inference mode; its first axis may have any length."""
    with _quiet():
        import tf2onnx

        spec = tf.TensorSpec((None, size, size, classifier.backbone.channels), tf.float32, name="images")
        forward = tf.function(lambda images: classifier.model(images, training=False), autograph=False)
        model, _tensors = tf2onnx.convert.from_function(forward, input_signature=[spec], opset=_OPSET)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without tf2onnx's progress messages."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
