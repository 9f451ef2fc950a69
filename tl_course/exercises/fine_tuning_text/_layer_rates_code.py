"""The code of the exercise on layer-wise decay: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
from torch import nn


def layer_rates(model: nn.Module, lr: float, decay: float) -> list[dict]:
    """Parameter groups with layer-wise decay of the learning rate.

    Args:
        model: has `embeddings`, `layers` (an nn.ModuleList, from the input upwards) and `head`.
        lr: the head's learning rate.
        decay: how much lower each part's rate is than that of the part above it, between 0 and 1.

    Returns:
        Groups with `params` and `lr` for an optimiser; each trainable parameter in exactly one, frozen ones in none.
    """
    parts = [model.embeddings, *model.layers, model.head]
    groups = []
    for distance, part in enumerate(reversed(parts)):
        trained = [parameter for parameter in part.parameters() if parameter.requires_grad]
        groups.append({"params": trained, "lr": lr * decay**distance})
    return [group for group in groups if group["params"]]
'''

PYTORCH_NAMES = """
def layer_rates(model, lr, decay):
    top = len(model.layers) + 1
    groups = []
    for name, parameter in model.named_parameters():
        words = name.split(".")
        level = {"embeddings": 0, "head": top}.get(words[0])
        if level is None:
            level = 1 + int(words[1])
        if parameter.requires_grad:
            groups.append({"params": [parameter], "lr": lr * decay ** (top - level)})
    return groups
"""

PYTORCH_MULTIPLY = """
def layer_rates(model, lr, decay):
    groups = []
    rate = lr
    for module in [model.head] + list(model.layers)[::-1] + [model.embeddings]:
        groups.extend(dict(params=parameter, lr=rate) for parameter in module.parameters() if parameter.requires_grad)
        rate *= decay
    return groups
"""

KERAS = '''
import keras


def layer_rates(model: keras.Model, lr: float, decay: float) -> dict[str, float]:
    """Learning rates of a model's variables, with layer-wise decay.

    Args:
        model: its `layers` are, from the input upwards, the embeddings, the layers of the encoder and the head.
        lr: the head's learning rate.
        decay: how much lower each part's rate is than that of the part above it, between 0 and 1.

    Returns:
        The rate of each trainable variable, by the variable's `path`; frozen ones do not occur.
    """
    rates = {}
    for distance, part in enumerate(reversed(model.layers)):
        for variable in part.trainable_variables:
            rates[variable.path] = lr * decay**distance
    return rates
'''

KERAS_MULTIPLY = """
def layer_rates(model, lr, decay):
    rates, rate = {}, lr
    for layer in model.layers[::-1]:
        rates.update(dict.fromkeys([weight.path for weight in layer.trainable_weights], rate))
        rate = rate * decay
    return rates
"""

KERAS_POWERS = """
import numpy as np


def layer_rates(model, lr, decay):
    powers = np.arange(len(model.layers))[::-1]
    pairs = [(layer, float(lr * decay**power)) for layer, power in zip(model.layers, powers)]
    return {v.path: rate for layer, rate in pairs for v in layer.variables if v.trainable}
"""

MESSAGES = {
    "upside-down": _("the highest rate goes to the embeddings: the most general part would move most"),
    "linear": _("the rate falls by the same amount from part to part; it should fall by the same factor"),
    "head-decayed": _("the head's rate is lowered too, so everything is one step too slow"),
    "name-prefix": _("layer 1 is found by how a name begins, and so do the names of layers 10 and 11"),
    "embeddings-forgotten": _("the embeddings are in no group: they would stay as they are"),
    "embeddings-as-first": _("the embeddings get the rate of the first layer, though they lie below it"),
    "one-rate": _("all layers of the encoder have the same rate"),
    "frozen-too": _("frozen parameters are given a rate; an optimiser with weight decay or momentum may move them"),
    "counts-frozen-out": _("a frozen layer is skipped in counting, so that the parts below it get too high a rate"),
}
TORCH_PARTS, TORCH_RATE = "[model.embeddings, *model.layers, model.head]", "lr * decay**distance"
TORCH_PREFIX = """
def layer_rates(model, lr, decay):
    groups, seen = [], set()
    prefixes = ["embeddings"] + [f"layers.{i}" for i in range(len(model.layers))] + ["head"]
    for place, prefix in enumerate(prefixes):
        found = [p for n, p in model.named_parameters() if n.startswith(prefix) and p.requires_grad and n not in seen]
        seen.update(n for n, p in model.named_parameters() if n.startswith(prefix))
        if found:
            groups.append({"params": found, "lr": lr * decay ** (len(prefixes) - 1 - place)})
    return groups
"""
KERAS_PREFIX = """
def layer_rates(model, lr, decay):
    rates = {}
    names = [layer.name for layer in model.layers]
    for variable in model.trainable_variables:
        place = next(i for i, name in enumerate(names) if variable.path.startswith(name))
        rates[variable.path] = lr * decay ** (len(names) - 1 - place)
    return rates
"""
TORCH_EDITS = {
    "upside-down": (("reversed(parts)", "parts"),),
    "linear": ((TORCH_RATE, "lr * (1 - (1 - decay) * distance)"),),
    "head-decayed": ((TORCH_RATE, "lr * decay ** (distance + 1)"),),
    "embeddings-forgotten": ((TORCH_PARTS, "[*model.layers, model.head]"),),
    "embeddings-as-first": ((TORCH_RATE, "lr * decay ** min(distance, len(parts) - 2)"),),
    "one-rate": ((TORCH_RATE, "lr * (decay if distance else 1)"),),
    "frozen-too": ((" if parameter.requires_grad]", "]"),),
    "counts-frozen-out": (
        (
            "    groups = []\n",
            "    parts = [p for p in parts if any(q.requires_grad for q in p.parameters())]\n    groups = []\n",
        ),
    ),
}
KERAS_EDITS = {
    "upside-down": (("reversed(model.layers)", "model.layers"),),
    "linear": ((TORCH_RATE, "lr * (1 - (1 - decay) * distance)"),),
    "head-decayed": ((TORCH_RATE, "lr * decay ** (distance + 1)"),),
    "embeddings-forgotten": (("reversed(model.layers)", "reversed(model.layers[1:])"),),
    "embeddings-as-first": ((TORCH_RATE, "lr * decay ** min(distance, len(model.layers) - 2)"),),
    "one-rate": ((TORCH_RATE, "lr * (decay if distance else 1)"),),
    "frozen-too": (("part.trainable_variables", "part.variables"),),
    "counts-frozen-out": (("reversed(model.layers)", "reversed([x for x in model.layers if x.trainable_variables])"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference, and the one that goes by how names begin."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    prefix = {"pytorch": TORCH_PREFIX, "keras": KERAS_PREFIX}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {**found, "name-prefix": Mistake(MESSAGES["name-prefix"], source=prefix)}
