"""A tiny text encoder with attention, the same in NumPy, PyTorch and Keras, for exercises that need one.

It is called as Hugging Face's encoders are: ``encoder(input_ids, attention_mask=None, token_type_ids=None,
output_attentions=False)`` and gives ``last_hidden_state`` (N, L, D), ``hidden_states`` and, when asked, ``attentions``.
"""

from collections import namedtuple
from typing import Any

import numpy as np

from tl_course.exercises.engine.plain import NotPlain
from tl_course.i18n import _

Weights = dict[str, np.ndarray]
Output = namedtuple("Output", "last_hidden_state hidden_states attentions")
VOCABULARY, LENGTH, SEGMENTS = 14, 12, 2
PROJECTIONS = ("query", "key", "value")


def instance(value: Any, kind: type) -> Any:
    """The value itself. Raises NotPlain, with a message for learners, when it is of another kind."""
    if not isinstance(value, kind):
        text = _("a {kind} was expected, yours is a {other}")
        raise NotPlain(text.format(kind=kind.__name__, other=type(value).__name__))
    return value


def draw_encoder(rng: np.random.Generator, dim: int = 6, num_layers: int = 1) -> Weights:
    """Random weights in whose attention one position is often clearly preferred."""
    shapes = {"tokens": (VOCABULARY, dim), "positions": (LENGTH, dim), "segments": (SEGMENTS, dim)}
    shapes |= dict.fromkeys(PROJECTIONS, (num_layers, dim, dim))
    return {name: rng.normal(size=shape, scale=0.6).astype(np.float32) for name, shape in shapes.items()}


def draw_texts(rng: np.random.Generator, lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and attention mask of texts of these lengths, (N, L); the padding holds ids of real tokens too."""
    ids = rng.integers(0, VOCABULARY, size=(len(lengths), max(lengths)))
    return ids, (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the classes, over the last axis."""
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def mean_logits(weights: Weights, head: dict[str, np.ndarray], ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What a linear head gives for the mean of each text's token vectors, text by text without any padding, (N, K)."""
    rows = []
    for text, kept in zip(ids, mask, strict=True):
        tokens = text[kept == 1][None]
        rows.append(encode(weights, tokens, np.ones_like(tokens)).last_hidden_state[0].mean(axis=0))
    return np.array(rows) @ head["kernel"] + head["bias"]


def draw_head(rng: np.random.Generator, dim: int = 6, num_classes: int = 3) -> dict[str, np.ndarray]:
    """Kernel (D, K) and bias (K,) of a linear head."""
    return {
        "kernel": rng.normal(size=(dim, num_classes), scale=2).astype(np.float32),
        "bias": rng.normal(size=num_classes).astype(np.float32),
    }


def torch_head(head: dict[str, np.ndarray]):
    """The head as a PyTorch layer."""
    import torch

    linear = torch.nn.Linear(*head["kernel"].shape)
    linear.load_state_dict({"weight": torch.tensor(head["kernel"].T), "bias": torch.tensor(head["bias"])})
    return linear


def keras_head(head: dict[str, np.ndarray]):
    """The head as a Keras layer."""
    import keras

    dense = keras.layers.Dense(head["kernel"].shape[1])
    dense.build((None, len(head["kernel"])))
    dense.set_weights([head["kernel"], head["bias"]])
    return dense


def encode(weights: Weights, ids: np.ndarray, mask: np.ndarray, num_heads: int = 2) -> Output:
    """What the encoder computes in inference mode, in float64; segments are all 0.

    Args:
        weights: from `draw_encoder`.
        ids: token ids (N, L).
        mask: 1 for tokens, 0 for padding, (N, L).
        num_heads: heads of each layer.
    """
    numbers = {name: array.astype(np.float64) for name, array in weights.items()}
    x = numbers["tokens"][ids] + numbers["positions"][: ids.shape[1]] + numbers["segments"][0]
    states, maps = [x], []
    for query, key, value in zip(*(numbers[name] for name in PROJECTIONS), strict=True):
        heads = np.split(np.stack([x @ query, x @ key, x @ value]), num_heads, axis=-1)
        layer, mixed = [], []
        for q, k, v in heads:  # each (N, L, D / heads)
            odds = np.exp(np.einsum("nid,njd->nij", q, k) / np.sqrt(q.shape[-1])) * (mask[:, None, :] == 1)
            layer.append(odds / odds.sum(axis=2, keepdims=True))
            mixed.append(layer[-1] @ v)
        x = np.tanh(x + np.concatenate(mixed, axis=-1))
        states.append(x)
        maps.append(np.stack(layer, axis=1))
    return Output(x, states, maps)


def torch_encoder(weights: Weights, num_heads: int = 2, dropout: float = 0.0):
    """The encoder as a PyTorch module, in training mode; dropout acts on the attention weights."""
    import torch
    from torch import nn

    class TinyEncoder(nn.Module):
        """A stack of attention layers."""

        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.ParameterDict({k: nn.Parameter(torch.tensor(v)) for k, v in weights.items()})
            self.dropout = nn.Dropout(dropout)

        def forward(self, input_ids, attention_mask=None, token_type_ids=None, output_attentions=False):
            """Hidden states, and attention weights when asked."""
            w = self.weights
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            x = w["tokens"][input_ids] + w["positions"][: input_ids.shape[1]] + w["segments"][segments]
            states, maps = [x], []
            for layer in range(len(w["query"])):
                q, k, v = ((x @ w[name][layer]).unflatten(-1, (num_heads, -1)).transpose(1, 2) for name in PROJECTIONS)
                scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5  # (N, heads, L, L)
                scores = scores.masked_fill(mask[:, None, None, :] == 0, -1e9)
                maps.append(self.dropout(scores.softmax(dim=-1)))
                x = torch.tanh(x + (maps[-1] @ v).transpose(1, 2).flatten(2))
                states.append(x)
            return Output(x, tuple(states), tuple(maps) if output_attentions else None)

    return TinyEncoder()


def keras_encoder(weights: Weights, num_heads: int = 2, dropout: float = 0.0):
    """The encoder as a Keras layer; dropout acts on the attention weights."""
    import keras
    from keras import ops

    class TinyEncoder(keras.layers.Layer):
        """A stack of attention layers."""

        def __init__(self) -> None:
            super().__init__(name="encoder")
            for name, value in weights.items():
                weight = self.add_weight(shape=value.shape, name=name)
                weight.assign(value)
                setattr(self, name, weight)
            self.dropout = keras.layers.Dropout(dropout, seed=0)
            self.built = True

        def call(self, input_ids, attention_mask=None, token_type_ids=None, output_attentions=False, training=False):
            """Hidden states, and attention weights when asked."""
            mask = ops.ones_like(input_ids) if attention_mask is None else attention_mask
            segments = ops.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            count, length = input_ids.shape
            x = ops.take(self.tokens, input_ids, axis=0) + self.positions[:length]
            x = x + ops.take(self.segments, segments, axis=0)
            states, maps = [x], []
            shape = (count, length, num_heads, x.shape[-1] // num_heads)
            for layer in range(self.query.shape[0]):
                q, k, v = (
                    ops.transpose(ops.reshape(ops.matmul(x, projection[layer]), shape), (0, 2, 1, 3))
                    for projection in (self.query, self.key, self.value)
                )
                scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / shape[-1] ** 0.5
                scores = ops.where(ops.equal(mask, 0)[:, None, None, :], -1e9, scores)
                maps.append(self.dropout(ops.softmax(scores, axis=-1), training=training))
                mixed = ops.transpose(ops.matmul(maps[-1], v), (0, 2, 1, 3))
                x = ops.tanh(x + ops.reshape(mixed, x.shape))
                states.append(x)
            return Output(x, tuple(states), tuple(maps) if output_attentions else ())

    return TinyEncoder()
