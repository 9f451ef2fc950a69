"""Tiny random text encoders of several kinds, with MiniLM's tokenizer: quick to train, no weights to load."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tl_course import assets, data
from tl_course.compat import make_importable
from tl_course.data.dataset import Dataset
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.zoo.texts import TextModel

NAMES = ("negative", "positive")
WIDTH = 16
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
KINDS: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": {**SIZES, "pad_token_id": 0},
    "distilbert": {"dim": WIDTH, "n_layers": 3, "n_heads": 2, "hidden_dim": 32},
    "electra": {**SIZES, "embedding_size": 8},
    "albert": {**SIZES, "embedding_size": 8},
}
DROPOUT = {"distilbert": ("dropout", "attention_dropout")}
BERT_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def _backbone(kind: str = "bert", *, dropout: float = 0.0, max_tokens: int = 32, encoder_seed: int = 0) -> TextModel:
    make_importable()
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    rates = dict.fromkeys(DROPOUT.get(kind, BERT_DROPOUT), dropout)
    config = AutoConfig.for_model(kind, vocab_size=30522, max_position_embeddings=80, **KINDS[kind], **rates)
    with torch.random.fork_rng():
        torch.manual_seed(encoder_seed)
        model = AutoModel.from_config(config)
    tokenizer = AutoTokenizer.from_pretrained(str(assets.path("minilm")), local_files_only=True)
    return TextModel(f"tiny-{kind}", None, model, tokenizer, max_tokens, "cpu")


def _classifier(kind: str = "bert", *, pooling: Any = "mean", seed: int = 0, **options: Any) -> TextClassifier:
    return TextClassifier(
        _backbone(kind, **options), NAMES, pooling=pooling, dropout=options.get("dropout", 0.0), seed=seed
    )


@pytest.fixture(scope="session")
def text_backbone() -> Callable[..., TextModel]:
    """Makes a random encoder as the zoo would hand it out: kind, dropout, max_tokens, encoder_seed."""
    return _backbone


@pytest.fixture(scope="session")
def text_classifier() -> Callable[..., TextClassifier]:
    """Makes a classifier on such an encoder: kind, pooling, seed, and what `text_backbone` takes."""
    return _classifier


@pytest.fixture(scope="session")
def tweets() -> Dataset:
    """48 real tweets to train on, 24 to validate on; the test split is whole."""
    full = data.load("sentiment")
    assert full.val is not None
    return dataclasses.replace(full, train=full.train.take(np.arange(48)), val=full.val.take(np.arange(24)))
