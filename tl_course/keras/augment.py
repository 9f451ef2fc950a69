"""Augmentation: training images that vary as real ones would, and mixtures of them."""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tl_course.errors import BadInput
from tl_course.fit_options import Augmentation
from tl_course.i18n import _

_AREA = (0.4, 1.0)  # share of the image that a crop keeps
_STRETCH = 4 / 3  # largest ratio of a crop's sides to the image's


@keras.saving.register_keras_serializable("tl_course")
class RandomResizedCrop(layers.Layer):
    """A random part of each image, 40 to 100 % of its area and stretched by at most 4/3, enlarged to the whole.

    Szegedy et al., Going deeper with convolutions, 2015.

    Args:
        seed: of the crops; None draws one.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool | None = None) -> Any:
        """(N, H, W, C) -> the same shape; unchanged outside training."""
        if not training:
            return images
        count, (height, width) = ops.shape(images)[0], images.shape[1:3]
        drawn = keras.random.uniform((4, count), seed=self.seed_generator)
        side = ops.sqrt(_AREA[0] + (_AREA[1] - _AREA[0]) * drawn[0])
        stretch = ops.exp((2 * drawn[1] - 1) * math.log(_STRETCH) / 2)
        rows, columns = ops.minimum(side * stretch, 1.0), ops.minimum(side / stretch, 1.0)  # shares of the sides
        top, left = drawn[2] * (1 - rows) * (height - 1), drawn[3] * (1 - columns) * (width - 1)
        zero = ops.zeros_like(rows)
        # Output (x, y) shows input (columns x + left, rows y + top).
        transform = ops.stack([columns, zero, left, zero, rows, top, zero, zero], axis=1)
        return ops.image.affine_transform(
            images, transform, interpolation="bilinear", fill_mode="nearest", data_format="channels_last"
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def augmentation(kind: Augmentation = "photo", size: int | None = None, seed: int = 0) -> keras.layers.Layer:
    """Random changes that leave the class as it is, as Keras layers; they act when called with training=True.

    - photo: a random part of 40 to 100 % of the area, stretched by at most 4/3, mirrored half of the time, brightness
      and contrast changed by up to 20 %.
    - digit: turned by up to 10 degrees, moved by up to 10 %, scaled by up to 10 %, filled with 0 (black); never
      mirrored, as a mirrored digit is another sign.
    - none: nothing.

    Args:
        kind: one of the three.
        size: height and width of what photo gives; None keeps the images' own. digit and none never change the size.
        seed: of all changes.

    Returns:
        A layer: images (N, H, W, C) in [0, 1] -> the same, each changed by itself.

    Raises:
        BadInput: an unknown kind.
    """
    if kind not in ("none", "photo", "digit"):
        raise BadInput(_("augment 'none', 'photo' or 'digit'"), repr(kind), _("choose one of these"))
    if kind == "none":
        return layers.Identity()
    if kind == "digit":
        fill: dict[str, Any] = {"fill_mode": "constant", "fill_value": 0.0, "data_format": "channels_last"}
        return layers.Pipeline(
            [
                layers.RandomRotation(10 / 360, seed=seed, **fill),
                layers.RandomTranslation(0.1, 0.1, seed=seed + 1, **fill),
                layers.RandomZoom(0.1, seed=seed + 2, **fill),
            ]
        )
    changes: list[keras.layers.Layer] = [
        RandomResizedCrop(seed=seed),
        layers.RandomFlip("horizontal", seed=seed + 1, data_format="channels_last"),
        layers.RandomBrightness(0.2, value_range=(0, 1), seed=seed + 2),
        layers.RandomContrast(0.2, value_range=(0, 1), seed=seed + 3),
    ]
    if size is not None:
        changes.append(layers.Resizing(size, size, antialias=True, data_format="channels_last"))
    return layers.Pipeline(changes)


def mixup(x: Any, y: Any, alpha: float, seed: int | np.random.Generator) -> tuple[Any, Any]:
    """Each image mixed with another of the batch, and their labels alike (Zhang, Cisse, Dauphin & Lopez-Paz, 2018).

    x' = k x + (1 - k) x[p] and y' = k y + (1 - k) y[p], with one k ~ Beta(alpha, alpha) and one permutation p a batch.

    Args:
        x: (N, ...).
        y: (N, K) one-hot or soft labels.
        alpha: above 0; 0.2 mixes a little, 1 evenly.
        seed: a number, or a generator that moves on from batch to batch.

    Returns:
        x' and y', shaped as x and y.

    Raises:
        BadInput: alpha of 0 or less, or labels that are not (N, K).
    """
    if alpha <= 0:
        raise BadInput(_("alpha above 0"), str(alpha), _("0.2 is usual; leave mixup out for none"))
    if len(y.shape) != 2 or x.shape[0] != y.shape[0]:
        raise BadInput(
            _("labels of shape ({count}, K)").format(count=x.shape[0]),
            _("shape {shape}").format(shape=tuple(y.shape)),
            _("use keras.ops.one_hot(y, num_classes)"),
        )
    k, order = draw_mixup(x.shape[0], alpha, np.random.default_rng(seed))
    return mix(x, k, order), mix(y, k, order)


def draw_mixup(count: int, alpha: float, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """k and the permutation p of `mixup` for a batch of `count`."""
    return float(rng.beta(alpha, alpha)), rng.permutation(count)


def mix(values: Any, k: Any, order: Any) -> Any:
    """k * values + (1 - k) * values[order]."""
    values = ops.convert_to_tensor(values)
    return k * values + (1 - k) * ops.take(values, order, axis=0)
