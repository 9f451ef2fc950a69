"""Adapters: a small bottleneck after every frozen block (Houlsby et al., 2019; Pfeiffer et al., 2021)."""

from typing import Any

import torch
from torch import Tensor, nn

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.pytorch.freezing import blocks_of, freeze
from tl_course.pytorch.lora import unfreeze_head

NAME = "adapter"
"""What an adapter is called in its block."""


class Adapter(nn.Module):
    """h + W_up gelu(W_down h + b_down) + b_up; W_up and b_up start at 0, so at the start nothing changes.

    Args:
        width: of h.
        size: of the bottleneck.
        seed: of W_down (Glorot & Bengio, 2010: uniform). The global random state is kept.
    """

    def __init__(self, width: int, size: int, seed: int = 0) -> None:
        super().__init__()
        self.down: nn.Linear = nn.utils.skip_init(nn.Linear, width, size)  # pyright: ignore[reportAttributeAccessIssue]
        self.up: nn.Linear = nn.utils.skip_init(nn.Linear, size, width)  # pyright: ignore[reportAttributeAccessIssue]
        nn.init.xavier_uniform_(self.down.weight, generator=torch.Generator().manual_seed(seed))
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, L, D) -> (N, L, D)."""
        return hidden + self.up(nn.functional.gelu(self.down(hidden)))


def add_adapters(model: nn.Module, size: int = 32, seed: int = 0) -> nn.Module:
    """Put an adapter after every block of a model, in place, and freeze everything else but the head.

    One adapter a block, as Pfeiffer et al. found to be enough; Houlsby et al. have two, and train the LayerNorms too.
    Train with `fit`; `fine_tune` would unfreeze all again. Blocks that share their weights (ALBERT) share an adapter.

    Args:
        model: a classifier or an encoder that holds its blocks in a ModuleList.
        size: of the bottleneck, at least 1.
        seed: of the first adapter; each has its own.

    Returns:
        The model.

    Raises:
        BadInput: no list of blocks, adapters are there already, or a size below 1.
    """
    if size < 1:
        raise BadInput(_("size of at least 1"), str(size), _("32 is a good start"))
    blocks = blocks_of(model)
    if not blocks:
        raise BadInput(
            _("a model that holds its blocks in a ModuleList"), type(model).__name__, _("take a text encoder or a ViT")
        )
    if adapter_size(model) is not None:
        raise BadInput(_("a model without adapters"), _("one that has them"), _("load or build it again"))
    freeze(model)
    for number, block in enumerate(blocks):
        like = next(block.parameters())
        adapter = Adapter(_width(block), size, seed + number).to(device=like.device, dtype=like.dtype)
        block.add_module(NAME, adapter.train(model.training))
        block.register_forward_hook(_adapt)
    unfreeze_head(model)
    return model


def adapter_size(model: nn.Module) -> int | None:
    """The bottleneck of a model's adapters; None where it has none."""
    return next((module.down.out_features for module in model.modules() if isinstance(module, Adapter)), None)


def _adapt(block: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
    """Runs after each forward pass of a block; looks its adapter up, so that a copy of the block uses its own."""
    adapter = block.get_submodule(NAME)
    return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)


def _width(block: nn.Module) -> int:
    """D: the last linear layer of a block gives what goes back into the stream."""
    return [module for module in block.modules() if isinstance(module, nn.Linear)][-1].out_features
