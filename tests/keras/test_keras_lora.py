"""LoRA and adapters in Keras: the formula, nothing at the start, and only they and the head train."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tl_course.data.dataset import Dataset
from tl_course.errors import BadInput
from tl_course.keras.adapters import Adapter, adapter_size, add_adapters
from tl_course.keras.fit import fit
from tl_course.keras.lora import add_lora, dense_layers, merge_lora, trainable_parameters
from tl_course.keras.text_classifier import TextClassifier, load

TEXTS = ["Terrible.", "", "Would buy again; arrived a day early and works as described."]
Make = Callable[..., TextClassifier]
Add = Callable[..., object]


def state(made: TextClassifier) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in made.model.weights}


def test_a_layer_computes_the_formula_and_merges_to_the_same(text_classifier: Make) -> None:
    made = text_classifier()
    layer = made.model.encoder.blocks[0].attention.query
    kernel, bias, x = layer.kernel.numpy(), layer.bias.numpy(), np.random.default_rng(0).normal(size=(2, 3, 16))
    add_lora(made.model, rank=2, alpha=6)
    np.testing.assert_allclose(layer(x.astype(np.float32)), x @ kernel + bias, atol=1e-5)
    layer.lora_kernel_b.assign(np.ones((2, 16)))
    expected = x @ (kernel + 3 * layer.lora_kernel_a.numpy() @ np.ones((2, 16))) + bias
    np.testing.assert_allclose(layer(x.astype(np.float32)), expected, atol=1e-4)
    merge_lora(made.model)
    np.testing.assert_allclose(layer(x.astype(np.float32)), expected, atol=1e-4)
    assert not layer.lora_kernel_b.numpy().any()


@pytest.mark.parametrize(("add", "size"), [(add_lora, 3 * 2 * 2 * (16 * 4)), (add_adapters, 3 * (2 * 16 * 4 + 20))])
def test_nothing_changes_at_the_start_then_only_the_added_parts_and_the_head(
    add: Add, size: int, text_classifier: Make, tweets: Dataset, tmp_path: Path
) -> None:
    made = text_classifier()
    plain = made.logits(TEXTS)
    assert add(made.model, 4) is made.model
    np.testing.assert_allclose(made.logits(TEXTS), plain, atol=1e-6)
    assert trainable_parameters(made.model) == size + 2 * 16 + 2
    before = state(made)
    fit(made, tweets, num_epochs=2, lr=1e-2, restore_best=False, progress=False)
    moved = {path for path, array in state(made).items() if not np.array_equal(array, before[path])}
    assert moved == {weight.path for weight in made.model.trainable_weights}
    tuned = made.logits(TEXTS)
    assert np.abs(tuned - plain).max() > 1e-3
    np.testing.assert_allclose(made.model(made.preprocess(TEXTS)).numpy(), tuned, atol=1e-5)
    found = load(made.save(tmp_path / "m"))
    np.testing.assert_allclose(found.logits(TEXTS), tuned, atol=1e-5)
    assert adapter_size(found.model) == (4 if add is add_adapters else None)
    assert not any(layer.lora_enabled for layer in dense_layers(found.model))


def test_an_adapter_computes_the_formula() -> None:
    adapter, hidden = Adapter(6, 2), np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
    np.testing.assert_array_equal(adapter(hidden), hidden)
    adapter.up.kernel.assign(np.ones((2, 6)))
    low = tf.nn.gelu(hidden @ adapter.down.kernel.numpy(), approximate=False)
    np.testing.assert_allclose(adapter(hidden), hidden + low @ np.ones((2, 6), np.float32), atol=1e-5)


def test_the_global_random_state_is_kept_and_the_seed_decides(text_classifier: Make) -> None:
    random.seed(4)
    undisturbed = random.random()
    random.seed(4)
    starts = []
    for seed in (0, 0, 1):
        made = text_classifier()
        add_lora(made.model, seed=seed)
        starts.append(made.model.encoder.blocks[0].attention.value.lora_kernel_a.numpy())
    assert random.random() == undisturbed
    assert np.array_equal(starts[0], starts[1]) and not np.array_equal(starts[0], starts[2])


def test_what_does_not_fit_is_refused(text_classifier: Make) -> None:
    model = text_classifier().model
    with pytest.raises(BadInput, match=r"Dense layers called nothing.*expand, head, key"):
        add_lora(model, targets=["nothing"])
    with pytest.raises(BadInput, match="rank from 1 to 16"):
        add_lora(model, rank=17)
    add_lora(model)
    with pytest.raises(BadInput, match="a model without LoRA"):
        add_lora(model)
    with pytest.raises(BadInput, match="size of at least 1"):
        add_adapters(model, size=0)
    with pytest.raises(BadInput, match=r"pass classifier\.model"):
        add_adapters(model.encoder)
    add_adapters(model)
    with pytest.raises(BadInput, match="a model without adapters"):
        add_adapters(model)
