"""Weight matrices as products of two thin ones: fewer numbers, fewer multiplications."""

import keras
import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.cloning import copy_with


def factorise(model: keras.Model, share: float) -> keras.Model:
    """A copy in which dense layers and convolutions are two of low rank each; see the PyTorch twin.

    Args:
        model: functional or sequential; left as it is. Its last dense layer or convolution, the head, is kept.
        share: of the full rank that is kept, above 0 up to 1. Layers where that would save nothing stay; with 1 all
            are replaced, and the outputs are the model's to rounding.

    Raises:
        BadInput: share out of range.
    """
    if not 0 < share <= 1:
        raise BadInput(_("share above 0, up to 1"), str(share), _("0.25 keeps a quarter of the singular values"))
    names = [layer.name for layer in model.layers if _is_matrix(layer)][:-1]
    ranks = {name: rank for name in names if (rank := _rank(model.get_layer(name), share)) is not None}

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        return _pair(layer, ranks[layer.name]) if layer.name in ranks else None

    copy, pairs = copy_with(model, replaced)
    for old, new in pairs:
        kernel, *bias = old.get_weights()
        left, values, right = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), full_matrices=False)
        rank = ranks[old.name]
        root = np.sqrt(values[:rank])
        first, second = left[:, :rank] * root, root[:, None] * right[:rank]  # (D_in, r), (r, D_out)
        shapes = [weight.shape for weight in new.weights[:2]]
        new.set_weights([first.reshape(shapes[0]), second.reshape(shapes[1]), *bias])
    return copy


def _is_matrix(layer: keras.layers.Layer) -> bool:
    return type(layer) is keras.layers.Dense or (type(layer) is keras.layers.Conv2D and layer.groups == 1)


def _rank(layer: keras.layers.Layer, share: float) -> int | None:
    """The rank to keep; None where two factors would have no fewer numbers."""
    outputs = layer.kernel.shape[-1]
    inputs = int(np.prod(layer.kernel.shape[:-1]))
    rank = max(1, round(share * min(inputs, outputs)))
    return rank if share == 1 or rank * (inputs + outputs) < inputs * outputs else None


def _pair(layer: keras.layers.Layer, rank: int) -> keras.Sequential:
    """Two layers in place of one; of a convolution the first keeps size, stride and padding, the second is 1x1."""
    config = layer.get_config()
    size = "filters" if isinstance(layer, keras.layers.Conv2D) else "units"
    plain = {"use_bias": False, "activation": "linear", "name": "first"}
    first = type(layer).from_config({**config, size: rank, **plain})
    kept = {name: config[name] for name in ("use_bias", "activation")}
    if isinstance(layer, keras.layers.Conv2D):
        second: keras.layers.Layer = keras.layers.Conv2D(config[size], 1, name="second", **kept)
    else:
        second = keras.layers.Dense(config[size], name="second", **kept)
    return keras.Sequential([first, second], name=layer.name)
