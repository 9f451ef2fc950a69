"""BatchNorm folded into the convolutions before it, for inference: the same outputs from fewer operations."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batchnorm(model: nn.Module) -> nn.Module:
    """A copy whose convolutions do their BatchNorm's work too.

    In evaluation mode BatchNorm is y = gain * (x - mean) / sqrt(var + eps) + shift with fixed numbers, which a
    convolution's weights and bias can take over (Jacob et al., 2018, section 3.2): w' = w gain / sqrt(var + eps),
    b' = (b - mean) gain / sqrt(var + eps) + shift. In training mode the numbers come from the batch: not then.

    Args:
        model: in evaluation mode, left as it is.

    Returns:
        The copy, an Identity in place of each folded BatchNorm; the model itself where none can be folded. One that
        follows no convolution (or one whose output is used elsewhere too, or whose weights are masked or otherwise
        computed), or that is in training mode, stays.
    """
    pairs = [(conv, norm) for conv, norm in conv_norm_pairs(model) if _can_fold(model, conv, norm)]
    if not pairs:
        return model
    folded = deepcopy(model)
    for conv_name, norm_name in pairs:
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            folded.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
            folded.set_submodule(norm_name, nn.Identity())
    return folded


def conv_norm_pairs(model: nn.Module) -> list[tuple[str, str]]:
    """Paths of every convolution and the BatchNorm that alone gets its output.

    Where neighbours in a Sequential are not all, the model is traced (torch.fx); one that cannot be gives those.
    """
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    neighbours = list(_neighbours(model))
    if len(neighbours) == len(norms):
        return neighbours
    graph = traced(model)
    return neighbours if graph is None else list(_traced_pairs(model, graph))


def traced(model: nn.Module) -> fx.Graph | None:
    """The operations of a model's forward pass; None where they depend on the values."""
    try:
        return fx.Tracer().trace(model)
    except Exception:  # whatever the model's own code raises when it meets a stand-in for a tensor
        return None


def _neighbours(model: nn.Module) -> Iterator[tuple[str, str]]:
    for name, block in model.named_modules():
        if isinstance(block, nn.Sequential):
            parts = list(block.named_children())
            for (conv_name, conv), (norm_name, norm) in pairwise(parts):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    prefix = f"{name}." if name else ""
                    yield prefix + conv_name, prefix + norm_name


def _traced_pairs(model: nn.Module, graph: fx.Graph) -> Iterator[tuple[str, str]]:
    calls = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(model.get_submodule(str(node.target)), nn.BatchNorm2d):
            continue
        (before,) = node.args
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = str(before.target), str(node.target)
        if isinstance(model.get_submodule(conv), nn.Conv2d) and calls.count(conv) == calls.count(norm) == 1:
            yield conv, norm


def _can_fold(model: nn.Module, conv_name: str, norm_name: str) -> bool:
    conv, norm = model.get_submodule(conv_name), model.get_submodule(norm_name)
    if not isinstance(norm, nn.BatchNorm2d) or norm.training or norm.running_mean is None:
        return False
    return "weight" in dict(conv.named_parameters(recurse=False))  # masked or parametrised weights are none
