"""A Keras text classifier's encoder as plain JSON values, its weights as arrays, and both back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from tl_course import text_files
from tl_course.classifier_file import ClassifierFile
from tl_course.encoder_config import EncoderConfig
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.encoder import Encoder
from tl_course.keras.encoder_weights import encoder_layers, get_state, set_state
from tl_course.zoo.texts_keras import KerasTextModel


def describe(backbone: KerasTextModel, pooling: str, dropout: float) -> dict[str, Any]:
    """What `rebuild` needs, and the head's options."""
    config = asdict(backbone.model.config)
    return text_files.describe(backbone.tokenizer, backbone.max_tokens, config, pooling, dropout)


def rebuild(name: str, details: Mapping[str, Any]) -> KerasTextModel:
    """The encoder that was described, with random weights, and its tokenizer, equal to the original.

    Raises:
        BadInput: a part of the description is missing.
    """
    tokenizer = text_files.rebuild_tokenizer(details)
    try:
        config = EncoderConfig(**details["config"])
    except TypeError as error:
        raise BadInput(
            _("the settings of an encoder of the course"), str(error), _("save the classifier again")
        ) from error
    return KerasTextModel(name, None, Encoder(config), tokenizer, details["max_tokens"])


def weights(model: Any) -> dict[str, np.ndarray]:
    """A `TextNetwork`'s weights by name, laid out as PyTorch's; LoRA is merged into them."""
    return get_state(_layers(model))


def set_weights(model: Any, content: ClassifierFile) -> None:
    """Copy a file's arrays into a `TextNetwork`.

    Raises:
        BadInput: they are not the weights of this network.
    """
    set_state(_layers(model), content.weights)


def _layers(model: Any) -> dict[str, keras.layers.Layer]:
    inside = {f"encoder.{name}": layer for name, layer in encoder_layers(model.encoder).items()}
    added = {
        f"adapters.{number}.{name}": getattr(adapter, name)
        for number, adapter in enumerate(model.adapters.adapters)
        for name in ("down", "up")
    }
    return {**inside, **added, "head": model.head}
