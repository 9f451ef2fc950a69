"""The code of the exercise on freezing during training: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def train(
    model: nn.Module, batches: list[tuple[torch.Tensor, torch.Tensor]], freeze_at: int, lr: float, momentum: float
) -> nn.Module:
    """Train with SGD and momentum, one step per batch; freeze the backbone on the way.

    Args:
        model: has `backbone` and `head`; trained in place.
        batches: inputs (n, D) and classes (n,) of each batch.
        freeze_at: from this batch on, counted from 0, only the head is trained; may lie beyond the last batch.
        lr: learning rate.
        momentum: share of the last step's direction that is kept.

    Returns:
        The model.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    for step, (x, y) in enumerate(batches):
        if step == freeze_at:
            model.backbone.requires_grad_(False)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model
'''

CLEAR_TRAINED = """        for weights in model.parameters():
            if weights.requires_grad:
                weights.grad = None
"""
PYTORCH_STARTER = PYTORCH.replace("        optimizer.zero_grad(set_to_none=True)\n", CLEAR_TRAINED)

PYTORCH_TWO = """
import torch


def train(model, batches, freeze_at, lr, momentum):
    parts = [model.backbone, model.head]
    optimizers = [torch.optim.SGD(part.parameters(), lr=lr, momentum=momentum) for part in parts]
    for step, (x, y) in enumerate(batches):
        model.zero_grad(set_to_none=False)
        torch.nn.CrossEntropyLoss()(model(x), y).backward()
        for optimizer in optimizers[step >= freeze_at :]:
            optimizer.step()
    return model
"""

PYTORCH_BY_HAND = """
import torch
from torch import nn


def train(model, batches, freeze_at, lr, momentum):
    velocity = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    for step, (x, y) in enumerate(batches):
        moving = {n: p for n, p in model.named_parameters() if step < freeze_at or n.startswith("head")}
        loss = nn.functional.cross_entropy(model(x), y)
        with torch.no_grad():
            for (name, value), gradient in zip(moving.items(), torch.autograd.grad(loss, list(moving.values()))):
                velocity[name] = momentum * velocity[name] + gradient
                value -= lr * velocity[name]
    return model
"""

KERAS = '''
import keras
import tensorflow as tf


def train(model: keras.Model, batches: list[tuple], freeze_at: int, lr: float, momentum: float) -> keras.Model:
    """Train with SGD and momentum, one step per batch; freeze the backbone on the way.

    Args:
        model: has the layers "backbone" and "head" and returns logits; trained in place.
        batches: inputs (n, D) and classes (n,) of each batch.
        freeze_at: from this batch on, counted from 0, only the head is trained; may lie beyond the last batch.
        lr: learning rate.
        momentum: share of the last step's direction that is kept.

    Returns:
        The model.
    """
    optimizer = keras.optimizers.SGD(lr, momentum=momentum)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for step, (x, y) in enumerate(batches):
        if step == freeze_at:
            model.get_layer("backbone").trainable = False
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x))
        optimizer.apply(tape.gradient(loss, variables), variables)
    return model
'''

LIST = "        variables = model.trainable_variables\n"
LOOP = "    for step, (x, y) in enumerate(batches):\n"
KERAS_STARTER = KERAS.replace(LIST, "").replace(LOOP, "    variables = model.trainable_variables\n" + LOOP)

KERAS_TWO = """
import keras
import tensorflow as tf


def train(model, batches, freeze_at, lr, momentum):
    parts = [(layer, keras.optimizers.SGD(lr, momentum=momentum)) for layer in model.layers]
    for step, (x, y) in enumerate(batches):
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True))
        gradients = [tape.gradient(loss, layer.variables) for layer, _ in parts]
        for (layer, optimizer), given in list(zip(parts, gradients))[step >= freeze_at :]:
            optimizer.apply(given, layer.variables)
    return model
"""

KERAS_BY_HAND = """
import keras
import tensorflow as tf


def train(model, batches, freeze_at, lr, momentum):
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    velocity = {}
    for step, (x, y) in enumerate(batches):
        variables = (model if step < freeze_at else model.get_layer("head")).trainable_variables
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        for variable, gradient in zip(variables, tape.gradient(loss, variables)):
            velocity[variable.path] = momentum * velocity.get(variable.path, 0.0) + gradient
            variable.assign_sub(lr * velocity[variable.path])
    return model
"""

MESSAGES = {
    "stale": {
        "pytorch": _("the frozen parameters keep their last gradient, and every later step applies it again"),
        "keras": _("what is updated was listed before freezing, and the flag is never asked again"),
    },
    "zeroed": _("the gradients are zero now, and the momentum of earlier steps still carries the backbone on"),
    "new-optimiser": _("the backbone stays, and the head's momentum is lost: it starts again from nothing"),
    "one-late": _("the backbone still takes part in the batch before which it should be frozen"),
    "frozen-throughout": _("the backbone is frozen before the first batch, whatever freeze_at says"),
    "head-frozen": _("the wrong part is frozen: the head stops and the backbone goes on"),
    "only-that-batch": _("the backbone rests for one batch and then moves again"),
    "all-stop": _("training ends when the backbone is frozen; the head should go on"),
}
NEW_OPTIMISER = {
    "pytorch": "            optimizer = torch.optim.SGD(model.head.parameters(), lr=lr, momentum=momentum)\n",
    "keras": "            optimizer = keras.optimizers.SGD(lr, momentum=momentum)\n",
}
FREEZE = {
    "pytorch": "            model.backbone.requires_grad_(False)\n",
    "keras": '            model.get_layer("backbone").trainable = False\n',
}
ONLY_THAT = {
    "pytorch": "        model.backbone.requires_grad_(step != freeze_at)\n",
    "keras": '        model.get_layer("backbone").trainable = step != freeze_at\n',
}
ZEROED = {
    "pytorch": (("set_to_none=True", "set_to_none=False"),),
    "keras": (
        (LIST, ""),
        (LOOP, "    variables = model.trainable_variables\n" + LOOP),
        (
            "        optimizer.apply(tape.gradient(loss, variables), variables)\n",
            "        gradients = [\n"
            "            gradient * float(any(variable is trained for trained in model.trainable_variables))\n"
            "            for gradient, variable in zip(tape.gradient(loss, variables), variables)\n"
            "        ]\n"
            "        optimizer.apply(gradients, variables)\n",
        ),
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    condition, freeze = "        if step == freeze_at:\n", FREEZE[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    edits = {
        "zeroed": ZEROED[framework],
        "new-optimiser": ((freeze, freeze + NEW_OPTIMISER[framework]),),
        "one-late": ((condition, condition.replace("step ", "step - 1 ")),),
        "frozen-throughout": ((condition, "        if True:\n"),),
        "head-frozen": ((freeze, freeze.replace("backbone", "head")),),
        "only-that-batch": ((condition + freeze, ONLY_THAT[framework]),),
        "all-stop": ((freeze, freeze + "            break\n"),),
    }
    found = {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
    return {"stale": Mistake(MESSAGES["stale"][framework], source=starter), **found}
