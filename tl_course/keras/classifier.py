"""A model with its preprocessing and its class names in one object, and in one file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import tensorflow as tf

from tl_course import classifier_file, zoo
from tl_course.classifier_file import ClassifierFile, check_class_names
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.batchnorm import layers_of, seeded
from tl_course.keras.heads import feature_layer, replace_head
from tl_course.zoo.images_keras import KerasImageModel
from tl_course.zoo.inputs import check_batch_size
from tl_course.zoo.pretrained import Weights


class Classifier:
    """Images in, class names out: the backbone, a fresh head, and the preprocessing the backbone was trained with.

    Args:
        backbone: an image model of the zoo, left as it is; its weights are copied.
        class_names: K names, each once; class k is `class_names[k]`.
        seed: of the new head.

    Attributes:
        backbone: the zoo's object around `model`: name, image_size, preprocess, features.
        class_names: K names.

    Raises:
        BadInput: not an image model in Keras, or class names that are not one or more different strings.
    """

    def __init__(self, backbone: KerasImageModel, class_names: Sequence[str], *, seed: int = 0) -> None:
        if not isinstance(backbone, KerasImageModel):
            raise BadInput(
                _("an image model in Keras"), repr(backbone), _("load one: zoo.load('mobilenet_v2', 'keras')")
            )
        self.class_names = check_class_names(class_names)
        model = replace_head(backbone.model, len(self.class_names), seed=seed)
        self.backbone = backbone.with_model(model, feature_layer(model).name)
        self._graph: Callable[[Any], Any] | None = None

    @classmethod
    def build(
        cls,
        name: str,
        class_names: Sequence[str],
        *,
        weights: Weights = "pretrained",
        image_size: int | Literal["default"] | None = "default",
        seed: int = 0,
        device: str | None = None,
    ) -> Self:
        """A classifier on a backbone of the zoo, by name.

        Args:
            name: one of `zoo.names("keras")`.
            class_names: K names.
            weights: "pretrained", or None for random weights.
            image_size: see `zoo.load`; smaller is faster.
            seed: of the head, and of random weights. The global random state is left as it was.
            device: None: Keras chooses.

        Raises:
            BadInput: as `zoo.load` and `Classifier`.
        """
        names = check_class_names(class_names)
        with seeded(seed):
            backbone = zoo.load(name, "keras", weights, image_size=image_size, device=device)
        return cls(backbone, names, seed=seed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backbone.name!r}, {len(self.class_names)} classes)"

    @property
    def model(self) -> keras.Model:
        """The model: preprocessed images (N, H, W, C) -> logits (N, K)."""
        return self.backbone.model

    def preprocess(self, images: np.ndarray) -> Any:
        """Images float32 (N, H, W, C) in [0, 1] -> resized, scaled tensor (N, H', W', C)."""
        return self.backbone.preprocess(images)

    def graph(self) -> Callable[[Any], Any]:
        """Preprocessed images (n, H', W', C) -> logits (n, K), in inference mode: traced once, for any number."""
        if self._graph is not None:
            return self._graph
        model = self.model
        spec = tf.TensorSpec((None, *model.input_shape[1:3], self.backbone.channels), tf.float32)
        graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
        self._graph = graph
        return graph

    def logits(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images float32 (N, H, W, C) in [0, 1] -> float32 (N, K), in inference mode; the model is left as it was.

        Raises:
            BadInput: images that do not match dtype, shape, channel order or range.
        """
        images = self.backbone.check(images)
        check_batch_size(batch_size)
        graph = self.graph()
        batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
        prepared = (tf.convert_to_tensor(self.backbone.prepare(batch)) for batch in batches)
        return np.concatenate([np.asarray(graph(batch)) for batch in prepared])

    def predict_proba(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images -> probabilities float32 (N, K), the softmax of the logits."""
        return np.asarray(keras.ops.softmax(self.logits(images, batch_size), axis=1))

    def predict(self, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Images -> the most likely class of each, int64 (N,); its name is `class_names[k]`."""
        return self.logits(images, batch_size).argmax(axis=1).astype(np.int64)

    def save(self, path: str | Path) -> Path:
        """Write everything needed to predict into one file (see `classifier_file`); returns its path."""
        mean, std = normalisation(self.backbone)
        state = {name: np.asarray(weight) for name, weight in _named_weights(self.model).items()}
        content = ClassifierFile(
            "keras", self.backbone.name, self.backbone.image_size, mean, std, self.class_names, state
        )
        return classifier_file.write(path, content)

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Self:
        """The classifier that `save` wrote; it predicts the same.

        Args:
            path: of the file.
            device: as in `build`.

        Raises:
            BadInput: the file is missing, cut off, changed, of another framework, or does not fit its backbone.
        """
        content = classifier_file.read(path, "keras", "image")
        made = cls.build(
            content.backbone, content.class_names, weights=None, image_size=content.image_size, device=device
        )
        if not np.allclose(normalisation(made.backbone), (content.mean, content.std), rtol=1e-4, atol=1e-5):
            raise BadInput(
                _("the preprocessing of {name}").format(name=content.backbone),
                _("another mean or standard deviation in the file"),
                _("save the classifier again, with the version of Keras you load it with"),
            )
        _set_weights(made.model, content)
        return made


def load(path: str | Path, device: str | None = None) -> Classifier:
    """`Classifier.load`: the classifier that `Classifier.save` wrote."""
    return Classifier.load(path, device)


def normalisation(backbone: KerasImageModel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel the model gets, from what becomes of black and white.

    Every preprocessing of the zoo is (x - mean) / std but for the order of the channels.
    """
    side = backbone.image_size or backbone.min_size
    black, white = (
        np.asarray(backbone.prepare(np.full((1, side, side, backbone.channels), value, np.float32)))[0, 0, 0]
        for value in (0.0, 1.0)
    )
    std = 1 / (white.astype(np.float64) - black)
    return tuple((-black * std).tolist()), tuple(std.tolist())


def _named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights by number and name; a layer's own name may differ from session to session."""
    return {f"{number:04d}.{weight.name}": weight for number, weight in enumerate(model.weights)}


def _set_weights(model: keras.Model, content: ClassifierFile) -> None:
    """Copy the file's arrays into the model."""
    wanted = {name: tuple(weight.shape) for name, weight in _named_weights(model).items()}
    found = {name: array.shape for name, array in content.weights.items()}
    if wanted != found:
        differs = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))[0]
        raise BadInput(
            _("the weights of a {name} with {count} classes").format(
                name=content.backbone, count=len(content.class_names)
            ),
            _("{weight}: {found} in the file, {wanted} in the model").format(
                weight=differs, found=found.get(differs), wanted=wanted.get(differs)
            ),
            _("save the classifier again, with the version of Keras you load it with"),
        )
    model.set_weights([content.weights[name] for name in wanted])
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with its weights only from then on
