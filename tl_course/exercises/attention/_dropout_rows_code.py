"""The code of the exercise on maps drawn in training mode: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def monitor_maps(encoder: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """The attention of all layers and heads, as a callback records it between two training steps.

    Args:
        encoder: called with ids and mask and, for weights, output_attentions=True; in whatever mode it is.
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, shape (N, L).

    Returns:
        Attention weights without a graph, shape (layers, N, heads, L, L). The encoder is left as it was.
    """
    was_training = encoder.training
    encoder.eval()
    with torch.no_grad():
        maps = encoder(input_ids, attention_mask, output_attentions=True).attentions
    encoder.train(was_training)
    return torch.stack(maps)
'''

PYTORCH_STARTER = PYTORCH.replace("    was_training = encoder.training\n    encoder.eval()\n", "").replace(
    "    encoder.train(was_training)\n", ""
)

PYTORCH_MODULES = """
import torch


@torch.inference_mode()
def monitor_maps(encoder, input_ids, attention_mask):
    modes = {module: module.training for module in encoder.modules()}
    for module in modes:
        module.training = False
    try:
        output = encoder(input_ids, attention_mask=attention_mask, output_attentions=True)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.cat([layer[None] for layer in output[-1]])
"""

PYTORCH_COPY = """
import copy

import torch


def monitor_maps(encoder, input_ids, attention_mask):
    frozen = copy.deepcopy(encoder).train(False)
    output = frozen(input_ids, attention_mask, None, True)
    return torch.stack([layer.detach() for layer in output.attentions], dim=0)
"""

KERAS = '''
import keras
from keras import ops


def monitor_maps(encoder: keras.Layer, input_ids, attention_mask):
    """The attention of all layers and heads, as a callback records it between two training steps.

    Args:
        encoder: called with ids and mask and, for weights, output_attentions=True.
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, integer, shape (N, L).

    Returns:
        Attention weights, shape (layers, N, heads, L, L). The encoder is left as it was.
    """
    output = encoder(input_ids, attention_mask, output_attentions=True, training=False)
    return ops.stack(output.attentions)
'''

KERAS_STARTER = KERAS.replace("training=False", "training=True")

KERAS_DEFAULT = """
import numpy as np


def monitor_maps(encoder, input_ids, attention_mask):
    maps = encoder(input_ids, attention_mask=attention_mask, output_attentions=True)[-1]
    return np.array([np.asarray(layer) for layer in maps])
"""

KERAS_TEXTS = """
from keras import ops


def monitor_maps(encoder, input_ids, attention_mask):
    found = []
    for row in range(input_ids.shape[0]):
        pair = input_ids[row : row + 1], attention_mask[row : row + 1]
        found.append(ops.stack(encoder(*pair, output_attentions=True, training=False).attentions, axis=0))
    return ops.concatenate(found, axis=1)
"""

MESSAGES = {
    "training-mode": _("the maps are drawn as in training: some weights are set to zero at random, others enlarged"),
    "renormalised": _("the rows add up to 1 again, but the random holes in them are still there"),
    "averaged": _("the mean over many random maps is near the right one, and still another one each time"),
    "left-in-evaluation": _("the maps are right, but training goes on in evaluation mode, without dropout"),
    "always-training": _("an encoder that was in evaluation mode comes back in training mode"),
    "dropout-removed": _("dropout is switched off for good, and training goes on without it"),
    "last-layer": _("only the last layer's maps are returned"),
    "heads-averaged": _("the heads are averaged; each head's own map was asked for"),
    "mask-not-passed": _("the encoder does not know the mask, so tokens look at padding"),
    "keeps-graph": _("the maps still hang on their graph, so every recorded step keeps all activations in memory"),
    "hidden-states": _("these are the hidden vectors of all layers, not where tokens look"),
}
MODES, BACK, STACK = (
    "    was_training = encoder.training\n    encoder.eval()\n",
    "    encoder.train(was_training)\n",
    "torch.stack(maps)",
)
PASS = "maps = encoder(input_ids, attention_mask, output_attentions=True).attentions"
TORCH_EDITS = {
    "renormalised": ((MODES, ""), (BACK, ""), (STACK, "torch.stack([m / m.sum(-1, keepdim=True) for m in maps])")),
    "averaged": (
        (MODES, ""),
        (BACK, ""),
        (
            PASS,
            "runs = [torch.stack(encoder(input_ids, attention_mask, output_attentions=True).attentions)"
            " for _ in range(8)]",
        ),
        (STACK, "torch.stack(runs).mean(0)"),
    ),
    "left-in-evaluation": ((BACK, ""),),
    "always-training": ((BACK, "    encoder.train()\n"),),
    "dropout-removed": (
        (
            MODES,
            "    for part in encoder.modules():\n        if isinstance(part, nn.Dropout):\n            part.p = 0.0\n",
        ),
        (BACK, ""),
    ),
    "last-layer": ((STACK, "maps[-1]"),),
    "heads-averaged": ((STACK, "torch.stack(maps).mean(dim=2)"),),
    "mask-not-passed": (("input_ids, attention_mask, output", "input_ids, output"),),
    "keeps-graph": (("torch.no_grad()", "torch.enable_grad()"),),
}
KERAS_PASS = "encoder(input_ids, attention_mask, output_attentions=True, training=False)"
KERAS_STACK = "ops.stack(output.attentions)"
KERAS_EDITS = {
    "renormalised": (
        ("training=False", "training=True"),
        (KERAS_STACK, "ops.stack([m / (ops.sum(m, axis=-1, keepdims=True) + 1e-9) for m in output.attentions])"),
    ),
    "averaged": (
        (f"output = {KERAS_PASS}", f"runs = [{KERAS_PASS.replace('False', 'True')} for _ in range(5)]"),
        (KERAS_STACK, "ops.mean(ops.stack([ops.stack(run.attentions) for run in runs]), axis=0)"),
    ),
    "dropout-removed": (("    output = ", "    encoder.dropout.rate = 0.0\n    output = "),),
    "last-layer": ((KERAS_STACK, "output.attentions[-1]"),),
    "heads-averaged": ((KERAS_STACK, "ops.mean(ops.stack(output.attentions), axis=2)"),),
    "mask-not-passed": (("input_ids, attention_mask, output", "input_ids, output"),),
    "hidden-states": (("output.attentions", "output.hidden_states"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {"training-mode": Mistake(MESSAGES["training-mode"], source=starter), **found}
