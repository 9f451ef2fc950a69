"""Find the fault: frozen in the middle of training, the backbone goes on moving."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain
from tl_course.exercises.fine_tuning import _stale_code as code
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
    """Frozen after some batches, from the first one, and never."""
    batches = [draw_batch(rng, 7) for _batch in range(6)]
    settings = {"lr": float(rng.uniform(0.1, 0.2)), "momentum": float(rng.uniform(0.7, 0.9))}
    inputs = {"weights": draw_weights(rng), "batches": batches, **settings}
    return [
        Case("frozen on the way", {**inputs, "freeze_at": int(rng.integers(2, 4))}, ("frozen", "head")),
        Case("frozen from the start", {**inputs, "freeze_at": 0}, ("start",)),
        Case("never frozen", {**inputs, "freeze_at": 9}, ("free",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with training calculated step by step, in which the backbone's weights stay from one batch on."""
    inputs, after = case.inputs, observed["weights"]
    training = Momentum(inputs["weights"], inputs["momentum"])
    for step, batch in enumerate(inputs["batches"]):
        training.step(batch, inputs["lr"], HEAD if step >= inputs["freeze_at"] else (*BACKBONE, *HEAD))
    right = training.weights
    if case.name != "frozen on the way":
        return [close(case.criteria[0], after[name], right[name], name) for name in right]
    gap = max(float(np.abs(after[name] - right[name]).max()) for name in BACKBONE)
    text = _("frozen before batch {first}, the backbone's weights end up to {gap:.3g} away from where they were then")
    message = text.format(first=inputs["freeze_at"], gap=gap)
    found = [holds("frozen", gap < 1e-4, message)]
    return [*found, *(close("head", after[name], right[name], name) for name in HEAD)]


def _run(candidate, model, batches, inputs) -> None:
    if candidate(model, batches, inputs["freeze_at"], inputs["lr"], inputs["momentum"]) is not model:
        raise NotPlain(_("the model itself was expected back"))


def probe_pytorch(candidate, inputs):
    """Train over the batches and look at the weights."""
    import torch

    model = torch_model(inputs["weights"])
    _run(candidate, model, [(torch.tensor(b["x"]), torch.tensor(b["y"])) for b in inputs["batches"]], inputs)
    return {"weights": torch_weights(model)}


def probe_keras(candidate, inputs):
    """Train over the batches and look at the weights."""
    model = keras_model(inputs["weights"])
    _run(candidate, model, [(batch["x"], batch["y"]) for batch in inputs["batches"]], inputs)
    return {"weights": keras_weights(model)}


EXERCISE = Exercise(
    id="stale-gradients",
    title=_("Frozen, and still moving"),
    lesson="04_fine_tuning_images",
    kind="find-the-fault",
    minutes=15,
    difficulty=5,
    points=6,
    statement=_(
        "A team freezes the backbone on the way, before batch number `freeze_at` (from 0), to share it with another "
        "service. Every flag then says frozen, yet the shared features drift on, batch after batch. Find the fault in "
        "`train`, fix it, and prove it: from batch `freeze_at` on, the backbone's weights stay exactly as they are, "
        "while the head goes on learning, its momentum uninterrupted. Before that, SGD with momentum moves everything. "
        "Return the model."
    ),
    hints=(
        _("A flag decides what is computed. Something else decides what is changed: which weights does it still know?"),
        _("An optimiser moves a weight by the gradient it is given and by its memory of earlier ones. Check both."),
        _(
            "A gradient of zeros is not enough. From `freeze_at` on, the optimiser must not be given these weights at "
            "all."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("After freezing, the gradients are zero. Which parts of an optimiser can still move the weights?"),
            _(
                "Momentum coasts on earlier gradients, Adam divides its remembered average by a shrinking root, and "
                "weight decay pulls towards zero whatever the gradient is. Only a weight that the step skips stays "
                "where it is."
            ),
        ),
        FollowUp(
            _("Why does PyTorch's `zero_grad()` set gradients to None by default, and what does that change here?"),
            _(
                "None saves memory and an addition, and it tells the optimiser to skip the parameter. Zeros make it "
                "take part, with momentum and weight decay."
            ),
        ),
    ),
    criteria={
        "frozen": Criterion(_("the backbone stays exactly where it was when it was frozen"), weight=2),
        "head": Criterion(_("the head goes on learning, with its momentum"), needs=("frozen",)),
        "start": Criterion(_("a backbone frozen from the first batch never moves, and the head learns")),
        "free": Criterion(_("without freezing, everything is trained")),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"two optimisers": code.PYTORCH_TWO, "by hand": code.PYTORCH_BY_HAND},
            mistakes=code.mistakes("pytorch"),
            equivalent={"optimizer.zero_grad()": "PyTorch sets gradients to None unless told otherwise"},
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"two optimisers": code.KERAS_TWO, "by hand": code.KERAS_BY_HAND},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "Before `freeze_at` a batch costs a forward and a backward pass of everything, about three forward passes; "
        "after it little more than one, as the backward pass ends at the head. Momentum takes one more copy of the "
        "weights, the backbone's share unused later."
    ),
)
