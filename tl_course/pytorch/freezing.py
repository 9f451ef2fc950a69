"""Freezing parts of a model so that they really stay as they are: parameters and BatchNorm statistics."""

from typing import Any

from torch import nn

from tl_course.pytorch.heads import head, head_name

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

_MARK = "statistics_frozen"  # a plain attribute: copied with the module, not part of its state_dict
_FEWEST_STAGES = 5


def freeze(module: nn.Module, statistics: bool = True) -> None:
    """Keep a module, and everything in it, as it is during training.

    Its parameters want no gradient, and the gradients they have are cleared: an optimizer that already holds them would
    otherwise go on moving them by an old gradient and its momentum. Its BatchNorm layers keep their running mean and
    variance, and normalise with them, also after a later `model.train()` and in anybody's own training loop; without
    that, a frozen backbone drifts with every batch it sees. Dropout is left to `train()` and `eval()`.

    An optimizer with weight decay or momentum should still be built from the trainable parameters alone.

    Args:
        module: the backbone, a stage or a layer.
        statistics: also freeze the statistics; False leaves them free, which shows the trap.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    for norm in batch_norms(module) if statistics else []:
        if not hasattr(norm, _MARK):
            norm.register_forward_pre_hook(_stay_in_evaluation)
        setattr(norm, _MARK, True)
        norm.eval()


def unfreeze(module: nn.Module, statistics: bool = False) -> None:
    """Let a module train again. An optimizer that was built while it was frozen does not know its parameters.

    Args:
        module: the backbone, a stage or a layer.
        statistics: also let BatchNorm normalise with each batch and update its running statistics. Left False, frozen
            statistics stay frozen, which is the usual choice for few images or small batches.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    for norm in batch_norms(module) if statistics else []:
        setattr(norm, _MARK, False)
        norm.train(module.training)


def freeze_backbone(model: nn.Module, statistics: bool = True) -> None:
    """Freeze all of a classifier but its head, which is made trainable.

    Args:
        model: a classifier; see `heads.replace_head` for which.
        statistics: see `freeze`.
    """
    freeze(model, statistics)
    head(model).requires_grad_(True)


def stages(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The parts of a model that have parameters, from input to head, for unfreezing or rates one after the other.

    These are its children (ResNet: conv1, bn1, layer1 … layer4, fc); where they are fewer than five, the children of
    its children (`features.0` …), and so on. A model that holds its blocks in a ModuleList, as text encoders do, has a
    part for each, and before and after them whatever its containers hold: embeddings, block by block, head. Parameters
    that belong to no part, such as ViT's class token, belong to the input.

    Returns:
        (name, module) pairs; the name is the module's path. The last is the head.
    """
    blocks = _list_of_blocks(model)
    parts = _with_parameters("", model) if blocks is None else _around(model, blocks)
    while blocks is None and len(parts) < _FEWEST_STAGES and any(_with_parameters(*part) for part in parts):
        parts = [finer for part in parts for finer in (_with_parameters(*part) or [part])]
    return _split_off_head(parts, model)


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model that holds them in a ModuleList, from input to head; empty for any other model."""
    path = _list_of_blocks(model)
    return [] if path is None else list(model.get_submodule(path).children())


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """All BatchNorm layers in a module that keep running statistics."""
    return [norm for norm in module.modules() if isinstance(norm, BATCH_NORM) and norm.running_mean is not None]


def has_free_statistics(module: nn.Module) -> bool:
    """Whether some BatchNorm in the module would move its running statistics in training."""
    return any(not getattr(norm, _MARK, False) for norm in batch_norms(module))


def _stay_in_evaluation(norm: nn.Module, _inputs: tuple[Any, ...]) -> None:
    """Runs before each forward pass of a BatchNorm that was ever frozen."""
    if getattr(norm, _MARK):
        norm.eval()


def _with_parameters(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children that have parameters, by their path."""
    prefix = f"{name}." if name else ""
    return [(prefix + key, child) for key, child in module.named_children() if any(True for _ in child.parameters())]


def _list_of_blocks(model: nn.Module) -> str | None:
    """Path of the ModuleList that holds most of the parameters, the outermost one; None where there is none."""
    sizes = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
    }
    name = max(sizes, key=sizes.__getitem__, default=None)
    return name if name is not None and sizes[name] > 0 else None


def _around(model: nn.Module, blocks: str) -> list[tuple[str, nn.Module]]:
    """Parts before the blocks, the blocks, parts after them; tables of embeddings that stand after them are left out.

    Such a table (relative positions) is what every block adds to its input; it is no step between blocks and head.
    """
    parts = [("", model)]
    for depth in range(blocks.count(".") + 2):  # open one container after the other, then the list itself
        path = ".".join(blocks.split(".")[:depth])
        parts = [finer for part in parts for finer in (_with_parameters(*part) if part[0] == path else [part])]
    last = max(number for number, (name, _module) in enumerate(parts) if name.startswith(f"{blocks}."))
    return [part for number, part in enumerate(parts) if number <= last or not isinstance(part[1], nn.Embedding)]


def _split_off_head(parts: list[tuple[str, nn.Module]], model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The last part opened until the head stands alone."""
    while parts and parts[-1][0] != head_name(model) and (finer := _with_parameters(*parts[-1])):
        parts = [*parts[:-1], *finer]
    return parts
