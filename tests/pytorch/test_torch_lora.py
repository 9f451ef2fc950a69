"""LoRA: equal to peft's, equal when merged, nothing at the start, and as many parameters as the paper says."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tl_course.compat import make_importable
from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.pytorch.fit import fit
from tl_course.pytorch.lora import LoRALinear, add_lora, merge_lora, trainable_parameters
from tl_course.pytorch.text_classifier import TextClassifier, load

Make = Callable[..., TextClassifier]
TEXTS = ["Terrible.", "", "Would buy again; arrived a day early and works as described."]
KINDS = ("bert", "roberta", "distilbert", "electra", "albert")


def stirred(model: nn.Module) -> nn.Module:
    """With B no longer 0."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for module in model.modules():
            if isinstance(module, LoRALinear):
                nn.init.normal_(module.lora_b)
    return model


def test_a_layer_computes_the_formula_and_merges_to_the_same() -> None:
    base = nn.Linear(6, 4)
    weight, bias = base.weight.detach().clone(), base.bias.detach().clone()
    layer = LoRALinear(base, rank=2, alpha=6)
    x = torch.randn(5, 3, 6)
    torch.testing.assert_close(layer(x), x @ weight.T + bias)
    stirred(layer)
    expected = x @ (weight + 3 * layer.lora_b @ layer.lora_a).T + bias
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.merged()(x), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changes_at_the_start_or_by_merging(kind: str, text_classifier: Make) -> None:
    made = text_classifier(kind)
    plain = made.logits(TEXTS)
    names = set(made.model.state_dict())
    assert add_lora(made.model, rank=4) is made.model
    np.testing.assert_array_equal(made.logits(TEXTS), plain)
    stirred(made.model)
    tuned = made.logits(TEXTS)
    assert np.abs(tuned - plain).max() > 1e-3
    merge_lora(made.model)
    np.testing.assert_allclose(made.logits(TEXTS), tuned, atol=1e-5)
    assert set(made.model.state_dict()) == names


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_equal_to_pefts_forward_and_gradients(text_classifier: Make) -> None:
    make_importable()
    import peft

    made = text_classifier()
    tokens = made.preprocess(TEXTS)
    twin = peft.get_peft_model(
        copy.deepcopy(made.model.encoder),
        peft.LoraConfig(r=4, lora_alpha=12, target_modules=["query", "value"], lora_dropout=0.0),
    )
    ours = stirred(add_lora(made.model.encoder, rank=4, alpha=12))
    pairs = [
        (layer, twin.get_submodule(f"base_model.model.{name}"))
        for name, layer in ours.named_modules()
        if isinstance(layer, LoRALinear)
    ]
    assert len(pairs) == 6
    with torch.no_grad():
        for mine, other in pairs:
            other.lora_A["default"].weight.copy_(mine.lora_a)
            other.lora_B["default"].weight.copy_(mine.lora_b)
    found = [model(**tokens).last_hidden_state for model in (ours, twin.eval())]
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
    for hidden in found:
        hidden.square().sum().backward()
    for mine, other in pairs:
        for ours_grad, theirs in ((mine.lora_a.grad, "lora_A"), (mine.lora_b.grad, "lora_B")):
            expected = getattr(other, theirs)["default"].weight.grad
            assert expected.abs().max() > 0
            torch.testing.assert_close(ours_grad, expected, atol=1e-4, rtol=1e-4)
    assert trainable_parameters(ours) == trainable_parameters(twin)
    torch.testing.assert_close(
        merge_lora(ours)(**tokens).last_hidden_state, twin.merge_and_unload()(**tokens).last_hidden_state
    )


def test_bert_base_has_294912_trainable_parameters() -> None:
    make_importable()
    from transformers import BertConfig, BertModel

    with torch.device("meta"):
        model = BertModel(BertConfig(), add_pooling_layer=False)
    assert trainable_parameters(add_lora(model, rank=8)) == 294_912


def test_only_the_factors_and_the_head_train(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    add_lora(made.model, rank=2)
    assert trainable_parameters(made.model) == 3 * 2 * (2 * 16 * 2) + 2 * 16 + 2
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    fit(made, tweets, num_epochs=2, lr=1e-2, restore_best=False, progress=False)
    moved = {name for name, tensor in made.model.state_dict().items() if not torch.equal(tensor, before[name])}
    expected = {name for name in before if "lora_" in name} | {"head.weight", "head.bias"}
    assert moved == expected and len(moved) == 14


def test_a_tuned_classifier_is_saved_merged_and_goes_on_unmerged(
    text_classifier: Make, tweets: Dataset, tmp_path: Path
) -> None:
    made = text_classifier()
    add_lora(made.model)
    fit(made, tweets, num_epochs=1, lr=1e-2, progress=False)
    expected = made.logits(TEXTS)
    found = load(made.save(tmp_path / "m"), device="cpu")
    np.testing.assert_allclose(found.logits(TEXTS), expected, atol=1e-5)
    assert not any(isinstance(module, LoRALinear) for module in found.model.modules())
    assert sum(isinstance(module, LoRALinear) for module in made.model.modules()) == 6
    np.testing.assert_array_equal(made.logits(TEXTS), expected)


def test_each_layer_and_seed_has_its_own_start(text_classifier: Make) -> None:
    torch.manual_seed(3)
    undisturbed = torch.rand(2)
    torch.manual_seed(3)
    starts = []
    for seed in (0, 0, 50):
        model = add_lora(text_classifier().model, seed=seed)
        starts.append([module.lora_a for module in model.modules() if isinstance(module, LoRALinear)])
    assert torch.equal(torch.rand(2), undisturbed)
    assert all(torch.equal(one, other) for one, other in zip(starts[0], starts[1], strict=True))
    assert not torch.equal(starts[0][0], starts[0][1]) and not torch.equal(starts[0][0], starts[2][0])


def test_what_does_not_fit_is_refused(text_classifier: Make) -> None:
    model = text_classifier().model
    with pytest.raises(BadInput, match=r"linear layers called nothing.*dense, head, key, query, value"):
        add_lora(model, targets=["nothing"])
    for rank in (0, 17):
        with pytest.raises(BadInput, match="rank from 1 to 16"):
            add_lora(copy.deepcopy(model), rank=rank)
    add_lora(model)
    with pytest.raises(BadInput, match="merge it first"):
        add_lora(model)
