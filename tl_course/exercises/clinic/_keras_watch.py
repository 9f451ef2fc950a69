"""Small networks with the interface of `keras.applications`, and a record of what reaches them and the loss."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from tl_course.exercises.engine.exercise import Plain
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

VGG_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)
NOT_SEEN = -1


@dataclass
class Watch:
    """What was observed while a program ran.

    Attributes:
        steps: one entry for each batch that reached a compiled loss: training, x, y, predicted, loss.
        seen: each batch of images that reached a backbone's first layer.
        modes: the mode in which BatchNorm, where there is any, met each of these batches.
        built: every backbone that was asked for.
        initial: the weights each of them was given.
        started: each variable that training could move, and its value before the first step.
        optimizer: what takes the steps: its class's name and its rate.
        fits: one entry for each call of `fit`: what moved of the backbone, whether anything else did, and the rate.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    seen: list[np.ndarray] = field(default_factory=list)
    modes: list[bool] = field(default_factory=list)
    built: list[Any] = field(default_factory=list)
    initial: list[list[np.ndarray]] = field(default_factory=list)
    started: list[tuple[Any, np.ndarray]] = field(default_factory=list)
    optimizer: tuple[str, float] = ("", 0.0)
    fits: list[dict[str, Any]] = field(default_factory=list)

    def add(self, model, pretrained: list[np.ndarray] | None) -> None:
        """Note a new backbone, and give it its pretrained weights."""
        if pretrained is not None:
            model.set_weights(pretrained[: len(model.get_weights())])
        self.built.append(model)
        self.initial.append([value.copy() for value in model.get_weights()])

    def moved(self) -> int:
        """How many weights of the backbones are no longer what they were given."""
        pairs = zip(self.built, self.initial, strict=True)
        return sum(
            not np.array_equal(old, new)
            for model, before in pairs
            for old, new in zip(before, model.get_weights(), strict=True)
        )

    def learned(self) -> bool:
        """Whether training moved anything at all."""
        return any(not np.array_equal(value, as_array(variable.value)) for variable, value in self.started)

    def rows(self, training: bool) -> dict[str, Plain]:
        """The examples that reached the loss in one mode, with labels and predictions; each batch's size and loss."""
        steps = [step for step in self.steps if step["training"] == training]
        found: dict[str, Plain] = {"sizes": [len(step["x"]) for step in steps], "losses": [s["loss"] for s in steps]}
        for name in ("x", "y", "predicted"):
            found[name] = np.concatenate([step[name] for step in steps]) if steps else np.zeros((0, 1))
        return found


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """A new Keras session that runs eagerly; notes each batch that reaches a compiled loss, and each call of `fit`.

    A train function that Keras has traced keeps the variables it was traced with until `compile` is called again. Eager
    steps would not, so `fit` sees to it here.
    """
    import keras
    import tensorflow as tf

    keras.utils.clear_session(free_memory=False)  # names of layers begin anew
    keras.config.disable_interactive_logging()  # no progress bars, whose times are never the same
    tf.config.run_functions_eagerly(True)
    names = ("compute_loss", "compile", "fit")
    original = {name: getattr(keras.Model, name) for name in names}
    traced: dict[int, set[int]] = {}  # model to variables that its train function moves

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = original["compute_loss"](self, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if hasattr(loss, "numpy"):
            if training and not watch.started:
                watch.started = [(variable, as_array(variable.value)) for variable in self.trainable_variables]
                watch.optimizer = type(self.optimizer).__name__, float(self.optimizer.learning_rate)
            arrays = {"x": as_array(x), "y": as_array(y), "predicted": as_array(y_pred)}
            watch.steps.append({**arrays, "training": bool(training), "loss": float(loss)})
        return loss

    def compile_model(self, *args, **kwargs):
        traced.pop(id(self), None)
        return original["compile"](self, *args, **kwargs)

    def fit(self, *args, **kwargs):
        known = traced.setdefault(id(self), {id(variable) for variable in self.trainable_variables})
        late = [variable for variable in self.trainable_variables if id(variable) not in known]
        before = {id(variable): as_array(variable.value) for variable in self.variables}
        for variable in late:
            variable.trainable = False
        try:
            return original["fit"](self, *args, **kwargs)
        finally:
            for variable in late:
                variable.trainable = True
            watch.fits.append(_what_moved(self, before, watch))

    for name, function in zip(names, (compute_loss, compile_model, fit), strict=True):
        setattr(keras.Model, name, function)
    try:
        with warnings.catch_warnings():
            for ours in (
                "Even though the `tf.config",
                "The structure of `inputs`",
            ):  # of eager steps and watched models
                warnings.filterwarnings("ignore", message=ours)
            yield
    finally:
        for name, function in original.items():
            setattr(keras.Model, name, function)
        tf.config.run_functions_eagerly(False)


def _what_moved(model, before: dict[int, np.ndarray], watch: Watch) -> dict[str, Any]:
    labels = {
        id(variable): f"{layer.name}/{variable.name}"
        for base in watch.built
        for layer in base.layers
        for variable in layer.variables
    }
    nothing = np.empty(0)  # of a variable that was not there before
    moved = [v for v in model.variables if not np.array_equal(before.get(id(v), nothing), as_array(v.value))]
    names = sorted(labels[id(variable)] for variable in moved if id(variable) in labels)
    rate = float(model.optimizer.learning_rate)
    head = any(id(variable) not in labels for variable in moved)
    return {"backbone": names, "head": head, "rate": rate, "optimizer": type(model.optimizer).__name__}


def vgg16(
    pretrained: list[np.ndarray],
    size: tuple[int, int],
    watch: Watch,
    files: Mapping[str, list[np.ndarray]] = MappingProxyType({}),
) -> Callable:
    """A function with the interface of `keras.applications.VGG16` that builds a tiny network.

    Args:
        pretrained: its weights, first layer first (see `vgg_weights`).
        size: (H, W), the only size that its top takes.
        watch: notes what reaches the network.
        files: other weights by the name of the file in which they would be.
    """
    import keras
    from keras import layers

    first = _first_layer(watch)

    def backbone(
        include_top=True,
        weights="imagenet",
        input_tensor=None,
        input_shape=None,
        pooling=None,
        classes=1000,
        classifier_activation="softmax",
        name="vgg16",
    ):
        _check_weights(weights, files)
        if input_shape is not None and include_top and tuple(input_shape) != (*size, 3):
            raise ValueError(f"When include_top is True, input_shape should be {(*size, 3)}")
        if weights == "imagenet" and include_top and classes != 1000:
            raise ValueError("If using weights='imagenet' with include_top=True, classes should be 1000.")
        num_source = pretrained[8].shape[-1] if weights == "imagenet" else classes
        shape = input_shape or ((*size, 3) if include_top else (None, None, 3))
        inputs = keras.Input(shape) if input_tensor is None else input_tensor
        x = first(pretrained[0].shape[-1], 3, padding="same", activation="relu", name="block1_conv1")(inputs)
        x = layers.MaxPooling2D(2, name="block1_pool")(x)
        x = layers.Conv2D(pretrained[2].shape[-1], 3, padding="same", activation="relu", name="block5_conv3")(x)
        x = layers.MaxPooling2D(2, name="block5_pool")(x)
        if include_top:
            x = layers.Flatten(name="flatten")(x)
            x = layers.Dense(pretrained[4].shape[-1], activation="relu", name="fc1")(x)
            x = layers.Dense(pretrained[6].shape[-1], activation="relu", name="fc2")(x)
            x = layers.Dense(num_source, activation=classifier_activation, name="predictions")(x)
        elif pooling in ("avg", "max"):
            pool = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
            x = pool()(x)
        sources = inputs if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
        model = keras.Model(sources, x, name=name)
        watch.add(model, {None: None, "imagenet": pretrained, **files}[weights])
        return model

    return backbone


def _first_layer(watch: Watch):
    import keras

    class First(keras.layers.Conv2D):
        """A convolution that notes what it is given."""

        def call(self, inputs):
            if hasattr(inputs, "numpy"):
                watch.seen.append(as_array(inputs))
            return super().call(inputs)

    return First


def _check_weights(weights, files=()) -> None:
    if weights not in ("imagenet", None, *files):
        raise ValueError(f"weights should be None or 'imagenet', not {weights!r}")


def vgg_weights(rng: np.random.Generator, size: tuple[int, int], num_source: int) -> list[np.ndarray]:
    """Weights of a tiny network of the kind of VGG16: two convolutions, then three dense layers for the source task.

    Args:
        rng: where they come from.
        size: (H, W) of the images, each divisible by 4.
        num_source: classes of the source task.
    """
    widths = [3, 4, 6, size[0] // 4 * (size[1] // 4) * 6, 9, 7, num_source]
    shapes = [(3, 3, 3, 4), (3, 3, 4, 6), *pairwise(widths[3:])]
    weights = []
    for place, shape in enumerate(shapes):
        scale = np.sqrt(2 / np.prod(shape[:-1])) * (0.02 if place == 0 else 1)
        weights += [rng.normal(0, scale, shape), rng.normal(0.1, 0.1, shape[-1])]
    return [value.astype(np.float32) for value in weights]


def vgg_features(pretrained: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """The averaged features of the tiny network, (N, 6), for images that are preprocessed already."""
    return vgg_map(pretrained, images).mean(axis=(1, 2))


def vgg_scores(weights: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """The logits of the tiny network with its top, (N, K), for images that are preprocessed already."""
    x = vgg_map(weights, images).reshape(len(images), -1)
    for kernel, bias in (weights[4:6], weights[6:8]):
        x = np.maximum(x @ kernel + bias, 0)
    return x @ weights[8] + weights[9]


def vgg_map(pretrained: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """The last feature map of the tiny network, (N, H / 4, W / 4, 6)."""
    x = images
    for kernel, bias in (pretrained[:2], pretrained[2:4]):
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        x = np.maximum(np.einsum("nhwcij,ijcd->nhwd", windows, kernel) + bias, 0)
        n, height, width, depth = x.shape
        x = x.reshape(n, height // 2, 2, width // 2, 2, depth).max(axis=(2, 4))
    return x


def vgg_preprocessed(images: np.ndarray) -> np.ndarray:
    """What VGG16 was trained on: blue, green, red, less each channel's mean over ImageNet. From RGB in 0..255."""
    return images[..., ::-1].astype(np.float32) - VGG_MEAN


def which(rows: np.ndarray, images: np.ndarray, features: tuple[np.ndarray, ...] = ()) -> np.ndarray:
    """Which image each row comes from, however it is scaled and whatever the order of its channels.

    Args:
        rows: images (M, H, W, 3), or their features (M, D).
        images: all images, (N, H, W, 3).
        features: what else may stand for them: arrays (N, D).

    Returns:
        Numbers of images, (M,); `NOT_SEEN` where a row resembles none.
    """
    if rows.ndim == 4 and rows.shape[1:] == images.shape[1:]:
        alike = _pattern(rows) @ _pattern(images).T
        return np.where(alike.max(axis=1) > 0.8, alike.argmax(axis=1), NOT_SEEN)
    found = np.full(len(rows), NOT_SEEN)
    for known in features:
        flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
        if len(rows) and flat.shape[1] == known.shape[1]:
            gaps = np.abs(flat[:, None] - known[None]).max(axis=2)
            found = np.where(gaps.min(axis=1) < 1e-3 * (1 + np.abs(known).max()), gaps.argmin(axis=1), found)
    return found


def _pattern(images: np.ndarray) -> np.ndarray:
    grey = images.astype(np.float64).sum(axis=3).reshape(len(images), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    return grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-12)


def classes(y: np.ndarray) -> np.ndarray:
    """Labels as numbers, from numbers (N,), (N, 1) or one-hot rows (N, K)."""
    return y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).round().astype(np.int64)


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each example's cross-entropy, (N,)."""
    return -np.log(np.clip(probabilities[np.arange(len(labels)), labels].astype(np.float64), 1e-7, 1))


def returned(value: Any, count: int) -> tuple:
    """The things a program returned.

    Raises:
        NotPlain: not as many.
    """
    if not isinstance(value, (tuple, list)) or len(value) != count:
        raise NotPlain(_("{count} things were expected back, as in the program you were given").format(count=count))
    return tuple(value)


def nested_layers(model) -> list[Any]:
    """All layers of a model, those of models inside it too."""
    import keras

    found = []
    for layer in model.layers:
        found += nested_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def mobilenet_v2(pretrained: list[np.ndarray], watch: Watch) -> Callable:
    """A function with the interface of `keras.applications.MobileNetV2` that builds a tiny network with BatchNorm.

    Args:
        pretrained: its weights (see `mobilenet_weights`).
        watch: notes what reaches the network.
    """
    import keras
    from keras import layers

    first = _first_layer(watch)

    def backbone(
        input_shape=None,
        alpha=1.0,
        include_top=True,
        weights="imagenet",
        input_tensor=None,
        pooling=None,
        classes=1000,
        classifier_activation="softmax",
        name="mobilenetv2_1.00_224",
    ):
        _check_weights(weights)
        inputs = keras.Input(input_shape or (None, None, 3)) if input_tensor is None else input_tensor
        x = first(pretrained[0].shape[-1], 3, strides=2, padding="same", use_bias=False, name="Conv1")(inputs)
        x = layers.ReLU(6.0, name="Conv1_relu")(layers.BatchNormalization(momentum=0.9, name="bn_Conv1")(x))
        x = layers.Conv2D(pretrained[5].shape[-1], 1, use_bias=False, name="Conv_1")(x)
        x = layers.ReLU(6.0, name="out_relu")(layers.BatchNormalization(momentum=0.9, name="Conv_1_bn")(x))
        if include_top:
            x = layers.GlobalAveragePooling2D()(x)
            x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
        elif pooling in ("avg", "max"):
            x = (layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D)()(x)
        sources = inputs if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
        model = keras.Model(sources, x, name=name)
        watch.add(model, pretrained if weights == "imagenet" and not include_top else None)
        return model

    return backbone


def mobilenet_weights(rng: np.random.Generator) -> list[np.ndarray]:
    """Weights of a tiny network of the kind of MobileNetV2: two convolutions, each with BatchNorm."""
    weights = []
    for shape in ((3, 3, 3, 5), (1, 1, 5, 7)):
        depth = shape[-1]
        norm = [rng.uniform(0.8, 1.2, depth), rng.normal(0.3, 0.1, depth), rng.normal(0, 0.1, depth)]
        weights += [rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape), *norm, rng.uniform(0.8, 1.2, depth)]
    return [value.astype(np.float32) for value in weights]


def mobilenet_preprocessed(images: np.ndarray) -> np.ndarray:
    """What MobileNetV2 was trained on: RGB from -1 to 1. From 0..255."""
    return images.astype(np.float32) / 127.5 - 1


def mobilenet_features(weights: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """The averaged features of the tiny network in inference mode, (N, 7), for images that are preprocessed already."""
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 1), (0, 1), (0, 0)))  # even sizes, stride 2
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    x = _normalised(np.einsum("nhwcij,ijcd->nhwd", windows, weights[0]), weights[1:5])
    x = _normalised(np.einsum("nhwc,cd->nhwd", x, weights[5][0, 0]), weights[6:10])
    return x.mean(axis=(1, 2))


def _normalised(x: np.ndarray, norm: list[np.ndarray]) -> np.ndarray:
    gain, shift, mean, variance = norm
    return np.clip((x - mean) / np.sqrt(variance + 1e-3) * gain + shift, 0, 6)
