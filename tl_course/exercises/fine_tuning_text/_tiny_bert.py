"""A tiny BERT with random weights, for exercises on Hugging Face's own classes, and the same computed in NumPy."""

import math
from pathlib import Path
from typing import Any

import numpy as np

Weights = dict[str, np.ndarray]
VOCABULARY, WIDTH, INNER, LAYERS, HEADS, LENGTH = 50, 16, 24, 2, 2, 16
EPSILON = 1e-12
SETTINGS: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": LENGTH,
}


def draw_bert(rng: np.random.Generator) -> Weights:
    """Random weights by the names of `transformers.BertModel`, large enough for attention to differ."""
    shapes = {
        "embeddings.word_embeddings.weight": (VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": (LENGTH, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    linears = {"pooler.dense": (WIDTH, WIDTH)}
    for layer in range(LAYERS):
        block = f"encoder.layer.{layer}."
        linears |= {f"{block}attention.self.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value")}
        linears |= {f"{block}attention.output.dense": (WIDTH, WIDTH)}
        linears |= {f"{block}intermediate.dense": (INNER, WIDTH), f"{block}output.dense": (WIDTH, INNER)}
        norms += [f"{block}attention.output.LayerNorm", f"{block}output.LayerNorm"]
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    weights = {name: rng.normal(scale=0.4, size=shape) for name, shape in shapes.items()}
    for name in norms:
        weights |= {f"{name}.weight": rng.uniform(0.7, 1.3, WIDTH), f"{name}.bias": rng.normal(scale=0.2, size=WIDTH)}
    return {name: array.astype(np.float32) for name, array in weights.items()}


def draw_ids(rng: np.random.Generator, lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (padding 0) and attention mask of texts of these lengths, both (N, L)."""
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    return rng.integers(1, VOCABULARY, size=mask.shape) * mask, mask


def bert(weights: Weights, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden states after embeddings and each layer (1 + layers, N, L, D), and attention (layers, N, heads, L, L)."""
    numbers = {name: array.astype(np.float64) for name, array in weights.items()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ numbers[f"{name}.weight"].T + numbers[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        return scaled * numbers[f"{name}.weight"] + numbers[f"{name}.bias"]

    words, places, kinds = (
        numbers[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
    )
    states = [norm("embeddings.LayerNorm", words[ids] + places[: ids.shape[1]] + kinds[0])]
    maps = []
    for layer in range(LAYERS):
        block, x = f"encoder.layer.{layer}.", states[-1]
        query, key, value = (
            linear(f"{block}attention.self.{name}", x).reshape(*ids.shape, HEADS, -1).swapaxes(1, 2)
            for name in ("query", "key", "value")
        )  # (N, heads, L, D / heads)
        odds = np.exp(query @ key.swapaxes(2, 3) / np.sqrt(query.shape[-1])) * mask[:, None, None, :]
        maps.append(odds / odds.sum(axis=-1, keepdims=True))
        mixed = (maps[-1] @ value).swapaxes(1, 2).reshape(x.shape)
        x = norm(f"{block}attention.output.LayerNorm", x + linear(f"{block}attention.output.dense", mixed))
        inner = linear(f"{block}intermediate.dense", x)
        inner = inner * (1 + np.vectorize(math.erf)(inner / np.sqrt(2))) / 2  # GELU
        states.append(norm(f"{block}output.LayerNorm", x + linear(f"{block}output.dense", inner)))
    return np.stack(states), np.stack(maps)


def torch_bert(weights: Weights, dropout: float = 0.0):
    """The `transformers.BertModel` with these weights, in training mode."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(**SETTINGS, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    model = BertModel(config)
    model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    return model.train()


def bert_folder(weights: Weights, path: str) -> str:
    """Save the model in Hugging Face's layout, with dropout 0.1, into a folder; returns its absolute path."""
    torch_bert(weights, dropout=0.1).save_pretrained(path)
    return str(Path(path).absolute())
