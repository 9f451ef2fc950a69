"""tiny_vit: our own Vision Transformer, as shipped."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tl_course import assets, data, zoo
from tl_course.errors import BadInput
from tl_course.zoo.tiny_vit_sizes import TinyViTSizes, grid_positions
from tl_course.zoo.tiny_vit_torch import TinyViT

ROOT = Path(__file__).parents[2]
REPORT = json.loads((ROOT / "benchmarks" / "evidence" / "tiny_vit.json").read_text())
CARD = (ROOT / "tl_course" / "zoo" / "weights" / "tiny_vit.md").read_text()


@pytest.fixture(scope="module")
def models() -> dict[str, zoo.Pretrained]:
    return {framework: zoo.load("tiny_vit", framework) for framework in ("pytorch", "keras")}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return data.load("cluttered_digits").test.x[::300]


def run(model: zoo.Pretrained, images: np.ndarray) -> dict[str, np.ndarray]:
    """Logits (N, 10), tokens (N, 65, D) and attention maps, in inference mode."""
    x = model.preprocess(images)
    with torch.inference_mode():
        output = model.model.encode(x, output_attentions=True)
        parts = [model.model(x), output.last_hidden_state, *output.hidden_states, *output.attentions]
    return {str(number): np.asarray(part.cpu() if torch.is_tensor(part) else part) for number, part in enumerate(parts)}


def test_both_frameworks_agree(models: dict[str, zoo.Pretrained], images: np.ndarray) -> None:
    ours, theirs = (run(model, images) for model in models.values())
    layers = REPORT["sizes"]["num_layers"]
    assert len(ours) == len(theirs) == 2 + (layers + 1) + layers
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-4)
    features = [model.features(images) for model in models.values()]
    np.testing.assert_allclose(*features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(features[0], ours["1"][:, 0], rtol=1e-4, atol=1e-4)


def test_attention_maps(models: dict[str, zoo.Pretrained], images: np.ndarray) -> None:
    model = models["pytorch"]
    output = model.model.encode(model.preprocess(images), output_attentions=True)
    assert model.model.patch_size == models["keras"].model.patch_size == 6
    for maps in output.attentions:
        assert maps.shape == (len(images), REPORT["sizes"]["num_heads"], 65, 65)
        torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps[..., 0]))
    assert model.model.encode(model.preprocess(images)).attentions is None


def test_tokens_stand_row_by_row_and_see_their_surroundings_only() -> None:
    """Pixels of patch (r, c) change token 1 + 8 r + c and, at most, those two rows or columns away."""
    network = TinyViT()
    x = torch.randn(1, 1, 48, 48)
    for row, column in ((0, 0), (3, 5), (7, 1)):
        other = x.clone()
        other[:, :, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6] += 1
        change = (network.embed(other) - network.embed(x)).abs().amax(-1)[0]
        assert change[0] == 0  # the class token
        grid = change[1:].reshape(8, 8)
        assert grid[row, column] > 0
        rows, columns = grid.nonzero().T
        assert (rows - row).abs().max() <= 2 and (columns - column).abs().max() <= 2


def test_positions_start_as_rows_and_columns() -> None:
    table = grid_positions(TinyViTSizes())[0]
    assert table.shape == (65, 64) and np.abs(table[0]).max() == 0
    assert np.array_equal(table[1 + 8 * 2 + 3, :32], table[1 + 8 * 2 + 7, :32])  # the same row
    assert np.array_equal(table[1 + 8 * 2 + 3, 32:], table[1 + 8 * 5 + 3, 32:])  # the same column
    assert len(np.unique(table.round(5), axis=0)) == 65


def test_size_on_disk_and_in_parameters() -> None:
    parameters = sum(parameter.numel() for parameter in TinyViT().parameters())
    assert parameters == REPORT["num_parameters"] < 500_000
    assert assets.path("tiny_vit").stat().st_size <= 2_000_000


def test_accuracy_of_the_shipped_weights(models: dict[str, zoo.Pretrained]) -> None:
    test = data.load("cluttered_digits").test
    model = models["pytorch"]
    features = model.features(test.x)
    head = model.model.head
    predicted = (features @ head.weight.detach().cpu().numpy().T + head.bias.detach().cpu().numpy()).argmax(axis=1)
    assert (
        abs((predicted == test.y).mean() - REPORT["test_accuracy"]) < 0.002
    )  # all 1,500; rounding may turn one or two


def test_the_model_card_states_the_measured_figures() -> None:
    assert f"{100 * REPORT['test_accuracy']:.1f} %" in CARD
    for name, accuracy in REPORT["test_accuracy_per_class"].items():
        assert f"| {name} | {100 * accuracy:.1f} |" in CARD
    assert f"{REPORT['num_parameters']:,} parameters" in CARD
    assert f"{REPORT['settings']['num_epochs']} epochs" in CARD


def test_random_weights_take_a_new_head_and_train() -> None:
    from tl_course.keras.heads import replace_head as replace_keras_head
    from tl_course.pytorch.heads import replace_head as replace_torch_head

    ours, theirs = (zoo.load("tiny_vit", framework, weights=None) for framework in ("pytorch", "keras"))
    x = np.random.default_rng(0).random((2, 48, 48, 1), dtype=np.float32)
    assert replace_torch_head(ours.model, 3)(ours.preprocess(x)).shape == (2, 3)
    assert replace_keras_head(theirs.model, 3)(theirs.preprocess(x)).shape == (2, 3)


def test_refusals(models: dict[str, zoo.Pretrained]) -> None:
    for framework, model in models.items():
        with pytest.raises(BadInput, match="make them grey"):
            model.features(np.zeros((1, 48, 48, 3), np.float32))
        with pytest.raises(BadInput, match="image_size=48 for tiny_vit"):
            zoo.load("tiny_vit", framework, image_size=96)
        with pytest.raises(BadInput, match="preprocess"):
            model.model.encode(model.preprocess(np.zeros((1, 48, 48, 1), np.float32))[:, :, :40])
    with pytest.raises(BadInput, match="multiple of 6"):
        TinyViTSizes(image_size=50)
