"""Pruning, low rank and folded BatchNorm do to a network what they say, and nothing else."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tl_course import data
from tl_course.errors import BadInput
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.fit import fit
from tl_course.pytorch.fold_batchnorm import fold_batchnorm
from tl_course.pytorch.low_rank import factorise, low_rank
from tl_course.pytorch.pruning import channel_chains, magnitude_prune, make_permanent, prune_channels, sparsity
from tl_course.pytorch.scratch import small_cnn

NAMES = tuple("abc")


def seen(model: nn.Module) -> nn.Module:
    """With BatchNorm numbers as after training."""
    torch.manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return model.eval()


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    if name == "small_cnn":
        return seen(small_cnn(1, 3)), torch.rand(4, 1, 28, 28)
    size, channels = (28, 1) if name == "fashion_resnet" else (32, 3)
    made = Classifier.build(name, NAMES, weights=None, image_size=size, device="cpu")
    return seen(made.model), torch.rand(4, channels, size, size)


def run(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(x)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ["small_cnn", "fashion_resnet", "mobilenet_v2"])
def test_folded_batchnorm_gives_the_same_outputs_without_any_batchnorm(name: str) -> None:
    model, x = network(name)
    folded = fold_batchnorm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(run(folded, x), run(model, x), atol=1e-5, rtol=1e-5)


def test_only_what_can_be_folded_is() -> None:
    class Twice(nn.Module):
        """A convolution whose output is used beside its BatchNorm."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            return self.norm(x) + x

    twice, x = seen(Twice()), torch.rand(2, 3, 4, 4)
    assert fold_batchnorm(twice) is twice
    part = seen(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)))
    folded = fold_batchnorm(part)
    assert [type(layer) for layer in folded.children()] == [nn.Conv2d, nn.Identity, nn.ReLU, nn.BatchNorm2d]
    torch.testing.assert_close(run(folded, x), run(part, x), atol=1e-5, rtol=1e-5)
    assert fold_batchnorm(part.train()) is part


def test_pruned_weights_are_the_smallest_and_stay_zero_through_training() -> None:
    digits = data.load("mnist")
    few = replace(digits, train=digits.train.take(np.arange(0, 3000, 50)), val=digits.val and digits.val.take([0, 1]))
    classifier = Classifier.build("fashion_resnet", digits.class_names, weights=None, device="cpu")
    before = torch.cat([p.detach().abs().flatten() for p in classifier.model.parameters() if p.ndim > 1])
    magnitude_prune(classifier.model, 0.6)
    convs = [layer for layer in classifier.model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    masks = [layer.weight_mask.bool() for layer in convs]
    kept = torch.cat([layer.weight_orig[mask].abs() for layer, mask in zip(convs, masks, strict=True)])
    assert kept.min() >= before.quantile(0.6) * 0.99 and sparsity(classifier.model) == pytest.approx(0.6, abs=1e-3)
    start = convs[1].weight_orig.detach().clone()
    fit(classifier, few, num_epochs=2, lr=1e-2, backbone_lr=1e-2, progress=False, restore_best=False)
    assert not torch.equal(start, convs[1].weight_orig)  # it did train
    logits = classifier.logits(few.train.x)
    make_permanent(classifier.model)
    assert all((layer.weight[~mask] == 0).all() for layer, mask in zip(convs, masks, strict=True))
    assert sparsity(classifier.model) == pytest.approx(0.6, abs=1e-3)
    np.testing.assert_allclose(classifier.logits(few.train.x), logits, atol=1e-4)


def test_pruning_again_prunes_further() -> None:
    model, _x = network("small_cnn")
    for share in (0.0, 0.3, 0.7):
        magnitude_prune(model, share)
        assert sparsity(model) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("name", ["small_cnn", "fashion_resnet", "mobilenet_v2"])
def test_channels_are_really_taken_out(name: str) -> None:
    model, x = network(name)
    shape = {key: tensor.shape for key, tensor in model.state_dict().items()}
    pruned = prune_channels(model, 0.5)
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shape
    assert parameters(pruned) < 0.65 * parameters(model)
    assert run(pruned, x).shape == (4, 3)
    for chain in channel_chains(model):
        full, half = (net.get_submodule(chain.source).weight for net in (model, pruned))
        assert len(half) == round(len(full) / 2)
    pruned.train()(x).sum().backward()  # an ordinary network: it trains


@pytest.mark.parametrize("name", ["small_cnn", "fashion_resnet", "mobilenet_v2"])
def test_taking_out_channels_that_do_nothing_changes_no_output(name: str) -> None:
    model, x = network(name)
    for chain in channel_chains(model):
        dead = torch.arange(len(model.get_submodule(chain.source).weight)) % 2 == 1
        for part in (chain.source, *chain.between):
            layer = model.get_submodule(part)
            layer.weight.data[dead] = 0
            if layer.bias is not None:
                layer.bias.data[dead] = 0
    torch.testing.assert_close(run(prune_channels(model, 0.5), x), run(model, x), atol=1e-5, rtol=1e-5)


def test_channels_that_are_added_to_others_stay() -> None:
    model, _x = network("fashion_resnet")
    assert [chain.source for chain in channel_chains(model)] == ["stage1.conv1", "stage2.conv1", "stage3.conv1"]
    rounded = prune_channels(model, 0.6, round_to=8)
    assert [len(rounded.get_submodule(f"stage{n}.conv1").weight) for n in (1, 2, 3)] == [16, 32, 56]


@pytest.mark.parametrize("name", ["small_cnn", "fashion_resnet", "mobilenet_v2"])
def test_full_rank_gives_the_same_outputs_and_a_low_one_fewer_parameters(name: str) -> None:
    model, x = network(name)
    full, low = copy.deepcopy(model), copy.deepcopy(model)
    assert len(factorise(full, 1.0)) >= 4
    torch.testing.assert_close(run(full, x), run(model, x), atol=1e-4, rtol=1e-4)
    factorise(low, 0.25)
    assert parameters(low) < 0.75 * parameters(model)
    low.train()(x).sum().backward()


def test_a_low_rank_layer_is_the_best_of_its_rank() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(12, 8)
    pair = low_rank(layer, 3)
    product = pair[1].weight @ pair[0].weight
    lost = torch.linalg.svdvals(layer.weight)[3:].square().sum()
    torch.testing.assert_close((layer.weight - product).square().sum(), lost)
    torch.testing.assert_close(pair[1].bias, layer.bias)


def test_bad_options_are_refused() -> None:
    model, _x = network("small_cnn")
    for share in (-0.1, 1.0):
        with pytest.raises(BadInput, match="share"):
            magnitude_prune(model, share)
        with pytest.raises(BadInput, match="share"):
            prune_channels(model, share)
    with pytest.raises(BadInput, match="share"):
        factorise(model, 0)
    with pytest.raises(BadInput, match="ungrouped"):
        factorise(model, 0.5, names=["1"])
    with pytest.raises(BadInput, match="reach one other"):
        prune_channels(nn.Linear(3, 4), 0.5)
    with pytest.raises(BadInput, match="convolutions or linear"):
        magnitude_prune(nn.ReLU(), 0.5)
