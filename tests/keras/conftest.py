"""A tiny random text encoder with MiniLM's tokenizer: quick to train, no weights to load."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tl_course import assets, data
from tl_course.compat import make_importable
from tl_course.data.dataset import Dataset
from tl_course.encoder_config import EncoderConfig
from tl_course.keras.batchnorm import seeded
from tl_course.keras.encoder import Encoder
from tl_course.keras.text_classifier import TextClassifier
from tl_course.zoo.texts_keras import KerasTextModel

NAMES = ("negative", "positive")


def _classifier(*, pooling: Any = "mean", seed: int = 0, dropout: float = 0.0, max_tokens: int = 32) -> TextClassifier:
    make_importable()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(assets.path("minilm")), local_files_only=True)
    config = EncoderConfig(30522, 80, 16, 3, 2, 32, dropout=dropout)
    with seeded(0):
        encoder = Encoder(config)
    backbone = KerasTextModel("tiny", None, encoder, tokenizer, max_tokens)
    return TextClassifier(backbone, NAMES, pooling=pooling, dropout=dropout, seed=seed)


@pytest.fixture(scope="session")
def text_classifier() -> Callable[..., TextClassifier]:
    """Makes a classifier of two classes on a random encoder: pooling, seed, dropout, max_tokens."""
    return _classifier


@pytest.fixture(scope="session")
def tweets() -> Dataset:
    """48 real tweets to train on, 24 to validate on; the test split is whole."""
    full = data.load("sentiment")
    assert full.val is not None
    return dataclasses.replace(full, train=full.train.take(np.arange(48)), val=full.val.take(np.arange(24)))
