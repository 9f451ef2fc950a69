"""BatchNorm folded into the convolutions before it, for inference: the same outputs from fewer operations."""

from typing import Any

import keras
import numpy as np

from tl_course.keras.cloning import copy_with, producers

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


@keras.saving.register_keras_serializable("tl_course")
class Folded(keras.layers.Layer):
    """Where a BatchNorm stood: passes its input on, and takes the arguments that a BatchNorm is called with."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """(N, ..., C) -> the same."""
        return inputs


def fold_batchnorm(model: keras.Model) -> keras.Model:
    """A copy whose convolutions do the work of the BatchNorm behind them too; for the equation see the PyTorch twin.

    Args:
        model: functional or sequential; left as it is.

    Returns:
        The copy, `Folded` in place of each folded BatchNorm. It is for inference: the original's BatchNorm in
        training mode would use the batch's own numbers. One that follows no linear convolution, or one whose output is
        read elsewhere too, stays.
    """
    before = producers(model)
    norms: dict[str, keras.layers.BatchNormalization] = {}
    for norm in model.layers:
        conv: Any = before.get(norm.name)
        folds = isinstance(norm, keras.layers.BatchNormalization) and isinstance(conv, _CONVOLUTIONS)
        if folds and conv.activation is keras.activations.linear:
            norms[conv.name] = norm
    folded = {norm.name for norm in norms.values()}

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        if layer.name in folded:
            return Folded(name=layer.name)
        if layer.name in norms:
            return type(layer).from_config({**layer.get_config(), "use_bias": True})
        return None

    copy, pairs = copy_with(model, replaced)
    for old, new in pairs:
        if old.name in norms:
            new.set_weights(_folded(old, norms[old.name]))
    return copy


def _folded(conv: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias that do both layers' work."""
    kernel, *rest = conv.get_weights()
    mean, variance = (np.asarray(values) for values in (norm.moving_mean, norm.moving_variance))
    gain = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        gain = gain * np.asarray(norm.gamma)
    bias = ((rest[0] if rest else 0.0) - mean) * gain + (np.asarray(norm.beta) if norm.center else 0.0)
    # (h, w, in, out); a depthwise kernel is (h, w, in, multiplier)
    shape = kernel.shape[2:] if isinstance(conv, keras.layers.DepthwiseConv2D) else (1, -1)
    return [kernel * gain.reshape(shape), bias]
