"""Freeze a backbone so that it stays frozen: parameters and BatchNorm statistics."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning import _freeze_code as code
from tl_course.exercises.fine_tuning._images import (
    NORM,
    draw_weights,
    features,
    keras_backbone,
    keras_head,
    torch_backbone,
    torch_head,
    torch_images,
)
from tl_course.i18n import _

BACKBONE = ("kernel", *NORM)
WHOLE = "the other layers may run in inference mode too: a frozen backbone has nothing to drop"


def cases(rng: np.random.Generator) -> list[Case]:
    """Images that lie elsewhere than those the statistics come from."""
    inputs = {
        "weights": draw_weights(rng),
        "images": (rng.normal(size=(6, 4, 5, 3)) * 0.7 + 1).astype(np.float32),
        "labels": rng.permutation(np.arange(6) % 4),
    }
    return [Case("two steps", inputs, ("parameters", "statistics", "inference", "head", "mode"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the backbone after training with what it was, and its features with those of inference mode."""
    before, after = case.inputs["weights"], observed["weights"]
    kinds = {"parameters": ("kernel", "gamma", "beta"), "statistics": ("mean", "variance")}
    found = [
        close(criterion, after[name], before[name], _("after two training steps, {name}").format(name=name), 0, 1e-7)
        for criterion, names in kinds.items()
        for name in names
    ]
    learned = all(not np.allclose(after[name], before[name], atol=1e-7) for name in ("head_kernel", "head_bias"))
    seen = _("the backbone's features in a training step")
    return [
        *found,
        holds("parameters", observed["frozen"], _("some parameters of the backbone are still trainable")),
        close("inference", observed["features"], features(before, case.inputs["images"]), seen),
        holds("head", learned, _("after two training steps the head's kernel or bias is still the same")),
        holds("mode", observed["head modes"] == [True, False], _("the head no longer follows `train()` and `eval()`")),
    ]


def _checked(returned, model):
    if returned is not model:
        raise NotPlain(_("the model itself was expected back"))


def probe_pytorch(candidate, inputs):
    """Freeze, switch to training mode, take two steps with weight decay, and see what moved."""
    from collections import OrderedDict

    import torch
    from torch import nn

    head = nn.Sequential(nn.Dropout(0.0), torch_head(inputs["weights"]))
    backbone = torch_backbone(inputs["weights"])
    model = nn.Sequential(OrderedDict(backbone=backbone, head=head))
    _checked(candidate(model), model)
    seen, modes = [], []
    head.register_forward_pre_hook(lambda module, args: seen.append(as_array(args[0])))
    head[0].register_forward_pre_hook(lambda module, args: modes.append(module.training))
    images, labels = torch_images(inputs["images"]), torch.tensor(inputs["labels"])
    resting = [not module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    frozen = not any(parameter.requires_grad for parameter in backbone.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        model.train()
        loss = nn.functional.cross_entropy(model(images), labels)
        if loss.requires_grad:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    model(images)
    values = [as_array(v) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")]
    weights = dict(zip((*BACKBONE, "head_kernel", "head_bias"), values, strict=True))
    weights["kernel"], weights["head_kernel"] = weights["kernel"].transpose(2, 3, 1, 0), weights["head_kernel"].T
    return {"weights": weights, "frozen": frozen, "features": seen[0], "head modes": modes[1:], "resting": resting}


def probe_keras(candidate, inputs):
    """Freeze, take two training steps, and see what moved."""
    import keras
    import tensorflow as tf

    backbone, head = keras_backbone(inputs["weights"]), keras_head(inputs["weights"])
    model = keras.Sequential([keras.Input((None, None, inputs["weights"]["kernel"].shape[2])), backbone, head])
    _checked(candidate(model), model)
    frozen, seen = not backbone.trainable_variables, as_array(backbone(inputs["images"], training=True))
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    backbone.set_weights([inputs["weights"][name] for name in BACKBONE])
    optimizer = keras.optimizers.SGD(0.1)
    for _step in range(2 if model.trainable_variables else 0):
        with tf.GradientTape() as tape:
            loss = loss_of(inputs["labels"], model(inputs["images"], training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    weights = dict(zip((*BACKBONE, "head_kernel", "head_bias"), model.get_weights(), strict=True))
    return {"weights": weights, "frozen": frozen, "features": seen, "head modes": [True, False]}


EXERCISE = Exercise(
    id="freeze-backbone",
    title=_("Frozen, and staying frozen"),
    lesson="04_fine_tuning_images",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "Write `freeze_backbone(model)`, which changes the model in place and returns it. After it, training must "
        "change neither the backbone's parameters nor its BatchNorm statistics, and the backbone's BatchNorm layers, "
        "however deep inside, use those statistics in every training step. The head goes on learning and follows the "
        "model's mode. PyTorch: this must hold in any training loop, one that calls `model.train()` in every epoch "
        "included."
    ),
    hints=(
        _("BatchNorm holds two kinds of values: some change by gradients, others by being run. Freeze both."),
        _(
            "PyTorch: `eval()` is undone by the next `model.train()`. What runs right before every forward pass? "
            "Keras: what does a layer's `trainable` do to BatchNorm, and what does a single variable's?"
        ),
        _(
            "PyTorch: besides `requires_grad_(False)`, a forward pre-hook on each BatchNorm can put it into inference "
            "mode. Keras: set the flag on the backbone as a layer."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("When would you rather leave BatchNorm's statistics free?"),
            _(
                "When target images have other statistics than source images, nobody else uses this backbone, and "
                "batches are large enough to estimate them. Measure both on validation data; neither is always better."
            ),
        ),
        FollowUp(
            _("Why can a backbone with LayerNorm not fall into this trap?"),
            _(
                "LayerNorm computes its statistics from each example alone, in training as in use, and stores none. "
                "Freezing its scale and shift freezes all of it."
            ),
        ),
    ),
    criteria={
        "parameters": Criterion(_("the backbone's parameters are frozen"), needs=("head",)),
        "statistics": Criterion(_("the BatchNorm statistics do not move in training"), weight=2, needs=("head",)),
        "inference": Criterion(_("in training the backbone's BatchNorm uses its statistics"), needs=("head",)),
        "head": Criterion(_("the head goes on learning"), needs=("parameters",)),
        "mode": Criterion(_("the head follows the model's mode"), weight=0.5, needs=("parameters", "statistics")),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"whole backbone": code.PYTORCH_WHOLE, "subclass": code.PYTORCH_TRAIN},
            mistakes=code.mistakes("pytorch"),
            equivalent={"if True:": WHOLE, "if module:": WHOLE},
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"layers": code.KERAS_LAYERS, "recursion": code.KERAS_RECURSION},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(1) for each layer, once. In training it saves the backbone's backward pass and, with Adam in float32, 12 "
        "bytes for each of its parameters (gradient and two averages); the forward pass stays."
    ),
)
