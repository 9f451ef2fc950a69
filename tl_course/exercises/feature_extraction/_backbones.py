"""Tiny backbones with known weights, in PyTorch, in Keras and calculated in NumPy."""

from typing import Any

import numpy as np

EPSILON = 1e-5


def backbone_weights(rng: np.random.Generator, channels: int = 3, features: int = 4) -> dict[str, np.ndarray]:
    """Weights of a tiny backbone: a 1 x 1 convolution and a BatchNorm whose statistics are not the batch's."""
    drawn = {
        "kernel": rng.normal(size=(1, 1, channels, features)),
        "gamma": rng.uniform(0.5, 1.5, size=features),
        "beta": rng.uniform(0.2, 0.8, size=features),
        "mean": rng.normal(size=features),
        "variance": rng.uniform(0.5, 2, size=features),
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def backbone_features(weights: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """What a tiny backbone with these weights returns in inference mode.

    Args:
        weights: kernel (h, w, C, D), and gamma, beta, mean and variance, each (D,).
        images: (N, H, W, C), scaled as the weights want it.

    Returns:
        Features, float64, shape (N, D).
    """
    values = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    window = values["kernel"].shape[:2]
    patches = np.lib.stride_tricks.sliding_window_view(images, window, axis=(1, 2))  # (N, H', W', C, h, w)
    maps = np.einsum("nhwcij,ijcd->nhwd", patches, values["kernel"])
    maps = (maps - values["mean"]) / np.sqrt(values["variance"] + EPSILON) * values["gamma"] + values["beta"]
    return np.maximum(maps, 0).mean(axis=(1, 2))


def torch_backbone(weights: dict[str, np.ndarray], dropout: float = 0.0) -> Any:
    """The tiny backbone in PyTorch: convolution, BatchNorm, ReLU, Dropout, global average pooling."""
    import torch
    from torch import nn

    given = {name: torch.from_numpy(weights[name]) for name in ("kernel", "gamma", "beta", "mean", "variance")}
    height, width, channels, features = given["kernel"].shape
    convolution = nn.Conv2d(channels, features, (height, width), bias=False)
    convolution.load_state_dict({"weight": given["kernel"].permute(3, 2, 0, 1)})
    norm = nn.BatchNorm2d(features, eps=EPSILON)
    statistics = {"running_mean": given["mean"], "running_var": given["variance"]}
    norm.load_state_dict({"weight": given["gamma"], "bias": given["beta"], **statistics}, strict=False)
    return nn.Sequential(convolution, norm, nn.ReLU(), nn.Dropout(dropout), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def keras_backbone(weights: dict[str, np.ndarray], dropout: float = 0.0) -> Any:
    """The tiny backbone in Keras, with the same layers."""
    import keras
    from keras import layers

    height, width, channels, features = weights["kernel"].shape
    images = keras.Input((None, None, channels))
    norm = layers.BatchNormalization(epsilon=EPSILON)
    hidden = layers.ReLU()(norm(layers.Conv2D(features, (height, width), use_bias=False)(images)))
    backbone = keras.Model(images, layers.GlobalAveragePooling2D()(layers.Dropout(dropout)(hidden)))
    backbone.set_weights([weights[name] for name in ("kernel", "gamma", "beta", "mean", "variance")])
    return backbone


def counting(backbone: Any) -> Any:
    """A Keras model around a backbone: ``passes`` counts how often it runs, ``largest`` is its largest batch."""
    import keras
    from keras import ops

    class Counting(keras.Model):
        """The backbone, noting how many images it gets."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = backbone
            self.passes, self.largest = (
                self.add_weight(name=name, dtype="int32", initializer="zeros", trainable=False)
                for name in ("passes", "largest")
            )

        def call(self, images, training=False):
            self.passes.assign_add(1)
            self.largest.assign(ops.maximum(self.largest, ops.shape(images)[0]))
            return self.inner(images, training=training)

    return Counting()
