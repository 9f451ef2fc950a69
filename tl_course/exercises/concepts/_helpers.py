"""Layers with given weights, in PyTorch and in Keras."""

from typing import Any

import numpy as np


def torch_linear(kernel: np.ndarray, bias: np.ndarray) -> Any:
    """A `torch.nn.Linear` with a kernel (inputs, outputs) and a bias (outputs,)."""
    import torch

    layer = torch.nn.Linear(*kernel.shape)
    layer.load_state_dict({"weight": torch.from_numpy(kernel.T.copy()), "bias": torch.from_numpy(bias.copy())})
    return layer


def keras_dense(kernel: np.ndarray, bias: np.ndarray, name: str | None = None) -> Any:
    """A built `keras.layers.Dense` with a kernel (inputs, outputs) and a bias (outputs,)."""
    import keras

    layer = keras.layers.Dense(len(bias), name=name)
    layer.build((None, len(kernel)))
    layer.set_weights([kernel, bias])
    return layer
