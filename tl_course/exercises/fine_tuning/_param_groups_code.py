"""The code of the exercise on parameter groups: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
from torch import nn


def param_groups(model: nn.Module, backbone_lr: float, head_lr: float, weight_decay: float) -> list[dict]:
    """Groups of parameters for an optimiser such as AdamW.

    Args:
        model: has a `head`; whatever lies outside it counts as backbone. Some parameters may be frozen or shared.
        backbone_lr: learning rate of the backbone.
        head_lr: learning rate of the head.
        weight_decay: for parameters with two axes or more; biases and scales have none.

    Returns:
        Dicts with "params" (a list), "lr" and "weight_decay", which hold each trainable parameter exactly once.
    """
    head = set(model.head.parameters())
    groups = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            lr = head_lr if parameter in head else backbone_lr
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.append({"params": [parameter], "lr": lr, "weight_decay": decay})
    return groups
'''

PYTORCH_FOUR = """
def param_groups(model, backbone_lr, head_lr, weight_decay):
    groups = {
        (inside, matrix): {
            "params": [],
            "lr": head_lr if inside else backbone_lr,
            "weight_decay": weight_decay if matrix else 0,
        }
        for inside in (True, False)
        for matrix in (True, False)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name.startswith("head."), len(parameter.shape) >= 2]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]
"""

PYTORCH_MODULES = """
def param_groups(model, backbone_lr, head_lr, weight_decay):
    seen, groups = set(), []
    inside = list(model.head.modules())
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            groups.append(
                dict(
                    params=[parameter],
                    lr=head_lr if any(module is other for other in inside) else backbone_lr,
                    weight_decay=0.0 if parameter.dim() < 2 else weight_decay,
                )
            )
    return groups
"""

KERAS = '''
import keras


def param_groups(
    model: keras.Model, backbone_lr: float, head_lr: float, weight_decay: float
) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each variable, for an optimiser that looks them up by the variable's path.

    Args:
        model: has a layer "head"; whatever lies outside it counts as backbone. Some layers may be frozen.
        backbone_lr: learning rate of the backbone.
        head_lr: learning rate of the head.
        weight_decay: for variables with two axes or more; biases and scales have none.

    Returns:
        For each trainable variable, under its `path`: (learning rate, weight decay).
    """
    head = {variable.path for variable in model.get_layer("head").variables}
    groups = {}
    for variable in model.trainable_variables:
        lr = head_lr if variable.path in head else backbone_lr
        decay = weight_decay if variable.ndim > 1 else 0.0
        groups[variable.path] = (lr, decay)
    return groups
'''

KERAS_LAYERS = """
def param_groups(model, backbone_lr, head_lr, weight_decay):
    return {
        variable.path: [head_lr if layer.name == "head" else backbone_lr, weight_decay * (len(variable.shape) >= 2)]
        for layer in model.layers
        for variable in layer.trainable_weights
    }
"""

KERAS_UPDATE = """
def param_groups(model, backbone_lr, head_lr, weight_decay):
    head = model.get_layer("head")
    rates = {variable.path: backbone_lr for variable in model.trainable_variables}
    rates.update({variable.path: head_lr for variable in head.trainable_variables})
    flat = {variable.path for variable in model.variables if len(variable.shape) < 2}
    return {path: (lr, 0.0 if path in flat else weight_decay) for path, lr in rates.items()}
"""

LR, DECAY = "lr = head_lr if ", "decay = weight_decay if "
MESSAGES = {
    "one-rate": _("head and backbone learn at the same rate"),
    "rates-swapped": _("the pretrained part learns at the head's rate, and the head at the backbone's"),
    "by-substring": _("a part whose name merely begins like the head's was taken for the head"),
    "decays-all": _("biases and scales are pulled towards zero as well: a norm layer's scale belongs near one"),
    "decays-vectors": _("decay is where it should not be: vectors have it and matrices do not"),
    "biases-only": _("biases go without decay, but the scales of norm layers have it"),
    "frozen-too": _("frozen parameters are in it: with weight decay or momentum an optimiser may still move them"),
    "forgotten": _("what lies between backbone and head is in no group, so it never learns"),
    "head-undecayed": _("the head's matrices go without weight decay"),
}
EDITS = {
    "one-rate": (LR, "lr = backbone_lr if "),
    "decays-all": (DECAY, "decay = weight_decay if True or "),
    "decays-vectors": ("ndim > 1", "ndim <= 1"),
}
TORCH_EDITS = {
    "rates-swapped": ("parameter in head", "parameter not in head"),
    "by-substring": (
        "parameter in head",
        "any(p is parameter and n.startswith('head') for n, p in model.named_parameters())",
    ),
    "biases-only": (
        "parameter.ndim > 1",
        "not any(p is parameter and 'bias' in n for n, p in model.named_parameters())",
    ),
    "frozen-too": ("if parameter.requires_grad:", "if True:"),
    "forgotten": ("in model.parameters()", "in [*model.backbone.parameters(), *model.head.parameters()]"),
    "head-undecayed": ("parameter.ndim > 1", "parameter.ndim > 1 and parameter not in head"),
}
KERAS_EDITS = {
    "rates-swapped": ("variable.path in head", "variable.path not in head"),
    "by-substring": ("variable.path in head", "'head' in variable.path"),
    "biases-only": ("variable.ndim > 1", "'bias' not in variable.path"),
    "frozen-too": ("in model.trainable_variables", "in model.variables"),
    "forgotten": (
        "in model.trainable_variables",
        "in [v for name in ('backbone', 'head') for v in model.get_layer(name).trainable_variables]",
    ),
    "head-undecayed": ("variable.ndim > 1", "variable.ndim > 1 and variable.path not in head"),
}
TWICE = _("a shared parameter, or a part inside a part, is in two groups and would be updated twice")
TORCH_TWICE = """
from torch import nn


def param_groups(model, backbone_lr, head_lr, weight_decay):
    groups = []
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                lr = head_lr if name.startswith("head.") else backbone_lr
                decay = weight_decay if parameter.ndim > 1 else 0.0
                groups.append({"params": [parameter], "lr": lr, "weight_decay": decay})
    return groups
"""


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference, and in PyTorch a parameter in two groups."""
    edits = {**EDITS, **{"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]}
    found = {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}
    return {**found, "twice": Mistake(TWICE, source=TORCH_TWICE)} if framework == "pytorch" else found
