"""Gradient times input: what each token adds to a logit, as far as the slope tells."""

import numpy as np

from tl_course.exercises.attention import _gradient_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """A model with a bend whose classes are asked about at random, and a linear one."""

    def draw(linear: bool) -> dict[str, Plain]:
        shapes = {"embeddings": (3, 5, 4), "into": (4, 6), "place": (5, 1), "out": (6, 3)}
        arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        inputs = {**arrays, "linear": linear}
        best = _logits(inputs, arrays["embeddings"]).argmax(axis=1)
        target = (best + np.arange(3)) % 3  # the predicted class and two others
        if len(set(target.tolist())) == 1:
            target[0] = (target[0] + 1) % 3
        return {**inputs, "target": target}

    return [Case("a model", draw(False), ("value", "clean")), Case("a linear model", draw(True), ("adds up", "clean"))]


def _logits(inputs: dict[str, Plain], embeddings: np.ndarray) -> np.ndarray:
    mixed = (embeddings @ inputs["into"] * inputs["place"]).sum(axis=-2)
    return (mixed if inputs["linear"] else np.tanh(mixed / 2)) @ inputs["out"]


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """The slope from small steps to both sides, times the embedding."""
    embeddings, step = inputs["embeddings"].astype(np.float64), 1e-5
    scores = np.zeros(embeddings.shape[:2])
    for text, token, feature in np.ndindex(embeddings.shape):
        move = np.zeros(embeddings.shape[1:])
        move[token, feature] = step
        up, down = (_logits(inputs, embeddings[text] + sign * move)[inputs["target"][text]] for sign in (1, -1))
        scores[text, token] += (up - down) / (2 * step) * embeddings[text, token, feature]
    return scores


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the scores; a linear model's add up to the logit; nothing is left behind."""
    right, scores = expected(case.inputs), observed["scores"]
    criterion = case.criteria[0]
    found = [close(criterion, scores, right, _("the scores, {name}").format(name=case.name), rtol=1e-3, atol=1e-4)]
    if criterion == "adds up" and not found[0].passed and scores.shape == right.shape:
        asked = _logits(case.inputs, case.inputs["embeddings"])[0, case.inputs["target"][0]]
        text = _(
            "the first text's logit is {logit:.4g}; in a linear model its scores add up to it, yours to {total:.4g}"
        )
        if abs(scores[0].sum() - asked) > 1e-3:
            found = [holds(criterion, False, text.format(logit=asked, total=scores[0].sum()))]
    return [
        *found,
        holds("clean", not observed["weights changed"], _("the model's weights, or their gradients, were changed")),
        holds("clean", not observed["input changed"], _("the embeddings that were passed in were changed")),
    ]


def probe_pytorch(candidate, inputs):
    """Score the tokens; look at the model's parameters and at the embeddings afterwards."""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.out = (nn.Parameter(torch.tensor(inputs[name])) for name in ("into", "out"))

        def forward(self, embeddings):
            mixed = (embeddings @ self.into * torch.tensor(inputs["place"])).sum(dim=-2)
            return (mixed if inputs["linear"] else torch.tanh(mixed / 2)) @ self.out

    model, embeddings = Model(), torch.tensor(inputs["embeddings"])
    for parameter in model.parameters():  # as after the backward pass of a training step
        parameter.grad = torch.ones_like(parameter)
    scores = as_array(candidate(model, embeddings, torch.tensor(inputs["target"])))
    same = all(np.array_equal(as_array(getattr(model, name)), inputs[name]) for name in ("into", "out"))
    kept = all(p.grad is not None and bool((p.grad == 1).all()) for p in model.parameters())
    touched = embeddings.requires_grad or not np.array_equal(as_array(embeddings), inputs["embeddings"])
    return {"scores": scores, "weights changed": not (kept and same), "input changed": bool(touched)}


def probe_keras(candidate, inputs):
    """Score the tokens; look at the model's variables afterwards."""
    import keras
    from keras import ops

    place, linear = inputs["place"], inputs["linear"]
    tokens = keras.Input((5, 4))
    into, out = (keras.layers.Dense(units, use_bias=False) for units in (6, 3))
    mixed = ops.sum(into(tokens) * place, axis=1)
    model = keras.Model(tokens, out(mixed if linear else ops.tanh(mixed / 2)))
    model.set_weights([inputs["into"], inputs["out"]])
    embeddings = ops.convert_to_tensor(inputs["embeddings"])
    scores = as_array(candidate(model, embeddings, ops.convert_to_tensor(inputs["target"])))
    pairs = zip(model.get_weights(), (inputs["into"], inputs["out"]), strict=True)
    same = all(np.array_equal(now, before) for now, before in pairs)
    touched = not np.array_equal(as_array(embeddings), inputs["embeddings"])
    return {"scores": scores, "weights changed": not same, "input changed": touched}


EXERCISE = Exercise(
    id="gradient-x-input",
    title=_("Which token speaks for it?"),
    lesson="07_attention",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Write `token_scores(classify, embeddings, target)`: gradient times input. For each text, take the slope of "
        "the logit of its class in `target` by the token embeddings, multiply it by the embeddings and add up each "
        "token's features: signed scores of shape (N, L). In a linear model without bias the scores of a text add up "
        "to its logit. Leave the model, its gradients and the embeddings as they are."
    ),
    hints=(
        _("What exactly is the slope taken of? One number for each text: not the loss, not the probability."),
        _("The texts do not influence each other, so the slope of the sum of these numbers holds every text's own."),
        _("Ask for the gradient by the embeddings only; multiply by the embeddings; sum over the last axis."),
    ),
    follow_ups=(
        FollowUp(
            _("Attention and gradient times input disagree about a text. Which one do you believe?"),
            _(
                "Neither by itself. Attention tells what one layer mixes, the gradient what an infinitely small change "
                "would do. Check with interventions: leave tokens out, or replace them, and see how far the logit "
                "moves."
            ),
        ),
        FollowUp(
            _("Where does gradient times input mislead, and what do integrated gradients change?"),
            _(
                "Where a function saturates, the slope is near zero although the token decided. Integrated gradients "
                "average the slope on the way from a baseline to the input, so that scores add up to the change of the "
                "output; they depend on the baseline."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("the slope of the asked class's logit, times the embedding"), weight=2),
        "adds up": Criterion(_("in a linear model, scores add up to the logit")),
        "clean": Criterion(_("model and embeddings are left as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"functional": code.PYTORCH_FUNCTIONAL, "one by one": code.PYTORCH_ONE_BY_ONE},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"jacobian": code.KERAS_JACOBIAN, "one-hot": code.KERAS_ONE_HOT},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "One forward and one backward pass for all tokens at once, whatever L is; leaving out each token in turn would "
        "take L + 1 forward passes. Memory: the activations that the backward pass needs, and O(N·L·D) for the slope."
    ),
)
