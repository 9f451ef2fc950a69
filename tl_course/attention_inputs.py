"""What both frameworks need to make `AttentionMaps` and to leave things out: tokens, special ones, patches, copies."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_course.attention import AttentionMaps
from tl_course.errors import BadInput
from tl_course.i18n import _

BOUNDARIES = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
"""The special tokens that are no content. [UNK] and [MASK] stand for content, so they are not among them."""


def text_maps(maps: Sequence[np.ndarray] | None, ids: np.ndarray, mask: np.ndarray, tokenizer: Any) -> AttentionMaps:
    """The maps of a batch of texts.

    Args:
        maps: for each layer (N, H, T, T).
        ids, mask: int and bool (N, T).
        tokenizer: Hugging Face's: convert_ids_to_tokens and the ids of its special tokens.

    Raises:
        BadInput: no maps, no tokenizer, or maps that are no attention.
    """
    if not maps or maps[0] is None:
        raise BadInput(
            _("a model that computes its attention maps"),
            _("one that returns none: fused attention (sdpa, flash) never holds them"),
            _("load it with attention='eager', or call set_attn_implementation('eager') on the transformers model"),
        )
    check_tokenizer(tokenizer)
    boundaries = [getattr(tokenizer, name, None) for name in BOUNDARIES]
    return AttentionMaps(
        tokens=tuple(tuple(tokenizer.convert_ids_to_tokens(row.tolist())) for row in ids),
        weights=np.stack(maps).astype(np.float32, copy=False),
        mask=mask,
        special=np.isin(ids, [number for number in boundaries if number is not None]),
    )


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse to guess which tokens are special."""
    if tokenizer is None:
        raise BadInput(
            _("a tokenizer with a bare module"), "tokenizer=None", _("pass tokenizer=, which knows the special tokens")
        )


def image_maps(maps: Sequence[np.ndarray] | None, size: tuple[int, int], patch_size: int | None) -> AttentionMaps:
    """The maps of a batch of images.

    Args:
        maps: for each layer (N, H, T, T), class tokens first, then the patches row by row.
        size: height and width of the images.
        patch_size: side of a patch in pixels.

    Raises:
        BadInput: no maps or no patches, or maps that are no attention.
    """
    if not maps or patch_size is None:
        raise BadInput(
            _("a vision transformer with patch_size and attention layers (in PyTorch nn.MultiheadAttention)"),
            _("a model without one of the two"),
            _("networks of convolutions have no attention maps"),
        )
    weights = np.stack(maps).astype(np.float32, copy=False)
    grid = size[0] // patch_size, size[1] // patch_size
    extra = weights.shape[-1] - grid[0] * grid[1]
    names = ("[CLS]",) * extra + tuple(f"{row},{column}" for row in range(grid[0]) for column in range(grid[1]))
    shape = (weights.shape[1], len(names))
    special = np.broadcast_to(np.arange(shape[1]) < extra, shape)
    return AttentionMaps((names,) * shape[0], weights, np.ones(shape, bool), special, grid)


def covered_copies(image: np.ndarray, patch_size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """One image (H, W, C) -> a copy for each patch, that patch in the image's mean colour, and last the whole image.

    Returns:
        (P + 1, H, W, C), patches row by row, and the grid (rows, columns).
    """
    height, width = image.shape[:2]
    if height % patch_size or width % patch_size:
        raise BadInput(
            _("a patch size that divides {height} and {width}").format(height=height, width=width),
            str(patch_size),
            _("take the model's own patch_size"),
        )
    rows, columns = height // patch_size, width // patch_size
    copies = np.repeat(image[None], rows * columns + 1, axis=0)
    for patch in range(rows * columns):
        top, left = (patch_size * at for at in divmod(patch, columns))
        copies[patch, top : top + patch_size, left : left + patch_size] = image.mean(axis=(0, 1))
    return copies, (rows, columns)
