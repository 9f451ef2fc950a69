"""The encoder in PyTorch and the one in Keras: equal numbers and gradients on equal weights."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import torch

from tl_course.encoder_config import EncoderConfig
from tl_course.keras import encoder as keras_encoder
from tl_course.keras.encoder_weights import encoder_layers, get_state, set_state
from tl_course.pytorch import encoder as torch_encoder

BASE = EncoderConfig(vocab_size=30, max_tokens=16, dim=12, num_layers=2, num_heads=3, hidden_dim=20, dropout=0.0)
CONFIGS = {
    "bert": BASE,
    "gpt": dataclasses.replace(BASE, norm="pre", num_segments=0, eps=1e-5),
    "vaswani": dataclasses.replace(BASE, positions="sinusoidal", num_segments=0),
}
IDS = np.arange(10).reshape(2, 5)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
SEGMENTS = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]])


def pair(config: EncoderConfig) -> tuple[torch_encoder.Encoder, keras_encoder.Encoder]:
    """Both encoders with the same weights, all of them random."""
    ours, theirs = torch_encoder.Encoder(config), keras_encoder.Encoder(config)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.from_numpy(0.4 * rng.standard_normal(parameter.shape)))
    set_state(encoder_layers(theirs), {name: value.numpy() for name, value in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", list(CONFIGS))
def test_hidden_states_maps_and_gradients_agree(name: str, causal: bool) -> None:
    ours, theirs = pair(CONFIGS[name])
    segments = SEGMENTS if CONFIGS[name].num_segments else None
    options = {"causal": causal, "output_attentions": True}
    a = ours(*(None if x is None else torch.from_numpy(x) for x in (IDS, MASK, segments)), **options)
    with tf.GradientTape() as tape:
        b = theirs(IDS, MASK, segments, **options)
        loss = tf.reduce_sum(b.last_hidden_state[:, :3] ** 3)
    pairs = [*zip(a.hidden_states, b.hidden_states, strict=True), *zip(a.attentions, b.attentions, strict=True)]
    for one, two in [(a.last_hidden_state, b.last_hidden_state), *pairs]:
        np.testing.assert_allclose(one.detach().numpy(), two, rtol=1e-4, atol=1e-5)
    (a.last_hidden_state[:, :3] ** 3).sum().backward()
    layers = encoder_layers(theirs)
    paths = ("embeddings.tokens", "blocks.0.attention.query", "blocks.1.contract")
    gradients = tape.gradient(loss, [layers[path].trainable_variables[0] for path in paths])
    for path, gradient in zip(paths, gradients, strict=True):
        expected = ours.get_submodule(path).weight.grad.numpy()
        expected = expected if path == "embeddings.tokens" else expected.T
        gradient = tf.convert_to_tensor(gradient).numpy()
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_one_file_serves_both() -> None:
    ours, theirs = pair(BASE)
    state = get_state(encoder_layers(theirs))
    assert list(state.keys() ^ ours.state_dict().keys()) == []
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array.numpy(), state[name])


@pytest.mark.parametrize("kind", ["query", "embeddings"])
def test_new_encoders_start_alike(kind: str) -> None:
    config = dataclasses.replace(BASE, vocab_size=500, dim=60)
    ours, theirs = torch_encoder.Encoder(config), keras_encoder.Encoder(config)
    name = {"query": "blocks.0.attention.query", "embeddings": "embeddings.tokens"}[kind]
    spread = {"query": (2 / 120) ** 0.5, "embeddings": 0.02}[kind]
    for weights in (
        ours.get_submodule(name).weight.detach().numpy(),
        get_state(encoder_layers(theirs))[f"{name}.weight"],
    ):
        assert abs(weights.std() / spread - 1) < 0.05
