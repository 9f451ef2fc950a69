"""The code of the live-coding question on model soups: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""The uniform soup of fine-tuned models (Wortsman et al., 2022).

    Args:
        models: at least one; all of one architecture. None of them is changed.

    Returns:
        A new model of this architecture that shares no memory with any of them. Each of its floating-point weights is
        the mean over the models: {what}.
        Integer weights, such as {integers}, are those of the first model and stay integers.
    """'''

STATISTICS = "BatchNorm's statistics among them"
TORCH_DOCSTRING = DOCSTRING.format(
    what=f"parameters and buffers, {STATISTICS}", integers="BatchNorm's `num_batches_tracked`"
)
KERAS_DOCSTRING = DOCSTRING.format(
    what=f"trainable and non-trainable ones, {STATISTICS}", integers="a counter of steps"
)

PYTORCH = f"""
import copy

import torch
from torch import nn


def weight_soup(models: list[nn.Module]) -> nn.Module:
    {TORCH_DOCSTRING}
    states = [model.state_dict() for model in models]
    average = {{}}
    for name, value in states[0].items():
        if value.is_floating_point():
            value = torch.stack([state[name] for state in states]).mean(dim=0)
        average[name] = value
    soup = copy.deepcopy(models[0])
    soup.load_state_dict(average)
    return soup
"""

PYTORCH_SHARES = """
import copy

import torch


def weight_soup(models):
    soup = copy.deepcopy(models[0])
    tensors = [[*model.parameters(), *model.buffers()] for model in [soup, *models]]
    with torch.no_grad():
        for mine, *others in zip(*tensors):
            if mine.dtype.is_floating_point:
                mine.copy_(sum(others) / len(others))
    return soup
"""

PYTORCH_RUNNING = """
from copy import deepcopy

import torch


@torch.no_grad()
def weight_soup(models):
    soup = deepcopy(models[0])
    target = soup.state_dict()
    for count, model in enumerate(models[1:], start=2):
        for name, value in model.state_dict().items():
            if torch.is_floating_point(value):
                target[name].lerp_(value, 1 / count)
    return soup
"""

KERAS = f"""
import keras
import numpy as np


def weight_soup(models: list[keras.Model]) -> keras.Model:
    {KERAS_DOCSTRING}
    averages = []
    for values in zip(*(model.get_weights() for model in models)):
        whole = np.issubdtype(values[0].dtype, np.integer)
        averages.append(values[0] if whole else np.mean(values, axis=0))
    soup = keras.models.clone_model(models[0])
    soup.set_weights(averages)
    return soup
"""

KERAS_ASSIGN = """
import keras
from keras import ops


def weight_soup(models):
    soup = keras.models.clone_model(models[0])
    for mine, *others in zip(soup.weights, *(model.weights for model in models)):
        arrays = [ops.convert_to_numpy(other) for other in others]
        mine.assign(sum(arrays) / len(arrays) if arrays[0].dtype.kind == "f" else arrays[0])
    return soup
"""

KERAS_LAYERS = """
import keras


def weight_soup(models):
    soup = keras.models.clone_model(models[0])
    for i, layer in enumerate(soup.layers):
        mixed = models[0].layers[i].get_weights()
        for j, value in enumerate(mixed):
            if value.dtype.kind == "f":
                for model in models[1:]:
                    value = value + model.layers[i].get_weights()[j]
                mixed[j] = value / len(models)
        layer.set_weights(mixed)
    return soup
"""

MESSAGES = {
    "first-only": _("this is a copy of the first model: the others have no part in it"),
    "first-and-last": _("only the first and the last model are averaged"),
    "halving": _("each model is averaged with the result so far, so the last one weighs one half, the first hardly"),
    "summed": _("the weights are added up and not divided by the number of models"),
    "median": _("this is the median of the weights, not their mean"),
    "parameters-only": _(
        "only the trained weights are averaged: BatchNorm normalises the mixed features with the first model's "
        "statistics"
    ),
    "no-statistics": _("the statistics of BatchNorm are those of a new model: they are part of a model as well"),
    "integers-averaged": _("integer weights are averaged too: a counter of steps has no meaningful mean"),
    "in-place": _("the first model is overwritten: it is no longer what was fine-tuned"),
    "all-overwritten": _("the average is written into the models given as well"),
}
STACK = "torch.stack([state[name] for state in states]).mean(dim=0)"
TORCH_MEAN, COPY = f"            value = {STACK}\n", "soup = copy.deepcopy(models[0])"
MEAN, CLONE = "np.mean(values, axis=0)", "soup = keras.models.clone_model(models[0])"
LOAD, SET = "    soup.load_state_dict(average)\n", "    soup.set_weights(averages)\n"
EDITS = {
    "pytorch": {
        "first-only": ((LOAD, ""),),
        "first-and-last": ((STACK, "(states[0][name] + states[-1][name]) / 2"),),
        "halving": (
            (TORCH_MEAN, "            for state in states[1:]:\n                value = (value + state[name]) / 2\n"),
        ),
        "summed": ((".mean(dim=0)", ".sum(dim=0)"),),
        "median": ((".mean(dim=0)", ".quantile(0.5, dim=0)"),),
        "parameters-only": (("if value.is_floating_point():", "if name in dict(models[0].named_parameters()):"),),
        "no-statistics": (
            (
                LOAD,
                "    for module in soup.modules():\n        if isinstance(module, nn.BatchNorm1d):\n"
                "            module.reset_running_stats()\n"
                "    soup.load_state_dict({n: average[n] for n, _ in models[0].named_parameters()}, strict=False)\n",
            ),
        ),
        "integers-averaged": (
            (
                "        average[name] = value",
                "        else:\n            value = sum(state[name] for state in states) / len(states)\n"
                "        average[name] = value",
            ),
        ),
        "in-place": ((COPY, "soup = models[0]"),),
        "all-overwritten": ((LOAD, f"{LOAD}    for model in models:\n        model.load_state_dict(average)\n"),),
    },
    "keras": {
        "first-only": (("set_weights(averages)", "set_weights(models[0].get_weights())"),),
        "first-and-last": ((MEAN, "(values[0] + values[-1]) / 2"),),
        "halving": (
            (
                "        averages.append(",
                "        mixed = values[0]\n        for value in values[1:]:\n            mixed = (mixed + value) / 2\n"
                "        averages.append(",
            ),
            (MEAN, "mixed"),
        ),
        "summed": ((MEAN, "np.sum(values, axis=0)"),),
        "median": ((MEAN, "np.median(values, axis=0)"),),
        "parameters-only": (
            (
                SET,
                "    soup.set_weights(models[0].get_weights())\n"
                "    for mine, *others in zip(soup.trainable_weights, *(m.trainable_weights for m in models)):\n"
                "        mine.assign(sum(other.value for other in others) / len(others))\n",
            ),
        ),
        "no-statistics": (
            (
                SET,
                "    for mine, *others in zip(soup.trainable_weights, *(m.trainable_weights for m in models)):\n"
                "        mine.assign(sum(other.value for other in others) / len(others))\n",
            ),
        ),
        "integers-averaged": (("values[0] if whole else np", "np"),),
        "in-place": ((CLONE, "soup = models[0]"),),
        "all-overwritten": ((SET, f"{SET}    for model in models:\n        model.set_weights(averages)\n"),),
    },
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    return {name: Mistake(MESSAGES[name], given) for name, given in EDITS[framework].items()}
