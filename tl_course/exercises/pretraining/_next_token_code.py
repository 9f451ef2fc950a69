"""The code of the exercise on the loss of a causal language model: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake, Probe, Variant
from tl_course.i18n import _

DOCSTRING = '''    """The loss of a causal language model: how well each token is predicted from those before it.

    Args:
        logits: float, shape (N, L, V); what the model says after reading positions 0 to t stands at position t.
        ids: the token ids the model read, integer, shape (N, L), L at least 2, padding on the right.
        attention_mask: 1 for a token, 0 for padding, integer, shape (N, L).

    Returns:
        Mean cross-entropy in nats over all tokens that have one before them, a scalar tensor that gradients flow
        through; padding is no token.
    """
'''

PYTORCH = (
    """
import torch
import torch.nn.functional as F


def causal_lm_loss(logits: torch.Tensor, ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
"""
    + DOCSTRING
    + """    guesses, answers, counted = logits[:, :-1], ids[:, 1:], attention_mask[:, 1:].bool()
    return F.cross_entropy(guesses[counted], answers[counted])
"""
)
PYTORCH_IGNORE = """
from torch import nn


def causal_lm_loss(logits, ids, attention_mask):
    labels = ids.masked_fill(attention_mask == 0, -100).roll(-1, dims=1)
    labels[:, -1] = -100
    return nn.CrossEntropyLoss()(logits.flatten(0, 1), labels.flatten())
"""
PYTORCH_LOOP = """
import torch


def causal_lm_loss(logits, ids, attention_mask):
    losses = []
    for text in range(len(ids)):
        log_p = torch.log_softmax(logits[text], dim=1)
        for place in range(1, int(attention_mask[text].sum())):
            losses.append(-log_p[place - 1, ids[text, place]])
    return torch.stack(losses).mean()
"""

KERAS = (
    """
import keras
from keras import ops


def causal_lm_loss(logits, ids, attention_mask):
"""
    + DOCSTRING
    + """    guesses, answers = logits[:, :-1], ids[:, 1:]
    losses = keras.losses.sparse_categorical_crossentropy(answers, guesses, from_logits=True)  # (N, L - 1)
    counted = ops.cast(attention_mask[:, 1:], losses.dtype)
    return ops.sum(losses * counted) / ops.sum(counted)
"""
)
KERAS_IGNORE = """
import keras
from keras import ops


def causal_lm_loss(logits, ids, attention_mask):
    labels = ops.where(ops.cast(attention_mask, "bool"), ids, -100)[:, 1:]
    keep = ops.cast(labels != -100, "float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-100, reduction="sum")
    return loss(labels, logits[:, :-1]) / ops.sum(keep)
"""
KERAS_SELECT = """
import tensorflow as tf


def causal_lm_loss(logits, ids, attention_mask):
    places = tf.where(attention_mask[:, 1:] == 1)
    log_p = tf.nn.log_softmax(tf.gather_nd(logits[:, :-1], places))
    right = tf.gather_nd(ids[:, 1:], places)
    return -tf.reduce_mean(tf.gather(log_p, right, batch_dims=1))
"""

MESSAGES = {
    "no-shift": _("each position is asked for the token that it has just read, and repeating it is enough"),
    "previous": _("each position is asked for the token before it, which it has seen as well"),
    "two-ahead": _("each position is asked for the token after the next one"),
    "flattened-first": _(
        "the batch is flattened before it is shifted, so the end of a text is asked for the beginning of the next one"
    ),
    "padding-counted": _("predictions of padding count: the model learns that texts go on with padding"),
    "mask-of-guess": _(
        "a prediction counts where its last token read is real, so the one of the first padding counts too; what "
        "matters is whether the token to be predicted is real"
    ),
    "divided-by-all": _("padding is left out of the sum but still counted in what the sum is divided by"),
    "summed": _("the losses are added up, so longer texts weigh more and the loss grows with the batch"),
    "mean-of-texts": _(
        "the mean of each text is averaged: a token of a short text weighs more than one of a long text"
    ),
}
SHIFTED = {
    "pytorch": "logits[:, :-1], ids[:, 1:], attention_mask[:, 1:].bool()",
    "keras": "logits[:, :-1], ids[:, 1:]",
}
TAIL = {
    "pytorch": "return F.cross_entropy(guesses[counted], answers[counted])",
    "keras": "return ops.sum(losses * counted) / ops.sum(counted)",
}
EACH = 'losses = F.cross_entropy(guesses.transpose(1, 2), answers, reduction="none") * counted\n    '


def _wrong(framework: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Edits of the reference."""
    shifted, tail = SHIFTED[framework], TAIL[framework]
    if framework == "pytorch":
        return {
            "no-shift": ((shifted, "logits, ids, attention_mask.bool()"),),
            "previous": ((shifted, "logits[:, 1:], ids[:, :-1], attention_mask[:, 1:].bool()"),),
            "two-ahead": ((shifted, "logits[:, :-2], ids[:, 2:], attention_mask[:, 2:].bool()"),),
            "flattened-first": (
                (shifted, "logits.flatten(0, 1)[:-1], ids.flatten()[1:], attention_mask.flatten()[1:].bool()"),
            ),
            "padding-counted": ((tail, "return F.cross_entropy(guesses.transpose(1, 2), answers)"),),
            "mask-of-guess": (("attention_mask[:, 1:]", "attention_mask[:, :-1]"),),
            "divided-by-all": ((tail, EACH + "return losses.mean()"),),
            "summed": ((tail, EACH + "return losses.sum()"),),
            "mean-of-texts": ((tail, EACH + "return (losses.sum(dim=1) / counted.sum(dim=1)).mean()"),),
        }
    mask = "attention_mask[:, 1:]"
    return {
        "no-shift": ((shifted, "logits, ids"), (mask, "attention_mask")),
        "previous": ((shifted, "logits[:, 1:], ids[:, :-1]"),),
        "two-ahead": ((shifted, "logits[:, :-2], ids[:, 2:]"), (mask, "attention_mask[:, 2:]")),
        "flattened-first": (
            (shifted, "ops.reshape(logits, (-1, logits.shape[-1]))[:-1], ops.reshape(ids, (-1,))[1:]"),
            (mask, "ops.reshape(attention_mask, (-1,))[1:]"),
        ),
        "padding-counted": ((tail, "return ops.mean(losses)"),),
        "mask-of-guess": ((mask, "attention_mask[:, :-1]"),),
        "divided-by-all": ((tail, "return ops.mean(losses * counted)"),),
        "summed": ((tail, "return ops.sum(losses * counted)"),),
        "mean-of-texts": ((tail, "return ops.mean(ops.sum(losses * counted, axis=1) / ops.sum(counted, axis=1))"),),
    }


ALTERNATIVES = {
    "pytorch": {"ignore index": PYTORCH_IGNORE, "loop": PYTORCH_LOOP},
    "keras": {"ignore class": KERAS_IGNORE, "select": KERAS_SELECT},
}


def variant(framework: str, probe: Probe) -> Variant:
    """A framework's variant; the starter does not shift."""
    reference = {"pytorch": PYTORCH, "keras": KERAS}[framework]
    mistakes = {name: Mistake(MESSAGES[name], edit) for name, edit in _wrong(framework).items()}
    starter = mistakes["no-shift"].code(reference)
    return Variant(reference, probe, ALTERNATIVES[framework], mistakes, starter)
