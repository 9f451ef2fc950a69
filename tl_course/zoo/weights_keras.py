"""PyTorch weights into Keras layers: which axis goes where."""

from collections.abc import Mapping

import keras
import numpy as np

from tl_course.errors import BadInput


def _arrays(layer: keras.layers.Layer, state: Mapping[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """The layer's arrays, in the order and layout Keras keeps them."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return [state[f"{prefix}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")]
    kernel = state[f"{prefix}.weight"]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = kernel.transpose(2, 3, 0, 1)  # (channels, 1, H, W) -> (H, W, channels, 1)
    elif isinstance(layer, keras.layers.Conv2D):
        kernel = kernel.transpose(2, 3, 1, 0)  # (out, in, H, W) -> (H, W, in, out)
    else:
        kernel = kernel.T  # Linear (out, in) -> Dense (in, out)
    return [kernel, state[f"{prefix}.bias"]] if layer.use_bias else [kernel]


def set_weights(model: keras.Model, state: Mapping[str, np.ndarray], names: Mapping[str, str] | None = None) -> None:
    """Copy a PyTorch state_dict into a Keras model, layer by layer, by name.

    Args:
        model: its layers with weights are convolutions, depthwise convolutions, BatchNorm and Dense.
        state: PyTorch's state_dict as NumPy arrays.
        names: Keras layer name -> prefix in `state`; None when the layers are named after the prefixes.

    Raises:
        BadInput: an array is missing, left over, or has another shape.
    """
    layers = [layer for layer in model.layers if layer.weights]
    prefixes = {layer.name: names[layer.name] if names is not None else layer.name for layer in layers}
    used = {key for key in state if key.rpartition(".")[0] in set(prefixes.values())}
    left_over = [key for key in state if key not in used]
    if left_over:
        raise BadInput(f"weights of {model.name} only", f"also {left_over[0]}", "load the weights of this very model")
    for layer in layers:
        try:
            layer.set_weights(_arrays(layer, state, prefixes[layer.name]))
        except (KeyError, ValueError) as error:
            raise BadInput(
                f"weights that fit layer {layer.name}", str(error), "load the weights of this very model"
            ) from error
