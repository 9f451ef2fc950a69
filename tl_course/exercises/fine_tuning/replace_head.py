"""A classifier for other classes: the same model with a fresh head."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning import _head_code as code
from tl_course.exercises.fine_tuning._images import (
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
    """A head right after the features, one behind a hidden layer with Dropout, and one that is wrapped."""
    found = []
    for kind in ("direct", "hidden", "wrapped"):
        weights, num_classes = draw_weights(rng), int(rng.integers(7, 10))
        if kind == "hidden":
            weights["hidden_kernel"] = rng.normal(size=(5, 6)).astype(np.float32)
            weights["head_kernel"] = rng.normal(size=(6, 4)).astype(np.float32)
        images = rng.normal(size=(3, 4, 5, 3)).astype(np.float32)
        new = {
            "kernel": rng.normal(size=(len(weights["head_kernel"]), num_classes)),
            "bias": rng.normal(size=num_classes),
        }
        inputs = {
            "kind": kind,
            "weights": weights,
            "images": images,
            "num_classes": num_classes,
            "new": {name: value.astype(np.float32) for name, value in new.items()},
        }
        kept = ("kept",) if kind == "hidden" else ()
        found.append(Case(kind, inputs, ("width", "logits", "fresh", "original", "trainable", *kept)))
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the features calculated, times weights of ours that the probe put into the new head."""
    weights, images, new = (case.inputs[name] for name in ("weights", "images", "new"))
    known = features(weights, images)
    if case.name == "hidden":
        known = np.maximum(known @ weights["hidden_kernel"], 0)
    shape, wanted = tuple(observed["shape"]), (len(images), case.inputs["num_classes"])
    text = _("{kind}: logits of shape {wanted} were expected, yours are {shape}")
    what = _("{kind}: the logits once our weights are in your head").format(kind=case.name)
    drops = _("in training mode nothing is dropped any more")
    found = [
        holds("width", shape == wanted, text.format(kind=case.name, wanted=wanted, shape=shape)),
        close("logits", observed["logits"], known @ new["kernel"] + new["bias"], what),
        holds("fresh", not observed["copied"], _("the new head holds weights of the old one")),
        holds(
            "original", observed["original kept"], _("the model given changed, at the latest when the copy was trained")
        ),
        holds("trainable", observed["trainable"], _("some parameters cannot be trained any more")),
    ]
    return [*found, holds("kept", observed["drops"], drops)] if "kept" in case.criteria else found


def _copies(kernel: np.ndarray, old: np.ndarray) -> bool:
    """Whether a column of the new kernel is one of the old kernel's."""
    return kernel.shape[:1] == old.shape[:1] and bool((kernel[:, :, None] == old[:, None, :]).all(axis=0).any())


def _pairs(matrices: list, biases: list, kernel: np.ndarray, bias: np.ndarray) -> list[tuple]:
    """The new head's own parameters, where there are any, with the values they get."""
    return [(found[-1], value) for found, value in ((matrices, kernel), (biases, bias)) if found]


def probe_pytorch(candidate, inputs):
    """Replace the head, put known weights into it, and change the copy to see whether the original follows."""
    import torch

    model, images = torch_model(inputs), torch_images(inputs["images"])
    before = as_array(model(images))
    copied = candidate(model, inputs["num_classes"]).eval()
    shape = list(copied(images).shape)
    trainable = all(parameter.requires_grad for parameter in copied.parameters())
    matrices = [p for p in copied.parameters() if p.ndim == 2 and len(p) == inputs["num_classes"]]
    biases = [p for p in copied.parameters() if p.shape == (inputs["num_classes"],)]
    was_copied = any(_copies(as_array(matrix).T, inputs["weights"]["head_kernel"]) for matrix in matrices)
    with torch.no_grad():
        for parameter, value in _pairs(matrices, biases, inputs["new"]["kernel"].T, inputs["new"]["bias"]):
            if parameter.shape == value.shape:
                parameter.copy_(torch.tensor(value.copy()))
        logits = as_array(copied(images))
        copied.train()
        drops = not torch.equal(copied(images), copied(images))
        for parameter in copied.parameters():
            parameter += 1
    after = as_array(model.eval()(images))
    return {
        "shape": shape,
        "logits": logits,
        "copied": was_copied,
        "original kept": before.shape == after.shape and bool(np.allclose(before, after)),
        "trainable": trainable,
        "drops": drops,
    }


def torch_model(inputs: dict[str, Plain]):
    """A classifier whose head is called fc, classifier.3 or heads.head."""
    from collections import OrderedDict

    import torch
    from torch import nn

    body, head = torch_backbone(inputs["weights"]), torch_head(inputs["weights"])
    if inputs["kind"] == "direct":
        return nn.Sequential(OrderedDict(body=body, fc=head)).eval()
    if inputs["kind"] == "wrapped":
        heads = nn.Sequential(OrderedDict(head=head, scores=nn.Identity()))
        return nn.Sequential(OrderedDict(body=body, heads=heads)).eval()
    hidden = nn.Linear(5, 6, bias=False)
    hidden.load_state_dict({"weight": torch.tensor(inputs["weights"]["hidden_kernel"].T.copy())})
    classifier = nn.Sequential(hidden, nn.ReLU(), nn.Dropout(0.5), head)
    return nn.Sequential(OrderedDict(body=body, classifier=classifier)).eval()


def probe_keras(candidate, inputs):
    """Replace the head, put known weights into it, and change the copy to see whether the original follows."""
    model, images, num_classes = keras_model(inputs), inputs["images"], inputs["num_classes"]
    before = as_array(model(images))
    copied = candidate(model, num_classes)
    shape = list(copied(images).shape)
    matrices = [w for w in copied.weights if len(w.shape) == 2 and w.shape[1] == num_classes]
    biases = [w for w in copied.weights if tuple(w.shape) == (num_classes,)]
    was_copied = any(_copies(as_array(matrix), inputs["weights"]["head_kernel"]) for matrix in matrices)
    for variable, value in _pairs(matrices, biases, inputs["new"]["kernel"], inputs["new"]["bias"]):
        if tuple(variable.shape) == value.shape:
            variable.assign(value)
    logits = as_array(copied(images))
    drops = not np.array_equal(copied(images, training=True), copied(images, training=True))
    trainable = len(copied.trainable_variables) == len([w for w in copied.weights if "moving" not in w.path])
    for variable in copied.weights:
        if variable.dtype == "float32":
            variable.assign_add(variable * 0 + 1)
    after = as_array(model(images))
    return {
        "shape": shape,
        "logits": logits,
        "copied": was_copied,
        "original kept": before.shape == after.shape and bool(np.allclose(before, after)),
        "trainable": trainable,
        "drops": drops,
    }


def keras_model(inputs: dict[str, Plain]):
    """A classifier with softmax in its head, or in a layer of its own, or with a hidden layer and Dropout."""
    import keras
    from keras import layers

    images = keras.Input((None, None, 3))
    known, head = keras_backbone(inputs["weights"])(images), keras_head(inputs["weights"])
    if inputs["kind"] == "hidden":
        hidden = layers.Dense(6, use_bias=False, activation="relu")
        known = layers.Dropout(0.5)(hidden(known))
        hidden.set_weights([inputs["weights"]["hidden_kernel"]])
    if inputs["kind"] == "wrapped":
        return keras.Model(images, layers.Softmax()(head(known)))
    if inputs["kind"] == "direct":
        head.activation = keras.activations.softmax
    return keras.Model(images, head(known))


EXERCISE = Exercise(
    id="replace-head",
    title=_("The same model, other classes"),
    lesson="04_fine_tuning_images",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "Write `replace_head(model, num_classes)`: a copy of a classifier whose last linear layer (PyTorch "
        "`nn.Linear`, Keras `Dense`) is a fresh one with bias that returns `num_classes` logits, no softmax. In "
        "PyTorch the head may be called `fc`, `classifier.3` or `heads.head`; in Keras softmax may be inside it or "
        "follow it. All before the head is as it was, weights and Dropout included, and trainable. The model given "
        "stays unchanged, even when the copy is trained."
    ),
    hints=(
        _("Three questions: where is the head, how many features reach it, and who else owns the rest of the model?"),
        _("Copy first. PyTorch: `named_modules()` tells names and types. Keras: a clone has the architecture only."),
        _(
            "Take the last layer of the right type. PyTorch: `set_submodule` with a layer of the same `in_features`. "
            "Keras: a new model from the clone's input to a new Dense on `head.input`."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("The target classes are a subset of the source's. Would you still start from a fresh head?"),
            _(
                "Not necessarily: the rows of the shared classes are trained already, and copying them gives a good "
                "start, or even a working model without training. With few labels that is worth much."
            ),
        ),
        FollowUp(
            _("Why should the head return logits rather than probabilities?"),
            _(
                "A loss computed from logits uses log-sum-exp and stays exact where softmax would round to 0 or 1. Two "
                "softmaxes in a row flatten the gradients, and training seems to work, only badly."
            ),
        ),
    ),
    criteria={
        "width": Criterion(_("returns num_classes numbers per image")),
        "logits": Criterion(_("a linear head with bias on the pretrained features"), weight=2, needs=("width",)),
        "fresh": Criterion(_("the head is new"), needs=("logits",)),
        "original": Criterion(_("the model given stays as it was"), needs=("logits",)),
        "trainable": Criterion(_("everything can be trained"), weight=0.5, needs=("logits",)),
        "kept": Criterion(_("keeps what stands before the head, Dropout included"), needs=("width",)),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"names": code.PYTORCH_NAMES, "recursion": code.PYTORCH_RECURSION},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"extractor": code.KERAS_EXTRACTOR, "config": code.KERAS_CONFIG},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(P) time and memory: a copy of all P weights. The new head has (D + 1)·`num_classes` parameters for D "
        "features, mostly few beside the backbone."
    ),
)
