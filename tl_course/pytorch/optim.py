"""What the optimizer is told: a rate and a decay for each parameter, and a pull towards the pretrained weights."""

from typing import Any

import torch
from torch import Tensor, nn

from tl_course.errors import BadInput
from tl_course.fit_options import check_rates
from tl_course.i18n import _
from tl_course.pytorch.freezing import stages
from tl_course.pytorch.heads import head_name


def param_groups(
    model: nn.Module,
    lr: float,
    *,
    backbone_lr: float | None = None,
    layer_decay: float = 1.0,
    weight_decay: float = 0.05,
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer: each trainable parameter exactly once, with its own learning rate and decay.

    The head learns at `lr`. The last backbone stage learns at `backbone_lr`, and each stage before it at `layer_decay`
    times the rate of the one after it (discriminative rates: Howard & Ruder, ULMFiT, 2018). Biases and the gains of
    normalisation layers, everything of one dimension, are not decayed: pulling them to 0 regularises nothing.

    Args:
        model: a classifier; see `heads.replace_head` for which.
        lr: the head's rate.
        backbone_lr: the last backbone stage's rate; None means lr.
        layer_decay: factor from stage to stage towards the input, above 0 and at most 1; 1 gives all one rate.
        weight_decay: decoupled decay (Loshchilov & Hutter, 2019).

    Returns:
        Dictionaries with params, lr, weight_decay and name ("layer4/decay", "head/no_decay" …), from the input to the
        head. With layer_decay=1 the backbone is one pair of groups, "backbone/decay" and "backbone/no_decay".

    Raises:
        BadInput: nothing is trainable, or a rate or factor is out of range.
    """
    check_rates(lr, backbone_lr, layer_decay, weight_decay)
    groups: list[dict[str, Any]] = []
    last_rate = lr if backbone_lr is None else backbone_lr
    for depth, (name, parameters) in enumerate(_parts(model, by_stage=layer_decay != 1)):  # depth 0 is the head
        rate = lr if depth == 0 else last_rate * layer_decay ** (depth - 1)
        for kind, decay, is_matrix in (("no_decay", 0.0, False), ("decay", weight_decay, True)):
            chosen = [p for p in parameters if p.requires_grad and (p.ndim > 1) is is_matrix]
            if chosen:
                groups.insert(0, {"params": chosen, "lr": rate, "weight_decay": decay, "name": f"{name}/{kind}"})
    if not groups:
        raise BadInput(
            _("a model with something to train"), _("one that is frozen throughout"), _("unfreeze its head first")
        )
    return groups


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the backbone's parameters by name, the point that `l2_sp` pulls towards. Take it before training."""
    in_head = head_name(model) + "."
    return {
        name: parameter.detach().clone() for name, parameter in model.named_parameters() if not name.startswith(in_head)
    }


def l2_sp(model: nn.Module, start: dict[str, Tensor], alpha: float, beta: float | None = None) -> Tensor:
    """A penalty that keeps fine-tuning near its start (L2-SP: Li, Grandvalet & Davoine, 2018, equation 3).

        alpha / 2 * ||w - w0||²  over the backbone   +   beta / 2 * ||w||²  over the head

    Unlike weight decay, which pulls to 0, it pulls to the pretrained weights. Add it to the loss, and switch weight
    decay off.

    Args:
        model: a classifier.
        start: what `snapshot` gave before training.
        alpha: strength for the backbone.
        beta: strength for the head, which has no start to keep; None means alpha.

    Returns:
        A scalar, differentiable in the model's parameters.

    Raises:
        BadInput: `start` belongs to another model.
    """
    in_head = head_name(model) + "."
    parameters = dict(model.named_parameters())
    backbone = {name: p for name, p in parameters.items() if not name.startswith(in_head)}
    if {name: p.shape for name, p in backbone.items()} != {name: p.shape for name, p in start.items()}:
        raise BadInput(
            _("a start with the model's {count} backbone parameters").format(count=len(backbone)),
            _("{count}, or other names or shapes").format(count=len(start)),
            _("take snapshot(model) of this model, before training"),
        )
    zero = torch.zeros((), device=next(iter(parameters.values())).device)
    moved = sum(((p - start[name]).square().sum() for name, p in backbone.items() if p.requires_grad), zero)
    size = sum((p.square().sum() for name, p in parameters.items() if name.startswith(in_head)), zero)
    return alpha / 2 * moved + (alpha if beta is None else beta) / 2 * size


def _parts(model: nn.Module, by_stage: bool) -> list[tuple[str, list[nn.Parameter]]]:
    """Named lists of parameters, head first, then towards the input; each parameter once, none left out."""
    found = stages(model)
    seen: set[int] = set()
    parts = []
    for name, module in reversed(found):
        fresh = [p for p in module.parameters() if id(p) not in seen]
        seen |= {id(p) for p in fresh}
        parts.append((name, fresh))
    parts[-1][1].extend(p for p in model.parameters() if id(p) not in seen)  # class tokens, positions
    parts[0] = ("head", parts[0][1])
    if by_stage:
        return parts
    return [parts[0], ("backbone", [p for _name, parameters in parts[1:] for p in parameters])]
