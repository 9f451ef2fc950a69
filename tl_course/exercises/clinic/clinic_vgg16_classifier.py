"""The clinic: a classifier on VGG16 (features, freezing, preprocessing, labels, validation)."""

from itertools import pairwise

import numpy as np

from tl_course.exercises.clinic import _keras_watch as keras_watch
from tl_course.exercises.clinic import _vgg16_classifier_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

SIZE = (8, 12)


def cases(rng: np.random.Generator) -> list[Case]:
    """A tiny pretrained network, and photographs of a few new classes in random order."""
    num_classes, count = int(rng.integers(3, 6)), int(rng.integers(28, 34))
    inputs = {
        "pretrained": keras_watch.vgg_weights(rng, SIZE, 20),
        "images": rng.integers(0, 256, size=(count, *SIZE, 3)).astype(np.float32),
        "labels": np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, size=count - num_classes)]),
        "num_classes": num_classes,
        "num_hidden": int(rng.integers(11, 17)),
        "lr": float(rng.uniform(0.005, 0.01)),
        "epochs": int(rng.integers(2, 4)),
        "batch_size": int(rng.integers(7, 10)),
        "val_share": float(rng.uniform(0.2, 0.3)),
    }
    inputs["labels"] = rng.permutation(inputs["labels"])
    return [Case("a few classes", inputs, ("cut", "frozen", "inputs", "labels", "validation"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Look at what the head reads, what moved, what reached the backbone and the loss, and what was held out."""
    inputs, train, held = case.inputs, observed["train"], observed["held out"]
    images, labels = inputs["images"], inputs["labels"]
    pixels = keras_watch.vgg_preprocessed(images)
    features = (keras_watch.vgg_features(inputs["pretrained"], pixels), *observed["features"])
    ids, held_ids = (keras_watch.which(rows["x"], images, features) for rows in (train, held))
    return [
        *_cut(inputs, observed),
        *_frozen(inputs["lr"], observed),
        *_inputs(images, pixels, observed),
        *_labels(inputs, train, ids, labels),
        *_validation(inputs, observed["history"], ids, held_ids),
    ]


def _cut(inputs: dict[str, Plain], observed: dict[str, Plain]) -> list[Finding]:
    shape = (len(inputs["images"]), inputs["num_classes"])
    wide = _("the head has no hidden layer of {count} units with ReLU").format(count=inputs["num_hidden"])
    answers = observed["answers"]
    return [
        holds("cut", not observed["source classes"], _("the answer depends on the old task's class probabilities")),
        holds("cut", observed["convolutions"], _("the answer does not depend on the backbone's convolutions")),
        holds("cut", observed["hidden"], wide),
        holds("cut", answers.shape == shape, _("the model does not give one probability for each class and image")),
    ]


def _frozen(lr: float, observed: dict[str, Plain]) -> list[Finding]:
    text = _("{count} of the backbone's weights are no longer the pretrained ones").format(count=observed["moved"])
    return [
        holds("frozen", observed["moved"] == 0, text),
        holds("frozen", observed["head moved"], _("the head did not learn")),
        holds("frozen", observed["optimizer"] == "Adam", _("it is not Adam that takes the steps")),
        close("frozen", observed["rate"], lr, _("the rate")),
    ]


def _inputs(images: np.ndarray, pixels: np.ndarray, observed: dict[str, Plain]) -> list[Finding]:
    seen = observed["seen"]
    if seen.shape[1:] != images.shape[1:] or not len(seen):
        return [holds("inputs", False, _("no images of the given size reached the backbone"))]
    ids = keras_watch.which(seen, images)
    what = _("the images that reach the backbone, compared with its preprocessing")
    return [
        holds("inputs", bool((ids >= 0).all()), _("what reaches the backbone resembles none of the images")),
        close("inputs", seen, pixels[ids], what, atol=1e-2),
        holds("inputs", observed["untouched"], _("the caller's images were changed")),
    ]


def _labels(inputs, train: dict[str, Plain], ids: np.ndarray, labels: np.ndarray) -> list[Finding]:
    given, predicted = keras_watch.classes(train["y"]), train["predicted"]
    if not len(given) or (ids < 0).any() or predicted.shape != (len(given), inputs["num_classes"]):
        return [holds("labels", False, _("the loss did not receive class probabilities for the images"))]
    edges = np.cumsum([0, *train["sizes"]])
    losses = keras_watch.cross_entropy(predicted, labels[ids])
    right = [losses[start:end].mean() for start, end in pairwise(edges)]
    often = _("each training image should come {right} times, in batches of {size}")
    often = often.format(right=inputs["epochs"], size=inputs["batch_size"])
    counts = np.unique(ids, return_counts=True)[1]
    return [
        holds("labels", np.array_equal(given, labels[ids]), _("the loss receives labels that are not the image's")),
        close("labels", predicted.sum(axis=1), np.ones(len(given)), _("the sums of the class probabilities")),
        close("labels", train["losses"], right, _("the batches' losses, compared with the cross-entropy"), 1e-3),
        holds("labels", bool((counts == inputs["epochs"]).all()), often),
        holds("labels", max(train["sizes"]) == inputs["batch_size"], often),
    ]


def _validation(inputs, history: list[str], ids: np.ndarray, held: np.ndarray) -> list[Finding]:
    known, total = set(held.tolist()), len(inputs["images"])
    if not known or keras_watch.NOT_SEEN in known:
        return [holds("validation", False, _("no image was held out to measure on"))]
    share = _("{count} of {total} images are held out").format(count=len(known), total=total)
    needed = {"val_loss", "val_accuracy"} <= set(history)
    return [
        holds("validation", not known & set(ids.tolist()), _("it is measured on images that it was trained on")),
        holds("validation", abs(len(known) - inputs["val_share"] * total) <= 2, share),
        holds("validation", needed, _("the history lacks loss or accuracy on images held out")),
    ]


def probe_keras(candidate, inputs):
    """Train a classifier on the tiny network, then disturb parts of it and see what the answers depend on."""
    import keras

    watch, images = keras_watch.Watch(), inputs["images"].copy()
    names = ("num_classes", "num_hidden")
    options = {name: inputs[name] for name in ("lr", "epochs", "batch_size", "val_share")}
    with keras_watch.watching(watch):
        backbone = keras_watch.vgg16(inputs["pretrained"], SIZE, watch)
        result = candidate(images, inputs["labels"].copy(), *(inputs[name] for name in names), backbone, **options)
        model, history = keras_watch.returned(result, 2)
        if not isinstance(model, keras.Model) or not hasattr(history, "history"):
            raise NotPlain(_("the model and the history of its training were expected back"))
        found = {"train": watch.rows(True), "held out": watch.rows(False), "moved": watch.moved()}
        found["optimizer"], found["rate"] = watch.optimizer
        seen = [rows for rows in watch.seen if rows.ndim == 4]
        found["seen"] = np.concatenate(seen)[: 2 * len(images)] if seen else np.zeros((0, 1))
        found["features"] = _features(watch.built, keras_watch.vgg_preprocessed(inputs["images"]))
        return {**found, **_dependence(model, watch, inputs), **_outside(model, history, images, inputs)}


def _outside(model, history, images: np.ndarray, inputs) -> dict[str, Plain]:
    shapes = [
        (layer.get_config().get("units"), layer.get_config().get("activation"))
        for layer in keras_watch.nested_layers(model)
    ]
    hidden = (inputs["num_hidden"], "relu") in shapes or (
        (inputs["num_hidden"], "linear") in shapes and any(type(x).__name__ == "ReLU" for x in model.layers)
    )
    untouched = np.array_equal(images, inputs["images"])
    return {"history": sorted(history.history), "hidden": hidden, "untouched": untouched}


def _features(built: list, pixels: np.ndarray) -> list[np.ndarray]:
    """What programs may compute once and train a head on."""
    import keras

    found = []
    for model in built:
        for name in ("block5_pool", "fc1", "fc2"):
            if name in [layer.name for layer in model.layers]:
                part = keras.Model(model.inputs, model.get_layer(name).output)
                found.append(as_array(part(pixels)).reshape(len(pixels), -1))
    return found


def _dependence(model, watch: keras_watch.Watch, inputs) -> dict[str, Plain]:
    """Whether the answers change with the old task's head, and with the convolutions."""
    pixels, learned = keras_watch.vgg_preprocessed(inputs["images"]), watch.learned()
    answers = as_array(model(pixels, training=False))

    def changes(name: str) -> bool:
        for base in watch.built:
            if name in [layer.name for layer in base.layers]:
                layer = base.get_layer(name)
                layer.set_weights([value[..., ::-1] + 1 for value in layer.get_weights()])
        return not np.allclose(answers, as_array(model(pixels, training=False)), atol=1e-6)

    return {
        "answers": answers,
        "source classes": changes("predictions"),
        "convolutions": changes("block5_conv3"),
        "head moved": learned,
    }


EXERCISE = Exercise(
    id="clinic-vgg16-classifier",
    title=_("Clinic: a classifier on VGG16"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=3,
    points=5,
    statement=_(
        "This is how many tutorials put a pretrained VGG16 to work on a few hundred photographs. Five things in it "
        "are wrong. Mend them: Adam trains only a new head (`num_hidden` units with ReLU, then softmax) on the fixed "
        "features of the backbone, which gets what it was trained on; labels come as integers; `val_share` of the "
        "images are held out and measured in every epoch. Leave the caller's images as they are. Return the model and "
        "its history."
    ),
    hints=(
        _("Print `model.summary()`: what does the first new layer read, and how many weights are trained?"),
        _("Write down what the backbone was trained on (order of channels, range) and what shape the loss expects."),
        _(
            "Take the backbone without its top, averaged and frozen; use `preprocess_input`; a loss for integer "
            "labels; hold a part out in `fit`."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("The head reads 1,000 probabilities of ImageNet. Why is that worse than 512 features?"),
            _(
                "The softmax has squeezed the image into an answer to another question: for a photograph of a known "
                "class nearly all of the 1,000 numbers are close to 0, and what tells two of your classes apart is in "
                "the digits after the comma. The features in front of the top still hold it."
            ),
        ),
        FollowUp(
            _("How many numbers does Adam keep for this model, before and after the mend?"),
            _(
                "Two for each trainable weight. With all 138.6 million weights trainable, that is more than 1.1 GB of "
                "state in float32 besides weights and gradients; with the head alone about 0.13 million weights train "
                "(512 features, 256 units, ten classes), so it is near 1 MB."
            ),
        ),
    ),
    complexity=_(
        "One forward pass of the backbone for each image and epoch dominates; nothing is kept for its backward pass. "
        "With N images and D features, caching them costs O(N·D) memory and saves all passes but the first."
    ),
    criteria={
        "cut": Criterion(_("the new head reads the backbone's features")),
        "frozen": Criterion(_("only the head learns")),
        "inputs": Criterion(_("the backbone receives images preprocessed as in its own training")),
        "labels": Criterion(_("the loss is the cross-entropy of the labels as they come")),
        "validation": Criterion(_("every epoch is measured on images that were held out")),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    variants={
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.STARTER,
            alternatives={"fc2, split by hand": code.FC2, "cached features": code.CACHED, "flattened": code.FLATTENED},
            mistakes=code.mistakes(),
            equivalent={"base = backbone(include_top=False, pooling='avg')": "ImageNet's weights are the default"},
        ),
    },
)
