"""Features kept on disk. A frozen backbone gives the same features every time, so computing them once is enough."""

import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tl_course import assets
from tl_course.errors import BadInput

if TYPE_CHECKING:
    import keras
    from torch import nn

    from tl_course.zoo import Pretrained


@dataclass(frozen=True)
class CachedFeatures:
    """Features and what keeping them was worth.

    Attributes:
        features: float32 (N, D).
        hit: True when they were read from disk.
        compute_seconds: how long the model took, now or when they were first computed.
        seconds: how long this call took, hashing the inputs and reading included.
        path: the file, or None when the disk would not take it.
    """

    features: np.ndarray
    hit: bool
    compute_seconds: float
    seconds: float
    path: Path | None

    @property
    def seconds_saved(self) -> float:
        """Time this call saved: 0 when it had to compute."""
        return max(0.0, self.compute_seconds - self.seconds) if self.hit else 0.0


def cached_features(
    model: "Pretrained | nn.Module | keras.Model",
    inputs: np.ndarray | Sequence[str],
    batch_size: int = 64,
    progress: bool = False,
    directory: Path | None = None,
) -> CachedFeatures:
    """Features of a frozen model, from disk when the same model has seen the same inputs before.

    The file's name is a SHA-256 over the inputs, the model's name, framework, structure and weights, and what its
    preprocessing makes of the first input; change any of them and the features are computed anew. A damaged file is
    noticed and computed again. A full or read-only disk costs the saving, not the result.

    Args:
        model: as for `extract_features`, in either framework.
        inputs: images (N, H, W, C) float32 in [0, 1], or strings for a text model.
        batch_size: inputs per forward pass.
        progress: show a progress bar while computing.
        directory: where to keep the file; default `folder()`.
    """
    start = time.perf_counter()
    path = (folder() if directory is None else directory) / f"{fingerprint(model, inputs)}.npz"
    stored = read(path, len(inputs))
    if stored is not None:
        features, compute_seconds = stored
        return CachedFeatures(features, True, compute_seconds, time.perf_counter() - start, path)
    compute_start = time.perf_counter()
    features = _extract(model, inputs, batch_size, progress)
    compute_seconds = time.perf_counter() - compute_start
    written = write(path, features, compute_seconds)
    return CachedFeatures(features, False, compute_seconds, time.perf_counter() - start, path if written else None)


def folder() -> Path:
    """Where the features are kept: `features` in the assets' cache folder."""
    return assets.cache_dir() / "features"


def clear() -> int:
    """Delete all kept features; returns how many files that were."""
    files = list(folder().glob("*.npz"))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def fingerprint(model: "Pretrained | nn.Module | keras.Model", inputs: np.ndarray | Sequence[str]) -> str:
    """SHA-256 (hexadecimal) of everything the features depend on."""
    if len(inputs) == 0:
        raise BadInput("at least one input", "an empty array", "check the split or indices you selected with")
    digest = hashlib.sha256()
    name, framework = getattr(model, "name", type(model).__name__), getattr(model, "framework", "bare")
    digest.update(json.dumps([version("tl-course"), name, framework]).encode())
    _add_array(digest, inputs)
    inner = getattr(model, "model", model)
    _add_weights(digest, inner)
    preprocess = getattr(model, "preprocess", None)
    if inner is not model and callable(preprocess):
        _add_any(digest, preprocess(inputs[:1]))
    return digest.hexdigest()


def _add_array(digest: "hashlib._Hash", values: Any) -> None:
    """Dtype, shape and content. Texts go through JSON, which keeps their boundaries."""
    array = np.asarray(values)
    if array.dtype.kind in "USOT":
        digest.update(json.dumps([str(text) for text in array.tolist()]).encode())
        return
    digest.update(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)


def _add_any(digest: "hashlib._Hash", value: Any) -> None:
    """An array, a tensor, or the mapping of tensors a tokenizer returns."""
    if hasattr(value, "items"):
        for key, item in sorted(value.items()):
            digest.update(str(key).encode())
            _add_any(digest, item)
    else:
        _add_array(digest, value.detach().cpu() if hasattr(value, "detach") else value)


def _add_weights(digest: "hashlib._Hash", model: Any) -> None:
    """Structure and every weight of a torch module or a Keras model."""
    if hasattr(model, "state_dict"):
        import torch

        digest.update(str(model).encode())
        for key, value in model.state_dict().items():
            digest.update(f"{key}{getattr(value, 'dtype', type(value))}".encode())
            if isinstance(value, torch.Tensor):
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
            else:  # what quantised layers keep beside their tensors
                digest.update(str(value).encode())
    elif hasattr(model, "get_weights"):
        digest.update(json.dumps(model.get_config(), default=str, sort_keys=True).encode())
        for weight in model.get_weights():
            _add_array(digest, weight)
    else:
        raise BadInput(
            "a model of tl_course.zoo, a torch module or a Keras model",
            type(model).__name__,
            "load one with tl_course.zoo.load(name)",
        )


def _extract(model: Any, inputs: Any, batch_size: int, progress: bool) -> np.ndarray:
    is_keras = getattr(model, "framework", None) == "keras" or hasattr(model, "get_weights")
    if is_keras:
        from tl_course.keras.features import extract_features
    else:
        from tl_course.pytorch.features import extract_features
    return extract_features(model, inputs, batch_size=batch_size, progress=progress)


def read(path: Path, count: int) -> tuple[np.ndarray, float] | None:
    """Features and their compute time, or None when there is no such file or it is damaged."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            features, seconds, checksum = file["features"], float(file["compute_seconds"]), str(file["sha256"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return None
    intact = checksum == hashlib.sha256(features.tobytes()).hexdigest() and len(features) == count
    return (features, seconds) if intact else None


def write(path: Path, features: np.ndarray, compute_seconds: float) -> bool:
    """Write beside the target and rename, so that no reader ever sees half a file."""
    checksum = hashlib.sha256(features.tobytes()).hexdigest()
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            np.savez(file, features=features, compute_seconds=compute_seconds, sha256=checksum)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        return False
    return True
