"""The clinic: MobileNetV2 with two classes, augmentation and a fine-tuning stage that tunes nothing."""

import numpy as np

from tl_course.exercises.clinic import _keras_watch as keras_watch
from tl_course.exercises.clinic import _mobilenet_binary_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

SIZE = (8, 12)
KEPT = "in Keras 3, `compile` keeps the loss and the metrics of before where none are given"
CRITERIA = ("inputs", "served", "tuned", "statistics", "validation", "whole")


def cases(rng: np.random.Generator) -> list[Case]:
    """A tiny pretrained network with BatchNorm, and photographs of two classes that are rather dark."""
    batch_size = int(rng.integers(6, 8))
    sizes = {"train": 2 * batch_size + int(rng.integers(2, 5)), "val": 7, "new": 5}
    inputs = {
        "pretrained": keras_watch.mobilenet_weights(rng),
        "head_lr": float(rng.uniform(0.01, 0.02)),
        "fine_lr": float(rng.uniform(0.001, 0.002)),
        "epochs": 2,
        "batch_size": batch_size,
    }
    for name, size in sizes.items():
        inputs[name] = rng.integers(0, 200, size=(size, *SIZE, 3)).astype(np.float32)
        inputs[f"{name} labels"] = rng.permutation(np.arange(size) % 2)
    return [Case("two classes", inputs, CRITERIA)]


def flipped(images: np.ndarray) -> np.ndarray:
    """The augmentation of this case: left and right exchanged."""
    return images[:, :, ::-1].copy()


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Look at what reached the backbone and the loss, at what moved in which stage, and calculate the answers."""
    inputs = case.inputs
    groups = [flipped(inputs["train"]), inputs["val"], inputs["new"], inputs["train"], flipped(inputs["val"])]
    pool = np.concatenate(groups)
    ends = np.cumsum([len(group) for group in groups])
    kinds = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    ids = {name: keras_watch.which(observed[name], pool) for name in ("seen", "learned", "measured")}
    if any(ids["seen"] < 0) or not len(ids["seen"]) or observed["seen"].shape[1:] != pool.shape[1:]:
        return [holds(name, False, _("what reaches the backbone resembles none of the images")) for name in CRITERIA]
    new = kinds[ids["seen"]] == 2
    return [
        *_inputs(observed["seen"][~new], pool[ids["seen"][~new]]),
        *_served(inputs, observed, new),
        *_tuned(inputs, observed),
        *_validation(inputs, observed, kinds[ids["measured"]]),
        *_whole(inputs, observed, ids["learned"], int(ends[0])),
    ]


def _inputs(seen: np.ndarray, images: np.ndarray) -> list[Finding]:
    what = _("the images that reach the backbone in training, compared with its preprocessing")
    return [close("inputs", seen, keras_watch.mobilenet_preprocessed(images), what, atol=1e-3)]


def _served(inputs: dict[str, Plain], observed: dict[str, Plain], new: np.ndarray) -> list[Finding]:
    if len(observed["head"]) != 2 or observed["head"][0].shape != (7, 1):
        return [holds("served", False, _("the head should read the averaged features and give one probability"))]
    pixels = keras_watch.mobilenet_preprocessed(inputs["new"])
    features = keras_watch.mobilenet_features(observed["backbone"], pixels)
    right = 1 / (1 + np.exp(-(features @ observed["head"][0] + observed["head"][1])))
    what = _("the probabilities of the new photographs, compared with the model's for photographs prepared rightly")
    return [
        holds("served", bool(new.any()), _("the backbone never received the new photographs")),
        close("served", observed["answers"], right, what, 1e-3, 1e-4),
    ]


def _tuned(inputs: dict[str, Plain], observed: dict[str, Plain]) -> list[Finding]:
    fits = observed["fits"]
    if len(fits) != 2:
        text = _("two stages were expected; `fit` was called {count} times").format(count=len(fits))
        return [holds("tuned", False, text), holds("statistics", False, text)]
    kernels = [name for name in fits[1]["backbone"] if name.endswith("/kernel")]
    moved = _("{count} of the backbone's two kernels moved in the second stage").format(count=len(kernels))
    statistics = [name for fit in fits for name in fit["backbone"] if "/moving_" in name]
    drift = _("these are no longer the pretrained ones: {names}").format(names=", ".join(sorted(set(statistics))))
    early = _("the backbone moved in the first stage")
    frozen = not [name for name in fits[0]["backbone"] if "/moving_" not in name]
    return [
        holds("tuned", len(kernels) == 2, moved),
        holds("tuned", frozen, early),
        holds("tuned", all(fit["head"] for fit in fits), _("the head did not learn in both stages")),
        holds("tuned", all(fit["optimizer"] == "Adam" for fit in fits), _("it is not Adam that takes the steps")),
        close("tuned", [fit["rate"] for fit in fits], [inputs["head_lr"], inputs["fine_lr"]], _("the stages' rates")),
        holds("statistics", not statistics, drift),
    ]


def _validation(inputs: dict[str, Plain], observed: dict[str, Plain], kinds: np.ndarray) -> list[Finding]:
    count = 2 * inputs["epochs"] * len(inputs["val"])
    often = _("{count} images were measured in all; {right} were expected").format(count=len(kinds), right=count)
    text = _("it is measured on images other than the validation images as they come")
    history = all({"val_loss", "val_accuracy"} <= set(names) for names in observed["history"])
    return [
        holds("validation", history, _("the history lacks loss or accuracy on the validation images")),
        holds("validation", len(kinds) == count, often),
        holds("validation", bool((kinds == 1).all()), text),
    ]


def _whole(inputs: dict[str, Plain], observed: dict[str, Plain], ids: np.ndarray, count: int) -> list[Finding]:
    counts = np.bincount(ids[(ids >= 0) & (ids < count)], minlength=count)
    right = 2 * inputs["epochs"]
    seen = _("a varied training image was used {low} to {high} times; {right} were expected")
    seen = seen.format(low=counts.min(), high=counts.max(), right=right)
    loss = _("the loss is not the binary cross-entropy of the images' labels")
    truth = np.concatenate([inputs["train labels"], np.full(99, -1)])[np.clip(ids, 0, count)]
    return [
        holds("whole", bool((counts == right).all()) and len(ids) == right * count, seen),
        holds("whole", np.array_equal(keras_watch.classes(observed["labels"]), truth), loss),
        close("whole", observed["losses"], observed["cross-entropies"], loss, 1e-3),
        holds("whole", observed["largest"] == inputs["batch_size"], _("the batches have another size than asked for")),
    ]


def probe_keras(candidate, inputs):
    """Train in two stages, classify new photographs, and look at what reached the backbone."""
    import keras

    watch = keras_watch.Watch()
    splits = [(inputs[name].copy(), inputs[f"{name} labels"].copy()) for name in ("train", "val")]
    rest = [inputs[name] for name in ("head_lr", "fine_lr", "epochs", "batch_size")]
    with keras_watch.watching(watch):
        backbone = keras_watch.mobilenet_v2(inputs["pretrained"], watch)
        result = candidate(*splits, inputs["new"].copy(), flipped, backbone, *rest)
        model, histories, answers = keras_watch.returned(result, 3)
    if not isinstance(model, keras.Model) or not all(hasattr(history, "history") for history in histories):
        raise NotPlain(_("the model, the history of each stage and the probabilities were expected back"))
    inside = {id(variable) for base in watch.built for variable in base.variables}
    train = watch.rows(True)
    steps = [step for step in watch.steps if step["training"]]
    return {
        "answers": as_array(answers),
        "seen": np.concatenate(watch.seen) if watch.seen else np.zeros((0, 1)),
        "learned": train["x"],
        "labels": train["y"],
        "losses": train["losses"],
        "cross-entropies": [_cross_entropy(step) for step in steps],
        "measured": watch.rows(False)["x"],
        "fits": watch.fits,
        "head": [as_array(value) for value in model.variables if id(value) not in inside],
        "backbone": [as_array(value) for value in watch.built[0].get_weights()] if watch.built else [],
        "history": [sorted(history.history) for history in histories],
        "largest": max(train["sizes"], default=0),
    }


def _cross_entropy(step: dict) -> float:
    odds = np.clip(step["predicted"].reshape(-1).astype(np.float64), 1e-7, 1 - 1e-7)
    labels = step["y"].reshape(-1)
    return float(-np.mean(np.where(labels > 0.5, np.log(odds), np.log(1 - odds))))


EXERCISE = Exercise(
    id="clinic-mobilenet-binary",
    title=_("Clinic: MobileNetV2 for two classes"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=30,
    difficulty=4,
    points=6,
    statement=_(
        "A tutorial trains a head on MobileNetV2 with augmented images, fine-tunes, and classifies new photographs. It "
        "runs. Six things in it are wrong. Mend them: Adam trains the head at `head_lr`, then the whole network at "
        "`fine_lr`, with BatchNorm's pretrained statistics; every augmented image is used once an epoch; `val` is "
        "measured in every epoch; training and serving give the backbone what it was trained on."
    ),
    hints=(
        _("For each stage: which variables differ before and after? For each epoch: which images were used?"),
        _("Print the smallest and largest value that reaches the backbone in training and in `classify`."),
        _(
            "Put the preprocessing into the model; unfreeze all but the BatchNorm layers, then compile; let `fit` "
            "count its steps; validate on images as they come."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Training at [0, 1] instead of [-1, 1] cost little in the course's measurements. Why mend it?"),
            _(
                "A head trained under the wrong scaling adapts to it. The damage comes when another program serves the "
                "model: with a head trained rightly, accuracy fell from 0.88 to 0.46 on [0, 1] and to 0.05 on 0..255. "
                "With the scaling inside the model there is only one program."
            ),
        ),
        FollowUp(
            _("Guides call the backbone with `training=False`. Why freeze BatchNorm layers instead?"),
            _(
                "In a functional model of Keras 3, the mode that `fit` asks for is handed to every layer and replaces "
                "the one given when the model was built; the averages move (Keras issue 20285; checked with 3.15). A "
                "BatchNorm layer with `trainable = False` runs in inference mode whatever it is told. Inside a layer's "
                "own `call`, the argument holds."
            ),
        ),
    ),
    complexity=_(
        "First stage: one forward pass of the backbone per image and epoch. Second stage: about three times that, for "
        "the backward pass goes through everything, and memory for all activations of a batch."
    ),
    criteria={
        "inputs": Criterion(_("in training the backbone receives images in its own range")),
        "served": Criterion(_("new photographs get the answers that the trained model means")),
        "tuned": Criterion(_("the second stage trains the backbone, the first only the head, each at its rate")),
        "statistics": Criterion(_("BatchNorm keeps its pretrained statistics throughout"), needs=("tuned",)),
        "validation": Criterion(_("every epoch is measured on the validation images as they come")),
        "whole": Criterion(_("every varied training image is used once in every epoch")),
    },
    cases=cases,
    judge=judge,
    time_limit=30.0,
    variants={
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.STARTER,
            alternatives={"frozen BatchNorm, prepared outside": code.OUTSIDE, "tf.data": code.LOGITS},
            mistakes=code.mistakes(),
            equivalent={
                "base = backbone(include_top=False, weights='imagenet')": "the network takes images of any size",
                "base = backbone(input_shape=image_shape, include_top=False)": "ImageNet's weights are the default",
                "model.compile(keras.optimizers.Adam(fine_lr), metrics=['accuracy'])": KEPT,
                "model.compile(keras.optimizers.Adam(fine_lr), loss='binary_crossentropy')": KEPT,
            },
        ),
    },
)
