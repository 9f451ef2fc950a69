"""TinyViT in PyTorch: a Vision Transformer small enough to train, ship and look into.

Dosovitskiy et al., An Image is Worth 16x16 Words, 2021: an image is cut into patches, each patch becomes a token, and
from there on it is an encoder like any other. 48x48 greyscale images, 64 patches of 6x6 pixels. The Keras twin is
tiny_vit_keras, and the sizes are in tiny_vit_sizes.
"""

import torch
from torch import Tensor, nn

from tl_course.pytorch.encoder import EncoderBlock, EncoderOutput, run_blocks
from tl_course.pytorch.self_attention import linear_map
from tl_course.zoo.tiny_vit_sizes import TinyViTSizes, check_vit_images, grid_positions


class TinyViT(nn.Module):
    """Patches, class token, positions, pre-norm blocks, LayerNorm, linear head on the class token.

    Args:
        num_classes: width of the head `head`.
        sizes: of the network; the defaults are the shipped weights'.

    Attributes:
        patch_size: side of a patch in pixels.
    """

    def __init__(self, num_classes: int = 10, sizes: TinyViTSizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = TinyViTSizes() if sizes is None else sizes
        self.patch_size = sizes.patch_size
        self.patches = linear_map(sizes.patch_size**2, sizes.dim)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, sizes.dim))
        self.positions = nn.Parameter(torch.from_numpy(grid_positions(sizes)))
        block = (sizes.dim, sizes.num_heads, sizes.hidden_dim, sizes.dropout, "pre", sizes.eps)
        self.blocks = nn.ModuleList(EncoderBlock(*block) for _layer in range(sizes.num_layers))
        self.norm = nn.LayerNorm(sizes.dim, sizes.eps)
        self.head = linear_map(sizes.dim, num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """Normalised images (N, 1, H, W) -> tokens (N, 1 + P, D): the class token, then the patches row by row."""
        check_vit_images(self.sizes, tuple(x.shape), channels_axis=1)
        side = self.sizes.image_size // self.patch_size
        x = x.unflatten(3, (side, -1)).unflatten(2, (side, -1))  # (N, 1, rows, p, columns, p)
        x = x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)  # (N, rows, columns, p, p, 1) -> (N, P, p²)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), self.patches(x)], dim=1)  # (N, 1 + P, D)
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
