"""TinyViT in Keras: a Vision Transformer small enough to train, ship and look into.

Dosovitskiy et al., An Image is Worth 16x16 Words, 2021: an image becomes a grid of patch tokens, and from there on it
is an encoder like any other. Linear patches learn slowly from few images, so the tokens come from four small
convolutions (Xiao et al., Early Convolutions Help Transformers See Better, 2021): 48x48 greyscale pixels, 8x8 tokens
6 pixels apart, each of which sees the 23x23 pixels around it. The PyTorch twin is
tiny_vit_torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tl_course.keras.encoder import EncoderBlock, EncoderOutput, run_blocks
from tl_course.keras.encoder_weights import block_layers, set_state
from tl_course.zoo.tiny_vit_sizes import STEM, TinyViTSizes, check_vit_images, grid_positions

FEATURES = "features"  # the layer whose output is the class token's vector


@keras.saving.register_keras_serializable("tl_course")
class ClassTokenAndPositions(layers.Layer):
    """Patch tokens (N, P, D) -> (N, 1 + P, D): a learned class token in front, a position vector added to each."""

    def build(self, input_shape: Sequence[Any]) -> None:
        _count, num_patches, dim = input_shape
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.class_token = self.add_weight(shape=(1, 1, dim), initializer=normal, name="class_token")
        self.positions = self.add_weight(shape=(1, 1 + num_patches, dim), initializer="zeros", name="positions")

    def call(self, x: Any) -> Any:
        class_tokens = ops.broadcast_to(self.class_token, (ops.shape(x)[0], 1, x.shape[2]))  # (N, 1, D)
        return ops.concatenate([class_tokens, x], axis=1) + self.positions


@keras.saving.register_keras_serializable("tl_course")
class First(layers.Layer):
    """Tokens (N, 1 + P, D) -> the first, the class token (N, D)."""

    def call(self, x: Any) -> Any:
        return x[:, 0]


class TinyViT(keras.Model):
    """Convolutional stem, class token, positions, pre-norm blocks, LayerNorm, linear head on the class token.

    A functional model, so that layers, heads and weights are found as in any other.

    Args:
        num_classes: width of the head `head`.
        sizes: of the network; the defaults are the shipped weights'.

    Attributes:
        patch_size: how many pixels the tokens are apart.
    """

    def __init__(self, num_classes: int = 10, sizes: TinyViTSizes | None = None) -> None:
        sizes = TinyViTSizes() if sizes is None else sizes
        inputs = keras.Input((sizes.image_size, sizes.image_size, 1))
        x = inputs
        for layer in _stem(sizes):
            x = layer(x)  # … (N, P, D)
        x = ClassTokenAndPositions(name="tokens")(x)  # (N, 1 + P, D)
        block = (sizes.dim, sizes.num_heads, sizes.hidden_dim, sizes.dropout, "pre", sizes.eps)
        for number in range(sizes.num_layers):
            x, _maps = EncoderBlock(*block, name=f"block_{number}")(x, output_attentions=True)
        x = layers.LayerNormalization(epsilon=sizes.eps, name="norm")(x)
        x = First(name=FEATURES)(x)  # (N, D)
        super().__init__(inputs=inputs, outputs=layers.Dense(num_classes, name="head")(x), name="tiny_vit")
        self.get_layer("tokens").positions.assign(grid_positions(sizes))
        self.sizes = sizes
        self.patch_size = sizes.patch_size

    @property
    def blocks(self) -> list[EncoderBlock]:
        """The encoder blocks, first to last."""
        return [self.get_layer(f"block_{number}") for number in range(self.sizes.num_layers)]

    def embed(self, x: Any) -> Any:
        """Normalised images (N, H, W, 1) -> tokens (N, 1 + P, D): the class token, then the patches row by row."""
        check_vit_images(self.sizes, tuple(x.shape), channels_axis=3)
        for layer in self.layers[1 : self.layers.index(self.get_layer("tokens")) + 1]:
            x = layer(x)
        return x

    def encode(self, x: Any, output_attentions: bool = False) -> EncoderOutput:
        """Normalised images (N, H, W, 1) -> token vectors (N, 1 + P, D), class token first, after the last LayerNorm.

        Attentions, when asked for, are one map (N, heads, 1 + P, 1 + P) a layer.
        """
        last, hidden_states, attentions = run_blocks(self.blocks, self.embed(x), output_attentions=output_attentions)
        return EncoderOutput(self.get_layer("norm")(last), hidden_states, attentions)


def _stem(sizes: TinyViTSizes) -> list[layers.Layer]:
    """Images (N, H, W, 1) -> patch vectors (N, P, D). No padding where the stride is 3: nothing overlaps."""
    stem: list[layers.Layer] = []
    for number, (width, stride) in enumerate(STEM):
        if number:
            stem.append(layers.Activation("gelu", name=f"gelu_{number}"))
        if stride != 3:
            stem.append(layers.ZeroPadding2D(1, name=f"pad_{number}"))
        stem.append(layers.Conv2D(width, 3, strides=stride, name=f"stem_{number}"))
    return [*stem, layers.Reshape((sizes.num_patches, sizes.dim), name="patches")]


def port(model: TinyViT, state: Mapping[str, np.ndarray]) -> None:
    """Copy the PyTorch twin's state_dict, as arrays, into the model."""
    state = dict(state)
    model.get_layer("tokens").set_weights([state.pop("class_token"), state.pop("positions")])
    for number in range(len(STEM)):
        kernel, bias = (state.pop(f"stem.{2 * number}.{kind}") for kind in ("weight", "bias"))  # GELUs lie between
        model.get_layer(f"stem_{number}").set_weights([kernel.transpose(2, 3, 1, 0), bias])  # (H, W, in, out)
    named = {name: model.get_layer(name) for name in ("norm", "head")}
    set_state({**named, **block_layers(model.blocks)}, state)
