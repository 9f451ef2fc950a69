"""Find the fault: the backbone's parameters are frozen, and another head on it gets worse."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning import _batchnorm_code as code
from tl_course.exercises.fine_tuning._images import (
    NORM,
    Weights,
    draw_weights,
    features,
    keras_backbone,
    keras_head,
    torch_backbone,
    torch_head,
    torch_images,
)
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """A new task whose images are darker and of lower contrast than those of the old one."""
    weights = draw_weights(rng)
    sizes = [7, 6, 8, 7, 6]
    images = [(rng.normal(size=(size, 4, 5, 3)) * 0.5 - 2).astype(np.float32) for size in sizes]
    inputs = {
        "weights": weights,
        "images": images,
        "labels": [rng.integers(0, 4, size=size) for size in sizes],
        "source": rng.normal(size=(60, 4, 5, 3)).astype(np.float32),
        "source_head": rng.normal(size=(5, 3)),
        "lr": float(rng.uniform(0.3, 0.6)),
    }
    return [Case("a new task", inputs, ("source", "head", "mode"))]


def trained_head(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray]:
    """The head after softmax regression on the features of inference mode, one step per batch."""
    kernel, bias = (inputs["weights"][name].astype(np.float64) for name in ("head_kernel", "head_bias"))
    for images, labels in zip(inputs["images"], inputs["labels"], strict=True):
        known = features(inputs["weights"], images)
        odds = np.exp(known @ kernel + bias)
        error = (odds / odds.sum(axis=1, keepdims=True) - np.eye(len(bias))[labels]) / len(labels)
        kernel, bias = kernel - inputs["lr"] * known.T @ error, bias - inputs["lr"] * error.sum(axis=0)
    return kernel, bias


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the old task's answers before and after, and the new head with the one calculated."""
    inputs, after = case.inputs, observed["weights"]
    kernel, bias = trained_head(inputs)
    found = [close("source", after[name], inputs["weights"][name], name) for name in ("kernel", *NORM)]
    if all(after[name].shape == inputs["weights"][name].shape for name in after):
        text = _(
            "the old task's head, on the backbone you return, agrees with its former answers on {share:.0%} of images"
        )
        share = float(np.mean(_answers(inputs, after) == _answers(inputs, inputs["weights"])))
        unchanged = all(finding.passed for finding in found)
        found = [holds("source", unchanged, text.format(share=share)), *found]
    modes = _("in training the head was not in training mode")
    return [
        *found,
        close("head", after["head_kernel"], kernel, _("the head's kernel")),
        close("head", after["head_bias"], bias, _("the head's bias")),
        holds("mode", observed["head training"], modes),
    ]


def _answers(inputs: dict[str, Plain], weights: Weights) -> np.ndarray:
    return (features(weights, inputs["source"]) @ inputs["source_head"]).argmax(axis=1)


def _checked(returned, model) -> None:
    if returned is not model:
        raise NotPlain(_("the model itself was expected back"))


def probe_pytorch(candidate, inputs):
    """Train a head, and look at all weights, statistics and modes."""
    from collections import OrderedDict

    import torch
    from torch import nn

    backbone, head = torch_backbone(inputs["weights"]), torch_head(inputs["weights"])
    model = nn.Sequential(OrderedDict(backbone=backbone, head=head)).eval()
    modes = []
    head.register_forward_pre_hook(lambda module, args: modes.append(module.training))
    pairs = zip(inputs["images"], inputs["labels"], strict=True)
    _checked(candidate(model, [(torch_images(x), torch.tensor(y)) for x, y in pairs], inputs["lr"]), model)
    values = [as_array(v) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")]
    weights = dict(zip(("kernel", *NORM, "head_kernel", "head_bias"), values, strict=True))
    weights["kernel"], weights["head_kernel"] = weights["kernel"].transpose(2, 3, 1, 0), weights["head_kernel"].T
    return {"weights": weights, "head training": bool(modes) and all(modes)}


def probe_keras(candidate, inputs):
    """Train a head, and look at all weights, statistics and modes."""
    import keras

    modes = []

    class Head(keras.layers.Layer):
        """The head, noting the mode it runs in."""

        def __init__(self, dense) -> None:
            super().__init__(name="head")
            self.dense = dense

        def call(self, inputs, training=False):
            modes.append(bool(training))
            return self.dense(inputs)

    images = keras.Input((None, None, inputs["weights"]["kernel"].shape[2]))
    backbone, head = keras_backbone(inputs["weights"]), Head(keras_head(inputs["weights"]))
    model = keras.Sequential([images, backbone, head])
    modes.clear()
    _checked(candidate(model, list(zip(inputs["images"], inputs["labels"], strict=True)), inputs["lr"]), model)
    found = [*backbone.get_weights(), *head.get_weights()]
    weights = dict(zip(("kernel", *NORM, "head_kernel", "head_bias"), found, strict=True))
    return {"weights": weights, "head training": bool(modes) and all(modes)}


EXERCISE = Exercise(
    id="batchnorm-trap",
    title=_("The old task got worse"),
    lesson="04_fine_tuning_images",
    kind="find-the-fault",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "Two services share one backbone. A team trains a head for a third task; the backbone's parameters are frozen "
        "and stay bit for bit the same. Since the release, the two old services answer worse. Find the fault in "
        "`train_head`, fix it, and prove it: the backbone computes in use exactly what it did before, and the head "
        "learns on those features, itself in training mode, one step of plain SGD per batch. Return the model."
    ),
    hints=(
        _("Compare the backbone's whole state before and after, not only its parameters. What else does it hold?"),
        _("Which layer learns from every batch it sees in training mode, without any gradient?"),
        _(
            "While the head trains, the backbone runs in inference mode: its mode is a switch of its own, besides "
            "freezing."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Accuracy on the new task even rose a little with the fault. Why is it a fault all the same?"),
            _(
                "Adapted statistics fit the new images, which can help there. But the backbone is no longer the one "
                "others use, training sees batch statistics and use sees averages, and with small batches both are "
                "noisy. Adapt on purpose, in a copy."
            ),
        ),
        FollowUp(
            _(
                "What does `trainable = False` do to a Keras BatchNormalization layer, and `requires_grad_(False)` to "
                "PyTorch's?"
            ),
            _(
                "In Keras it also puts the layer into inference mode, so its moving averages stay. In PyTorch it only "
                "stops the gradients of scale and shift: the running statistics follow the module's training mode."
            ),
        ),
    ),
    criteria={
        "source": Criterion(_("the backbone gives the old tasks what it gave before"), weight=2, needs=("head",)),
        "head": Criterion(_("the head learns on the features of inference mode"), weight=2),
        "mode": Criterion(_("the head trains in training mode"), needs=("head",)),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"only the norm": code.PYTORCH_ONLY_NORM, "cached": code.PYTORCH_CACHED},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"trainable": code.KERAS_TRAINABLE, "cached": code.KERAS_CACHED},
            mistakes=code.mistakes("keras"),
            equivalent={
                "loss = loss_of(labels, head(backbone(images), training=True))": "by itself a model is in inference"
            },
        ),
    },
    complexity=_(
        "A batch costs a forward pass of the backbone and a forward and backward pass of the head, with the fault and "
        "without. Once the backbone is a fixed function of the image, its features may be computed once for all "
        "epochs."
    ),
)
