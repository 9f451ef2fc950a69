"""Eleven image networks to choose between: pretrained, cut short, pretrained on something small, and untrained.

All come as a torch module from prepared images (N, C, H, W) to features (N, D), with what prepares them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from training import predict, train

from tl_course import data, zoo
from tl_course.pytorch.scratch import small_cnn
from tl_course.scratch_recipe import Recipe, standardizer

SMALL = 28
"""Side of the small CNN's images, which are grey."""

MOBILENET_SIZE = 32
SOURCE_RECIPE = Recipe(steps=300, batch_size=64)

Images = np.ndarray


@dataclass(frozen=True)
class Candidate:
    """One network to choose.

    Attributes:
        backbone: prepared images -> features (n, D).
        head: features -> the logits of its source task, None where it has none.
        prepare: images float32 (N, H, W, C) in [0, 1] -> standardised (N, H', W', C').
        width: D.
        source: the data set it was trained on, "" for random weights.
    """

    backbone: nn.Module
    head: nn.Module | None
    prepare: Callable[[Images], Images]
    width: int
    source: str


class ClassToken(nn.Module):
    """A tiny ViT without its head."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.model.head = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def grey(images: Images) -> Images:
    """(N, H, W, 1): the mean of the channels."""
    return images.mean(axis=-1, keepdims=True)


def resized(images: Images, size: int) -> Images:
    """(N, size, size, C), bilinear with antialiasing."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    x = nn.functional.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
    return x.permute(0, 2, 3, 1).numpy()


def from_zoo(name: str, pretrained: bool, size: int, seed: int = 0) -> zoo.ImageModel:
    """A model of the zoo on the processor; random weights are fixed by the seed."""
    torch.manual_seed(seed)
    weights = "pretrained" if pretrained else None
    return zoo.load(name, weights=weights, device="cpu", image_size="default" if name == "tiny_vit" else size)


def prepared_by(model: zoo.ImageModel) -> Callable[[Images], Images]:
    """The zoo model's own preprocessing, from grey or colour images to channels last."""

    def prepare(images: Images) -> Images:
        fitting = grey(images) if model.channels == 1 else np.repeat(grey(images), 3, axis=-1)
        fitting = images if images.shape[-1] == model.channels else fitting
        return model.preprocess(fitting).permute(0, 2, 3, 1).contiguous().numpy()

    return prepare


def mobilenet(stages: int = 19) -> Candidate:
    """MobileNetV2 up to one of its 19 stages, average-pooled. Its source head is not among the course's weights."""
    model = from_zoo("mobilenet_v2", True, MOBILENET_SIZE)
    stack = model.model.features[:stages]
    backbone = nn.Sequential(stack, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    width = _width(backbone, torch.zeros(1, 3, MOBILENET_SIZE, MOBILENET_SIZE))
    return Candidate(backbone, None, prepared_by(model), width, "imagenet")


def fashion_resnet(pretrained: bool, stages: int = 3) -> Candidate:
    """Fashion-ResNet with all three stages and its head, or cut after two."""
    model = from_zoo("fashion_resnet", pretrained, SMALL)
    net = model.model
    parts = [net.stem, net.stage1, net.stage2, net.stage3][: stages + 1]
    backbone = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = net.fc if stages == 3 else None
    width = _width(backbone, torch.zeros(1, 1, SMALL, SMALL))
    return Candidate(backbone, head, prepared_by(model), width, "fashion_mnist" if pretrained else "")


def tiny_vit(pretrained: bool) -> Candidate:
    """The tiny Vision Transformer and its head for ten digits."""
    model = from_zoo("tiny_vit", pretrained, 48)
    head = model.model.head
    return Candidate(
        ClassToken(model.model), head, prepared_by(model), model.feature_dim, "cluttered_digits" if pretrained else ""
    )


def cnn(source: str, seed: int = 0) -> tuple[Candidate, float]:
    """The small CNN, trained on a small source or not at all (""), and its accuracy there."""
    split = data.load(source) if source else None
    mean, std = (0.3, 0.3) if split is None else standardizer(small_images(split.train.x))

    def prepare(images: Images) -> Images:
        return ((small_images(images) - mean) / std).astype(np.float32)

    model, accuracy = small_cnn(1, split.num_classes if split else 10, seed), 0.0
    if split is not None:
        train(model, prepare(split.train.x), split.train.y, SOURCE_RECIPE, seed)
        accuracy = float(np.mean(predict(model, prepare(split.test.x)) == split.test.y))
    return Candidate(nn.Sequential(*list(model)[:-1]), model[-1], prepare, 128, source), accuracy


def small_images(images: Images) -> Images:
    """Grey, 28 x 28."""
    return resized(grey(images), SMALL)


def all_candidates() -> dict[str, Candidate]:
    """Every candidate by name."""
    found = {
        "MobileNetV2": mobilenet(),
        "MobileNetV2, 14 stages": mobilenet(14),
        "MobileNetV2, 7 stages": mobilenet(7),
        "Fashion-ResNet": fashion_resnet(True),
        "Fashion-ResNet, 2 stages": fashion_resnet(True, 2),
        "Fashion-ResNet, random": fashion_resnet(False),
        "tiny ViT": tiny_vit(True),
        "tiny ViT, random": tiny_vit(False),
        "small CNN, random": cnn("")[0],
    }
    for source in ("digits", "photos"):
        found[f"small CNN, {source}"], accuracy = cnn(source)
        print(f"small CNN on {source}: {accuracy:.1%} there", flush=True)
    return found


@torch.inference_mode()
def _width(backbone: nn.Module, example: torch.Tensor) -> int:
    return backbone.eval()(example).shape[1]
