"""Label unlabelled examples with the model's own confident predictions."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.when_transfer_fails._labelling import probe_keras, probe_pytorch
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


@torch.no_grad()
def pseudo_labels(
    model: nn.Module, x: torch.Tensor, threshold: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose the unlabelled examples that the model is sure of.

    Args:
        model: gives logits (N, K) for x; comes in training mode or in evaluation mode, and leaves in the same.
        x: unlabelled examples, float, shape (N, D).
        threshold: smallest probability of the predicted class, in (0, 1]; what equals it is kept.

    Returns:
        Of the M kept examples, in their order: positions in x (M,), classes (M,) and probabilities (M,), as the model
        gives them in evaluation mode. No gradient is recorded.
    """
    training = model.training
    confidence, classes = model.eval()(x).softmax(dim=1).max(dim=1)
    model.train(training)
    kept = torch.nonzero(confidence >= threshold).flatten()
    return kept, classes[kept], confidence[kept]
'''

PYTORCH_MASK = """
import torch


def pseudo_labels(model, x, threshold):
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        probabilities = torch.softmax(model(x), -1)
    if was_training:
        model.train()
    sure = probabilities.amax(-1) >= threshold
    return torch.arange(len(x))[sure], probabilities.argmax(-1)[sure], probabilities.amax(-1)[sure]
"""

PYTORCH_LOOP = """
import copy

import torch


def pseudo_labels(model, x, threshold):
    teacher = copy.deepcopy(model).eval()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    found = []
    with torch.no_grad():
        for i in range(len(x)):
            probabilities = teacher(x[i : i + 1])[0].softmax(0).tolist()
            best = max(probabilities)
            if best >= threshold:
                found.append((i, probabilities.index(best), best))
    columns = list(zip(*found)) or [(), (), ()]
    return torch.tensor(columns[0]).long(), torch.tensor(columns[1]).long(), torch.tensor(columns[2])
"""

KERAS = '''
import keras
from keras import ops


def pseudo_labels(model: keras.Model, x, threshold: float):
    """Choose the unlabelled examples that the model is sure of.

    Args:
        model: gives logits (N, K) for x.
        x: unlabelled examples, float, shape (N, D).
        threshold: smallest probability of the predicted class, in (0, 1]; what equals it is kept.

    Returns:
        Of the M kept examples, in their order: positions in x (M,), classes (M,) and probabilities (M,), as the model
        gives them in inference. No gradient flows through them.
    """
    probabilities = ops.stop_gradient(ops.softmax(model(x, training=False)))
    confidence = ops.max(probabilities, axis=1)
    (kept,) = ops.nonzero(confidence >= threshold)
    return kept, ops.take(ops.argmax(probabilities, axis=1), kept), ops.take(confidence, kept)
'''

KERAS_NUMPY = """
import numpy as np
from keras import ops


def pseudo_labels(model, x, threshold):
    logits = np.asarray(model(x))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    kept = np.flatnonzero(shares.max(1) >= threshold)
    return kept, shares.argmax(1)[kept], ops.convert_to_tensor(shares.max(1)[kept])
"""

KERAS_TOP_K = """
import keras
from keras import ops


def pseudo_labels(model, x, threshold):
    values, indices = ops.top_k(keras.activations.softmax(ops.stop_gradient(model(x))), 1)
    sure = ops.convert_to_numpy(values[:, 0]) >= threshold
    positions = [i for i, keep in enumerate(sure) if keep]
    rows = ops.convert_to_tensor(positions, "int32")
    return rows, ops.take(indices[:, 0], rows), ops.take(values[:, 0], rows)
"""

MESSAGES = {
    "all": _("every example is kept, so the unsure ones teach the model its own mistakes"),
    "training-mode": _("the model labels in training mode: Dropout is active and BatchNorm looks at the batch"),
    "left-in-eval": _(
        "the model came in training mode and stays in evaluation mode, so training goes on without Dropout"
    ),
    "logits": _("the threshold is compared with logits, which are no probabilities"),
    "batch-softmax": _("the softmax runs over the batch: an example's probabilities depend on its company"),
    "gradient": _("the probabilities still hang on the model: a loss that uses them would change the labels' maker"),
    "unsure": _("the examples that the model is unsure of are kept"),
    "all-classes": _("positions are selected and classes are not: they no longer belong to the same examples"),
    "sorted": _("the examples come by confidence, not in their order"),
    "least": _("the class named is not the one with the largest probability"),
}
TORCH_PASS, TORCH_KEEP = "model.eval()(x).softmax(dim=1).max(dim=1)", "torch.nonzero(confidence >= threshold).flatten()"
TORCH_BACK = "    model.train(training)\n"
TORCH_EDITS = {
    "all": ((TORCH_KEEP, "torch.arange(len(x))"),),
    "training-mode": (("model.eval()(x)", "model.train()(x)"),),
    "left-in-eval": ((TORCH_BACK, ""),),
    "logits": (("confidence >= threshold", "model(x).amax(dim=1) >= threshold"), (TORCH_BACK, "")),
    "batch-softmax": (("softmax(dim=1)", "softmax(dim=0)"),),
    "gradient": (("@torch.no_grad()\n", ""),),
    "unsure": (("confidence >= threshold", "confidence < threshold"),),
    "all-classes": (("classes[kept], ", "classes, "),),
    "sorted": ((TORCH_KEEP, "confidence.argsort(descending=True)[: int((confidence >= threshold).sum())]"),),
    "least": (
        (
            "    kept = torch",
            "    classes = model.eval()(x).argmin(dim=1)\n    model.train(training)\n    kept = torch",
        ),
    ),
}
KERAS_KEEP = "(kept,) = ops.nonzero(confidence >= threshold)"
KERAS_EDITS = {
    "all": ((KERAS_KEEP, "kept = ops.arange(len(x))"),),
    "training-mode": (("training=False", "training=True"),),
    "logits": (("confidence >= threshold", "ops.max(model(x), axis=1) >= threshold"),),
    "batch-softmax": (("training=False)", "training=False), axis=0"),),
    "gradient": (
        ("ops.stop_gradient(ops.softmax(model(x, training=False)))", "ops.softmax(model(x, training=False))"),
    ),
    "unsure": (("confidence >= threshold", "confidence < threshold"),),
    "all-classes": (("ops.take(ops.argmax(probabilities, axis=1), kept)", "ops.argmax(probabilities, axis=1)"),),
    "sorted": (
        (
            KERAS_KEEP,
            "kept = ops.flip(ops.argsort(confidence))[: int(ops.sum(ops.cast(confidence >= threshold, int)))]",
        ),
    ),
    "least": (("ops.argmax(probabilities", "ops.argmin(probabilities"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Some examples confident and some not, in both modes of the model; none confident; a model that always halves."""
    kernel = rng.normal(size=(5, 4)).astype(np.float32)
    x = rng.normal(size=(11, 5)).astype(np.float32)
    values = softmax(np.maximum(x.astype(np.float64), 0) @ kernel).max(axis=1)
    ordered = np.sort(values)
    middle = float(ordered[4:6].mean())
    common = {"kernel": kernel, "x": x}
    half = {"kernel": np.zeros((5, 2), np.float32), "x": x[:3], "threshold": 0.5}
    every = ("examples", "classes", "confidence", "mode", "gradient")
    return [
        Case("training", {**common, "threshold": middle, "training": True}, every),
        Case("evaluation", {**common, "threshold": middle, "training": False}, every),
        Case("nobody sure", {**common, "threshold": min(float(ordered[-1]) + 1e-3, 1.0), "training": True}, ("none",)),
        Case("at the threshold", {**half, "training": True}, ("edge",)),
    ]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each row."""
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the model calculated in NumPy."""
    inputs = case.inputs
    probabilities = softmax(np.maximum(inputs["x"].astype(np.float64), 0) @ inputs["kernel"])
    sure = [(i, row.argmax(), row.max()) for i, row in enumerate(probabilities) if row.max() >= inputs["threshold"]]
    kept, classes, confidence = (np.array(column) for column in zip(*sure, strict=True)) if sure else (np.zeros(0),) * 3
    if case.name == "nobody sure":
        empty = all(np.shape(observed[name]) == (0,) for name in ("kept", "classes", "confidence"))
        return [holds("none", empty, _("nobody is sure enough here: three empty results of shape (0,) were expected"))]
    if case.name == "at the threshold":
        return [close("edge", observed["kept"], kept, _("the positions where probability equals threshold"))]
    return [
        close("examples", observed["kept"], kept, _("the positions of the kept examples")),
        close("classes", observed["classes"], classes, _("their classes")),
        close("confidence", observed["confidence"], confidence, _("their probabilities")),
        holds("mode", observed["mode kept"], _("your function left the model in another mode than it came in")),
        holds("gradient", not observed["gradient"], _("gradients still flow from the probabilities into the model")),
    ]


INFERENCE = "a Keras model that is called without training= runs in inference"

EXERCISE = Exercise(
    id="pseudo-labels",
    title=_("Only what the model is sure of"),
    lesson="08_when_transfer_fails",
    minutes=12,
    difficulty=2,
    points=4,
    statement=_(
        "Self-training adds unlabelled examples with the classes that the model itself predicts. Write "
        "`pseudo_labels(model, x, threshold)`: positions, classes and probabilities of the examples whose predicted "
        "class has a probability of at least `threshold`, in their order. The model predicts as in use (no Dropout) "
        "and is in the same mode afterwards; no gradient flows through the result. When nobody is sure, all three "
        "are empty."
    ),
    hints=(
        _("In which mode should a model be when it makes labels, and in which mode did it arrive?"),
        _("Softmax turns one example's logits into probabilities; its largest one is the confidence."),
        _("Find the positions first, and pick classes and probabilities with the same positions."),
    ),
    follow_ups=(
        FollowUp(
            _("What is confirmation bias here, and how do you keep it small?"),
            _(
                "A wrong pseudo-label is learnt and comes back with more confidence in the next round. A high "
                "threshold on calibrated probabilities, few examples per class and round, fresh labels each round and "
                "a clean validation set hold it down."
            ),
        ),
        FollowUp(
            _("Why does a fixed threshold of 0.95 mean something else under domain shift?"),
            _(
                "Networks are usually overconfident on shifted inputs, so far fewer than 95 % of those labels are "
                "right. Check the precision of pseudo-labels on a small labelled target sample before you trust them."
            ),
        ),
    ),
    criteria={
        "examples": Criterion(_("keeps exactly the confident examples"), weight=2),
        "edge": Criterion(_("keeps what equals the threshold"), weight=0.5, needs=("examples",)),
        "classes": Criterion(_("gives their predicted classes"), needs=("examples",)),
        "confidence": Criterion(_("gives their probabilities"), needs=("examples",)),
        "none": Criterion(_("gives empty results when nobody is sure"), weight=0.5, needs=("examples",)),
        "mode": Criterion(_("leaves the model in the mode it came in"), weight=0.5, needs=("examples",)),
        "gradient": Criterion(_("lets no gradient through"), needs=("examples",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"mask": PYTORCH_MASK, "loop": PYTORCH_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in TORCH_EDITS.items()},
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"numpy": KERAS_NUMPY, "top-k": KERAS_TOP_K},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in KERAS_EDITS.items()},
            equivalent={"probabilities = ops.stop_gradient(ops.softmax(model(x)))": INFERENCE},
        ),
    },
    complexity=_(
        "One forward pass over all N examples dominates; the rest is O(N·K). In a single batch its activations grow "
        "with N: for large N call it batch by batch and join the results, O(M) memory."
    ),
)
