"""Further pretraining moves the encoder, and nothing else, towards texts that it then restores better."""

from collections.abc import Callable

import numpy as np
import pytest

from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.keras.further_pretraining import further_pretrain
from tl_course.keras.text_classifier import TextClassifier

Make = Callable[..., TextClassifier]
QUIET = {"progress": False, "batch_size": 16}


def weights(made: TextClassifier) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in made.model.weights}


def test_the_loss_falls_and_only_the_encoder_moves(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    before = weights(made)
    history = further_pretrain(made, tweets.train.x, num_epochs=4, head_epochs=2, lr=5e-3, **QUIET)
    assert len(history.loss) == (4 + 2) * 3 and history.objective == "masked"
    assert np.mean(history.loss[-3:]) < np.mean(history.loss[:3]) - 0.1
    moved = {name for name, array in weights(made).items() if not np.array_equal(array, before[name])}
    assert moved and not any("head" in name for name in moved)


def test_the_head_trains_alone_first(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    before = weights(made)
    history = further_pretrain(made, tweets.train.x, num_epochs=0, head_epochs=4, head_lr=2e-2, **QUIET)
    assert len(history.loss) == 12 and np.mean(history.loss[-3:]) < np.mean(history.loss[:3])
    assert all(np.array_equal(array, before[name]) for name, array in weights(made).items())
    assert len(made.model.trainable_weights) == len(made.model.weights)


def test_the_same_seed_gives_the_same_numbers(text_classifier: Make, tweets: Dataset) -> None:
    runs = [further_pretrain(text_classifier(), tweets.train.x, seed=seed, **QUIET).loss for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_what_is_no_text_is_refused(text_classifier: Make) -> None:
    with pytest.raises(BadInput, match="one string"):
        further_pretrain(text_classifier(), "one text", **QUIET)
    with pytest.raises(BadInput, match="an empty one"):
        further_pretrain(text_classifier(), [], **QUIET)
