"""The code of the live-coding question on elastic weight consolidation: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""The penalty of elastic weight consolidation (Kirkpatrick et al., 2017).

    Args:
        model: being trained on the new task; not modified.
        start: the weights after the old task, tensors by {key}; in any order. Not modified.
        fisher: the diagonal of the Fisher information, tensors of the same shapes under the same keys, entries at
            least 0; in any order. Not modified.
        strength: lambda, at least 0.

    Returns:
        A scalar that gradients flow through: strength / 2 times the sum, over all entries of the weights named in
        `fisher`, of Fisher information times squared distance from the start. Weights of the model that `fisher`
        does not name, such as a new head, are free; with no name at all the penalty is 0, still a tensor.
    """'''

PYTORCH = f"""
import torch
from torch import nn


def ewc_penalty(
    model: nn.Module, start: dict[str, torch.Tensor], fisher: dict[str, torch.Tensor], strength: float
) -> torch.Tensor:
    {DOCSTRING.format(key="the name that `model.named_parameters()` gives")}
    total = torch.zeros(())
    for name, weight in model.named_parameters():
        if name in fisher:
            total = total + (fisher[name] * (weight - start[name]) ** 2).sum()
    return strength / 2 * total
"""

PYTORCH_VECTORS = """
import torch


def ewc_penalty(model, start, fisher, strength):
    weights = dict(model.named_parameters())
    away = [(weights[name] - start[name]).flatten() for name in fisher]
    held = [value.flatten() for value in fisher.values()]
    if not away:
        return torch.tensor(0.0)
    away = torch.cat(away)
    return 0.5 * strength * torch.dot(torch.cat(held), away * away)
"""

PYTORCH_GET = """
import torch
from torch import nn


def ewc_penalty(model, start, fisher, strength):
    parts = [torch.zeros(1)]
    for name in start:
        gap = torch.sqrt(fisher[name]) * (model.get_parameter(name) - start[name])
        parts.append(gap.pow(2).reshape(-1))
    return torch.cat(parts).sum() * strength * 0.5
"""

KERAS = f"""
import keras
from keras import ops


def ewc_penalty(model: keras.Model, start: dict, fisher: dict, strength: float):
    {DOCSTRING.format(key="the weight's `path`")}
    total = ops.zeros(())
    for weight in model.trainable_weights:
        if weight.path in fisher:
            total = total + ops.sum(fisher[weight.path] * (weight - start[weight.path]) ** 2)
    return strength / 2 * total
"""

KERAS_VECTORS = """
from keras import ops


def ewc_penalty(model, start, fisher, strength):
    weights = {weight.path: weight for weight in model.weights}
    away = [ops.ravel(ops.subtract(weights[path], start[path])) for path in fisher]
    if not away:
        return ops.convert_to_tensor(0.0)
    away, held = ops.concatenate(away), ops.concatenate([ops.ravel(value) for value in fisher.values()])
    return 0.5 * strength * ops.dot(held, ops.square(away))
"""

KERAS_TENSORFLOW = """
import tensorflow as tf


def ewc_penalty(model, start, fisher, strength):
    pairs = [(path, w.value) for w in model.trainable_variables for path in start if path == w.path]
    losses = [tf.reduce_sum(tf.math.squared_difference(value, start[path]) * fisher[path]) for path, value in pairs]
    return tf.add_n([tf.constant(0.0), *losses]) * strength / 2.0
"""

MESSAGES = {
    "no-fisher": _("all weights are held alike: how much the old task needs each of them is not used"),
    "towards-zero": _("the weights are pulled towards zero, not towards where the old task left them"),
    "no-half": _("the factor 1/2 is missing: every gradient is twice as large as the strength says"),
    "means": _("each tensor's mean is taken, so an entry of a large layer is hardly held"),
    "fisher-squared": _("the Fisher information is squared: it is a mean of squared gradients already"),
    "fisher-divides": _("it is divided by the Fisher information, so what matters least is held most"),
    "root": _("the sum is not left as it is but its root is taken: the pull has the same length however far away"),
    "absolute": _("absolute distances are added up, not squares"),
    "kernels-only": _("biases are left out; the old task needs them as well"),
    "by-order": _("weights and their start were paired by their order in the dictionaries, not by name"),
    "no-strength": _("the strength has no effect"),
    "detached": _("the number is right, but no gradient can flow through it, so it does not change the training"),
    "new-head-held": _("weights without Fisher information are held too; a new head has nothing to stay near"),
}
RETURN = "return strength / 2 * total"
EDITS = {
    "no-half": ((RETURN, "return strength * total"),),
    "root": ((RETURN, "return strength / 2 * (total + 1e-12) ** 0.5"),),
    "no-strength": ((RETURN, "return total / 2"),),
    "detached": ((RETURN, "return strength / 2 * float(total)"),),
}
TERM = "fisher[name] * (weight - start[name]) ** 2"
TORCH_EDITS = {
    **EDITS,
    "no-fisher": (("fisher[name] *", "1 *"),),
    "towards-zero": (("(weight - start[name])", "weight"),),
    "means": ((".sum()", ".mean()"),),
    "fisher-squared": (("fisher[name] *", "fisher[name] ** 2 *"),),
    "fisher-divides": ((TERM, "(weight - start[name]) ** 2 / (fisher[name] + 1e-3)"),),
    "absolute": ((TERM, "fisher[name] * (weight - start[name]).abs()"),),
    "kernels-only": (("if name in fisher:", "if name in fisher and weight.ndim > 1:"),),
    "by-order": (
        ("for name, weight in model.named_parameters():", "for weight, name in zip(model.parameters(), fisher):"),
        ("if name in fisher:", "if weight.shape == start[name].shape:"),
    ),
    "new-head-held": (
        ("    return strength", "        else:\n            total = total + (weight**2).sum()\n    return strength"),
    ),
}
KERAS_TERM = "fisher[weight.path] * (weight - start[weight.path]) ** 2"
KERAS_LINE = "        if weight.path in fisher:\n"
KERAS_ZIP = "    for weight, path in zip(model.trainable_weights, fisher):\n"
KERAS_EDITS = {
    **EDITS,
    "no-fisher": (("fisher[weight.path] *", "1 *"),),
    "towards-zero": (("(weight - start[weight.path])", "weight"),),
    "means": (("ops.sum(", "ops.mean("),),
    "fisher-squared": (("fisher[weight.path] *", "fisher[weight.path] ** 2 *"),),
    "fisher-divides": ((KERAS_TERM, "(weight - start[weight.path]) ** 2 / (fisher[weight.path] + 1e-3)"),),
    "absolute": ((KERAS_TERM, "fisher[weight.path] * ops.abs(weight - start[weight.path])"),),
    "kernels-only": ((KERAS_LINE, "        if weight.path in fisher and len(weight.shape) > 1:\n"),),
    "new-head-held": (
        ("    return strength", "        else:\n            total = total + ops.sum(weight**2)\n    return strength"),
    ),
    "by-order": (
        ("    for weight in model.trainable_weights:\n", KERAS_ZIP),
        (KERAS_LINE, "        if weight.shape == start[path].shape:\n"),
        (KERAS_TERM, "fisher[path] * (weight - start[path]) ** 2"),
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
