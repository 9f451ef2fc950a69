"""The code of the exercise on a new head: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake, Probe, Variant
from tl_course.i18n import _

PYTORCH = '''
from collections.abc import Iterable

import torch
from torch import nn


def train(
    model: nn.Module, parameters: Iterable[nn.Parameter], x: torch.Tensor, y: torch.Tensor, num_steps: int, lr: float
) -> None:
    """Take steps of plain SGD that move these parameters of the model, on all examples at once."""
    optimizer = torch.optim.SGD(parameters, lr=lr)
    for _step in range(num_steps):
        model.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def fine_tune(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, num_steps: int, head_lr: float, backbone_lr: float
) -> nn.Module:
    """Adapt a pretrained backbone with a new head, in two phases.

    Args:
        model: has `backbone` (pretrained) and `head` (new); trained in place.
        x: inputs, float, shape (N, D).
        y: classes, integer, shape (N,).
        num_steps: gradient steps of each phase.
        head_lr: a rate at which a new head learns fast.
        backbone_lr: a rate that pretrained weights bear; one phase moves all parameters at it.

    Returns:
        The model.
    """
    train(model, model.head.parameters(), x, y, num_steps, head_lr)
    train(model, model.parameters(), x, y, num_steps, backbone_lr)
    return model
'''

KERAS = '''
import keras
import tensorflow as tf


def train(model: keras.Model, variables: list[keras.Variable], x, y, num_steps: int, lr: float) -> None:
    """Take steps of plain SGD that move these variables of the model, on all examples at once."""
    optimizer = keras.optimizers.SGD(lr)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for _step in range(num_steps):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x))
        optimizer.apply(tape.gradient(loss, variables), variables)


def fine_tune(model: keras.Model, x, y, num_steps: int, head_lr: float, backbone_lr: float) -> keras.Model:
    """Adapt a pretrained backbone with a new head, in two phases.

    Args:
        model: has the layers "backbone" (pretrained) and "head" (new) and returns logits; trained in place.
        x: inputs, float, shape (N, D).
        y: classes, integer, shape (N,).
        num_steps: gradient steps of each phase.
        head_lr: a rate at which a new head learns fast.
        backbone_lr: a rate that pretrained weights bear; one phase moves all variables at it.

    Returns:
        The model.
    """
    train(model, model.get_layer("head").trainable_variables, x, y, num_steps, head_lr)
    train(model, model.trainable_variables, x, y, num_steps, backbone_lr)
    return model
'''

HEAD_OF = {"pytorch": "model.head.parameters()", "keras": 'model.get_layer("head").trainable_variables'}
BACKBONE_OF = {"pytorch": "model.backbone.parameters()", "keras": 'model.get_layer("backbone").trainable_variables'}
ALL_OF = {"pytorch": "model.parameters()", "keras": "model.trainable_variables"}

PYTORCH_FREEZING = """
import torch


def fine_tune(model, x, y, num_steps, head_lr, backbone_lr):
    optimizer = torch.optim.SGD(model.parameters(), lr=head_lr)
    model.backbone.requires_grad_(False)
    for step in range(2 * num_steps):
        if step == num_steps:
            model.backbone.requires_grad_(True)
            for group in optimizer.param_groups:
                group["lr"] = backbone_lr
        optimizer.zero_grad()
        torch.nn.CrossEntropyLoss()(model(x), y).backward()
        optimizer.step()
    return model
"""

PYTORCH_CACHED = """
import torch
from torch import nn


def fine_tune(model, x, y, num_steps, head_lr, backbone_lr):
    with torch.no_grad():
        features = model.backbone(x)
    phases = [(model.head, features, head_lr), (model, x, backbone_lr)]
    for part, inputs, lr in phases:
        for _ in range(num_steps):
            loss = nn.functional.cross_entropy(part(inputs), y)
            parameters = list(part.parameters())
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients):
                    parameter -= lr * gradient
    return model
"""

KERAS_FIT = """
import keras


def fine_tune(model, x, y, num_steps, head_lr, backbone_lr):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for trainable, lr in ((False, head_lr), (True, backbone_lr)):
        model.get_layer("backbone").trainable = trainable
        model.compile(keras.optimizers.SGD(lr), loss)
        model.fit(x, y, batch_size=len(y), epochs=num_steps, verbose=0)
    return model
"""

KERAS_CACHED = """
import keras
import tensorflow as tf


def fine_tune(model, x, y, num_steps, head_lr, backbone_lr):
    features = model.get_layer("backbone")(x)
    for part, inputs, lr in ((model.get_layer("head"), features, head_lr), (model, x, backbone_lr)):
        for _ in range(num_steps):
            with tf.GradientTape() as tape:
                logs = tf.nn.log_softmax(part(inputs))
                loss = -tf.reduce_mean(tf.gather(logs, y, batch_dims=1))
            for variable, gradient in zip(part.variables, tape.gradient(loss, part.variables)):
                variable.assign_sub(lr * gradient)
    return model
"""

ALTERNATIVES = {
    "pytorch": {"freezing": PYTORCH_FREEZING, "cached": PYTORCH_CACHED},
    "keras": {"fit": KERAS_FIT, "cached": KERAS_CACHED},
}
MESSAGES = {
    "random-head-first": _(
        "while the head knows nothing, its gradients push the whole backbone about at the high rate; that a gentle "
        "phase for the head follows comes too late"
    ),
    "one-high-rate": _("the order is right, but the second phase moves pretrained weights at a new head's rate"),
    "one-low-rate": _("at the low rate the head is still close to random when the backbone's turn comes"),
    "gentle-only": _("all parameters move from the first step, gently: the backbone still follows a random head"),
    "probe-only": _("the backbone never moves: that is a linear probe"),
    "backbone-alone": _("in the second phase the head stands still while the features move away below it"),
    "backbone-first": _("the backbone is trained first, against a head that knows nothing"),
    "rates-swapped": _("each phase runs at the other one's rate"),
    "only-together": _("one of the two phases is missing"),
}


def phases(*given: tuple[str, str]) -> str:
    """The code of these phases: which parameters, and which rate."""
    return "".join(f"    train(model, {part}, x, y, num_steps, {lr})\n" for part, lr in given)


def variant(framework: str, probe: Probe) -> Variant:
    """A framework's variant; starter and mistakes are other phases than the reference's."""
    reference = {"pytorch": PYTORCH, "keras": KERAS}[framework]
    head, backbone, both = HEAD_OF[framework], BACKBONE_OF[framework], ALL_OF[framework]
    right = phases((head, "head_lr"), (both, "backbone_lr"))
    wrong = {
        "random-head-first": ((both, "head_lr"), (head, "backbone_lr")),
        "one-high-rate": ((head, "head_lr"), (both, "head_lr")),
        "one-low-rate": ((head, "backbone_lr"), (both, "backbone_lr")),
        "gentle-only": ((both, "backbone_lr"), (both, "backbone_lr")),
        "probe-only": ((head, "head_lr"), (head, "backbone_lr")),
        "backbone-alone": ((head, "head_lr"), (backbone, "backbone_lr")),
        "backbone-first": ((backbone, "backbone_lr"), (head, "head_lr")),
        "rates-swapped": ((head, "backbone_lr"), (both, "head_lr")),
        "only-together": ((both, "backbone_lr"),),
    }
    edits = {name: ((right, phases(*given)),) for name, given in wrong.items()}
    starter = reference.replace(*edits["random-head-first"][0])
    mistakes = {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
    return Variant(reference, probe, ALTERNATIVES[framework], mistakes, starter)
