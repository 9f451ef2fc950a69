"""The code of the exercise on a Transformer block: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''    """One block of a Transformer encoder. The given functions keep the shape (N, L, D).

    Args:
        x: token vectors, float, shape (N, L, D); not modified.
        attend: self-attention over the tokens of each text.
        feed_forward: the network that works on each token by itself.
        norm_1: layer normalisation that belongs to `attend`.
        norm_2: layer normalisation that belongs to `feed_forward`.
        dropout: applied to what `attend` and `feed_forward` give, before it is added.
        pre_norm: False: each sum is normalised, as in BERT and Vaswani et al. (2017). True: the input of `attend` and
            of `feed_forward` is normalised and the sums are not, as in GPT-2 and ViT.

    Returns:
        Token vectors, shape (N, L, D).
    """
'''
BODY = """    if pre_norm:
        x = x + dropout(attend(norm_1(x)))
        return x + dropout(feed_forward(norm_2(x)))
    x = norm_1(x + dropout(attend(x)))
    return norm_2(x + dropout(feed_forward(x)))
"""

PYTORCH = (
    """
from collections.abc import Callable

import torch


def encoder_block(
    x: torch.Tensor,
    attend: Callable,
    feed_forward: Callable,
    norm_1: Callable,
    norm_2: Callable,
    dropout: Callable,
    pre_norm: bool,
) -> torch.Tensor:
"""
    + DOCSTRING
    + BODY
)

PYTORCH_LOOP = """
def encoder_block(x, attend, feed_forward, norm_1, norm_2, dropout, pre_norm):
    for layer, norm in ((attend, norm_1), (feed_forward, norm_2)):
        given = norm(x) if pre_norm else x
        total = x.add(dropout(layer(given)))
        x = total if pre_norm else norm(total)
    return x
"""

PYTORCH_MODULE = """
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, layer, norm, dropout, pre_norm):
        super().__init__()
        self.layer, self.norm, self.dropout, self.pre_norm = layer, norm, dropout, pre_norm

    def forward(self, x):
        if self.pre_norm:
            return torch.add(x, self.dropout(self.layer(self.norm(x))))
        return self.norm(torch.add(x, self.dropout(self.layer(x))))


def encoder_block(x, attend, feed_forward, norm_1, norm_2, dropout, pre_norm):
    blocks = [Residual(attend, norm_1, dropout, pre_norm), Residual(feed_forward, norm_2, dropout, pre_norm)]
    return nn.Sequential(*blocks)(x)
"""

KERAS = (
    """
from collections.abc import Callable


def encoder_block(
    x, attend: Callable, feed_forward: Callable, norm_1: Callable, norm_2: Callable, dropout: Callable, pre_norm: bool
):
"""
    + DOCSTRING
    + BODY
)

KERAS_LOOP = """
from keras import ops


def encoder_block(x, attend, feed_forward, norm_1, norm_2, dropout, pre_norm):
    for layer, norm in zip((attend, feed_forward), (norm_1, norm_2)):
        before, after = (norm, ops.copy) if pre_norm else (ops.copy, norm)
        x = after(ops.add(x, dropout(layer(before(x)))))
    return x
"""

KERAS_LAYER = """
import keras


class Residual(keras.layers.Layer):
    def __init__(self, layer, norm, dropout, pre_norm):
        super().__init__()
        self.parts = [layer, dropout]
        self.norm, self.pre_norm = norm, pre_norm

    def call(self, x):
        update = self.norm(x) if self.pre_norm else x
        for part in self.parts:
            update = part(update)
        return x + update if self.pre_norm else self.norm(x + update)


def encoder_block(x, attend, feed_forward, norm_1, norm_2, dropout, pre_norm):
    x = Residual(attend, norm_1, dropout, pre_norm)(x)
    return Residual(feed_forward, norm_2, dropout, pre_norm)(x)
"""

FIRST_PRE, SECOND_PRE, FIRST_POST, SECOND_POST = (line.strip() for line in BODY.splitlines()[1:])
MESSAGES = {
    "no-residual": _("nothing is added: what a layer gives replaces its input instead of correcting it"),
    "normed-stream": _(
        "in pre-norm, the normalised vectors take the place of the stream; only the layer's input should be normalised"
    ),
    "always-post": _("pre_norm changes nothing: each sum is normalised in both cases"),
    "swapped": _("the two orders are swapped"),
    "norm-of-update": _("in post-norm, only what is added gets normalised; it should be the sum"),
    "one-norm": _("the first normalisation is used twice; each layer has its own"),
    "from-the-start": _("the second sum adds to the block's input, so the effect of attention is lost on the way"),
    "parallel": _("attention and feed-forward both get the block's input; the second should see what the first gave"),
    "dropout-on-sum": _("dropout is applied to the sum: it also drops what should pass by unharmed"),
    "no-dropout": _("dropout is never applied"),
    "in-place": _("the caller's own tensor is changed: += adds to it in place"),
}
COMMON = {
    "no-residual": (
        (FIRST_PRE, "x = dropout(attend(norm_1(x)))"),
        (SECOND_PRE, "return dropout(feed_forward(norm_2(x)))"),
        (FIRST_POST, "x = norm_1(dropout(attend(x)))"),
        (SECOND_POST, "return norm_2(dropout(feed_forward(x)))"),
    ),
    "normed-stream": (
        (FIRST_PRE, "x = norm_1(x)\n        x = x + dropout(attend(x))\n        x = norm_2(x)"),
        (SECOND_PRE, "return x + dropout(feed_forward(x))"),
    ),
    "always-post": (("if pre_norm:", "if False:"),),
    "swapped": (("if pre_norm:", "if not pre_norm:"),),
    "norm-of-update": (
        (FIRST_POST, "x = x + norm_1(dropout(attend(x)))"),
        (SECOND_POST, "return x + norm_2(dropout(feed_forward(x)))"),
    ),
    "one-norm": (
        (SECOND_PRE, SECOND_PRE.replace("norm_2", "norm_1")),
        (SECOND_POST, SECOND_POST.replace("norm_2", "norm_1")),
    ),
    "from-the-start": (
        (FIRST_PRE, "start, x = x, x + dropout(attend(norm_1(x)))"),
        (SECOND_PRE, SECOND_PRE.replace("x + ", "start + ")),
        (FIRST_POST, "start, x = x, norm_1(x + dropout(attend(x)))"),
        (SECOND_POST, SECOND_POST.replace("x + ", "start + ")),
    ),
    "parallel": (
        (FIRST_PRE, "start, x = x, x + dropout(attend(norm_1(x)))"),
        (SECOND_PRE, SECOND_PRE.replace("norm_2(x)", "norm_2(start)")),
        (FIRST_POST, "start, x = x, norm_1(x + dropout(attend(x)))"),
        (SECOND_POST, SECOND_POST.replace("feed_forward(x)", "feed_forward(start)")),
    ),
    "dropout-on-sum": (
        (FIRST_PRE, "x = dropout(x + attend(norm_1(x)))"),
        (SECOND_PRE, "return dropout(x + feed_forward(norm_2(x)))"),
        (FIRST_POST, "x = norm_1(dropout(x + attend(x)))"),
        (SECOND_POST, "return norm_2(dropout(x + feed_forward(x)))"),
    ),
    "no-dropout": tuple(
        (line, line.replace("dropout(", "(")) for line in (FIRST_PRE, SECOND_PRE, FIRST_POST, SECOND_POST)
    ),
}
IN_PLACE = {
    "in-place": (
        (FIRST_PRE, "x += dropout(attend(norm_1(x)))"),
        (FIRST_POST, "x += dropout(attend(x))\n    x = norm_1(x)"),
    )
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference; Keras's tensors cannot be changed in place."""
    edits = COMMON | (IN_PLACE if framework == "pytorch" else {})
    return {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
