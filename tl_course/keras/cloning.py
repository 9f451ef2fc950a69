"""A copy of a Keras model in which some layers are others; the outputs follow from the weights these are given."""

from collections.abc import Callable

import keras
from keras.layers import Layer

from tl_course.keras.batchnorm import layers_of, seeded


def copy_with(
    model: keras.Model, replaced: Callable[[Layer], Layer | None]
) -> tuple[keras.Model, list[tuple[Layer, Layer]]]:
    """The copy, and the pairs of a layer and what stands in its place, whose weights are still to be set.

    Args:
        model: functional or sequential; left as it is. All other layers get its weights.
        replaced: a layer -> the new one, or None to copy it.
    """
    pairs: list[tuple[Layer, Layer]] = []
    copied: list[tuple[Layer, Layer]] = []

    def clone(layer: Layer) -> Layer:
        new = replaced(layer)
        if new is not None:
            pairs.append((layer, new))
            return new
        same = type(layer).from_config(layer.get_config())
        copied.append((layer, same))
        return same

    with seeded(0):
        copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for old, new in copied:
        new.set_weights(old.get_weights())
        new.trainable = old.trainable
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()  # it computes with its weights only from then on
    return copy, pairs


def producers(model: keras.Model) -> dict[str, Layer]:
    """Names of layers that alone read another layer's output -> that layer."""
    layers = [layer for layer in layers_of(model) if not isinstance(layer, keras.layers.InputLayer)]
    readers: dict[int, list[Layer]] = {}
    for layer in layers:
        for tensor in keras.tree.flatten(layer.input):
            readers.setdefault(id(tensor), []).append(layer)
    found = {}
    for layer in layers:
        read_by = readers.get(id(layer.output), [])
        if len(read_by) == 1:
            found[read_by[0].name] = layer
    return found
