"""A tiny backbone and head whose training is calculated in NumPy: linear layer, ReLU, linear layer."""

from collections.abc import Iterable
from typing import Any

import numpy as np

BACKBONE, HEAD = ("hidden_kernel", "hidden_bias"), ("head_kernel", "head_bias")
Weights = dict[str, np.ndarray]


def draw_weights(rng: np.random.Generator, features: int = 6, hidden: int = 5, num_classes: int = 3) -> Weights:
    """Random weights: hidden_kernel (features, hidden), head_kernel (hidden, num_classes) and their biases."""
    drawn = {
        "hidden_kernel": rng.normal(size=(features, hidden)) / np.sqrt(features),
        "hidden_bias": rng.uniform(0.1, 0.5, size=hidden),
        "head_kernel": rng.normal(size=(hidden, num_classes)) / np.sqrt(hidden),
        "head_bias": rng.normal(size=num_classes) / 10,
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def draw_batch(rng: np.random.Generator, count: int, features: int = 6, num_classes: int = 3) -> Weights:
    """Random inputs (count, features), float32, and labels (count,) among which every class occurs."""
    labels = rng.permutation(np.arange(count) % num_classes)
    return {"x": rng.normal(size=(count, features)).astype(np.float32), "y": labels}


def gradients(weights: Weights, batch: Weights) -> Weights:
    """Gradients of the mean cross-entropy of softmax(relu(x A + a) B + b), by the chain rule."""
    x = batch["x"].astype(np.float64)
    before = x @ weights["hidden_kernel"] + weights["hidden_bias"]
    hidden = np.maximum(before, 0)
    logits = hidden @ weights["head_kernel"] + weights["head_bias"]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = (odds / odds.sum(axis=1, keepdims=True) - np.eye(logits.shape[1])[batch["y"]]) / len(x)
    back = error @ weights["head_kernel"].T * (before > 0)
    return {
        "hidden_kernel": x.T @ back,
        "hidden_bias": back.sum(axis=0),
        "head_kernel": hidden.T @ error,
        "head_bias": error.sum(axis=0),
    }


class Momentum:
    """Gradient descent with momentum: v <- momentum * v + g, w <- w - lr * v (Sutskever et al., 2013)."""

    def __init__(self, weights: Weights, momentum: float = 0.0) -> None:
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}
        self.momentum = momentum
        self.velocity: Weights = {name: np.zeros(value.shape) for name, value in weights.items()}

    def step(self, batch: Weights, lr: float, trained: Iterable[str]) -> None:
        """Move the named weights; the others and their velocities stay."""
        found = gradients(self.weights, batch)
        for name in trained:
            self.velocity[name] = self.momentum * self.velocity[name] + found[name]
            self.weights[name] = self.weights[name] - lr * self.velocity[name]


def torch_model(weights: Weights) -> Any:
    """The model in PyTorch, with the attributes ``backbone`` and ``head``."""
    from collections import OrderedDict

    import torch
    from torch import nn

    (features, hidden), num_classes = weights["hidden_kernel"].shape, len(weights["head_bias"])
    backbone = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
    model = nn.Sequential(OrderedDict(backbone=backbone, head=nn.Linear(hidden, num_classes)))
    values = (weights[name].T for name in (*BACKBONE, *HEAD))
    model.load_state_dict(dict(zip(model.state_dict(), map(torch.tensor, values), strict=True)))
    return model


def keras_model(weights: Weights) -> Any:
    """The model in Keras, with layers named ``backbone`` and ``head``."""
    import keras
    from keras import layers

    (features, hidden), num_classes = weights["hidden_kernel"].shape, len(weights["head_bias"])
    inside = [keras.Input((features,)), layers.Dense(hidden, activation="relu", name="hidden")]
    backbone = keras.Sequential(inside, name="backbone")
    model = keras.Sequential([keras.Input((features,)), backbone, layers.Dense(num_classes, name="head")])
    model.set_weights([weights[name] for name in (*BACKBONE, *HEAD)])
    return model


def torch_weights(model: Any) -> Weights:
    """The weights a PyTorch model holds now, by our names."""
    values = [value.detach().numpy().T.copy() for value in model.state_dict().values()]
    return dict(zip((*BACKBONE, *HEAD), values, strict=True))


def keras_weights(model: Any) -> Weights:
    """The weights a Keras model holds now, by our names."""
    return dict(zip((*BACKBONE, *HEAD), model.get_weights(), strict=True))
