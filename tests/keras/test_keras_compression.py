"""Pruning, low rank and folded BatchNorm in Keras do to a network what they say, and nothing else."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tl_course import data
from tl_course.errors import BadInput
from tl_course.keras.classifier import Classifier
from tl_course.keras.fit import fit
from tl_course.keras.fold_batchnorm import fold_batchnorm
from tl_course.keras.low_rank import factorise
from tl_course.keras.pruning import magnitude_prune, make_permanent, sparsity


@pytest.fixture(scope="module", params=["fashion_resnet", "mobilenet_v2"])
def network(request: pytest.FixtureRequest) -> tuple[keras.Model, np.ndarray]:
    """With BatchNorm numbers as after training."""
    size, channels = (28, 1) if request.param == "fashion_resnet" else (32, 3)
    model = Classifier.build(request.param, tuple("abc"), weights=None, image_size=size).model
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return model, rng.random((4, size, size, channels), dtype=np.float32)


def run(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(model(x, training=False))


def test_folded_batchnorm_gives_the_same_outputs_without_any_batchnorm(network: tuple[keras.Model, np.ndarray]) -> None:
    model, x = network
    folded = fold_batchnorm(model)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    assert any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    wanted = run(model, x)
    np.testing.assert_allclose(run(folded, x), wanted, atol=1e-5 * max(1, np.abs(wanted).max()))


def test_full_rank_gives_the_same_outputs_and_a_low_one_fewer_parameters(
    network: tuple[keras.Model, np.ndarray],
) -> None:
    model, x = network
    wanted = run(model, x)
    np.testing.assert_allclose(run(factorise(model, 1.0), x), wanted, atol=1e-4 * max(1, np.abs(wanted).max()))
    assert factorise(model, 0.25).count_params() < 0.75 * model.count_params()
    with pytest.raises(BadInput, match="share"):
        factorise(model, 0)


def test_pruned_weights_stay_zero_through_training() -> None:
    digits = data.load("mnist")
    few = replace(digits, train=digits.train.take(np.arange(0, 3000, 50)), val=digits.val and digits.val.take([0, 1]))
    classifier = Classifier.build("fashion_resnet", digits.class_names, weights=None)
    magnitude_prune(classifier.model, 0.6)
    kernels = [layer.kernel for layer in classifier.model.layers if hasattr(layer, "kernel")]
    before = [np.asarray(kernel).copy() for kernel in kernels]
    fit(classifier, few, num_epochs=1, lr=1e-2, backbone_lr=1e-2, progress=False, restore_best=False)
    make_permanent(classifier.model)
    assert sparsity(classifier.model) == pytest.approx(0.6, abs=1e-3)
    for kernel, was in zip(kernels, before, strict=True):
        assert (np.asarray(kernel)[was == 0] == 0).all() and not np.array_equal(np.asarray(kernel), was)
    with pytest.raises(BadInput, match="share"):
        magnitude_prune(classifier.model, 1.0)
