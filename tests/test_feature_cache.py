"""Kept features are the computed ones, belong to one model and one set of inputs, and survive damage."""

import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from torch import nn

from tl_course import feature_cache
from tl_course.errors import BadInput
from tl_course.feature_cache import cached_features, fingerprint
from tl_course.pytorch.features import extract_features

IMAGES = np.random.default_rng(0).random((6, 5, 5, 3), dtype=np.float32)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TL_COURSE_CACHE", str(tmp_path))


class Net(nn.Module):
    """One convolution that counts how often it runs."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 4, 3)
        self.calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.conv(images)


def test_second_call_reads_what_the_first_computed() -> None:
    net = Net()
    first, second = cached_features(net, IMAGES), cached_features(net, IMAGES)
    assert (first.hit, second.hit, net.calls) == (False, True, 1)
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.features, extract_features(net, IMAGES))
    assert second.features.dtype == np.float32
    assert second.compute_seconds == first.compute_seconds > 0 and first.seconds_saved == 0


def test_seconds_saved_is_compute_time_less_this_call() -> None:
    saved = feature_cache.CachedFeatures(np.zeros((1, 1)), True, compute_seconds=3.0, seconds=0.5, path=None)
    assert saved.seconds_saved == 2.5


def test_another_weight_input_or_structure_is_another_file() -> None:
    changed_weight = Net()
    with torch.no_grad():
        changed_weight.conv.bias[0] += 1e-6
    other_image = IMAGES.copy()
    other_image[0, 0, 0, 0] += 1e-6
    keys = [
        fingerprint(Net(), IMAGES),
        fingerprint(changed_weight, IMAGES),
        fingerprint(Net(), other_image),
        fingerprint(Net(), IMAGES.reshape(6, 25, 1, 3)),
        fingerprint(Net(), IMAGES.astype("float64")),
        fingerprint(nn.Sequential(Net()), IMAGES),
    ]
    assert len(set(keys)) == len(keys)
    assert fingerprint(Net(), IMAGES) == fingerprint(Net(), IMAGES.copy())


def test_texts_keep_their_boundaries() -> None:
    assert fingerprint(Net(), ["ab", "c"]) != fingerprint(Net(), ["a", "bc"])
    assert fingerprint(Net(), ["a", "b"]) == fingerprint(Net(), np.array(["a", "b"]))


def test_keras_models_are_kept_too() -> None:
    net = keras.Sequential([keras.Input((5, 5, 3)), keras.layers.Conv2D(2, 3)])
    first, second = cached_features(net, IMAGES), cached_features(net, IMAGES)
    assert second.hit and not first.hit
    np.testing.assert_array_equal(first.features, second.features)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "pickle"])
def test_a_damaged_file_is_computed_again(damage: str) -> None:
    net = Net()
    first = cached_features(net, IMAGES)
    assert first.path is not None
    content = bytearray(first.path.read_bytes())
    middle = content.find(first.features.tobytes()[:16])
    assert middle > 0
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[middle] ^= 0xFF
    elif damage == "empty":
        content = bytearray()
    elif damage == "text":
        content = bytearray(b"not a zip file")
    else:
        content = bytearray(pickle.dumps({"features": 1}))
    first.path.write_bytes(content)
    again = cached_features(net, IMAGES)
    assert not again.hit
    np.testing.assert_array_equal(again.features, first.features)
    assert cached_features(net, IMAGES).hit


def test_a_file_with_other_content_is_not_believed() -> None:
    net = Net()
    path = cached_features(net, IMAGES).path
    assert path is not None
    np.savez(path, features=np.ones((6, 4), np.float32), compute_seconds=1.0, sha256="0" * 64)
    assert not cached_features(net, IMAGES).hit


def test_a_disk_that_takes_nothing_costs_only_the_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setattr(feature_cache, "folder", lambda: blocked / "features")
    result = cached_features(Net(), IMAGES)
    assert result.path is None and result.features.shape == (6, 4)


def test_nothing_half_written_is_left_and_clear_empties_the_folder() -> None:
    cached_features(Net(), IMAGES)
    cached_features(Net(seed=1), IMAGES)
    assert sorted(file.suffix for file in feature_cache.folder().iterdir()) == [".npz", ".npz"]
    assert feature_cache.clear() == 2 and list(feature_cache.folder().iterdir()) == []


def test_bad_input() -> None:
    with pytest.raises(BadInput, match="at least one input"):
        cached_features(Net(), IMAGES[:0])
    with pytest.raises(BadInput, match=r"zoo\.load"):
        cached_features("mobilenet_v2", IMAGES)  # type: ignore[arg-type]
