"""TinyViT in Keras: the Vision Transformer of tiny_vit_torch, with the same numbers.

Dosovitskiy et al., An Image is Worth 16x16 Words, 2021: an image is cut into patches, each patch becomes a token, and
from there on it is an encoder like any other. 48x48 greyscale images, 64 patches of 6x6 pixels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tl_course.keras.encoder import EncoderBlock, EncoderOutput, run_blocks
from tl_course.keras.encoder_weights import block_layers, set_state
from tl_course.zoo.tiny_vit_sizes import TinyViTSizes, check_vit_images, grid_positions

FEATURES = "features"  # the layer whose output is the class token's vector


@keras.saving.register_keras_serializable("tl_course")
class Patches(layers.Layer):
    """Images (N, H, W, 1) -> the pixels of each patch (N, P, p²), patches and pixels row by row."""

    def __init__(self, patch_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def call(self, x: Any) -> Any:
        side, p = x.shape[1] // self.patch_size, self.patch_size
        x = ops.reshape(x, (-1, side, p, side, p))  # (N, rows, p, columns, p)
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, side * side, p * p))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patch_size": self.patch_size}


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
    """Patches, class token, positions, pre-norm blocks, LayerNorm, linear head on the class token. A functional model.

    Args:
        num_classes: width of the head `head`.
        sizes: of the network; the defaults are the shipped weights'.

    Attributes:
        patch_size: side of a patch in pixels.
    """

    def __init__(self, num_classes: int = 10, sizes: TinyViTSizes | None = None) -> None:
        sizes = TinyViTSizes() if sizes is None else sizes
        inputs = keras.Input((sizes.image_size, sizes.image_size, 1))
        x = Patches(sizes.patch_size, name="cut")(inputs)  # (N, P, p²)
        x = layers.Dense(sizes.dim, name="patches")(x)  # (N, P, D)
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
        for name in ("cut", "patches", "tokens"):
            x = self.get_layer(name)(x)
        return x

    def encode(self, x: Any, output_attentions: bool = False) -> EncoderOutput:
        """Normalised images (N, H, W, 1) -> token vectors (N, 1 + P, D), class token first, after the last LayerNorm.

        Attentions, when asked for, are one map (N, heads, 1 + P, 1 + P) a layer.
        """
        last, hidden_states, attentions = run_blocks(self.blocks, self.embed(x), output_attentions=output_attentions)
        return EncoderOutput(self.get_layer("norm")(last), hidden_states, attentions)


def port(model: TinyViT, state: Mapping[str, np.ndarray]) -> None:
    """Copy the PyTorch twin's state_dict, as arrays, into the model."""
    state = dict(state)
    model.get_layer("tokens").set_weights([state.pop("class_token"), state.pop("positions")])
    named = {name: model.get_layer(name) for name in ("patches", "norm", "head")}
    set_state({**named, **block_layers(model.blocks)}, state)
