"""Feature extraction against the plain loop (images) and sentence-transformers (texts), and what the cache saves."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tl_course.bench.timing import Comparison, compare, machine, seconds
from tl_course.errors import CourseError

NUM_IMAGES = 64
NUM_TEXTS = 256
IMAGE_BATCH = 32
TEXT_BATCH = 32
ROUNDS = 7


def run(num_images: int = NUM_IMAGES, num_texts: int = NUM_TEXTS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Run all comparisons.

    Args:
        num_images: photographs, resized to 224 pixels.
        num_texts: tweets.
        rounds: timed pairs for each comparison.

    Returns:
        name; ratios: {"vs plain loop", "vs sentence-transformers"}, medians over the rounds, ours over theirs in
        throughput; cached: how many times faster reading kept features is than computing them; details: spread and
        times of each; runs; machine.

    Raises:
        CourseError: the two sides do not give the same features, so a comparison would mean nothing.
    """
    images, texts = _images(num_images), _texts(num_texts)
    compared = {"vs plain loop": _against_plain_loop(images, rounds)}
    compared["vs sentence-transformers"] = against_sentence_transformers(texts, rounds)
    cached = _cached(images)
    return {
        "name": "features",
        "ratios": {label: round(comparison.ratio, 3) for label, comparison in compared.items()},
        "cached": cached["speedup"],
        "runs": rounds,
        "machine": machine(),
        "details": {label: comparison.as_dict() for label, comparison in compared.items()} | {"cached": cached},
    }


def _images(count: int) -> np.ndarray:
    from tl_course import data

    train = data.load("photos", size=64).train
    return train.x[:: len(train) // count][:count]


def _texts(count: int) -> list[str]:
    from tl_course import data

    return [str(text) for text in data.load("sentiment", domain="tweets").train.x[:count]]


def _against_plain_loop(images: np.ndarray, rounds: int) -> Comparison:
    from tl_course import zoo

    model = zoo.load("mobilenet_v2", device="cpu")
    loop = _plain_loop(model.model, images)
    _same(model.features(images[:8]), loop()[:8])
    return compare(lambda: model.features(images, batch_size=IMAGE_BATCH), loop, rounds)


def _plain_loop(network: Any, images: np.ndarray) -> Callable[[], np.ndarray]:
    """The loop a user would write with torchvision's transforms."""
    import torch

    from tl_course.compat import torchvision

    torchvision()
    from torchvision.transforms import v2

    transform = v2.Compose(
        [v2.Resize((224, 224), antialias=True), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )

    def loop() -> np.ndarray:
        network.eval()
        features = []
        with torch.no_grad():
            for start in range(0, len(images), IMAGE_BATCH):
                batch = torch.from_numpy(images[start : start + IMAGE_BATCH]).permute(0, 3, 1, 2)
                features.append(network.features(transform(batch)).mean(dim=(2, 3)))
        return torch.cat(features).numpy()

    return loop


def against_sentence_transformers(texts: list[str], rounds: int) -> Comparison:
    """MiniLM's sentence vectors: ours against sentence-transformers', on the processor, in batches of TEXT_BATCH."""
    from tl_course import zoo

    theirs = _sentence_transformer()
    ours = zoo.load("minilm", device="cpu")

    def encode() -> np.ndarray:
        return theirs.encode(texts, batch_size=TEXT_BATCH, show_progress_bar=False)

    _same(ours.features(texts), encode())
    return compare(lambda: ours.features(texts, batch_size=TEXT_BATCH), encode, rounds)


def _sentence_transformer() -> Any:
    """The same weights in sentence-transformers, with its own pooling and normalising."""
    from tl_course import assets
    from tl_course.compat import torchvision

    torchvision()
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise CourseError(
            "expected sentence-transformers beside the course; got no such package; pip install sentence-transformers"
        ) from error
    return SentenceTransformer(str(assets.path("minilm")), device="cpu")


def _cached(images: np.ndarray) -> dict[str, float]:
    """Seconds to compute and to read the same features, in a folder of its own."""
    from tl_course import zoo
    from tl_course.feature_cache import cached_features

    model = zoo.load("mobilenet_v2", device="cpu")
    computed, read = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            keep = partial(cached_features, model, images, batch_size=IMAGE_BATCH, directory=Path(folder))
            computed.append(seconds(keep))
            read.append(seconds(keep))
    compute_seconds, read_seconds = median(computed), median(read)
    return {
        "speedup": round(compute_seconds / read_seconds, 1),
        "compute_seconds": round(compute_seconds, 4),
        "read_seconds": round(read_seconds, 4),
        "seconds_saved": round(compute_seconds - read_seconds, 4),
    }


def _same(ours: np.ndarray, theirs: np.ndarray) -> None:
    if not np.allclose(ours, theirs, rtol=1e-3, atol=1e-4):
        raise CourseError(
            "expected both sides to give the same features; "
            f"got a difference of {np.abs(ours - theirs).max():.2g}; compare model versions before timing"
        )
