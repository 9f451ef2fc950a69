"""Attention maps out of Keras models, and two measures of what matters that ask the model itself.

The same functions with the same numbers are in tl_course/pytorch/attention.py, where the terms are explained.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tl_course.attention import AttentionMaps
from tl_course.attention_inputs import check_tokenizer, covered_copies, image_maps, text_maps
from tl_course.errors import BadInput
from tl_course.i18n import _

Answer = Any


def attention_maps(model: Any, inputs: Any, *, tokenizer: Any = None) -> AttentionMaps:
    """The attention of every layer and head, in inference mode.

    Args:
        model: a text model of the zoo or a classifier on one, with texts (N,); the course's `Encoder`, with a
            tokenised batch and `tokenizer`; a vision transformer of the zoo with images (N, H, W, C) in [0, 1].
        inputs: what the model takes, see above.
        tokenizer: for a bare encoder: says which tokens are special.

    Raises:
        BadInput: the model gives no maps, or what it gives is no attention.
    """
    owner = getattr(model, "backbone", model)
    network, batch = (model, inputs) if isinstance(model, keras.Model) else (owner.model, _batch(owner, inputs))
    if isinstance(batch, Mapping):
        tokenizer = getattr(owner, "tokenizer", tokenizer)
        check_tokenizer(tokenizer)
        maps = network(**batch, output_attentions=True, training=False).attentions
        ids = np.asarray(batch["input_ids"])
        return text_maps(_arrays(maps), ids, np.asarray(batch.get("attention_mask", ids * 0 + 1)) > 0, tokenizer)
    encode = getattr(network, "encode", None)
    maps = None if encode is None else encode(batch, output_attentions=True).attentions
    return image_maps(_arrays(maps), tuple(batch.shape[1:3]), getattr(network, "patch_size", None))


def gradient_x_input(classifier: Any, texts: Any, *, target: int | None = None) -> list[np.ndarray]:
    """Gradient · embedding of the log-odds of the answer, for each token (Shrikumar et al., 2016).

    Args:
        classifier: a `TextClassifier` of tl_course.keras.
        texts: (N,).
        target: the class; None takes each text's predicted class.

    Returns:
        One array (t,) per text, padding dropped; positive where the token speaks for the class.
    """
    batch = _batch(classifier.backbone, texts)
    table = classifier.backbone.model.embeddings.tokens.embeddings.value  # (vocabulary, D)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(table)
        answer = ops.sum(_log_odds(_logits(classifier, batch), target))
    gradient = tape.gradient(answer, table)  # one row for each token of the batch, in the order of input_ids
    ids, keep = batch["input_ids"], batch["attention_mask"] > 0
    rows = gradient.values.numpy().reshape(*ids.shape, -1) * table.numpy()[ids]  # (N, T, D)
    return [values[real] for values, real in zip(rows.sum(axis=-1), keep, strict=True)]


def leave_one_out(
    classifier: Any, texts: Any, *, target: int | None = None, replace_with: int | None = None, batch_size: int = 128
) -> list[np.ndarray]:
    """How far the log-odds of the answer fall when a token is left out: the model is asked again for every token.

    Args:
        classifier, texts, target: see `gradient_x_input`.
        replace_with: a token id to put in its place; None hides the token behind the attention mask.
        batch_size: texts per forward pass.

    Returns:
        One array (t,) per text, padding dropped.
    """
    batch = _batch(classifier.backbone, texts)
    rows = []
    for index in range(len(batch["input_ids"])):
        keep = batch["attention_mask"][index] > 0
        length = int(keep.sum())
        many = {key: np.repeat(value[index : index + 1, keep], length + 1, axis=0) for key, value in batch.items()}
        each = np.arange(length)  # the last row stays whole
        if replace_with is None:
            many["attention_mask"][each, each] = 0
        else:
            many["input_ids"][each, each] = replace_with
        starts = range(0, length + 1, batch_size)
        pieces = [_logits(classifier, {k: v[s : s + batch_size] for k, v in many.items()}) for s in starts]
        rows.append(_falls(ops.concatenate(pieces), target))
    return rows


def occlusion(model: Any, images: np.ndarray, patch_size: int, *, target: int | None = None) -> np.ndarray:
    """How far the log-odds of the answer fall when a patch takes the image's mean colour (Zeiler & Fergus, 2014).

    Args:
        model: an image model of the zoo, or a classifier on one.
        images: float32 (N, H, W, C) in [0, 1].
        patch_size: side of a patch, which divides H and W.
        target: the class; None takes each image's predicted class.

    Returns:
        float32 (N, H / patch_size, W / patch_size).
    """
    owner, falls = getattr(model, "backbone", model), []
    for image in images:
        covered, grid = covered_copies(image, patch_size)
        falls.append(_falls(_logits(model, owner.preprocess(covered)), target).reshape(grid))
    return np.stack(falls)


def _batch(owner: Any, inputs: Any) -> Any:
    if not isinstance(getattr(owner, "model", None), keras.Model):
        raise BadInput(
            _("a Keras model of the zoo, a classifier on one, or the course's Encoder with a tokenised batch"),
            type(owner).__name__,
            _("for PyTorch use tl_course.pytorch.attention"),
        )
    return owner.preprocess(inputs)


def _arrays(maps: Any) -> list[np.ndarray]:
    return [ops.convert_to_numpy(each) for each in maps or ()]


def _logits(owner: Any, batch: Any) -> Answer:
    logits = owner.model(batch, training=False)
    if len(logits.shape) != 2 or logits.shape[1] < 2:
        raise BadInput(
            _("a classifier that gives logits (N, K), K at least 2"),
            _("shape {s}").format(s=tuple(logits.shape)),
            _("put a head on the encoder first"),
        )
    return logits


def _log_odds(logits: Answer, target: int | None) -> Answer:
    """Log-odds (N,) of the target class, of each row's own prediction when it is None."""
    count, classes = logits.shape
    chosen = ops.argmax(logits, axis=1) if target is None else ops.full((count,), target)
    own = ops.cast(ops.one_hot(chosen, classes), logits.dtype)
    return ops.sum(own * logits, axis=1) - ops.logsumexp(logits - 1e9 * own, axis=1)


def _falls(logits: Answer, target: int | None) -> np.ndarray:
    """Logits (n + 1, K), the last row of the whole input -> how far the log-odds fall in the others, (n,)."""
    answer = _log_odds(logits, int(ops.argmax(logits[-1])) if target is None else target)
    return ops.convert_to_numpy(answer[-1] - answer[:-1])
