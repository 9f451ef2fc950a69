"""BatchNorm whose statistics can be frozen on their own, and a model's layers and parameters as plain lists.

Keras ties two things together: a BatchNormalization layer keeps its moving averages still and normalises with them only
while its gain and shift do not train either (`trainable=False`). Fine-tuning wants gain and shift to train on frozen
statistics. Passing `training=False` to the backbone is no way out in a functional model: when the outer model is called
with `training=True`, as `fit` does, that overrides it. So the layer itself has to know.
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tl_course.errors import BadInput
from tl_course.i18n import _

_MOMENTUM = 0.9


@keras.saving.register_keras_serializable("tl_course")
class FreezableBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization (Ioffe & Szegedy, 2015) that normalises with its moving averages while they are frozen.

    Attributes:
        statistics_frozen: while True, training mode neither uses the batch's mean and variance nor moves the averages,
            whether or not gain and shift train. A compiled model notices a change when it is compiled again.
    """

    def __init__(self, *args: Any, statistics_frozen: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.statistics_frozen = statistics_frozen

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """(N, ..., C) -> the same shape."""
        return super().call(inputs, training=bool(training) and not self.statistics_frozen, mask=mask)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "statistics_frozen": self.statistics_frozen}


def layers_of(module: Any) -> list[keras.layers.Layer]:
    """The layers of a model, of the models inside it, or of several layers, in the order of the model. No models.

    Args:
        module: a model, a layer, or an iterable of these.

    Raises:
        BadInput: something that is no Keras layer.
    """
    if isinstance(module, keras.layers.Layer):
        return layers_of(module.layers) if isinstance(module, keras.Model) else [module]
    if isinstance(module, Iterable) and not isinstance(module, str):
        return [layer for part in module for layer in layers_of(part)]
    raise BadInput(
        _("a keras.Model, a layer, or a list of layers"),
        type(module).__name__,
        _("pass classifier.model, or use tl_course.pytorch for PyTorch models"),
    )


def statistics(layer: keras.layers.Layer) -> list[keras.Variable]:
    """What a layer measures instead of learning: BatchNorm's moving averages, a Normalization's mean and variance."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return [layer.moving_mean, layer.moving_variance]
    return list(layer.weights) if isinstance(layer, keras.layers.Normalization) else []


def parameters(module: keras.layers.Layer | Iterable[keras.layers.Layer]) -> list[keras.Variable]:
    """Everything that gradient descent could change, frozen or not: all weights but the `statistics`."""
    found = []
    for layer in layers_of(module):
        measured = {id(variable) for variable in statistics(layer)}
        found += [weight for weight in layer.weights if id(weight) not in measured]
    return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Layers made inside draw their initial weights and dropout masks from `seed`; afterwards all is as it was.

    A Keras layer made without a seed of its own takes one from Python's `random`.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def freezable_copy(model: keras.Model, seed: int = 0) -> keras.Model:
    """A copy with weights of its own, in which every BatchNormalization is a `FreezableBatchNormalization`.

    The outputs are the model's, and so is what trains. Free moving averages follow a new batch by a tenth, as PyTorch's
    do; Keras's hundredth (MobileNet's: a thousandth) is made for long training and would leave them behind in a short
    fine-tuning. Random state is left as it was.

    Args:
        model: functional or sequential.
        seed: of the copy's dropout masks.
    """
    with seeded(seed):
        copy = keras.models.clone_model(model, clone_function=_freezable, recursive=True)
    copy.set_weights(model.get_weights())
    for new, old in zip(layers_of(copy), layers_of(model), strict=True):
        new.trainable = old.trainable
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()  # it computes with its weights only from then on
    return copy


def _freezable(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A fresh layer with this layer's settings."""
    config = layer.get_config()
    if type(layer) is keras.layers.BatchNormalization:
        momentum = min(config["momentum"], _MOMENTUM)
        return FreezableBatchNormalization.from_config({**config, "momentum": momentum})
    return type(layer).from_config(config)
