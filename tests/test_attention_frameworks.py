"""Attention maps and what matters: the same numbers in PyTorch and in Keras, from the same weights."""

import numpy as np
import pytest

from tl_course import data, zoo

TEXTS = ["The story was far too long, and the acting was not good.", "Wonderful!"]


@pytest.fixture(scope="module")
def classifiers():
    """The same encoder and the same head in both."""
    import torch

    from tl_course.keras.text_classifier import TextClassifier as KerasClassifier
    from tl_course.pytorch.text_classifier import TextClassifier

    ours = TextClassifier(zoo.load("minilm", attention="eager", device="cpu"), ("bad", "good"), dropout=0)
    twin = KerasClassifier(zoo.load("minilm", "keras"), ("bad", "good"), dropout=0)
    kernel, bias = (weights.numpy() for weights in twin.model.head.trainable_variables)
    with torch.no_grad():
        ours.model.head.weight.copy_(torch.from_numpy(kernel.T.copy()))
        ours.model.head.bias.copy_(torch.from_numpy(bias))
    return ours, twin


def test_maps_of_minilm_agree(classifiers):
    from tl_course.keras import attention as in_keras
    from tl_course.pytorch import attention as in_pytorch

    ours, twin = in_pytorch.attention_maps(classifiers[0], TEXTS), in_keras.attention_maps(classifiers[1], TEXTS)
    np.testing.assert_allclose(ours.of(0), twin.of(0), atol=1e-4)
    np.testing.assert_allclose(ours.of(1), twin.of(1), atol=1e-4)
    assert ours.tokens == twin.tokens
    np.testing.assert_array_equal(ours.special, twin.special)


@pytest.mark.parametrize("options", [{}, {"target": 0}, {"replace_with": 103}])
def test_measures_of_minilm_agree(classifiers, options):
    from tl_course.keras import attention as in_keras
    from tl_course.pytorch import attention as in_pytorch

    name = "leave_one_out" if "replace_with" in options else "gradient_x_input"
    ours = getattr(in_pytorch, name)(classifiers[0], TEXTS, **options)
    twin = getattr(in_keras, name)(classifiers[1], TEXTS, **options)
    assert [values.shape for values in ours] == [(16,), (4,)]
    for here, there in zip(ours, twin, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-4)
        assert np.abs(here).max() > 1e-2


def test_maps_and_occlusion_of_a_vision_transformer_agree():
    from tl_course.keras import attention as in_keras
    from tl_course.pytorch import attention as in_pytorch
    from tl_course.zoo.tiny_vit_keras import port

    images = data.load("cluttered_digits").test.x[:2]
    models = zoo.load("tiny_vit", weights=None, device="cpu"), zoo.load("tiny_vit", "keras", weights=None)
    port(models[1].model, {name: tensor.numpy() for name, tensor in models[0].model.state_dict().items()})
    ours, twin = (
        library.attention_maps(model, images) for library, model in zip((in_pytorch, in_keras), models, strict=True)
    )
    np.testing.assert_allclose(ours.weights, twin.weights, atol=1e-4)
    assert ours.grid == twin.grid == (8, 8) and ours.tokens == twin.tokens
    falls = in_pytorch.occlusion(models[0], images, 12), in_keras.occlusion(models[1], images, 12)
    np.testing.assert_allclose(*falls, atol=1e-3)
