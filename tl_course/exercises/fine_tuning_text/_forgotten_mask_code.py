"""The code of the exercise on the forgotten mask: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


@torch.inference_mode()
def predict_proba(encoder: nn.Module, head: nn.Linear, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The probabilities of the classes for each text of a batch.

    Args:
        encoder: `encoder(input_ids, attention_mask=None, token_type_ids=None)`; its output has `last_hidden_state`,
            shape (N, L, D).
        head: maps the mean of a text's token vectors to K logits.
        batch: what the tokenizer gave: "input_ids", "token_type_ids" (all 0) and "attention_mask", each (N, L).

    Returns:
        Probabilities, shape (N, K).
    """
    mask = batch["attention_mask"]
    output = encoder(batch["input_ids"], attention_mask=mask)
    share = mask / mask.sum(dim=1, keepdim=True)
    pooled = torch.einsum("nl,nld->nd", share, output.last_hidden_state)
    return head(pooled).softmax(dim=1)
'''

CALL = 'encoder(batch["input_ids"], attention_mask=mask)'
PYTORCH_STARTER = PYTORCH.replace(CALL, 'encoder(batch["input_ids"])')

PYTORCH_KEYWORDS = """
import torch


def predict_proba(encoder, head, batch):
    with torch.no_grad():
        hidden = encoder(**batch)[0]
        kept = batch["attention_mask"].bool()
        rows = [head(vectors[keep].mean(0)) for vectors, keep in zip(hidden, kept)]
        return torch.stack(rows).softmax(-1)
"""

PYTORCH_ALONE = """
import torch


@torch.no_grad()
def predict_proba(encoder, head, batch):
    rows = []
    for ids, length in zip(batch["input_ids"], batch["attention_mask"].sum(1).tolist()):
        logits = head(encoder(ids[None, :length]).last_hidden_state.mean(1))
        rows.append(torch.exp(logits - logits.logsumexp(1, keepdim=True)))
    return torch.cat(rows)
"""

KERAS = '''
import keras
from keras import ops


def predict_proba(encoder: keras.Layer, head: keras.layers.Dense, batch: dict):
    """The probabilities of the classes for each text of a batch.

    Args:
        encoder: `encoder(input_ids, attention_mask=None, token_type_ids=None)`; its output has `last_hidden_state`,
            shape (N, L, D).
        head: maps the mean of a text's token vectors to K logits.
        batch: what the tokenizer gave: "input_ids", "token_type_ids" (all 0) and "attention_mask", integer, (N, L).

    Returns:
        Probabilities, shape (N, K).
    """
    mask = batch["attention_mask"]
    output = encoder(batch["input_ids"], attention_mask=mask)
    share = mask / ops.sum(mask, axis=1, keepdims=True)
    pooled = ops.einsum("nl,nld->nd", share, output.last_hidden_state)
    return ops.softmax(head(pooled))
'''

KERAS_STARTER = KERAS.replace(CALL, 'encoder(batch["input_ids"])')

KERAS_KEYWORDS = """
from keras import ops


def predict_proba(encoder, head, batch):
    hidden = encoder(**batch)[0]
    kept = ops.expand_dims(ops.cast(batch["attention_mask"], hidden.dtype), -1)
    return ops.softmax(head(ops.sum(hidden * kept, 1) / ops.sum(kept, 1)))
"""

KERAS_ALONE = """
import numpy as np
from keras import ops


def predict_proba(encoder, head, batch):
    rows = []
    for ids, mask in zip(np.asarray(batch["input_ids"]), np.asarray(batch["attention_mask"])):
        logits = np.asarray(head(ops.mean(encoder(ids[mask == 1][None]).last_hidden_state, axis=1)))
        rows.append(np.exp(logits) / np.exp(logits).sum())
    return np.concatenate(rows)
"""

MESSAGES = {
    "not-passed": _("the mean leaves padding out, but before it the real tokens have attended to the padding"),
    "by-position": _(
        "the tokenizer's arrays are passed in its own order, which is not the order of the encoder's parameters"
    ),
    "inverted": _("the mask is turned round: tokens attend to the padding, and to nothing else"),
    "mask-from-ids": _("padding is recognised by id 0, which is a word here: the tokenizer has said what is padding"),
    "ids-blanked": _("the padding's ids are overwritten, and the tokens attend to it all the same"),
    "all-averaged": _("the encoder knows the mask, but the mean counts padding as well"),
    "no-mask-at-all": _("the mask is used nowhere: neither in the encoder nor in the mean"),
    "wrong-softmax": _("the softmax runs over the texts of the batch and not over the classes"),
    "logits": _("these are logits; probabilities were asked for"),
}
EDITS = {
    "by-position": (CALL, "encoder(*batch.values())"),
    "inverted": (CALL, CALL.replace("=mask", "=1 - mask")),
    "ids-blanked": (CALL, 'encoder(batch["input_ids"] * mask)'),
}
TORCH_EDITS = {
    **EDITS,
    "mask-from-ids": ('batch["attention_mask"]', '(batch["input_ids"] != 0).long()'),
    "all-averaged": ("share = mask", "mask = torch.ones_like(mask)\n    share = mask"),
    "no-mask-at-all": ('batch["attention_mask"]', 'torch.ones_like(batch["attention_mask"])'),
    "wrong-softmax": ("softmax(dim=1)", "softmax(dim=0)"),
    "logits": (".softmax(dim=1)", ""),
}
KERAS_EDITS = {
    **EDITS,
    "mask-from-ids": ('batch["attention_mask"]', 'ops.cast(batch["input_ids"] != 0, "int64")'),
    "all-averaged": ("share = mask", "mask = ops.ones_like(mask)\n    share = mask"),
    "no-mask-at-all": ('batch["attention_mask"]', 'ops.ones_like(batch["attention_mask"])'),
    "wrong-softmax": ("ops.softmax(head(pooled))", "ops.softmax(head(pooled), axis=0)"),
    "logits": ("ops.softmax(head(pooled))", "head(pooled)"),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}
    return {"not-passed": Mistake(MESSAGES["not-passed"], source=starter), **found}
