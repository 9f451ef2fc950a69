"""The code of the exercise on freezing a backbone: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
from torch import nn


def freeze_backbone(model: nn.Module) -> nn.Module:
    """Freeze the backbone in place: its parameters and its BatchNorm statistics, for good.

    Args:
        model: has `backbone`, with BatchNorm somewhere inside, and `head`.

    Returns:
        The model. Whenever it runs, even after `model.train()`, every BatchNorm in the backbone uses its running
        statistics and leaves them as they are. The head is as trainable as before and follows the model's mode.
    """

    def rest(module, inputs):
        module.eval()

    backbone = model.backbone.requires_grad_(False)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(rest)
    return model
'''

PYTORCH_WHOLE = """
def freeze_backbone(model):
    for parameter in model.backbone.parameters():
        parameter.requires_grad = False

    def rest(module, inputs):
        module.train(False)

    model.backbone.register_forward_pre_hook(rest)
    return model
"""

PYTORCH_TRAIN = """
from torch import nn


class Frozen(nn.BatchNorm2d):
    def train(self, mode=True):
        return super().train(False)


def freeze_backbone(model):
    model.backbone.requires_grad_(False)
    for module in model.backbone.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = Frozen
            module.train()
    return model
"""

KERAS = '''
import keras


def freeze_backbone(model: keras.Model) -> keras.Model:
    """Freeze the backbone in place: its weights and its BatchNorm statistics.

    Args:
        model: has the layers "backbone", with BatchNorm inside, and "head".

    Returns:
        The model, to be compiled by the caller. In training every BatchNorm in the backbone uses its moving averages
        and leaves them as they are. The head is as trainable as before.
    """
    frozen = model.get_layer("backbone")
    frozen.trainable = False
    return model
'''

KERAS_LAYERS = """
def freeze_backbone(model):
    for layer in model.layers:
        if layer.name == "backbone":
            for inner in layer.layers:
                inner.trainable = False
    return model
"""

KERAS_RECURSION = """
def freeze_backbone(model):
    def rest(layer):
        layer.trainable = False
        for inner in getattr(layer, "layers", []):
            rest(inner)

    (backbone,) = [layer for layer in model.layers if layer.name == "backbone"]
    rest(backbone)
    return model
"""

MESSAGES = {
    "statistics-free": _("the parameters are frozen, but each batch still changes what the backbone does"),
    "evaluation-once": _("inference mode was switched on once, and the next `model.train()` switches it off again"),
    "parameters-free": _("the statistics are frozen, and the parameters go on learning"),
    "norm-learns": _("the convolutions are frozen, and the scales and shifts of BatchNorm go on learning"),
    "only-norm": _("BatchNorm is frozen as a whole, and the convolutions go on learning"),
    "all-frozen": _("the head is frozen as well, so nothing can learn"),
    "head-frozen": _("the wrong part is frozen: the head rests and the backbone learns"),
    "head-rests": _("the head is kept in inference mode too, which switches off its Dropout"),
    "batch-statistics": _(
        "the running statistics stay as they are, but they are not used: each batch is normalised with its own"
    ),
}
NORMS = "        if isinstance(module, nn.BatchNorm2d):\n"
HOOK = "            module.register_forward_pre_hook(rest)\n"
FROZEN = "    backbone = model.backbone.requires_grad_(False)\n"
TORCH_EDITS = {
    "statistics-free": (("        module.eval()", "        pass"),),
    "parameters-free": ((FROZEN, "    backbone = model.backbone\n"),),
    "norm-learns": ((HOOK, HOOK + "            module.requires_grad_(True)\n"),),
    "only-norm": (
        (FROZEN, "    backbone = model.backbone\n"),
        (HOOK, HOOK + "            module.requires_grad_(False)\n"),
    ),
    "all-frozen": ((FROZEN, "    backbone = model.requires_grad_(False).backbone\n"),),
    "head-frozen": ((FROZEN, "    backbone = model.head.requires_grad_(False)\n"),),
    "head-rests": (("    return model\n", "    model.register_forward_pre_hook(rest)\n    return model\n"),),
    "batch-statistics": ((HOOK, "            module.momentum = 0.0\n"),),
}
LINE = '    frozen = model.get_layer("backbone")\n    frozen.trainable = False\n'
EACH = '    for layer in model.get_layer("backbone").layers:\n'
VARIABLES = "    for variable in model.get_layer('backbone').trainable_variables:\n        variable.trainable = False\n"
KERAS_EDITS = {
    "statistics-free": ((LINE, VARIABLES),),
    "norm-learns": ((LINE, EACH + '        layer.trainable = "batch" in layer.name\n'),),
    "only-norm": ((LINE, EACH + '        layer.trainable = "batch" not in layer.name\n'),),
    "all-frozen": ((LINE, "    model.trainable = False\n"),),
    "head-frozen": ((LINE, LINE.replace("backbone", "head")),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    if framework == "pytorch":
        source = PYTORCH[: PYTORCH.index("    def rest")] + FROZEN + "    model.backbone.eval()\n    return model\n"
        found["evaluation-once"] = Mistake(MESSAGES["evaluation-once"], source=source)
    return found
