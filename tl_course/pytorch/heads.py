"""The classification head of any PyTorch classifier: finding it and giving it new classes."""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tl_course.errors import BadInput
from tl_course.i18n import _

_ACTIVATIONS = (nn.ReLU, nn.Softmax, nn.LogSoftmax, nn.Sigmoid)
_AROUND_A_HEAD = (*_ACTIVATIONS, nn.Dropout, nn.Flatten, nn.AvgPool2d, nn.AdaptiveAvgPool2d)  # without weights
_AUXILIARY = ("aux1", "aux2", "AuxLogits")  # second heads of GoogLeNet and Inception, used in training only
_ANY_SIZE = 224  # every torchvision classifier takes it; only shapes are computed


def replace_head(model: nn.Module, num_classes: int, *, seed: int = 0, in_place: bool = False) -> nn.Module:
    """The model with a fresh linear head that gives `num_classes` logits (no softmax); all other weights are kept.

    The head is the last layer that the model registers: ResNet's `fc`, the end of `classifier` in VGG, MobileNet,
    EfficientNet or ConvNeXt, DenseNet's `classifier`, `heads.head` in ViT, the 1x1 convolution in SqueezeNet. Where an
    Identity stands in its place, as in the course's mobilenet_v2, the head is put there. What would keep logits from
    being any number (SqueezeNet's last ReLU, a softmax) is taken out, and so are auxiliary heads for the old classes.

    Args:
        model: a classifier of images.
        num_classes: width of the new head.
        seed: of the new weights (Glorot & Bengio, 2010: uniform); biases start at 0. The global random state is kept.
        in_place: change `model` itself instead of a copy.

    Returns:
        A copy of the model, or the model itself if in_place. The head is trainable, whatever is frozen.

    Raises:
        BadInput: fewer than one class, or no layer that could be the head.
    """
    if num_classes < 1:
        raise BadInput(_("num_classes of at least 1"), str(num_classes), _("count the classes: len(class_names)"))
    name = head_name(model)
    model = model if in_place else copy.deepcopy(model)
    old = model.get_submodule(name)
    new = _fresh_head(old, _width(model, name), num_classes, seed)
    like = next(model.parameters())
    model.set_submodule(name, new.to(device=like.device, dtype=like.dtype).train(old.training))
    for other in _leaves_after(model, name):
        if isinstance(model.get_submodule(other), _ACTIVATIONS):
            model.set_submodule(other, nn.Sequential())  # empty: passes its input on
    _drop_auxiliary_heads(model)
    return model


def head(model: nn.Module) -> nn.Module:
    """The head: the last linear layer (or 1x1 convolution), which gives the logits.

    Raises:
        BadInput: the model does not end in one.
    """
    return model.get_submodule(head_name(model))


def head_name(model: nn.Module) -> str:
    """Where the head is, as a path such as "fc" or "classifier.1"; an Identity that holds its place counts too.

    Raises:
        BadInput: the model does not end in a linear layer, a 1x1 convolution or an Identity.
    """
    leaves = _leaves(model)
    for name in reversed(leaves):
        layer = model.get_submodule(name)
        if isinstance(layer, nn.Linear | nn.Identity) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)):
            return name
        if not isinstance(layer, _AROUND_A_HEAD):
            break
    raise BadInput(
        _("a classifier whose last layer is linear"),
        _("{model}, which ends in {layer}").format(
            model=type(model).__name__,
            layer=type(model.get_submodule(leaves[-1])).__name__ if leaves else _("nothing"),
        ),
        _("wrap it: nn.Sequential(model, pooling, nn.Flatten(), nn.Identity()); the head replaces the Identity"),
    )


def head_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the head: weight and bias."""
    return list(head(model).parameters())


def backbone_parameters(model: nn.Module) -> list[nn.Parameter]:
    """All parameters but the head's, each once, in the model's order."""
    in_head = {id(parameter) for parameter in head_parameters(model)}
    return [parameter for parameter in model.parameters() if id(parameter) not in in_head]


def _leaves(model: nn.Module) -> list[str]:
    """Paths of all layers, in the order of registration; the model itself is none, nor is an empty Sequential."""
    return [
        name
        for name, module in model.named_modules()
        if name and not any(module.children()) and not isinstance(module, nn.Sequential)
    ]


def _leaves_after(model: nn.Module, name: str) -> list[str]:
    leaves = _leaves(model)
    return leaves[leaves.index(name) + 1 :]


def _fresh_head(old: nn.Module, width: int, num_classes: int, seed: int) -> nn.Module:
    """A convolution where the old head was one, else a linear layer; nothing is drawn from the global generator."""
    new: nn.Conv2d | nn.Linear
    if isinstance(old, nn.Conv2d):
        new = nn.utils.skip_init(nn.Conv2d, width, num_classes, kernel_size=1)  # pyright: ignore[reportAssignmentType]
    else:
        new = nn.utils.skip_init(nn.Linear, width, num_classes)  # pyright: ignore[reportAssignmentType]
    nn.init.xavier_uniform_(new.weight, generator=torch.Generator().manual_seed(seed))
    for bias in (parameter for parameter in new.parameters() if parameter.ndim == 1):
        nn.init.zeros_(bias)
    return new


def _width(model: nn.Module, name: str) -> int:
    """D, the width of what reaches the head."""
    old = model.get_submodule(name)
    if isinstance(old, nn.Linear):
        return old.in_features
    if isinstance(old, nn.Conv2d):
        return old.in_channels
    return _measured_width(model, old)


def _measured_width(model: nn.Module, place: nn.Module) -> int:
    """Width of what reaches `place`, from a run on torch's meta device, which computes shapes only."""
    first = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    channels = 3 if first is None else first.in_channels
    tensors: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    on_meta = {key: tensor.detach().to("meta") for key, tensor in tensors.items()}
    shapes: list[torch.Size] = []
    flags = [(module, module.training) for module in model.modules()]
    hook = place.register_forward_pre_hook(lambda _module, args: shapes.append(args[0].shape))
    try:
        with torch.device("meta"), torch.no_grad():
            functional_call(model.eval(), on_meta, torch.zeros(1, channels, _ANY_SIZE, _ANY_SIZE))
    finally:
        hook.remove()
        for module, training in flags:
            module.training = training
    if not shapes or len(shapes[0]) != 2:
        raise BadInput(
            _("features of shape (N, D) where the head is to go"),
            _("shape {shape}").format(shape=tuple(shapes[0]) if shapes else None),
            _("pool and flatten them first: nn.AdaptiveAvgPool2d(1), nn.Flatten()"),
        )
    return shapes[0][1]


def _drop_auxiliary_heads(model: nn.Module) -> None:
    if getattr(model, "aux_logits", False):
        setattr(model, "aux_logits", False)  # noqa: B010 (a type checker takes every attribute for a tensor)
        for name in _AUXILIARY:
            if hasattr(model, name):
                setattr(model, name, None)
