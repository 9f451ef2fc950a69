"""Augmentation: training images that vary as real ones would, and mixtures of them."""

import numpy as np
import torch
from torch import Tensor, nn

from tl_course.compat import torchvision
from tl_course.errors import BadInput
from tl_course.fit_options import Augmentation
from tl_course.i18n import _


class PerImage(nn.Module):
    """A torchvision transform that is drawn anew for each image of a batch; by itself it treats all of them alike.

    Args:
        transform: takes and returns images (C, H, W).
    """

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return torch.stack([self.transform(image) for image in images])


def augmentation(kind: Augmentation = "photo", size: int | None = None) -> nn.Module:
    """Random changes that leave the class as it is. Randomness comes from torch's global generator.

    - photo: a random part of 40 to 100 % of the area, stretched by at most 4/3, mirrored half of the time, brightness
      and contrast changed by up to 20 %.
    - digit: turned by up to 10 degrees, moved by up to 10 %, scaled by up to 10 %, filled with 0 (black); never
      mirrored, as a mirrored digit is another sign.
    - none: nothing.

    Args:
        kind: one of the three.
        size: height and width of what photo gives; None keeps the images' own. digit and none never change the size.

    Returns:
        A module: images (N, C, H, W) in [0, 1] -> the same, each changed by itself.

    Raises:
        BadInput: an unknown kind.
    """
    if kind not in ("none", "photo", "digit"):
        raise BadInput(_("augment 'none', 'photo' or 'digit'"), repr(kind), _("choose one of these"))
    if kind == "none":
        return nn.Identity()
    torchvision()  # first, where it stands beside a build of torch that is not its own
    from torchvision.transforms import v2

    bilinear = v2.InterpolationMode.BILINEAR
    if kind == "digit":
        return PerImage(v2.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1), interpolation=bilinear))
    changes = [v2.RandomHorizontalFlip(), v2.ColorJitter(brightness=0.2, contrast=0.2)]
    return _Photo(nn.Sequential(*changes), size)


class _Photo(nn.Module):
    """Crop, then the other changes; the crop's size may follow the images."""

    def __init__(self, changes: nn.Module, size: int | None) -> None:
        super().__init__()
        self.changes = changes
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        from torchvision.transforms import v2

        size = tuple(images.shape[-2:]) if self.size is None else (self.size, self.size)
        crop = v2.RandomResizedCrop(size, scale=(0.4, 1.0), antialias=True)
        return PerImage(nn.Sequential(crop, self.changes))(images)


def mixup(x: Tensor, y: Tensor, alpha: float, seed: int | np.random.Generator) -> tuple[Tensor, Tensor]:
    """Each image mixed with another of the batch, and their labels alike (Zhang, Cisse, Dauphin & Lopez-Paz, 2018).

    x' = k x + (1 - k) x[p] and y' = k y + (1 - k) y[p], with one k ~ Beta(alpha, alpha) and one permutation p a batch.

    Args:
        x: (N, ...).
        y: (N, K) one-hot or soft labels.
        alpha: above 0; 0.2 mixes a little, 1 evenly.
        seed: a number, or a generator that moves on from batch to batch.

    Returns:
        x' and y', shaped as x and y.

    Raises:
        BadInput: alpha of 0 or less, or labels that are not (N, K).
    """
    if alpha <= 0:
        raise BadInput(_("alpha above 0"), str(alpha), _("0.2 is usual; leave mixup out for none"))
    if y.ndim != 2 or len(x) != len(y):
        raise BadInput(
            _("labels of shape ({count}, K)").format(count=len(x)),
            _("shape {shape}").format(shape=tuple(y.shape)),
            _("use torch.nn.functional.one_hot(y, num_classes).float()"),
        )
    rng = np.random.default_rng(seed)
    k = float(rng.beta(alpha, alpha))
    order = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    return torch.lerp(x[order], x, k), torch.lerp(y[order], y, k)
