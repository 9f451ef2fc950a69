"""Weights set to zero and kept there. Zeros make no file smaller and nothing faster; see the PyTorch twin."""

from typing import Any

import keras
import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.batchnorm import layers_of


class ZeroMask(keras.constraints.Constraint):
    """What the optimizer applies after every step: weights outside the mask are zero again.

    Args:
        mask: 1 where a weight may be anything, 0 where it stays zero; of the kernel's shape.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask

    def __call__(self, w: Any) -> Any:
        return w * keras.ops.cast(self.mask, w.dtype)


def magnitude_prune(model: keras.Model, share: float) -> None:
    """Set the smallest weights of all convolutions and dense layers to zero, and keep them there (Han et al., 2015).

    The weights are compared over the whole model. Each kernel gets a `ZeroMask` as its constraint, which Keras's
    optimizers apply after every step; `make_permanent` takes them off.

    Args:
        model: changed.
        share: of the weights that are zero afterwards, from 0 to below 1.

    Raises:
        BadInput: share out of range, or a model without convolution and dense layer.
    """
    if not 0 <= share < 1:
        raise BadInput(_("share from 0 to below 1"), str(share), _("0.5 takes half"))
    kernels = _kernels(model)
    if not kernels:
        raise BadInput(_("a model with convolutions or dense layers"), model.name, _("pass classifier.model"))
    sizes = np.concatenate([np.abs(np.asarray(kernel)).ravel() for kernel in kernels])
    count = round(share * len(sizes))
    threshold = np.partition(sizes, count - 1)[count - 1] if count else -1.0
    for kernel in kernels:
        mask = np.abs(np.asarray(kernel)) > threshold
        kernel.constraint = ZeroMask(mask.astype(np.float32))
        kernel.assign(np.asarray(kernel) * mask)


def make_permanent(model: keras.Model) -> None:
    """Take the masks off; the zeros stay until something is trained again."""
    for kernel in _kernels(model):
        if isinstance(kernel.constraint, ZeroMask):
            kernel.constraint = None


def sparsity(model: keras.Model) -> float:
    """Share of zeros among the weights of convolutions and dense layers, from 0 to 1."""
    kernels = [np.asarray(kernel) for kernel in _kernels(model)]
    return sum(int((kernel == 0).sum()) for kernel in kernels) / sum(kernel.size for kernel in kernels)


def _kernels(model: keras.Model) -> list[Any]:
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    return [layer.kernel for layer in layers_of(model) if isinstance(layer, kinds)]
