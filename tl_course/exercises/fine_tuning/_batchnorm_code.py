"""The code of the exercise on BatchNorm: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def train_head(model: nn.Module, batches: list[tuple[torch.Tensor, torch.Tensor]], lr: float) -> nn.Module:
    """Train a new head on a backbone that other heads share, with plain SGD, one step per batch.

    Args:
        model: has `backbone` (shared, with BatchNorm) and `head` (new); its head is trained in place.
        batches: images (n, C, H, W) and classes (n,) of each batch.
        lr: learning rate.

    Returns:
        The model. The head learned on the features that the backbone gives in use.
    """
    model.backbone.requires_grad_(False)
    model.train()
    model.backbone.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for images, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model
'''

PYTORCH_STARTER = PYTORCH.replace("    model.backbone.eval()\n", "")

PYTORCH_ONLY_NORM = """
import torch
from torch import nn


def train_head(model, batches, lr):
    model.train()
    for module in model.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for images, labels in batches:
        loss = nn.functional.cross_entropy(model(images), labels)
        parameters = list(model.head.parameters())
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
                parameter.sub_(lr * gradient)
    return model
"""

PYTORCH_CACHED = """
import torch
from torch import nn


def train_head(model, batches, lr):
    model.backbone.train(False)
    model.head.train(True)
    with torch.no_grad():
        cached = [(model.backbone(images), labels) for images, labels in batches]
    optimizer = torch.optim.SGD(model.head.parameters(), lr)
    loss_of = nn.CrossEntropyLoss()
    for features, labels in cached:
        loss = loss_of(model.head(features), labels)
        model.zero_grad()
        loss.backward()
        optimizer.step()
    return model
"""

KERAS = '''
import keras
import tensorflow as tf


def train_head(model: keras.Model, batches: list[tuple], lr: float) -> keras.Model:
    """Train a new head on a backbone that other heads share, with plain SGD, one step per batch.

    Args:
        model: has the layers "backbone" (shared, with BatchNorm) and "head" (new) and returns logits; its head is
            trained in place.
        batches: images (n, H, W, C) and classes (n,) of each batch.
        lr: learning rate.

    Returns:
        The model. The head learned on the features that the backbone gives in use.
    """
    optimizer = keras.optimizers.SGD(lr)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    backbone, head = model.get_layer("backbone"), model.get_layer("head")
    for images, labels in batches:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, head(backbone(images, training=False), training=True))
        optimizer.apply(tape.gradient(loss, head.trainable_variables), head.trainable_variables)
    return model
'''

CALL = "head(backbone(images, training=False), training=True)"
KERAS_STARTER = KERAS.replace(CALL, "model(images, training=True)").replace(
    '    backbone, head = model.get_layer("backbone"), model.get_layer("head")\n',
    '    head = model.get_layer("head")\n',
)

KERAS_TRAINABLE = """
import keras
import tensorflow as tf


def train_head(model, batches, lr):
    model.get_layer("backbone").trainable = False
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for images, labels in batches:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
        for variable, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
            variable.assign_sub(lr * gradient)
    return model
"""

KERAS_CACHED = """
import keras
import tensorflow as tf


def train_head(model, batches, lr):
    cached = [(model.layers[0].predict_on_batch(images), labels) for images, labels in batches]
    head = model.layers[1]
    optimizer = keras.optimizers.SGD(lr)
    for features, labels in cached:
        with tf.GradientTape() as tape:
            logits = head(features, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        optimizer.apply_gradients(zip(tape.gradient(loss, head.variables), head.variables))
    return model
"""

MESSAGES = {
    "statistics-move": _(
        "no parameter of the backbone moves, and yet it changes: some of what a layer knows is learned without "
        "gradients"
    ),
    "restored": _(
        "the statistics are as before, but the head was trained on features of another kind: normalised batch by batch"
    ),
    "head-in-evaluation": _("the head is in inference mode too: its Dropout would never drop anything"),
    "backbone-learns": _("the backbone's parameters are trained along with the head"),
    "accumulates": _("each batch's gradients are added to those of all batches before it"),
    "last-batch": _("only the last batch's step was taken"),
    "nothing-learned": _("the statistics are safe, but the head has not learned either"),
}
TORCH_MODES = "    model.train()\n    model.backbone.eval()\n"
LOOP = "    for images, labels in batches:\n"
TORCH_RETURN = "    return model\n"
TORCH_EDITS = {
    "restored": (
        ("    model.backbone.eval()\n", "    kept = {k: v.clone() for k, v in model.backbone.state_dict().items()}\n"),
        (TORCH_RETURN, "    model.backbone.load_state_dict(kept)\n" + TORCH_RETURN),
    ),
    "head-in-evaluation": ((TORCH_MODES, "    model.eval()\n"),),
    "backbone-learns": (("    model.backbone.requires_grad_(False)\n", ""),),
    "accumulates": (("        optimizer.zero_grad()\n", ""),),
    "last-batch": ((LOOP, "    for images, labels in batches[-1:]:\n"),),
    "nothing-learned": (("        optimizer.step()\n", ""),),
}
KERAS_RETURN = "    return model\n"
KERAS_EDITS = {
    "restored": (
        (CALL, "model(images, training=True)"),
        (LOOP, "    kept = backbone.get_weights()\n" + LOOP),
        (KERAS_RETURN, "    backbone.set_weights(kept)\n" + KERAS_RETURN),
    ),
    "head-in-evaluation": ((CALL, CALL.replace("True", "False")),),
    "backbone-learns": (
        (
            "tape.gradient(loss, head.trainable_variables), head.trainable_variables",
            "tape.gradient(loss, model.trainable_variables), model.trainable_variables",
        ),
    ),
    "last-batch": ((LOOP, "    for images, labels in batches[-1:]:\n"),),
    "nothing-learned": (("        optimizer.apply(", "        print("),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {"statistics-move": Mistake(MESSAGES["statistics-move"], source=starter), **found}
