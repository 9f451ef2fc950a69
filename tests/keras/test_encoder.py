"""Our attention, multi-head attention, block and encoder in Keras against Keras's own layers."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from tl_course.encoder_config import EncoderConfig
from tl_course.errors import BadInput
from tl_course.keras.encoder import (
    Encoder,
    EncoderBlock,
    MultiHeadAttention,
    causal_mask,
    padding_mask,
    scaled_dot_product_attention,
)
from tl_course.keras.encoder_weights import encoder_layers, get_state, set_state

DIM, HEADS = 12, 3
TINY = EncoderConfig(vocab_size=30, max_tokens=16, dim=DIM, num_layers=2, num_heads=HEADS, hidden_dim=20)
ATTENTION_MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
IDS = np.arange(10).reshape(2, 5)


def vectors(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(ours: object, theirs: object, atol: float = 2e-6) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=atol, rtol=1e-5)


def randomise(layer: keras.layers.Layer) -> None:
    """Every weight random, biases and LayerNorm gains included, so that none can be left out unseen."""
    for number, variable in enumerate(layer.trainable_variables):
        variable.assign(0.3 * vectors(*variable.shape, seed=number))


def copy_attention(ours: MultiHeadAttention, theirs: layers.MultiHeadAttention) -> None:
    """Keras keeps heads on an axis of their own: (D, H, d), and (H, d, D) on the way out. Its order: Q, K, V, out."""
    split = (DIM, HEADS, DIM // HEADS)
    arrays = []
    for dense in (ours.query, ours.key, ours.value):
        kernel, bias = dense.get_weights()
        arrays += [kernel.reshape(split), bias.reshape(split[1:])]
    kernel, bias = ours.out.get_weights()
    theirs.set_weights([*arrays, kernel.reshape(*split[1:], DIM), bias])


@pytest.mark.parametrize("masked", ["nothing", "padding", "causal"])
def test_attention_is_keras_ops(masked: str) -> None:
    query, key, value = (vectors(2, HEADS, 5, 4, seed=seed) for seed in range(3))
    masks = {"nothing": None, "padding": padding_mask(ATTENTION_MASK), "causal": causal_mask(5)}
    output, weights = scaled_dot_product_attention(query, key, value, masks[masked])
    mask = None if masks[masked] is None else ops.broadcast_to(masks[masked], (2, HEADS, 5, 5))
    expected = ops.dot_product_attention(*(np.swapaxes(x, 1, 2) for x in (query, key, value)), mask=mask)
    close(output, np.swapaxes(expected, 1, 2))
    close(ops.sum(weights, axis=-1), np.ones((2, HEADS, 5)))
    if mask is not None:
        assert np.abs(np.asarray(weights)[~np.asarray(mask)]).max() == 0


def test_a_row_that_may_attend_to_nothing_is_zero_and_its_gradient_finite() -> None:
    x = tf.convert_to_tensor(vectors(1, 1, 4, 6))
    mask = np.tril(np.ones((1, 1, 4, 4), bool))
    mask[0, 0, 2] = False
    with tf.GradientTape() as tape:
        tape.watch(x)
        output, weights = scaled_dot_product_attention(x, x, x, mask)
        total = ops.sum(output)
    assert np.abs(output[0, 0, 2]).max() == 0 and np.abs(weights[0, 0, 2]).max() == 0
    assert np.isfinite(tape.gradient(total, x)).all()


@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_attention_is_keras_layer(masked: bool) -> None:
    ours, theirs = MultiHeadAttention(DIM, HEADS), layers.MultiHeadAttention(HEADS, DIM // HEADS)
    x = vectors(2, 5, DIM)
    ours.build(x.shape)
    theirs.build(x.shape, x.shape)
    randomise(ours)
    copy_attention(ours, theirs)
    mask = padding_mask(ATTENTION_MASK) if masked else None
    their_mask = np.repeat(ATTENTION_MASK[:, None, :], 5, axis=1).astype(bool) if masked else None
    expected, their_maps = theirs(x, x, attention_mask=their_mask, return_attention_scores=True)
    output, maps = ours(x, mask, output_attentions=True)
    close(output, expected)
    close(maps, their_maps)
    assert ours(x, mask)[1] is None


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_block_is_composed_of_keras_layers(norm: str) -> None:
    block = EncoderBlock(DIM, HEADS, 20, dropout=0.0, norm=norm, eps=1e-3)
    x = vectors(2, 5, DIM)
    block.build(x.shape)
    randomise(block)
    attention = layers.MultiHeadAttention(HEADS, DIM // HEADS)
    attention.build(x.shape, x.shape)
    copy_attention(block.attention, attention)
    expand, contract = layers.Dense(20, activation=lambda z: ops.gelu(z, approximate=False)), layers.Dense(DIM)
    norms = [layers.LayerNormalization(epsilon=1e-3) for _ in range(2)]
    for new, shape in ((expand, x.shape), (contract, (2, 5, 20)), (norms[0], x.shape), (norms[1], x.shape)):
        new.build(shape)
    for new, ours in zip(
        (expand, contract, *norms),
        (block.expand, block.contract, block.attention_norm, block.feed_forward_norm),
        strict=True,
    ):
        new.set_weights(ours.get_weights())
    if norm == "post":
        middle = norms[0](x + attention(x, x, use_causal_mask=True))
        expected = norms[1](middle + contract(expand(middle)))
    else:
        normed = norms[0](x)
        middle = x + attention(normed, normed, use_causal_mask=True)
        expected = middle + contract(expand(norms[1](middle)))
    close(block(x, causal_mask(5))[0], expected)


@pytest.mark.parametrize("changes", [{}, {"norm": "pre", "num_segments": 0}, {"positions": "sinusoidal"}])
def test_encoder(changes: dict) -> None:
    encoder = Encoder(dataclasses.replace(TINY, **changes))
    output = encoder(IDS, ATTENTION_MASK, output_attentions=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(2, 5, DIM)] * 3
    assert [tuple(maps.shape) for maps in output.attentions] == [(2, HEADS, 5, 5)] * 2
    assert encoder(IDS).attentions is None
    other = IDS.copy()
    other[1, 3:] = 29
    close(encoder(other, ATTENTION_MASK).last_hidden_state[1, :3], output.last_hidden_state[1, :3])
    close(encoder(IDS[1:, :3]).last_hidden_state[0], output.last_hidden_state[1, :3])


def test_one_graph_serves_every_batch_shape() -> None:
    encoder, traces = Encoder(TINY), []

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)] * 2)
    def forward(input_ids: tf.Tensor, attention_mask: tf.Tensor) -> tf.Tensor:
        traces.append(1)
        return encoder(input_ids, attention_mask, causal=True).last_hidden_state

    for count, length in ((2, 5), (3, 9), (1, 1)):
        ids, mask = np.ones((2, count, length), np.int32)
        close(forward(ids, mask), encoder(ids, mask, causal=True).last_hidden_state)
    assert len(traces) == 1


def test_dropout_is_on_in_training_only_and_maps_keep_rows_that_sum_to_one() -> None:
    encoder = Encoder(dataclasses.replace(TINY, dropout=0.5))
    one, two = (encoder(IDS, training=True, output_attentions=True) for _ in range(2))
    assert np.abs(one.last_hidden_state - two.last_hidden_state).max() > 0.01
    for maps in one.attentions:
        close(ops.sum(maps, axis=-1), np.ones((2, HEADS, 5)))
    close(encoder(IDS).last_hidden_state, encoder(IDS).last_hidden_state)


def test_every_weight_receives_a_gradient() -> None:
    encoder = Encoder(TINY)
    segments = np.array([[0] * 8 + [1] * 8])
    with tf.GradientTape() as tape:
        hidden = encoder(np.arange(16)[None], token_type_ids=segments, training=True).last_hidden_state
        total = ops.sum(hidden * vectors(1, 16, DIM))
    for variable, gradient in zip(
        encoder.trainable_variables, tape.gradient(total, encoder.trainable_variables), strict=True
    ):
        if not variable.path.endswith("key/bias"):  # adds the same to a whole row of scores: softmax does not see it
            assert np.abs(tf.convert_to_tensor(gradient)).max() > 1e-6, variable.path


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # from Keras, under NumPy 2
def test_in_a_functional_model_saved_and_loaded(tmp_path: Path) -> None:
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in ("input_ids", "attention_mask")]
    encoder = Encoder(TINY)
    hidden = encoder(inputs[0], attention_mask=inputs[1], output_attentions=True).last_hidden_state
    model = keras.Model(inputs, layers.Dense(2)(hidden[:, 0]))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    close(model([IDS, ATTENTION_MASK]), again([IDS, ATTENTION_MASK]))
    assert encoder in model.layers and len(encoder.weights) == 5 + 2 * 16


def test_weights_go_out_and_in_under_pytorchs_names() -> None:
    one, two = Encoder(TINY), Encoder(TINY)
    randomise(one)
    state = get_state(encoder_layers(one))
    assert state["blocks.1.expand.weight"].shape == (20, DIM) and state["embeddings.tokens.weight"].shape == (30, DIM)
    set_state(encoder_layers(two), state)
    close(one(IDS).last_hidden_state, two(IDS).last_hidden_state)
    for wrong, message in (
        ({**state, "extra.weight": np.zeros(1)}, "extra.weight only"),
        ({name: array for name, array in state.items() if name != "embeddings.norm.bias"}, "embeddings.norm.bias only"),
        ({**state, "blocks.1.expand.weight": np.zeros((DIM, 20), np.float32)}, r"of shape \(20, 12\)"),
    ):
        with pytest.raises(BadInput, match=message):
            set_state(encoder_layers(two), wrong)
    close(one(IDS).last_hidden_state, two(IDS).last_hidden_state)


def test_bad_tokens_and_masks() -> None:
    encoder = Encoder(dataclasses.replace(TINY, num_segments=0))
    for wrong, message in (
        ({"input_ids": IDS[0]}, "batch axis"),
        ({"input_ids": IDS.tolist()}, "as a tensor"),
        ({"input_ids": np.zeros((1, 17), np.int32)}, "truncation=True"),
        ({"input_ids": IDS, "attention_mask": ATTENTION_MASK[:, :4]}, "attention_mask of shape"),
        ({"input_ids": IDS, "token_type_ids": np.zeros_like(IDS)}, "num_segments=0"),
    ):
        with pytest.raises(BadInput, match=message):
            encoder(**wrong)
    x = vectors(1, 5, 4)
    with pytest.raises(BadInput, match="bool mask"):
        scaled_dot_product_attention(x, x, x, np.ones((5, 5), np.float32))
    with pytest.raises(BadInput, match="attention_mask"):
        padding_mask(np.ones(5))
    with pytest.raises(BadInput, match="multiple"):
        MultiHeadAttention(10, 3)
