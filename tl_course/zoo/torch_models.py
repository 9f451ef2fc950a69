"""Image models in PyTorch: those of the course from its assets, the rest from torchvision."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tl_course import assets
from tl_course.compat import torchvision
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.zoo import small_cnn
from tl_course.zoo.hub import short_timeout, unavailable
from tl_course.zoo.images_torch import TorchImageModel, head_input
from tl_course.zoo.pretrained import FASHION_MEAN, FASHION_STD, IMAGENET_MEAN, IMAGENET_STD, Weights

_MIN_SIZE = {"inception_v3": 75, "alexnet": 63}
_FIXED_SIZE = ("vit_", "maxvit")  # positions are learned for one image size


def names() -> list[str]:
    """Every image classifier torchvision has."""
    return torchvision().models.list_models(module=torchvision().models)


def _asset_state(name: str) -> dict[str, Tensor]:
    """The state_dict of an asset that is one safetensors file."""
    from safetensors.torch import load_file

    return load_file(Path(assets.path(name)))


def mobilenet_v2(weights: Weights, image_size: int | None, device: str | None) -> TorchImageModel:
    """torchvision's MobileNetV2, backbone pretrained; `classifier` is Identity, as no head comes with the weights."""
    model = torchvision().models.mobilenet_v2(weights=None, num_classes=1)
    model.classifier = nn.Identity()
    if weights is not None:
        model.load_state_dict(_asset_state("mobilenet_v2"))
    return TorchImageModel(
        "mobilenet_v2", weights, model, 1280, mean=IMAGENET_MEAN, std=IMAGENET_STD, image_size=image_size, device=device
    )


def fashion_resnet(weights: Weights, image_size: int | None, device: str | None) -> TorchImageModel:
    """The course's own network, with its head for the ten classes of Fashion-MNIST."""
    from tl_course.zoo.fashion_resnet_torch import FashionResNet

    model = FashionResNet()
    if weights is not None:
        model.load_state_dict(_asset_state("fashion_resnet"))
    return TorchImageModel(
        "fashion_resnet",
        weights,
        model,
        128,
        mean=FASHION_MEAN,
        std=FASHION_STD,
        image_size=image_size,
        min_size=8,
        device=device,
    )


def tiny_vit(weights: Weights, image_size: int | None, device: str | None) -> TorchImageModel:
    """The course's own Vision Transformer, with its head for the ten digits of cluttered_digits."""
    from tl_course.zoo.tiny_vit_sizes import MEAN, STD
    from tl_course.zoo.tiny_vit_torch import TinyViT

    model = TinyViT()
    if weights is not None:
        model.load_state_dict(_asset_state("tiny_vit"))
    return TorchImageModel(
        "tiny_vit", weights, model, model.sizes.dim, mean=MEAN, std=STD, image_size=image_size, device=device
    )


def small_cnn_model(name: str, weights: Weights, image_size: int | None, device: str | None) -> TorchImageModel:
    """The course's small CNN, of the width and the channels that its name says, with a head of one class."""
    from tl_course.pytorch import scratch

    small_cnn.check_weights(name, weights)
    width, channels = small_cnn.sizes_of(name) or (0, 0)
    widths = small_cnn.widths_of(width)
    model = scratch.small_cnn(channels, 1, seed=int(torch.randint(2**31, ())), widths=widths)
    return TorchImageModel(
        name,
        None,
        model,
        widths[-1],
        mean=(small_cnn.MEAN,) * channels,
        std=(small_cnn.STD,) * channels,
        image_size=image_size,
        min_size=small_cnn.MIN_SIZE,
        device=device,
    )


def hub_state(name: str) -> dict[str, Tensor]:
    """torchvision's weights by model name, from torch's cache or the network; only tensors are read, nothing is run."""
    entry = torchvision().models.get_model_weights(name).DEFAULT
    try:
        with short_timeout():
            return entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:  # unreachable, cut off, or holding more than tensors
        raise unavailable(name, error) from error


def _build(name: str, weights: Weights, image_size: int) -> nn.Module:
    """The network with random weights. Three families want to be told more than the others."""
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": weights is None, "transform_input": weights is not None}
    if name.startswith("vit_"):
        options = {"image_size": image_size}
    return torchvision().models.get_model(name, weights=None, **options)


def _feature_dim(model: nn.Module, image_size: int) -> int:
    """D, from a run on torch's meta device, which computes shapes only."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    on_meta = {key: tensor.detach().to("meta") for key, tensor in tensors.items()}
    shapes: list[torch.Size] = []
    hook = head_input(model).register_forward_pre_hook(lambda _module, args: shapes.append(args[0].shape))
    with torch.device("meta"), torch.inference_mode():
        functional_call(model.eval(), on_meta, torch.zeros(1, 3, image_size, image_size))
    hook.remove()
    return shapes[0][1]


def from_torchvision(
    name: str, weights: Weights, image_size: int | Literal["default"] | None, device: str | None
) -> TorchImageModel:
    """Any of `names()` with its head; weights from torchvision's hub or random."""
    preset = torchvision().models.get_model_weights(name).DEFAULT.transforms()
    trained_at = preset.crop_size[0]
    size = trained_at if image_size == "default" else image_size
    if name.startswith(_FIXED_SIZE) and size != trained_at:
        got = f"image_size={size}"
        raise BadInput(_("image_size={size} for {name}").format(size=trained_at, name=name), got, _("leave it out"))
    state = None if weights is None else hub_state(name)  # first, as building a large model takes seconds
    model = _build(name, weights, trained_at)
    if state is not None:
        model.load_state_dict(state)
    return TorchImageModel(
        name,
        weights,
        model,
        _feature_dim(model, trained_at),
        mean=preset.mean,
        std=preset.std,
        image_size=size,
        min_size=_MIN_SIZE.get(name, 32),
        device=device,
    )
