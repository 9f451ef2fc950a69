"""Tiny image classifiers with blocks, BatchNorm and a head, in PyTorch, in Keras and calculated in NumPy."""

from typing import Any

import numpy as np

EPSILON = 1e-5
NORM = ("gamma", "beta", "mean", "variance")
Weights = dict[str, np.ndarray]


def draw_weights(rng: np.random.Generator, channels: int = 3, features: int = 5, num_classes: int = 4) -> Weights:
    """Weights of a 1 x 1 convolution, a BatchNorm whose statistics are not those of the batch, and a linear head."""
    drawn = {
        "kernel": rng.normal(size=(1, 1, channels, features)),
        "gamma": rng.uniform(0.5, 1.5, size=features),
        "beta": rng.uniform(0.2, 0.8, size=features),
        "mean": rng.normal(size=features),
        "variance": rng.uniform(0.5, 2, size=features),
        "head_kernel": rng.normal(size=(features, num_classes)),
        "head_bias": rng.normal(size=num_classes),
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def features(weights: Weights, images: np.ndarray) -> np.ndarray:
    """Pooled features (N, D) of images (N, H, W, C) in inference mode: convolution, BatchNorm, ReLU, average."""
    values = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    maps = images @ values["kernel"][0, 0]
    maps = (maps - values["mean"]) / np.sqrt(values["variance"] + EPSILON) * values["gamma"] + values["beta"]
    return np.maximum(maps, 0).mean(axis=(1, 2))


def torch_backbone(weights: Weights) -> Any:
    """The backbone in PyTorch; its BatchNorm lies inside a block."""
    import torch
    from torch import nn

    channels, width = weights["kernel"].shape[2:]
    block = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width, eps=EPSILON), nn.ReLU())
    block[0].load_state_dict({"weight": torch.tensor(weights["kernel"].transpose(3, 2, 0, 1).copy())})
    names = dict(zip(("weight", "bias", "running_mean", "running_var"), NORM, strict=True))
    block[1].load_state_dict({key: torch.tensor(weights[name]) for key, name in names.items()}, strict=False)
    return nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def torch_head(weights: Weights) -> Any:
    """The linear head in PyTorch."""
    import torch
    from torch import nn

    head = nn.Linear(*weights["head_kernel"].shape)
    head.load_state_dict(
        {"weight": torch.tensor(weights["head_kernel"].T.copy()), "bias": torch.tensor(weights["head_bias"])}
    )
    return head


def torch_images(images: np.ndarray) -> Any:
    """Images (N, H, W, C) as a PyTorch tensor (N, C, H, W)."""
    import torch

    return torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def keras_backbone(weights: Weights) -> Any:
    """The backbone in Keras, with the same layers, named ``backbone``."""
    import keras
    from keras import layers

    images = keras.Input((None, None, weights["kernel"].shape[2]))
    maps = layers.Conv2D(weights["kernel"].shape[3], 1, use_bias=False)(images)
    maps = layers.ReLU()(layers.BatchNormalization(epsilon=EPSILON, momentum=0.9)(maps))
    backbone = keras.Model(images, layers.GlobalAveragePooling2D()(maps), name="backbone")
    backbone.set_weights([weights["kernel"], *(weights[name] for name in NORM)])
    return backbone


def keras_head(weights: Weights) -> Any:
    """The linear head in Keras, named ``head``."""
    from keras import layers

    head = layers.Dense(weights["head_kernel"].shape[1], name="head")
    head.build((None, weights["head_kernel"].shape[0]))
    head.set_weights([weights["head_kernel"], weights["head_bias"]])
    return head
