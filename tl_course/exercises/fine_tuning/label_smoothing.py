"""Cross-entropy against labels that leave some room for doubt."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import torch


def smoothed_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Mean cross-entropy with smoothed labels (Szegedy et al., 2016).

    Args:
        logits: float, shape (N, K), of any size.
        labels: classes, integer, shape (N,).
        smoothing: share of the target that is spread evenly over all K classes, the true one included; in [0, 1).

    Returns:
        The mean over the batch, a scalar tensor that gradients flow through.
    """
    log_p = torch.log_softmax(logits, dim=1)  # (N, K)
    true = log_p.gather(1, labels.unsqueeze(1))  # (N, 1)
    return -((1 - smoothing) * true.mean() + smoothing * log_p.mean())
'''

PYTORCH_TARGETS = """
import torch


def smoothed_cross_entropy(logits, labels, smoothing):
    num_classes = logits.shape[-1]
    target = torch.full_like(logits, smoothing / num_classes)
    target[torch.arange(len(labels)), labels] += 1 - smoothing
    log_p = logits - logits.logsumexp(dim=-1, keepdim=True)
    return (-target * log_p).sum(dim=-1).mean()
"""

PYTORCH_BUILT_IN = """
from torch.nn import functional


def smoothed_cross_entropy(logits, labels, smoothing):
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
"""

KERAS = '''
from keras import ops


def smoothed_cross_entropy(logits, labels, smoothing: float):
    """Mean cross-entropy with smoothed labels (Szegedy et al., 2016).

    Args:
        logits: float, shape (N, K), of any size.
        labels: classes, integer, shape (N,).
        smoothing: share of the target that is spread evenly over all K classes, the true one included; in [0, 1).

    Returns:
        The mean over the batch, a scalar tensor that gradients flow through.
    """
    log_p = ops.log_softmax(logits)  # (N, K)
    true = ops.take_along_axis(log_p, ops.expand_dims(labels, 1), axis=1)  # (N, 1)
    return -((1 - smoothing) * ops.mean(true) + smoothing * ops.mean(log_p))
'''

KERAS_TARGETS = """
from keras import ops


def smoothed_cross_entropy(logits, labels, smoothing):
    num_classes = logits.shape[-1]
    target = (1 - smoothing) * ops.one_hot(labels, num_classes) + smoothing / num_classes
    log_p = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
    return ops.mean(-ops.sum(target * log_p, axis=-1))
"""

KERAS_BUILT_IN = """
import keras


def smoothed_cross_entropy(logits, labels, smoothing):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    return loss(keras.ops.one_hot(labels, logits.shape[1]), logits)
"""

MESSAGES = {
    "not-smoothed": _("smoothing has no effect: the true class still gets the whole target"),
    "others-only": _("the share was spread over the wrong classes only; all K get their part, the true one included"),
    "whole-share-each": _(
        "every class gets the whole share instead of its part of it, so the targets add up to more than 1"
    ),
    "true-keeps-all": _(
        "the true class keeps its whole target and the share comes on top: the targets do not add up to 1"
    ),
    "swapped": _("smoothing and what is left of it are the wrong way round"),
    "overflow": _("large logits overflow: the exponentials are taken before the logarithm can undo them"),
    "summed": _("the losses of the batch are added up, so the loss grows with the batch size"),
    "per-example": _("the loss of each example is returned; their mean was asked for"),
    "wrong-axis": _("the softmax runs over the examples of the batch instead of the classes of one example"),
    "sign": _("the sign is wrong: training would make the true class less likely"),
}
RETURN = {
    "pytorch": "-((1 - smoothing) * true.mean() + smoothing * log_p.mean())",
    "keras": "-((1 - smoothing) * ops.mean(true) + smoothing * ops.mean(log_p))",
}
SUM = {"pytorch": "log_p.sum(1)", "keras": "ops.sum(log_p, axis=1)"}
TRUE = {"pytorch": "true[:, 0]", "keras": "true[:, 0]"}
MEAN = {"pytorch": "({}).mean()", "keras": "ops.mean({})"}
SOFTMAX = {
    "pytorch": ("torch.log_softmax(logits, dim=1)", "torch.log(logits.exp() / logits.exp().sum(1, keepdim=True))"),
    "keras": (
        "ops.log_softmax(logits)",
        "ops.log(ops.exp(logits) / ops.sum(ops.exp(logits), 1, keepdims=True))",
    ),
}
AXIS = {
    "pytorch": ("torch.log_softmax(logits, dim=1)", "torch.log_softmax(logits, dim=0)"),
    "keras": ("ops.log_softmax(logits)", "ops.log_softmax(logits, axis=0)"),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference; most replace what is returned."""
    right, every, true, mean = (part[framework] for part in (RETURN, SUM, TRUE, MEAN))
    each = f"-((1 - smoothing) * {true} + smoothing * {every} / logits.shape[1])"
    returned = {
        "not-smoothed": mean.format(f"-{true}"),
        "others-only": mean.format(
            f"-((1 - smoothing) * {true} + smoothing * ({every} - {true}) / (logits.shape[1] - 1))"
        ),
        "whole-share-each": mean.format(f"-((1 - smoothing) * {true} + smoothing * {every})"),
        "true-keeps-all": mean.format(f"-({true} + smoothing * {every} / logits.shape[1])"),
        "swapped": mean.format(f"-(smoothing * {true} + (1 - smoothing) * {every} / logits.shape[1])"),
        "summed": f"len(labels) * {mean.format(each)}",
        "per-example": each,
        "sign": mean.format(f"-{each}"),
    }
    edits = {name: (right, code) for name, code in returned.items()}
    edits = {**edits, "overflow": SOFTMAX[framework], "wrong-axis": AXIS[framework]}
    return {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}


def cases(rng: np.random.Generator) -> list[Case]:
    """Ordinary logits; no smoothing; logits so large that their exponentials overflow."""
    logits = (rng.normal(size=(6, 5)) * 2).astype(np.float32)
    labels, smoothing = rng.integers(0, 5, size=6), float(rng.uniform(0.1, 0.3))
    inputs = {"logits": logits, "labels": labels, "smoothing": smoothing}
    return [
        Case("smoothed", inputs, ("value", "gradient")),
        Case("no smoothing", {**inputs, "smoothing": 0.0}, ("plain",)),
        Case("large logits", {**inputs, "logits": logits * 100}, ("stable",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[float, np.ndarray]:
    """The loss, written out with each example's target distribution, and its gradient by the logits."""
    logits, classes = inputs["logits"].astype(np.float64), inputs["logits"].shape[1]
    target = np.eye(classes)[inputs["labels"]] * (1 - inputs["smoothing"]) + inputs["smoothing"] / classes
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(target * log_p).sum() / len(logits)), (np.exp(log_p) - target) / len(logits)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare value and gradient."""
    loss, gradient = expected(case.inputs)
    criterion = case.criteria[0]
    value = close(criterion, observed["loss"], loss, _("the loss, {name}").format(name=case.name))
    if criterion != "value":
        return [value]
    flows = holds("gradient", np.asarray(observed["gradient"]).size > 0, _("no gradient reaches the logits"))
    return [value, flows, close("gradient", observed["gradient"], gradient, _("the gradient by the logits"))]


def probe_pytorch(candidate, inputs):
    """The loss and its gradient by the logits."""
    import torch

    logits = torch.tensor(inputs["logits"], requires_grad=True)
    loss = candidate(logits, torch.tensor(inputs["labels"]), inputs["smoothing"])
    value = as_array(loss)
    if value.shape == () and getattr(loss, "requires_grad", False):
        loss.backward()
    return {"loss": value, "gradient": as_array([] if logits.grad is None else logits.grad)}


def probe_keras(candidate, inputs):
    """The loss and its gradient by the logits."""
    import tensorflow as tf

    logits = tf.constant(inputs["logits"])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = candidate(logits, tf.constant(inputs["labels"]), inputs["smoothing"])
    value = as_array(loss)
    gradient = tape.gradient(loss, logits) if value.shape == () and tf.is_tensor(loss) else None
    return {"loss": value, "gradient": as_array([] if gradient is None else gradient)}


EXERCISE = Exercise(
    id="label-smoothing",
    title=_("Labels with some room for doubt"),
    lesson="04_fine_tuning_images",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "Write `smoothed_cross_entropy(logits, labels, smoothing)`: the mean cross-entropy of a batch, a scalar, where "
        "the target gives `1 - smoothing` to the true class and spreads `smoothing` evenly over all K classes, the "
        "true one included. Logits have shape (N, K), labels are integers (N,). Gradients flow to the logits; logits "
        "of several hundred give a finite, right loss; with `smoothing` 0 it is plain cross-entropy."
    ),
    hints=(
        _("Write the target of one example with K = 5 and smoothing 0.1 as five numbers. They add up to 1."),
        _(
            "Cross-entropy is minus the sum of target times log-probability. Use a function that gives these in one "
            "step."
        ),
        _(
            "It splits into two: (1 - smoothing) times the true class's term, smoothing times the mean over all "
            "classes."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("What does label smoothing do to logits and calibration, and when would you leave it out?"),
            _(
                "The best logits become finite, so the model is less over-confident, often better calibrated. Features "
                "of a class draw together and lose how it resembles others, so a smoothed teacher distils worse "
                "(Müller et al., 2019)."
            ),
        ),
        FollowUp(
            _("With smoothing, the training loss never reaches 0. Is that a sign of underfitting?"),
            _(
                "No. Its smallest value is the entropy of the smoothed target, which is above 0. Compare accuracy or "
                "plain cross-entropy between runs with different smoothing."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the mean cross-entropy against smoothed targets"), weight=2),
        "gradient": Criterion(_("gradients flow and are right"), needs=("value",)),
        "plain": Criterion(_("is plain cross-entropy without smoothing")),
        "stable": Criterion(_("stays right for large logits")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"targets": PYTORCH_TARGETS, "built in": PYTORCH_BUILT_IN},
            mistakes=mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"targets": KERAS_TARGETS, "built in": KERAS_BUILT_IN},
            mistakes=mistakes("keras"),
        ),
    },
    complexity=_(
        "O(N·K) time and memory for the log-probabilities, as without smoothing: the smoothed targets, another (N, K) "
        "array, need not be built."
    ),
)
