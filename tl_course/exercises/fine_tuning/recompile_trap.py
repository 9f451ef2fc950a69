"""Find the fault: the backbone is unfrozen for the second phase, and never moves."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain
from tl_course.exercises.fine_tuning._recompile_code import (
    KERAS,
    KERAS_STARTER,
    KERAS_TAPE,
    KERAS_TRAIN_ON_BATCH,
    PRINTS,
    PYTORCH,
    PYTORCH_ADD_GROUP,
    PYTORCH_ALL_FROM_THE_START,
    PYTORCH_STARTER,
    mistakes,
)
from tl_course.exercises.fine_tuning._two_layers import (
    BACKBONE,
    HEAD,
    Momentum,
    draw_batch,
    draw_weights,
    keras_model,
    keras_weights,
    torch_model,
    torch_weights,
)
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Two phases; and the same with a second phase at rate 0, which leaves what the first one did."""
    inputs = {"weights": draw_weights(rng), "batch": draw_batch(rng, 37), "num_steps": int(rng.integers(3, 5))}
    rates = {"head_lr": float(rng.uniform(0.3, 0.5)), "full_lr": float(rng.uniform(0.1, 0.2))}
    return [
        Case("two phases", {**inputs, **rates}, ("second", "trainable")),
        Case("second rate 0", {**inputs, **rates, "full_lr": 0.0}, ("first",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with both phases calculated step by step."""
    inputs = case.inputs
    right = Momentum(inputs["weights"])
    for lr, trained in ((inputs["head_lr"], HEAD), (inputs["full_lr"], (*BACKBONE, *HEAD))):
        for _step in range(inputs["num_steps"]):
            right.step(inputs["batch"], lr, trained)
    criterion = case.criteria[0]
    still = all(np.array_equal(observed["weights"][name], inputs["weights"][name]) for name in BACKBONE)
    text = _("the backbone's weights are, bit for bit, what they were before training")
    found = [holds(criterion, not (still and inputs["full_lr"]), text)]
    found += [close(criterion, observed["weights"][name], right.weights[name], name) for name in right.weights]
    if criterion == "first":
        return found
    return [*found, holds("trainable", observed["trainable"] == 4, _("some parameters are frozen at the end"))]


def _run(candidate, model, x, y, inputs) -> None:
    if candidate(model, x, y, inputs["num_steps"], inputs["head_lr"], inputs["full_lr"]) is not model:
        raise NotPlain(_("the model itself was expected back"))


def probe_pytorch(candidate, inputs):
    """Train in two phases and look at the weights."""
    import torch

    model = torch_model(inputs["weights"])
    _run(candidate, model, torch.tensor(inputs["batch"]["x"]), torch.tensor(inputs["batch"]["y"]), inputs)
    return {"weights": torch_weights(model), "trainable": sum(p.requires_grad for p in model.parameters())}


def probe_keras(candidate, inputs):
    """Train in two phases and look at the weights."""
    model = keras_model(inputs["weights"])
    _run(candidate, model, inputs["batch"]["x"], inputs["batch"]["y"], inputs)
    return {"weights": keras_weights(model), "trainable": len(model.trainable_variables)}


EXERCISE = Exercise(
    id="recompile-trap",
    title=_("Unfrozen, and nothing happens"),
    lesson="04_fine_tuning_images",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A team trains a new head, unfreezes the backbone and goes on at a lower rate. Every parameter reports that it "
        "is trainable, yet the second phase brings nothing, and the deployed backbone is bit for bit the pretrained "
        "one. Find the fault in `fine_tune`, fix it, and prove it: `num_steps` steps of plain SGD on the head alone "
        "at `head_lr`, then `num_steps` on the whole model at `full_lr`. Return the model, all of it trainable."
    ),
    hints=(
        _("Print which weights differ before and after the second phase. Then ask who is in charge of changing them."),
        _("When was the list of weights to update made, and what was trainable at that moment?"),
        _("The second phase needs its own set-up after unfreezing: a new optimiser in PyTorch, `compile` in Keras."),
    ),
    follow_ups=(
        FollowUp(
            _("A new optimiser for the second phase also forgets something. What, and does it matter?"),
            _(
                "Momentum and Adam's averages of the head start again from zero, which a short warm-up covers. In "
                "PyTorch `add_param_group` keeps them; all parameters may also be in one optimiser from the start, as "
                "a parameter whose gradient is None is skipped."
            ),
        ),
        FollowUp(
            _("How would you have found this without reading the code?"),
            _(
                "Compare a few weights of each stage before and after one step, or log the norm of each stage's "
                "update. A stage with norm 0 is frozen, whatever its flags say."
            ),
        ),
    ),
    criteria={
        "first": Criterion(_("trains the head alone in the first phase")),
        "second": Criterion(_("trains the whole model in the second phase, at its own rate"), weight=2),
        "trainable": Criterion(_("leaves every parameter trainable"), weight=0.5, needs=("second",)),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            starter=PYTORCH_STARTER,
            alternatives={"add group": PYTORCH_ADD_GROUP, "all from the start": PYTORCH_ALL_FROM_THE_START},
            mistakes=mistakes("pytorch", PYTORCH_STARTER),
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            starter=KERAS_STARTER,
            alternatives={"train on batch": KERAS_TRAIN_ON_BATCH, "tape": KERAS_TAPE},
            mistakes=mistakes("keras", KERAS_STARTER),
            equivalent={
                "model.fit(x, y, batch_size=len(x), epochs=num_steps)": PRINTS,
                "model.fit(x, y, batch_size=len(x), epochs=num_steps, verbose=1)": PRINTS,
            },
        ),
    },
    complexity=_(
        "In the first phase a step is a forward pass of the whole model and a backward pass of the head, in the second "
        "both of everything, about three forward passes. Each is taken on all N examples: in the second phase the "
        "activations of all layers must fit in memory."
    ),
)
