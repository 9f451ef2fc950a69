"""Elastic weight consolidation: hold each weight as firmly as the old task needs it."""

import numpy as np

from tl_course.exercises.concepts._helpers import keras_dense, torch_linear
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _ewc_penalty_code as code
from tl_course.i18n import _

SHAPES = ((3, 4), (4,), (4, 4), (4,), (4, 4), (4,), (4, 2), (2,))  # kernels and biases of four layers
HELD = 6  # of them belong to the old task


def cases(rng: np.random.Generator) -> list[Case]:
    """Weights that moved, weights at their start, a Fisher information of 0 in places, and nothing to hold."""

    def case(name: str, held: int, *criteria: str, away: float = 0.5) -> Case:
        start = [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]
        weights = [(w + away * rng.normal(size=w.shape)).astype(np.float32) for w in start]
        fisher = [(rng.gamma(1, size=shape) * (rng.random(shape) < 0.8)).astype(np.float32) for shape in SHAPES]
        order = [int(i) for i in rng.permutation(held)]
        arrays = {"start": start, "weights": weights, "fisher": fisher, "order": order}
        return Case(name, {**arrays, "strength": float(rng.uniform(1.5, 4))}, criteria)

    return [
        case("moved", HELD, "value", "gradient", "free", "untouched"),
        case("at the start", HELD, "start", away=0.0),
        case("nothing to hold", 0, "nothing"),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the penalty and its gradients with their closed forms."""
    inputs, value, pulls = case.inputs, 0.0, [np.zeros(shape) for shape in SHAPES]
    for i in inputs["order"]:
        gap = inputs["weights"][i].astype(np.float64) - inputs["start"][i]
        pulls[i] = inputs["strength"] * inputs["fisher"][i] * gap
        value += float((pulls[i] * gap).sum()) / 2
    what = _("the penalty, {case}").format(case=case.name)
    name = case.criteria[0]
    found = [close(name, observed["penalty"], value, what, atol=1e-4)]
    if name == "nothing":
        found.append(holds(name, observed["tensor"], _("the penalty of nothing should be a tensor as well")))
    if name == "value":
        for i, pull in enumerate(pulls):
            part = "gradient" if i < HELD else "free"
            what = _("the gradient of weight {i} of {count}").format(i=i, count=len(pulls))
            found.append(close(part, observed["gradients"][i], pull, what, rtol=1e-3, atol=1e-4))
        found.append(holds("untouched", observed["kept"], _("a weight, a start or a Fisher information was changed")))
    return found


def probe_pytorch(candidate, inputs):
    """The penalty and its gradients."""
    import torch

    layers = [torch_linear(*pair) for pair in zip(inputs["weights"][::2], inputs["weights"][1::2], strict=True)]
    model = torch.nn.Sequential(*layers)
    names = [name for name, _weight in model.named_parameters()]
    parts = [{names[i]: torch.tensor(inputs[part][i].T) for i in inputs["order"]} for part in ("start", "fisher")]
    before = [as_array(value) for value in (*model.parameters(), *parts[0].values(), *parts[1].values())]
    penalty = candidate(model, *parts, inputs["strength"])
    if getattr(penalty, "requires_grad", False):
        penalty.backward()
    after = [as_array(value) for value in (*model.parameters(), *parts[0].values(), *parts[1].values())]
    gradients = [as_array(torch.zeros_like(w) if w.grad is None else w.grad).T for w in model.parameters()]
    kept, tensor = all(map(np.array_equal, before, after)), isinstance(penalty, torch.Tensor)
    return {"penalty": as_array(penalty), "gradients": gradients, "kept": kept, "tensor": tensor}


def probe_keras(candidate, inputs):
    """The penalty and its gradients."""
    import keras
    import tensorflow as tf

    pairs = zip(inputs["weights"][::2], inputs["weights"][1::2], strict=True)
    model = keras.Sequential([keras_dense(*pair, name=f"layer_{i}") for i, pair in enumerate(pairs)])
    weights = model.trainable_weights
    start, fisher = (
        {weights[i].path: keras.ops.convert_to_tensor(inputs[part][i]) for i in inputs["order"]}
        for part in ("start", "fisher")
    )
    with tf.GradientTape() as tape:
        penalty = candidate(model, start, fisher, inputs["strength"])
    values = [weight.value for weight in weights]
    found = tape.gradient(penalty, values) if tf.is_tensor(penalty) else [None] * len(values)
    gradients = [np.zeros(v.shape) if g is None else as_array(g) for v, g in zip(values, found, strict=True)]
    kept = all(np.array_equal(as_array(v), w) for v, w in zip(values, inputs["weights"], strict=True))
    return {"penalty": as_array(penalty), "gradients": gradients, "kept": kept, "tensor": tf.is_tensor(penalty)}


EXERCISE = Exercise(
    id="ewc-penalty",
    title=_("Hold what the old task needs"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A model should learn a new task without forgetting the old one. Write the penalty of elastic weight "
        "consolidation, `ewc_penalty(model, start, fisher, strength)`: strength / 2 times the sum of Fisher "
        "information times squared distance from `start`. Both dictionaries map weight names to tensors, in any order. "
        "Weights that `fisher` does not name, such as a new head, are free. The scalar carries gradients; nothing is "
        "changed; with empty dictionaries it is 0."
    ),
    hints=(
        _("Every entry of every weight has a stiffness and a place to stay near. Where are the two kept?"),
        _("Walk through the model's weights together with their names, and look each name up."),
        _("Sum of fisher times (weight - start) squared, for the names that are there, times strength over 2."),
    ),
    follow_ups=(
        FollowUp(
            _("Where does this penalty come from, and what is approximated?"),
            _(
                "The old task's posterior is the prior of the new one. Laplace's method takes it for a Gaussian around "
                "the old optimum whose precision is the Fisher information, and only its diagonal is kept: weights "
                "count as independent, which those of a network are not."
            ),
        ),
        FollowUp(
            _("How do you estimate the diagonal, and what is the usual error?"),
            _(
                "Average the squared gradient of the log-likelihood, example by example, with labels drawn from the "
                "model's own predictions (or the true labels: the empirical Fisher, as is common). The error is to "
                "square the gradient of a batch mean: a square of a mean is not the mean of squares."
            ),
        ),
        FollowUp(
            _("Ten tasks in sequence: what does it cost, and what are the alternatives?"),
            _(
                "One start and one Fisher tensor for each task, ten times twice the model, unless the Fisher terms are "
                "summed around the latest weights (online EWC). Replaying a few stored examples or distilling the old "
                "model's outputs is often more effective."
            ),
        ),
    ),
    complexity=_("O(P) time and O(P) extra memory for P held weights; 2 P stored numbers for each old task."),
    criteria={
        "value": Criterion(_("gives the penalty's value"), weight=2),
        "gradient": Criterion(_("pulls each held weight by its own stiffness"), needs=("value",)),
        "free": Criterion(_("leaves weights without Fisher information free"), needs=("value", "gradient")),
        "start": Criterion(_("is 0 at the start"), weight=0.5, needs=("value",)),
        "nothing": Criterion(_("is 0 where there is nothing to hold"), weight=0.5, needs=("value",)),
        "untouched": Criterion(_("changes neither weights nor dictionaries"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"vectors": code.PYTORCH_VECTORS, "by name": code.PYTORCH_GET},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"vectors": code.KERAS_VECTORS, "tensorflow": code.KERAS_TENSORFLOW},
            mistakes=code.mistakes("keras"),
        ),
    },
)
