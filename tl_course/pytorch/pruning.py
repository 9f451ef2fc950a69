"""Weights set to zero, and channels taken out.

Zeros alone (unstructured pruning) make no file smaller and nothing faster: the matrices keep their shapes, and ordinary
kernels multiply by zero like by any number. Taking channels out (structured pruning) gives smaller matrices.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import prune

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.pytorch.features import evaluation_mode
from tl_course.pytorch.fold_batchnorm import traced

_KEEPS_CHANNELS = (
    nn.ReLU,
    nn.ReLU6,
    nn.Hardswish,
    nn.SiLU,
    nn.GELU,
    nn.Dropout,
    nn.Identity,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)
_FUNCTIONS = (torch.relu, nn.functional.relu, nn.functional.relu6, nn.functional.dropout)


def magnitude_prune(model: nn.Module, share: float) -> None:
    """Set the smallest weights of all convolutions and linear layers to zero, and keep them there (Han et al., 2015).

    The weights are compared over the whole model, not layer by layer. Each becomes `weight_orig * weight_mask`
    (torch.nn.utils.prune), so training goes on with the rest and the zeros stay; `make_permanent` ends that. Call it
    again with a larger share to prune in steps. The head is pruned too; biases and BatchNorm are not.

    Args:
        model: changed.
        share: of the weights that are zero afterwards, from 0 to below 1.

    Raises:
        BadInput: share out of range, or a model without convolution and linear layer.
    """
    _check_share(share)
    layers = _weighted(model)
    if not layers:
        raise BadInput(
            _("a model with convolutions or linear layers"), type(model).__name__, _("pass classifier.model")
        )
    sizes = torch.cat([_weight(layer).abs().flatten() for layer in layers])
    threshold = sizes.kthvalue(round(share * len(sizes))).values if round(share * len(sizes)) else sizes.min() - 1
    for layer in layers:
        prune.custom_from_mask(layer, "weight", _weight(layer).abs() > threshold)


def make_permanent(model: nn.Module) -> None:
    """Leave plain weights with zeros in them, for saving and exporting; further training would change them."""
    for layer in _weighted(model):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")


def sparsity(model: nn.Module) -> float:
    """Share of zeros among the weights of convolutions and linear layers, from 0 to 1."""
    weights = [_weight(layer) for layer in _weighted(model)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def prune_channels(model: nn.Module, share: float, *, round_to: int = 1) -> nn.Module:
    """A copy without the weakest channels of every convolution whose channels only reach one other layer.

    The filters of least weight go (Li et al., 2017), each measured as it works with its BatchNorm, `|w|_1 |gain| /
    sqrt(var + eps)`. With a channel go its BatchNorm's numbers, its depthwise filter, and the inputs of the layer that
    reads it. A channel that is added to others, as at the end of a residual block, stays: its partners would have to
    go too. The copy is an ordinary, smaller network; it has to be fine-tuned, and can be exported. `Classifier.load`
    builds full networks and does not take its weights.

    Args:
        model: can be traced by torch.fx; left as it is.
        share: of each convolution's channels that goes, from 0 to below 1; at least one stays.
        round_to: the number that stays is a multiple of this (rounded up), as fast kernels like it.

    Raises:
        BadInput: share out of range, or a model without such a convolution, or one that cannot be traced.
    """
    _check_share(share)
    model = deepcopy(model)
    with evaluation_mode(model):
        chains = list(channel_chains(model))
    if not chains:
        raise BadInput(
            _("convolutions whose channels reach one other layer"), type(model).__name__, _("pass a convolutional net")
        )
    for chain in chains:
        strength = _strength(model, chain)
        count = min(len(strength), -(-max(1, round((1 - share) * len(strength))) // round_to * round_to))
        keep = strength.topk(count).indices.sort().values
        _keep_channels(model, chain, keep)
    return model


@dataclass(frozen=True)
class Chain:
    """A convolution, what keeps its channels apart, and the layer that reads them; names of modules.

    Attributes:
        source: the convolution whose output channels can go.
        between: BatchNorm layers and depthwise convolutions on the way, in their order.
        reader: the convolution or linear layer they reach.
    """

    source: str
    reader: str
    between: tuple[str, ...] = field(default=())


def channel_chains(model: nn.Module) -> Iterator[Chain]:
    """Every convolution whose channels reach exactly one other layer, along operations that keep channels apart."""
    graph = traced(model)
    for node in [] if graph is None else graph.nodes:
        layer = _module(model, node)
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            chain = _follow(model, node)
            if chain is not None:
                yield chain


def _follow(model: nn.Module, start: fx.Node) -> Chain | None:
    """The chain from a convolution on; None where its channels are added to others, or otherwise mixed or counted."""
    between: list[str] = []
    node = start
    while len(node.users) == 1:
        (node,) = node.users
        layer = _module(model, node)
        if (isinstance(layer, nn.Conv2d) and layer.groups == 1) or isinstance(layer, nn.Linear):
            return Chain(str(start.target), str(node.target), tuple(between))
        if isinstance(layer, nn.BatchNorm2d) or (isinstance(layer, nn.Conv2d) and _is_depthwise(layer)):
            between.append(str(node.target))
        elif not (isinstance(layer, (*_KEEPS_CHANNELS, nn.Flatten)) or _is_known_function(node)):
            return None
    return None


def _keep_channels(model: nn.Module, chain: Chain, keep: Tensor) -> None:
    """Take out all other channels of a chain, in place."""
    source: Any = model.get_submodule(chain.source)
    reader: Any = model.get_submodule(chain.reader)
    channels = len(source.weight)
    _select(source, ("weight", "bias"), keep)
    source.out_channels = len(keep)
    for name in chain.between:
        layer: Any = model.get_submodule(name)
        _select(layer, ("weight", "bias", "running_mean", "running_var"), keep)
        if isinstance(layer, nn.Conv2d):
            layer.in_channels = layer.out_channels = layer.groups = len(keep)
        else:
            layer.num_features = len(keep)
    if isinstance(reader, nn.Conv2d):
        reader.in_channels = len(keep)
        _select(reader, ("weight",), keep, axis=1)
        return
    positions = reader.weight.shape[1] // channels  # of a flattened feature map, channel by channel
    columns = (keep[:, None] * positions + torch.arange(positions, device=keep.device)).flatten()
    reader.in_features = len(columns)
    _select(reader, ("weight",), columns, axis=1)


def _select(layer: nn.Module, names: tuple[str, ...], keep: Tensor, axis: int = 0) -> None:
    """Shrink a layer's tensors along an axis."""
    for name in names:
        tensor = getattr(layer, name, None)  # a layer without bias has None, a convolution has no running averages
        if tensor is not None:
            chosen = tensor.detach().index_select(axis, keep).clone()
            is_parameter = isinstance(tensor, nn.Parameter)
            setattr(layer, name, nn.Parameter(chosen, tensor.requires_grad) if is_parameter else chosen)


def _strength(model: nn.Module, chain: Chain) -> Tensor:
    """How much each channel of a convolution can do, (C,)."""
    strength = _weight(model.get_submodule(chain.source)).abs().flatten(1).sum(dim=1)
    norm = model.get_submodule(chain.between[0]) if chain.between else None
    if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None:
        gain = torch.ones_like(strength) if norm.weight is None else norm.weight.detach().abs()
        strength = strength * gain / (norm.running_var + norm.eps).sqrt()
    return strength


def _weighted(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def _weight(layer: Any) -> Tensor:
    """The weights a layer computes with; of a masked layer `weight` itself is renewed only when it runs."""
    if prune.is_pruned(layer):
        return (layer.weight_orig * layer.weight_mask).detach()
    return layer.weight.detach()


def _module(model: nn.Module, node: fx.Node) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _is_depthwise(layer: nn.Conv2d) -> bool:
    return layer.groups == layer.in_channels == layer.out_channels


def _is_known_function(node: fx.Node) -> bool:
    """A function that treats every channel alike, pooling over all positions, or flattening behind it."""
    if node.op == "call_function":
        return node.target in (*_FUNCTIONS, nn.functional.adaptive_avg_pool2d, torch.flatten)
    if node.op != "call_method":
        return False
    return node.target == "flatten" or (node.target == "mean" and _over_positions(node))


def _over_positions(node: fx.Node) -> bool:
    """Whether a mean is over height and width."""
    axes: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else ())
    return isinstance(axes, list | tuple) and sorted(axis % 4 for axis in axes) == [2, 3]


def _check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise BadInput(_("share from 0 to below 1"), str(share), _("0.5 takes half"))
