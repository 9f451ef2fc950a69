"""FixMatch's loss: a confident answer on a weak view teaches the strong view."""

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import torch
import torch.nn.functional as F


def fixmatch_loss(weak: torch.Tensor, strong: torch.Tensor, threshold: float) -> torch.Tensor:
    """The loss on unlabelled images (Sohn et al. 2020).

    Args:
        weak: logits of the weakly augmented views, float, shape (N, K).
        strong: logits of the strongly augmented views of the same images, shape (N, K).
        threshold: a weak view teaches when its largest probability is at least this.

    Returns:
        Cross-entropy of the strong views against the weak views' classes, summed over the images whose weak view is
        confident and divided by N, a scalar. Gradients reach only `strong`.
    """
    confidence, classes = weak.softmax(dim=1).max(dim=1)
    losses = F.cross_entropy(strong, classes, reduction="none")
    return (losses * (confidence >= threshold)).mean()
'''

PYTORCH_ONE_HOT = """
import torch


def fixmatch_loss(weak, strong, threshold):
    with torch.no_grad():
        shifted = (weak - weak.amax(1, keepdim=True)).exp()
        teacher = shifted / shifted.sum(1, keepdim=True)
        targets = torch.zeros_like(weak)
        targets[torch.arange(len(weak)), teacher.argmax(1)] = 1.0
        targets *= (teacher.amax(1, keepdim=True) >= threshold).float()
    return -(targets * torch.log_softmax(strong, 1)).sum() / len(strong)
"""

PYTORCH_SUBSET = """
import torch
from torch import nn


def fixmatch_loss(weak, strong, threshold):
    probabilities = torch.softmax(weak.detach(), dim=-1)
    kept = torch.nonzero(probabilities.max(-1).values >= threshold)[:, 0]
    summed = nn.CrossEntropyLoss(reduction="sum")
    return summed(strong[kept], probabilities[kept].argmax(-1)) / weak.shape[0]
"""

KERAS = '''
from keras import ops


def fixmatch_loss(weak, strong, threshold: float):
    """The loss on unlabelled images (Sohn et al. 2020).

    Args:
        weak: logits of the weakly augmented views, float, shape (N, K).
        strong: logits of the strongly augmented views of the same images, shape (N, K).
        threshold: a weak view teaches when its largest probability is at least this.

    Returns:
        Cross-entropy of the strong views against the weak views' classes, summed over the images whose weak view is
        confident and divided by N, a scalar. Gradients reach only `strong`.
    """
    teacher = ops.softmax(weak)
    classes = ops.one_hot(ops.argmax(teacher, axis=1), weak.shape[1])
    confident = ops.cast(ops.max(teacher, axis=1) >= threshold, strong.dtype)
    losses = ops.categorical_crossentropy(classes, strong, from_logits=True)
    return ops.mean(losses * confident)
'''

KERAS_LOG_SOFTMAX = """
from keras import ops


def fixmatch_loss(weak, strong, threshold):
    teacher = ops.stop_gradient(ops.softmax(weak, axis=-1))
    top = ops.max(teacher, axis=-1, keepdims=True)
    first = ops.expand_dims(ops.arange(weak.shape[1]), 0) == ops.expand_dims(ops.argmax(teacher, -1), 1)
    keep = ops.logical_and(first, top >= threshold)
    log_p = strong - ops.logsumexp(strong, axis=-1, keepdims=True)
    return -ops.sum(ops.where(keep, log_p, ops.zeros_like(log_p))) / strong.shape[0]
"""

KERAS_SPARSE = """
import keras
from keras import ops


def fixmatch_loss(weak, strong, threshold):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    log_confidence = ops.max(ops.log_softmax(weak), axis=1)
    weights = ops.cast(ops.exp(log_confidence) >= threshold, "float32")
    return loss(ops.argmax(weak, axis=1), strong, sample_weight=ops.stop_gradient(weights)) / len(weak)
"""

MESSAGES = {
    "kept-only": _(
        "the sum is divided by the confident images only: early in training a few of them get the weight of a whole "
        "batch, and a batch without any gives 0/0"
    ),
    "summed": _("the loss is summed over the batch and grows with its size"),
    "swapped": _("the strong view teaches the weak one: the harder view is the less reliable teacher"),
    "soft": _("the teacher's probabilities are the targets; here its class is, as if it were a label"),
    "two-way": _("the teacher's probabilities are the targets, and gradients change the teacher so that it agrees"),
    "no-threshold": _("every weak view teaches, however unsure it is"),
    "strong-confidence": _("the pupil decides which images count: those it is sure of already"),
    "logits": _("the threshold is compared with logits, which are no probabilities"),
    "unconfident": _("the images that the teacher is sure of are left out, and the others teach"),
    "not-log": _("probability is what is averaged, without its logarithm: hopeless predictions hardly get a gradient"),
}
TORCH_TEACH = "weak.softmax(dim=1).max(dim=1)"
TORCH_LOSS, TORCH_MEAN = (
    'F.cross_entropy(strong, classes, reduction="none")',
    "(losses * (confidence >= threshold)).mean()",
)
TORCH_EDITS = {
    "kept-only": ((TORCH_MEAN, "losses[confidence >= threshold].mean()"),),
    "summed": ((TORCH_MEAN, "(losses * (confidence >= threshold)).sum()"),),
    "swapped": ((TORCH_TEACH, "strong.softmax(dim=1).max(dim=1)"), (TORCH_LOSS, TORCH_LOSS.replace("strong", "weak"))),
    "soft": ((TORCH_LOSS, TORCH_LOSS.replace("classes", "weak.detach().softmax(dim=1)")),),
    "two-way": ((TORCH_LOSS, TORCH_LOSS.replace("classes", "weak.softmax(dim=1)")),),
    "no-threshold": ((TORCH_MEAN, "losses.mean()"),),
    "strong-confidence": (("(confidence >=", "(strong.softmax(dim=1).amax(dim=1) >="),),
    "logits": (("(confidence >=", "(weak.amax(dim=1) >="),),
    "unconfident": (("confidence >=", "confidence <"),),
    "not-log": ((TORCH_LOSS, "1 - strong.softmax(dim=1)[range(len(strong)), classes]"),),
}
KERAS_LOSS, KERAS_MEAN = (
    "ops.categorical_crossentropy(classes, strong, from_logits=True)",
    "ops.mean(losses * confident)",
)
KERAS_EDITS = {
    "kept-only": ((KERAS_MEAN, "ops.sum(losses * confident) / ops.sum(confident)"),),
    "summed": ((KERAS_MEAN, "ops.sum(losses * confident)"),),
    "swapped": (("teacher = ops.softmax(weak)", "weak, strong = strong, weak\n    teacher = ops.softmax(weak)"),),
    "soft": ((KERAS_LOSS, KERAS_LOSS.replace("classes", "ops.stop_gradient(teacher)")),),
    "two-way": ((KERAS_LOSS, KERAS_LOSS.replace("classes", "teacher")),),
    "no-threshold": ((KERAS_MEAN, "ops.mean(losses)"),),
    "strong-confidence": (("ops.max(teacher, axis=1) >=", "ops.max(ops.softmax(strong), axis=1) >="),),
    "logits": (("ops.max(teacher, axis=1) >=", "ops.max(weak, axis=1) >="),),
    "unconfident": ((">= threshold", "< threshold"),),
    "not-log": ((KERAS_LOSS, "1 - ops.sum(classes * ops.softmax(strong), axis=1)"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A mixed batch, one in which nobody is confident, and one exactly at the threshold."""
    num_classes = 4
    sure = rng.permutation([4.0, 0.2, 3.0, 0.1, 2.5, 0.3, 5.0])
    weak = (
        rng.normal(size=(7, num_classes)) * 0.3 + np.eye(num_classes)[rng.integers(0, num_classes, 7)] * sure[:, None]
    )
    weak -= rng.uniform(1, 4, size=(7, 1))  # a constant per row changes logits and no probability
    strong = rng.normal(size=(7, num_classes)) * 3
    unsure = rng.normal(size=(5, num_classes)) * 0.2
    even = np.zeros((3, 2)) + rng.integers(-2, 3, size=(3, 1))
    found = [
        ("mixed", weak, strong, 0.7, ("value", "pupil", "teacher")),
        ("nobody sure", unsure, rng.normal(size=(5, num_classes)), 0.95, ("nobody",)),
        ("at the threshold", even, rng.normal(size=(3, 2)), 0.5, ("value",)),
    ]
    return [
        Case(name, {"weak": w.astype(np.float32), "strong": s.astype(np.float32), "threshold": t}, criteria)
        for name, w, s, t, criteria in found
    ]


def expected(inputs: dict[str, Plain]) -> tuple[float, np.ndarray]:
    """The loss and its gradient with respect to the strong logits, image by image."""
    weak, strong = inputs["weak"].astype(np.float64), inputs["strong"].astype(np.float64)
    loss, gradient = 0.0, np.zeros_like(strong)
    for i, (teacher, pupil) in enumerate(zip(weak, strong, strict=True)):
        if 1 / np.exp(teacher - teacher.max()).sum() < inputs["threshold"]:
            continue
        share = np.exp(pupil) / np.exp(pupil).sum()
        loss -= np.log(share[teacher.argmax()]) / len(weak)
        gradient[i] = (share - np.eye(len(share))[teacher.argmax()]) / len(weak)
    return loss, gradient


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the loss image by image, and with its gradients in closed form."""
    loss, gradient = expected(case.inputs)
    if case.name == "nobody sure":
        return [
            close("nobody", observed["loss"], loss, _("the loss where no weak view is confident")),
            close("nobody", observed["strong"], gradient, _("the gradient where no weak view is confident")),
        ]
    found = [
        close("value", observed["loss"], loss, _("the loss")),
        close("pupil", observed["strong"], gradient, _("the gradient of the strong logits")),
        close("teacher", observed["weak"], np.zeros_like(gradient), _("the gradient of the weak logits")),
    ]
    return [finding for finding in found if finding.criterion in case.criteria]


def probe_pytorch(candidate, inputs):
    """The loss and its gradients."""
    import torch

    weak, strong = (torch.from_numpy(inputs[name]).requires_grad_() for name in ("weak", "strong"))
    loss = candidate(weak, strong, inputs["threshold"])
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        loss.sum().backward()
    found = {"weak": weak, "strong": strong}
    gradients = {name: as_array(torch.zeros_like(v) if v.grad is None else v.grad) for name, v in found.items()}
    return {"loss": as_array(loss), **gradients}


def probe_keras(candidate, inputs):
    """The loss and its gradients."""
    import tensorflow as tf

    weak, strong = (tf.constant(inputs[name]) for name in ("weak", "strong"))
    with tf.GradientTape() as tape:
        tape.watch([weak, strong])
        loss = candidate(weak, strong, inputs["threshold"])
    found = tape.gradient(loss, [weak, strong]) if tf.is_tensor(loss) else [None, None]
    blank = np.zeros_like(inputs["weak"])
    gradients = [blank if gradient is None else as_array(gradient) for gradient in found]
    return {"loss": as_array(loss), "weak": gradients[0], "strong": gradients[1]}


EXERCISE = Exercise(
    id="fixmatch-loss",
    title=_("A weak view teaches a strong one"),
    lesson="08_when_transfer_fails",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "FixMatch learns from unlabelled images: where the weakly augmented view is confident, its class is the label "
        "of the strongly augmented view. Write `fixmatch_loss(weak, strong, threshold)` from both views' logits: the "
        "cross-entropy of the strong views, summed over images whose weak view has a probability of at least "
        "`threshold`, divided by all N images. The weak logits get no gradient; without a confident image the loss "
        "is 0."
    ),
    hints=(
        _("Who teaches and who learns? Only one of the two should move."),
        _("Compute one loss per image first; then decide which of them count, and what the sum is divided by."),
        _("The confident images make a mask of zeros and ones. It multiplies the losses before the mean is taken."),
    ),
    follow_ups=(
        FollowUp(
            _("Why divide by all unlabelled images and not by the confident ones?"),
            _(
                "Early on few images pass the threshold; dividing by N keeps their influence small and lets it grow "
                "as the model becomes sure. It is a curriculum without a schedule, and it avoids 0/0."
            ),
        ),
        FollowUp(
            _("What happens on a rare class, and how would you notice?"),
            _(
                "Confident pseudo-labels come mostly from frequent or easy classes, so the rare one gets few and is "
                "pushed out. Log the pseudo-label shares per class against the labelled shares; remedies are "
                "distribution alignment and thresholds per class."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the loss, averaged over all images")),
        "pupil": Criterion(_("teaches the strong view"), needs=("value",)),
        "teacher": Criterion(_("sends no gradient to the weak view"), needs=("value", "pupil")),
        "nobody": Criterion(_("gives 0 without a confident image"), needs=("value", "pupil")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"one-hot": PYTORCH_ONE_HOT, "subset": PYTORCH_SUBSET},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in TORCH_EDITS.items()},
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"log-softmax": KERAS_LOG_SOFTMAX, "sparse": KERAS_SPARSE},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in KERAS_EDITS.items()},
        ),
    },
    complexity=_(
        "O(N·K) time and memory for the loss. A step costs a forward pass of both views and a backward pass of the "
        "strong ones alone, also for images that no confident view teaches."
    ),
)
