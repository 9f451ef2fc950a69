"""LoRA: a frozen linear layer with a low-rank change that trains (Hu et al., 2022), through Keras's `enable_lora`."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.batchnorm import layers_of, parameters, seeded
from tl_course.keras.freezing import unfreeze
from tl_course.keras.heads import HEAD


def add_lora(
    model: keras.Model,
    rank: int = 8,
    alpha: float = 16,
    targets: Sequence[str] = ("query", "value"),
    seed: int = 0,
) -> keras.Model:
    """Give Dense layers of a text model a LoRA change, in place, and freeze everything else but the head.

        kernel + alpha / rank * A B,   A (in, rank) random, B (rank, out) 0: at the start nothing changes

    Train with `fit`; `fine_tune` would unfreeze all again. `merge_lora` takes the changes into the kernels.

    Args:
        model: a text classifier's model, or an `Encoder`.
        rank, alpha: of the change; alpha / rank keeps its size where it is when another rank is tried.
        targets: names of Dense layers: "query", "key", "value", "out" of every attention layer, "expand", "contract".
        seed: of the A. The global random state is kept.

    Returns:
        The model.

    Raises:
        BadInput: no Dense layer has such a name, the model has LoRA already, or the rank is out of range.
    """
    dense = dense_layers(model)
    chosen = [layer for layer in dense if layer.name in targets]
    if not chosen:
        raise BadInput(
            _("Dense layers called {names}").format(names=", ".join(targets)),
            ", ".join(sorted({layer.name for layer in dense})) or _("none at all"),
            _("name some of these as targets"),
        )
    if any(layer.lora_enabled for layer in dense):
        raise BadInput(_("a model without LoRA"), _("one that has it"), _("load or build it again"))
    most = min(min(layer.kernel.shape) for layer in chosen)
    if not 1 <= rank <= most:
        raise BadInput(_("rank from 1 to {most}").format(most=most), str(rank), _("8 is a good start"))
    freeze_weights(model)
    with seeded(seed):
        for layer in chosen:
            layer.enable_lora(rank, lora_alpha=alpha)
    return model


def merge_lora(model: keras.Model) -> keras.Model:
    """Take every LoRA change of a model into its kernel, in place: the same outputs.

    Keras keeps the factors; B is 0 afterwards, so they add nothing.
    """
    for layer in dense_layers(model):
        if layer.lora_enabled:
            own = next(weight for weight in layer.weights if weight.name == "kernel")
            own.assign(layer.kernel)
            layer.lora_kernel_b.assign(layer.lora_kernel_b * 0)
    return model


def trainable_parameters(model: keras.Model) -> int:
    """How many numbers of a model train."""
    return sum(weight.value.shape.num_elements() for weight in model.trainable_weights)


def dense_layers(model: keras.Model) -> list[layers.Dense]:
    """Every Dense layer of a model that shows its layers as attributes, as the course's encoders do, each once."""
    found: dict[int, layers.Dense] = {}
    waiting: list[Any] = [model, *layers_of(model)]
    seen: set[int] = set()
    while waiting:
        layer = waiting.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if isinstance(layer, layers.Dense):
            found[id(layer)] = layer
        waiting += [part for part in vars(layer).values() if isinstance(part, layers.Layer)]
    return list(found.values())


def freeze_weights(model: keras.Model) -> None:
    """Freeze every weight but the head's, and leave the layers as such open: what is added to them later trains."""
    unfreeze(model)
    for parameter in parameters(model):
        parameter.trainable = False
    last = getattr(model, HEAD, None)
    for parameter in [] if last is None else parameters(last):
        parameter.trainable = True
