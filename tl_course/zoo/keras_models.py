"""Image models in Keras: those of the course and resnet18 as in PyTorch, the rest from keras.applications."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import keras
import numpy as np

from tl_course import assets
from tl_course.zoo import mobilenet_keras, residual_keras, small_cnn
from tl_course.zoo.hub import short_timeout, unavailable
from tl_course.zoo.images_keras import KerasImageModel, standardise
from tl_course.zoo.pretrained import FASHION_MEAN, FASHION_STD, IMAGENET_MEAN, IMAGENET_STD, Weights
from tl_course.zoo.weights_keras import set_weights

# The sizes keras.applications' networks were trained at, where it is not 224.
_TRAINED_AT = {
    "InceptionV3": 299,
    "InceptionResNetV2": 299,
    "Xception": 299,
    "NASNetLarge": 331,
    **{f"EfficientNetB{i}": size for i, size in enumerate((240, 260, 300, 380, 456, 528, 600), start=1)},
    **{f"EfficientNetV2B{i}": size for i, size in enumerate((240, 260, 300), start=1)},
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}
_MIN_SIZE = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}


def _builders() -> dict[str, str]:
    """Lower-case name -> the function's name in keras.applications."""
    found = [
        name for name in dir(keras.applications) if name[0].isupper() and callable(getattr(keras.applications, name))
    ]
    return {name.lower(): name for name in found if name != "MobileNetV2"}


def names() -> list[str]:
    """Every network keras.applications has, in lower case; mobilenet_v2 is the course's own port."""
    return sorted(_builders())


def _asset_state(name: str) -> dict[str, np.ndarray]:
    """The arrays of an asset that is one safetensors file."""
    from safetensors.numpy import load_file

    return load_file(Path(assets.path(name)))


def mobilenet_v2(weights: Weights, image_size: int | None) -> KerasImageModel:
    """torchvision's MobileNetV2 without head, its features equal to PyTorch's."""
    model = mobilenet_keras.build()
    if weights is not None:
        mobilenet_keras.port(model, _asset_state("mobilenet_v2"))
    scale = standardise(IMAGENET_MEAN, IMAGENET_STD)
    return KerasImageModel("mobilenet_v2", weights, model, 1280, scale=scale, image_size=image_size)


def _residual(
    model: keras.Model, weights: Weights, state: Callable[[], Mapping[str, np.ndarray]], **options: Any
) -> KerasImageModel:
    """Wrap one of residual_keras' networks."""
    if weights is not None:
        set_weights(model, state())
    feature_dim = model.get_layer(residual_keras.FEATURES).output.shape[-1]
    return KerasImageModel(model.name, weights, model, feature_dim, feature_layer=residual_keras.FEATURES, **options)


def fashion_resnet(weights: Weights, image_size: int | None) -> KerasImageModel:
    """The course's own network, with its head for the ten classes of Fashion-MNIST."""
    return _residual(
        residual_keras.fashion_resnet(),
        weights,
        lambda: _asset_state("fashion_resnet"),
        scale=standardise(FASHION_MEAN, FASHION_STD),
        image_size=image_size,
        channels=1,
        min_size=8,
    )


def tiny_vit(weights: Weights, image_size: int | None) -> KerasImageModel:
    """The course's own Vision Transformer, with its head for the ten digits of cluttered_digits."""
    from tl_course.zoo import tiny_vit_keras
    from tl_course.zoo.tiny_vit_sizes import MEAN, STD

    model = tiny_vit_keras.TinyViT()
    if weights is not None:
        tiny_vit_keras.port(model, _asset_state("tiny_vit"))
    return KerasImageModel(
        "tiny_vit",
        weights,
        model,
        model.sizes.dim,
        scale=standardise(MEAN, STD),
        image_size=image_size,
        channels=1,
        feature_layer=tiny_vit_keras.FEATURES,
    )


def small_cnn_model(name: str, weights: Weights, image_size: int | None) -> KerasImageModel:
    """The course's small CNN, of the width and the channels that its name says, with a head of one class."""
    from tl_course.keras import scratch

    small_cnn.check_weights(name, weights)
    width, channels = small_cnn.sizes_of(name) or (0, 0)
    widths = small_cnn.widths_of(width)
    return KerasImageModel(
        name,
        None,
        scratch.small_cnn(channels, 1, seed=random.randrange(2**20), widths=widths),
        widths[-1],
        scale=standardise((small_cnn.MEAN,) * channels, (small_cnn.STD,) * channels),
        image_size=image_size,
        channels=channels,
        min_size=small_cnn.MIN_SIZE,
        feature_layer=scratch.FEATURES,
    )


def resnet18(weights: Weights, image_size: int | None) -> KerasImageModel:
    """torchvision's ResNet-18 with its head; keras.applications has none, so the weights are torchvision's."""

    def state() -> dict[str, np.ndarray]:
        from tl_course.zoo.torch_models import hub_state

        return {key: value.numpy() for key, value in hub_state("resnet18").items()}

    scale = standardise(IMAGENET_MEAN, IMAGENET_STD)
    return _residual(residual_keras.resnet18(), weights, state, scale=scale, image_size=image_size)


def _module_of(function: str) -> ModuleType:
    """The module of keras.applications that holds the function, and with it preprocess_input."""
    if function.startswith("MobileNetV3"):
        return keras.applications.mobilenet_v3  # holds preprocess_input, not the functions
    modules = [value for value in vars(keras.applications).values() if isinstance(value, ModuleType)]
    return next(module for module in modules if hasattr(module, function) and hasattr(module, "preprocess_input"))


def from_applications(name: str, weights: Weights, image_size: int | Literal["default"] | None) -> KerasImageModel:
    """Any of `names()` without head, average-pooled; weights from Keras's hub or random."""
    function = _builders()[name]
    build = getattr(keras.applications, function)
    trained_at = _TRAINED_AT.get(function, 224)
    size = trained_at if image_size == "default" else image_size
    # Random NASNets of unknown input size cannot be built, so these get theirs; the others take any.
    shape = (trained_at, trained_at, 3) if function.startswith("NASNet") else None
    options = {"include_top": False, "pooling": "avg", "input_shape": shape}
    if weights is None:
        model = build(weights=None, **options)
    else:
        try:
            with short_timeout():
                model = build(weights="imagenet", **options)
        except Exception as error:  # keras.utils.get_file raises nothing more exact
            raise unavailable(name, error) from error
    preprocess_input = _module_of(function).preprocess_input
    return KerasImageModel(
        name,
        weights,
        model,
        model.output_shape[-1],
        scale=lambda x: preprocess_input(x * 255.0),
        image_size=size,
        min_size=_MIN_SIZE.get(function, 32),
    )
