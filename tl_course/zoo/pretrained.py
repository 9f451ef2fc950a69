"""What every model of the zoo has, whichever framework it comes from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

Framework = Literal["pytorch", "keras"]
Weights = Literal["pretrained"] | None

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FASHION_MEAN = (0.2860,)
FASHION_STD = (0.3530,)
MINILM_MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was tuned with; longer texts are cut there


class Pretrained(ABC):
    """A model, its preprocessing and its features.

    Attributes:
        name: what `zoo.load` was called with, in its canonical spelling.
        framework: "pytorch" or "keras".
        weights: "pretrained", or None for random weights.
        model: the `torch.nn.Module` or `keras.Model`, yours to fine-tune.
        feature_dim: D, the width of the features.
    """

    def __init__(self, name: str, framework: Framework, weights: Weights, model: Any, feature_dim: int) -> None:
        self.name = name
        self.framework = framework
        self.weights = weights
        self.model = model
        self.feature_dim = feature_dim

    def __repr__(self) -> str:
        kind = "random weights" if self.weights is None else self.weights
        return f"{type(self).__name__}({self.name!r}, {self.framework}, {kind}, feature_dim={self.feature_dim})"

    @abstractmethod
    def preprocess(self, inputs: Any) -> Any:
        """The checked inputs as what `model` takes: images scaled, resized and laid out, or texts as tokens."""

    @abstractmethod
    def features(self, inputs: Any, batch_size: int = 64) -> np.ndarray:
        """Frozen features, float32 (N, D), in the order of the inputs. The model is left as it was found."""


class ImageModel(Pretrained):
    """A model of images.

    Attributes:
        channels: 3 for colour, 1 for grey.
        image_size: images are resized to this height and width; None leaves their size as given.
        min_size: the smallest height and width the model can take.
    """

    def __init__(
        self,
        name: str,
        framework: Framework,
        weights: Weights,
        model: Any,
        feature_dim: int,
        *,
        channels: int = 3,
        image_size: int | None = 224,
        min_size: int = 32,
    ) -> None:
        super().__init__(name, framework, weights, model, feature_dim)
        self.channels = channels
        self.image_size = image_size
        self.min_size = min_size

    def new_size(self, images: np.ndarray) -> tuple[int, int] | None:
        """Height and width to resize images (N, H, W, C) to; None where they stay as they are."""
        if self.image_size is None or images.shape[1:3] == (self.image_size, self.image_size):
            return None
        return self.image_size, self.image_size

    def check(self, images: object) -> np.ndarray:
        """The images, unchanged, when they fit the model. Raises BadInput, which says what does not fit."""
        from tl_course.zoo.inputs import check_images

        return check_images(images, self.channels, self.min_size if self.image_size is None else 1)


class TextEncoder(Pretrained):
    """A model of texts.

    Attributes:
        tokenizer: Hugging Face's, the one that goes with the weights.
        max_tokens: longer texts are cut after so many tokens, special ones included.
    """

    def __init__(
        self,
        name: str,
        framework: Framework,
        weights: Weights,
        model: Any,
        feature_dim: int,
        tokenizer: Any,
        max_tokens: int,
    ) -> None:
        super().__init__(name, framework, weights, model, feature_dim)
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    def token_ids(self, inputs: Iterable[str]) -> list[list[int]]:
        """Texts (N,) -> the token ids of each, special ones included, cut after max_tokens; nothing is padded.

        Raises:
            BadInput: one string instead of several, none at all, or an element that is not a string.
        """
        return self._tokenised(inputs, truncation=True, max_length=self.max_tokens)

    def num_tokens(self, inputs: Iterable[str]) -> np.ndarray:
        """Texts (N,) -> how many tokens each has before it is cut, special ones included, int64 (N,)."""
        return np.array([len(ids) for ids in self._tokenised(inputs, verbose=False)], dtype=np.int64)

    def _tokenised(self, inputs: Iterable[str], **options: Any) -> list[list[int]]:
        from tl_course.zoo.inputs import check_texts

        only_ids = {"return_attention_mask": False, "return_token_type_ids": False}
        return self.tokenizer(check_texts(inputs), **only_ids, **options)["input_ids"]
