"""Pretext tasks: turns that turn back, the contrastive loss by hand, the same in both frameworks."""

import numpy as np
import pytest
import torch

from tl_course.errors import BadInput
from tl_course.keras import pretext as in_keras
from tl_course.pytorch import pretext as in_torch


def nt_xent_by_hand(z1, z2, temperature):
    """Chen et al. (2020), equation 1, term by term."""
    z = np.concatenate([z1, z2]).astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    count, total = len(z1), 0.0
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        others = sum(np.exp(z[i] @ z[k] / temperature) for k in range(2 * count) if k != i)
        total -= np.log(np.exp(z[i] @ z[partner] / temperature) / others)
    return total / (2 * count)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_is_the_papers_sum(temperature):
    rng = np.random.default_rng(0)
    z1, z2 = (rng.normal(size=(5, 3)).astype(np.float32) for _view in range(2))
    expected = nt_xent_by_hand(z1, z2, temperature)
    assert in_torch.nt_xent(*map(torch.from_numpy, (z1, z2)), temperature).item() == pytest.approx(expected, rel=1e-4)
    assert float(in_keras.nt_xent(z1, z2, temperature)) == pytest.approx(expected, rel=1e-4)


def test_nt_xent_of_orthogonal_images_in_closed_form():
    eye = torch.eye(4)
    expected = -np.log(np.exp(2) / (np.exp(2) + 6))  # temperature 0.5; of 2 N - 1 = 7 others, 6 are at right angles
    assert in_torch.nt_xent(eye, 3 * eye, 0.5).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_turned_images_turn_back(seed):
    images = np.random.default_rng(9).random((12, 6, 6, 3), dtype=np.float32)
    channels_first = torch.from_numpy(images.transpose(0, 3, 1, 2))
    turned, turns = in_torch.rotation_batch(channels_first, np.random.default_rng(seed))
    assert turns.dtype == torch.int64 and set(turns.tolist()) <= {0, 1, 2, 3}
    for image, result, k in zip(images, turned.permute(0, 2, 3, 1).numpy(), turns.tolist(), strict=True):
        np.testing.assert_array_equal(np.rot90(result, -k), image)  # NumPy turns anticlockwise too
    keras_turned, keras_turns = in_keras.rotation_batch(images, np.random.default_rng(seed))
    assert np.asarray(keras_turns).tolist() == turns.tolist()
    np.testing.assert_array_equal(np.asarray(keras_turned), turned.permute(0, 2, 3, 1).numpy())


def test_all_turns_come_up():
    turns = in_torch.rotation_batch(torch.zeros(400, 1, 2, 2), np.random.default_rng(0))[1]
    assert np.bincount(turns.numpy(), minlength=4).min() > 70


@pytest.mark.parametrize("module", [in_torch, in_keras])
def test_bad_input_is_refused(module):
    make = torch.zeros if module is in_torch else np.zeros
    oblong = make((2, 1, 4, 5)) if module is in_torch else make((2, 4, 5, 1))
    with pytest.raises(BadInput, match="square"):
        module.rotation_batch(oblong, np.random.default_rng(0))
    for first, second, temperature in (((3, 4), (2, 4), 0.5), ((1, 4), (1, 4), 0.5), ((3, 4), (3, 4), 0.0)):
        with pytest.raises(BadInput, match="temperature"):
            module.nt_xent(make(first), make(second), temperature)
