"""The candidates of a ranking, whatever they are: names, zoo models, bare modules and functions, all to features."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from tl_course.calibration import softmax
from tl_course.data.dataset import Split
from tl_course.errors import BadInput
from tl_course.fit_options import are_probabilities
from tl_course.i18n import _
from tl_course.zoo.pretrained import Framework, Pretrained

Extractor = Callable[[Any], np.ndarray]
"""Inputs (N, ...) -> one row for each, (N, D)."""


def loaded(model: Any, framework: Framework) -> Any:
    """A model of the zoo for a name; everything else as it is."""
    if isinstance(model, str):
        from tl_course import zoo

        return zoo.load(model, framework)
    return model


def framework_of(model: Any) -> str:
    if isinstance(model, Pretrained):
        return model.framework
    return "pytorch" if hasattr(model, "state_dict") else "keras" if hasattr(model, "get_weights") else ""


def features_of(model: Any, split: Split, batch_size: int, name: str) -> np.ndarray:
    """Frozen features (N, D) of the training examples."""
    kind = framework_of(model)
    if kind == "pytorch":
        from tl_course.pytorch.features import extract_features
    elif kind == "keras":
        from tl_course.keras.features import extract_features
    elif callable(model):
        return _from_function(cast(Extractor, model), split, name)
    else:
        raise BadInput(
            _("a name, a model of the zoo, a torch module, a Keras model or a function"),
            _("{type} for {name}").format(type=type(model).__name__, name=name),
            _("pass one that gives features (N, D)"),
        )
    return extract_features(model, split.x, batch_size=batch_size)


def _from_function(function: Extractor, split: Split, name: str) -> np.ndarray:
    features = np.asarray(function(split.x))
    if features.ndim != 2 or len(features) != len(split):
        raise BadInput(
            _("features ({count}, D) from {name}").format(count=len(split), name=name),
            _("shape {shape}").format(shape=features.shape),
            _("return one vector for every input, in their order"),
        )
    return features


def size_of(model: Any) -> tuple[int | None, float | None]:
    """Parameters, BatchNorm's statistics not counted, and megabytes (10^6 bytes) of all that is stored."""
    inner = getattr(model, "model", model)
    if hasattr(inner, "state_dict"):
        arrays = list(inner.state_dict().values())
        count = sum(p.numel() for p in inner.parameters())
        return count, sum(a.numel() * a.element_size() for a in arrays) / 1e6
    if hasattr(inner, "get_weights"):
        learned = [v for v in inner.weights if not v.path.endswith(("moving_mean", "moving_variance"))]
        return sum(int(np.prod(v.shape)) for v in learned), sum(a.nbytes for a in inner.get_weights()) / 1e6
    return None, None


def source_head(model: Any) -> Extractor | None:
    """What gives a zoo image model's source probabilities, inputs -> (N, Z); None where it came without a head."""
    if not isinstance(model, Pretrained) or not hasattr(model, "image_size"):
        return None
    if model.framework == "pytorch":
        return _torch_head(model)
    from tl_course.keras.heads import head as keras_head

    try:
        keras_head(model.model)
    except BadInput:
        return None
    return lambda inputs: _softmax(_in_batches(lambda x: np.asarray(model.model(model.preprocess(x))), inputs))


def _torch_head(model: Pretrained) -> Extractor | None:
    import torch
    from torch import nn

    from tl_course.pytorch.features import evaluation_mode
    from tl_course.pytorch.heads import head

    try:
        if isinstance(head(model.model), nn.Identity):
            return None
    except BadInput:
        return None

    def probabilities(inputs: Any) -> np.ndarray:
        with evaluation_mode(model.model), torch.inference_mode():
            return _softmax(_in_batches(lambda x: model.model(model.preprocess(x)).float().cpu().numpy(), inputs))

    return probabilities


def _in_batches(function: Extractor, inputs: Any, size: int = 64) -> np.ndarray:
    return np.concatenate([function(inputs[i : i + size]) for i in range(0, len(inputs), size)])


def _softmax(outputs: np.ndarray) -> np.ndarray:
    """Logits (N, Z) to probabilities; rows that are probabilities already stay."""
    outputs = np.asarray(outputs, dtype=np.float64)
    return outputs if are_probabilities(outputs) else softmax(outputs)
