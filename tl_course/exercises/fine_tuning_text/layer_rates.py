"""A learning rate for every layer: the nearer to the input, the lower."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text import _layer_rates_code as code
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """More than ten layers, all of them trainable; and fewer, some of them frozen."""
    inputs = {"lr": float(rng.uniform(1e-3, 3e-3)), "decay": float(rng.uniform(0.8, 0.9))}
    return [
        Case(
            "all trainable", {**inputs, "layers": int(rng.integers(11, 14)), "frozen": []}, ("once", "rates", "bottom")
        ),
        Case("some frozen", {**inputs, "layers": 6, "frozen": [int(rng.integers(0, 3)), 5]}, ("frozen",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the rate of each part's parameters with lr times a power of decay."""
    inputs = case.inputs
    counts, rates = np.asarray(observed["counts"]), np.asarray(observed["rates"])  # (parts, parameters of a part)
    parts = np.arange(inputs["layers"] + 2)
    right = inputs["lr"] * np.exp(np.log(inputs["decay"]) * (len(parts) - 1 - parts))
    wanted = ~np.isin(parts, inputs["frozen"])[:, None] * np.ones_like(counts)
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
    model.layers = nn.ModuleList(nn.Linear(3, 3) for _place in range(inputs["layers"]))
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

    names = ["embeddings", *(f"layer_{place}" for place in range(inputs["layers"])), "head"]
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
                "much. For text 0.8 to 0.95 are usual, a factor of 18 to 2 over 13 steps."
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
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"names": code.PYTORCH_NAMES, "multiplying": code.PYTORCH_MULTIPLY},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"multiplying": code.KERAS_MULTIPLY, "powers": code.KERAS_POWERS},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(A) time and memory for A arrays of weights, once before training; no weight is copied. Steps cost as much "
        "as with one rate; an optimiser only goes through one group for each part and not through one in all."
    ),
)
