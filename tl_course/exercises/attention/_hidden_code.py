"""The code of the exercise on hidden vectors taken for attention: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


@torch.no_grad()
def attention_received(encoder: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """How much attention each token of a text receives in the last layer.

    Args:
        encoder: `encoder(input_ids, attention_mask=None, token_type_ids=None, output_attentions=False)`, in inference
            mode; its output has `last_hidden_state` (N, L, D), `hidden_states` and, when asked, `attentions`.
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, shape (N, L).

    Returns:
        The mean over the heads and over the tokens of the text that look, shape (N, L); padding neither looks nor
        receives. The shares of a text add up to 1.
    """
    layers = encoder(input_ids, attention_mask, output_attentions=True).attentions
    looks = layers[-1].mean(dim=1)  # (N, L, L)
    looks = looks * attention_mask.unsqueeze(-1)
    return looks.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
'''

TORCH_BODY = PYTORCH[PYTORCH.index("    layers = ") :]
PYTORCH_STARTER = PYTORCH.replace(
    TORCH_BODY,
    """    outputs = encoder(input_ids, attention_mask)
    strength = outputs.last_hidden_state.mean(dim=-1)  # (N, L)
    strength = strength.masked_fill(attention_mask == 0, -torch.inf)
    return strength.softmax(dim=1)
""",
)

PYTORCH_EINSUM = """
import torch


def attention_received(encoder, input_ids, attention_mask):
    maps = encoder(input_ids, attention_mask=attention_mask, output_attentions=True)[2][-1].detach()
    share = attention_mask / attention_mask.sum(1, keepdim=True)
    return torch.einsum("nhij,ni->nj", maps, share) / maps.shape[1]
"""

PYTORCH_LOOP = """
import torch


def attention_received(encoder, input_ids, attention_mask):
    received = torch.zeros(input_ids.shape)
    for row, (ids, mask) in enumerate(zip(input_ids, attention_mask)):
        ids = ids[mask.bool()][None]
        with torch.inference_mode():
            weights = encoder(ids, output_attentions=True).attentions[-1][0]
        received[row, mask.bool()] = weights.mean((0, 1)).clone()
    return received
"""

KERAS = '''
import keras
from keras import ops


def attention_received(encoder: keras.Layer, input_ids, attention_mask):
    """How much attention each token of a text receives in the last layer.

    Args:
        encoder: `encoder(input_ids, attention_mask=None, token_type_ids=None, output_attentions=False)`; its output
            has `last_hidden_state` (N, L, D), `hidden_states` and, when asked, `attentions`.
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, integer, shape (N, L).

    Returns:
        The mean over the heads and over the tokens of the text that look, shape (N, L); padding neither looks nor
        receives. The shares of a text add up to 1.
    """
    layers = encoder(input_ids, attention_mask, output_attentions=True).attentions
    looks = ops.mean(layers[-1], axis=1)  # (N, L, L)
    looking = ops.cast(attention_mask, looks.dtype)
    return ops.sum(looks * looking[..., None], axis=1) / ops.sum(looking, axis=1, keepdims=True)
'''

KERAS_BODY = KERAS[KERAS.index("    layers = ") :]
KERAS_STARTER = KERAS.replace(
    KERAS_BODY,
    """    outputs = encoder(input_ids, attention_mask)
    strength = ops.mean(outputs.last_hidden_state, axis=-1)  # (N, L)
    strength = ops.where(attention_mask == 0, -1e9, strength)
    return ops.softmax(strength, axis=1)
""",
)

KERAS_EINSUM = """
from keras import ops


def attention_received(encoder, input_ids, attention_mask):
    maps = encoder(input_ids, attention_mask=attention_mask, output_attentions=True)[2][-1]
    share = attention_mask / ops.sum(attention_mask, axis=1, keepdims=True)
    return ops.einsum("nhij,ni->nj", maps, share) / maps.shape[1]
"""

KERAS_LOOP = """
import numpy as np


def attention_received(encoder, input_ids, attention_mask):
    ids, mask = np.asarray(input_ids), np.asarray(attention_mask)
    received = np.zeros(ids.shape)
    for row in range(len(ids)):
        kept = mask[row] == 1
        weights = encoder(ids[row : row + 1, kept], output_attentions=True).attentions[-1]
        received[row, kept] = np.asarray(weights)[0].mean(axis=(0, 1))
    return received
"""

MESSAGES = {
    "hidden-vectors": _(
        "these are hidden vectors, put through a softmax: it makes shares of any numbers, but says nothing about "
        "where tokens look"
    ),
    "vector-lengths": _("the length of a token's hidden vector was taken for the attention it receives"),
    "first-layer": _("this is the first layer; the last was asked for"),
    "all-layers": _("the layers are averaged; only the last was asked for"),
    "padding-looks": _("the rows of the padding count as well: it looks too, though nobody reads what it sees"),
    "gives": _("this is how much each token gives, which is 1 for every token; the other axis was asked for"),
    "one-head": _("only the first head is taken"),
    "first-row": _("only the first token's looks count; all tokens of the text look"),
    "mask-not-passed": _("the encoder does not know the mask, so part of the attention goes to padding"),
}
LAST, ROWS = "layers[-1].mean(dim=1)", "looks = looks * attention_mask.unsqueeze(-1)"
TORCH_RETURN = "looks.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)"
CALL = "encoder(input_ids, attention_mask, output_attentions=True)"
TORCH_EDITS = {
    "first-layer": (("layers[-1]", "layers[0]"),),
    "all-layers": ((LAST, "torch.stack(layers).mean(dim=(0, 2))"),),
    "padding-looks": ((ROWS, "looks = looks * 1"), (TORCH_RETURN, "looks.mean(dim=1)")),
    "gives": ((TORCH_RETURN, "looks.sum(dim=2) / attention_mask.sum(dim=1, keepdim=True)"),),
    "one-head": ((LAST, "layers[-1][:, 0]"),),
    "first-row": ((TORCH_RETURN, "looks[:, 0]"),),
    "mask-not-passed": ((CALL, "encoder(input_ids, output_attentions=True)"),),
    "vector-lengths": (
        (
            TORCH_BODY,
            "    sizes = encoder(input_ids, attention_mask).last_hidden_state.norm(dim=-1) * attention_mask\n"
            "    return sizes / sizes.sum(dim=1, keepdim=True)\n",
        ),
    ),
}
KERAS_LAST = "ops.mean(layers[-1], axis=1)"
KERAS_SUM = "ops.sum(looks * looking[..., None], axis=1)"
KERAS_EDITS = {
    "first-layer": (("layers[-1]", "layers[0]"),),
    "all-layers": ((KERAS_LAST, "ops.mean(ops.stack(layers), axis=(0, 2))"),),
    "padding-looks": (("return " + KERAS_SUM, "looking = ops.ones_like(looking)\n    return " + KERAS_SUM),),
    "gives": ((KERAS_SUM, KERAS_SUM.replace("axis=1", "axis=2")),),
    "one-head": ((KERAS_LAST, "layers[-1][:, 0]"),),
    "first-row": (("return " + KERAS_SUM, "return looks[:, 0]\n    return " + KERAS_SUM),),
    "mask-not-passed": ((CALL, "encoder(input_ids, output_attentions=True)"),),
    "vector-lengths": (
        (
            KERAS_BODY,
            "    looking = ops.cast(attention_mask, 'float32')\n"
            "    sizes = ops.norm(encoder(input_ids, attention_mask).last_hidden_state, axis=-1) * looking\n"
            "    return sizes / ops.sum(sizes, axis=1, keepdims=True)\n",
        ),
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {"hidden-vectors": Mistake(MESSAGES["hidden-vectors"], source=starter), **found}
