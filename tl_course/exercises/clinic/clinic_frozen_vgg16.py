"""The clinic: a frozen VGG16 with a new head, and the fine-tuning stage it promises."""

import numpy as np

from tl_course.exercises.clinic import _frozen_vgg16_code as code
from tl_course.exercises.clinic import _keras_watch as keras_watch
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

SIZE = (8, 12)
KEPT = "in Keras 3, `compile` keeps the loss and the metrics of before where none are given"


def cases(rng: np.random.Generator) -> list[Case]:
    """A tiny pretrained network, and photographs of a few new classes with one-hot labels."""
    num_classes, sizes = int(rng.integers(3, 6)), (int(rng.integers(17, 20)), int(rng.integers(7, 9)))
    splits = []
    for size in sizes:
        labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, size=size - num_classes)])
        images = rng.integers(0, 256, size=(size, *SIZE, 3)).astype(np.float32)
        splits.append([images, np.eye(num_classes, dtype=np.float32)[rng.permutation(labels)]])
    inputs = {
        "pretrained": keras_watch.vgg_weights(rng, SIZE, 20),
        "train": splits[0],
        "val": splits[1],
        "num_classes": num_classes,
        "num_hidden": int(rng.integers(11, 17)),
        "head_lr": float(rng.uniform(0.005, 0.01)),
        "fine_lr": float(rng.uniform(0.001, 0.002)),
        "epochs": 2,
        "batch_size": int(rng.integers(7, 9)),
    }
    return [Case("a few classes", inputs, ("pooled", "inputs", "head", "second", "early"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Calculate the answers from the weights, and look at what moved in which stage."""
    inputs, fits = case.inputs, observed["fits"]
    stages = len(fits) == 2
    two = holds("second", stages, _("two stages were expected; `fit` was called {count} times").format(count=len(fits)))
    first, last = (fits[0], fits[-1]) if fits else ({}, {})
    return [
        *_answers(inputs, observed),
        *_inputs(inputs, observed),
        *(_head(first, inputs["head_lr"]) if fits else [holds("head", False, _("nothing was trained with `fit`"))]),
        two,
        *(_second(last, inputs["fine_lr"]) if stages else []),
        *(_often(inputs, observed, stages)),
        holds("early", not [name for fit in fits for name in fit["backbone"] if name < "block5"], EARLY),
    ]


EARLY = _("layers in front of block 5 moved")


def _answers(inputs: dict[str, Plain], observed: dict[str, Plain]) -> list[Finding]:
    shape = (len(inputs["val"][0]), inputs["num_classes"])
    if observed["answers"].shape != shape:
        return [holds("pooled", False, _("the model does not give one probability for each class and image"))]
    head, depth = observed["head"], 6
    shapes = [value.shape for value in head]
    expected = [(depth, inputs["num_hidden"]), (inputs["num_hidden"],), (inputs["num_hidden"], shape[1]), shape[1:]]
    text = _("the head's weights have the shapes {seen}; on averaged features they would have {right}")
    found = holds("pooled", shapes == expected, text.format(seen=shapes, right=expected))
    if not found.passed or observed["seen"].shape != inputs["val"][0].shape:
        return [found]
    features = keras_watch.vgg_features(observed["backbone"], observed["seen"])
    scores = np.maximum(features @ head[0] + head[1], 0) @ head[2] + head[3]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    right = odds / odds.sum(axis=1, keepdims=True)
    return [found, close("pooled", observed["answers"], right, _("the answers from averaged features"), 1e-3, 1e-4)]


def _inputs(inputs: dict[str, Plain], observed: dict[str, Plain]) -> list[Finding]:
    images, labels = inputs["val"]
    what = _("what reaches the backbone when the model is given photographs")
    found = [close("inputs", observed["seen"], keras_watch.vgg_preprocessed(images), what, atol=1e-2)]
    if found[0].passed and observed["answers"].shape == labels.shape:
        loss = keras_watch.cross_entropy(observed["answers"], labels.argmax(axis=1)).mean()
        what = _("the last validation loss in the history, compared with that of the model you return")
        found.append(close("inputs", observed["val loss"], loss, what, 1e-3))
    return found


def _head(fit: dict[str, Plain], lr: float) -> list[Finding]:
    names = _("in the first stage these moved: {names}").format(names=", ".join(fit["backbone"]))
    return [
        holds("head", fit["head"], _("the head did not learn in the first stage")),
        holds("head", not fit["backbone"], names),
        holds("head", fit["optimizer"] == "Adam", _("it is not Adam that takes the steps")),
        close("head", fit["rate"], lr, _("the first stage's rate")),
    ]


def _second(fit: dict[str, Plain], lr: float) -> list[Finding]:
    moved = sum(name.startswith("block5") for name in fit["backbone"])
    text = _("{count} of the two weights of block 5 moved in the second stage").format(count=moved)
    return [
        holds("second", moved == 2, text),
        holds("second", fit["head"], _("the head did not learn in the second stage")),
        holds("second", fit["optimizer"] == "Adam", _("it is not Adam that takes the steps")),
        close("second", fit["rate"], lr, _("the second stage's rate")),
    ]


def _often(inputs: dict[str, Plain], observed: dict[str, Plain], stages: bool) -> list[Finding]:
    text = _("each stage should have {epochs} epochs of batches of {size}, measured on the validation images")
    text = text.format(epochs=inputs["epochs"], size=inputs["batch_size"])
    lengths = [inputs["epochs"]] * 2
    good = observed["epochs"] == lengths and observed["measured"] and observed["largest"] == inputs["batch_size"]
    return [holds("second", good or not stages, text)]


def probe_keras(candidate, inputs):
    """Train in two stages; look at what moved in each, and at what the model does with photographs."""
    import keras

    watch = keras_watch.Watch()
    names = ("train", "val", "num_classes", "num_hidden")
    train, val = (tuple(value.copy() for value in inputs[name]) for name in names[:2])
    rest = [inputs[name] for name in ("head_lr", "fine_lr", "epochs", "batch_size")]
    with keras_watch.watching(watch):
        backbone = keras_watch.vgg16(inputs["pretrained"], SIZE, watch)
        result = candidate(train, val, inputs["num_classes"], inputs["num_hidden"], backbone, *rest)
        model, histories = keras_watch.returned(result, 2)
        if not isinstance(model, keras.Model) or not all(hasattr(history, "history") for history in histories):
            raise NotPlain(_("the model and the history of each stage were expected back"))
        watch.seen.clear()
        answers = as_array(model(inputs["val"][0], training=False))
        seen = watch.seen[-1] if watch.seen else np.zeros((0, 1))
    inside = {id(variable) for base in watch.built for variable in base.variables}
    head = [as_array(value) for value in model.variables if id(value) not in inside and "seed" not in value.path]
    kept = [history.history for history in histories]
    return {
        "answers": answers,
        "seen": seen,
        "fits": watch.fits,
        "head": head,
        "backbone": [as_array(value) for value in watch.built[0].get_weights()] if watch.built else [],
        "val loss": float(kept[-1].get("val_loss", [np.nan])[-1]) if kept else np.nan,
        "epochs": [len(history.get("loss", [])) for history in kept],
        "measured": all({"val_loss", "val_accuracy"} <= set(history) for history in kept),
        "largest": max([len(step["x"]) for step in watch.steps if step["training"]], default=0),
    }


EXERCISE = Exercise(
    id="clinic-frozen-vgg16",
    title=_("Clinic: a frozen VGG16 and its second stage"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=4,
    points=5,
    statement=_(
        "A tutorial freezes VGG16, puts a head on it and promises to fine-tune block 5 later. Five things in it are "
        "wrong. Mend them: the head reads averaged features; the model takes photographs as they come; Adam trains the "
        "head alone at `head_lr`, then head and block 5 at `fine_lr`, each stage with `epochs` epochs and measured on "
        "`val`. Return the model and the two histories."
    ),
    hints=(
        _("Mend what stops it first. Then compare each comment, and each import, with what the code does."),
        _("Which weights differ before and after the second stage? When was it decided what is trained?"),
        _("Call the preprocessing inside the model, pool, unfreeze by layer name, and compile anew at the small rate."),
    ),
    follow_ups=(
        FollowUp(
            _("With a hidden layer of 1,024 units and ten classes, what does averaging change in the head's size?"),
            _(
                "At 224 by 224 pixels the flattened map has 7·7·512 = 25,088 numbers, so the head has 25.7 million "
                "weights, more than the backbone's 14.7 million. Averaged, 512 numbers remain and the head has 0.54 "
                "million. A few hundred labels cannot determine the former."
            ),
        ),
        FollowUp(
            _("Why compile again after unfreezing, and what is lost by it?"),
            _(
                "Keras builds the training step for the variables that are trainable when it is first needed after "
                "`compile`, and keeps it. Compiling makes a new step and a new optimiser, so Adam's averages for the "
                "head start from zero again; a small rate or a short warm-up covers that."
            ),
        ),
    ),
    complexity=_(
        "First stage: a forward pass of the backbone for each image and epoch, or once if features are cached (O(N·D) "
        "memory). Second stage: forward through everything, backward through block 5 only."
    ),
    criteria={
        "pooled": Criterion(_("the head reads one average for each feature map")),
        "inputs": Criterion(_("the model prepares photographs as the backbone needs them")),
        "head": Criterion(_("the first stage trains the head alone, at its rate")),
        "second": Criterion(_("the second stage trains head and block 5, at its own rate")),
        "early": Criterion(_("the layers in front of block 5 stay as they are"), needs=("second",)),
    },
    cases=cases,
    judge=judge,
    time_limit=30.0,
    variants={
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.STARTER,
            alternatives={"pooling argument, one loop": code.POOLING, "cached first stage": code.CACHED},
            mistakes=code.mistakes(),
            equivalent={
                "base = backbone(include_top=False)": "ImageNet's weights are the default",
                "layer.trainable = layer.name.startswith('block5_')": "all names of block 5 go on with an underscore",
                "model.compile(keras.optimizers.Adam(fine_lr), metrics=['accuracy'])": KEPT,
                "model.compile(keras.optimizers.Adam(fine_lr), loss='categorical_crossentropy')": KEPT,
            },
        ),
    },
)
