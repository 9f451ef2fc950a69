"""The code of the question on gradient accumulation: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

DOCSTRING = '''"""One optimiser step on the mean cross-entropy of a batch that does not fit into memory at once.

    Args:
        model: gives logits (n, K) for inputs (n, D); each example's depend on that example alone. MODE
        optimizer: of the model's parameters, OPTIMIZER.
        x: inputs, float, shape (N, D), N at least 1.
        y: classes, integer, shape (N,).
        micro_batch_size: at most so many examples go through the model at once, and each such part's backward pass is
            done before the next part's forward pass. N need not be a multiple of it, nor as large.

    Returns:
        The mean loss of the N examples before the step. The step is the one that the whole batch would give.
    """'''

PYTORCH = f"""
import torch
from torch import nn
from torch.nn import functional


def accumulated_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor, micro_batch_size: int
) -> float:
    {DOCSTRING.replace("MODE", "In training mode.").replace("OPTIMIZER", "which may hold old gradients")}
    optimizer.zero_grad()
    total = 0.0
    for inputs, labels in zip(x.split(micro_batch_size), y.split(micro_batch_size)):
        loss = functional.cross_entropy(model(inputs), labels, reduction="sum") / len(x)
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total
"""

PYTORCH_WEIGHTED = """
import torch
from torch import nn


def accumulated_step(model, optimizer, x, y, micro_batch_size):
    for parameter in model.parameters():
        parameter.grad = None
    criterion, losses = nn.CrossEntropyLoss(), []
    for start in range(0, x.shape[0], micro_batch_size):
        stop = min(start + micro_batch_size, x.shape[0])
        share = (stop - start) / x.shape[0]
        loss = criterion(model(x[start:stop]), y[start:stop]) * share
        loss.backward()
        losses.append(loss.detach())
    optimizer.step()
    return torch.stack(losses).sum()
"""

PYTORCH_AUTOGRAD = """
import torch


def accumulated_step(model, optimizer, x, y, micro_batch_size):
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    sums, total = [torch.zeros_like(parameter) for parameter in parameters], 0.0
    for rows in torch.arange(len(x)).split(micro_batch_size):
        loss = -model(x[rows]).log_softmax(1).gather(1, y[rows, None]).sum()
        for held, gradient in zip(sums, torch.autograd.grad(loss, parameters)):
            held += gradient
        total += float(loss)
    for parameter, held in zip(parameters, sums):
        parameter.grad = held / len(x)
    optimizer.step()
    return total / len(x)
"""

KERAS = f"""
import keras
import tensorflow as tf


def accumulated_step(model, optimizer, x, y, micro_batch_size):
    {DOCSTRING.replace("MODE", "Call it in training mode.").replace("OPTIMIZER", "a Keras optimiser")}
    variables = model.trainable_variables
    sums = [tf.zeros(variable.shape) for variable in variables]
    total = 0.0
    for start in range(0, len(x), micro_batch_size):
        part = slice(start, start + micro_batch_size)
        with tf.GradientTape() as tape:
            logits = model(x[part], training=True)
            losses = keras.losses.sparse_categorical_crossentropy(y[part], logits, from_logits=True)
            loss = tf.reduce_sum(losses) / len(x)
        sums = [held + gradient for held, gradient in zip(sums, tape.gradient(loss, variables))]
        total += float(loss)
    optimizer.apply(sums, variables)
    return total
"""

KERAS_WEIGHTED = """
import keras
import numpy as np
import tensorflow as tf


def accumulated_step(model, optimizer, x, y, micro_batch_size):
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights, total, average = model.trainable_weights, 0.0, None
    for rows in np.array_split(np.arange(len(x)), range(micro_batch_size, len(x), micro_batch_size)):
        with tf.GradientTape() as tape:
            loss = criterion(tf.gather(y, rows), model(tf.gather(x, rows), training=True)) * (len(rows) / len(x))
        gradients = tape.gradient(loss, weights)
        average = gradients if average is None else [tf.add(*pair) for pair in zip(average, gradients)]
        total += loss.numpy()
    optimizer.apply_gradients(zip(average, weights))
    return total
"""

KERAS_DATASET = """
import tensorflow as tf


def accumulated_step(model, optimizer, x, y, micro_batch_size):
    held = {variable.path: 0.0 for variable in model.trainable_variables}
    losses = []
    for inputs, labels in tf.data.Dataset.from_tensor_slices((x, y)).batch(micro_batch_size):
        with tf.GradientTape() as tape:
            log_p = tf.nn.log_softmax(model(inputs, training=True))
            each = -tf.gather(log_p, labels, axis=1, batch_dims=1)
        for variable, gradient in zip(model.trainable_variables, tape.gradient(each, model.trainable_variables)):
            held[variable.path] += gradient / x.shape[0]
        losses.append(each)
    optimizer.apply([held[variable.path] for variable in model.trainable_variables], model.trainable_variables)
    return tf.reduce_mean(tf.concat(losses, axis=0))
"""

MESSAGES = {
    "not-divided": _("the parts' mean losses are added up: with four parts, the gradient is four times too large"),
    "mean-of-means": _("all parts count alike: the examples of a smaller last part weigh more than the others"),
    "divided-by-part": _("sums are divided by the size a part should have, not by the number of examples in all"),
    "drops-last": _("a last part that is not full is left out"),
    "step-each": _("a step is taken after every part: these are many small steps, not one large"),
    "last-part-only": _("only the last part's gradient is left when the step is taken"),
    "old-gradients": _("gradients from before are still there when the first part adds its own"),
    "one-backward": _("all parts' graphs are kept until one backward pass at the end: no memory is saved"),
    "whole-batch": _("the whole batch goes through the model at once"),
    "last-loss": _("the loss returned is that of the last part, not of the batch"),
    "inference-mode": _("the model is called in inference mode"),
    "first-part-only": _("all parts but the first are ignored"),
}
SUM_LOSS = 'functional.cross_entropy(model(inputs), labels, reduction="sum") / len(x)'
MEAN_LOSS = "functional.cross_entropy(model(inputs), labels)"
PARTS, BACKWARD, STEP = (
    "zip(x.split(micro_batch_size), y.split(micro_batch_size))",
    "        loss.backward()\n",
    "    optimizer.step()\n",
)
PYTORCH_EDITS = {
    "not-divided": ((SUM_LOSS, MEAN_LOSS),),
    "mean-of-means": ((SUM_LOSS, f"{MEAN_LOSS} / len(x.split(micro_batch_size))"),),
    "divided-by-part": (("/ len(x)", "/ micro_batch_size"),),
    "drops-last": ((BACKWARD, f"        if len(inputs) < micro_batch_size:\n            continue\n{BACKWARD}"),),
    "step-each": (
        (f"{BACKWARD}", f"{BACKWARD}        optimizer.step()\n        optimizer.zero_grad()\n"),
        (f"{STEP}    return", "    return"),
    ),
    "last-part-only": ((BACKWARD, f"        optimizer.zero_grad()\n{BACKWARD}"),),
    "old-gradients": (("    optimizer.zero_grad()\n", ""),),
    "one-backward": (
        ("    total = 0.0\n", "    total, whole = 0.0, 0.0\n"),
        (BACKWARD, "        whole = whole + loss\n"),
        (STEP, f"    whole.backward()\n{STEP}"),
    ),
    "whole-batch": ((PARTS, "[(x, y)]"),),
    "first-part-only": ((PARTS, "[(x[:micro_batch_size], y[:micro_batch_size])]"),),
    "last-loss": (("total += loss.item()", "total = functional.cross_entropy(model(inputs), labels).item()"),),
    "inference-mode": (("    total = 0.0\n", "    total = 0.0\n    model.eval()\n"),),
}
GRADIENTS, APPLY = "tape.gradient(loss, variables))]\n", "    optimizer.apply(sums, variables)\n"
ADD = "        sums = [held + gradient for held, gradient in zip(sums, "
KERAS_LOSS, RANGE = "tf.reduce_sum(losses) / len(x)", "range(0, len(x), micro_batch_size)"
KERAS_EDITS = {
    "not-divided": ((KERAS_LOSS, "tf.reduce_mean(losses)"),),
    "mean-of-means": ((KERAS_LOSS, f"tf.reduce_mean(losses) / len({RANGE})"),),
    "divided-by-part": ((KERAS_LOSS, "tf.reduce_sum(losses) / micro_batch_size"),),
    "drops-last": ((RANGE, "range(0, len(x) - micro_batch_size + 1, micro_batch_size)"),),
    "step-each": (
        (f"{ADD}{GRADIENTS}", "        optimizer.apply(tape.gradient(loss, variables), variables)\n"),
        (APPLY, ""),
    ),
    "last-part-only": ((f"{ADD}{GRADIENTS}", "        sums = tape.gradient(loss, variables)\n"),),
    "one-backward": (
        (
            "    for start in",
            "    tape = tf.GradientTape()\n    whole = 0.0\n    for start in",
        ),
        ("with tf.GradientTape() as tape:", "with tape:"),
        (KERAS_LOSS, f"{KERAS_LOSS}\n            whole = whole + loss"),
        (f"{ADD}{GRADIENTS}", ""),
        (APPLY, "    optimizer.apply(tape.gradient(whole, variables), variables)\n"),
    ),
    "whole-batch": ((RANGE, "range(1)"), ("start + micro_batch_size", "len(x)")),
    "first-part-only": ((RANGE, "range(1)"),),
    "last-loss": (("total += float(loss)", "total = float(tf.reduce_mean(losses))"),),
    "inference-mode": (("training=True", "training=False"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The named wrong answers in a framework."""
    edits = {"pytorch": PYTORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}


EQUIVALENT = {"total += loss": "a tensor holds the same number"}
KERAS_EQUIVALENT = {
    **EQUIVALENT,
    "sums = [held + gradient for held, gradient in zip(tape.gradient(loss, variables), sums)]": "addition is symmetric",
}
