"""The sizes of TinyViT, the same for PyTorch and Keras."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tl_course.encoder_config import check_heads
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.positions import sinusoidal_positions

MEAN, STD = (0.27,), (0.19,)
"""Of the training images of cluttered_digits, rounded."""


STEM = ((16, 2), (32, 1), (64, 3), (64, 1))
"""Width and stride of the 3x3 convolutions that turn pixels into tokens; the strides multiply to the patch size."""


@dataclass(frozen=True)
class TinyViTSizes:
    """What decides the weights of a `TinyViT`. The defaults are the shipped weights'.

    Attributes:
        image_size: height and width of the images, a multiple of `patch_size`.
        num_layers: number of blocks.
        num_heads: attention heads of each block.
        hidden_dim: width of the feed-forward networks.
        dropout: probability in training mode.
        eps: added to the variance in every LayerNorm.
    """

    image_size: int = 48
    num_layers: int = 4
    num_heads: int = 4
    hidden_dim: int = 128
    dropout: float = 0.0
    eps: float = 1e-6

    def __post_init__(self) -> None:
        check_heads(self.dim, self.num_heads)
        if self.image_size < 1 or self.image_size % self.patch_size:
            raise BadInput(
                _("image_size as a multiple of {size}").format(size=self.patch_size),
                str(self.image_size),
                _("48 is what the shipped weights were trained at"),
            )

    @property
    def dim(self) -> int:
        """D, width of the token vectors."""
        return STEM[-1][0]

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels: how far apart the tokens' centres are."""
        return prod(stride for _width, stride in STEM)

    @property
    def num_patches(self) -> int:
        """P, patches of an image."""
        return (self.image_size // self.patch_size) ** 2


def grid_positions(sizes: TinyViTSizes) -> NDArray[np.float32]:
    """Where position vectors start: sines of the patch's row, then of its column (Beyer et al., Better plain ViT
    baselines for ImageNet-1k, 2022), halved in size; zeros for the class token. Training moves them on.

    Returns:
        float32 (1, 1 + P, D).
    """
    side = sizes.image_size // sizes.patch_size
    waves = sinusoidal_positions(side, sizes.dim // 2)  # (side, D / 2)
    rows, columns = np.repeat(waves, side, axis=0), np.tile(waves, (side, 1))  # (P, D / 2) each, row by row
    patches = 0.5 * np.concatenate([rows, columns], axis=1)  # (P, D)
    return np.concatenate([np.zeros_like(patches[:1]), patches])[None].astype(np.float32)


def check_vit_images(sizes: TinyViTSizes, shape: tuple[int | None, ...], channels_axis: int) -> None:
    """Refuse images the position vectors were not made for: they need one channel and exactly image_size pixels."""
    side = sizes.image_size
    wanted = [None, side, side]
    wanted.insert(channels_axis, 1)
    fits = len(shape) == 4 and all(
        want in (None, size) or size is None for want, size in zip(wanted, shape, strict=True)
    )
    if not fits:
        raise BadInput(
            _("images of shape {shape}").format(shape="(N, " + ", ".join(map(str, wanted[1:])) + ")"),
            _("shape {shape}").format(shape=shape),
            _("pass what preprocess gives: it resizes"),
        )
