"""Image models in Keras: preprocessing and features."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_course.zoo.inputs import check_batch_size
from tl_course.zoo.pretrained import ImageModel, Weights

Scale = Callable[[Any], Any]


def standardise(mean: Sequence[float], std: Sequence[float]) -> Scale:
    """The function that takes images in [0, 1] to (images - mean) / std, channel by channel."""
    mean_array, std_array = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    return lambda x: (x - mean_array) / std_array


class KerasImageModel(ImageModel):
    """A Keras image model.

    Args:
        name, weights, feature_dim, image_size, min_size: see `ImageModel`.
        model: takes scaled images (N, H, W, C).
        scale: takes images in [0, 1] to what the weights were trained with.
        channels: C.
        feature_layer: name of the layer whose output (N, D) is the features; None: the model's output.
    """

    def __init__(
        self,
        name: str,
        weights: Weights,
        model: keras.Model,
        feature_dim: int,
        *,
        scale: Scale,
        image_size: int | None,
        channels: int = 3,
        min_size: int = 32,
        feature_layer: str | None = None,
    ) -> None:
        super().__init__(
            name, "keras", weights, model, feature_dim, channels=channels, image_size=image_size, min_size=min_size
        )
        self.weights: Weights = weights
        self._scale = scale
        self._feature_layer = feature_layer
        self._forward: Callable[[Any], Any] | None = None

    def preprocess(self, inputs: np.ndarray) -> Any:
        """Images float32 (N, H, W, C) in [0, 1] -> scaled tensor (N, H', W', C)."""
        return self.prepare(self.check(inputs))

    def prepare(self, images: Any) -> Any:
        """`preprocess` for images known to be right, as an array or a tensor, also while a graph is traced."""
        x: Any = images
        size = self.new_size(images)
        if size is not None:
            x = keras.ops.image.resize(x, size, interpolation="bilinear", antialias=True, data_format="channels_last")
        return self._scale(x)

    def with_model(self, model: keras.Model, feature_layer: str) -> "KerasImageModel":
        """The same preprocessing around another model, whose features are the output (N, D) of that layer."""
        return KerasImageModel(
            self.name,
            self.weights,
            model,
            model.get_layer(feature_layer).output.shape[-1],
            scale=self._scale,
            image_size=self.image_size,
            channels=self.channels,
            min_size=self.min_size,
            feature_layer=feature_layer,
        )

    def _compiled(self) -> Callable[[Any], Any]:
        """The backbone as one graph for any number and size of images: traced once, where predict traces per shape."""
        if self._forward is not None:
            return self._forward
        layer = self._feature_layer
        output = self.model.output if layer is None else self.model.get_layer(layer).output
        backbone = keras.Model(self.model.inputs, output, name=f"{self.name}_features")
        height, width = self.model.input_shape[1:3]
        spec = tf.TensorSpec((None, height, width, self.channels), tf.float32)
        forward = tf.function(lambda x: backbone(x, training=False)).get_concrete_function(spec)
        self._forward = forward
        return forward

    def prepared_features(self, images: Any) -> Any:
        """What `preprocess` gave (n, H', W', C) -> frozen features (n, D), all at once."""
        return self._compiled()(tf.convert_to_tensor(images))

    def features(self, inputs: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images float32 (N, H, W, C) in [0, 1] -> frozen features float32 (N, D), BatchNorm on its moving averages.

        Raises:
            BadInput: images that do not match dtype, shape, channel order or range.
        """
        images = self.check(inputs)
        check_batch_size(batch_size)
        out = np.empty((len(images), self.feature_dim), dtype=np.float32)
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            out[start : start + len(batch)] = self.prepared_features(self.prepare(batch))
        return out
