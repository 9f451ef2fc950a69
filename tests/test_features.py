"""Pooling and feature extraction, the same in both frameworks, against values worked out by hand."""

from types import ModuleType

import keras
import numpy as np
import pytest
import torch
from torch import nn

from tl_course.errors import BadInput
from tl_course.keras import features as keras_features
from tl_course.pytorch import features as torch_features

FRAMEWORKS = [pytest.param(torch_features, id="pytorch"), pytest.param(keras_features, id="keras")]


def tensor(module: ModuleType, array: object, dtype: str = "float32") -> object:
    """The array as a tensor of the module's framework."""
    values = np.asarray(array, dtype=dtype)
    return torch.from_numpy(values) if module is torch_features else keras.ops.convert_to_tensor(values)


def images_first_layout(module: ModuleType, array: np.ndarray) -> np.ndarray:
    """(N, H, W, C) in the framework's own layout."""
    return array.transpose(0, 3, 1, 2).copy() if module is torch_features else array


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_global_average_pool_averages_positions_not_channels(module: ModuleType) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    pooled = np.asarray(module.global_average_pool(tensor(module, images_first_layout(module, maps))))
    np.testing.assert_allclose(pooled, maps.mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_masked_mean_ignores_padding_even_nan_and_survives_an_empty_row(module: ModuleType) -> None:
    hidden = [[[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]], [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0]]]
    pooled = np.asarray(module.masked_mean(tensor(module, hidden), tensor(module, [[1, 1, 0], [0, 0, 0]], "int64")))
    np.testing.assert_allclose(pooled, [[2.0, 3.0], [0.0, 0.0]])


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_l2_normalize_gives_unit_rows_and_keeps_zero_rows(module: ModuleType) -> None:
    scaled = np.asarray(module.l2_normalize(tensor(module, [[3.0, 4.0], [0.0, 0.0]])))
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_wrong_shapes_are_refused(module: ModuleType) -> None:
    with pytest.raises(BadInput, match="feature map"):
        module.global_average_pool(tensor(module, np.zeros((2, 3))))
    with pytest.raises(BadInput, match="mask"):
        module.masked_mean(tensor(module, np.zeros((2, 3, 4))), tensor(module, np.zeros((2, 4))))


def torch_net(outputs: str) -> nn.Module:
    """A small convolution with BatchNorm and Dropout; outputs a map, a vector or a tuple."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5)]
    if outputs == "vector":
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if outputs == "sequence":
        layers += [nn.Flatten(2)]
    return nn.Sequential(*layers)


def test_pytorch_extraction_restores_every_training_flag_and_leaves_buffers_alone() -> None:
    net = torch_net("map").train()
    net[1].eval()  # a frozen BatchNorm inside a model that trains
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = np.random.default_rng(0).random((7, 6, 6, 3), dtype=np.float32)
    first = torch_features.extract_features(net, images, batch_size=3)
    assert [m.training for m in net] == [True, False, True] and net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    np.testing.assert_allclose(first, torch_features.extract_features(net, images, batch_size=7), atol=1e-6)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).mean((2, 3)).numpy()
    np.testing.assert_allclose(first, expected, atol=1e-6)
    assert first.shape == (7, 4) and first.dtype == np.float32


def test_pytorch_flags_come_back_after_an_error() -> None:
    net = torch_net("sequence").train()
    with pytest.raises(BadInput, match="returns") as caught:
        torch_features.extract_features(net, np.zeros((2, 6, 6, 3), np.float32))
    assert all(m.training for m in net.modules()), caught.value  # while the traceback is still alive


def test_keras_extraction_runs_in_inference_mode_and_leaves_weights_alone() -> None:
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
        ]
    )
    images = np.random.default_rng(0).random((7, 6, 6, 3), dtype=np.float32)
    before = net.get_weights()
    features = keras_features.extract_features(net, images, batch_size=3)
    expected = np.asarray(net(images, training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(features, expected, atol=1e-6)
    assert features.shape == (7, 4) and features.dtype == np.float32
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_progress_changes_nothing(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    net = (
        torch_net("vector")
        if module is torch_features
        else keras.Sequential([keras.Input((6, 6, 3)), keras.layers.GlobalAveragePooling2D()])
    )
    images = np.random.default_rng(1).random((5, 6, 6, 3), dtype=np.float32)
    quiet = module.extract_features(net, images, batch_size=2)
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(quiet, module.extract_features(net, images, batch_size=2, progress=True))
    assert capsys.readouterr().err == ""  # a test cell with anything on stderr gets no marks


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_bad_input_says_what_to_do(module: ModuleType) -> None:
    net = torch_net("vector") if module is torch_features else keras.Sequential([keras.Input((4,))])
    with pytest.raises(BadInput, match="at least one input"):
        module.extract_features(net, np.zeros((0, 6, 6, 3), np.float32))
    with pytest.raises(BadInput, match="batch_size"):
        module.extract_features(net, np.zeros((1, 6, 6, 3), np.float32), batch_size=0)
    with pytest.raises(BadInput, match="texts need"):
        module.extract_features(net, np.array(["a text"]))
    with pytest.raises(BadInput, match="use tl_course"):
        module.extract_features("mobilenet_v2", np.zeros((1, 6, 6, 3), np.float32))


def conv_norm(outputs: int) -> nn.Sequential:
    """A convolution and a BatchNorm that has seen data, in evaluation mode."""
    block = nn.Sequential(nn.Conv2d(3, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU())
    norm = block[1]
    assert isinstance(norm, nn.BatchNorm2d)
    for values, low in ((norm.running_mean, -1.0), (norm.running_var, 0.5), (norm.weight, 0.5), (norm.bias, -1.0)):
        assert values is not None
        nn.init.uniform_(values, low, 2.0)
    return block.eval()


def test_folding_batchnorm_changes_no_output_and_leaves_the_model_alone() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(conv_norm(4), nn.AdaptiveAvgPool2d(1)).eval()
    images, before = torch.rand(5, 3, 8, 8), str(net)
    folded = torch_features.fold_batchnorm(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), net(images), rtol=1e-5, atol=1e-5)
    assert str(net) == before


def test_batchnorm_that_cannot_be_folded_is_left_in_place() -> None:
    torch.manual_seed(0)
    norm_first = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)).eval()
    training = conv_norm(4).train()
    for net in (norm_first, training, nn.Linear(3, 4)):
        assert torch_features.fold_batchnorm(net) is net
