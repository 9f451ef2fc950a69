"""Pretrained models by name, in PyTorch and in Keras, each with its own preprocessing.

>>> from tl_course import zoo
>>> model = zoo.load("mobilenet_v2", framework="keras", image_size=96)
>>> features = model.features(images)   # float32 (N, H, W, 3) in [0, 1] -> float32 (N, 1280)

mobilenet_v2, fashion_resnet, minilm and tiny_vit need no network once the course's assets are fetched.
"""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.zoo import small_cnn
from tl_course.zoo.hub import OFFLINE
from tl_course.zoo.inputs import check_image_size
from tl_course.zoo.pretrained import Framework, ImageModel, Pretrained, Weights

if TYPE_CHECKING:
    from tl_course.zoo.images_keras import KerasImageModel
    from tl_course.zoo.images_torch import TorchImageModel
    from tl_course.zoo.texts import TextModel
    from tl_course.zoo.texts_keras import KerasTextModel

__all__ = ["OFFLINE", "ImageModel", "Pretrained", "load", "names"]

_OWN_SIZE = {"mobilenet_v2": 224, "fashion_resnet": 28, "resnet18": 224, "tiny_vit": 48}


def names(framework: Framework = "pytorch", offline: bool = False) -> tuple[str, ...]:
    """The names `load` knows; beside these it takes Hugging Face names ("owner/name") of text encoders.

    Args:
        framework: "pytorch" or "keras".
        offline: only those whose pretrained weights need no hub.
    """
    _check_framework(framework)
    if offline:
        return OFFLINE
    if framework == "pytorch":
        from tl_course.zoo import torch_models

        hub = torch_models.names()
    else:
        from tl_course.zoo import keras_models

        hub = [*keras_models.names(), "resnet18"]
    return (*OFFLINE, *sorted(set(hub) - set(OFFLINE)))


def load(
    name: str,
    framework: Framework = "pytorch",
    weights: Weights = "pretrained",
    *,
    image_size: int | Literal["default"] | None = "default",
    device: str | None = None,
    attention: str = "sdpa",
) -> Any:
    """A model by name, ready to give features: a `Pretrained`.

    Args:
        name: one of `names(framework)`; also a Hugging Face text encoder: in PyTorch any ("owner/name" or a folder),
            in Keras the folder of a BERT; and "small_cnn_16x3", the course's small CNN with a first layer 16 wide for
            3 channels, which has random weights only.
        framework: "pytorch" or "keras".
        weights: "pretrained", or None for random weights, which never need the network.
        image_size: images are resized to this height and width (bilinear with antialiasing, nothing is cropped);
            "default" is the size the weights were trained at (mobilenet_v2: 224, fashion_resnet: 28, tiny_vit: 48 and
            no other), None leaves images as they are. Smaller is faster: time grows with the square, 96 takes a fifth
            of 224.
        device: PyTorch only: "cpu", "cuda", "mps" …; None takes the accelerator where there is one.
        attention: PyTorch's text models only: "sdpa", or "eager" to get attention maps (output_attentions=True). In
            Keras they are there for the asking.

    Returns:
        A `TorchImageModel`, `KerasImageModel`, `TextModel` or `KerasTextModel`, all with name, framework, weights,
        model, feature_dim, preprocess(inputs) and features(inputs, batch_size). `model` has its head, but for
        mobilenet_v2 (its weights come without one: `classifier` is Identity) and the models of keras.applications
        (average-pooled, no head).

    Raises:
        BadInput: unknown name, framework, weights or size; pretrained weights neither cached nor reachable.
    """
    _check_framework(framework)
    if weights not in ("pretrained", None):
        raise BadInput(_("weights 'pretrained' or None"), repr(weights), _("None means random weights"))
    if image_size != "default":
        check_image_size(image_size, 8 if name == "fashion_resnet" or small_cnn.sizes_of(name) else 32)
    if name == "tiny_vit" and image_size not in ("default", _OWN_SIZE[name]):
        raise BadInput(
            _("image_size={size} for {name}").format(size=_OWN_SIZE[name], name=name),
            f"image_size={image_size}",
            _("leave it out: its position vectors are made for one size, and images are resized to it"),
        )
    if framework == "keras" and device is not None:
        raise BadInput(
            _("device only with framework='pytorch'"), f"device={device!r}", _("leave it out: Keras chooses")
        )
    if name == "minilm" or "/" in name or os.sep in name:
        if image_size != "default":
            raise BadInput(_("image_size only for image models"), f"image_size={image_size}", _("leave it out"))
        return _load_text(name, framework, weights, device, attention)
    if framework == "pytorch":
        return _load_torch(name, weights, image_size, device)
    return _load_keras(name, weights, image_size)


def _load_text(
    name: str, framework: Framework, weights: Weights, device: str | None, attention: str
) -> "TextModel | KerasTextModel":
    if framework == "keras":
        return _load_text_keras(name, weights)
    from tl_course.zoo import texts

    if name == "minilm":
        return texts.minilm(weights, device, attention)
    return texts.from_hugging_face(name, weights, device, attention)


def _load_text_keras(name: str, weights: Weights) -> "KerasTextModel":
    if name != "minilm" and not Path(name).is_dir():
        raise BadInput(
            _("framework='pytorch' for the text encoder {name}").format(name=name),
            repr("keras"),
            _("transformers has no Keras models; here Keras has minilm, and any BERT whose folder you give"),
        )
    from tl_course.zoo import texts_keras

    return texts_keras.minilm(weights) if name == "minilm" else texts_keras.from_folder(name, Path(name), weights)


def _load_torch(
    name: str, weights: Weights, image_size: int | Literal["default"] | None, device: str | None
) -> "TorchImageModel":
    from tl_course.zoo import torch_models

    if name in ("mobilenet_v2", "fashion_resnet", "tiny_vit"):
        size = _OWN_SIZE[name] if image_size == "default" else image_size
        return getattr(torch_models, name)(weights, size, device)
    if small_cnn.sizes_of(name):
        return torch_models.small_cnn_model(
            name, weights, small_cnn.SIZE if image_size == "default" else image_size, device
        )
    if name not in torch_models.names():
        raise _unknown(name, "pytorch")
    return torch_models.from_torchvision(name, weights, image_size, device)


def _load_keras(name: str, weights: Weights, image_size: int | Literal["default"] | None) -> "KerasImageModel":
    from tl_course.zoo import keras_models

    if name in _OWN_SIZE:
        size = _OWN_SIZE[name] if image_size == "default" else image_size
        return getattr(keras_models, name)(weights, size)
    if small_cnn.sizes_of(name):
        return keras_models.small_cnn_model(name, weights, small_cnn.SIZE if image_size == "default" else image_size)
    if name not in keras_models.names():
        raise _unknown(name, "keras")
    return keras_models.from_applications(name, weights, image_size)


def _check_framework(framework: str) -> None:
    if framework not in get_args(Framework):
        raise BadInput(_("framework 'pytorch' or 'keras'"), repr(framework), _("choose one of the two"))


def _unknown(name: str, framework: Framework) -> BadInput:
    close = get_close_matches(name.lower(), names(framework), n=3, cutoff=0.6)
    listing = _("zoo.names({framework!r}) lists all; Hugging Face names look like owner/name").format(
        framework=framework
    )
    if close:
        listing = _("did you mean {names}?").format(names=" or ".join(close)) + " " + listing
    return BadInput(_("a model name that {framework} has").format(framework=framework), repr(name), listing)
