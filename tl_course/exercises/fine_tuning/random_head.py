"""Find the fault: the new head and the backbone learn together, fast, from the first step."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain
from tl_course.exercises.engine.plain import NotPlain
from tl_course.exercises.fine_tuning._random_head_code import variant
from tl_course.exercises.fine_tuning._two_layers import (
    BACKBONE,
    HEAD,
    Momentum,
    Weights,
    draw_batch,
    draw_weights,
    keras_model,
    keras_weights,
    torch_model,
    torch_weights,
)
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Both phases; and each of them with the other one's rate at 0."""
    weights = draw_weights(rng)
    weights["head_kernel"] = weights["head_kernel"] * 3
    inputs = {"weights": weights, "batch": draw_batch(rng, 11), "num_steps": int(rng.integers(3, 5))}
    rates = {"head_lr": float(rng.uniform(0.8, 1.2)), "backbone_lr": float(rng.uniform(0.05, 0.1))}
    return [
        Case("both phases", {**inputs, **rates}, ("both", "features")),
        Case("backbone_lr 0", {**inputs, **rates, "backbone_lr": 0.0}, ("head",)),
        Case("head_lr 0", {**inputs, **rates, "head_lr": 0.0}, ("gentle",)),
    ]


def _features(weights: Weights, x: np.ndarray) -> np.ndarray:
    return np.maximum(x @ weights["hidden_kernel"] + weights["hidden_bias"], 0)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with both phases calculated step by step, and say how far the features moved."""
    inputs, after = case.inputs, observed["weights"]
    right = Momentum(inputs["weights"])
    for lr, trained in ((inputs["head_lr"], HEAD), (inputs["backbone_lr"], (*BACKBONE, *HEAD))):
        for _step in range(inputs["num_steps"]):
            right.step(inputs["batch"], lr, trained)
    criterion, x = case.criteria[0], inputs["batch"]["x"]
    found = [close(criterion, after[name], right.weights[name], name) for name in right.weights]
    if criterion != "both":
        return found
    before, moved, least = (_features(weights, x) for weights in (inputs["weights"], after, right.weights))
    yours, wanted = (float(np.linalg.norm(now - before) / np.linalg.norm(before)) for now in (moved, least))
    text = _("training moved the backbone's features by {yours:.0%} of their size; {wanted:.0%} is enough here")
    near = np.isfinite(yours) and wanted / 2 < yours < wanted * 2
    return [holds("features", near, text.format(yours=yours, wanted=wanted)), *found]


def _run(candidate, model, x, y, inputs) -> None:
    if candidate(model, x, y, inputs["num_steps"], inputs["head_lr"], inputs["backbone_lr"]) is not model:
        raise NotPlain(_("the model itself was expected back"))


def probe_pytorch(candidate, inputs):
    """Fine-tune and look at the weights."""
    import torch

    model = torch_model(inputs["weights"])
    _run(candidate, model, torch.tensor(inputs["batch"]["x"]), torch.tensor(inputs["batch"]["y"]), inputs)
    return {"weights": torch_weights(model)}


def probe_keras(candidate, inputs):
    """Fine-tune and look at the weights."""
    model = keras_model(inputs["weights"])
    _run(candidate, model, inputs["batch"]["x"], inputs["batch"]["y"], inputs)
    return {"weights": keras_weights(model)}


EXERCISE = Exercise(
    id="random-head",
    title=_("Worse than its own linear probe"),
    lesson="04_fine_tuning_images",
    kind="find-the-fault",
    minutes=12,
    difficulty=4,
    points=5,
    statement=_(
        "A fine-tuned model fits its training images perfectly. In production, on images from another camera, it is "
        "worse than a linear probe on the untouched backbone; its features have moved far. `train` is right. Find the "
        "fault in `fine_tune`, fix it, and prove it. Keep two phases of `num_steps` steps of plain SGD, with one rate "
        "per phase: `head_lr` in one, `backbone_lr` in the other, and every parameter moves in the phase at "
        "`backbone_lr`. Return the model."
    ),
    hints=(
        _("In the first steps, how good are the gradients that reach the backbone, and what are they multiplied by?"),
        _("What the backbone receives passes through the head. Which state of the head would you want before that?"),
        _(
            "One phase should leave the backbone alone until the head fits its features. Which of the two, at which "
            "rate?"
        ),
    ),
    follow_ups=(
        FollowUp(
            _(
                "Why can full fine-tuning be worse than a linear probe on shifted data and better on the training "
                "domain?"
            ),
            _(
                "A random head's gradients distort features in the directions the training images span and leave "
                "others as they were, so head and features agree only there (Kumar et al., 2022). Training the head "
                "first makes those gradients small: LP-FT keeps most of both benefits."
            ),
        ),
        FollowUp(
            _("Which remedies other than two phases exist?"),
            _(
                "A lower rate for the backbone, warm-up, gradual unfreezing, a penalty towards the starting weights "
                "(L2-SP), or a head initialised from class means. Averaging the fine-tuned with the zero-shot weights "
                "also helps where there is such a model."
            ),
        ),
    ),
    criteria={
        "head": Criterion(_("one phase trains the head alone, at its rate")),
        "gentle": Criterion(_("one phase trains everything, at the backbone's rate")),
        "both": Criterion(
            _("the phases come in the order that spares the backbone"), weight=2, needs=("head", "gentle")
        ),
        "features": Criterion(_("the features move, and not far"), needs=("both",)),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": variant("pytorch", probe_pytorch),
        "keras": variant("keras", probe_keras),
    },
    complexity=_(
        "2·`num_steps` steps on all N examples, with the fault and without. A step costs up to three forward passes, "
        "as it has a backward pass too; the head's phase could do with far less, were the features computed once."
    ),
)
