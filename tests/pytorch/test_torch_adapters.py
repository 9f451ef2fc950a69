"""Adapters: nothing at the start, only they and the head train, copies and files keep them."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.pytorch.adapters import Adapter, adapter_size, add_adapters
from tl_course.pytorch.fit import fit
from tl_course.pytorch.lora import trainable_parameters
from tl_course.pytorch.text_classifier import TextClassifier, load

Make = Callable[..., TextClassifier]
TEXTS = ["Terrible.", "", "Would buy again; arrived a day early and works as described."]
KINDS = ("bert", "roberta", "distilbert", "electra", "albert")


def test_an_adapter_computes_the_formula() -> None:
    adapter, hidden = Adapter(6, 2), torch.randn(3, 4, 6)
    assert torch.equal(adapter(hidden), hidden)
    nn.init.normal_(adapter.up.weight, generator=torch.Generator().manual_seed(0))
    expected = hidden + torch.nn.functional.gelu(hidden @ adapter.down.weight.T) @ adapter.up.weight.T
    torch.testing.assert_close(adapter(hidden), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_identity_at_the_start_then_only_adapters_and_head_move(
    kind: str, text_classifier: Make, tweets: Dataset, tmp_path: Path
) -> None:
    made = text_classifier(kind)
    plain, blocks = made.logits(TEXTS), 1 if kind == "albert" else 3
    add_adapters(made.model, size=4)
    np.testing.assert_array_equal(made.logits(TEXTS), plain)
    assert trainable_parameters(made.model) == blocks * (2 * 16 * 4 + 16 + 4) + 2 * 16 + 2
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    fit(made, tweets, num_epochs=2, lr=1e-2, restore_best=False, progress=False)
    moved = {name for name, tensor in made.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if ".adapter." in name} | {"head.weight", "head.bias"}
    assert np.abs(made.logits(TEXTS) - plain).max() > 1e-3
    found = load(made.save(tmp_path / "m"), device="cpu")
    np.testing.assert_array_equal(found.logits(TEXTS), made.logits(TEXTS))
    assert adapter_size(found.model) == 4


def test_a_copy_uses_its_own_adapters(text_classifier: Make) -> None:
    made = text_classifier()
    add_adapters(made.model)
    twin = copy.deepcopy(made.model)
    nn.init.ones_(twin.encoder.encoder.layer[0].adapter.up.weight)
    tokens = made.preprocess(TEXTS)
    with torch.no_grad():
        assert not torch.allclose(twin(tokens), made.model(tokens))


def test_what_does_not_fit_is_refused(text_classifier: Make) -> None:
    model = text_classifier().model
    with pytest.raises(BadInput, match="size of at least 1"):
        add_adapters(model, size=0)
    with pytest.raises(BadInput, match="blocks in a ModuleList"):
        add_adapters(nn.Sequential(nn.Linear(3, 2)))
    add_adapters(model)
    with pytest.raises(BadInput, match="a model without adapters"):
        add_adapters(model)
