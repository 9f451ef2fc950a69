"""The code of the question on the focal loss: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""The binary focal loss (Lin et al., 2017), averaged over all entries.

    With p the probability that the sigmoid of the logit gives to the right answer, an entry's loss is
    -a * (1 - p) ** gamma * log(p); a is alpha where the target is 1 and 1 - alpha where it is 0.

    Args:
        logits: any finite numbers, float, any shape; 10,000 and -10,000 are among them. Not modified.
        targets: 0 or 1, integer, of the same shape. Not modified.
        alpha: between 0 and 1.
        gamma: at least 0; 0 and 0.5 are among them.

    Returns:
        The mean, RESULT.
    """'''

NUMPY = f"""
import numpy as np


def focal_loss(logits: np.ndarray, targets: np.ndarray, alpha: float = 0.25, gamma: float = 2.0) -> float:
    {DOCSTRING.replace("RESULT", "a finite number")}
    positive = targets == 1
    margin = np.where(positive, logits, -logits)  # the right answer's logit
    balance = np.where(positive, alpha, 1 - alpha)
    log_p = -np.logaddexp(0, -margin)
    log_rest = -np.logaddexp(0, margin)  # log(1 - p)
    return -np.mean(balance * np.exp(gamma * log_rest) * log_p)
"""

NUMPY_LOG1P = """
import numpy as np


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    margin = logits * (2 * targets - 1)
    small = np.exp(-np.abs(margin))
    cross_entropy = np.maximum(-margin, 0) + np.log1p(small)
    rest = np.where(margin > 0, small, 1) / (1 + small)
    return ((alpha * targets + (1 - alpha) * (1 - targets)) * rest**gamma * cross_entropy).mean()
"""

NUMPY_LOOP = """
import math

import numpy as np


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    losses = []
    for logit, target in zip(np.ravel(logits).tolist(), np.ravel(targets).tolist()):
        z, share = (logit, alpha) if target else (-logit, 1 - alpha)
        small = math.exp(-abs(z))
        if z < 0:
            losses.append(share * (1 / (1 + small)) ** gamma * (math.log1p(small) - z))
        else:
            losses.append(share * (small / (1 + small)) ** gamma * math.log1p(small))
    return sum(losses) / len(losses)
"""

PYTORCH = f"""
import torch
from torch.nn import functional


def focal_loss(logits: torch.Tensor, targets: torch.Tensor, alpha: float = 0.25, gamma: float = 2.0) -> torch.Tensor:
    {DOCSTRING.replace("RESULT", "shape (); it and its gradient with respect to the logits are finite")}
    positive = targets == 1
    margin = torch.where(positive, logits, -logits)  # the right answer's logit
    balance = torch.where(positive, alpha, 1 - alpha)
    log_p = functional.logsigmoid(margin)
    log_rest = functional.logsigmoid(-margin)  # log(1 - p)
    return -torch.mean(balance * torch.exp(gamma * log_rest) * log_p)
"""

PYTORCH_BCE = """
import torch
from torch.nn import functional


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    target = targets.to(logits.dtype)
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    rest = (-gamma * functional.softplus(logits * (2 * target - 1))).exp()
    return ((alpha * target + (1 - alpha) * (1 - target)) * rest * cross_entropy).mean()
"""

PYTORCH_PARTS = """
import torch


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    def total(margin):
        both = torch.stack([margin, torch.zeros_like(margin)])
        log_p, log_rest = torch.log_softmax(both, dim=0)
        return -((gamma * log_rest).exp() * log_p).sum()

    flat, positive = logits.flatten(), targets.flatten().bool()
    return (alpha * total(flat[positive]) + (1 - alpha) * total(-flat[~positive])) / flat.numel()
"""

KERAS = f"""
from keras import ops


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    {DOCSTRING.replace("RESULT", "shape (); it and its gradient with respect to the logits are finite")}
    positive = targets == 1
    margin = ops.where(positive, logits, -logits)  # the right answer's logit
    balance = ops.where(positive, alpha, 1 - alpha)
    log_p = ops.log_sigmoid(margin)
    log_rest = ops.log_sigmoid(-margin)  # log(1 - p)
    return -ops.mean(balance * ops.exp(gamma * log_rest) * log_p)
"""

KERAS_SOFTPLUS = """
from keras import ops


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    target = ops.cast(targets, logits.dtype)
    margin = logits * (2 * target - 1)
    losses = ops.softplus(-margin) * ops.exp(-gamma * ops.softplus(margin))
    return ops.mean((alpha * target + (1 - alpha) * (1 - target)) * losses)
"""

KERAS_TENSORFLOW = """
import tensorflow as tf


def focal_loss(logits, targets, alpha=0.25, gamma=2.0):
    target = tf.cast(targets, logits.dtype)
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
    other = tf.nn.sigmoid_cross_entropy_with_logits(labels=1 - target, logits=logits)
    losses = tf.where(target > 0.5, alpha, 1 - alpha) * tf.exp(-gamma * other) * cross_entropy
    return tf.reduce_sum(losses) / tf.cast(tf.size(logits), losses.dtype)
"""

MESSAGES = {
    "log-of-sigmoid": _(
        "the logarithm is taken of a finished probability, which is 0 for a logit that is very wrong: an infinite loss"
    ),
    "clipped": _(
        "clipped probabilities keep the loss finite and wrong: a very wrong logit costs too little, and no gradient "
        "reaches it"
    ),
    "alpha-swapped": _("alpha weights the zeros and 1 - alpha the ones"),
    "alpha-for-all": _("all entries are weighted with alpha; what of those whose target is 0?"),
    "focuses-on-easy": _("the factor grows with the probability: easy examples count most"),
    "no-factor": _("the factor that makes easy examples count less is missing: this is weighted cross-entropy"),
    "gamma-as-factor": _("gamma multiplies where it should be a power"),
    "positives-only": _("entries whose target is 0 add nothing to the loss"),
    "sums": _("the losses are added up, not averaged"),
    "power-of-rounded": _(
        "the factor is a power of 1 - p: where p has rounded to 1, a power below 1 has an infinite slope, and the "
        "gradient is NaN"
    ),
    "in-place": _("the logits you were given are overwritten"),
}
FACTOR, BALANCE, POSITIVE = "exp(gamma * log_rest)", "where(positive, alpha, 1 - alpha)", "positive, logits, -logits)"


def mistakes(framework: str) -> dict[str, Mistake]:
    """The named wrong answers in a framework."""
    module = {"numpy": "np", "pytorch": "torch", "keras": "ops"}[framework]
    log_p = {
        "numpy": "-np.logaddexp(0, -margin)",
        "pytorch": "functional.logsigmoid(margin)",
        "keras": "ops.log_sigmoid(margin)",
    }[framework]
    sigmoid = "(1 / (1 + np.exp(-margin)))" if framework == "numpy" else f"{module}.sigmoid(margin)"
    clip = "clamp" if framework == "pytorch" else "clip"
    return_ = f"return -{module}.mean(balance * {module}.{FACTOR} * log_p)"
    edits = {
        "log-of-sigmoid": ((log_p, f"{module}.log({sigmoid})"),),
        "clipped": ((log_p, f"{module}.log({module}.{clip}({sigmoid}, 1e-7, 1 - 1e-7))"),),
        "alpha-swapped": ((BALANCE, "where(positive, 1 - alpha, alpha)"),),
        "alpha-for-all": ((f"{module}.{BALANCE}", "alpha"),),
        "focuses-on-easy": ((FACTOR, "exp(gamma * log_p)"),),
        "no-factor": ((f"{module}.{FACTOR} * ", ""),),
        "gamma-as-factor": ((f"{module}.{FACTOR}", f"gamma * {module}.exp(log_rest)"),),
        "positives-only": ((BALANCE, "where(positive, alpha, 0.0)"),),
        "sums": ((f"-{module}.mean", f"-{module}.sum"),),
    }
    if framework == "numpy":
        write = "    logits *= np.where(positive, 1, -1)\n    margin = logits\n"
        edits["in-place"] = ((f"    margin = np.where({POSITIVE}  # the right answer's logit\n", write),)
    else:
        edits["power-of-rounded"] = ((f"{module}.{FACTOR}", f"(1 - {module}.exp(log_p)) ** gamma"),)
    found = {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
    if framework == "keras":
        found["library"] = Mistake(
            MESSAGES["clipped"],
            (
                (
                    return_,
                    "import keras\n\n    loss = keras.losses.BinaryFocalCrossentropy(True, alpha, gamma, True)\n"
                    "    return loss(ops.reshape(targets, (-1,)), ops.reshape(logits, (-1,)))",
                ),
            ),
        )
    return found


EQUIVALENT: dict[str, str] = dict.fromkeys(
    ("log_p = -np.logaddexp(-margin, 0)", "log_rest = -np.logaddexp(margin, 0)"), "logaddexp is symmetric"
)
