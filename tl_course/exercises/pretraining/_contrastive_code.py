"""The code of the exercise on the contrastive loss: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''    """The loss of SimCLR, NT-Xent (Chen et al., 2020): each view looks for the other one of its image.

    Args:
        first: embeddings of one view of each image, float, shape (N, D), of any length.
        second: embeddings of the other view, in the same order, shape (N, D).
        temperature: what cosine similarities are divided by.

    Returns:
        The mean over all 2N views, in nats, a scalar tensor that gradients flow through: cross-entropy of picking its
        partner among the 2N - 1 other views.
    """
'''

PYTORCH = (
    """
import torch
import torch.nn.functional as F


def contrastive_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
"""
    + DOCSTRING
    + """    views = F.normalize(torch.cat([first, second]))  # (2N, D)
    similarity = views @ views.T / temperature  # (2N, 2N)
    similarity.fill_diagonal_(float("-inf"))
    partner = torch.arange(len(views)).roll(len(first))
    return F.cross_entropy(similarity, partner)
"""
)
PYTORCH_BLOCKS = """
import torch


def contrastive_loss(first, second, temperature):
    count = len(first)
    first, second = (x / x.norm(dim=1, keepdim=True) for x in (first, second))
    across = first @ second.T / temperature
    diagonal = torch.diag(torch.full((count,), 1e9))
    rows = torch.cat([across, first @ first.T / temperature - diagonal], dim=1)
    columns = torch.cat([across.T, second @ second.T / temperature - diagonal], dim=1)
    right = across.diagonal()
    return (rows.logsumexp(1) - right + columns.logsumexp(1) - right).sum() / (2 * count)
"""
PYTORCH_LOOP = """
import torch
import torch.nn.functional as F


def contrastive_loss(first, second, temperature):
    views, count = torch.cat([first, second]), len(first)
    total = 0.0
    for own in range(2 * count):
        others = torch.tensor([other for other in range(2 * count) if other != own])
        scores = F.cosine_similarity(views[own].unsqueeze(0), views[others]) / temperature
        place = (others == (own + count) % (2 * count)).nonzero().item()
        total = total - scores.log_softmax(dim=0)[place]
    return total / (2 * count)
"""

KERAS = (
    """
import keras
from keras import ops


def contrastive_loss(first, second, temperature: float):
"""
    + DOCSTRING
    + """    views = ops.normalize(ops.concatenate([first, second]))  # (2N, D)
    num_views = views.shape[0]
    cosine = ops.matmul(views, ops.transpose(views))  # (2N, 2N)
    scores = cosine / temperature - 1e9 * ops.eye(num_views)
    partner = ops.roll(ops.arange(num_views), first.shape[0])
    surprise = keras.losses.sparse_categorical_crossentropy(partner, scores, from_logits=True)
    return ops.mean(surprise)
"""
)
KERAS_BLOCKS = """
from keras import ops


def contrastive_loss(first, second, temperature):
    count = first.shape[0]
    first, second = (x / ops.norm(x, axis=1, keepdims=True) for x in (first, second))
    across = first @ ops.transpose(second) / temperature
    own = [x @ ops.transpose(x) / temperature - 1e9 * ops.eye(count) for x in (first, second)]
    rows = ops.concatenate([across, own[0]], axis=1)
    columns = ops.concatenate([ops.transpose(across), own[1]], axis=1)
    return ops.mean(ops.logsumexp(rows, axis=1) + ops.logsumexp(columns, axis=1)) / 2 - ops.trace(across) / count
"""
KERAS_TENSORFLOW = """
import tensorflow as tf


def contrastive_loss(first, second, temperature):
    count = first.shape[0]
    views = tf.math.l2_normalize(tf.concat([first, second], axis=0), axis=1)
    scores = tf.matmul(views, views, transpose_b=True) / temperature
    others = tf.reshape(scores[~tf.eye(2 * count, dtype=tf.bool)], (2 * count, -1))
    partners = tf.concat([tf.range(count - 1, 2 * count - 1), tf.range(count)], axis=0)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(partners, others))
"""

MESSAGES = {
    "not-normalised": _("the embeddings are not brought to length 1, so the loss can be lowered by making them longer"),
    "itself": _("each view is compared with itself too, and nothing resembles it more: its partner can never win"),
    "zero-diagonal": _(
        "a view's similarity to itself is set to 0, and to a softmax 0 is a score like any other: exp(0) is 1"
    ),
    "times-temperature": _("the similarities are multiplied by the temperature; a low one should sharpen them"),
    "across-only": _("each view is compared with the other views' half only; those of its own half are negatives too"),
    "one-direction": _("only the first views look for their partners; all 2N views should"),
    "not-partner": _("the right answer is not its partner: a view is asked to find itself, which is excluded"),
    "neighbour": _("the partner is taken to be the next row, as if the views of an image stood side by side"),
    "summed": _("the losses are added up, so the loss grows with the batch size"),
    "overflow": _("similarities over a low temperature overflow in an exponential; a softmax needs only differences"),
    "over-features": _("the embeddings are normalised feature by feature instead of one by one"),
}
PAIRS = {
    "pytorch": ("torch.arange(len(views)).roll(len(first))", "torch.arange(len(views)) ^ 1"),
    "keras": (
        "ops.roll(ops.arange(num_views), first.shape[0])",
        "ops.arange(num_views) + 1 - 2 * (ops.arange(num_views) % 2)",
    ),
}
ACROSS = {
    "pytorch": (
        ("views @ views.T / temperature", "views[: len(first)] @ views[len(first) :].T / temperature"),
        ('    similarity.fill_diagonal_(float("-inf"))\n', ""),
        ("torch.arange(len(views)).roll(len(first))", "torch.arange(len(first))"),
        (
            "F.cross_entropy(similarity, partner)",
            "(F.cross_entropy(similarity, partner) + F.cross_entropy(similarity.T, partner)) / 2",
        ),
    ),
    "keras": (
        ("ops.matmul(views, ops.transpose(views))", "views[: len(first)] @ ops.transpose(views[len(first) :])"),
        (" - 1e9 * ops.eye(num_views)", ""),
        ("ops.roll(ops.arange(num_views), first.shape[0])", "ops.arange(first.shape[0])"),
        (
            "    return ops.mean(surprise)",
            "    back = keras.losses.sparse_categorical_crossentropy(partner, ops.transpose(scores), True)\n"
            "    return ops.mean(surprise + back) / 2",
        ),
    ),
}
EDITS = {
    "pytorch": {
        "not-normalised": (("F.normalize(torch.cat([first, second]))", "torch.cat([first, second])"),),
        "itself": (('    similarity.fill_diagonal_(float("-inf"))\n', ""),),
        "zero-diagonal": (('float("-inf")', "0.0"),),
        "times-temperature": ((" / temperature", " * temperature"),),
        "one-direction": (("(similarity, partner)", "(similarity[: len(first)], partner[: len(first)])"),),
        "not-partner": ((".roll(len(first))", ""), ('float("-inf")', "-1e9")),
        "summed": (("(similarity, partner)", '(similarity, partner, reduction="sum")'),),
        "over-features": (("torch.cat([first, second]))", "torch.cat([first, second]), dim=0)"),),
    },
    "keras": {
        "not-normalised": (("ops.normalize(ops.concatenate([first, second]))", "ops.concatenate([first, second])"),),
        "itself": ((" - 1e9 * ops.eye(num_views)", ""),),
        "zero-diagonal": (("- 1e9 * ops.eye(num_views)", "* (1 - ops.eye(num_views))"),),
        "times-temperature": ((" / temperature", " * temperature"),),
        "one-direction": (("ops.mean(surprise)", "ops.mean(surprise[: len(first)])"),),
        "not-partner": (("ops.roll(ops.arange(num_views), first.shape[0])", "ops.arange(num_views)"),),
        "summed": (("ops.mean(surprise)", "ops.sum(surprise)"),),
        "over-features": (("ops.concatenate([first, second]))", "ops.concatenate([first, second]), axis=0)"),),
    },
}


OVERFLOW = {
    "pytorch": (
        "F.cross_entropy(similarity, partner)",
        "-(similarity.exp()[range(len(views)), partner] / similarity.exp().sum(dim=1)).log().mean()",
    ),
    "keras": (
        "keras.losses.sparse_categorical_crossentropy(partner, scores, from_logits=True)",
        "ops.log(ops.sum(ops.exp(scores), axis=1)) - ops.log(\n"
        "        ops.exp(ops.take_along_axis(scores, ops.expand_dims(partner, 1), axis=1))[:, 0]\n"
        "    )",
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {**EDITS[framework], "across-only": ACROSS[framework], "neighbour": (PAIRS[framework],)}
    edits["overflow"] = (OVERFLOW[framework],)
    return {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
