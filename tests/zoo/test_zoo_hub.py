"""Names, hub weights and what happens without a network."""

import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tl_course import zoo
from tl_course.compat import torchvision
from tl_course.errors import BadInput

IMAGES = np.random.default_rng(0).random((2, 40, 33, 3), dtype=np.float32)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name resolves, as with the cable out."""

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.fixture
def torch_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty torch hub cache: the folder for weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def resnet18_file(folder: Path) -> Path:
    """Where torch keeps torchvision's resnet18 weights."""
    return folder / torchvision().models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]


@pytest.mark.parametrize("framework", ["pytorch", "keras"])
def test_names(framework: Any) -> None:
    names = zoo.names(framework)
    assert {"mobilenet_v2", "fashion_resnet", "resnet18", "vgg16"} <= set(names)
    assert len(set(names)) == len(names)
    assert set(zoo.names(framework, offline=True)) < set(names)
    assert "minilm" in names


@pytest.mark.parametrize("framework", ["pytorch", "keras"])
@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_random_weights_need_no_network(no_network: None, name: str, framework: Any) -> None:
    model = zoo.load(name, framework, weights=None, image_size=None)
    assert model.feature_dim == 512
    features = model.features(IMAGES)
    assert features.shape == (2, 512) and features.dtype == np.float32 and np.isfinite(features).all()


@pytest.mark.parametrize(("name", "framework"), [("resnet18", "pytorch"), ("resnet18", "keras"), ("vgg16", "keras")])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_hub_weights_without_network(no_network: None, torch_cache: Path, name: str, framework: Any) -> None:
    start = time.perf_counter()
    with pytest.raises(BadInput, match=rf"pretrained weights of {name}.*mobilenet_v2.*weights=None"):
        zoo.load(name, framework)
    assert time.perf_counter() - start < 20
    assert list(torch_cache.iterdir()) == []


def test_a_text_encoder_without_network(no_network: None) -> None:
    with pytest.raises(BadInput, match=r"no connection to .*minilm"):
        zoo.load("nobody/no-such-encoder")


def test_cached_hub_weights_are_used_and_agree_in_both_frameworks(no_network: None, torch_cache: Path) -> None:
    torch.manual_seed(0)
    network = torchvision().models.resnet18(weights=None)
    for module in network.modules():  # statistics other than 0 and 1, so that a swap would show
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    torch.save(network.state_dict(), resnet18_file(torch_cache))
    ours, theirs = (zoo.load("resnet18", framework, image_size=None) for framework in ("pytorch", "keras"))
    torch.testing.assert_close(ours.model.cpu().state_dict(), network.state_dict())
    features = ours.features(IMAGES)
    assert np.abs(theirs.features(IMAGES) - features).max() < 1e-4 * np.abs(features).max()


class _Runs:
    """What a malicious weights file holds."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


def test_a_pickle_among_the_weights_is_refused_and_not_run(
    torch_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"fc.weight": _Runs()}, resnet18_file(torch_cache))
    with pytest.raises(BadInput, match="pretrained weights of resnet18"):
        zoo.load("resnet18")
    assert not Path("touched").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "rsnet18"}, "did you mean resnet18"),
        ({"name": "MobileNet_V2"}, "did you mean mobilenet_v2"),
        ({"name": "xyzzy"}, "zoo.names"),
        ({"name": "vgg6", "framework": "keras"}, "did you mean vgg16"),
        ({"name": "resnet18", "framework": "jax"}, "'pytorch' or 'keras'"),
        ({"name": "resnet18", "weights": "imagenet"}, "'pretrained' or None"),
        ({"name": "mobilenet_v2", "image_size": 16}, "at least 32"),
        ({"name": "vit_b_16", "weights": None, "image_size": 96}, "image_size=224"),
        ({"name": "mobilenet_v2", "framework": "keras", "device": "cpu"}, "device only"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        zoo.load(**arguments)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "framework", "feature_dim"),
    [
        ("mobilenet_v3_small", "pytorch", 576),
        ("squeezenet1_1", "pytorch", 512),
        ("alexnet", "pytorch", 256),
        ("mobilenetv3small", "keras", 576),
        ("mobilenet", "keras", 1024),
    ],
)
def test_other_families(name: str, framework: Any, feature_dim: int) -> None:
    model = zoo.load(name, framework, weights=None, image_size=64)
    assert model.feature_dim == feature_dim
    assert model.features(IMAGES).shape == (2, feature_dim)
