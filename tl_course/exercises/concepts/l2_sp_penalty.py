"""A penalty that pulls the backbone towards its pretrained weights and the head towards zero."""

import numpy as np

from tl_course.exercises.concepts._helpers import keras_dense, torch_linear
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def l2_sp(
    backbone: nn.Module, head: nn.Module, start: list[torch.Tensor], alpha: float, beta: float
) -> torch.Tensor:
    """L2-SP (Li et al. 2018): alpha/2 times how far the backbone is from its start, beta/2 times the head's size.

    Args:
        backbone: pretrained part; all its parameters count, biases too.
        head: new part; all its parameters count, biases too.
        start: the backbone's parameters before training, in the order of `backbone.parameters()`.
        alpha: strength for the backbone.
        beta: strength for the head.

    Returns:
        The penalty, a scalar that gradients flow through; sums of squares, no means.
    """
    drift = sum(((weight - origin) ** 2).sum() for weight, origin in zip(backbone.parameters(), start))
    size = sum((weight**2).sum() for weight in head.parameters())
    return alpha / 2 * drift + beta / 2 * size
'''

PYTORCH_VECTORS = """
import torch
from torch.nn.utils import parameters_to_vector


def l2_sp(backbone, head, start, alpha, beta):
    away = parameters_to_vector(backbone.parameters()) - torch.cat([origin.flatten() for origin in start])
    weights = parameters_to_vector(head.parameters())
    return 0.5 * (alpha * away.dot(away) + beta * weights.dot(weights))
"""

PYTORCH_LOOP = """
import torch.nn.functional as F
import torch


def l2_sp(backbone, head, start, alpha, beta):
    pairs = [(weight, start[i], alpha) for i, weight in enumerate(backbone.parameters())]
    pairs += [(weight, torch.zeros_like(weight), beta) for weight in head.parameters()]
    total = torch.zeros(())
    for weight, origin, strength in pairs:
        total = total + strength * F.mse_loss(weight, origin, reduction="sum") / 2
    return total
"""

KERAS = '''
import keras
from keras import ops


def l2_sp(backbone: keras.Model, head: keras.Model, start: list, alpha: float, beta: float):
    """L2-SP (Li et al. 2018): alpha/2 times how far the backbone is from its start, beta/2 times the head's size.

    Args:
        backbone: pretrained part; all its trainable weights count, biases too.
        head: new part; all its trainable weights count, biases too.
        start: the backbone's weights before training, tensors in the order of `backbone.trainable_weights`.
        alpha: strength for the backbone.
        beta: strength for the head.

    Returns:
        The penalty, a scalar that gradients flow through; sums of squares, no means.
    """
    drift = sum(ops.sum((weight - origin) ** 2) for weight, origin in zip(backbone.trainable_weights, start))
    size = sum(ops.sum(weight**2) for weight in head.trainable_weights)
    return alpha / 2 * drift + beta / 2 * size
'''

KERAS_VECTORS = """
from keras import ops


def l2_sp(backbone, head, start, alpha, beta):
    def flat(weights):
        return ops.concatenate([ops.reshape(weight, (-1,)) for weight in weights])

    away, weights = flat(backbone.trainable_weights) - flat(start), flat(head.trainable_weights)
    return 0.5 * (alpha * ops.dot(away, away) + beta * ops.dot(weights, weights))
"""

KERAS_LOOP = """
import keras
from keras import ops


def l2_sp(backbone, head, start, alpha, beta):
    towards_zero, total = keras.regularizers.L2(beta / 2), 0.0
    for layer_weight, origin in zip(backbone.trainable_weights, start):
        total += keras.regularizers.L2(alpha / 2)(ops.subtract(layer_weight, origin))
    for layer_weight in head.trainable_weights:
        total += towards_zero(ops.convert_to_tensor(layer_weight))
    return total
"""

MESSAGES = {
    "towards-zero": _("this is ordinary weight decay: the backbone is pulled towards zero, away from what it knows"),
    "no-head": _("nothing holds the head's weights, although they have a strength of their own"),
    "no-half": _("the factor 1/2 is missing: every gradient is twice as large as the strengths say"),
    "swapped": _("backbone and head got each other's strength"),
    "root": _("the distance is not squared: its gradient has the same length however near the start is"),
    "absolute": _("absolute values are added up, not squares: that is an L1 penalty"),
    "means": _("each tensor's mean is taken, so one weight of a large layer is hardly held"),
    "kernels-only": _("biases are left out; the pretrained ones are part of the start as well"),
    "detached": _("the number is right, but no gradient can flow through it, so it does not change the training"),
    "minus": _("the head's part is subtracted: large head weights are rewarded"),
}
TORCH_DRIFT, TORCH_SIZE = "(weight - origin) ** 2).sum()", "(weight**2).sum()"
TORCH_EDITS = {
    "towards-zero": ((TORCH_DRIFT, "weight ** 2).sum()"),),
    "no-head": ((" + beta / 2 * size", ""),),
    "no-half": (("alpha / 2", "alpha"), ("beta / 2 *", "beta *")),
    "swapped": (("alpha / 2 * drift + beta / 2", "beta / 2 * drift + alpha / 2"),),
    "root": (("* drift +", "* drift**0.5 +"), ("* size", "* size**0.5")),
    "absolute": ((TORCH_DRIFT, "weight - origin).abs()).sum()"), (TORCH_SIZE, "weight.abs().sum()")),
    "means": ((TORCH_DRIFT, "(weight - origin) ** 2).mean()"), (TORCH_SIZE, "(weight**2).mean()")),
    "kernels-only": (
        ("zip(backbone.parameters(), start)", "zip(backbone.parameters(), start) if weight.ndim > 1"),
        ("in head.parameters()", "in head.parameters() if weight.ndim > 1"),
    ),
    "detached": (("return alpha / 2 * drift + beta / 2 * size", "return (alpha * drift + beta * size).item() / 2"),),
    "minus": (("drift + beta", "drift - beta"),),
}
KERAS_DRIFT, KERAS_SIZE = "ops.sum((weight - origin) ** 2)", "ops.sum(weight**2)"
KERAS_EDITS = {
    **{name: TORCH_EDITS[name] for name in ("no-head", "no-half", "swapped", "root", "minus")},
    "towards-zero": ((KERAS_DRIFT, "ops.sum(weight ** 2)"),),
    "absolute": ((KERAS_DRIFT, "ops.sum(ops.abs(weight - origin))"), (KERAS_SIZE, "ops.sum(ops.abs(weight))")),
    "means": ((KERAS_DRIFT, "ops.mean((weight - origin) ** 2)"), (KERAS_SIZE, "ops.mean(weight**2)")),
    "kernels-only": (
        ("zip(backbone.trainable_weights, start)", "zip(backbone.trainable_weights, start) if len(weight.shape) > 1"),
        ("in head.trainable_weights", "in head.trainable_weights if len(weight.shape) > 1"),
    ),
    "detached": (("return alpha / 2 * drift + beta / 2 * size", "return float(alpha * drift + beta * size) / 2"),),
}
SYMMETRIC = "a squared distance is the same from either end"


def cases(rng: np.random.Generator) -> list[Case]:
    """A backbone that has moved, and one that has not."""

    def drawn(*shapes: tuple[int, ...]) -> list[np.ndarray]:
        return [rng.normal(size=shape).astype(np.float32) for shape in shapes]

    start = drawn((3, 4), (4,), (4, 5), (5,))
    moved = [value + 0.4 * step for value, step in zip(start, drawn((3, 4), (4,), (4, 5), (5,)), strict=True)]
    common = {"start": start, "alpha": float(rng.uniform(0.5, 0.9)), "beta": float(rng.uniform(0.1, 0.3))}
    return [
        Case("moved", {**common, "backbone": moved, "head": drawn((5, 2), (2,))}, ("value", "backbone", "head")),
        Case("at the start", {**common, "backbone": start, "head": drawn((5, 3), (3,))}, ("value", "backbone", "head")),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Value and gradients, known in closed form."""
    inputs = case.inputs
    pulls = [inputs["alpha"] * (w.astype(float) - o) for w, o in zip(inputs["backbone"], inputs["start"], strict=True)]
    decay = [inputs["beta"] * w.astype(float) for w in inputs["head"]]
    value = sum((pull**2).sum() / inputs["alpha"] for pull in pulls) + sum((d**2).sum() / inputs["beta"] for d in decay)
    kept = holds("value", observed["kept"], _("your function changed weights: it should only compute a number"))
    found = [close("value", observed["penalty"], value / 2, _("the penalty"), atol=1e-4), kept]
    for name, gradients in (("backbone", pulls), ("head", decay)):
        found += [
            close(name, seen, right, _("the gradient of the {part}'s weights").format(part=name), atol=1e-4)
            for seen, right in zip(observed[name], gradients, strict=True)
        ]
    return found


def probe_pytorch(candidate, inputs):
    """The penalty and its gradients."""
    import torch

    backbone, head = (
        torch.nn.Sequential(*[torch_linear(*pair) for pair in zip(weights[::2], weights[1::2], strict=True)])
        for weights in (inputs["backbone"], inputs["head"])
    )
    start = [torch.from_numpy(value.T.copy()) for value in inputs["start"]]
    before = [as_array(value) for value in (*backbone.parameters(), *head.parameters(), *start)]
    penalty = candidate(backbone, head, start, inputs["alpha"], inputs["beta"])
    if isinstance(penalty, torch.Tensor) and penalty.requires_grad:
        penalty.backward()
    after = [as_array(value) for value in (*backbone.parameters(), *head.parameters(), *start)]

    def gradients(module):
        return [as_array(torch.zeros_like(p) if p.grad is None else p.grad).T for p in module.parameters()]

    kept = all(map(np.array_equal, before, after))
    return {"penalty": as_array(penalty), "backbone": gradients(backbone), "head": gradients(head), "kept": kept}


def probe_keras(candidate, inputs):
    """The penalty and its gradients."""
    import keras
    import tensorflow as tf

    backbone, head = (
        keras.Sequential([keras_dense(*pair) for pair in zip(weights[::2], weights[1::2], strict=True)])
        for weights in (inputs["backbone"], inputs["head"])
    )
    start = [keras.ops.convert_to_tensor(value) for value in inputs["start"]]
    with tf.GradientTape() as tape:
        penalty = candidate(backbone, head, start, inputs["alpha"], inputs["beta"])
    parts = {"backbone": backbone.trainable_weights, "head": head.trainable_weights}
    values = [variable.value for weights in parts.values() for variable in weights]
    gradients = tape.gradient(penalty, values) if tf.is_tensor(penalty) else [None] * len(values)
    found = [np.zeros(v.shape) if g is None else as_array(g) for v, g in zip(values, gradients, strict=True)]
    kept = all(map(np.array_equal, values, (*inputs["backbone"], *inputs["head"])))
    count = len(parts["backbone"])
    return {"penalty": as_array(penalty), "backbone": found[:count], "head": found[count:], "kept": kept}


EXERCISE = Exercise(
    id="l2-sp-penalty",
    title=_("Stay near what you know"),
    lesson="01_concepts",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "Weight decay pulls weights towards zero, also those that were pretrained. Write the L2-SP penalty "
        "`l2_sp(backbone, head, start, alpha, beta)`: alpha/2 times the sum of the squared distances of the backbone's "
        "weights from `start`, plus beta/2 times the sum of the head's squared weights. Biases count. Checked are the "
        "value, the gradients of both parts, and that no weight is changed."
    ),
    hints=(
        _("Two parts, two places to be pulled to, two strengths."),
        _("`start` has the order in which the backbone lists its weights, so the two can be walked through in pairs."),
        _("Keep everything in the framework's tensors: a number taken out of them carries no gradient."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the head pulled towards zero and not towards its own start?"),
            _(
                "The head's start is random and holds no knowledge of the source, so nothing is lost by leaving it. "
                "Small weights are merely the usual prior for a new linear layer."
            ),
        ),
        FollowUp(
            _("When does L2-SP do harm?"),
            _(
                "When source and target are far apart: it holds the backbone near features that do not fit, as a "
                "learning rate that is too low would. Tune alpha on validation data and look at alpha = 0 as well."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the penalty's value"), weight=2),
        "backbone": Criterion(_("pulls the backbone's weights towards their start"), needs=("value",)),
        "head": Criterion(_("pulls the head's weights towards zero"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"vectors": PYTORCH_VECTORS, "loop": PYTORCH_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in TORCH_EDITS.items()},
            equivalent={
                "drift = sum((((weight - origin) ** 2).sum() for weight, origin in zip(start, "
                "backbone.parameters())))": SYMMETRIC
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"vectors": KERAS_VECTORS, "loop": KERAS_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in KERAS_EDITS.items()},
            equivalent={
                "drift = sum((ops.sum((weight - origin) ** 2) for weight, origin in zip(start, "
                "backbone.trainable_weights)))": SYMMETRIC
            },
        ),
    },
    complexity=_(
        "O(P) time and memory for P weights in all, little beside the forward and backward pass of a batch. What one "
        "notices is `start`: a second copy of the backbone, kept throughout training."
    ),
)
