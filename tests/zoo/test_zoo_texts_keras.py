"""minilm in Keras: hidden states, attention maps and sentence vectors equal to PyTorch's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tl_course import assets, zoo
from tl_course.errors import BadInput
from tl_course.keras.features import extract_features

TEXTS = [
    "A short one.",
    "The film is a slow, warm and rather funny portrait of three sisters who inherit a hotel they never wanted.",
    "",
    "naïve café 迁移学习 🙂",
    "word " * 400,
    "Would buy again; arrived a day early and works as described.",
]


@pytest.fixture(scope="module")
def both() -> SimpleNamespace:
    return SimpleNamespace(
        keras=zoo.load("minilm", "keras"), pytorch=zoo.load("minilm", device="cpu", attention="eager")
    )


def test_hidden_states_and_attentions_equal_transformers(both: SimpleNamespace) -> None:
    tokens = both.keras.preprocess(TEXTS)
    theirs = {name: value.numpy() for name, value in both.pytorch.preprocess(TEXTS).items()}
    assert tokens.keys() == theirs.keys() and all(np.array_equal(tokens[name], theirs[name]) for name in theirs)
    output = both.keras.model(**tokens, output_attentions=True)
    with torch.inference_mode():
        expected = both.pytorch.model(
            **{name: torch.from_numpy(value) for name, value in theirs.items()},
            output_attentions=True,
            output_hidden_states=True,
        )
    real = tokens["attention_mask"].astype(bool)  # (N, L); vectors at padding positions are nobody's
    assert len(output.hidden_states) == 7 and len(output.attentions) == 6
    for ours, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert np.abs(ours.numpy()[real] - other.numpy()[real]).max() < 1e-4
    for ours, other in zip(output.attentions, expected.attentions, strict=True):
        rows = (np.moveaxis(maps.numpy(), 1, 2)[real] for maps in (ours, other))  # (tokens, heads, L)
        assert np.abs(np.subtract(*rows)).max() < 1e-4


def test_features_equal_pytorchs_and_do_not_depend_on_the_batch(both: SimpleNamespace) -> None:
    ours = both.keras.features(TEXTS, batch_size=2)
    assert ours.shape == (6, 384) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, both.pytorch.features(TEXTS), atol=1e-5)
    np.testing.assert_allclose(ours, np.concatenate([both.keras.features([text]) for text in TEXTS]), atol=1e-5)
    np.testing.assert_allclose(ours, extract_features(both.keras, TEXTS), atol=1e-5)


def test_features_follow_the_weights(both: SimpleNamespace) -> None:
    model = zoo.load("minilm", "keras")
    before = model.features(["hello"])
    gain = model.model.blocks[-1].feed_forward_norm.gamma
    gain.assign(gain * np.linspace(0, 1, 384, dtype=np.float32))
    assert np.abs(model.features(["hello"]) - before).max() > 0.01


def test_random_weights_and_a_folder(both: SimpleNamespace) -> None:
    random = zoo.load("minilm", "keras", weights=None)
    assert random.weights is None and np.abs(random.features(["a"]) - both.keras.features(["a"])).max() > 0.01
    folder = zoo.load(str(assets.path("minilm")), "keras")
    np.testing.assert_allclose(folder.features(TEXTS[:2]), both.keras.features(TEXTS[:2]), atol=1e-6)
    assert folder.max_tokens == 512 and both.keras.max_tokens == 256


def test_refusals(both: SimpleNamespace) -> None:
    with pytest.raises(BadInput, match="one string"):
        both.keras.features("not a list")
    with pytest.raises(BadInput, match="batch_size"):
        both.keras.features(["a"], batch_size=0)
    with pytest.raises(BadInput, match="Keras has minilm"):
        zoo.load("nobody/no-such-encoder", "keras")
    with pytest.raises(BadInput, match="device only"):
        zoo.load("minilm", "keras", device="cpu")
