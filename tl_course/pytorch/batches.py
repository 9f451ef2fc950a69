"""Training examples where the device can reach them fast: prepared once and kept, or prepared batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from tl_course.data.dataset import Split
from tl_course.fit_options import Augmentation, batch_sizes
from tl_course.pytorch.augment import augmentation
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.features import batch_that_fits, evaluation_mode, inference_copy
from tl_course.pytorch.heads import head, head_name

_SHARE_OF_MEMORY = 0.25  # of what is free; prepared images may take so much


@dataclass(frozen=True)
class Examples:
    """Inputs and labels of one split, in batches.

    Attributes:
        inputs: kept on the device, or, if they would not fit there, in main memory: images (N, H, W, C), or features
            (N, D). `recipe` makes of a batch what the model takes.
        y: int64 (N,), on the device.
        recipe: inputs (n, ...) -> model inputs.
        pixels: of one model input, which decides how many are validated at once.
    """

    inputs: Tensor
    y: Tensor
    recipe: nn.Module
    pixels: int

    @classmethod
    def of(cls, classifier: Classifier, split: Split, augment: Augmentation = "none") -> "Examples":
        """A split of images float32 (N, H, W, C) in [0, 1].

        Images that are not augmented are preprocessed here, once, if the result fits into memory.

        Raises:
            BadInput: images that the classifier does not take.
        """
        images = classifier.backbone.check(split.x)
        device = classifier.device
        height, width = classifier.backbone.new_size(images) or images.shape[1:3]
        y = torch.from_numpy(np.asarray(split.y, dtype=np.int64)).to(device)
        num_bytes = 4 * len(images) * height * width * images.shape[3]
        if augment == "none" and num_bytes <= _SHARE_OF_MEMORY * _free_memory(device):
            step = batch_that_fits(device, height * width)
            inputs = torch.empty(len(images), height, width, images.shape[3], device=device)
            for start in range(0, len(images), step):
                prepared = classifier.preprocess(images[start : start + step])
                inputs[start : start + step] = prepared.permute(0, 2, 3, 1)
            return cls(inputs, y, ChannelsFirst(), height * width)
        recipe = nn.Sequential(
            ChannelsFirst(), augmentation(augment, classifier.backbone.image_size), Preprocessing(classifier)
        )
        inputs = torch.from_numpy(images if images.flags.writeable else images.copy())
        fits = images.nbytes <= _SHARE_OF_MEMORY * _free_memory(device)
        return cls(inputs.to(device) if fits else inputs, y, recipe, height * width)

    def __len__(self) -> int:
        return len(self.y)

    def epoch(self, rng: np.random.Generator, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Model inputs and labels of every example once, in an order that `rng` draws."""
        return self.batches(rng.permutation(len(self)), batch_sizes(len(self), batch_size))

    def batches(self, order: np.ndarray, sizes: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Model inputs and labels, in this order, in batches of these sizes."""
        on_device = torch.from_numpy(order).to(self.y.device)
        where = on_device if self.inputs.device == self.y.device else torch.from_numpy(order)
        for here, there in zip(on_device.split(sizes), where.split(sizes), strict=True):
            yield self.recipe(self.inputs[there].to(self.y.device)), self.y[here]

    def logits(self, model: nn.Module) -> Tensor:
        """(N, K), at as many examples a time as are fast. The model is in evaluation mode."""
        model = inference_copy(model, len(self))
        step = batch_that_fits(self.y.device, self.pixels)
        return torch.cat([model(self.recipe(part.to(self.y.device))) for part in self.inputs.split(step)])

    def features(self, model: nn.Module) -> "Examples | None":
        """What reaches the model's head, as inputs for the head alone; see `head_inputs`."""
        inputs = head_inputs(model, self.logits, len(self))
        return None if inputs is None else Examples(inputs, self.y, nn.Identity(), 1)


def head_inputs(model: nn.Module, run: Callable[[nn.Module], Tensor], count: int) -> Tensor | None:
    """What reaches the model's head (N, D), in evaluation mode, in the order in which `run` meets the examples.

    Args:
        model: left as it was.
        run: sends every example through a model: logits (N, K) in that same order.
        count: N.

    Returns:
        None if the head on these features does not give the model's logits, as when something follows the head.
    """
    caught: list[Tensor] = []
    with evaluation_mode(model), torch.no_grad():
        fast = inference_copy(model, count)
        hook = fast.get_submodule(head_name(model)).register_forward_pre_hook(
            lambda _module, args: caught.append(args[0])
        )
        try:
            logits = run(fast)
        finally:
            hook.remove()
        inputs = torch.cat(caught)
        fits = inputs.ndim == 2 and len(inputs) == len(logits)
        if not fits or not torch.allclose(head(model)(inputs), logits, rtol=1e-3, atol=1e-4):
            return None
    return inputs


class ChannelsFirst(nn.Module):
    """(N, H, W, C) -> (N, C, H, W) without a copy: PyTorch calls this memory layout channels_last."""

    def forward(self, images: Tensor) -> Tensor:
        """Works on views only."""
        return images.permute(0, 3, 1, 2)


class Preprocessing(nn.Module):
    """A classifier's preprocessing for tensors (N, C, H, W) in [0, 1], wherever they are."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        size = classifier.backbone.image_size
        self.size = None if size is None else (size, size)
        shape = (1, -1, 1, 1)
        self.mean = torch.tensor(classifier.backbone.mean, device=classifier.device).view(shape)
        self.std = torch.tensor(classifier.backbone.std, device=classifier.device).view(shape)

    def forward(self, images: Tensor) -> Tensor:
        """Resized and normalised."""
        if self.size is not None and tuple(images.shape[-2:]) != self.size:
            images = nn.functional.interpolate(
                images, size=self.size, mode="bilinear", antialias=True, align_corners=False
            )
        images = images.contiguous(memory_format=torch.channels_last)
        return (images - self.mean) / self.std


def _free_memory(device: torch.device) -> int:
    """Bytes free on the device; main memory's where the device does not say."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
