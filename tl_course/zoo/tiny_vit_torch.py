"""TinyViT in PyTorch: a Vision Transformer small enough to train, ship and look into.

Dosovitskiy et al., An Image is Worth 16x16 Words, 2021: an image becomes a grid of patch tokens, and from there on it
is an encoder like any other. Linear patches learn slowly from few images, so the tokens come from four small
convolutions (Xiao et al., Early Convolutions Help Transformers See Better, 2021): 48x48 greyscale pixels, 8x8 tokens
6 pixels apart, each of which sees the 23x23 pixels around it. The Keras twin is
tiny_vit_keras, the sizes are in tiny_vit_sizes.
"""

import torch
from torch import Tensor, nn

from tl_course.pytorch.encoder import EncoderBlock, EncoderOutput, run_blocks
from tl_course.pytorch.self_attention import linear_map
from tl_course.zoo.tiny_vit_sizes import STEM, TinyViTSizes, check_vit_images, grid_positions


class TinyViT(nn.Module):
    """Convolutional stem, class token, positions, pre-norm blocks, LayerNorm, linear head on the class token.

    Args:
        num_classes: width of the head `head`.
        sizes: of the network; the defaults are the shipped weights'.

    Attributes:
        patch_size: how many pixels the tokens are apart.
    """

    def __init__(self, num_classes: int = 10, sizes: TinyViTSizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = TinyViTSizes() if sizes is None else sizes
        self.patch_size = sizes.patch_size
        self.stem = _stem()
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, sizes.dim))
        self.positions = nn.Parameter(torch.from_numpy(grid_positions(sizes)))
        block = (sizes.dim, sizes.num_heads, sizes.hidden_dim, sizes.dropout, "pre", sizes.eps)
        self.blocks = nn.ModuleList(EncoderBlock(*block) for _layer in range(sizes.num_layers))
        self.norm = nn.LayerNorm(sizes.dim, sizes.eps)
        self.head = linear_map(sizes.dim, num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """Normalised images (N, 1, H, W) -> tokens (N, 1 + P, D): the class token, then the patches row by row."""
        check_vit_images(self.sizes, tuple(x.shape), channels_axis=1)
        patches = self.stem(x).flatten(2).transpose(1, 2)  # (N, D, rows, columns) -> (N, P, D)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches], dim=1)  # (N, 1 + P, D)
        return tokens + self.positions

    def encode(self, x: Tensor, output_attentions: bool = False) -> EncoderOutput:
        """Normalised images (N, 1, H, W) -> token vectors (N, 1 + P, D), class token first, after the last LayerNorm.

        Attentions, when asked for, are one map (N, heads, 1 + P, 1 + P) a layer.
        """
        last, hidden_states, attentions = run_blocks(self.blocks, self.embed(x), output_attentions=output_attentions)
        return EncoderOutput(self.norm(last), hidden_states, attentions)

    def forward_features(self, x: Tensor) -> Tensor:
        """Normalised images (N, 1, H, W) -> the class token's vector (N, D)."""
        return self.encode(x).last_hidden_state[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 1, H, W) -> logits (N, num_classes)."""
        return self.head(self.forward_features(x))


def _stem() -> nn.Sequential:
    """Images (N, 1, H, W) -> patch vectors (N, D, H / 6, W / 6). No padding where the stride is 3: nothing overlaps."""
    stem, channels = nn.Sequential(), 1
    for width, stride in STEM:
        if channels > 1:
            stem.append(nn.GELU())
        stem.append(nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=0 if stride == 3 else 1))
        channels = width
    return stem
