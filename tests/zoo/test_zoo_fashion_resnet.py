"""fashion_resnet: our own network, as shipped."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tl_course import assets, zoo
from tl_course.zoo.fashion_resnet_torch import FashionResNet

ROOT = Path(__file__).parents[2]
REPORT = json.loads((ROOT / "benchmarks" / "evidence" / "fashion_resnet.json").read_text())
CARD = (ROOT / "tl_course" / "zoo" / "weights" / "fashion_resnet.md").read_text()


@pytest.fixture(scope="module")
def models() -> dict[str, zoo.Pretrained]:
    return {framework: zoo.load("fashion_resnet", framework) for framework in ("pytorch", "keras")}


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).random((5, 28, 28, 1), dtype=np.float32)


def logits(model: zoo.Pretrained, images: np.ndarray) -> np.ndarray:
    """(N, 10), in inference mode."""
    if model.framework == "keras":
        return model.model.predict_on_batch(model.preprocess(images))
    with torch.inference_mode():
        return model.model(model.preprocess(images)).cpu().numpy()


def test_both_frameworks_give_the_same_features_and_logits(
    models: dict[str, zoo.Pretrained], noise: np.ndarray
) -> None:
    ours, theirs = models["pytorch"].features(noise), models["keras"].features(noise)
    assert ours.shape == theirs.shape == (5, 128)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits(models["pytorch"], noise), logits(models["keras"], noise), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [8, 17, 30, 33])
def test_odd_sizes_agree_too(size: int) -> None:
    images = np.random.default_rng(1).random((2, size, size, 1), dtype=np.float32)
    ours, theirs = (zoo.load("fashion_resnet", f, image_size=None).features(images) for f in ("pytorch", "keras"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_size_on_disk_and_in_parameters() -> None:
    parameters = sum(parameter.numel() for parameter in FashionResNet().parameters())
    assert 250_000 < parameters < 350_000
    assert parameters == REPORT["num_parameters"]
    assert assets.path("fashion_resnet").stat().st_size <= 2_000_000


def test_accuracy_of_the_shipped_weights(models: dict[str, zoo.Pretrained]) -> None:
    try:
        from tl_course.data import load

        test = load("fashion_mnist").test
    except assets.AssetError as error:
        pytest.skip(f"Fashion-MNIST is not on this machine: {error}")
    x, y = test.x[:2000], test.y[:2000]
    features = models["pytorch"].features(x)
    head = models["pytorch"].model.fc
    predicted = (features @ head.weight.detach().cpu().numpy().T + head.bias.detach().cpu().numpy()).argmax(axis=1)
    accuracy = (predicted == y).mean()
    assert accuracy > 0.91  # 92 % or more on all 10,000; a slice of 2,000 has a standard error of 0.6 points
    assert abs(accuracy - REPORT["test_accuracy"]) < 0.02


def test_the_model_card_states_the_measured_figures() -> None:
    assert REPORT["test_accuracy"] >= 0.92
    assert f"{100 * REPORT['test_accuracy']:.2f} %" in CARD
    for name, accuracy in REPORT["test_accuracy_per_class"].items():
        assert f"| {name} | {100 * accuracy:.1f} |" in CARD


def test_colour_images_are_refused(models: dict[str, zoo.Pretrained]) -> None:
    from tl_course.errors import BadInput

    for model in models.values():
        with pytest.raises(BadInput, match="make them grey"):
            model.features(np.zeros((1, 28, 28, 3), np.float32))
