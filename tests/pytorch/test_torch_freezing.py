"""What is frozen stays as it is, in a training loop that knows nothing of freezing."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tl_course.compat import torchvision
from tl_course.pytorch.freezing import freeze, freeze_backbone, has_free_statistics, stages, unfreeze
from tl_course.pytorch.heads import head, replace_head
from tl_course.zoo.fashion_resnet_torch import FashionResNet


@pytest.fixture
def model() -> FashionResNet:
    torch.manual_seed(0)
    return FashionResNet(num_classes=4)


def train_a_bit(model: nn.Module, steps: int = 3) -> None:
    """Somebody's own loop: everything handed to the optimizer, momentum and decay included, train mode each epoch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        model.train()
        images, labels = 3 + torch.rand(6, 1, 16, 16, generator=generator), torch.arange(6) % 4
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def backbone_state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items() if not key.startswith("fc.")}


def changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    after = backbone_state(model)
    assert after.keys() == before.keys()
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


def test_nothing_of_a_frozen_backbone_moves(model: FashionResNet) -> None:
    freeze_backbone(model)
    before, head_before = backbone_state(model), model.fc.weight.clone()
    train_a_bit(model)
    assert changed(model, before) == set() and not torch.equal(model.fc.weight, head_before)


def test_a_frozen_backbones_output_does_not_depend_on_the_batch(model: FashionResNet) -> None:
    freeze_backbone(model)
    model.train()
    images = torch.rand(5, 1, 16, 16)
    together, alone = model(images), torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, model.eval()(images))


def test_the_trap_parameters_frozen_statistics_free(model: FashionResNet) -> None:
    freeze_backbone(model, statistics=False)
    before = backbone_state(model)
    train_a_bit(model)
    moved = changed(model, before)
    assert moved == {key for key in before if "running_" in key or "num_batches" in key} and len(moved) > 10


def test_freezing_in_mid_training_stops_at_once(model: FashionResNet) -> None:
    """The optimizer holds every parameter, has momentum, and gradients of the last step are still there."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        model(torch.rand(4, 1, 16, 16)).square().sum().backward()
        optimizer.step()
    freeze_backbone(model)
    before = backbone_state(model)
    for _ in range(3):
        model(torch.rand(4, 1, 16, 16)).square().sum().backward()
        optimizer.step()
    assert changed(model, before) == set()
    assert all(p.grad is None for p in model.stage1.parameters())


def test_unfreeze_restores_parameters_and_on_request_statistics(model: FashionResNet) -> None:
    freeze(model)
    unfreeze(model)
    before = backbone_state(model)
    train_a_bit(model)
    moved = changed(model, before)
    assert "stage1.conv1.weight" in moved and not any("running_" in key for key in moved)
    assert not has_free_statistics(model)
    unfreeze(model, statistics=True)
    assert has_free_statistics(model) and model.stem[1].training
    before = backbone_state(model)
    train_a_bit(model)
    assert changed(model, before) == before.keys()


def test_freezing_twice_is_freezing_once_and_leaves_no_trace(model: FashionResNet) -> None:
    twin = copy.deepcopy(model)
    for _ in range(2):
        freeze(model)
        unfreeze(model, statistics=True)
    train_a_bit(model)
    train_a_bit(twin)
    assert changed(model, backbone_state(twin)) == set()


def test_a_copy_of_a_frozen_model_is_frozen_and_on_its_own(model: FashionResNet) -> None:
    freeze_backbone(model)
    twin = copy.deepcopy(model)
    before = backbone_state(twin)
    train_a_bit(twin)
    assert changed(twin, before) == set()
    unfreeze(twin, statistics=True)
    train_a_bit(twin)
    assert changed(model, before) == set() and not has_free_statistics(model)
    train_a_bit(model)
    assert changed(model, before) == set()


def test_freezing_does_not_show_in_the_state_dict(model: FashionResNet) -> None:
    keys = list(model.state_dict())
    freeze(model)
    assert list(model.state_dict()) == keys
    thawed = FashionResNet(num_classes=4)
    thawed.load_state_dict(model.state_dict())
    assert has_free_statistics(thawed)


def test_one_stage_can_be_frozen(model: FashionResNet) -> None:
    freeze(model.stem)
    before = backbone_state(model)
    train_a_bit(model)
    assert {key.split(".")[0] for key in before.keys() - changed(model, before)} == {"stem"}


def test_stages_run_from_input_to_head() -> None:
    models = torchvision().models
    assert [n for n, _ in stages(FashionResNet())] == ["stem", "stage1", "stage2", "stage3", "fc"]
    with torch.device("meta"):
        resnet, vgg, vit = models.resnet18(weights=None), models.vgg11(weights=None), models.vit_b_16(weights=None)
        squeeze = replace_head(models.squeezenet1_0(weights=None), 3)
    assert [n for n, _ in stages(resnet)] == ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"]
    assert [n for n, _ in stages(vgg)][-4:] == ["features.18", "classifier.0", "classifier.3", "classifier.6"]
    blocks = [f"encoder.layers.encoder_layer_{i}" for i in range(12)]
    assert [n for n, _ in stages(vit)] == ["conv_proj", *blocks, "encoder.ln", "heads.head"]
    for model in (resnet, vgg, vit, squeeze):
        parts = stages(model)
        assert parts[-1][1] is head(model) and all(model.get_submodule(name) is part for name, part in parts)
        listed = [p for _, part in parts for p in part.parameters()]
        assert len(listed) == len({id(p) for p in listed})
