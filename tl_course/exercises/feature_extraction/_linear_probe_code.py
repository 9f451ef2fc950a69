"""Right answers to linear-probe-model: the reference and two alternatives for each framework."""

PYTORCH = '''
import torch
from torch import nn


class LinearProbe(nn.Module):
    """A frozen backbone with a new linear head, the only part that learns.

    Args:
        backbone: takes images (N, 3, H, W) and returns features (N, feature_dim).
        feature_dim: width of the backbone's features.
        num_classes: number of classes of the target task.
    """

    def __init__(self, backbone: nn.Module, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.head = nn.Linear(feature_dim, num_classes)

    def train(self, mode: bool = True) -> "LinearProbe":
        """Decide which parts of the model change mode.

        PyTorch runs this method for `model.train()` and, with mode False, for `model.eval()`. The one inherited from
        `nn.Module` sets the mode of the model and of all its parts.
        """
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of shape (N, num_classes) for images of shape (N, 3, H, W)."""
        return self.head(self.backbone(images))
'''

PYTORCH_SEQUENTIAL = """
from torch import nn


class Frozen(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module
        for parameter in module.parameters():
            parameter.requires_grad = False

    def forward(self, x):
        self.module.eval()
        return self.module(x)


def LinearProbe(backbone, feature_dim, num_classes):
    return nn.Sequential(Frozen(backbone), nn.Linear(feature_dim, num_classes))
"""

PYTORCH_COPY = """
import copy

import torch
from torch import nn


class LinearProbe(nn.Module):
    def __init__(self, backbone, feature_dim, num_classes):
        super().__init__()
        self.body = copy.deepcopy(backbone)
        self.classifier = nn.LazyLinear(num_classes)
        self.classifier(torch.zeros(1, feature_dim))
        for parameter in self.body.parameters():
            parameter.requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        for module in self.body.modules():
            module.training = False
        return self

    def forward(self, images):
        with torch.no_grad():
            features = self.body(images)
        return self.classifier(features)
"""

KERAS = '''
import keras
from keras import layers


class LinearProbe(keras.Model):
    """A frozen backbone with a new linear head, the only part that learns.

    Args:
        backbone: takes images (N, H, W, 3) and returns features (N, D).
        num_classes: number of classes of the target task.
    """

    def __init__(self, backbone: keras.Model, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.backbone.trainable = False
        self.head = layers.Dense(num_classes)

    def call(self, images):
        """Logits of shape (N, num_classes) for images of shape (N, H, W, 3)."""
        return self.head(self.backbone(images, training=False))
'''

KERAS_FUNCTIONAL = """
import keras
from keras import layers


def LinearProbe(backbone, num_classes):
    backbone.trainable = False
    images = keras.Input(backbone.input_shape[1:])
    features = backbone(images, training=False)
    return keras.Model(images, layers.Dense(num_classes, name="head")(features))
"""

KERAS_SEQUENTIAL = """
import keras


def LinearProbe(backbone, num_classes):
    for layer in backbone.layers:
        layer.trainable = False
    return keras.Sequential([backbone, keras.layers.Dense(num_classes, activation="linear")])
"""
