"""Freezing parameters *and* BatchNorm statistics, in Keras.

A model that was compiled, or a train step that was traced, before a change here goes on as before: compile it again.
`fit` and the strategies in `finetune` always do.
"""

import re
from collections.abc import Iterable
from typing import Any

import keras

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.batchnorm import FreezableBatchNormalization, layers_of, parameters
from tl_course.keras.heads import backbone_layers, head, operations, tensors

Module = keras.layers.Layer | Iterable[keras.layers.Layer]
"""A layer, a model, or several layers, such as a stage."""

_STAGE_IN_NAME = re.compile(r"([^.]+(?=\.)|block_\d+(?=_)|expanded_conv(?=_))")


def freeze(module: Module, statistics: bool = True) -> None:
    """Keep layers as they are during training.

    Their parameters do not train; their BatchNorm layers keep their moving averages and normalise with them, in
    training mode too. Dropout is left alone.

    Args:
        module: a model, a layer, or a list of layers.
        statistics: also freeze the statistics; False leaves free ones free: then a "frozen" backbone changes with
            every batch it sees, which shows the trap.
    """
    for norm in batch_norms(module) if statistics else []:
        if isinstance(norm, FreezableBatchNormalization):
            norm.statistics_frozen = True
    for layer in layers_of(module):
        if not statistics and has_free_statistics(layer):  # Keras moves the averages of a trainable layer only
            for parameter in parameters(layer):
                parameter.trainable = False
        else:
            layer.trainable = False


def unfreeze(module: Module, statistics: bool = False) -> None:
    """Let layers train again. An optimizer that was built while they were frozen does not know their parameters.

    Args:
        module: a model, a layer, or a list of layers.
        statistics: also let BatchNorm normalise with each batch and move its averages. Left False, frozen statistics
            stay frozen while gain and shift train, the usual choice for few images or small batches.

    Raises:
        BadInput: statistics=False and a frozen plain BatchNormalization, which cannot train on frozen statistics.
    """
    for norm in batch_norms(module):
        stays_frozen = not statistics and not has_free_statistics(norm)
        if isinstance(norm, FreezableBatchNormalization):
            norm.statistics_frozen = stays_frozen
        elif stays_frozen:
            raise BadInput(
                _("BatchNorm layers that can train on frozen statistics"),
                _("{name}, a plain BatchNormalization").format(name=norm.name),
                _("pass the model through replace_head or freezable_copy first, or unfreeze with statistics=True"),
            )
    model = [module] if isinstance(module, keras.Model) else []  # itself not trainable, it hides its layers' weights
    for layer in [*model, *layers_of(module)]:
        layer.trainable = True  # does nothing where it is True already, though weights inside may be frozen
        for parameter in parameters(layer):
            parameter.trainable = True


def freeze_backbone(model: keras.Model, statistics: bool = True) -> None:
    """Freeze everything but the head, which trains: what a linear probe needs."""
    freeze(backbone_layers(model), statistics)
    head(model).trainable = True


def stages(model: keras.Model) -> list[tuple[str, list[keras.layers.Layer]]]:
    """The layers with parameters in groups from input to head, for unfreezing or rates one after the other.

    Where layers are named after their stage or block ("stage1.conv1", "block_3_expand"), these are the groups. Else a
    stage ends where the resolution drops: the network is cut wherever a single tensor carries everything, which is
    between residual blocks and never inside one, and a block with a stride begins a new stage. In a subclassed model,
    such as a text classifier's, each layer with parameters is a stage: embeddings, block by block, head.

    Returns:
        (name, layers) pairs; every parameter is in one of them, and the last is the head.
    """
    last = head(model)
    if not hasattr(model, "operations"):
        return [(layer.name, [layer]) for layer in [*backbone_layers(model), last] if parameters(layer)]
    groups: list[list[keras.layers.Layer]] = [[]]
    previous = ""
    for block in _blocks(model):
        layers = layers_of(block)
        strided = any(_has_stride(layer) for layer in layers)
        for layer in layers:
            name = _named_stage(layer)
            if groups[-1] and (name != previous or (not name and strided and layer is layers[0])):
                groups.append([])
            previous = name
            groups[-1] += [layer] if parameters(layer) and layer is not last else []
    found = [(_named_stage(group[0]) or f"stage{number}", group) for number, group in enumerate(groups) if group]
    return [*found, (last.name, [last])]


def batch_norms(module: Module) -> list[keras.layers.BatchNormalization]:
    """All BatchNorm layers in a module."""
    return [layer for layer in layers_of(module) if isinstance(layer, keras.layers.BatchNormalization)]


def has_free_statistics(module: Module) -> bool:
    """Whether some BatchNorm in the module would move its averages in training."""
    return any(norm.trainable and not getattr(norm, "statistics_frozen", False) for norm in batch_norms(module))


def _blocks(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """The layers, cut wherever only one tensor is still needed."""
    steps = operations(model)
    last_use: dict[int, int] = {}
    for position, step in enumerate(steps):
        last_use |= {id(tensor): position for tensor in tensors(step.input)}
    blocks: list[list[keras.layers.Layer]] = [[]]
    needed: set[int] = set()
    for position, step in enumerate(steps):
        needed |= {id(tensor) for tensor in tensors(step.output)}
        needed = {tensor for tensor in needed if last_use.get(tensor, len(steps)) > position}
        if isinstance(step, keras.layers.Layer):
            blocks[-1].append(step)
        if len(needed) == 1:
            blocks.append([])
    return [block for block in blocks if block]


def _has_stride(layer: Any) -> bool:
    """Whether the layer halves the resolution (or more)."""
    strides = getattr(layer, "strides", 1)
    return max(strides if isinstance(strides, tuple | list) else [strides]) > 1


def _named_stage(layer: keras.layers.Layer) -> str:
    """The stage or block in the layer's name: "stage1" of "stage1.conv1", "block_3" of "block_3_expand"; else ""."""
    found = _STAGE_IN_NAME.match(layer.name)
    return found.group(1) if found else ""
