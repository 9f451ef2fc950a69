"""The model behind `predict`: a classifier of either framework, or one exported to ONNX, which needs neither."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tl_course import classifier_file
from tl_course.classifier_file import Kind
from tl_course.systems.building import check_kind, load_classifier

ANY_SIZE = 224
"""Side that images are read at for a classifier that takes any."""

SUFFIX = ".onnx"
"""How the name of an exported model's file ends."""


@dataclass(frozen=True)
class SavedModel:
    """What a prediction needs of a model, wherever it runs.

    Attributes:
        kind: what it classifies, "image" or "text".
        class_names: K names.
        image_size: side that images are read at; 0 for texts.
        channels: 3 for colour, 1 for grey; 0 for texts.
        predict_proba: images float32 (N, H, W, C) in [0, 1], or texts (N,) -> probabilities float32 (N, K).
    """

    kind: Kind
    class_names: tuple[str, ...]
    image_size: int
    channels: int
    predict_proba: Callable[[Any], np.ndarray]


def load_model(model_file: str | Path, kind: Kind | None = None) -> SavedModel:
    """The model in a file.

    Args:
        model_file: what a system or `save` wrote, in either framework; or a file named *.onnx that `export_onnx` wrote,
            for which neither PyTorch nor TensorFlow is loaded.
        kind: refuse one of another; None takes either.

    Raises:
        BadInput: no such file, or it is damaged or something else.
    """
    file = Path(model_file).expanduser()
    if file.suffix.lower() == SUFFIX:
        model = _exported(file)
        check_kind(file, model.kind, kind)
        return model
    classifier = load_classifier(file, kind)
    backbone = classifier.backbone
    if hasattr(backbone, "tokenizer"):
        return SavedModel("text", classifier.class_names, 0, 0, classifier.predict_proba)
    size = backbone.image_size or ANY_SIZE
    return SavedModel("image", classifier.class_names, size, backbone.channels, classifier.predict_proba)


def kind_of(model_file: str | Path) -> Kind:
    """What the model in a file classifies. Raises BadInput as `load_model`."""
    file = Path(model_file).expanduser()
    return _exported(file).kind if file.suffix.lower() == SUFFIX else classifier_file.read(file).kind


def _exported(file: Path) -> SavedModel:
    from tl_course.exported_model import load_onnx

    model = load_onnx(file)
    return SavedModel(model.kind, model.class_names, model.image_size, model.channels, model.predict_proba)
