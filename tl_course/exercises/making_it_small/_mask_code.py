"""The code of the exercise on pruned weights that come back: reference, starter, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def finetune_pruned(
    model: nn.Module,
    masks: dict[str, torch.Tensor],
    batches: list[tuple[torch.Tensor, torch.Tensor]],
    lr: float,
    momentum: float,
) -> nn.Module:
    """Prune a network and fine-tune what is left, with SGD and momentum, one step per batch.

    Args:
        model: returns logits; trained in place.
        masks: by the parameter's name in `model.named_parameters()`, truth values of its shape: False is pruned.
            Parameters without a mask are trained as a whole.
        batches: inputs (n, D) and classes (n,) of each batch.
        lr: learning rate.
        momentum: of SGD.

    Returns:
        The model. Pruned weights are zero in every forward pass and at the end.
    """
    parameters = dict(model.named_parameters())

    def prune() -> None:
        with torch.no_grad():
            for name, mask in masks.items():
                parameters[name].mul_(mask)

    prune()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    for inputs, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        prune()
    return model
'''

STARTER = PYTORCH.replace("        optimizer.step()\n        prune()\n", "        optimizer.step()\n")

PYTORCH_HOOKS = """
import torch


def finetune_pruned(model, masks, batches, lr, momentum):
    handles = []
    for name, parameter in model.named_parameters():
        if name in masks:
            parameter.data[~masks[name]] = 0
            # a weight at zero without gradient, and so without momentum, stays there
            handles.append(parameter.register_hook(lambda gradient, mask=masks[name]: gradient * mask))
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum)
    for inputs, labels in batches:
        loss = loss_of(model(inputs), labels)
        model.zero_grad()
        loss.backward()
        optimizer.step()
    for handle in handles:
        handle.remove()
    return model
"""

PYTORCH_LIBRARY = """
import torch
from torch.nn.utils import prune


def finetune_pruned(model, masks, batches, lr, momentum):
    places = [(model.get_submodule(path), name) for path, _, name in (key.rpartition(".") for key in masks)]
    for (module, name), mask in zip(places, masks.values()):
        prune.custom_from_mask(module, name, mask)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    for inputs, labels in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    for module, name in places:
        prune.remove(module, name)
    return model
"""

MESSAGES = {
    "comes-back": _(
        "pruned weights are zero at the start only: a weight of zero has a gradient like any other, and the first step "
        "brings it back"
    ),
    "at-the-end": _("the network trains as if nothing were pruned, and loses at the end what it relied on"),
    "gradients-only": _("the pruned weights' gradients are taken away; the weights themselves never became zero"),
    "before-the-step": _("weights are pruned before each step, so the last step brings them back"),
    "inverted": _("the weights that were to stay are pruned"),
    "layers-frozen": _("layers with a mask are not trained at all; only their pruned weights have to stay"),
    "no-momentum": _("the momentum has no effect: it is left out, or every batch gets a new optimiser without memory"),
    "accumulates": _("each batch's gradients are added to those of all batches before it"),
}
LOOP, STEP = "    for inputs, labels in batches:\n", "        optimizer.step()\n        prune()\n"
START = "    prune()\n    optimizer ="
MASK_GRADIENTS = "        for name, mask in masks.items():\n            parameters[name].grad.mul_(mask)\n"
EDITS = {
    "at-the-end": (
        (START, "    optimizer ="),
        (STEP, "        optimizer.step()\n"),
        ("    return model", "    prune()\n    return model"),
    ),
    "gradients-only": ((START, "    optimizer ="), (STEP, MASK_GRADIENTS + "        optimizer.step()\n")),
    "before-the-step": ((STEP, "        prune()\n        optimizer.step()\n"),),
    "inverted": (("mul_(mask)", "mul_(~mask)"),),
    "layers-frozen": ((LOOP, "    for name in masks:\n        parameters[name].requires_grad_(False)\n" + LOOP),),
    "no-momentum": (("lr=lr, momentum=momentum", "lr=lr"),),
    "accumulates": (("        optimizer.zero_grad()\n", ""),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in EDITS.items()}
    return {"comes-back": Mistake(MESSAGES["comes-back"], source=STARTER), **found}
