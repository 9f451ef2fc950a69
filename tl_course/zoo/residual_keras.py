"""Residual networks in Keras, laid out exactly as PyTorch's: fashion_resnet and torchvision's resnet18.

He, Zhang, Ren & Sun, Deep Residual Learning for Image Recognition, CVPR 2016. Layers carry the names PyTorch gives
their weights, so that `weights_keras.set_weights` needs no table. `keras.applications` has no ResNet this small.
"""

from typing import Any

import keras
from keras import layers

BATCH_NORM_EPSILON = 1e-5  # PyTorch's default; Keras's is 1e-3
FEATURES = "features"  # the layer whose output is the pooled features


def _conv_bn(x: Any, width: int, kernel_size: int, stride: int, conv: str, bn: str) -> Any:
    """Symmetric zero padding, convolution without bias, BatchNorm."""
    if kernel_size > 1:
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{conv}.pad")(x)
    x = layers.Conv2D(width, kernel_size, strides=stride, use_bias=False, name=conv)(x)
    return layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=bn)(x)


def _basic_block(x: Any, width: int, stride: int, name: str, shortcut: str) -> Any:
    """relu(shortcut(x) + two 3x3 convolutions); the shortcut is a 1x1 convolution where the shape changes."""
    out = layers.ReLU(name=f"{name}.relu1")(_conv_bn(x, width, 3, stride, f"{name}.conv1", f"{name}.bn1"))
    out = _conv_bn(out, width, 3, 1, f"{name}.conv2", f"{name}.bn2")
    if stride != 1 or x.shape[-1] != width:
        x = _conv_bn(x, width, 1, stride, f"{name}.{shortcut}.0", f"{name}.{shortcut}.1")
    return layers.ReLU(name=f"{name}.relu2")(layers.Add(name=f"{name}.add")([out, x]))


def _head(inputs: Any, feature_map: Any, num_classes: int, name: str) -> keras.Model:
    pooled = layers.GlobalAveragePooling2D(name=FEATURES)(feature_map)
    return keras.Model(inputs, layers.Dense(num_classes, name="fc")(pooled), name=name)


def fashion_resnet(num_classes: int = 10) -> keras.Model:
    """Normalised images (N, H, W, 1) -> logits (N, num_classes); layer "features" gives (N, 128). Random weights."""
    inputs = keras.Input((None, None, 1))
    x = layers.ReLU(name="stem.2")(_conv_bn(inputs, 32, 3, 1, "stem.0", "stem.1"))
    x = layers.MaxPooling2D(2, name="stem.3")(x)
    for stage, (width, stride) in enumerate([(32, 1), (64, 2), (128, 2)], start=1):
        x = _basic_block(x, width, stride, f"stage{stage}", "shortcut")
    return _head(inputs, x, num_classes, "fashion_resnet")


def resnet18(num_classes: int = 1000) -> keras.Model:
    """Normalised images (N, H, W, 3) -> logits (N, num_classes); layer "features" gives (N, 512). Random weights."""
    inputs = keras.Input((None, None, 3))
    x = layers.ReLU(name="relu")(_conv_bn(inputs, 64, 7, 2, "conv1", "bn1"))
    x = layers.ZeroPadding2D(1, name="maxpool.pad")(x)  # zeros cannot win: what comes in has passed a ReLU
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    for stage, width in enumerate([64, 128, 256, 512], start=1):
        for block in (0, 1):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _basic_block(x, width, stride, f"layer{stage}.{block}", "downsample")
    return _head(inputs, x, num_classes, "resnet18")
