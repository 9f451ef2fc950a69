"""LoRA: a frozen linear layer with a low-rank change that trains (Hu et al., 2022)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.pytorch.freezing import freeze
from tl_course.pytorch.heads import head

TARGETS = {
    "query": ("query", "q_lin", "q_proj", "query_proj", "q"),
    "key": ("key", "k_lin", "k_proj", "key_proj", "k"),
    "value": ("value", "v_lin", "v_proj", "value_proj", "v"),
}
"""What the projections of an attention layer are called in one encoder or another."""


class LoRALinear(nn.Module):
    """A linear layer plus a change of low rank:  y = x Wᵀ + b + alpha / rank * x Aᵀ Bᵀ.

    A is drawn uniformly (He et al., 2015, as in the authors' code) and B starts at 0, so at the start nothing changes.
    alpha / rank keeps the size of the change where it is when another rank is tried.

    Args:
        base: W (out, in) and b; frozen here.
        rank: of the change, at least 1.
        alpha: scale of the change, times rank.
        seed: of A. The global random state is kept.

    Attributes:
        lora_a: A (rank, in).
        lora_b: B (out, rank).

    Raises:
        BadInput: a rank below 1 or above the layer's smaller side.
    """

    def __init__(self, base: nn.Linear, rank: int = 8, alpha: float = 16, seed: int = 0) -> None:
        super().__init__()
        most = min(base.in_features, base.out_features)
        if not 1 <= rank <= most:
            raise BadInput(_("rank from 1 to {most}").format(most=most), str(rank), _("8 is a good start"))
        self.base = base
        self.scale = alpha / rank
        drawn = torch.empty(rank, base.in_features)
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=torch.Generator().manual_seed(seed))
        like = base.weight
        self.lora_a = nn.Parameter(drawn.to(device=like.device, dtype=like.dtype))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank, device=like.device, dtype=like.dtype))
        base.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        low = nn.functional.linear(x, self.lora_a)  # (..., rank)
        return self.base(x) + self.scale * nn.functional.linear(low, self.lora_b)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The base layer itself with the change added to its weight: the same outputs at no extra cost."""
        self.base.weight += self.scale * self.lora_b @ self.lora_a
        return self.base


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float = 16,
    targets: Sequence[str] = ("query", "value"),
    seed: int = 0,
) -> nn.Module:
    """Give linear layers of a model a LoRA change, in place, and freeze everything else but the head.

    Train with `fit`; `fine_tune` would unfreeze all again. `merge_lora` takes the changes into the weights.

    Args:
        model: a classifier, or an encoder without a head.
        rank, alpha: see `LoRALinear`.
        targets: "query", "key", "value" of every attention layer, under whichever name the encoder gives them; other
            words are the last part of a layer's path, such as "dense".
        seed: of the first layer; each layer has its own.

    Returns:
        The model.

    Raises:
        BadInput: no linear layer has such a name, the model has LoRA already, or the rank is out of range.
    """
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise BadInput(_("a model without LoRA"), _("one that has it"), _("merge it first: merge_lora(model)"))
    wanted = {name for target in targets for name in TARGETS.get(target, (target,))}
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    chosen = {name: module for name, module in linear.items() if name.rsplit(".", 1)[-1] in wanted}
    if not chosen:
        raise BadInput(
            _("linear layers called {names}").format(names=", ".join(targets)),
            ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear})) or _("none at all"),
            _("name some of these as targets"),
        )
    freeze(model)
    for number, (name, layer) in enumerate(chosen.items()):
        model.set_submodule(name, LoRALinear(layer, rank, alpha, seed + number).train(model.training))
    unfreeze_head(model)
    return model


def merge_lora(model: nn.Module) -> nn.Module:
    """Take every LoRA change of a model into the layer it belongs to, in place: plain layers again, the same outputs.

    What was frozen stays so. A model without LoRA stays as it is.
    """
    changed = [(name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear)]
    for name, layer in changed:
        model.set_submodule(name, layer.merged())
    return model


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers of a model train."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def unfreeze_head(model: nn.Module) -> None:
    """Let the head train, where the model has one."""
    try:
        last = head(model)
    except BadInput:  # an encoder alone
        return
    last.requires_grad_(True)
