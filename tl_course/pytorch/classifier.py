"""A model with its preprocessing and its class names in one object, and in one file."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from tl_course import classifier_file, zoo
from tl_course.classifier_file import ClassifierFile, check_class_names
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.pytorch.features import batch_that_fits, evaluation_mode, inference_copy
from tl_course.pytorch.heads import replace_head
from tl_course.zoo.images_torch import TorchImageModel
from tl_course.zoo.inputs import check_batch_size
from tl_course.zoo.pretrained import Weights


class Classifier:
    """Images in, class names out: the backbone, a fresh head, and the preprocessing the backbone was trained with.

    Args:
        backbone: an image model of the zoo, left as it is; its weights are copied.
        class_names: K names, each once; class k is `class_names[k]`.
        seed: of the new head.

    Attributes:
        backbone: the zoo's object around `model`: name, image_size, mean, std, preprocess, features.
        class_names: K names.

    Raises:
        BadInput: not an image model in PyTorch, or class names that are not one or more different strings.
    """

    def __init__(self, backbone: TorchImageModel, class_names: Sequence[str], *, seed: int = 0) -> None:
        if not isinstance(backbone, TorchImageModel):
            raise BadInput(
                _("an image model in PyTorch"), repr(backbone), _("load one: zoo.load('mobilenet_v2', 'pytorch')")
            )
        self.class_names = check_class_names(class_names)
        self.backbone = copy.copy(backbone)
        self.backbone.model = replace_head(backbone.model, len(self.class_names), seed=seed)

    @classmethod
    def build(
        cls,
        name: str,
        class_names: Sequence[str],
        *,
        weights: Weights = "pretrained",
        image_size: int | Literal["default"] | None = "default",
        seed: int = 0,
        device: str | None = None,
    ) -> Self:
        """A classifier on a backbone of the zoo, by name.

        Args:
            name: one of `zoo.names("pytorch")`.
            class_names: K names.
            weights: "pretrained", or None for random weights.
            image_size: see `zoo.load`; smaller is faster.
            seed: of the head, and of random weights.
            device: "cpu", "cuda", "mps" …; None takes the accelerator where there is one.

        Raises:
            BadInput: as `zoo.load` and `Classifier`.
        """
        names = check_class_names(class_names)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = zoo.load(name, "pytorch", weights, image_size=image_size, device=device)
        return cls(backbone, names, seed=seed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backbone.name!r}, {len(self.class_names)} classes)"

    @property
    def model(self) -> nn.Module:
        """The module: preprocessed images (N, C, H, W) -> logits (N, K)."""
        return self.backbone.model

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.backbone.device

    def preprocess(self, images: np.ndarray) -> Tensor:
        """Images float32 (N, H, W, C) in [0, 1] -> resized, normalised (N, C, H', W') on the model's device."""
        return self.backbone.preprocess(images)

    def logits(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images float32 (N, H, W, C) in [0, 1] -> float32 (N, K), in evaluation mode; the model is left as it was.

        Raises:
            BadInput: images that do not match dtype, shape, channel order or range.
        """
        images = self.backbone.check(images)
        check_batch_size(batch_size)
        size = self.backbone.new_size(images) or images.shape[1:3]
        step = min(batch_size, batch_that_fits(self.device, size[0] * size[1]))
        with evaluation_mode(self.model), torch.inference_mode():
            model = inference_copy(self.model, len(images))
            starts = range(0, len(images), step)
            parts = [model(self.preprocess(images[start : start + step])).float().cpu() for start in starts]
        return torch.cat(parts).numpy()

    def predict_proba(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images -> probabilities float32 (N, K), the softmax of the logits."""
        return torch.from_numpy(self.logits(images, batch_size)).softmax(dim=1).numpy()

    def predict(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images -> the most likely class of each, int64 (N,); its name is `class_names[k]`."""
        return self.logits(images, batch_size).argmax(axis=1).astype(np.int64)

    def save(self, path: str | Path) -> Path:
        """Write everything needed to predict into one file (see `classifier_file`); returns its path."""
        state = {name: tensor.detach().cpu().numpy() for name, tensor in self.model.state_dict().items()}
        parts = self.backbone
        content = ClassifierFile(
            "pytorch", parts.name, parts.image_size, parts.mean, parts.std, self.class_names, state
        )
        return classifier_file.write(path, content)

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Self:
        """The classifier that `save` wrote; it predicts the same.

        Args:
            path: of the file.
            device: as in `build`.

        Raises:
            BadInput: the file is missing, cut off, changed, of another framework, or does not fit its backbone.
        """
        content = classifier_file.read(path, "pytorch", "image")
        made = cls.build(
            content.backbone, content.class_names, weights=None, image_size=content.image_size, device=device
        )
        made.backbone.mean, made.backbone.std = content.mean, content.std
        load_weights(made.model, content, "torchvision")
        return made


def load_weights(model: nn.Module, content: ClassifierFile, library: str) -> None:
    """Fill a network with a file's weights.

    Args:
        model: built as the file says.
        content: of the file.
        library: whose version decides what the network looks like, for the message.

    Raises:
        BadInput: they are not the weights of this network.
    """
    state = {name: torch.from_numpy(array) for name, array in content.weights.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise BadInput(
            _("the weights of a {name} with {count} classes").format(
                name=content.backbone, count=len(content.class_names)
            ),
            str(error).splitlines()[-1].strip(),
            _("save the classifier again, with the version of {library} you load it with").format(library=library),
        ) from error


def load(path: str | Path, device: str | None = None) -> Classifier:
    """`Classifier.load`: the classifier that `Classifier.save` wrote."""
    return Classifier.load(path, device)
