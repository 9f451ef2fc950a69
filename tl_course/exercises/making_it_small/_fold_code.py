"""The code of the exercise on folding BatchNorm: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import copy

import torch
from torch import nn


def fold_batchnorm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Fold a BatchNorm into the convolution before it: one layer that computes norm(conv(x)) of inference mode.

    Args:
        conv: the convolution, C channels to F, with or without a bias; left as it is.
        norm: the BatchNorm on its F output channels, with scale, shift and running statistics; left as it is.

    Returns:
        A new convolution with a bias and the same stride, padding, dilation and groups.
    """
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # (F,)
    bias = 0 if conv.bias is None else conv.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(conv.weight * scale[:, None, None, None])
    folded.bias = nn.Parameter(norm.bias + (bias - norm.running_mean) * scale)
    return folded
'''

PYTORCH_LIBRARY = """
from copy import deepcopy

from torch.nn.utils import fuse_conv_bn_eval


def fold_batchnorm(conv, norm):
    conv, norm = deepcopy(conv), deepcopy(norm)
    return fuse_conv_bn_eval(conv.train(False), norm.train(False))
"""

PYTORCH_PROBED = """
import copy

import torch
from torch import nn


@torch.no_grad()
def fold_batchnorm(conv, norm):
    # an affine map is known by what it makes of zero and of one
    still = copy.deepcopy(norm).eval()
    count = conv.out_channels
    zero = torch.zeros(1, count, 1, 1)
    shift = still(zero).reshape(count)
    factor = still(zero + 1).reshape(count) - shift
    folded = nn.Conv2d(
        conv.in_channels, count, conv.kernel_size, stride=conv.stride, padding=conv.padding,
        dilation=conv.dilation, groups=conv.groups, bias=True,
    )
    folded.weight.copy_(torch.einsum("fchw,f->fchw", conv.weight, factor))
    folded.bias.copy_(shift)
    if conv.bias is not None:
        folded.bias.add_(conv.bias * factor)
    return folded
"""

KERAS = '''
import keras
from keras import ops


def fold_batchnorm(conv: keras.layers.Conv2D, norm: keras.layers.BatchNormalization) -> keras.layers.Conv2D:
    """Fold a BatchNorm into the convolution before it: one layer that computes norm(conv(x)) of inference mode.

    Args:
        conv: the convolution, built, C channels to F, linear, with or without a bias; left as it is.
        norm: the BatchNorm on its F output channels, with scale, shift and moving statistics; left as it is.

    Returns:
        A new convolution, built, with a bias and the same strides, padding, dilation and groups.
    """
    scale = norm.gamma / ops.sqrt(norm.moving_variance + norm.epsilon)  # (F,)
    bias = conv.bias if conv.use_bias else 0
    folded = keras.layers.Conv2D.from_config({**conv.get_config(), "use_bias": True})
    folded.build((None, None, None, conv.kernel.shape[2]))
    folded.set_weights([conv.kernel * scale, norm.beta + (bias - norm.moving_mean) * scale])
    return folded
'''

KERAS_NUMPY = """
import keras
import numpy as np


def fold_batchnorm(conv, norm):
    kernel, *bias = conv.get_weights()
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma * (variance + norm.epsilon) ** -0.5
    folded = keras.layers.Conv2D(
        conv.filters, conv.kernel_size, strides=conv.strides, padding=conv.padding,
        dilation_rate=conv.dilation_rate, groups=conv.groups,
    )
    folded.build((None, 9, 9, kernel.shape[2] * conv.groups))
    shift = beta - mean * factor
    if bias:
        shift = shift + bias[0] * factor
    folded.set_weights([np.einsum("hwcf,f->hwcf", kernel, factor), shift])
    return folded
"""

KERAS_PROBED = """
import keras
from keras import ops


def fold_batchnorm(conv, norm):
    # an affine map is known by what it makes of zero and of one
    zero = ops.zeros((1, 1, 1, conv.filters))
    shift = norm(zero, training=False)
    factor = norm(zero + 1.0, training=False) - shift
    config = conv.get_config()
    config.update(use_bias=True, name="folded")
    folded = keras.layers.Conv2D(**config)
    folded.build([None, None, None, conv.kernel.shape[-2]])
    folded.kernel.assign(conv.kernel * factor)
    folded.bias.assign(ops.reshape(shift, (-1,)))
    if conv.bias is not None:
        folded.bias.assign_add(ops.reshape(factor, (-1,)) * conv.bias)
    return folded
"""

MESSAGES = {
    "no-epsilon": _("the small number under BatchNorm's root is left out: channels that hardly vary come out wrong"),
    "epsilon-outside": _("BatchNorm adds its small number to the variance, before the root is taken"),
    "no-root": _("the weights are divided by the variance instead of the standard deviation"),
    "no-gamma": _("BatchNorm's learned scale is left out"),
    "bias-lost": _("the convolution's own bias has disappeared"),
    "bias-unscaled": _("the convolution's own bias goes through BatchNorm as well: it is not only added"),
    "mean-unscaled": _("the running mean is taken away after the scaling; BatchNorm takes it away before"),
    "shift-lost": _("BatchNorm's learned shift has disappeared"),
    "in-place": _("the given convolution itself was changed: whoever still uses it now gets something else"),
    "stride-lost": _("the new convolution has the right weights and forgets how the old one moved over the image"),
}
SCALE, TORCH_BIAS = "norm.weight / torch.sqrt(norm.running_var + norm.eps)", "0 if conv.bias is None else conv.bias"
TORCH_SHIFT = "norm.bias + (bias - norm.running_mean) * scale"
TORCH_EDITS = {
    "no-epsilon": ((" + norm.eps", ""),),
    "epsilon-outside": ((SCALE, "norm.weight / (torch.sqrt(norm.running_var) + norm.eps)"),),
    "no-root": ((SCALE, "norm.weight / (norm.running_var + norm.eps)"),),
    "no-gamma": ((SCALE, "1 / torch.sqrt(norm.running_var + norm.eps)"),),
    "bias-lost": ((TORCH_BIAS, "0"),),
    "bias-unscaled": ((TORCH_SHIFT, "norm.bias + bias - norm.running_mean * scale"),),
    "mean-unscaled": ((TORCH_SHIFT, "norm.bias + bias * scale - norm.running_mean"),),
    "shift-lost": ((TORCH_SHIFT, "(bias - norm.running_mean) * scale"),),
    "in-place": (("copy.deepcopy(conv)", "conv"),),
    "stride-lost": (
        (
            "copy.deepcopy(conv)",
            "nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding)",
        ),
    ),
}
KERAS_SCALE = "norm.gamma / ops.sqrt(norm.moving_variance + norm.epsilon)"
KERAS_SHIFT = "norm.beta + (bias - norm.moving_mean) * scale"
KERAS_NEW = 'keras.layers.Conv2D.from_config({**conv.get_config(), "use_bias": True})'
KERAS_EDITS = {
    "no-epsilon": ((" + norm.epsilon", ""),),
    "epsilon-outside": ((KERAS_SCALE, "norm.gamma / (ops.sqrt(norm.moving_variance) + norm.epsilon)"),),
    "no-root": ((KERAS_SCALE, "norm.gamma / (norm.moving_variance + norm.epsilon)"),),
    "no-gamma": ((KERAS_SCALE, "1 / ops.sqrt(norm.moving_variance + norm.epsilon)"),),
    "bias-lost": (("conv.bias if conv.use_bias else 0", "0"),),
    "bias-unscaled": ((KERAS_SHIFT, "norm.beta + bias - norm.moving_mean * scale"),),
    "mean-unscaled": ((KERAS_SHIFT, "norm.beta + bias * scale - norm.moving_mean"),),
    "shift-lost": ((KERAS_SHIFT, "(bias - norm.moving_mean) * scale"),),
    "in-place": (("    return folded", "    conv.kernel.assign(folded.kernel)\n    return folded"),),
    "stride-lost": ((KERAS_NEW, "keras.layers.Conv2D(conv.filters, conv.kernel_size, padding=conv.padding)"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
