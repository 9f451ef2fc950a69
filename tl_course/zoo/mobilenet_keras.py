"""torchvision's MobileNetV2 in Keras, feature for feature.

Sandler, Howard, Zhu, Zhmoginov & Chen, MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.

`keras.applications.MobileNetV2` is the same network but for three details. Each has to be right before weights trained
in PyTorch give the same features:

1. stride-2 layers pad all four sides (Keras pads bottom and right only; its first convolution, with "same", too);
2. BatchNorm adds 1e-5 to the variance (Keras's MobileNetV2: 1e-3);
3. images are normalised with ImageNet's mean and standard deviation (Keras's: to [-1, 1]), see `TorchImageModel`.
"""

from typing import Any

import keras
import numpy as np

from tl_course.zoo.weights_keras import set_weights


def _like_torchvision(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A fresh layer like `layer`, with torchvision's padding and epsilon."""
    config: dict[str, Any] = layer.get_config()
    if isinstance(layer, keras.layers.ZeroPadding2D):
        config["padding"] = 1
    elif isinstance(layer, keras.layers.BatchNormalization):
        config["epsilon"] = 1e-5
    elif layer.name == "Conv1":
        config["padding"] = "valid"
    return type(layer).from_config(config)


def _call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
    """Call the layer; the first convolution gets the padding it no longer does itself."""
    if layer.name == "Conv1":
        return layer(keras.layers.ZeroPadding2D(1, name="Conv1_pad")(args[0]))
    return layer(*args, **kwargs)


def build() -> keras.Model:
    """MobileNetV2 without head: normalised images (N, H, W, 3) -> features (N, 1280). Random weights."""
    # The input shape only decides which of two paddings Keras picks; ours replaces either, so any size fits.
    original = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, weights=None, pooling="avg", name="mobilenet_v2"
    )
    return keras.models.clone_model(original, clone_function=_like_torchvision, call_function=_call)


def _names() -> dict[str, str]:
    """Keras layer name -> torchvision's prefix of the same layer."""
    names = {
        "Conv1": "features.0.0",
        "bn_Conv1": "features.0.1",
        "expanded_conv_depthwise": "features.1.conv.0.0",
        "expanded_conv_depthwise_BN": "features.1.conv.0.1",
        "expanded_conv_project": "features.1.conv.1",
        "expanded_conv_project_BN": "features.1.conv.2",
        "Conv_1": "features.18.0",
        "Conv_1_bn": "features.18.1",
    }
    for block in range(1, 17):
        prefix = f"features.{block + 1}.conv"
        names |= {
            f"block_{block}_expand": f"{prefix}.0.0",
            f"block_{block}_expand_BN": f"{prefix}.0.1",
            f"block_{block}_depthwise": f"{prefix}.1.0",
            f"block_{block}_depthwise_BN": f"{prefix}.1.1",
            f"block_{block}_project": f"{prefix}.2",
            f"block_{block}_project_BN": f"{prefix}.3",
        }
    return names


def port(model: keras.Model, state: dict[str, np.ndarray]) -> None:
    """Copy torchvision's weights (keys "features.…") into `build()`'s model."""
    set_weights(model, state, _names())
