"""Features from a frozen backbone, in PyTorch: pooling, normalising, and running a model over many inputs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.errors import BadInput
from tl_course.pytorch.fold_batchnorm import fold_batchnorm

if TYPE_CHECKING:
    from tl_course.zoo import Pretrained

_PIXELS_IN_CACHE = 8 * 224 * 224  # measured with mobilenet_v2: 8 images at 224 take 0.67 of the time of 32
_WORTH_FOLDING = 32  # images; copying and folding mobilenet_v2 takes as long as about three


def global_average_pool(feature_map: Tensor) -> Tensor:
    """Average each channel over all positions (Lin, Chen & Yan, "Network in Network", 2014).

    Args:
        feature_map: (N, C, H, W), channels first as PyTorch's convolutions give it.

    Returns:
        (N, C).
    """
    if feature_map.ndim != 4:
        raise BadInput(
            "a feature map of shape (N, C, H, W)",
            f"shape {tuple(feature_map.shape)}",
            "pass the backbone's last convolutional output",
        )
    return feature_map.mean(dim=(2, 3))


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average token vectors over the real tokens only (Reimers & Gurevych, "Sentence-BERT", 2019).

    Args:
        hidden: (N, L, H) token vectors. What stands at padding positions is ignored, NaN included.
        mask: (N, L), non-zero for a token, 0 for padding (a tokenizer's attention_mask).

    Returns:
        (N, H). A row that is all padding gives zeros.
    """
    if hidden.ndim != 3 or mask.shape != hidden.shape[:2]:
        raise BadInput(
            "hidden (N, L, H) and a mask (N, L)",
            f"hidden {tuple(hidden.shape)} and mask {tuple(mask.shape)}",
            "pass last_hidden_state and the attention_mask of the same batch",
        )
    is_token = mask.bool().unsqueeze(-1)  # (N, L, 1)
    total = hidden.masked_fill(~is_token, 0.0).sum(dim=1)  # (N, H)
    return total / is_token.sum(dim=1).clamp(min=1).to(hidden.dtype)


def l2_normalize(features: Tensor, eps: float = 1e-12) -> Tensor:
    """Scale each row to length 1, so that a dot product is a cosine. A zero row stays zero.

    Args:
        features: (N, D).
        eps: lengths below this are taken as eps.

    Returns:
        (N, D).
    """
    return nn.functional.normalize(features, dim=-1, eps=eps)


def extract_features(
    model: "Pretrained | nn.Module",
    inputs: np.ndarray | Sequence[str],
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:
    """Run a frozen model over all inputs and collect its features.

    Args:
        model: a `zoo.Pretrained` (PyTorch), which brings its own preprocessing, or a bare module, which gets the
            values exactly as given: nothing is scaled, normalised or resized. The one change is the layout:
            images (N, H, W, C) reach a bare module as (N, C, H, W). The module runs in evaluation and inference
            mode; afterwards every submodule has the training flag it had before.
        inputs: images (N, H, W, C), float32 in [0, 1]; for a text model a sequence of strings; for a bare module
            any array (N, ...) it accepts.
        batch_size: inputs per forward pass.
        progress: show a progress bar.

    Returns:
        float32 (N, D). A feature map (N, C, H, W) is pooled to (N, C).
    """
    if len(inputs) == 0:
        raise BadInput("at least one input", "an empty array", "check the split or indices you selected with")
    if batch_size < 1:
        raise BadInput("batch_size of at least 1", str(batch_size), "64 is a good start")
    if not isinstance(model, nn.Module):
        return _pretrained_features(model, inputs, batch_size, progress)
    array = np.asarray(inputs)
    if not np.issubdtype(array.dtype, np.number):
        raise BadInput(
            "numeric arrays for a bare module",
            f"dtype {array.dtype}",
            "texts need zoo.load('minilm') and its tokenizer",
        )
    with evaluation_mode(model):
        return np.concatenate([_forward(model, batch) for batch in _batches(model, array, batch_size, progress)])


def _pretrained_features(
    model: "Pretrained", inputs: np.ndarray | Sequence[str], batch_size: int, progress: bool
) -> np.ndarray:
    """The zoo model's own features, in a few large pieces when a progress bar is wanted."""
    framework = getattr(model, "framework", None)
    if framework != "pytorch":
        raise BadInput(
            "a PyTorch model from tl_course.zoo or an nn.Module",
            f"{framework} model" if framework else type(model).__name__,
            "use tl_course.keras.features for Keras models",
        )
    if not progress:
        return model.features(inputs, batch_size=batch_size)
    from rich.progress import track

    piece = 8 * batch_size  # large pieces keep the model's sorting by length worthwhile
    starts = track(range(0, len(inputs), piece), description=model.name)
    return np.concatenate([model.features(inputs[i : i + piece], batch_size=batch_size) for i in starts])


def _batches(model: nn.Module, array: np.ndarray, batch_size: int, progress: bool) -> Iterator[Tensor]:
    """Batches on the module's device; images as (N, C, H, W)."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    starts: Sequence[int] | Iterator[int] = range(0, len(array), batch_size)
    if progress:
        from rich.progress import track

        starts = iter(track(starts, description=type(model).__name__))
    for start in starts:
        batch = torch.from_numpy(np.ascontiguousarray(array[start : start + batch_size])).to(device)
        yield batch.permute(0, 3, 1, 2) if batch.ndim == 4 else batch


def _forward(model: nn.Module, batch: Tensor) -> np.ndarray:
    """One batch through the module: float32 (n, D)."""
    with torch.inference_mode():
        output = model(batch)
        shape = tuple(output.shape) if isinstance(output, Tensor) else None
        if shape is None or len(shape) not in (2, 4):
            raise BadInput(
                "a module that returns (N, D) or (N, C, H, W)",
                f"shape {shape}" if shape else type(output).__name__,
                "wrap it in a module that returns one of these",
            )
        pooled = global_average_pool(output) if output.ndim == 4 else output
        return pooled.float().cpu().numpy()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every submodule's training flag is what it was, frozen BatchNorm included."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


def inference_copy(model: nn.Module, num_images: int) -> nn.Module:
    """The model, in evaluation mode, as it is fastest for so many images: its BatchNorm folded into convolutions."""
    return fold_batchnorm(model) if num_images >= _WORTH_FOLDING else model


def batch_that_fits(device: torch.device, pixels: int) -> int:
    """Images of so many pixels to run at once without gradients; no fewer are faster."""
    return max(1, _PIXELS_IN_CACHE // pixels) if device.type == "cpu" else 256
