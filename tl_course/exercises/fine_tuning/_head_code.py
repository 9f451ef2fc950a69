"""The code of the exercise on replacing a head: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import copy

from torch import nn


def replace_head(model: nn.Module, num_classes: int) -> nn.Module:
    """A copy of a classifier for a target task with other classes.

    Args:
        model: a classifier for images (N, C, H, W). Its last linear layer is its head, whatever it is called ("fc",
            "classifier.3", "heads.head") and however deep it lies.
        num_classes: number of classes of the target task.

    Returns:
        A copy whose head is a fresh linear layer with bias: it returns logits (N, num_classes). All else is as before;
        the model given is not changed and shares no parameters with the copy.
    """
    copied = copy.deepcopy(model)
    name, head = [(name, part) for name, part in copied.named_modules() if isinstance(part, nn.Linear)][-1]
    copied.set_submodule(name, nn.Linear(head.in_features, num_classes))
    return copied
'''

PYTORCH_NAMES = """
import copy

from torch import nn


def replace_head(model, num_classes):
    new = copy.deepcopy(model)
    if hasattr(new, "fc"):
        new.fc = nn.Linear(new.fc.in_features, num_classes)
    elif hasattr(new, "classifier"):
        new.classifier[-1] = nn.Linear(new.classifier[-1].in_features, num_classes)
    else:
        new.heads.head = nn.Linear(new.heads.head.in_features, num_classes)
    return new
"""

PYTORCH_RECURSION = """
import copy

import torch
from torch import nn


def replace_head(model, num_classes):
    def replace(module):
        for name, child in reversed(list(module.named_children())):
            if isinstance(child, nn.Linear):
                setattr(module, name, nn.Linear(child.weight.shape[1], num_classes))
                nn.init.zeros_(getattr(module, name).bias)
                return True
            if replace(child):
                return True
        return False

    result = copy.deepcopy(model)
    replace(result)
    return result
"""

KERAS = '''
import keras


def replace_head(model: keras.Model, num_classes: int) -> keras.Model:
    """A copy of a classifier for a target task with other classes.

    Args:
        model: a functional classifier for images (N, H, W, C). Its last Dense layer is its head; softmax may be part
            of it or follow as a layer of its own.
        num_classes: number of classes of the target task.

    Returns:
        A copy whose head is a fresh Dense layer with bias: it returns logits (N, num_classes). What lies before the
        head is as before; the model given is not changed and shares no weights with the copy.
    """
    copied = keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    head = [layer for layer in copied.layers if isinstance(layer, keras.layers.Dense)][-1]
    return keras.Model(copied.input, keras.layers.Dense(num_classes)(head.input))
'''

KERAS_EXTRACTOR = """
import keras


def replace_head(model, num_classes):
    place = max(i for i, layer in enumerate(model.layers) if type(layer).__name__ == "Dense")
    below = keras.Model(model.inputs, model.layers[place].input)
    extractor = keras.models.clone_model(below)
    extractor.set_weights(below.get_weights())
    return keras.Sequential([extractor, keras.layers.Dense(num_classes, activation="linear")])
"""

KERAS_CONFIG = """
import keras


def replace_head(model, num_classes):
    copied = keras.Model.from_config(model.get_config())
    for old, new in zip(model.variables, copied.variables):
        new.assign(old)
    for layer in reversed(copied.layers):
        if isinstance(layer, keras.layers.Dense):
            logits = keras.layers.Dense(num_classes, kernel_initializer="zeros")(layer.input)
            return keras.Model(copied.input, logits)
"""

MESSAGES = {
    "in-place": _("the model given is changed, or will be as soon as the copy is trained: they share parameters"),
    "stacked": _("the new layer stands on the old classes' scores: it sees a few numbers per image, not the features"),
    "probabilities": _("softmax is part of the result; losses expect logits and would apply it a second time"),
    "not-fresh": _("the new head starts with the old one's weights, which stand for other classes"),
    "no-bias": _("the new head has no bias"),
    "new-backbone": _("the backbone has lost its pretrained weights: only the architecture was copied"),
    "frozen": _("the backbone is frozen; replacing a head and freezing are two decisions"),
    "first-linear": _("the first linear layer was taken for the head, and not the last"),
    "only-fc": _("only a head with one particular name is found"),
    "whole-block": _("more than the head was replaced: layers before it, such as Dropout, are gone"),
}
FIND, NEW = "[-1]\n    copied", "nn.Linear(head.in_features, num_classes)"
RESET = """    for part in copied.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
"""
WHOLE = """[-1]
    name = name.split(".")[0]
    head = [part for part in copied.get_submodule(name).modules() if isinstance(part, nn.Linear)][0]
    copied"""
TORCH_EDITS = {
    "in-place": (("copy.deepcopy(model)", "model"),),
    "stacked": (
        (
            "    copied.set_submodule",
            "    return nn.Sequential(copied, nn.Linear(head.out_features, num_classes))\n    copied.set_submodule",
        ),
    ),
    "probabilities": (("return copied", "return nn.Sequential(copied, nn.Softmax(dim=1))"),),
    "not-fresh": (
        (
            "    return copied",
            "    rows = min(num_classes, head.out_features)\n"
            "    copied.get_submodule(name).weight.data[:rows] = head.weight.data[:rows]\n"
            "    return copied",
        ),
    ),
    "no-bias": ((NEW, NEW.replace("classes)", "classes, bias=False)")),),
    "new-backbone": (("    return copied", RESET + "    return copied"),),
    "frozen": (("copy.deepcopy(model)", "copy.deepcopy(model).requires_grad_(False)"),),
    "first-linear": ((FIND, FIND.replace("-1", "0")),),
    "only-fc": (("copied.set_submodule(name,", "setattr(copied, 'fc',"),),
    "whole-block": ((FIND, WHOLE),),
}
CLONE = "    copied = keras.models.clone_model(model)\n    copied.set_weights(model.get_weights())\n"
RETURN = "keras.Model(copied.input, keras.layers.Dense(num_classes)(head.input))"
KERAS_EDITS = {
    "in-place": ((CLONE, "    copied = model\n"),),
    "stacked": (("(head.input)", "(copied.output)"),),
    "probabilities": (("Dense(num_classes)", "Dense(num_classes, activation='softmax')"),),
    "not-fresh": (
        (
            f"    return {RETURN}",
            f"    new = {RETURN}\n"
            "    kernel, (old, bias) = new.layers[-1].get_weights()[0], head.get_weights()\n"
            "    rows = min(num_classes, old.shape[1])\n"
            "    kernel[:, :rows] = old[:, :rows]\n"
            "    new.layers[-1].kernel.assign(kernel)\n"
            "    return new",
        ),
    ),
    "no-bias": (("Dense(num_classes)", "Dense(num_classes, use_bias=False)"),),
    "new-backbone": (("    copied.set_weights(model.get_weights())\n", ""),),
    "frozen": ((CLONE, CLONE + "    copied.trainable = False\n"),),
    "first-linear": (("[-1]", "[0]"),),
    "whole-block": (("(head.input)", "(copied.layers[1].output)"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
