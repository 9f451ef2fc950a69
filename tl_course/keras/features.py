"""Features from a frozen backbone, in Keras: pooling, normalising, and running a model over many inputs."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from tl_course.errors import BadInput

if TYPE_CHECKING:
    from tl_course.zoo import Pretrained

Tensor = Any
"""A tensor of whichever backend Keras runs on."""


def global_average_pool(feature_map: Tensor) -> Tensor:
    """Average each channel over all positions (Lin, Chen & Yan, "Network in Network", 2014).

    Args:
        feature_map: (N, H, W, C), channels last as Keras' convolutions give it.

    Returns:
        (N, C).
    """
    if len(feature_map.shape) != 4:
        raise BadInput(
            "a feature map of shape (N, H, W, C)",
            f"shape {tuple(feature_map.shape)}",
            "pass the backbone's last convolutional output",
        )
    return ops.mean(feature_map, axis=(1, 2))


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average token vectors over the real tokens only (Reimers & Gurevych, "Sentence-BERT", 2019).

    Args:
        hidden: (N, L, H) token vectors. What stands at padding positions is ignored, NaN included.
        mask: (N, L), non-zero for a token, 0 for padding (a tokenizer's attention_mask).

    Returns:
        (N, H). A row that is all padding gives zeros.
    """
    if len(hidden.shape) != 3 or tuple(mask.shape) != tuple(hidden.shape[:2]):
        raise BadInput(
            "hidden (N, L, H) and a mask (N, L)",
            f"hidden {tuple(hidden.shape)} and mask {tuple(mask.shape)}",
            "pass the token vectors and the attention_mask of the same batch",
        )
    is_token = ops.expand_dims(ops.cast(mask, "bool"), -1)  # (N, L, 1)
    total = ops.sum(ops.where(is_token, hidden, 0.0), axis=1)  # (N, H)
    count = ops.sum(ops.cast(is_token, hidden.dtype), axis=1)  # (N, 1)
    return ops.divide(total, ops.maximum(count, 1.0))


def l2_normalize(features: Tensor, eps: float = 1e-12) -> Tensor:
    """Scale each row to length 1, so that a dot product is a cosine. A zero row stays zero.

    Args:
        features: (N, D).
        eps: lengths below this are taken as eps.

    Returns:
        (N, D).
    """
    return ops.normalize(features, axis=-1, order=2, epsilon=eps)


def extract_features(
    model: "Pretrained | keras.Model",
    inputs: np.ndarray | Sequence[str],
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """Run a frozen model over all inputs and collect its features.

    Args:
        model: a `zoo.Pretrained` (Keras), which brings its own preprocessing, or a bare `keras.Model`, which gets
            the values exactly as given: nothing is scaled, normalised or resized. It runs in inference mode
            (Dropout off, BatchNorm on its moving averages).
        inputs: images (N, H, W, C), float32 in [0, 1]; for a text model a sequence of strings; for a bare model
            any array (N, ...) it accepts.
        batch_size: inputs per forward pass.
        progress: show a progress bar.

    Returns:
        float32 (N, D). A feature map (N, H, W, C) is pooled to (N, C).
    """
    if len(inputs) == 0:
        raise BadInput("at least one input", "an empty array", "check the split or indices you selected with")
    if batch_size < 1:
        raise BadInput("batch_size of at least 1", str(batch_size), "64 is a good start")
    if not isinstance(model, keras.Model):
        return _pretrained_features(model, inputs, batch_size, progress)
    array = np.asarray(inputs)
    if not np.issubdtype(array.dtype, np.number):
        raise BadInput("numeric arrays for a bare model", f"dtype {array.dtype}", "texts need a model with a tokenizer")
    starts: Iterable[int] = range(0, len(array), batch_size)
    if progress:
        from rich.progress import track

        starts = track(starts, total=-(-len(array) // batch_size), description=model.name)
    return np.concatenate([_forward(model, array[i : i + batch_size]) for i in starts])


def _pretrained_features(
    model: "Pretrained", inputs: np.ndarray | Sequence[str], batch_size: int, progress: bool
) -> np.ndarray:
    """The zoo model's own features, in a few large pieces when a progress bar is wanted."""
    framework = getattr(model, "framework", None)
    if framework != "keras":
        raise BadInput(
            "a Keras model from tl_course.zoo or a keras.Model",
            f"{framework} model" if framework else type(model).__name__,
            "use tl_course.pytorch.features for PyTorch models",
        )
    if not progress:
        return model.features(inputs, batch_size=batch_size)
    from rich.progress import track

    piece = 8 * batch_size
    starts = track(range(0, len(inputs), piece), description=model.name)
    return np.concatenate([model.features(inputs[i : i + piece], batch_size=batch_size) for i in starts])


def _forward(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    """One batch through the compiled graph, inference mode: float32 (n, D)."""
    output = model.predict_on_batch(batch)
    shape = getattr(output, "shape", None)
    if shape is None or len(shape) not in (2, 4):
        raise BadInput(
            "a model that returns (N, D) or (N, H, W, C)",
            f"shape {tuple(shape)}" if shape is not None else type(output).__name__,
            "wrap it in a model that returns one of these",
        )
    pooled = ops.convert_to_numpy(global_average_pool(output)) if len(shape) == 4 else output
    return np.asarray(pooled, dtype=np.float32)
