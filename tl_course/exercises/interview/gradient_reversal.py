"""Gradient reversal: the identity forward, the turned gradient backward."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _gradient_reversal_code as code
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """A small domain-adversarial loss, a strength of 0, two strengths in one loss, and features without gradient."""

    def case(name: str, strengths: tuple[float, float], *criteria: str) -> Case:
        drawn = {
            "x": rng.normal(size=(5, 3)),
            "backbone": rng.normal(size=(3, 4)),
            "domain": rng.normal(size=(4, 2)),
            "label": rng.normal(size=(4, 6)),
        }
        arrays = {name: value.astype(np.float32) for name, value in drawn.items()}
        return Case(name, {**arrays, "first": strengths[0], "second": strengths[1]}, criteria)

    one, other = float(rng.uniform(0.2, 0.8)), float(rng.uniform(1.5, 3))
    return [
        case("one strength", (other, other), "forward", "backward", "after"),
        case("two strengths", (one, other), "each"),
        case("strength 0", (0.0, one), "each"),
    ]


def expected(inputs: dict[str, Plain]) -> dict[str, np.ndarray]:
    """Features and gradients in closed form. The loss is half the sum of squares of four linear outputs.

    The features go into the labels' head directly, and twice into the domain head: reversed at the first and at the
    second strength.
    """
    x, backbone, domain, label = (inputs[name].astype(np.float64) for name in ("x", "backbone", "domain", "label"))
    features = x @ backbone
    by_domain, by_label = features @ domain @ domain.T, features @ label @ label.T
    arriving = by_label - (inputs["first"] + inputs["second"]) * by_domain
    return {
        "features": features,
        "backbone": x.T @ arriving,
        "domain": 2 * features.T @ features @ domain,
        "label": features.T @ features @ label,
    }


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the values bit for bit and the gradients with the closed form."""
    right, name = expected(case.inputs), "backward" if "backward" in case.criteria else "each"
    what = _("the gradient of the backbone's weights, {case}").format(case=case.name)
    found = [close(name, observed["backbone"], right["backbone"], what, rtol=1e-3, atol=1e-3)]
    if name == "each":
        return found
    found += [
        close("after", observed[head], right[head], _("the gradient of the {head} head").format(head=head), 1e-3, 1e-3)
        for head in ("domain", "label")
    ]
    exact = _("the values that come out are not bit for bit those that went in")
    kept = _("the features were changed")
    alone = _("features without a gradient to work out did not come through unchanged")
    return [
        *found,
        close("forward", observed["out"], right["features"], _("the values that come out"), rtol=1e-3, atol=1e-4),
        holds("forward", observed["exact"], exact),
        holds("forward", observed["kept"], kept),
        holds("forward", observed["alone"], alone),
    ]


def probe_pytorch(candidate, inputs):
    """What comes out of the layer, and the gradients of a loss with two reversals in it."""
    import torch

    x = torch.tensor(inputs["x"])
    weights = {name: torch.tensor(inputs[name], requires_grad=True) for name in ("backbone", "domain", "label")}
    features = x @ weights["backbone"]
    before = as_array(features)
    first, second = candidate(features, inputs["first"]), candidate(features, inputs["second"])
    parts = [first @ weights["domain"], second @ weights["domain"], features @ weights["label"]]
    torch.cat(parts, dim=1).square().sum().div(2).backward()
    gradients = {name: as_array(torch.zeros_like(w) if w.grad is None else w.grad) for name, w in weights.items()}
    out, alone = as_array(first), as_array(candidate(x, inputs["first"]))
    exact, kept = np.array_equal(out, before), np.array_equal(as_array(features), before)
    return {"out": out, "exact": exact, "kept": kept, "alone": np.array_equal(alone, inputs["x"]), **gradients}


def probe_keras(candidate, inputs):
    """What comes out of the layer, and the gradients of a loss with two reversals in it, in compiled code."""
    import tensorflow as tf

    x = tf.constant(inputs["x"])
    weights = {name: tf.Variable(inputs[name]) for name in ("backbone", "domain", "label")}

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            features = x @ weights["backbone"]
            first, second = candidate(features, inputs["first"]), candidate(features, inputs["second"])
            parts = [first @ weights["domain"], second @ weights["domain"], features @ weights["label"]]
            loss = tf.reduce_sum(tf.concat(parts, axis=1) ** 2) / 2
        gradients = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return features, first, gradients

    features, first, gradients = step()
    out, alone = as_array(first), as_array(candidate(x, inputs["first"]))
    exact = np.array_equal(out, as_array(features))
    found = {name: as_array(gradient) for name, gradient in gradients.items()}
    return {"out": out, "exact": exact, "kept": True, "alone": np.array_equal(alone, inputs["x"]), **found}


EXERCISE = Exercise(
    id="gradient-reversal",
    title=_("A layer that turns the gradient round"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A domain-adversarial network (DANN) has a backbone, a label head and a domain head behind a gradient reversal "
        "layer. Write it as a function `reverse_gradient(x, strength)`: forward, x bit for bit; backward, -strength "
        "times the gradient that arrives. The heads' own gradients stay ordinary. Several calls with different "
        "strengths in one loss must not disturb each other, strength 0 is allowed, and features without gradient pass "
        "unchanged."
    ),
    hints=(
        _("No ordinary function has this derivative: the backward pass has to be stated on its own."),
        _("Both frameworks let you define forward and backward together; look for a custom gradient."),
        _("Forward returns a copy, backward returns -strength times what arrives; take strength from the call itself."),
    ),
    follow_ups=(
        FollowUp(
            _("What does the backbone minimise here, and what the domain head?"),
            _(
                "The domain head minimises the domain loss; the backbone minimises the label loss less lambda times "
                "the domain loss. It is a saddle point, found by one optimiser in one pass, not by alternating as "
                "in a GAN."
            ),
        ),
        FollowUp(
            _("Why is lambda usually raised from 0 during training?"),
            _(
                "At first the domain head is random and its gradient noise. Ganin et al. (2016) raise lambda as "
                "2 / (1 + exp(-10 p)) - 1 with the training's progress p, so the label loss shapes the features first."
            ),
        ),
        FollowUp(
            _("The domain head is perfect from the first steps on. What happens to the reversed gradient?"),
            _(
                "Where the cross-entropy is near 0 its gradient vanishes, so the backbone gets no signal just where "
                "the domains are furthest apart. A weaker or smoothed domain head, training it less, or a Wasserstein "
                "critic helps. Near-chance accuracy may also mean that the head is too weak: check with a fresh one."
            ),
        ),
    ),
    complexity=_(
        "O(S) time for S entries, forward and backward; O(S) memory for the copy, none where a view is taken."
    ),
    criteria={
        "forward": Criterion(_("returns the values bit for bit"), needs=("backward",)),
        "backward": Criterion(_("hands on -strength times the gradient"), weight=2),
        "after": Criterion(_("leaves the gradients of the heads as they are"), needs=("backward",)),
        "each": Criterion(_("keeps the strengths of several calls apart, 0 included")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"detach": code.PYTORCH_DETACH, "hook": code.PYTORCH_HOOK},
            mistakes=code.mistakes("pytorch"),
            equivalent={"return features": "autograd makes a view of an input that comes back as it is"},
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"stop_gradient": code.KERAS_STOP, "tensorflow": code.KERAS_TENSORFLOW},
            mistakes=code.mistakes("keras"),
            equivalent={"return (features, backward)": "TensorFlow makes a tensor of its own of what comes back"},
        ),
    },
)
