"""Our attention, multi-head attention, block and encoder in PyTorch against torch.nn's and transformers'."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tl_course.bert_folder import read_bert
from tl_course.compat import make_importable
from tl_course.encoder_config import EncoderConfig
from tl_course.errors import BadInput
from tl_course.positions import sinusoidal_positions
from tl_course.pytorch.encoder import (
    Encoder,
    EncoderBlock,
    MultiHeadAttention,
    causal_mask,
    load_bert,
    padding_mask,
    scaled_dot_product_attention,
)

DIM, HEADS = 12, 3
TINY = EncoderConfig(vocab_size=30, max_tokens=16, dim=DIM, num_layers=2, num_heads=HEADS, hidden_dim=20)
ATTENTION_MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(ours: Tensor, theirs: Tensor, atol: float = 1e-6) -> None:
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=1e-5)


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    """torch keeps the three projections in one matrix (3 D, D)."""
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())


def randomise(module: nn.Module) -> nn.Module:
    """Every weight random, biases and LayerNorm gains included, so that none can be left out unseen."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize("masked", ["nothing", "padding", "causal", "both"])
def test_attention_is_torchs(masked: str) -> None:
    query, key, value = (vectors(2, HEADS, 5, 4, seed=seed) for seed in range(3))
    masks = {"nothing": None, "padding": padding_mask(ATTENTION_MASK), "causal": causal_mask(5)}
    mask = padding_mask(ATTENTION_MASK) & causal_mask(5) if masked == "both" else masks[masked]
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    close(output, functional.scaled_dot_product_attention(query, key, value, mask))
    close(weights.sum(-1), torch.ones(2, HEADS, 5))
    if mask is not None:
        assert weights.masked_select(~mask.expand_as(weights)).abs().max() == 0


def test_attention_on_numbers_worked_out_by_hand() -> None:
    query = torch.tensor([[1.0, 1.0, 1.0, 1.0]])  # d = 4, so scores are halved: (log 3) 2 / 2 = log 3 against 0
    key = torch.tensor([[np.log(3.0) / 2] * 4, [0.0] * 4], dtype=torch.float32)
    output, weights = scaled_dot_product_attention(query, key, torch.tensor([[4.0], [8.0]]))
    close(weights, torch.tensor([[0.75, 0.25]]))
    close(output, torch.tensor([[5.0]]))


def test_a_row_that_may_attend_to_nothing_is_zero_and_its_gradient_finite() -> None:
    x = vectors(1, 1, 4, 6).requires_grad_()
    mask = causal_mask(4).clone()
    mask[0, 0, 2] = False
    output, weights = scaled_dot_product_attention(x, x, x, mask)
    assert output[0, 0, 2].abs().max() == 0 and weights[0, 0, 2].abs().max() == 0
    output.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_masks() -> None:
    assert padding_mask(ATTENTION_MASK).tolist()[1] == [[[True, True, True, False, False]]]
    assert causal_mask(3)[0, 0].tolist() == [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("maps", [False, True])
def test_multi_head_attention_is_torchs(masked: bool, maps: bool) -> None:
    ours = randomise(MultiHeadAttention(DIM, HEADS))
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
    copy_attention(ours, theirs)
    x = vectors(2, 5, DIM)
    padding = (ATTENTION_MASK == 0) if masked else None  # torch's mask says what to leave out
    expected, their_maps = theirs(x, x, x, key_padding_mask=padding, average_attn_weights=False)
    output, our_maps = ours(x, padding_mask(ATTENTION_MASK) if masked else None, output_attentions=maps)
    close(output, expected)
    assert (our_maps is not None) == maps
    if our_maps is not None:
        close(our_maps, their_maps)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_block_is_torchs(norm: str) -> None:
    ours = randomise(EncoderBlock(DIM, HEADS, 20, dropout=0.0, norm=norm, eps=1e-3))
    theirs = nn.TransformerEncoderLayer(
        DIM, HEADS, 20, dropout=0.0, activation="gelu", layer_norm_eps=1e-3, batch_first=True, norm_first=norm == "pre"
    ).eval()
    copy_attention(ours.attention, theirs.self_attn)
    pairs = (
        ("expand", "linear1"),
        ("contract", "linear2"),
        ("attention_norm", "norm1"),
        ("feed_forward_norm", "norm2"),
    )
    for our_name, their_name in pairs:
        theirs.get_submodule(their_name).load_state_dict(ours.get_submodule(our_name).state_dict())
    x = vectors(2, 5, DIM)
    theirs.requires_grad_(True).train()  # training mode: torch's shortcut for inference leaves padding rows at 0
    expected = theirs(x, src_mask=~causal_mask(5)[0, 0], src_key_padding_mask=ATTENTION_MASK == 0)
    mask = padding_mask(ATTENTION_MASK) & causal_mask(5)
    close(ours(x, mask)[0], expected, atol=2e-6)
    close(ours(x, mask, output_attentions=True)[0], expected, atol=2e-6)


@pytest.mark.parametrize("changes", [{}, {"norm": "pre", "num_segments": 0}, {"positions": "sinusoidal"}])
def test_encoder(changes: dict) -> None:
    config = dataclasses.replace(TINY, **changes)
    encoder = Encoder(config).eval()
    ids = torch.arange(10).reshape(2, 5)
    output = encoder(ids, ATTENTION_MASK, output_attentions=True)
    assert output.last_hidden_state.shape == (2, 5, DIM)
    assert [tuple(state.shape) for state in output.hidden_states] == [(2, 5, DIM)] * 3
    assert [tuple(maps.shape) for maps in output.attentions] == [(2, HEADS, 5, 5)] * 2
    assert encoder(ids).attentions is None
    if config.norm == "post":
        assert output.last_hidden_state is output.hidden_states[-1]
    else:
        assert encoder.norm is not None
        close(output.last_hidden_state, encoder.norm(output.hidden_states[-1]))
    # Padding changes nothing for the tokens, whatever stands there; fused attention gives what the maps' path gives.
    other = ids.clone()
    other[1, 3:] = 29
    close(encoder(other, ATTENTION_MASK).last_hidden_state[1, :3], output.last_hidden_state[1, :3])
    close(encoder(ids[1:, :3]).last_hidden_state[0], output.last_hidden_state[1, :3])
    assert not torch.allclose(encoder(other).last_hidden_state[1, :3], output.last_hidden_state[1, :3])
    # Order matters: that is what position vectors are for.
    assert not torch.allclose(encoder(ids.flip(1)).last_hidden_state.flip(1), encoder(ids).last_hidden_state, atol=1e-3)


def test_causal_encoder_does_not_see_what_follows() -> None:
    encoder = Encoder(dataclasses.replace(TINY, norm="pre")).eval()
    ids = torch.arange(6)[None]
    longer = torch.cat([ids, torch.tensor([[7, 8]])], dim=1)
    close(encoder(longer, causal=True).last_hidden_state[:, :6], encoder(ids, causal=True).last_hidden_state)
    assert not torch.allclose(encoder(longer).last_hidden_state[:, :6], encoder(ids).last_hidden_state)


def test_causal_and_padding_masks_work_together() -> None:
    """Padding on the left, as for text that is to be continued, where causality alone would let tokens see it."""
    encoder = Encoder(dataclasses.replace(TINY, norm="pre")).eval()
    ids, mask = torch.tensor([[29, 28, 2, 3, 4]]), torch.tensor([[0, 0, 1, 1, 1]])
    hidden = encoder(ids, mask, causal=True).last_hidden_state
    other_padding, other_end = torch.tensor([[7, 8, 2, 3, 4]]), torch.tensor([[29, 28, 2, 3, 9]])
    close(encoder(other_padding, mask, causal=True).last_hidden_state[:, 2:], hidden[:, 2:])
    close(encoder(other_end, mask, causal=True).last_hidden_state[:, :4], hidden[:, :4])


def test_embeddings_are_a_sum() -> None:
    learned = Encoder(dataclasses.replace(TINY, norm="pre")).eval().embeddings
    ids, segments = torch.tensor([[5, 6, 7]]), torch.tensor([[0, 1, 1]])
    assert learned.segments is not None and learned.positions is not None
    expected = learned.tokens.weight[5:8] + learned.positions.weight[:3] + learned.segments.weight[[0, 1, 1]]
    close(learned(ids, segments)[0], expected)
    fixed = Encoder(dataclasses.replace(TINY, norm="pre", positions="sinusoidal", num_segments=0)).eval().embeddings
    table = torch.from_numpy(sinusoidal_positions(3, DIM))
    close(fixed(ids)[0], fixed.tokens.weight[5:8] * DIM**0.5 + table)


@pytest.mark.parametrize("maps", [False, True])
def test_attention_dropout(maps: bool) -> None:
    attention, x = MultiHeadAttention(DIM, HEADS, dropout=0.5), vectors(2, 5, DIM)
    one, two = (attention(x, output_attentions=maps)[0] for _ in range(2))
    assert not torch.equal(one, two)
    attention.eval()
    assert torch.equal(attention(x, output_attentions=maps)[0], attention(x, output_attentions=maps)[0])


def test_dropout_is_on_in_training_only_and_maps_keep_rows_that_sum_to_one() -> None:
    encoder = Encoder(dataclasses.replace(TINY, dropout=0.5))
    ids = torch.arange(10).reshape(2, 5)
    assert not torch.equal(encoder(ids).last_hidden_state, encoder(ids).last_hidden_state)
    for maps in encoder(ids, output_attentions=True).attentions:
        close(maps.sum(-1), torch.ones(2, HEADS, 5))
    encoder.eval()
    assert torch.equal(encoder(ids).last_hidden_state, encoder(ids).last_hidden_state)


def test_segments_and_every_weight_receive_a_gradient() -> None:
    encoder = Encoder(TINY)
    ids = torch.arange(16)[None]
    segments = torch.tensor([[0] * 8 + [1] * 8])
    torch.manual_seed(0)
    (encoder(ids, token_type_ids=segments).last_hidden_state * vectors(1, 16, DIM)).sum().backward()
    for name, parameter in encoder.named_parameters():
        if not name.endswith("key.bias"):  # adds the same to a whole row of scores: softmax does not see it
            assert parameter.grad is not None and parameter.grad.abs().max() > 1e-6, name


def test_sinusoidal_positions() -> None:
    table = sinusoidal_positions(50, 8)
    assert table.shape == (50, 8) and table.dtype == np.float32
    np.testing.assert_allclose(table[0], [0, 1] * 4)
    np.testing.assert_allclose(table[7, [0, 1]], [np.sin(7), np.cos(7)], rtol=1e-6)
    np.testing.assert_allclose(table[7, [6, 7]], [np.sin(7 / 1000), np.cos(7 / 1000)], rtol=1e-6)  # 10000^(6/8) = 1000
    np.testing.assert_allclose(table[:40] @ table[:40].T, table[10:] @ table[10:].T, atol=1e-5)  # distance alone counts
    for length, dim in ((0, 8), (5, 7), (5, 0)):
        with pytest.raises(BadInput):
            sinusoidal_positions(length, dim)


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_load_bert_equals_transformers(tmp_path: Path, prefix: str) -> None:
    make_importable()
    from transformers import BertConfig, BertForMaskedLM, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": DIM, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 20}
    config = BertConfig(vocab_size=40, max_position_embeddings=16, attn_implementation="eager", **sizes)
    theirs = BertForMaskedLM(config) if prefix else BertModel(config)
    randomise(theirs).save_pretrained(tmp_path)
    if prefix:
        theirs = theirs.bert
    ours = load_bert(tmp_path)
    assert not ours.training and not read_bert(tmp_path)[1].keys() ^ ours.state_dict().keys()
    ids, segments = torch.arange(10).reshape(2, 5), torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]])
    tokens = {"input_ids": ids, "attention_mask": ATTENTION_MASK, "token_type_ids": segments}
    with torch.inference_mode():
        output = ours(**tokens, output_attentions=True)
        expected = theirs(**tokens, output_attentions=True, output_hidden_states=True)
    for our_part, their_part in zip(output.hidden_states, expected.hidden_states, strict=True):
        close(our_part, their_part, atol=1e-5)
    for our_part, their_part in zip(output.attentions, expected.attentions, strict=True):
        close(our_part, their_part, atol=1e-5)


def test_load_bert_refuses_what_is_no_bert(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"config\.json"):
        load_bert(tmp_path)
    (tmp_path / "model.safetensors").touch()
    for key, value in (
        ("model_type", "roberta"),
        ("hidden_act", "gelu_new"),
        ("position_embedding_type", "relative_key"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({key: value}))
        with pytest.raises(BadInput, match=value):
            load_bert(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 5}, "multiple"),
        ({"dropout": 1.0}, "dropout"),
        ({"norm": "both"}, "post"),
        ({"positions": "none"}, "sinusoidal"),
        ({"num_layers": 0}, "num_layers"),
        ({"num_segments": -1}, "num_segments"),
    ],
)
def test_sizes_that_do_not_fit(changes: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        dataclasses.replace(TINY, **changes)


def test_bad_tokens_and_masks() -> None:
    encoder = Encoder(dataclasses.replace(TINY, num_segments=0))
    ids = torch.arange(10).reshape(2, 5)
    for wrong, message in (
        ({"input_ids": ids[0]}, "batch axis"),
        ({"input_ids": ids[:0]}, "at least one text"),
        ({"input_ids": ids.tolist()}, "as a tensor"),
        ({"input_ids": torch.zeros(1, 17, dtype=torch.int64)}, "truncation=True"),
        ({"input_ids": ids + 25}, "ids from 25 to 34"),
        ({"input_ids": ids - 1}, "ids from -1 to 8"),
        ({"input_ids": ids, "attention_mask": ATTENTION_MASK[:, :4]}, "attention_mask of shape"),
        ({"input_ids": ids, "token_type_ids": torch.zeros_like(ids)}, "num_segments=0"),
    ):
        with pytest.raises(BadInput, match=message):
            encoder(**wrong)
    x = vectors(1, 5, 4)
    with pytest.raises(BadInput, match="bool mask"):
        scaled_dot_product_attention(x, x, x, torch.ones(5, 5))
    with pytest.raises(BadInput, match="bool mask"):
        MultiHeadAttention(4, 2)(x, torch.ones(5, 5))
    with pytest.raises(BadInput, match="attention_mask"):
        padding_mask(torch.ones(5))
    with pytest.raises(BadInput, match="norm"):
        EncoderBlock(4, 2, 8, norm="middle")
