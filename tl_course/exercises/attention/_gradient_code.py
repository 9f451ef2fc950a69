"""The code of the exercise on gradient times input: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''    """How much each token speaks for a class: gradient times input, summed over a token's features.

    Args:
        classify: gives logits, float, shape (N, K), for embeddings (N, L, D); the texts do not influence each other.
        embeddings: the tokens' input embeddings, float, shape (N, L, D).
        target: the class that is asked about, one for each text, integer, shape (N,).

    Returns:
        One signed score per token, shape (N, L): positive where the token raises the logit of its text's class, as far
        as the slope tells.
    """
'''

PYTORCH = (
    """
from collections.abc import Callable

import torch


def token_scores(classify: Callable, embeddings: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
"""
    + DOCSTRING
    + """    inputs = embeddings.detach().requires_grad_()
    logits = classify(inputs)
    asked = logits.gather(1, target.unsqueeze(1))  # (N, 1)
    (slope,) = torch.autograd.grad(asked.sum(), inputs)
    return (slope * embeddings).sum(dim=-1)
"""
)
PYTORCH_FUNCTIONAL = """
import torch
from torch.func import grad


def token_scores(classify, embeddings, target):
    def asked(vectors):
        return classify(vectors)[torch.arange(len(target)), target].sum()

    return torch.einsum("nld,nld->nl", grad(asked)(embeddings), embeddings)
"""
PYTORCH_ONE_BY_ONE = """
import torch


def token_scores(classify, embeddings, target):
    scores = torch.zeros(embeddings.shape[:2])
    for text in range(len(embeddings)):
        slope = torch.autograd.functional.jacobian(lambda one: classify(one)[0, target[text]], embeddings[[text]])
        scores[text] = (slope[0] * embeddings[text]).sum(1)
    return scores
"""

KERAS = (
    """
from collections.abc import Callable

import tensorflow as tf
from keras import ops


def token_scores(classify: Callable, embeddings, target):
"""
    + DOCSTRING
    + """    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        logits = classify(embeddings)
        asked = ops.take_along_axis(logits, ops.expand_dims(target, 1), axis=1)  # (N, 1)
    slope = tape.gradient(asked, embeddings)
    return ops.sum(slope * embeddings, axis=-1)
"""
)
KERAS_JACOBIAN = """
import tensorflow as tf


def token_scores(classify, embeddings, target):
    embeddings = tf.Variable(embeddings)
    with tf.GradientTape() as tape:
        logits = classify(tf.convert_to_tensor(embeddings))
    slopes = tape.jacobian(logits, embeddings)  # (N, K, N, L, D)
    rows = [slopes[text, int(kind), text] for text, kind in enumerate(target)]
    return tf.einsum("nld,nld->nl", tf.stack(rows), embeddings)
"""
KERAS_ONE_HOT = """
import keras
import tensorflow as tf


def token_scores(classify, embeddings, target):
    vectors = tf.identity(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        logits = classify(vectors)
        total = tf.reduce_sum(logits * keras.ops.one_hot(target, logits.shape[1]))
    return tf.reduce_sum(tf.multiply(tape.gradient(total, vectors), vectors), axis=2)
"""

MESSAGES = {
    "gradient-only": _("that is the slope alone, added up over the features; it was to be multiplied by the embedding"),
    "gradient-norm": _("that is the length of the gradient: how much a token matters, but not in which direction"),
    "absolute": _("the sign is lost: a token that speaks against the class looks like one that speaks for it"),
    "probability": _("the slope of the probability is taken; it vanishes where the model is sure, so use the logit"),
    "loss": _(
        "the slope of the loss is taken: its sign is the other way round and it vanishes where the model is sure"
    ),
    "all-logits": _("the logits of all classes are added, so what speaks for one class cancels with the others"),
    "predicted": _("the scores explain the class that the model predicts, not the one that is asked about"),
    "mean": _("a token's products are averaged over its features; they should be added"),
    "first-target": _("the class of the first text is asked about in all of them"),
    "backward": _("the gradients of the weights are changed as well, and the next training step would use them"),
    "marks-input": _("the caller's own tensor is changed: it asks for gradients from now on"),
}
EDITS = {
    "pytorch": {
        "gradient-only": (("(slope * embeddings)", "slope"),),
        "gradient-norm": (("(slope * embeddings).sum(dim=-1)", "slope.norm(dim=-1)"),),
        "absolute": (("(slope * embeddings).sum(dim=-1)", "(slope * embeddings).sum(dim=-1).abs()"),),
        "probability": (("logits = classify(inputs)", "logits = classify(inputs).softmax(dim=1)"),),
        "loss": (("asked.sum()", "torch.nn.functional.cross_entropy(logits, target)"),),
        "all-logits": (("asked.sum()", "logits.sum()"),),
        "predicted": (("asked.sum()", "logits.max(dim=1).values.sum()"),),
        "mean": ((".sum(dim=-1)", ".mean(dim=-1)"),),
        "first-target": (("asked.sum()", "logits[:, target[0]].sum()"),),
        "backward": (
            ("(slope,) = torch.autograd.grad(asked.sum(), inputs)", "asked.sum().backward()\n    slope = inputs.grad"),
        ),
        "marks-input": (("embeddings.detach().requires_grad_()", "embeddings.requires_grad_()"),),
    },
    "keras": {
        "gradient-only": (("ops.sum(slope * embeddings,", "ops.sum(slope,"),),
        "gradient-norm": (("ops.sum(slope * embeddings, axis=-1)", "ops.norm(slope, axis=-1)"),),
        "absolute": (("ops.sum(slope * embeddings, axis=-1)", "ops.abs(ops.sum(slope * embeddings, axis=-1))"),),
        "probability": (("logits = classify(embeddings)", "logits = ops.softmax(classify(embeddings))"),),
        "loss": (
            (
                "        asked = ops.take_along_axis(logits, ops.expand_dims(target, 1), axis=1)",
                "        asked = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits) / len(target)",
            ),
        ),
        "all-logits": (("tape.gradient(asked,", "tape.gradient(logits,"),),
        "predicted": (("ops.expand_dims(target, 1)", "ops.expand_dims(ops.argmax(logits, axis=1), 1)"),),
        "mean": (("ops.sum(slope", "ops.mean(slope"),),
        "first-target": (("ops.expand_dims(target, 1)", "ops.expand_dims(0 * target + target[0], 1)"),),
    },
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference; only PyTorch keeps gradients in the tensors."""
    return {name: Mistake(MESSAGES[name], edit) for name, edit in EDITS[framework].items()}
