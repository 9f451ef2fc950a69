"""Adapters: a small bottleneck after every frozen block (Houlsby et al., 2019; Pfeiffer et al., 2021)."""

from typing import Any

import keras
from keras import layers, ops

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.batchnorm import seeded
from tl_course.keras.encoder import padding_mask
from tl_course.keras.lora import freeze_weights


@keras.saving.register_keras_serializable("tl_course")
class Adapter(layers.Layer):
    """h + W_up gelu(W_down h + b_down) + b_up; W_up and b_up start at 0, so at the start nothing changes.

    Args:
        width: of h.
        size: of the bottleneck.
    """

    def __init__(self, width: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.size = width, size
        self.down = layers.Dense(size, name="down")  # Glorot & Bengio, 2010: uniform
        self.up = layers.Dense(width, kernel_initializer="zeros", name="up")
        self.build((None, None, width))

    def build(self, input_shape: Any) -> None:
        self.down.build(input_shape)
        self.up.build((*input_shape[:-1], self.size))
        self.built = True

    def call(self, hidden: Any) -> Any:
        """(N, L, D) -> (N, L, D)."""
        return hidden + self.up(ops.gelu(self.down(hidden), approximate=False))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "size": self.size}


class AdapterStack(layers.Layer):
    """One adapter a block, or none at all: `fill` makes them. It is a part of every text classifier's model."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.adapters: list[Adapter] = []

    def fill(self, count: int, width: int, size: int) -> None:
        """Make `count` adapters, with weights drawn from Python's `random`."""
        self.adapters = [Adapter(width, size, name=f"adapter_{number}") for number in range(count)]

    @property
    def size(self) -> int | None:
        """Of the bottlenecks; None where there are no adapters."""
        return self.adapters[0].size if self.adapters else None


def add_adapters(model: Any, size: int = 32, seed: int = 0) -> Any:
    """Put an adapter after every block of a text classifier's model, in place, and freeze all else but the head.

    One adapter a block, as Pfeiffer et al. found to be enough; Houlsby et al. have two, and train the LayerNorms too.
    Train with `fit`; `fine_tune` would unfreeze all again.

    Args:
        model: `TextClassifier.model`.
        size: of the bottleneck, at least 1.
        seed: of the weights. The global random state is kept.

    Returns:
        The model.

    Raises:
        BadInput: not such a model, adapters are there already, or a size below 1.
    """
    if size < 1:
        raise BadInput(_("size of at least 1"), str(size), _("32 is a good start"))
    stack = getattr(model, "adapters", None)
    if not isinstance(stack, AdapterStack):
        raise BadInput(_("a text classifier's model"), type(model).__name__, _("pass classifier.model"))
    if stack.size is not None:
        raise BadInput(_("a model without adapters"), _("one that has them"), _("load or build it again"))
    freeze_weights(model)
    with seeded(seed):
        stack.fill(len(model.encoder.blocks), model.encoder.config.dim, size)
    return model


def adapter_size(model: Any) -> int | None:
    """The bottleneck of a model's adapters; None where it has none."""
    return model.adapters.size


def adapted_hidden(model: Any, tokens: Any, training: bool) -> Any:
    """What the encoder gives with an adapter after every block: token vectors (N, L, D)."""
    encoder, mask = model.encoder, padding_mask(tokens["attention_mask"])
    x = encoder.embeddings(tokens["input_ids"], tokens.get("token_type_ids"), training=training)
    for block, adapter in zip(encoder.blocks, model.adapters.adapters, strict=True):
        x = adapter(block(x, mask, training=training)[0])
    return x if encoder.norm is None else encoder.norm(x)
