"""FashionResNet in PyTorch: a residual network small enough to train, ship and read.

He, Zhang, Ren & Sun, Deep Residual Learning for Image Recognition, CVPR 2016. Three stages of one basic block each,
32, 64 and 128 channels wide, for 28x28 greyscale images: 308,074 parameters. The Keras twin is fashion_resnet_keras.
"""

import torch
from torch import nn

WIDTHS = (32, 64, 128)


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """relu(shortcut(x) + bn(conv(relu(bn(conv(x)))))); the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, out_channels, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C_in, H, W) -> (N, C_out, H / stride, W / stride)."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + self.shortcut(x))


class FashionResNet(nn.Module):
    """Stem, three stages, global average pooling, linear head.

    Args:
        num_classes: width of the head `fc`.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv3x3(1, WIDTHS[0]), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(), nn.MaxPool2d(2))
        self.stage1 = BasicBlock(WIDTHS[0], WIDTHS[0], stride=1)
        self.stage2 = BasicBlock(WIDTHS[0], WIDTHS[1], stride=2)
        self.stage3 = BasicBlock(WIDTHS[1], WIDTHS[2], stride=2)
        self.fc = nn.Linear(WIDTHS[2], num_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images (N, 1, H, W) -> pooled features (N, 128)."""
        feature_map = self.stage3(self.stage2(self.stage1(self.stem(x))))  # (N, 128, H/8, W/8)
        return feature_map.mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images (N, 1, H, W) -> logits (N, num_classes)."""
        return self.fc(self.forward_features(x))
