"""The code of the exercise on the loss of masked language modelling: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake, Probe, Variant
from tl_course.i18n import _

DOCSTRING = '''    """The loss of one step of masked language modelling: how well the hidden tokens are guessed.

    Args:
        model: gives logits, float, shape (N, L, V), for token ids (N, L).
        ids: token ids of the original text, integer, shape (N, L).
        chosen: True where a token is hidden, bool, shape (N, L).
        mask_id: the id of [MASK].

    Returns:
        Mean cross-entropy in nats, a scalar tensor that gradients flow through; 0 where no token is hidden.
    """
'''

PYTORCH = (
    """
from collections.abc import Callable

import torch
import torch.nn.functional as F


def guessing_loss(model: Callable, ids: torch.Tensor, chosen: torch.Tensor, mask_id: int) -> torch.Tensor:
"""
    + DOCSTRING
    + """    logits = model(ids.masked_fill(chosen, mask_id))  # (N, L, V)
    losses = F.cross_entropy(logits.transpose(1, 2), ids, reduction="none")  # (N, L)
    return (losses * chosen).sum() / chosen.sum().clamp(min=1)
"""
)
PYTORCH_SELECT = """
import torch


def guessing_loss(model, ids, chosen, mask_id):
    logits = model(torch.where(chosen, mask_id, ids))
    log_p = logits[chosen].log_softmax(dim=-1)
    right = log_p.gather(1, ids[chosen].unsqueeze(1))
    return -right.sum() / max(len(right), 1)
"""
PYTORCH_IGNORE = """
import torch
from torch import nn


def guessing_loss(model, ids, chosen, mask_id):
    inputs, labels = ids.clone(), ids.clone()
    inputs[chosen] = mask_id
    labels[~chosen] = -100
    logits = model(inputs)
    if not chosen.any():
        return logits.sum() * 0
    return nn.CrossEntropyLoss()(logits.flatten(0, 1), labels.flatten())
"""

KERAS = (
    """
from collections.abc import Callable

import keras
from keras import ops


def guessing_loss(model: Callable, ids, chosen, mask_id: int):
"""
    + DOCSTRING
    + """    logits = model(ops.where(chosen, mask_id, ids))  # (N, L, V)
    losses = keras.losses.sparse_categorical_crossentropy(ids, logits, from_logits=True)  # (N, L)
    hidden = ops.cast(chosen, losses.dtype)
    return ops.sum(losses * hidden) / ops.maximum(ops.sum(hidden), 1)
"""
)
KERAS_SELECT = """
import tensorflow as tf


def guessing_loss(model, ids, chosen, mask_id):
    logits = model(tf.where(chosen, tf.cast(mask_id, ids.dtype), ids))
    picked = tf.boolean_mask(logits, chosen)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.boolean_mask(ids, chosen), picked)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), float(len(losses)))
"""
KERAS_ONE_HOT = """
from keras import ops


def guessing_loss(model, ids, chosen, mask_id):
    keep = ops.cast(chosen, ids.dtype)
    logits = model(ids * (1 - keep) + mask_id * keep)
    log_p = ops.log_softmax(logits)
    target = ops.one_hot(ids, logits.shape[-1]) * ops.expand_dims(ops.cast(chosen, "float32"), -1)
    return -ops.sum(target * log_p) / (ops.sum(target) + ops.cast(ops.sum(target) == 0, "float32"))
"""

MESSAGES = {
    "every-token": _("most of the loss comes from tokens that are not hidden: to get those right, copying is enough"),
    "hidden-left-out": _("the hidden tokens are left out of the loss and the visible ones count: the wrong way round"),
    "divided-by-all": _(
        "only hidden tokens count, but the sum is divided by the number of all, so the loss shrinks with the rate"
    ),
    "nothing-hidden": _("the model sees the very tokens that it is asked for"),
    "no-guard": _("a batch in which no token is hidden divides zero by zero"),
    "summed": _("the losses are added up, so the loss grows with the number of hidden tokens"),
    "all-hidden": _("every token is hidden from the model, so there is nothing to guess from"),
    "target-mask": _("the corrupted ids serve as labels too: the model is asked to predict [MASK]"),
}
WRONG = {
    "pytorch": {
        "every-token": (("(losses * chosen).sum() / chosen.sum().clamp(min=1)", "losses.mean()"),),
        "hidden-left-out": (("(losses * chosen).sum() / chosen", "(losses * ~chosen).sum() / (~chosen)"),),
        "divided-by-all": (("(losses * chosen).sum() / chosen.sum().clamp(min=1)", "(losses * chosen).mean()"),),
        "nothing-hidden": (("model(ids.masked_fill(chosen, mask_id))", "model(ids)"),),
        "no-guard": ((".clamp(min=1)", ""),),
        "summed": ((" / chosen.sum().clamp(min=1)", ""),),
        "all-hidden": (("ids.masked_fill(chosen, mask_id)", "torch.full_like(ids, mask_id)"),),
        "target-mask": (("logits.transpose(1, 2), ids,", "logits.transpose(1, 2), ids.masked_fill(chosen, mask_id),"),),
    },
    "keras": {
        "every-token": (
            ("ops.sum(losses * hidden) / ops.maximum(ops.sum(hidden), 1)", "ops.mean(losses)"),
            ("    hidden = ops.cast(chosen, losses.dtype)\n", ""),
        ),
        "hidden-left-out": (("ops.cast(chosen, losses.dtype)", "1 - ops.cast(chosen, losses.dtype)"),),
        "divided-by-all": (
            ("ops.sum(losses * hidden) / ops.maximum(ops.sum(hidden), 1)", "ops.mean(losses * hidden)"),
        ),
        "nothing-hidden": (("model(ops.where(chosen, mask_id, ids))", "model(ids)"),),
        "no-guard": (("ops.maximum(ops.sum(hidden), 1)", "ops.sum(hidden)"),),
        "summed": ((" / ops.maximum(ops.sum(hidden), 1)", ""),),
        "all-hidden": (("ops.where(chosen, mask_id, ids)", "ops.full_like(ids, mask_id)"),),
        "target-mask": (("crossentropy(ids, ", "crossentropy(ops.where(chosen, mask_id, ids), "),),
    },
}
ALTERNATIVES = {
    "pytorch": {"select": PYTORCH_SELECT, "ignore index": PYTORCH_IGNORE},
    "keras": {"select": KERAS_SELECT, "one-hot": KERAS_ONE_HOT},
}
EQUIVALENT = {
    "pytorch": {
        "losses = F.cross_entropy(logits.transpose(2, 1), ids, reduction='none')": "swapping two axes is symmetric"
    },
    "keras": {"return ops.sum(losses * hidden) / ops.maximum(1, ops.sum(hidden))": "the maximum is symmetric"},
}


def variant(framework: str, probe: Probe) -> Variant:
    """A framework's variant; the starter takes the mean over every token."""
    reference = {"pytorch": PYTORCH, "keras": KERAS}[framework]
    mistakes = {name: Mistake(MESSAGES[name], edit) for name, edit in WRONG[framework].items()}
    starter = mistakes["every-token"].code(reference)
    return Variant(reference, probe, ALTERNATIVES[framework], mistakes, starter, EQUIVALENT[framework])
