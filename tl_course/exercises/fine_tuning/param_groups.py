"""Its own learning rate and weight decay for every parameter."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning import _param_groups_code as code
from tl_course.i18n import _

UNSAID = 99.0  # what the probe's optimiser takes where a group says nothing
NAMES = {  # name: number of axes
    "backbone.stem kernel": 2,
    "backbone.stem bias": 1,
    "backbone.norm scale": 1,
    "backbone.norm shift": 1,
    "backbone.block bias": 1,
    "headway kernel": 2,
    "head.norm scale": 1,
    "head.norm shift": 1,
    "head.linear kernel": 2,
    "head.linear bias": 1,
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Everything trainable, and a frozen stem."""
    rates = {name: float(rng.uniform(low, 2 * low)) for name, low in (("backbone_lr", 1e-4), ("head_lr", 1e-2))}
    inputs = {**rates, "weight_decay": float(rng.uniform(0.01, 0.1)), "frozen": []}
    frozen = {**inputs, "frozen": ["backbone.stem kernel", "backbone.stem bias"]}
    return [Case("all trainable", inputs, ("once", "rates", "decay")), Case("frozen stem", frozen, ("frozen",))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare how often each parameter occurs, and its rate and decay."""
    inputs, table = case.inputs, observed["table"]
    found = {"once": True, "rates": True, "decay": True}
    texts = {
        "once": _("{name} occurs {yours:g} times, {right:g} expected"),
        "rates": _("{name} has learning rate {yours:.3g}, {right:.3g} expected"),
        "decay": _("{name} has weight decay {yours:.3g}, {right:.3g} expected"),
    }
    messages = dict.fromkeys(texts, "")
    for name, axes in NAMES.items():
        lr = inputs["head_lr" if name.startswith("head.") else "backbone_lr"]
        count = int(name not in inputs["frozen"])
        right = (count, lr, inputs["weight_decay"] * (axes > 1))
        for part, yours, wanted in zip(texts, map(float, table[name]), right, strict=True):
            compared = part == "once" or (count and table[name][0])
            if compared and found[part] and not np.isclose(yours, wanted, rtol=1e-5, atol=1e-12):
                text = texts[part] if yours != UNSAID else _("your groups do not say it for {name}")
                found[part], messages[part] = False, text.format(name=name, yours=yours, right=wanted)
    extra = _("there are entries that belong to no parameter of the model")
    if case.name == "frozen stem":
        wrong = next((part for part in found if not found[part]), "once")
        return [holds("frozen", all(found.values()), messages[wrong]), holds("frozen", not observed["extra"], extra)]
    return [*(holds(part, found[part], messages[part]) for part in found), holds("once", not observed["extra"], extra)]


def probe_pytorch(candidate, inputs):
    """What AdamW holds for each parameter of a model with a shared matrix and a layer between backbone and head."""
    from collections import OrderedDict

    import torch
    from torch import nn

    backbone = nn.Sequential(nn.Linear(5, 5), nn.LayerNorm(5), nn.Linear(5, 5))
    backbone[2].weight = backbone[0].weight
    head = nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 3))
    model = nn.Sequential(OrderedDict(backbone=backbone, headway=nn.Linear(5, 5, bias=False), head=head))
    names = dict(zip(NAMES, model.parameters(), strict=True))
    for name in inputs["frozen"]:
        names[name].requires_grad = False
    groups = candidate(model, *(inputs[name] for name in ("backbone_lr", "head_lr", "weight_decay")))
    held = [(p, g) for g in torch.optim.AdamW(groups, lr=UNSAID, weight_decay=UNSAID).param_groups for p in g["params"]]
    table = {}
    for name, parameter in names.items():
        mine = [group for other, group in held if other is parameter]
        table[name] = as_array([len(mine), *(mine[0][key] if mine else -1.0 for key in ("lr", "weight_decay"))])
    known = {id(parameter) for parameter in names.values()}
    return {"table": table, "extra": any(id(parameter) not in known for parameter, _group in held)}


def probe_keras(candidate, inputs):
    """What is found for each variable of a model with a layer between backbone and head."""
    import keras
    from keras import layers

    class Shift(layers.Layer):
        """A bias alone."""

        def build(self, input_shape):
            self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

        def call(self, inputs):
            return inputs + self.bias

    stem = layers.Dense(5, name="stem")
    backbone = keras.Sequential([stem, layers.LayerNormalization(name="norm"), Shift(name="block")], name="backbone")
    head = keras.Sequential([layers.LayerNormalization(name="last_norm"), layers.Dense(3, name="linear")], name="head")
    model = keras.Sequential([keras.Input((5,)), backbone, layers.Dense(5, use_bias=False, name="headway"), head])
    paths = dict(zip(NAMES, [variable.path for variable in model.variables], strict=True))
    stem.trainable = not inputs["frozen"]
    groups = candidate(model, *(inputs[name] for name in ("backbone_lr", "head_lr", "weight_decay")))
    if not isinstance(groups, dict):
        raise NotPlain(_("a dict from each variable's path to (learning rate, weight decay) was expected"))
    table = {}
    for name, path in paths.items():
        lr, decay = groups.get(path, (-1.0, -1.0))
        table[name] = as_array([int(path in groups), float(lr), float(decay)])
    return {"table": table, "extra": not set(groups) <= set(paths.values())}


EXERCISE = Exercise(
    id="param-groups",
    title=_("A rate for every parameter"),
    lesson="04_fine_tuning_images",
    minutes=15,
    difficulty=4,
    points=5,
    statement=_(
        "Write `param_groups(model, backbone_lr, head_lr, weight_decay)`. Each trainable parameter occurs exactly "
        "once, frozen ones nowhere. Parameters of `head` get `head_lr`, all others, wherever they are, `backbone_lr`; "
        "with two axes or more they have `weight_decay`, with fewer none. PyTorch: return dicts with params, lr and "
        "weight_decay for `torch.optim.AdamW`; parameters may be shared. Keras, which has no groups: a dict from each "
        "variable's `path` to (lr, weight_decay)."
    ),
    hints=(
        _("Begin with what the model lists as its parameters, and not with the parts you happen to know."),
        _("Two independent questions per parameter: does it belong to the head, and how many axes has it?"),
        _(
            "Remember the head's parameters (PyTorch) or paths (Keras) in a set, loop over all, skip frozen ones, "
            "decide."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why do biases and the scales of norm layers go without weight decay?"),
            _(
                "Decay limits how strongly a matrix amplifies its input; a shift amplifies nothing, and a norm's scale "
                "is at home near one, not zero. They are few parameters, so they hardly overfit."
            ),
        ),
        FollowUp(
            _("How does layer-wise decay of the learning rate extend this?"),
            _(
                "Each stage's rate is that of the stage above times a factor such as 0.75, so the most general "
                "features move least. One group per stage and kind, and the schedule multiplies all of them alike."
            ),
        ),
    ),
    criteria={
        "once": Criterion(_("holds every trainable parameter exactly once")),
        "rates": Criterion(_("gives the head its rate and everything else the backbone's"), weight=2, needs=("once",)),
        "decay": Criterion(_("decays what has two axes or more, and nothing else"), weight=2, needs=("once",)),
        "frozen": Criterion(_("leaves frozen parameters out")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"four groups": code.PYTORCH_FOUR, "modules": code.PYTORCH_MODULES},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"layers": code.KERAS_LAYERS, "update": code.KERAS_UPDATE},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(A) time and memory for A arrays of weights, once before training; no weight is copied. One PyTorch group "
        "for each array is right but slow to step through: four groups (two rates, decay or none) let the optimiser "
        "update many arrays at once."
    ),
)
