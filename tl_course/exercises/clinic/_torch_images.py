"""Images that can be told apart by their colour, and a tiny ResNet that notes what it is shown (PyTorch)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tl_course.exercises.engine.exercise import Plain
from tl_course.exercises.engine.plain import as_array

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SCALES = {"imagenet": (MEAN, STD), "raw": (0.0, 1.0), "half": (0.5, 0.5), "bytes": (0.0, 1 / 255)}
FEATURES = 512  # as in ResNet18


def draw_colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Distinct colours, uint8 (count, 3)."""
    levels = np.linspace(15, 240, count).round().astype(np.uint8)
    return np.stack([rng.permutation(levels) for _channel in range(3)], axis=1)


@dataclass(frozen=True)
class Call:
    """One batch that the network was shown.

    Attributes:
        images: the numbers of its images, by their colours; -1 where no image has that colour.
        scale: how the pixels were scaled: a key of SCALES, or "" where none fits.
        training, grad: whether the network was in training mode, and whether gradients were recorded.
        size, map: height and width of the images and of the last feature map.
        logits: (N, K). bias: of the head, at that moment.
        layout: a coarse picture of each image (N, 16), which a flip or a crop changes.
        at: its place in the log.
    """

    images: np.ndarray
    scale: str
    training: bool
    grad: bool
    size: list[int]
    map: list[int]
    logits: np.ndarray
    bias: np.ndarray
    layout: np.ndarray
    at: int


def read_calls(log: list[dict[str, Plain]], colours: np.ndarray) -> list[Call]:
    """The calls of a log, with their images recognised among these colours, uint8 (M, 3)."""
    found = []
    for at, event in enumerate(log):
        if event["event"] == "call":
            scale, images = recognise(event["pixels"], colours)
            known = {name: event[name] for name in ("training", "grad", "size", "map", "logits", "bias", "layout")}
            found.append(Call(images=images, scale=scale, at=at, **known))
    return found


def recognise(pixels: np.ndarray, colours: np.ndarray) -> tuple[str, np.ndarray]:
    """The scale that fits a batch of typical pixels (N, 3) best, and the number of each image."""
    best = (0.03, "", np.full(len(pixels), -1))
    for name, (mean, std) in SCALES.items():
        gaps = np.abs(pixels[:, None] * std + mean - colours / 255).max(axis=2)
        if gaps.min(axis=1).max() < best[0]:
            best = (gaps.min(axis=1).max(), name, gaps.argmin(axis=1))
    return best[1], best[2]


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss of each image."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]


def fresh_gradients(log: list[dict[str, Plain]]) -> bool:
    """Whether there were steps, and each used the gradient of its own batch only."""
    found = [event["fresh"] for event in log if event["event"] == "gradient"]
    return bool(found) and all(found)


def adam_step(calls: list[Call]) -> float:
    """How far the head's bias moved from the first training batch to the next: for Adam, its learning rate."""
    steps = [call.bias for call in calls if call.grad]
    same = len(steps) > 1 and steps[0].shape == steps[1].shape
    return float(np.abs(steps[1] - steps[0]).max()) if same else 0.0


def tiny_resnet(note: Callable[[dict[str, Plain]], None], head: str = "fc", classes: int = 10):
    """A network with ResNet18's stem, total stride of 32 and 512 features, which notes every call.

    Args:
        note: is given one dict for each call, each gradient and each move to a device.
        head: where the head sits: "fc" (ResNet), "classifier" (DenseNet), "classifier.1" (MobileNet, EfficientNet),
            "classifier.3" (VGG) or "heads.head" (Vision Transformer).
        classes: of the pretraining task.
    """
    import torch
    from torch import nn

    class Network(nn.Module):
        """Stem, pooling to a thirty-second of the size, 512 features, and a head."""

        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
            self.layer4 = nn.Sequential(nn.AvgPool2d(8, ceil_mode=True), nn.Conv2d(64, FEATURES, 1))
            name, _dot, inner = head.partition(".")
            linear = nn.Linear(FEATURES, classes)
            parts: dict[str, nn.Module] = {
                "1": nn.Sequential(nn.Dropout(0.2), linear),
                "3": nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Dropout(), linear),
                "head": nn.Sequential(),
            }
            if inner == "head":
                parts["head"].add_module("head", linear)
            setattr(self, name, parts.get(inner, linear))
            self.head_name, self.hooked = name, 0

        def to(self, *args, **kwargs):
            """Notes the move, and how many outputs the head has then."""
            found = super().to(*args, **kwargs)
            device = str(kwargs.get("device", args[0] if args else ""))
            note({"event": "to", "device": device, "outputs": last_linear(self).out_features})
            return found

        def forward(self, images):
            """Logits (N, K)."""
            self._watch_gradient()
            x = self.maxpool(self.bn1(self.conv1(images)).relu())
            maps = self.layer4(x).relu()
            logits = getattr(self, self.head_name)(maps.mean(dim=(2, 3)))
            pixels = images.detach().flatten(2).median(dim=2).values
            layout = nn.functional.adaptive_avg_pool2d(images.detach().mean(dim=1, keepdim=True), 4)
            size, area = list(images.shape[2:]), list(maps.shape[2:])
            known = {"training": self.bn1.training, "grad": torch.is_grad_enabled(), "size": size, "map": area}
            known |= {"pixels": as_array(pixels), "layout": as_array(layout.flatten(1))}
            known |= {"stem": float(self.conv1.weight.detach().sum())}
            note({"event": "call", "logits": as_array(logits), "bias": as_array(last_linear(self).bias), **known})
            return logits

        def _watch_gradient(self) -> None:
            """Note for each backward pass whether the gradient is that of its own batch alone."""
            weight = next(self.layer4[1].parameters())
            if self.hooked == id(weight) or not weight.requires_grad:
                return
            own: list[torch.Tensor] = []

            def arrived(gradient) -> None:
                own.append(gradient.clone())

            def added(parameter) -> None:
                note({"event": "gradient", "fresh": bool(torch.equal(parameter.grad, own[-1]))})

            weight.register_hook(arrived)
            weight.register_post_accumulate_grad_hook(added)
            self.hooked = id(weight)

    return Network()


def last_linear(model):
    """The last linear layer of a network: its head."""
    from torch import nn

    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
