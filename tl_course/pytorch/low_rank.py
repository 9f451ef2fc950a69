"""Weight matrices as products of two thin ones: fewer numbers, fewer multiplications."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tl_course.errors import BadInput
from tl_course.i18n import _


def factorise(model: nn.Module, share: float, *, names: Iterable[str] | None = None) -> list[str]:
    """Replace linear layers and convolutions by two of low rank each, in place.

    W (D_out, D_in) of rank r is B A with A (r, D_in) and B (D_out, r). The best one in the sum of squares comes from
    the largest singular values (Eckart & Young, 1936; for networks Denton et al., 2014). It costs r (D_in + D_out)
    multiplications instead of D_in D_out, so it saves only below D_in D_out / (D_in + D_out).

    Args:
        model: changed.
        share: of the full rank min(D_out, D_in) that is kept, above 0 up to 1. Layers where that would save nothing
            stay; with 1 all are replaced, and the outputs are the model's to rounding.
        names: of the layers; None: all linear layers and convolutions but the last, the head.

    Returns:
        The names of the layers that were replaced.

    Raises:
        BadInput: share out of range, or a layer that is neither linear nor an ungrouped convolution.
    """
    if not 0 < share <= 1:
        raise BadInput(_("share above 0, up to 1"), str(share), _("0.25 keeps a quarter of the singular values"))
    replaced = []
    if names is None:
        names = [name for name, layer in model.named_modules() if _is_matrix(layer)][:-1]
    for name in names:
        layer = model.get_submodule(name)
        if not _is_matrix(layer):
            raise BadInput(
                _("a linear layer or an ungrouped convolution"), f"{name}: {type(layer).__name__}", _("leave it out")
            )
        weight = matrix(layer)
        rank = max(1, round(share * min(weight.shape)))
        if share == 1 or rank * sum(weight.shape) < weight.numel():
            model.set_submodule(name, low_rank(layer, rank))
            replaced.append(name)
    return replaced


def low_rank(layer: Any, rank: int) -> nn.Sequential:
    """Two layers whose product is the best approximation of rank `rank` of a linear layer or a convolution.

    Of a convolution the first of the two keeps size, stride and padding and has `rank` channels; the second is 1x1.
    Each gets the square root of the singular values, so that both train at about the same scale.
    """
    weight = matrix(layer)
    left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
    root = values[:rank].sqrt()
    first, second = root[:, None] * right[:rank], left[:, :rank] * root  # (r, D_in), (D_out, r)
    pair: tuple[Any, Any]
    if isinstance(layer, nn.Conv2d):
        kept = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation", "padding_mode")}
        pair = (
            nn.utils.skip_init(nn.Conv2d, layer.in_channels, rank, bias=False, **kept),
            nn.utils.skip_init(nn.Conv2d, rank, len(weight), kernel_size=1, bias=layer.bias is not None),
        )
    else:
        pair = (
            nn.utils.skip_init(nn.Linear, weight.shape[1], rank, bias=False),
            nn.utils.skip_init(nn.Linear, rank, len(weight), bias=layer.bias is not None),
        )
    made = nn.Sequential(*pair).to(weight)
    with torch.no_grad():
        for new, factor in zip(pair, (first, second), strict=True):
            new.weight.copy_(factor.reshape(new.weight.shape))
        if layer.bias is not None:
            pair[1].bias.copy_(layer.bias)
    return made.train(layer.training)


def matrix(layer: Any) -> Tensor:
    """The weights of a linear layer or a convolution as (D_out, D_in); for k x k weights D_in = C_in k k."""
    return layer.weight.detach().flatten(1)


def _is_matrix(layer: nn.Module) -> bool:
    return type(layer) is nn.Linear or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
