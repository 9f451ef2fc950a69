"""A text encoder with a classification head, its tokenizer and its class names in one object, and in one file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tl_course import classifier_file, zoo
from tl_course.classifier_file import ClassifierFile, check_class_names
from tl_course.encoder_config import EncoderConfig
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras import text_files
from tl_course.keras.adapters import AdapterStack, adapted_hidden, add_adapters
from tl_course.keras.batchnorm import seeded
from tl_course.keras.encoder import Encoder
from tl_course.keras.features import masked_mean
from tl_course.keras.freezing import unfreeze
from tl_course.keras.heads import HEAD
from tl_course.text_batches import AT_ONCE, Pooling, check_max_tokens, check_text_head, length_buckets, pad
from tl_course.zoo.inputs import check_batch_size
from tl_course.zoo.pretrained import Weights
from tl_course.zoo.texts_keras import KerasTextModel


class TextNetwork(keras.Model):
    """Encoder, pooling, dropout, linear head: a token batch -> logits (N, K). Built when made.

    Args:
        encoder: ours; its weights are not copied.
        num_classes: K.
        pooling: "mean" averages the tokens' vectors, padding left out; "cls" takes the first token's.
        dropout: share of the pooled vector that is dropped in training.
        seed: of the head and the dropout masks.
    """

    def __init__(self, encoder: Encoder, num_classes: int, pooling: Pooling, dropout: float, seed: int) -> None:
        super().__init__(name="text_network")
        self.pooling: Pooling = pooling
        self.encoder = encoder
        self.adapters = AdapterStack(name="adapters")  # empty until `adapters.add_adapters` fills it
        self.dropout = layers.Dropout(dropout, seed=seed)
        glorot = keras.initializers.GlorotUniform(seed=seed)
        self.head = layers.Dense(num_classes, kernel_initializer=glorot, dtype="float32", name=HEAD)
        self.build((None, encoder.config.dim))

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.head.build(input_shape)
        self.built = True

    def call(self, tokens: Mapping[str, Any], training: bool = False) -> Any:
        """input_ids, attention_mask (and token_type_ids), integers (N, L) -> logits (N, K)."""
        return self.head(self.dropout(self.pooled(tokens, training), training=training))

    def pooled(self, tokens: Mapping[str, Any], training: bool = False) -> Any:
        """The same -> one vector a text (N, D), before dropout and head."""
        if self.adapters.size is None:
            hidden = self.encoder(**tokens, training=training).last_hidden_state  # (N, L, D)
        else:
            hidden = adapted_hidden(self, tokens, training)
        return masked_mean(hidden, tokens["attention_mask"]) if self.pooling == "mean" else hidden[:, 0]

    def get_config(self) -> dict[str, Any]:
        settings = {"num_classes": self.head.units, "pooling": self.pooling, "dropout": self.dropout.rate}
        return {"encoder": asdict(self.encoder.config), **settings, "seed": self.dropout.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TextNetwork":
        return cls(Encoder(EncoderConfig(**config.pop("encoder"))), **config)


class TextClassifier:
    """Texts in, class names out: the encoder, a fresh head, and the tokenizer the encoder was trained with.

    Longer texts than `backbone.max_tokens` are cut there; `num_tokens` tells which.

    Args:
        backbone: a text model of the zoo, left as it is; its weights are copied.
        class_names: K names, each once; class k is `class_names[k]`.
        pooling: "mean" of the tokens' vectors, or "cls", the first token's.
        dropout: before the head, in training; the encoder keeps its own.
        seed: of the new head and of dropout.

    Attributes:
        backbone: the zoo's object around the encoder: name, tokenizer, max_tokens, preprocess, features.
        model: the `TextNetwork`.
        class_names: K names.

    Raises:
        BadInput: not a text model in Keras, an option out of range, or class names that are not one or more different
            strings.
    """

    def __init__(
        self,
        backbone: KerasTextModel,
        class_names: Sequence[str],
        *,
        pooling: Pooling = "mean",
        dropout: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not isinstance(backbone, KerasTextModel):
            raise BadInput(_("a text model in Keras"), repr(backbone), _("load one: zoo.load('minilm', 'keras')"))
        check_text_head(pooling, dropout)
        self.class_names = check_class_names(class_names)
        with seeded(seed):
            encoder = Encoder(backbone.model.config)
            self.model = TextNetwork(encoder, len(self.class_names), pooling, dropout, seed)
        encoder.set_weights(backbone.model.get_weights())
        self.backbone = KerasTextModel(
            backbone.name, "pretrained" if backbone.weights else None, encoder, backbone.tokenizer, backbone.max_tokens
        )
        self._graphs: dict[tuple[Any, ...], Callable[[Any], Any]] = {}

    @classmethod
    def build(
        cls,
        name: str,
        class_names: Sequence[str],
        *,
        weights: Weights = "pretrained",
        pooling: Pooling = "mean",
        max_tokens: int | None = None,
        dropout: float = 0.1,
        seed: int = 0,
        device: str | None = None,
    ) -> Self:
        """A classifier on a text encoder by name.

        Args:
            name: "minilm", or a folder with a BERT in Hugging Face's layout.
            class_names: K names.
            weights: "pretrained", or None for random weights.
            pooling, dropout: see `TextClassifier`.
            max_tokens: texts are cut after so many tokens, special ones included; None: as many as the encoder takes.
            seed: of the head, and of random weights. The global random state is left as it was.
            device: None: Keras chooses.

        Raises:
            BadInput: as `zoo.load` and `TextClassifier`, or more tokens than the encoder takes.
        """
        names = check_class_names(class_names)
        with seeded(seed):
            backbone = zoo.load(name, "keras", weights, device=device)
        if isinstance(backbone, KerasTextModel) and max_tokens is not None:
            backbone.max_tokens = check_max_tokens(max_tokens, backbone.max_tokens)
        return cls(backbone, names, pooling=pooling, dropout=dropout, seed=seed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backbone.name!r}, {len(self.class_names)} classes)"

    @property
    def tokenizer(self) -> Any:
        """The encoder's tokenizer, Hugging Face's."""
        return self.backbone.tokenizer

    def preprocess(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """Texts (N,) -> input_ids, attention_mask, … int64 (N, L), for `model`."""
        return self.backbone.preprocess(texts)

    def num_tokens(self, texts: Iterable[str]) -> np.ndarray:
        """Texts (N,) -> how many tokens each has before it is cut, special ones included, int64 (N,)."""
        return self.backbone.num_tokens(texts)

    def graph(self) -> Callable[[Any], Any]:
        """A token batch (n, L) -> logits (n, K), in inference mode: traced once, for any n and L."""
        return self._traced("logits", lambda tokens: self.model(tokens, training=False))

    def feature_graph(self) -> Callable[[Any], Any]:
        """A token batch (n, L) -> what reaches the head (n, D), in inference mode."""
        return self._traced("features", lambda tokens: self.model.pooled(tokens))

    def logits(self, texts: Iterable[str], batch_size: int = AT_ONCE) -> np.ndarray:
        """Texts (N,) -> float32 (N, K), in inference mode; the model is left as it was.

        Raises:
            BadInput: one string instead of several, none at all, or an element that is not a string.
        """
        ids = self.backbone.token_ids(texts)
        check_batch_size(batch_size)
        graph, out = self.graph(), np.empty((len(ids), len(self.class_names)), np.float32)
        for batch in length_buckets([len(row) for row in ids], batch_size):
            input_ids, mask = pad([ids[i] for i in batch], self.tokenizer.pad_token_id)
            out[batch] = graph({"input_ids": tf.constant(input_ids), "attention_mask": tf.constant(mask)})
        return out

    def predict_proba(self, texts: Iterable[str], batch_size: int = AT_ONCE) -> np.ndarray:
        """Texts -> probabilities float32 (N, K), the softmax of the logits."""
        return np.asarray(tf.nn.softmax(self.logits(texts, batch_size), axis=1))

    def predict(self, texts: Iterable[str], batch_size: int = AT_ONCE) -> np.ndarray:
        """Texts -> the most likely class of each, int64 (N,); its name is `class_names[k]`."""
        return self.logits(texts, batch_size).argmax(axis=1).astype(np.int64)

    def save(self, path: str | Path) -> Path:
        """Write everything needed to predict, the tokenizer included, into one file; returns its path.

        LoRA is merged into the saved weights (this classifier keeps it), adapters are saved as they are.
        """
        details = text_files.describe(self.backbone, self.model.pooling, self.model.dropout.rate)
        details["adapters"] = self.model.adapters.size
        state = text_files.weights(self.model)
        content = ClassifierFile("keras", self.backbone.name, None, (), (), self.class_names, state, details, "text")
        return classifier_file.write(path, content)

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Self:
        """The classifier that `save` wrote; it predicts the same, and needs neither network nor zoo.

        Args:
            path: of the file.
            device: None: Keras chooses.

        Raises:
            BadInput: the file is missing, cut off, changed, of another framework or kind, or incomplete.
        """
        if device is not None:
            raise BadInput(_("no device: Keras chooses"), f"device={device!r}", _("leave it out"))
        content = classifier_file.read(path, "keras", "text")
        details = content.details
        backbone = text_files.rebuild(content.backbone, details)
        made = cls(backbone, content.class_names, pooling=details["pooling"], dropout=details["dropout"])
        if (size := details.get("adapters")) is not None:
            unfreeze(add_adapters(made.model, size))
        text_files.set_weights(made.model, content)
        return made

    def _traced(self, name: str, forward: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The graph of `forward`, traced again when layers were given other weights, as by LoRA."""
        key = (name, *(id(weight) for weight in self.model.weights))
        if key not in self._graphs:
            spec = tf.TensorSpec((None, None), tf.int64)
            tokens = {"input_ids": spec, "attention_mask": spec}
            self._graphs[key] = tf.function(forward, autograph=False).get_concrete_function(tokens)
        return self._graphs[key]


def load(path: str | Path, device: str | None = None) -> TextClassifier:
    """`TextClassifier.load`: the classifier that `TextClassifier.save` wrote."""
    return TextClassifier.load(path, device)
