"""Heads: found and replaced in every family of torchvision, in the course's models and in one's own."""

import copy

import pytest
import torch
from torch import nn

from tl_course import zoo
from tl_course.compat import torchvision
from tl_course.errors import BadInput
from tl_course.pytorch.heads import backbone_parameters, head, head_name, head_parameters, replace_head

FAMILIES = {
    "resnet18": "fc",
    "vgg11": "classifier.6",
    "alexnet": "classifier.6",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "vit_b_16": "heads.head",
    "convnext_tiny": "classifier.2",
    "squeezenet1_0": "classifier.1",
    "swin_t": "head",
    "googlenet": "fc",
    "inception_v3": "fc",
    "shufflenet_v2_x0_5": "fc",
}


def small_classifier() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def on_meta(name: str) -> nn.Module:
    """A torchvision model without memory for its weights: shapes only."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        return torchvision().models.get_model(name, weights=None, **options)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gets_new_classes(name: str) -> None:
    model = on_meta(name)
    assert head_name(model) == FAMILIES[name]
    old_shapes = {key: value.shape for key, value in model.state_dict().items()}
    new = replace_head(model, 7)
    size = 299 if name == "inception_v3" else 224
    with torch.device("meta"):
        assert new.train()(torch.zeros(2, 3, size, size)).shape == (2, 7)
    assert {key: value.shape for key, value in model.state_dict().items()} == old_shapes
    changed = {key for key, value in new.state_dict().items() if value.shape != old_shapes[key]}
    assert changed == {f"{FAMILIES[name]}.weight", f"{FAMILIES[name]}.bias"}
    assert len(backbone_parameters(new)) + len(head_parameters(new)) == len(list(new.parameters()))


def test_the_copy_keeps_the_backbone_and_the_original_stays() -> None:
    model = torchvision().models.resnet18(weights=None)
    before = copy.deepcopy(model.state_dict())
    new = replace_head(model, 5)
    assert new is not model and model.fc.out_features == 1000
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
        if not key.startswith("fc."):
            assert torch.equal(new.state_dict()[key], value)
    with torch.no_grad():
        head(new).weight.zero_()
        next(new.parameters()).zero_()
    assert model.state_dict()["conv1.weight"].abs().sum() > 0  # nothing is shared


def test_in_place_changes_the_model_itself() -> None:
    model = small_classifier()
    assert replace_head(model, 8, in_place=True) is model and head(model) is model[4]
    assert model(torch.zeros(2, 1, 9, 9)).shape == (2, 8)


@pytest.mark.parametrize(("name", "channels", "width"), [("mobilenet_v2", 3, 1280), ("fashion_resnet", 1, 128)])
def test_the_courses_models_get_a_head(name: str, channels: int, width: int) -> None:
    """A head of known weights on the model's own features: logits follow from `features` alone."""
    model = zoo.load(name, weights=None, image_size=None, device="cpu")
    new = replace_head(model.model, 4, seed=2)
    images = torch.rand(2, 40, 40, channels).numpy()
    with torch.inference_mode():
        logits = new.eval()(model.preprocess(images))
    assert head(new).weight.shape == (4, width)
    expected = torch.from_numpy(model.features(images)) @ head(new).weight.T
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert not any(True for _ in zoo.load("mobilenet_v2", weights=None, device="cpu").model.classifier.parameters())


def test_glorot_weights_zero_bias_and_a_seed() -> None:
    first, again, other = (head(replace_head(small_classifier(), 50, seed=s)) for s in (1, 1, 2))
    limit = (6 / (4 + 50)) ** 0.5
    assert torch.equal(first.weight, again.weight) and not torch.equal(first.weight, other.weight)
    assert 0.9 * limit < first.weight.abs().max() <= limit and not first.bias.any()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = small_classifier()
    torch.manual_seed(5)
    replace_head(model, 50, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_new_head_is_trainable_and_as_the_old_one_in_mode_and_type() -> None:
    model = small_classifier().double().eval().requires_grad_(False)
    new = head(replace_head(model, 2))
    assert new.weight.requires_grad and new.weight.dtype == torch.float64 and not new.training


def test_squeezenets_logits_may_be_negative() -> None:
    model = torchvision().models.squeezenet1_0(weights=None).eval()
    new = replace_head(model, 6).eval()
    with torch.no_grad():
        head(new).bias.fill_(-100.0)
        assert new(torch.rand(1, 3, 64, 64)).max() < -50
        assert model(torch.rand(1, 3, 64, 64)).min() >= 0  # as torchvision has it
    assert head_name(new) == "classifier.1" and head_name(replace_head(new, 3)) == "classifier.1"


def test_a_softmax_behind_the_head_is_taken_out() -> None:
    new = replace_head(nn.Sequential(*small_classifier(), nn.Softmax(dim=1)), 6)
    with torch.no_grad():
        assert new(torch.rand(2, 1, 9, 9)).sum(dim=1).sub(1).abs().min() > 1e-3


def test_where_an_identity_stands_the_head_goes_and_not_into_the_layer_before() -> None:
    model = on_meta("vgg11")
    model.set_submodule("classifier.6", nn.Identity())
    model.train()
    new = replace_head(model, 3)
    assert head_name(new) == "classifier.6" and head(new).in_features == 4096
    assert all(module.training for module in model.modules())


def test_models_without_a_place_for_a_head_are_refused() -> None:
    with pytest.raises(BadInput, match="Conv2d, which ends in nothing"):
        head(nn.Conv2d(1, 1, 3))
    with pytest.raises(BadInput, match="a classifier whose last layer is linear"):
        replace_head(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), 3)
    with pytest.raises(BadInput, match=r"features of shape \(N, D\)"):
        replace_head(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Identity()), 3)
    with pytest.raises(BadInput, match="num_classes of at least 1"):
        replace_head(small_classifier(), 0)
