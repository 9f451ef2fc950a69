"""A learning rate for every layer: the nearer to the input, the lower."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

PYTORCH = '''
from torch import nn


def layer_rates(model: nn.Module, lr: float, decay: float) -> list[dict]:
    """Parameter groups with layer-wise decay of the learning rate.

    Args:
        model: has `embeddings`, `layers` (an nn.ModuleList, from the input upwards) and `head`.
        lr: the head's learning rate.
        decay: how much lower each part's rate is than that of the part above it, between 0 and 1.

    Returns:
        Groups with `params` and `lr` for an optimiser; each trainable parameter in exactly one, frozen ones in none.
    """
    parts = [model.embeddings, *model.layers, model.head]
    groups = []
    for distance, part in enumerate(reversed(parts)):
        trained = [parameter for parameter in part.parameters() if parameter.requires_grad]
        groups.append({"params": trained, "lr": lr * decay**distance})
    return [group for group in groups if group["params"]]
'''

PYTORCH_NAMES = """
def layer_rates(model, lr, decay):
    top = len(model.layers) + 1
    groups = []
    for name, parameter in model.named_parameters():
        words = name.split(".")
        level = {"embeddings": 0, "head": top}.get(words[0])
        if level is None:
            level = 1 + int(words[1])
        if parameter.requires_grad:
            groups.append({"params": [parameter], "lr": lr * decay ** (top - level)})
    return groups
"""

PYTORCH_MULTIPLY = """
def layer_rates(model, lr, decay):
    groups = []
    rate = lr
    for module in [model.head] + list(model.layers)[::-1] + [model.embeddings]:
        groups.extend(dict(params=parameter, lr=rate) for parameter in module.parameters() if parameter.requires_grad)
        rate *= decay
    return groups
"""

KERAS = '''
import keras


def layer_rates(model: keras.Model, lr: float, decay: float) -> dict[str, float]:
    """Learning rates of a model's variables, with layer-wise decay.

    Args:
        model: its `layers` are, from the input upwards, the embeddings, the layers of the encoder and the head.
        lr: the head's learning rate.
        decay: how much lower each part's rate is than that of the part above it, between 0 and 1.

    Returns:
        The rate of each trainable variable, by the variable's `path`; frozen ones do not occur.
    """
    rates = {}
    for distance, part in enumerate(reversed(model.layers)):
        for variable in part.trainable_variables:
            rates[variable.path] = lr * decay**distance
    return rates
'''

KERAS_MULTIPLY = """
def layer_rates(model, lr, decay):
    rates, rate = {}, lr
    for layer in model.layers[::-1]:
        rates.update(dict.fromkeys([weight.path for weight in layer.trainable_weights], rate))
        rate = rate * decay
    return rates
"""

KERAS_POWERS = """
import numpy as np


def layer_rates(model, lr, decay):
    powers = np.arange(len(model.layers))[::-1]
    pairs = [(layer, float(lr * decay**power)) for layer, power in zip(model.layers, powers)]
    return {v.path: rate for layer, rate in pairs for v in layer.variables if v.trainable}
"""

MESSAGES = {
    "upside-down": _("the highest rate goes to the embeddings: the most general part would move most"),
    "linear": _("the rate falls by the same amount from part to part; it should fall by the same factor"),
    "head-decayed": _("the head's rate is lowered too, so everything is one step too slow"),
    "name-prefix": _("layer 1 is found by how a name begins, and so do the names of layers 10 and 11"),
    "embeddings-forgotten": _("the embeddings are in no group: they would stay as they are"),
    "embeddings-as-first": _("the embeddings get the rate of the first layer, though they lie below it"),
    "one-rate": _("all layers of the encoder have the same rate"),
    "frozen-too": _("frozen parameters are given a rate; an optimiser with weight decay or momentum may move them"),
    "counts-frozen-out": _("a frozen layer is skipped in counting, so that the parts below it get too high a rate"),
}
TORCH_PARTS, TORCH_RATE = "[model.embeddings, *model.layers, model.head]", "lr * decay**distance"
TORCH_PREFIX = """
def layer_rates(model, lr, decay):
    groups, seen = [], set()
    prefixes = ["embeddings"] + [f"layers.{i}" for i in range(len(model.layers))] + ["head"]
    for place, prefix in enumerate(prefixes):
        found = [p for n, p in model.named_parameters() if n.startswith(prefix) and p.requires_grad and n not in seen]
        seen.update(n for n, p in model.named_parameters() if n.startswith(prefix))
        if found:
            groups.append({"params": found, "lr": lr * decay ** (len(prefixes) - 1 - place)})
    return groups
"""
KERAS_PREFIX = """
def layer_rates(model, lr, decay):
    rates = {}
    names = [layer.name for layer in model.layers]
    for variable in model.trainable_variables:
        place = next(i for i, name in enumerate(names) if variable.path.startswith(name))
        rates[variable.path] = lr * decay ** (len(names) - 1 - place)
    return rates
"""
TORCH_EDITS = {
    "upside-down": (("reversed(parts)", "parts"),),
    "linear": ((TORCH_RATE, "lr * (1 - (1 - decay) * distance)"),),
    "head-decayed": ((TORCH_RATE, "lr * decay ** (distance + 1)"),),
    "embeddings-forgotten": ((TORCH_PARTS, "[*model.layers, model.head]"),),
    "embeddings-as-first": ((TORCH_RATE, "lr * decay ** min(distance, len(parts) - 2)"),),
    "one-rate": ((TORCH_RATE, "lr * (decay if distance else 1)"),),
    "frozen-too": ((" if parameter.requires_grad]", "]"),),
    "counts-frozen-out": (
        (
            "    groups = []\n",
            "    parts = [p for p in parts if any(q.requires_grad for q in p.parameters())]\n    groups = []\n",
        ),
    ),
}
KERAS_EDITS = {
    "upside-down": (("reversed(model.layers)", "model.layers"),),
    "linear": ((TORCH_RATE, "lr * (1 - (1 - decay) * distance)"),),
    "head-decayed": ((TORCH_RATE, "lr * decay ** (distance + 1)"),),
    "embeddings-forgotten": (("reversed(model.layers)", "reversed(model.layers[1:])"),),
    "embeddings-as-first": ((TORCH_RATE, "lr * decay ** min(distance, len(model.layers) - 2)"),),
    "one-rate": ((TORCH_RATE, "lr * (decay if distance else 1)"),),
    "frozen-too": (("part.trainable_variables", "part.variables"),),
    "counts-frozen-out": (("reversed(model.layers)", "reversed([x for x in model.layers if x.trainable_variables])"),),
}
LAYERS = 12


def mistakes(edits: dict[str, tuple[tuple[str, str], ...]], prefix: str) -> dict[str, Mistake]:
    """Edits of the reference, and the one that goes by how names begin."""
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {**found, "name-prefix": Mistake(MESSAGES["name-prefix"], source=prefix)}


def cases(rng: np.random.Generator) -> list[Case]:
    """Twelve layers, all of them trainable; and some of them frozen."""
    inputs = {"lr": float(rng.uniform(1e-3, 3e-3)), "decay": float(rng.uniform(0.8, 0.9))}
    return [
        Case("all trainable", {**inputs, "frozen": []}, ("once", "rates", "bottom")),
        Case("some frozen", {**inputs, "frozen": [int(rng.integers(0, 3)), int(rng.integers(5, 9))]}, ("frozen",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the rate of each part's parameters with lr times a power of decay."""
    inputs = case.inputs
    counts, rates = np.asarray(observed["counts"]), np.asarray(observed["rates"])  # (parts, parameters of a part)
    right = inputs["lr"] * np.exp(np.log(inputs["decay"]) * (LAYERS + 1 - np.arange(LAYERS + 2)))
    wanted = np.array([place not in inputs["frozen"] for place in range(LAYERS + 2)])[:, None] * np.ones_like(counts)
    text = _("{missing} trainable parameters are missing, {double} occur twice, {frozen} frozen ones have a rate")
    text = text.format(
        missing=int((counts < wanted).sum()),
        double=int((counts > 1).sum()),
        frozen=int((counts > wanted)[wanted == 0].sum()),
    )
    once = holds("once", np.array_equal(counts, wanted) and not observed["extra"], text)
    compared = np.where(wanted == 1, rates, right[:, None])
    what = _("the rates, from the embeddings to the head")
    if case.criteria == ("frozen",):
        same = close("frozen", compared, np.repeat(right[:, None], counts.shape[1], axis=1), what, atol=1e-9)
        return [Finding("frozen", once.passed, once.message), same]
    upper = np.repeat(right[1:, None], counts.shape[1], axis=1)
    lower = close("bottom", compared[0], np.repeat(right[0], counts.shape[1]), _("the embeddings' rate"), atol=1e-9)
    return [once, close("rates", compared[1:], upper, _("the rates, from layer 0 to the head"), atol=1e-9), lower]


def probe_pytorch(candidate, inputs):
    """How often each parameter of each part occurs in the groups, and with which rate."""
    import torch
    from torch import nn

    model = nn.Module()
    model.embeddings = nn.Linear(2, 3)
    model.layers = nn.ModuleList(nn.Linear(3, 3) for _place in range(LAYERS))
    model.head = nn.Linear(3, 2)
    parts = [model.embeddings, *model.layers, model.head]
    for place in inputs["frozen"]:
        parts[place].requires_grad_(False)
    groups = candidate(model, inputs["lr"], inputs["decay"])
    held = []
    for group in torch.optim.SGD(groups, lr=9.0).param_groups:
        held += [(parameter, group["lr"]) for parameter in group["params"]]
    found = [[[rate for other, rate in held if other is p] for p in part.parameters()] for part in parts]
    known = {id(parameter) for part in parts for parameter in part.parameters()}
    return _table(found, any(id(parameter) not in known for parameter, _rate in held))


def probe_keras(candidate, inputs):
    """Which rate each variable of each part has."""
    import keras
    from keras import layers

    names = ["embeddings", *(f"layer_{place}" for place in range(LAYERS)), "head"]
    model = keras.Sequential([keras.Input((2,)), *(layers.Dense(3, name=name) for name in names)])
    for place in inputs["frozen"]:
        model.layers[place].trainable = False
    rates = candidate(model, inputs["lr"], inputs["decay"])
    if not isinstance(rates, dict):
        raise NotPlain(_("a dict from each variable's path to its learning rate was expected"))
    paths = [[variable.path for variable in part.variables] for part in model.layers]
    found = [[[rates[path]] if path in rates else [] for path in part] for part in paths]
    return _table(found, not set(rates) <= {path for part in paths for path in part})


def _table(found: list[list[list]], extra: bool) -> dict[str, Plain]:
    rates = [[float(mine[0]) if mine else -1.0 for mine in part] for part in found]
    return {
        "counts": as_array([[len(mine) for mine in part] for part in found]),
        "rates": as_array(rates),
        "extra": extra,
    }


EXERCISE = Exercise(
    id="layer-rates",
    title=_("The lower, the slower"),
    lesson="05_fine_tuning_text",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "Layer-wise decay gives the head the rate `lr` and every part below it the rate of the part above, times "
        "`decay`: first the encoder's last layer, at the end the embeddings. Write `layer_rates(model, lr, decay)`. "
        "PyTorch: return groups with `params` and `lr` for an optimiser. Keras, which has no groups: return a dict "
        "from each variable's `path` to its rate. Each trainable parameter occurs once, frozen ones do not; a frozen "
        "layer still counts as a layer."
    ),
    hints=(
        _("Make one list of all parts from the input to the head, and give each its distance from the head."),
        _("The rate depends only on this distance: 0 for the head. Which power of decay belongs to it?"),
        _("Go through the parts in reverse, counting from 0: rate = lr * decay**distance; keep what is trainable."),
    ),
    follow_ups=(
        FollowUp(
            _("With 12 layers and a decay of 0.65, how slow are the embeddings, and is it wanted?"),
            _(
                "Their rate is the head's times 0.65 to the power 13, about 0.0037, so they hardly move. With little "
                "data that is nearly freezing them, which is often right; on a distant domain with new words it is too "
                "much, and 0.9 to 0.95 (a factor of 2 to 4) is the usual range for text."
            ),
        ),
        FollowUp(
            _("How does this work together with warm-up and a decaying schedule?"),
            _(
                "The schedule multiplies every group's own rate by the same factor, so the ratios between layers stay. "
                "Setting one absolute rate for all groups at each step, as hand-written schedules do, would undo them."
            ),
        ),
    ),
    criteria={
        "once": Criterion(_("holds every trainable parameter exactly once")),
        "rates": Criterion(_("lowers the rate by the same factor from layer to layer"), weight=2, needs=("once",)),
        "bottom": Criterion(_("gives the embeddings the lowest rate"), needs=("once", "rates")),
        "frozen": Criterion(_("leaves frozen parameters out and still counts their layer"), needs=("rates",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"names": PYTORCH_NAMES, "multiplying": PYTORCH_MULTIPLY},
            mistakes=mistakes(TORCH_EDITS, TORCH_PREFIX),
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"multiplying": KERAS_MULTIPLY, "powers": KERAS_POWERS},
            mistakes=mistakes(KERAS_EDITS, KERAS_PREFIX),
        ),
    },
)
