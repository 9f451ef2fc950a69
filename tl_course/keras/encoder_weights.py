"""The weights of our Keras encoders under PyTorch's names and in PyTorch's layout: one file serves both frameworks."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

import keras
import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _

_IN_A_BLOCK = (
    *("attention.query", "attention.key", "attention.value", "attention.out"),
    *("attention_norm", "expand", "contract", "feed_forward_norm"),
)

NamedLayers = Mapping[str, keras.layers.Layer]


def encoder_layers(encoder: Any) -> dict[str, keras.layers.Layer]:
    """Every layer of an `Encoder` that has weights, by the name PyTorch's encoder gives it."""
    parts = {f"embeddings.{name}": getattr(encoder.embeddings, name) for name in ("tokens", "positions", "segments")}
    parts |= {"embeddings.norm": encoder.embeddings.norm, **block_layers(encoder.blocks), "norm": encoder.norm}
    return {name: layer for name, layer in parts.items() if layer is not None}


def block_layers(blocks: Iterable[Any]) -> dict[str, keras.layers.Layer]:
    """Every layer of a list of `EncoderBlock` that has weights, by name: "blocks.0.attention.query" …"""
    return {
        f"blocks.{number}.{name}": attrgetter(name)(block)
        for number, block in enumerate(blocks)
        for name in _IN_A_BLOCK
    }


def get_state(layers: NamedLayers) -> dict[str, np.ndarray]:
    """The weights as PyTorch's state_dict has them: arrays by name, linear maps as (out, in)."""
    return {
        name: np.ascontiguousarray(_turned(name, variable.numpy(), layers))
        for name, variable in _variables(layers).items()
    }


def set_state(layers: NamedLayers, state: Mapping[str, np.ndarray]) -> None:
    """Copy a PyTorch state_dict, as arrays, into these layers.

    Raises:
        BadInput: an array is missing, left over, or has another shape; nothing is copied then.
    """
    variables = _variables(layers)
    remedy = _("build it with the sizes the weights were saved with")
    for name in sorted(variables.keys() ^ state.keys()):
        raise BadInput(_("weights of this very encoder"), _("{name} only in one of the two").format(name=name), remedy)
    turned = {name: _turned(name, np.asarray(state[name]), layers) for name in variables}
    for name, variable in variables.items():
        if turned[name].shape != tuple(variable.shape):
            wanted = _turned(name, np.empty(variable.shape), layers).shape
            raise BadInput(
                _("{name} of shape {shape}").format(name=name, shape=wanted),
                _("shape {shape}").format(shape=np.shape(state[name])),
                remedy,
            )
    for name, variable in variables.items():
        variable.assign(turned[name])


def _variables(layers: NamedLayers) -> dict[str, keras.Variable]:
    """PyTorch's name of each weight -> the Keras variable."""
    found = {}
    for name, layer in layers.items():
        if isinstance(layer, keras.layers.Embedding):
            found[f"{name}.weight"] = layer.embeddings
        elif isinstance(layer, keras.layers.LayerNormalization):
            found |= {f"{name}.weight": layer.gamma, f"{name}.bias": layer.beta}
        else:
            found |= {f"{name}.weight": layer.kernel, f"{name}.bias": layer.bias}
    return found


def _turned(name: str, array: np.ndarray, layers: NamedLayers) -> np.ndarray:
    """Dense kernels are (in, out), PyTorch's linear maps (out, in); all else is laid out alike."""
    path, _dot, kind = name.rpartition(".")
    return array.T if kind == "weight" and isinstance(layers[path], keras.layers.Dense) else array
