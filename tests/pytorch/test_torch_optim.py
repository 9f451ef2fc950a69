"""Parameter groups and L2-SP against what follows from their definition."""

import itertools

import pytest
import torch
from torch import nn

from tl_course.compat import torchvision
from tl_course.errors import BadInput
from tl_course.pytorch.freezing import freeze, freeze_backbone, stages
from tl_course.pytorch.heads import head_parameters
from tl_course.pytorch.optim import l2_sp, param_groups, snapshot
from tl_course.zoo.fashion_resnet_torch import FashionResNet

FAMILIES = ["resnet18", "vgg11", "mobilenet_v2", "densenet121", "efficientnet_b0", "vit_b_16", "convnext_tiny"]


def tiny() -> nn.Sequential:
    """Backbone [[1, 2]] and bias [3], head [[4], [5]] and biases [6, 7]."""
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 2))
    with torch.no_grad():
        for parameter, values in zip(model.parameters(), ([[1, 2]], [3], [[4], [5]], [6, 7]), strict=True):
            parameter.copy_(torch.tensor(values))
    return model


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
@pytest.mark.parametrize("name", FAMILIES)
def test_each_trainable_parameter_once_and_decay_for_matrices_only(name: str, layer_decay: float) -> None:
    with torch.device("meta"):
        model = torchvision().models.get_model(name, weights=None)
    freeze(stages(model)[0][1])
    groups = param_groups(model, 1e-3, layer_decay=layer_decay, weight_decay=0.1)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert all(group["weight_decay"] == (0.1 if p.ndim > 1 else 0.0) for group in groups for p in group["params"])
    names = [group["name"] for group in groups]
    assert len(names) == len(set(names)) and names[-2:] == ["head/decay", "head/no_decay"]


def test_rates_fall_from_stage_to_stage() -> None:
    model = FashionResNet()
    groups = param_groups(model, 1e-2, backbone_lr=1e-3, layer_decay=0.5)
    rates = {group["name"].split("/")[0]: group["lr"] for group in groups}
    assert rates == pytest.approx(
        {"stem": 1.25e-4, "stage1": 2.5e-4, "stage2": 5e-4, "stage3": 1e-3, "head": 1e-2}, rel=1e-9
    )
    assert list(rates) == ["stem", "stage1", "stage2", "stage3", "head"]
    assert {group["lr"] for group in param_groups(model, 1e-2, layer_decay=0.5)} == {1e-2, 5e-3, 2.5e-3, 1.25e-3}


def test_a_class_token_belongs_to_the_input() -> None:
    with torch.device("meta"):
        model = torchvision().models.vit_b_16(weights=None)
    groups = param_groups(model, 1.0, layer_decay=0.9)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    blocks = [rate[id(next(block.parameters()))] for block in model.encoder.layers]
    assert all(lower < higher for lower, higher in itertools.pairwise(blocks))
    assert rate[id(model.class_token)] == rate[id(model.encoder.pos_embedding)] == rate[id(model.conv_proj.weight)]
    assert rate[id(model.class_token)] < blocks[0]


def test_equal_rates_make_four_groups_and_a_frozen_backbone_two() -> None:
    model = FashionResNet()
    names = [group["name"] for group in param_groups(model, 1e-3, backbone_lr=1e-4)]
    assert names == ["backbone/decay", "backbone/no_decay", "head/decay", "head/no_decay"]
    freeze_backbone(model)
    groups = param_groups(model, 1e-3)
    assert [p for group in groups for p in group["params"]] == head_parameters(model)


def test_torch_takes_the_groups_and_moves_by_their_rates() -> None:
    model = tiny()
    before = [p.detach().clone() for p in model.parameters()]
    groups = param_groups(model, 0.5, backbone_lr=0.25, weight_decay=0.0)
    optimizer = torch.optim.SGD(groups)
    sum(p.sum() for p in model.parameters()).backward()  # every gradient is 1
    optimizer.step()
    moved = [(was - p).detach().unique().tolist() for was, p in zip(before, model.parameters(), strict=True)]
    assert moved == [[0.25], [0.25], [0.5], [0.5]]


def test_l2_sp_worked_by_hand() -> None:
    """Backbone moved by (1, -2) and 3: 1 + 4 + 9 = 14; head 16 + 25 + 36 + 49 = 126."""
    model = tiny()
    start = snapshot(model)
    with torch.no_grad():
        model[0].weight.add_(torch.tensor([[1.0, -2.0]]))
        model[0].bias.add_(3.0)
    assert l2_sp(model, start, alpha=0.1, beta=0.01).item() == pytest.approx(0.05 * 14 + 0.005 * 126)
    assert l2_sp(model, start, alpha=0.1).item() == pytest.approx(0.05 * (14 + 126))
    l2_sp(model, start, alpha=0.1, beta=0.01).backward()
    torch.testing.assert_close(model[0].weight.grad, 0.1 * torch.tensor([[1.0, -2.0]]))
    torch.testing.assert_close(model[1].bias.grad, 0.01 * torch.tensor([6.0, 7.0]))
    assert start.keys() == {"0.weight", "0.bias"} and torch.equal(start["0.bias"], torch.tensor([3.0]))


def test_wrong_arguments_are_refused() -> None:
    model = FashionResNet()
    for wrong, message in (
        ({"lr": -1.0}, "lr of at least 0"),
        ({"lr": 1.0, "backbone_lr": -1.0}, "backbone_lr of at least 0"),
        ({"lr": 1.0, "weight_decay": -1.0}, "weight_decay of at least 0"),
        ({"lr": 1.0, "layer_decay": 0.0}, "layer_decay above 0"),
        ({"lr": 1.0, "layer_decay": 1.1}, "layer_decay above 0"),
    ):
        with pytest.raises(BadInput, match=message):
            param_groups(model, **wrong)
    with pytest.raises(BadInput, match="take snapshot"):
        l2_sp(model, snapshot(tiny()), 0.1)
    freeze(model)
    with pytest.raises(BadInput, match="something to train"):
        param_groups(model, 1e-3)
