"""Language models in PyTorch: losses by hand, tied embeddings, no peeking, learning, generation."""

import numpy as np
import pytest
import torch

from tl_course.encoder_config import EncoderConfig
from tl_course.errors import BadInput
from tl_course.masking import MaskingVocab
from tl_course.pretraining import causal_batch, token_batches
from tl_course.pytorch.encoder import Encoder
from tl_course.pytorch.language_models import (
    CausalLM,
    MaskedLM,
    generate,
    held_out_loss,
    masked_lm_loss,
    next_token_loss,
    pretrain,
)

VOCAB = MaskingVocab(size=20, mask_id=4, special_ids=(0, 1, 2, 3, 4))


def make(kind, seed=0, dropout=0.0):
    """A language model of 20 tokens, 8 wide."""
    torch.manual_seed(seed)
    config = EncoderConfig(20, 12, 8, 1, 2, 16, dropout=dropout, norm="pre", num_segments=0)
    return kind(Encoder(config)).eval()


def counting_texts(count=64, length=8):
    """[CLS] a a+1 a+2 … [SEP]: each token follows from its neighbour."""
    starts = np.random.default_rng(0).integers(0, 15, size=(count, 1))
    return np.column_stack([np.full(count, 2), 5 + (starts + np.arange(length)) % 15, np.full(count, 3)])


def by_hand(logits, targets):
    """Mean cross-entropy of (P, V) against (P,), in NumPy."""
    logits = np.asarray(logits, dtype=np.float64)
    log_sum = np.log(np.exp(logits).sum(axis=-1))
    return np.mean(log_sum - logits[np.arange(len(targets)), targets])


def test_masked_loss_is_the_mean_over_chosen_positions_only():
    logits = torch.randn(2, 3, 20, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[-100, 7, -100], [9, -100, -100]])
    expected = by_hand(logits[[0, 1], [1, 0]], np.array([7, 9]))
    assert masked_lm_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_next_token_loss_is_shifted_and_skips_padding():
    logits = torch.randn(2, 3, 20, generator=torch.Generator().manual_seed(1))
    ids, mask = torch.tensor([[2, 7, 9], [2, 8, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    expected = by_hand(logits[[0, 0, 1], [0, 1, 0]], np.array([7, 9, 8]))
    assert next_token_loss(logits, ids, mask).item() == pytest.approx(expected, rel=1e-5)
    without = by_hand(logits[[0, 0, 1, 1], [0, 1, 0, 1]], np.array([7, 9, 8, 0]))
    assert next_token_loss(logits, ids).item() == pytest.approx(without, rel=1e-5)


def test_batches_predict_what_the_losses_measure():
    model = make(CausalLM)
    ids = np.array([[2, 7, 9, 3], [2, 8, 3, 0]])
    mask = (ids != 0).astype(np.int64)
    batch = causal_batch(ids, mask)
    assert batch.at.tolist() == [0, 1, 2, 4, 5] and batch.targets.tolist() == [7, 9, 3, 8, 3]
    tensors = torch.from_numpy(ids), torch.from_numpy(mask)
    whole = next_token_loss(model(*tensors), *tensors)
    chosen = masked_lm_loss(model(*tensors, torch.from_numpy(batch.at)), torch.from_numpy(batch.targets))
    assert chosen.item() == pytest.approx(whole.item(), rel=1e-5)


def test_output_and_input_share_their_vectors():
    for kind in (MaskedLM, CausalLM):
        model = make(kind)
        tables = [p for p in model.parameters() if tuple(p.shape) == (20, 8)]
        assert len(tables) == 1
        before = model(torch.tensor([[2, 7]]))
        with torch.no_grad():
            tables[0][11] += torch.randn(8)  # a token that is not in the text: only its own logit moves
        moved = (model(torch.tensor([[2, 7]])) - before).abs().amax(dim=(0, 1)) > 1e-6
        assert moved.nonzero().flatten().tolist() == [11]


def test_a_causal_model_does_not_see_what_it_predicts_and_a_masked_one_sees_both_sides():
    ids, changed = torch.tensor([[2, 7, 8, 9]]), torch.tensor([[2, 7, 8, 15]])
    causal, masked = make(CausalLM), make(MaskedLM)
    assert torch.allclose(causal(ids)[:, :3], causal(changed)[:, :3])
    assert (masked(ids)[:, 0] - masked(changed)[:, 0]).abs().max() > 1e-6


@pytest.mark.parametrize(("kind", "objective"), [(MaskedLM, "masked"), (CausalLM, "causal")])
def test_pretraining_learns_to_count(kind, objective):
    model, texts = make(kind), counting_texts()
    before = held_out_loss(model, texts, vocab=VOCAB)
    history = pretrain(model, texts, objective, 300, vocab=VOCAB, lr=1e-2, batch_size=32)
    assert len(history.loss) == 300 and history.objective == objective and history.seconds > 0
    assert not model.training
    assert before > 2.5
    assert held_out_loss(model, texts, vocab=VOCAB) < before - 1  # the first number of a text cannot be known


def test_the_seed_decides_dropout_included_and_the_global_state_is_kept():
    losses = []
    for number, seed in enumerate((1, 1, 2)):
        model = make(CausalLM, dropout=0.3)
        torch.manual_seed(number)
        state = torch.get_rng_state()
        losses.append(pretrain(model, counting_texts(32), "causal", 3, seed=seed, batch_size=32).loss)
        assert torch.equal(state, torch.get_rng_state())
    assert losses[0] == losses[1] != losses[2]


def test_generation_follows_what_was_learned():
    model, texts = make(CausalLM), counting_texts()
    pretrain(model, texts, "causal", 300, lr=1e-2, batch_size=32)
    greedy = generate(model, texts[:5, :3], 4, temperature=0)
    assert (greedy == texts[:5, :7]).mean() > 0.95
    drawn = [generate(model, texts[:5, :1], 6, seed=seed) for seed in (1, 1, 2)]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
    assert generate(model, texts[:2], 10, temperature=0).shape == (2, 20)  # past max_tokens=12


def test_every_text_is_used_once_an_epoch_and_cut_to_its_batch():
    texts = counting_texts(10)
    texts[::2, 5:] = 0
    batches = list(token_batches(texts, "causal", 5, batch_size=2, rng=np.random.default_rng(0)))
    seen = [row for b in batches for row in np.pad(b.input_ids, ((0, 0), (0, 10 - b.input_ids.shape[1]))).tolist()]
    assert sorted(seen) == sorted(texts.tolist())
    assert {b.input_ids.shape[1] for b in batches} == {5, 10}


def test_bad_input_is_refused():
    texts = counting_texts()
    with pytest.raises(BadInput, match="MaskedLM"):
        pretrain(make(MaskedLM), texts, "causal", 1)
    with pytest.raises(BadInput, match="MaskingVocab"):
        pretrain(make(MaskedLM), texts, "masked", 1)
    with pytest.raises(BadInput, match="'masked' or 'causal'"):
        list(token_batches(texts, "both", 1, rng=np.random.default_rng(0)))
    with pytest.raises(BadInput, match=r"\(N, L\)"):
        pretrain(make(CausalLM), texts[0], "causal", 1)
    with pytest.raises(BadInput, match="temperature"):
        generate(make(CausalLM), texts[:1], 1, temperature=-1)
