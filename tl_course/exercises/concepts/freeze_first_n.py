"""Freeze the first n layers of a network, BatchNorm statistics included."""

import numpy as np

from tl_course.exercises.concepts._freezing import probe_keras, probe_pytorch
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def stay_in_eval(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Runs before a frozen layer's forward pass."""
    module.eval()


def freeze_first(model: nn.Sequential, n: int) -> nn.Module:
    """Freeze the first n layers of a sequential network; the others are left to learn.

    Args:
        model: layers or blocks of layers (themselves sequential) in order, all trainable.
        n: how many of them to freeze, from 0 to all.

    Returns:
        A model with the same weights and outputs. Its first n layers have no trainable parameter, and behave in
        training as in evaluation, even after `model.train()`: their BatchNorm uses and keeps its running statistics.
    """
    for layer in model[:n]:
        layer.requires_grad_(False)
        layer.register_forward_pre_hook(stay_in_eval)
    return model
'''

PYTORCH_WRAPPER = """
from torch import nn


class Frozen(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer.requires_grad_(False)

    def train(self, mode=True):
        return super().train(False)

    def forward(self, x):
        return self.layer(x)


def freeze_first(model, n):
    return nn.Sequential(*[Frozen(layer) if i < n else layer for i, layer in enumerate(model)])
"""

PYTORCH_SPLIT = """
from torch import nn


class Split(nn.Module):
    def __init__(self, lower, upper):
        super().__init__()
        self.lower, self.upper = lower, upper
        for parameter in lower.parameters():
            parameter.requires_grad = False

    def train(self, mode=True):
        super().train(mode)
        self.lower.train(False)
        return self

    def forward(self, x):
        return self.upper(self.lower(x))


def freeze_first(model, n):
    return Split(model[:n], model[n:])
"""

KERAS = '''
import keras


def freeze_first(model: keras.Sequential, n: int) -> keras.Model:
    """Freeze the first n layers of a sequential network; the others are left to learn.

    Args:
        model: layers or blocks of layers (themselves sequential) in order, all trainable, not yet compiled.
        n: how many of them to freeze, from 0 to all.

    Returns:
        A model with the same weights and outputs. Its first n layers have no trainable weight, and their BatchNorm
        uses and keeps its moving statistics in training.
    """
    for layer in model.layers[:n]:
        layer.trainable = False
    return model
'''

KERAS_REBUILD = """
import keras


def freeze_first(model, n):
    lower, upper = keras.Sequential(model.layers[:n]), keras.Sequential(model.layers[n:])
    lower.trainable = False
    return keras.Sequential([keras.Input(model.input_shape[1:])] + [part for part in (lower, upper) if part.layers])
"""

KERAS_REVERSED = """
import keras


def freeze_first(model, n):
    position = {layer.name: i for i, layer in enumerate(model.layers)}
    model.trainable = True
    for name, i in position.items():
        model.get_layer(name).trainable = i >= n
    return model
"""

MESSAGES = {
    "statistics-move": _(
        "no parameter of the first layers learns, yet they change: numbers are updated there without any gradient, "
        "whenever a batch passes in training mode"
    ),
    "too-few": _("one layer too few is frozen"),
    "too-many": _("one layer too many is frozen"),
    "last": _("the layers next to the output are frozen, and those next to the input learn"),
    "weighted-layers": _("only layers with weights are counted: an activation is a layer of the network as well"),
    "everything": _("the whole network is frozen, so nothing is left that learns"),
    "outer-only": _("blocks hold layers of their own: their BatchNorm was overlooked"),
    "norm-left": _("BatchNorm layers are left out: their scale and shift still learn"),
    "still-batch": _("the statistics no longer move, but in training the batch's own statistics are used"),
    "all-eval": _("the layers that learn run in evaluation mode too, so their BatchNorm never adapts"),
}
HOOK, LAYERS = "        layer.register_forward_pre_hook(stay_in_eval)\n", "in model[:n]:"
OUTER_ONLY = f"        if isinstance(layer, nn.BatchNorm1d):\n    {HOOK}"
STILL = "        for module in layer.modules():\n            module.momentum = 0.0\n"
TORCH_EDITS = {
    "statistics-move": ((HOOK, ""),),
    "too-few": ((LAYERS, "in model[: max(n - 1, 0)]:"),),
    "too-many": ((LAYERS, "in model[: n + 1]:"),),
    "last": ((LAYERS, "in model[len(model) - n :]:"),),
    "weighted-layers": ((LAYERS, "in [layer for layer in model if list(layer.parameters())][:n]:"),),
    "everything": ((LAYERS, "in model:"),),
    "outer-only": ((HOOK, OUTER_ONLY),),
    "norm-left": (
        ("layer.requires_grad_(False)", "[m.requires_grad_(False) for m in layer.modules() if type(m) is nn.Linear]"),
    ),
    "still-batch": ((HOOK, STILL),),
    "all-eval": (
        (
            "    return model\n",
            "    model.register_forward_pre_hook(lambda m, x: m.eval() and None)\n    return model\n",
        ),
    ),
}
FREEZE, CHOSEN = "layer.trainable = False", "model.layers[:n]"
BY_WEIGHT = "for weight in layer.trainable_weights:\n            weight.trainable = False"
KERAS_EDITS = {
    "statistics-move": ((FREEZE, BY_WEIGHT),),
    "too-few": ((CHOSEN, "model.layers[: max(n - 1, 0)]"),),
    "too-many": ((CHOSEN, "model.layers[: n + 1]"),),
    "last": ((CHOSEN, "model.layers[len(model.layers) - n :]"),),
    "weighted-layers": ((CHOSEN, "[layer for layer in model.layers if layer.weights][:n]"),),
    "everything": ((CHOSEN, "model.layers"),),
    "outer-only": ((FREEZE, "layer.trainable = isinstance(layer, keras.Sequential)"),),
    "norm-left": ((FREEZE, "layer.trainable = isinstance(layer, keras.layers.BatchNormalization)"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """The same network with none, some and all of its six layers frozen."""

    def network() -> dict[str, Plain]:
        norms = {f"{kind}{i}": rng.uniform(0.5, 1.5, size=4) for i in (0, 1) for kind in ("gamma", "mean", "variance")}
        kernels = {
            "kernel0": rng.normal(size=(3, 4)),
            "kernel1": rng.normal(size=(4, 4)),
            "kernel2": rng.normal(size=(4, 2)),
        }
        drawn = {name: value.astype(np.float32) for name, value in {**kernels, **norms}.items()}
        return {**drawn, "x": (rng.normal(size=(8, 3)) * 2 + 1).astype(np.float32)}

    some = int(rng.integers(3, 5))
    every = ("frozen", "statistics", "rest", "outputs")
    return [
        Case("none", {**network(), "n": 0}, ("rest",)),
        Case("two", {**network(), "n": 2}, every),
        Case("some", {**network(), "n": some}, every),
        Case("all", {**network(), "n": 6}, ("frozen", "statistics", "outputs")),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Which layers moved in training, and whether frozen ones run as in evaluation."""
    inputs = case.inputs
    n = inputs["n"]
    right = _outputs(inputs)
    parameters, statistics = (np.asarray(observed[name]) for name in ("parameters", "statistics"))
    learns, counts = np.array([1, 1, 0, 1, 0, 1], bool), np.array([0, 1, 0, 1, 0, 0], bool)
    learnt = _("layer {layer} of 6 should not learn with n = {n}, and it did or still could")
    moved = _("with n = {n}, the statistics in layer {layer} of 6 moved in training")
    still = _("layer {layer} of 6 should learn as usual with n = {n}, and parts of it stayed as they were")
    bad, drift = np.flatnonzero(parameters[:n]), np.flatnonzero(statistics[:n])
    lame = n + np.flatnonzero((parameters != learns)[n:] | (statistics != counts)[n:])
    found = [
        holds("frozen", not bad.size, learnt.format(layer=bad[0] + 1 if bad.size else 0, n=n)),
        holds("statistics", not drift.size, moved.format(layer=drift[0] + 1 if drift.size else 0, n=n)),
        holds("rest", not lame.size, still.format(layer=lame[0] + 1 if lame.size else 0, n=n)),
        close("outputs", observed["outputs"], right, _("the outputs in evaluation"), atol=1e-4),
    ]
    if n == 6:
        what = _("the outputs in training mode with every layer frozen")
        found.append(close("statistics", observed["training outputs"], right, what, atol=1e-4))
    return [finding for finding in found if finding.criterion in case.criteria]


def _outputs(inputs: dict[str, Plain]) -> np.ndarray:
    """The network's outputs in evaluation, calculated in NumPy."""
    values = {name: np.asarray(value, dtype=np.float64) for name, value in inputs.items()}
    x = values["x"]
    for i in (0, 1):
        x = x @ values[f"kernel{i}"] - values[f"mean{i}"]
        x = np.maximum(x / np.sqrt(values[f"variance{i}"] + 1e-5) * values[f"gamma{i}"], 0)
    return x @ values["kernel2"]


EXERCISE = Exercise(
    id="freeze-first-n",
    title=_("The first n layers stay"),
    lesson="01_concepts",
    minutes=18,
    difficulty=4,
    points=5,
    statement=_(
        "Yosinski et al. (2014) copied the first n layers of a network, froze them and trained the rest. Write "
        "`freeze_first(model, n)` for a sequential model whose layers may be blocks of layers. It returns a model with "
        "the same outputs. In training, the first n layers stay exactly as they are: parameters and BatchNorm "
        "statistics, which they also use, even after PyTorch's `model.train()`. All other layers learn as before."
    ),
    hints=(
        _("Two kinds of numbers may change in a layer: some by gradients, some by a forward pass in training mode."),
        _("What does a layer do in evaluation mode, and who may switch it back before the next batch?"),
        _(
            "PyTorch: whatever puts a layer into evaluation mode must act at every forward pass or at every call of "
            "`train`. Keras: ask what `trainable` means for a layer and what it means for a single weight."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Yosinski saw accuracy drop when the network was cut in the middle, even on the same task. Why?"),
            _(
                "Neighbouring layers had adapted to each other (fragile co-adaptation): with the lower half frozen, "
                "gradient descent from a random upper half does not find the partner again. Fine-tuning the copied "
                "layers removes the drop."
            ),
        ),
        FollowUp(
            _("When would you let BatchNorm statistics of frozen layers move after all?"),
            _(
                "When target images have other statistics than the source's (another sensor, other colours) and "
                "batches are large: re-estimating mean and variance is a cheap adaptation without labels (AdaBN). "
                "Compare both on validation data."
            ),
        ),
    ),
    criteria={
        "frozen": Criterion(_("no parameter of the first n layers learns")),
        "statistics": Criterion(_("they keep and use their BatchNorm statistics"), weight=2, needs=("frozen",)),
        "rest": Criterion(_("all other layers learn as before"), needs=("frozen",)),
        "outputs": Criterion(_("the outputs stay the same"), weight=0.5, needs=("frozen", "rest")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"wrapper": PYTORCH_WRAPPER, "split": PYTORCH_SPLIT},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in TORCH_EDITS.items()},
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"rebuild": KERAS_REBUILD, "by name": KERAS_REVERSED},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in KERAS_EDITS.items()},
        ),
    },
    complexity=_(
        "Freezing sets a flag for each array of weights, and costs nothing more. Each training step then pays for the "
        "forward pass of all layers, but for a backward pass, gradients and optimiser state of the layers after the "
        "first n only."
    ),
)
