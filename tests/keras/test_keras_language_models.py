"""Language models in Keras: equal to PyTorch's on the same weights, in logits, losses, training and generation."""

import keras
import numpy as np
import pytest
import torch

from tl_course.encoder_config import EncoderConfig
from tl_course.errors import BadInput
from tl_course.keras import encoder as keras_encoder
from tl_course.keras import language_models as in_keras
from tl_course.keras.encoder_weights import encoder_layers, set_state
from tl_course.masking import MaskingVocab
from tl_course.pytorch import encoder as torch_encoder
from tl_course.pytorch import language_models as in_torch

VOCAB = MaskingVocab(size=20, mask_id=4, special_ids=(0, 1, 2, 3, 4))
OBJECTIVES = [("MaskedLM", "masked"), ("CausalLM", "causal")]


def texts(count=24, length=9):
    """Ids (count, length) of texts of different lengths, padded."""
    rng = np.random.default_rng(0)
    ids = np.zeros((count, length), dtype=np.int64)
    for row in ids:
        number = rng.integers(3, length - 1)
        row[0], row[1 : number + 1], row[number + 1] = 2, rng.integers(5, 20, size=number), 3
    return ids


def pair(kind, dropout=0.0, num_layers=2):
    """The same model in PyTorch and in Keras."""
    config = EncoderConfig(20, 12, 8, num_layers, 2, 16, dropout=dropout, norm="pre", num_segments=0)
    torch.manual_seed(0)
    ours = getattr(in_torch, kind)(torch_encoder.Encoder(config)).eval()
    theirs = getattr(in_keras, kind)(keras_encoder.Encoder(config))
    copy_weights(ours, theirs)
    return ours, theirs


def copy_weights(ours, theirs):
    """PyTorch's weights into the Keras model."""
    set_state(
        encoder_layers(theirs.encoder),
        {name: value.detach().numpy() for name, value in ours.encoder.state_dict().items()},
    )
    if isinstance(theirs, in_keras.MaskedLM):
        weight, bias = (p.detach().numpy() for p in ours.transform.parameters())
        theirs.transform.set_weights([weight.T, bias])
        theirs.norm.set_weights([p.detach().numpy() for p in ours.norm.parameters()])
        theirs.bias.assign(ours.bias.detach().numpy())


@pytest.mark.parametrize(("kind", "objective"), OBJECTIVES)
def test_logits_losses_and_training_are_pytorchs(kind, objective):
    ours, theirs = pair(kind)
    ids = texts()
    mask = (ids != 0).astype(np.int64)
    expected = ours(torch.from_numpy(ids), torch.from_numpy(mask)).detach().numpy()
    np.testing.assert_allclose(np.asarray(theirs(ids, mask)), expected, atol=1e-5)
    histories = [
        module.pretrain(model, ids, objective, 8, vocab=VOCAB, lr=1e-2, batch_size=8, seed=3)
        for module, model in ((in_torch, ours), (in_keras, theirs))
    ]
    np.testing.assert_allclose(histories[1].loss, histories[0].loss, rtol=1e-4)
    assert histories[0].loss[-1] < histories[0].loss[0]
    after = [
        module.held_out_loss(model, ids, vocab=VOCAB, batch_size=8)
        for module, model in ((in_torch, ours), (in_keras, theirs))
    ]
    assert after[1] == pytest.approx(after[0], rel=1e-4)


def test_losses_are_pytorchs():
    rng = np.random.default_rng(0)
    logits, ids = rng.normal(size=(3, 9, 20)).astype(np.float32), texts(3)
    mask = (ids != 0).astype(np.int64)
    labels = np.where(rng.random(ids.shape) < 0.3, ids, -100)
    tensors = [torch.from_numpy(array) for array in (logits, ids, mask)]
    expected = in_torch.next_token_loss(*tensors).item(), in_torch.next_token_loss(*tensors[:2]).item()
    assert float(in_keras.next_token_loss(logits, ids, mask)) == pytest.approx(expected[0], rel=1e-5)
    assert float(in_keras.next_token_loss(logits, ids)) == pytest.approx(expected[1], rel=1e-5)
    masked = in_torch.masked_lm_loss(tensors[0], torch.from_numpy(labels)).item()
    assert float(in_keras.masked_lm_loss(logits, labels)) == pytest.approx(masked, rel=1e-5)


def test_generation_is_pytorchs():
    ours, theirs = pair("CausalLM")
    for temperature in (0, 1.0):
        drawn = [
            module.generate(model, texts()[:3, :2], 15, seed=1, temperature=temperature)
            for module, model in ((in_torch, ours), (in_keras, theirs))
        ]
        assert (drawn[0] == drawn[1]).all() and drawn[0].shape == (3, 17)


def test_output_and_input_share_their_vectors():
    for kind in ("MaskedLM", "CausalLM"):
        tables = [v for v in pair(kind)[1].trainable_variables if tuple(v.shape) == (20, 8)]
        assert len(tables) == 1


def test_the_seed_decides_dropout_included():
    losses = [
        in_keras.pretrain(pair("CausalLM", 0.3, num_layers=1)[1], texts(), "causal", 2, seed=seed).loss
        for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_bad_input_is_refused():
    model = pair("MaskedLM")[1]
    assert isinstance(model, keras.Model)
    with pytest.raises(BadInput, match="MaskedLM"):
        in_keras.pretrain(model, texts(), "causal", 1)
    with pytest.raises(BadInput, match="MaskingVocab"):
        in_keras.pretrain(model, texts(), "masked", 1)
    with pytest.raises(BadInput, match="CausalLM"):
        in_keras.generate(model, texts(), 1)
