"""A model soup: one model from the average of several models' weights."""

from typing import Any

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _weight_soup_code as code
from tl_course.i18n import _

SHAPES = {
    "0.kernel": (3, 4),
    "0.bias": (4,),
    "1.gamma": (4,),
    "1.beta": (4,),
    "1.mean": (4,),
    "1.variance": (4,),
    "2.kernel": (4, 2),
    "2.bias": (2,),
}
STATISTICS = ("1.mean", "1.variance")
STEPS = "1.steps"  # the integer weight: PyTorch's BatchNorm counts batches, in Keras a layer of its own counts steps
TORCH = {"kernel": "weight", "gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"}


def cases(rng: np.random.Generator) -> list[Case]:
    """Three models, two models, and a single one; the first has counted far fewer steps than the others."""

    def drawn(place: int) -> dict[str, np.ndarray]:
        weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
        return {
            **weights,
            "1.variance": weights["1.variance"] ** 2 + 0.1,
            STEPS: np.array(40 * place + rng.integers(10, 30)),
        }

    everything = ("value", "statistics", "integers", "originals")
    return [
        Case("three models", {"models": [drawn(i) for i in range(3)]}, everything),
        Case("two models", {"models": [drawn(i) for i in range(2)]}, ("value",)),
        Case("a single model", {"models": [drawn(0)]}, ("single",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare each weight of the soup with the mean, and the models given with what they were."""
    models, found, soup = case.inputs["models"], [], observed["soup"]
    for name in SHAPES:
        criterion = "single" if len(models) == 1 else "statistics" if name in STATISTICS else "value"
        right = sum(model[name].astype(np.float64) for model in models) / len(models)
        what = _("the soup's {name}, {case}").format(name=name, case=case.name)
        if criterion in case.criteria:
            found.append(close(criterion, soup[name], right, what))
    if "integers" in case.criteria:
        found.append(close("integers", soup[STEPS], models[0][STEPS], _("the soup's counter"), rtol=0, atol=0))
        found.append(holds("integers", np.asarray(soup[STEPS]).dtype.kind in "iu", _("the counter is no integer now")))
    last = "single" if len(models) == 1 else "originals"
    if last in case.criteria:
        found.append(holds(last, observed["new"], _("one of the models given came back instead of a new one")))
        found.append(holds(last, observed["kept"], _("a model that you were given has other weights afterwards")))
        text = _("soup and models share memory: training the soup changes a model that you were given")
        found.append(holds(last, observed["independent"], text))
    return found


def _torch_model(weights: dict[str, np.ndarray]) -> Any:
    """A small network with BatchNorm that has these weights."""
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    model.load_state_dict({_torch_name(name): torch.tensor(value.T) for name, value in weights.items()})
    return model


def _torch_name(name: str) -> str:
    layer, part = name.split(".")
    return f"{layer}.num_batches_tracked" if name == STEPS else f"{layer}.{TORCH.get(part, part)}"


def _torch_weights(model: Any) -> dict[str, np.ndarray]:
    state = model.state_dict()
    return {name: as_array(state[_torch_name(name)]).T for name in (*SHAPES, STEPS)}


def _same(models: list[dict[str, np.ndarray]], others: list[dict[str, np.ndarray]]) -> bool:
    return all(np.array_equal(a[name], b[name]) for a, b in zip(models, others, strict=True) for name in a)


def probe_pytorch(candidate, inputs):
    """The soup's weights, and the models' afterwards, also after the soup has been changed."""
    import torch

    models = [_torch_model(weights) for weights in inputs["models"]]
    soup = candidate(list(models))
    weights, kept = _torch_weights(soup), _same([_torch_weights(m) for m in models], inputs["models"])
    with torch.no_grad():
        for value in soup.state_dict().values():
            value += 1
    independent = _same([_torch_weights(m) for m in models], inputs["models"]) or not kept
    return {"soup": weights, "new": soup not in models, "kept": kept, "independent": independent}


def _keras_models(given: list[dict[str, np.ndarray]]) -> list[Any]:
    """Small networks with BatchNorm and a counting layer that have these weights."""
    import keras

    class Counter(keras.layers.Layer):
        """Passes its input on; has an integer weight."""

        def build(self, shape):
            self.steps = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name="steps")

        def call(self, x):
            return x

    def model(weights):
        layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(), Counter(), keras.layers.Dense(2)]
        built = keras.Sequential([keras.Input((3,)), *layers])
        for layer, names in zip(layers, KERAS_LAYERS, strict=True):
            layer.set_weights([weights[name] for name in names])
        return built

    return [model(weights) for weights in given]


KERAS_LAYERS = (
    ("0.kernel", "0.bias"),
    ("1.gamma", "1.beta", "1.mean", "1.variance"),
    (STEPS,),
    ("2.kernel", "2.bias"),
)


def _keras_weights(model: Any) -> dict[str, np.ndarray]:
    pairs = zip(model.layers, KERAS_LAYERS, strict=True)
    return {name: as_array(w) for layer, names in pairs for name, w in zip(names, layer.get_weights(), strict=True)}


def probe_keras(candidate, inputs):
    """The soup's weights, and the models' afterwards, also after the soup has been changed."""
    models = _keras_models(inputs["models"])
    soup = candidate(list(models))
    weights, kept = _keras_weights(soup), _same([_keras_weights(m) for m in models], inputs["models"])
    soup.set_weights([value + 1 for value in soup.get_weights()])
    independent = _same([_keras_weights(m) for m in models], inputs["models"]) or not kept
    new = all(soup is not model for model in models)
    return {"soup": weights, "new": new, "kept": kept, "independent": independent}


EXERCISE = Exercise(
    id="weight-soup",
    title=_("A soup of fine-tuned models"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=2,
    points=4,
    statement=_(
        "Several models were fine-tuned from one pretrained start. Write `weight_soup(models)`: a new model of the "
        "same architecture whose weights are the mean over the models, BatchNorm's floating-point statistics "
        "included. Integer weights, such as a counter of batches, are those of the first model. The given models are "
        "not changed and share no memory with the soup. A single model gives an independent copy."
    ),
    hints=(
        _("A model is more than what the optimiser trains: which other tensors decide what it answers?"),
        _("Go through the models' weights side by side; make the new model from the first one's architecture."),
        _("Where the dtype is floating, take the mean over the models; else the first model's value; then load all."),
    ),
    follow_ups=(
        FollowUp(
            _("Why may weights be averaged at all here, and when does it fail?"),
            _(
                "Models fine-tuned from one start with moderate learning rates often lie in one basin: the loss stays "
                "low on the line between them. Models trained from different random starts do not, their hidden "
                "units are permuted, and the average is useless."
            ),
        ),
        FollowUp(
            _("Is the mean of BatchNorm's statistics right for the soup?"),
            _(
                "No, only a start: the soup's features are not the mean of the models' features, and the variance "
                "within the soup differs. Run some training batches through it in training mode without steps to "
                "estimate them anew, as stochastic weight averaging does (Izmailov et al., 2018)."
            ),
        ),
        FollowUp(
            _("What does a soup cost compared with an ensemble of ten models, and what is the greedy soup?"),
            _(
                "In use it costs one model, not ten. Building it needs each model's weights once, as a running mean "
                "that holds two in memory. The greedy soup adds models in order of validation accuracy and keeps those "
                "that do not lower it, at the price of one evaluation each."
            ),
        ),
    ),
    complexity=_("O(M·P) time for M models of P weights. O(P) extra memory for the soup, and M·P while stacking."),
    criteria={
        "value": Criterion(_("averages the trained weights over all models"), weight=2),
        "statistics": Criterion(_("averages the statistics of BatchNorm as well")),
        "integers": Criterion(_("keeps integer weights as they are in the first model"), needs=("value",)),
        "originals": Criterion(_("leaves the models alone and shares nothing with them"), needs=("value",)),
        "single": Criterion(_("makes an independent copy of a single model"), weight=0.5),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"side by side": code.PYTORCH_SHARES, "running mean": code.PYTORCH_RUNNING},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"assign": code.KERAS_ASSIGN, "layer by layer": code.KERAS_LAYERS},
            mistakes=code.mistakes("keras"),
        ),
    },
)
