"""Image models in PyTorch: preprocessing and features."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.pytorch.features import batch_that_fits, evaluation_mode, global_average_pool, inference_copy
from tl_course.zoo.inputs import check_batch_size
from tl_course.zoo.pretrained import ImageModel, Weights


def default_device() -> torch.device:
    """The accelerator (cuda, mps, …) where there is one, else the processor."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if accelerator is None else accelerator


def head_input(model: nn.Module) -> nn.Module:
    """The child whose input is the backbone's output: the pooling layer `avgpool` where there is one, else the head."""
    children = dict(model.named_children())
    return children.get("avgpool", list(children.values())[-1])


class TorchImageModel(ImageModel):
    """A PyTorch image model. Features are what reaches the head; feature maps are averaged over their positions.

    Args:
        name, weights, feature_dim, image_size, min_size: see `ImageModel`.
        model: takes normalised images (N, C, H, W).
        mean, std: the normalisation the weights were trained with, one value per channel.
        device: where to put the model; None chooses `default_device()`.
    """

    def __init__(
        self,
        name: str,
        weights: Weights,
        model: nn.Module,
        feature_dim: int,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int | None,
        min_size: int = 32,
        device: str | torch.device | None = None,
    ) -> None:
        device = default_device() if device is None else torch.device(device)
        channels = len(mean)
        model = model.to(device).eval()
        super().__init__(
            name, "pytorch", weights, model, feature_dim, channels=channels, image_size=image_size, min_size=min_size
        )
        self.mean = tuple(mean)
        self.std = tuple(std)

    @property
    def device(self) -> torch.device:
        """Where the model is now."""
        return next(self.model.parameters()).device

    def preprocess(self, inputs: np.ndarray) -> Tensor:
        """Images float32 (N, H, W, C) in [0, 1] -> normalised tensor (N, C, H', W') on the model's device."""
        return self._prepare(self.check(inputs))

    def _prepare(self, images: np.ndarray) -> Tensor:
        x = torch.from_numpy(images if images.flags.writeable else images.copy()).to(self.device)
        x = x.permute(0, 3, 1, 2)  # (N, C, H, W), channels_last in memory: the faster layout for convolutions
        size = self.new_size(images)
        if size is not None:
            x = nn.functional.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
        mean = torch.tensor(self.mean, device=x.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=x.device).view(1, -1, 1, 1)
        return (x - mean) / std

    def features(self, inputs: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images float32 (N, H, W, C) in [0, 1] -> frozen features float32 (N, D), at most batch_size at a time.

        Raises:
            BadInput: images that do not match dtype, shape, channel order or range.
        """
        images = self.check(inputs)
        check_batch_size(batch_size)
        out = np.empty((len(images), self.feature_dim), dtype=np.float32)
        caught: list[Tensor] = []
        step = min(batch_size, self._images_that_fit(images))
        with evaluation_mode(self.model), torch.inference_mode():
            model = inference_copy(self.model, len(images))
            hook = head_input(model).register_forward_pre_hook(lambda _module, args: caught.append(args[0]))
            try:
                for start in range(0, len(images), step):
                    batch = images[start : start + step]
                    model(self._prepare(batch))
                    x = caught.pop()
                    out[start : start + len(batch)] = (global_average_pool(x) if x.ndim == 4 else x).float().cpu()
            finally:
                hook.remove()
        return out

    def _images_that_fit(self, images: np.ndarray) -> int:
        """Images to run at once: on a processor as many as its cache holds well; else any number."""
        if self.device.type != "cpu":
            return len(images)
        height, width = images.shape[1:3] if self.image_size is None else (self.image_size, self.image_size)
        return batch_that_fits(self.device, height * width)
