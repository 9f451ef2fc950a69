"""The answers, right and wrong, of the clinic's case on a function that draws attention."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import matplotlib.pyplot as plt
import torch
from transformers import BertModel, BertTokenizer


def attention_weights(model, token_ids, layer):
    """Attention weights of one layer for a text."""
    with torch.no_grad():
        outputs = model(token_ids)
    return outputs.last_hidden_state.mean(dim=1)


def visualize_self_attention(model, text, folder, layer):
    """Draw where the heads of one layer of a model look when it reads a text."""
    # load the model and its tokenizer
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder)

    # the text as token ids, and its self-attention
    token_ids = tokenizer.encode(text, return_tensors="pt")
    weights = attention_weights(model, token_ids, layer)

    # the picture
    figure, axis = plt.subplots()
    axis.imshow(weights.numpy(), aspect="auto")
    axis.set_xlabel("Tokens")
    axis.set_ylabel("Head")
    axis.set_title("Self-attention weights")
    return figure
'''

PYTORCH = '''
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from transformers import BertModel, BertTokenizer


def attention_weights(model: BertModel, token_ids: torch.Tensor, layer: int) -> torch.Tensor:
    """Attention weights of one layer for one text, (heads, L, L): row i is where token i looks."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        outputs = model(token_ids, output_attentions=True)
    return outputs.attentions[layer][0]


def visualize_self_attention(model: BertModel, text: str, folder: str, layer: int) -> Figure:
    """Draw where the heads of one layer of a model look when it reads a text.

    Args:
        model: the encoder to look into, in inference mode.
        text: what it reads.
        folder: where its tokenizer is, beside the weights the model once started from.
        layer: which layer, from 0.

    Returns:
        A figure with one picture a head, in their order: rows are the tokens that look, columns those looked at.
    """
    tokenizer = BertTokenizer.from_pretrained(folder)
    token_ids = tokenizer.encode(text, return_tensors="pt")
    tokens = tokenizer.convert_ids_to_tokens(token_ids[0])
    weights = attention_weights(model, token_ids, layer)
    figure, axes = plt.subplots(1, len(weights), squeeze=False)
    for axis, head in zip(axes[0], weights):
        axis.imshow(head, vmin=0, vmax=1)
        axis.set_xticks(range(len(tokens)), tokens)
        axis.set_yticks(range(len(tokens)), tokens)
    return figure
'''

PYTORCH_COPY = """
import copy

import matplotlib.pyplot as plt
import torch
from transformers import AutoTokenizer


@torch.inference_mode()
def visualize_self_attention(model, text, folder, layer):
    encoder = copy.deepcopy(model).eval()
    encoder.set_attn_implementation("eager")
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    maps = encoder(**inputs, output_attentions=True)["attentions"][layer].squeeze(0)
    names = ["[CLS]", *text.split(), "[SEP]"]
    figure = plt.figure(figsize=(4 * len(maps), 4))
    for number, weights in enumerate(maps, start=1):
        axis = figure.add_subplot(1, len(maps), number)
        axis.matshow(weights, vmin=0.0, vmax=float(maps.max()), cmap="Blues")
        axis.set_xticks(list(range(len(names))))
        axis.set_xticklabels(names, rotation=90)
        axis.set_yticks(list(range(len(names))))
        axis.set_yticklabels(names)
        axis.set_title(f"head {number}")
    figure.colorbar(axis.images[0], ax=figure.axes)
    return figure
"""

PYTORCH_BY_HAND = """
import matplotlib
import matplotlib.pyplot as plt
import torch
from transformers import BertTokenizer


def visualize_self_attention(model, text, folder, layer):
    tokenizer = BertTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer.encode(text)])
    heads = model.config.num_attention_heads
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states[layer]
        part = model.encoder.layer[layer].attention.self
        query, key = (f(states)[0].unflatten(-1, (heads, -1)).transpose(0, 1) for f in (part.query, part.key))
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1)
    labels = tokenizer.convert_ids_to_tokens(ids[0])
    figure, axes = plt.subplots(nrows=heads, squeeze=False)
    norm = matplotlib.colors.Normalize(0, 1)
    for row, head in zip(axes, weights):
        row[0].imshow(head.tolist(), norm=norm, aspect="auto")
        row[0].set(xticks=range(len(labels)), yticks=range(len(labels)), xticklabels=labels, yticklabels=labels)
    return figure
"""

MESSAGES = {
    "starter": _("a picture is drawn, but of what? Compare the shape of what is drawn with what the axes promise"),
    "weights": _("these are made from the vectors that tokens hold after looking, not from where they looked"),
    "first-layer": _("one and the same layer is drawn, whichever was asked for"),
    "transposed": _("rows and columns have changed places: who looks, and who is looked at?"),
    "model": _("the model that the caller wanted to look into is never run"),
    "heads": _("one picture stands for all heads: what single heads do is averaged away"),
    "same-head": _("the same head is drawn again and again"),
    "scale": _("each picture has a scale of its own, so the same colour means different weights"),
    "labels": _("the ticks are bare numbers: nobody can read which token looks at which"),
    "rows-unnamed": _("only one of the axes names its tokens, and both are tokens"),
}
PICTURES = (
    "    figure, axes = plt.subplots(1, len(weights), squeeze=False)\n    for axis, head in zip(axes[0], weights):\n"
)
ALIKE = "hidden = outputs.last_hidden_state[0]\n    return (hidden @ hidden.T).softmax(dim=-1).expand(2, -1, -1)"
COLUMNS, ROWS = (f"        axis.set_{axis}ticks(range(len(tokens)), tokens)\n" for axis in "xy")
EDITS = {
    "weights": (("return outputs.attentions[layer][0]", ALIKE),),
    "first-layer": (("outputs.attentions[layer]", "outputs.attentions[0]"),),
    "transposed": (("imshow(head", "imshow(head.T"),),
    "model": (("    token_ids = ", "    model = BertModel.from_pretrained(folder)\n    token_ids = "),),
    "heads": ((PICTURES, "    figure, axis = plt.subplots()\n    for head in [weights.mean(dim=0)]:\n"),),
    "same-head": (("imshow(head", "imshow(weights[0]"),),
    "scale": ((", vmin=0, vmax=1", ""),),
    "labels": ((COLUMNS + ROWS, '        axis.set_xlabel("Tokens")\n        axis.set_ylabel("Tokens")\n'),),
    "rows-unnamed": ((ROWS, ""),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
