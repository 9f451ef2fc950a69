"""The code of the exercise on logits per token: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def text_loss(
    encoder: nn.Module,
    head: nn.Linear,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    labels: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and logits of a text classifier: the head reads the mean of a text's token vectors.

    Args:
        encoder: called with ids and mask; its output has `last_hidden_state`, shape (N, L, D).
        head: maps D features to K logits.
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, shape (N, L).
        labels: the class of each text, shape (N,).

    Returns:
        The mean cross-entropy over the texts, and the logits of each text, shape (N, K).
    """
    hidden = encoder(input_ids, attention_mask).last_hidden_state
    kept = attention_mask.unsqueeze(-1)  # (N, L, 1)
    pooled = (hidden * kept).sum(dim=1) / kept.sum(dim=1)  # (N, D)
    logits = head(pooled)
    loss = nn.functional.cross_entropy(logits, labels)
    return loss, logits
'''

TORCH_POOLED = """    kept = attention_mask.unsqueeze(-1)  # (N, L, 1)
    pooled = (hidden * kept).sum(dim=1) / kept.sum(dim=1)  # (N, D)
    logits = head(pooled)
    loss = nn.functional.cross_entropy(logits, labels)
"""
PYTORCH_STARTER = PYTORCH.replace(
    TORCH_POOLED,
    """    logits = head(hidden)
    targets = labels.unsqueeze(1).expand(-1, hidden.shape[1])
    loss = nn.functional.cross_entropy(logits.transpose(1, 2), targets)
""",
)

PYTORCH_TOKEN_MEAN = """
import torch


def text_loss(encoder, head, input_ids, attention_mask, labels):
    tokens = head(encoder(input_ids, attention_mask).last_hidden_state)  # (N, L, K); a mean may follow a linear head
    share = attention_mask / attention_mask.sum(1, keepdim=True)
    logits = torch.einsum("nl,nlk->nk", share, tokens)
    chosen = logits.log_softmax(-1)[torch.arange(len(labels)), labels]
    return -chosen.mean(), logits
"""

PYTORCH_LOOP = """
import torch
from torch import nn


def text_loss(encoder, head, input_ids, attention_mask, labels):
    vectors = encoder(input_ids, attention_mask=attention_mask)[0]
    pooled = [rows[keep.bool()].mean(0) for rows, keep in zip(vectors, attention_mask)]
    logits = torch.stack([head(vector) for vector in pooled])
    return nn.CrossEntropyLoss()(logits, labels), logits
"""

KERAS = '''
import keras
from keras import ops


def text_loss(encoder: keras.Layer, head: keras.layers.Dense, input_ids, attention_mask, labels):
    """Loss and logits of a text classifier: the head reads the mean of a text's token vectors.

    Args:
        encoder: called with ids and mask; its output has `last_hidden_state`, shape (N, L, D).
        head: maps D features to K logits.
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, integer, shape (N, L).
        labels: the class of each text, shape (N,).

    Returns:
        The mean cross-entropy over the texts, and the logits of each text, shape (N, K).
    """
    hidden = encoder(input_ids, attention_mask).last_hidden_state
    kept = ops.cast(ops.expand_dims(attention_mask, -1), hidden.dtype)  # (N, L, 1)
    pooled = ops.sum(hidden * kept, axis=1) / ops.sum(kept, axis=1)  # (N, D)
    logits = head(pooled)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return ops.mean(losses), logits
'''

KERAS_POOLED = KERAS.partition("last_hidden_state\n")[2].rpartition("    return")[0]
KERAS_STARTER = KERAS.replace(
    KERAS_POOLED,
    """    logits = head(hidden)
    targets = ops.repeat(ops.expand_dims(labels, 1), hidden.shape[1], axis=1)
    losses = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
""",
)

KERAS_TOKEN_MEAN = """
from keras import ops


def text_loss(encoder, head, input_ids, attention_mask, labels):
    tokens = head(encoder(input_ids, attention_mask).last_hidden_state)  # (N, L, K); a mean may follow a linear head
    mask = ops.cast(attention_mask, "float32")
    logits = ops.einsum("nl,nlk->nk", mask / ops.sum(mask, axis=1, keepdims=True), tokens)
    chosen = ops.one_hot(labels, logits.shape[-1]) * ops.log_softmax(logits, axis=-1)
    return -ops.sum(chosen) / len(labels), logits
"""

KERAS_LOOP = """
import keras
from keras import ops


def text_loss(encoder, head, input_ids, attention_mask, labels):
    vectors = encoder(input_ids, attention_mask=attention_mask)[0]
    lengths = [int(n) for n in ops.sum(attention_mask, axis=1)]
    pooled = [ops.mean(vectors[i, :n], axis=0) for i, n in enumerate(lengths)]
    logits = head(ops.stack(pooled))
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits), logits
"""

MESSAGES = {
    "every-token": _(
        "every token is made to predict the class of its text, padding too: there are N x L predictions where a text "
        "needs one"
    ),
    "real-tokens-vote": _("padding is left out, but each token is still asked for the class by itself"),
    "no-head": _("the hidden features themselves were taken for logits: there are as many classes as features"),
    "first-token": _("only the first token's vector is read; the head was to get the mean of all"),
    "padding-averaged": _("the mean runs over the padding too, so it changes with the length of the batch"),
    "mask-not-passed": _("padding is left out of the mean, but the real tokens have attended to it"),
    "softmax-first": _("the loss expects logits and got probabilities: its softmax is applied a second time"),
    "not-from-logits": _("the loss takes the logits for probabilities, clips them and goes on without a softmax"),
    "summed": _("the losses of the texts are added and not averaged, so the gradient grows with the batch"),
    "largest": _("each feature is the largest over the tokens; the head was to get the mean"),
    "not-learning": _("the value is right, but no gradient reaches the encoder: only the head would learn"),
}
TORCH_MEAN = "(hidden * kept).sum(dim=1) / kept.sum(dim=1)"
TORCH_EDITS = {
    "real-tokens-vote": (
        (
            TORCH_POOLED,
            """    logits = head(hidden)
    kept = attention_mask.bool()
    loss = nn.functional.cross_entropy(logits[kept], labels[:, None].expand_as(kept)[kept])
    logits = (logits * kept[..., None]).sum(1) / kept.sum(1, keepdim=True)
""",
        ),
    ),
    "no-head": (("head(pooled)", "pooled"),),
    "first-token": ((TORCH_MEAN, "hidden[:, 0]"),),
    "padding-averaged": ((TORCH_MEAN, "hidden.mean(dim=1)"),),
    "mask-not-passed": (("encoder(input_ids, attention_mask)", "encoder(input_ids)"),),
    "softmax-first": (("cross_entropy(logits,", "cross_entropy(logits.softmax(dim=1),"),),
    "summed": (("(logits, labels)", '(logits, labels, reduction="sum")'),),
    "largest": ((TORCH_MEAN, "hidden.masked_fill(kept == 0, -9).amax(dim=1)"),),
    "not-learning": ((".last_hidden_state\n", ".last_hidden_state.detach()\n"),),
}
KERAS_MEAN = "ops.sum(hidden * kept, axis=1) / ops.sum(kept, axis=1)"
KERAS_EDITS = {
    "real-tokens-vote": (
        (
            KERAS_POOLED,
            """    logits = head(hidden)
    targets = ops.repeat(ops.expand_dims(labels, 1), hidden.shape[1], axis=1)
    kept = ops.cast(attention_mask, hidden.dtype)
    losses = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    losses = losses * kept / ops.mean(kept)
    logits = ops.sum(logits * kept[..., None], axis=1) / ops.sum(kept, axis=1, keepdims=True)
""",
        ),
    ),
    "no-head": (("head(pooled)", "pooled"),),
    "first-token": ((KERAS_MEAN, "hidden[:, 0]"),),
    "padding-averaged": ((KERAS_MEAN, "ops.mean(hidden, axis=1)"),),
    "mask-not-passed": (("encoder(input_ids, attention_mask)", "encoder(input_ids)"),),
    "not-from-logits": (("(labels, logits, from_logits=True)", "(labels, logits)"),),
    "summed": (("ops.mean(losses)", "ops.sum(losses)"),),
    "largest": ((KERAS_MEAN, "ops.max(ops.where(kept == 0, -9.0, hidden), axis=1)"),),
    "not-learning": (
        (
            "encoder(input_ids, attention_mask).last_hidden_state",
            "ops.stop_gradient(encoder(input_ids, attention_mask).last_hidden_state)",
        ),
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {"every-token": Mistake(MESSAGES["every-token"], source=starter), **found}
