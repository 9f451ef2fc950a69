"""Start from another model's weights, wherever they fit."""

import numpy as np

from tl_course.exercises.concepts._loading import probe_keras, probe_pytorch
from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


def load_matching(model: nn.Module, state: dict[str, torch.Tensor]) -> list[str]:
    """Copy into a model what a source state offers under the same name with the same shape.

    Args:
        model: target model; what finds no match keeps its values.
        state: the source model's `state_dict()`; may lack entries, have others and have other shapes.

    Returns:
        Names in the model's state (parameters and buffers) that were not loaded, in alphabetical order.
    """
    own = model.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))
'''

PYTORCH_COPY = """
import torch


def load_matching(model, state):
    left = []
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name in state and tuple(state[name].shape) == tuple(value.shape):
                value.copy_(state[name])
            else:
                left.append(name)
    left.sort()
    return left
"""

PYTORCH_MERGE = """
def load_matching(model, state):
    merged, left = {}, set()
    for name, value in model.state_dict().items():
        offered = state.get(name)
        use = offered is not None and offered.size() == value.size()
        merged[name] = offered if use else value
        if not use:
            left.add(name)
    model.load_state_dict(merged)
    return sorted(left)
"""

KERAS = '''
import keras


def load_matching(model: keras.Model, state: dict) -> list[str]:
    """Copy into a model what a source state offers under the same name with the same shape.

    Args:
        model: target model, built; what finds no match keeps its values.
        state: the source model's weights as NumPy arrays by `weight.path`; may lack entries, have others and have
            other shapes.

    Returns:
        Paths of the model's weights (moving statistics too) that were not loaded, in alphabetical order.
    """
    left = []
    for weight in model.weights:
        if weight.path in state and state[weight.path].shape == weight.shape:
            weight.assign(state[weight.path])
        else:
            left.append(weight.path)
    return sorted(left)
'''

KERAS_SETS = """
def load_matching(model, state):
    own = {weight.path: weight for weight in model.variables if "seed" not in weight.path}
    fitting = {path for path in own.keys() & state.keys() if list(own[path].shape) == list(state[path].shape)}
    for path in fitting:
        own[path].assign(state[path])
    return sorted(own.keys() - fitting)
"""

KERAS_LAYERS = """
def load_matching(model, state):
    missing = []
    for layer in model.layers:
        values = []
        for weight, value in zip(layer.weights, layer.get_weights()):
            offered = state.get(weight.path)
            if offered is None or offered.shape != value.shape:
                missing.append(weight.path)
                offered = value
            values.append(offered)
        layer.set_weights(values)
    missing.sort()
    return missing
"""

MESSAGES = {
    "strict": _("loading stops at the first entry that does not fit; transfer starts from what does fit"),
    "name-only": _("names are compared and shapes are not"),
    "shape-only": _("any entry of the right shape is taken, whatever its name: layers get each other's weights"),
    "same-size": _("entries with as many numbers are pressed into shape, though they mean something else"),
    "no-statistics": _(
        "only what gradients change is loaded; BatchNorm's statistics belong to the pretrained model too"
    ),
    "unused": _("this lists what the source has and the model does not use; asked is what the model did not get"),
    "loaded": _("this lists what was loaded"),
    "nothing": _("the report is right, but nothing was loaded"),
    "head-by-name": _("the head is recognised by its name, and other entries without a match are missed"),
    "unsorted": _("the names are right, but not in alphabetical order"),
}
OWN, FITS = "own = model.state_dict()", "if name in own and own[name].shape == value.shape"
LOAD, LEFT = "    model.load_state_dict(fitting, strict=False)\n", "sorted(set(own) - set(fitting))"
LOOP = """    with torch.no_grad():
        for name, value in fitting.items():
            own[name].copy_(value.reshape(own[name].shape))
"""
BY_SHAPE = "fitting = {n: v for n, o in own.items() for v in reversed(state.values()) if v.shape == o.shape}"
TORCH_EDITS = {
    "strict": ((", strict=False", ""),),
    "name-only": ((FITS, "if name in own"),),
    "shape-only": (
        (
            "fitting = {name: value for name, value in state.items() " + FITS + "}",
            BY_SHAPE,
        ),
    ),
    "same-size": ((FITS, FITS.replace("shape", "numel()")), (LOAD, LOOP)),
    "no-statistics": (
        (OWN, "own = dict(model.named_parameters())"),
        (LEFT, "sorted(set(model.state_dict()) - set(fitting))"),
    ),
    "unused": ((LEFT, "sorted(set(state) - set(fitting))"),),
    "loaded": ((LEFT, "sorted(fitting)"),),
    "nothing": ((LOAD, ""),),
    "head-by-name": ((LEFT, 'sorted(name for name in own if name.startswith("head"))'),),
    "unsorted": ((LEFT, "[name for name in own if name not in fitting]"),),
}
WEIGHTS, MATCH = "in model.weights", "if weight.path in state and state[weight.path].shape == weight.shape"
KERAS_EDITS = {
    "strict": ((MATCH, "if state[weight.path].shape == weight.shape"),),
    "name-only": ((MATCH, "if weight.path in state"),),
    "same-size": (
        (MATCH, "if weight.path in state and state[weight.path].size == weight.numpy().size"),
        ("weight.assign(state[weight.path])", "weight.assign(state[weight.path].reshape(weight.shape))"),
    ),
    "no-statistics": ((MATCH, MATCH + ' and "moving" not in weight.path'),),
    "unused": (
        (
            "return sorted(left)",
            "return sorted(state.keys() - {w.path for w in model.weights} | (set(left) & set(state)))",
        ),
    ),
    "loaded": (("return sorted(left)", "return sorted({w.path for w in model.weights} - set(left))"),),
    "nothing": (("weight.assign(state[weight.path])", "continue"),),
    "head-by-name": (
        ("return sorted(left)", 'return sorted(w.path for w in model.weights if w.path.startswith("head"))'),
    ),
    "unsorted": (("return sorted(left)", "return left"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A head with other classes; further differences: a transposed layer, one number for many, gaps and extras."""

    def layer(inputs: int, outputs: int) -> dict[str, np.ndarray]:
        return {"kernel": rng.normal(size=(inputs, outputs)), "bias": rng.normal(size=outputs)}

    def norm(width: int) -> dict[str, np.ndarray]:
        return {name: rng.uniform(0.5, 2, size=width) for name in ("gamma", "beta", "mean", "variance")}

    def flat(model: dict[str, dict[str, np.ndarray]]) -> dict[str, Plain]:
        return {
            f"{name}/{part}": value.astype(np.float32) for name, parts in model.items() for part, value in parts.items()
        }

    shapes = {"stem": (3, 4), "middle": (4, 6), "top": (6, 5), "head": (5, 2)}
    own = {name: layer(*shape) for name, shape in shapes.items()} | {"norm": norm(4)}
    classes = int(rng.integers(3, 8))
    source = {name: layer(*shape) for name, shape in shapes.items()} | {"norm": norm(4), "head": layer(5, classes)}
    rough = {**source, "middle": layer(6, 4), "aux": layer(5, 2)}
    rough["middle"]["bias"] = rng.normal(size=6)
    rough["norm"] = {name: value for name, value in rough["norm"].items() if name != "beta"}
    rough["top"] = {"kernel": rng.normal(size=(6, 5)), "bias": rng.normal(size=1)}
    every = ("loaded", "kept", "report", "source")
    return [
        Case("other head", {"model": flat(own), "state": flat(source)}, every),
        Case("other layers", {"model": flat(own), "state": flat(rough)}, every),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare every array with the one that should stand there."""
    model, state = case.inputs["model"], case.inputs["state"]
    fits = {name for name, value in model.items() if name in state and np.shape(state[name]) == np.shape(value)}
    values = observed["values"]

    def wrong(names: set[str], origin: dict[str, Plain]) -> list[str]:
        return sorted(n for n in names if not np.allclose(values[n], origin[n], atol=1e-6))

    lost, touched = wrong(fits, state), wrong(model.keys() - fits, model)
    missing = sorted(observed["names"][name] for name in model.keys() - fits)
    report = observed["report"]
    ordered = (
        _("the right names came, in another order") if isinstance(report, list) and sorted(report) == missing else ""
    )
    lists = _("{count} names were expected, among them {name}; yours: {yours}")
    listed = lists.format(count=len(missing), name=missing[0], yours=len(report))
    message = (
        ordered or listed if isinstance(report, list) else _("a list was expected, not a {kind}").format(kind=report)
    )
    first = _("{name} should have been loaded and does not hold the source's values")
    second = _("{name} finds no match and should have kept its values")
    return [
        holds("loaded", not lost, first.format(name=observed["names"][lost[0]] if lost else "")),
        holds("kept", not touched, second.format(name=observed["names"][touched[0]] if touched else "")),
        holds("report", report == missing, message),
        holds("source", observed["source kept"], _("training the model afterwards changes the source's state")),
    ]


EXERCISE = Exercise(
    id="transfer-start",
    title=_("Take over what fits"),
    lesson="01_concepts",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A target model has the source's architecture, except for its head and perhaps more. Write "
        "`load_matching(model, state)`: copy from the source's state what has the same name and the same shape, "
        "BatchNorm statistics included; all else in the model keeps its values. Return the names in the model that "
        "were not loaded, as a sorted list. Later training of the model must not change `state`."
    ),
    hints=(
        _("Go through one of the two lists of names and ask two questions of each entry."),
        _("As many numbers is not the same shape, and one number may be copied into a whole vector without complaint."),
        _("PyTorch: `load_state_dict` accepts part of a state if told so. Keras: weights have a `path` and `assign`."),
    ),
    follow_ups=(
        FollowUp(
            _("Why print what was not loaded?"),
            _(
                "A prefix such as `module.` or a renamed layer makes every name differ: nothing is loaded, no error is "
                "raised, and training from scratch goes by the name of fine-tuning. An expected list (only the head) "
                "turns that into an assertion."
            ),
        ),
        FollowUp(
            _("By chance, the target has as many classes as the source. What does this function do to the head?"),
            _(
                "It loads the source's head, whose outputs stand for other classes. That is sometimes a fine start and "
                "sometimes not, but it should be a decision: name the head and leave it out explicitly."
            ),
        ),
    ),
    criteria={
        "loaded": Criterion(_("loads what fits, statistics included"), weight=2),
        "kept": Criterion(_("leaves everything else alone"), needs=("loaded",)),
        "report": Criterion(_("names what was not loaded")),
        "source": Criterion(_("keeps the source's state independent of the model"), weight=0.5, needs=("loaded",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"copy": PYTORCH_COPY, "merge": PYTORCH_MERGE},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in TORCH_EDITS.items()},
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"sets": KERAS_SETS, "layers": KERAS_LAYERS},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in KERAS_EDITS.items()},
        ),
    },
    complexity=_(
        "O(P) time for the P numbers that are copied; matching the names takes a look-up for each. The values are "
        "written in place, so that source and target are the only two copies in memory."
    ),
)
