"""The code of the exercise on unfreezing: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def train(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor, num_steps: int) -> None:
    """Take steps on all examples at once."""
    for _step in range(num_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def fine_tune(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, num_steps: int, head_lr: float, full_lr: float
) -> nn.Module:
    """Train the head alone, then the whole model.

    Args:
        model: has `backbone` and `head`; trained in place.
        x: inputs, float, shape (N, D).
        y: classes, integer, shape (N,).
        num_steps: gradient steps of each phase.
        head_lr: rate of plain SGD in the first phase.
        full_lr: rate of plain SGD in the second phase.

    Returns:
        The model, with every parameter trainable.
    """
    for trainable, lr in ((False, head_lr), (True, full_lr)):
        model.backbone.requires_grad_(trainable)
        train(model, torch.optim.SGD(model.parameters(), lr=lr), x, y, num_steps)
    return model
'''

PHASES = "    for trainable, lr in"
PYTORCH_STARTER = PYTORCH.replace(
    PYTORCH[PYTORCH.index(PHASES) :],
    """    model.backbone.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=head_lr)
    train(model, optimizer, x, y, num_steps)
    model.backbone.requires_grad_(True)
    for group in optimizer.param_groups:
        group["lr"] = full_lr
    train(model, optimizer, x, y, num_steps)
    return model
""",
)

PYTORCH_ADD_GROUP = """
import torch
from torch import nn


def fine_tune(model, x, y, num_steps, head_lr, full_lr):
    optimizer = torch.optim.SGD(model.head.parameters(), lr=head_lr)
    for step in range(2 * num_steps):
        if step == num_steps:
            optimizer.param_groups[0]["lr"] = full_lr
            optimizer.add_param_group({"params": model.backbone.parameters(), "lr": full_lr})
        model.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model
"""

PYTORCH_ALL_FROM_THE_START = """
import torch


def fine_tune(model, x, y, num_steps, head_lr, full_lr):
    optimizer = torch.optim.SGD(model.parameters(), lr=head_lr)
    for lr, whole in ((head_lr, False), (full_lr, True)):
        for parameter in model.backbone.parameters():
            parameter.requires_grad = whole
        optimizer.param_groups[0].update(lr=lr)
        for _ in range(num_steps):
            loss = -model(x).log_softmax(1)[torch.arange(len(y)), y].mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return model
"""

KERAS = '''
import keras


def fine_tune(model: keras.Model, x, y, num_steps: int, head_lr: float, full_lr: float) -> keras.Model:
    """Train the head alone, then the whole model.

    Args:
        model: has the layers "backbone" and "head" and returns logits; trained in place.
        x: inputs, float, shape (N, D).
        y: classes, integer, shape (N,).
        num_steps: gradient steps of each phase, each on all examples at once.
        head_lr: rate of plain SGD in the first phase.
        full_lr: rate of plain SGD in the second phase.

    Returns:
        The model, with every weight trainable.
    """
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for trainable, lr in ((False, head_lr), (True, full_lr)):
        model.get_layer("backbone").trainable = trainable
        model.compile(keras.optimizers.SGD(lr), loss)
        model.fit(x, y, batch_size=len(x), epochs=num_steps, verbose=0)
    return model
'''

KERAS_STARTER = KERAS.replace(
    KERAS[KERAS.index(PHASES) :],
    """    model.get_layer("backbone").trainable = False
    model.compile(keras.optimizers.SGD(head_lr), loss)
    model.fit(x, y, batch_size=len(x), epochs=num_steps, verbose=0)
    model.get_layer("backbone").trainable = True
    model.optimizer.learning_rate = full_lr
    model.fit(x, y, batch_size=len(x), epochs=num_steps, verbose=0)
    return model
""",
)

KERAS_TRAIN_ON_BATCH = """
import keras


def fine_tune(model, x, y, num_steps, head_lr, full_lr):
    def phase(trainable, lr):
        model.layers[0].trainable = trainable
        model.compile(optimizer=keras.optimizers.SGD(learning_rate=lr), loss=loss, run_eagerly=True)
        for _ in range(num_steps):
            model.train_on_batch(x, y)

    def loss(truth, logits):
        return keras.losses.sparse_categorical_crossentropy(truth, logits, from_logits=True)

    phase(False, head_lr)
    phase(True, full_lr)
    return model
"""

KERAS_TAPE = """
import keras
import tensorflow as tf


def fine_tune(model, x, y, num_steps, head_lr, full_lr):
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for variables, lr in ((model.get_layer("head").trainable_variables, head_lr), (model.trainable_variables, full_lr)):
        for _ in range(num_steps):
            with tf.GradientTape() as tape:
                loss = loss_of(y, model(x, training=True))
            for variable, gradient in zip(variables, tape.gradient(loss, variables)):
                variable.assign_sub(lr * gradient)
    return model
"""

STARTER_MESSAGE = _(
    "the switch says trainable, but what does the updates was set up while the backbone was frozen and still leaves it "
    "out"
)
MESSAGES = {
    "never-frozen": _("the backbone takes part in the first phase too, driven by a head that knows nothing yet"),
    "never-unfrozen": _("the backbone is still frozen in the second phase"),
    "one-rate": _("the second phase runs at the first phase's rate"),
    "one-phase": _("the whole model is trained for one phase only; the head's own phase is missing"),
    "rates-swapped": _("each phase runs at the other one's rate"),
    "head-frozen": _("in the second phase only the backbone moves; the whole model was asked for"),
}
FREEZE = {"pytorch": "requires_grad_(trainable)", "keras": "trainable = trainable"}
ALWAYS = {"pytorch": "requires_grad_({})", "keras": "trainable = {}"}
HEAD_FROZEN = {
    "pytorch": ("SGD(model.parameters()", "SGD((model.backbone if trainable else model).parameters()"),
    "keras": (
        "        model.compile",
        '        model.get_layer("head").trainable = not trainable\n        model.compile',
    ),
}
PRINTS = "it prints a progress bar and computes the same"
RATES = "((False, head_lr), (True, full_lr))"
RATE_EDITS = {
    "one-phase": (RATES, "((True, full_lr),)"),
    "rates-swapped": (RATES, "((False, full_lr), (True, head_lr))"),
    "one-rate": (RATES, "((False, head_lr), (True, head_lr))"),
}


def mistakes(framework: str, starter: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    freeze = FREEZE[framework]
    edits = {
        **RATE_EDITS,
        "never-frozen": (freeze, ALWAYS[framework].format(True)),
        "never-unfrozen": (freeze, ALWAYS[framework].format(False)),
        "head-frozen": HEAD_FROZEN[framework],
    }
    found = {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}
    return {"left-out": Mistake(STARTER_MESSAGE, source=starter), **found}
