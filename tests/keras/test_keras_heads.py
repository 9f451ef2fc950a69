"""A new head on any Keras classifier; the rest of the model, and the caller's model, stay as they are."""

import random

import keras
import numpy as np
import pytest

from tl_course import zoo
from tl_course.errors import BadInput
from tl_course.keras.batchnorm import FreezableBatchNormalization, freezable_copy, layers_of
from tl_course.keras.freezing import batch_norms
from tl_course.keras.heads import backbone_parameters, feature_layer, head, head_parameters, replace_head

WITH_TOP = ["ResNet50", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny"]
WITHOUT_TOP = ["VGG16", "DenseNet121", "ConvNeXtTiny"]  # VGG16's own top: below
CASES = [*((name, True) for name in WITH_TOP), *((name, False) for name in WITHOUT_TOP)]


def images(size: int = 32, channels: int = 3, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((count, size, size, channels), dtype=np.float32)


def without(model: keras.Model, weights: list[keras.Variable]) -> list[keras.Variable]:
    left_out = {id(weight) for weight in weights}
    return [weight for weight in model.weights if id(weight) not in left_out]


@pytest.mark.parametrize(("name", "top"), CASES)
def test_any_classifier_of_keras_applications(name: str, top: bool) -> None:
    options = {"classes": 5} if top else {}
    model = getattr(keras.applications, name)(weights=None, include_top=top, input_shape=(32, 32, 3), **options)
    new = replace_head(model, 4)
    assert new.output_shape == (None, 4) and new.name == model.name
    old_head = 2 if top else 0
    assert len(backbone_parameters(new)) == len(model.trainable_weights) - old_head
    assert [tuple(p.shape) for p in head_parameters(new)] == [(feature_layer(new).output.shape[-1], 4), (4,)]
    known, kept = (without(m, head(m).weights if m is new or top else []) for m in (model, new))
    assert all(np.array_equal(a, b) for a, b in zip(known, kept, strict=True))


def test_two_dense_layers_before_the_head_stay() -> None:
    """VGG16's top, narrower: flatten, two hidden layers, softmax."""
    layers = keras.layers
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    hidden = layers.Dense(6, "relu", name="fc2")(layers.Dense(7, "relu", name="fc1")(layers.Flatten()(base.output)))
    model = keras.Model(base.inputs, layers.Dense(5, "softmax", name="predictions")(hidden))
    new = replace_head(model, 3)
    assert head(model).name == "predictions" and feature_layer(new).name == "fc2"
    assert [layer.name for layer in layers_of(new)][-3:] == ["fc1", "fc2", "head"]


def test_logits_are_the_head_on_the_backbones_features() -> None:
    """Worked by hand from the zoo's features; no softmax, and the backbone computes what it did."""
    for name, size, channels in (("fashion_resnet", 20, 1), ("mobilenet_v2", 32, 3)):
        backbone = zoo.load(name, "keras", image_size=None)
        new = replace_head(backbone.model, 3, seed=5)
        x = images(size, channels)
        kernel, bias = (np.asarray(p) for p in head_parameters(new))
        expected = backbone.features(x) @ kernel + bias
        np.testing.assert_allclose(new(backbone.preprocess(x), training=False), expected, rtol=1e-4, atol=1e-4)
        assert not bias.any() and np.abs(kernel).max() <= np.sqrt(6 / (len(kernel) + 3))


def test_the_callers_model_is_not_changed_unless_asked() -> None:
    model = zoo.load("fashion_resnet", "keras").model
    before, x = model.get_weights(), images(20, 1)
    copied, shared = replace_head(model, 3), replace_head(model, 3, in_place=True)
    for layer in (copied.get_layer("stem.0"), copied.get_layer("stem.1")):
        layer.set_weights([weight + 1 for weight in layer.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.output_shape == (None, 10)
    assert shared.get_layer("stem.0") is model.get_layer("stem.0")
    assert not np.allclose(copied(x), shared(x))


def test_a_seed_decides_the_head_and_global_random_state_is_kept() -> None:
    model = zoo.load("fashion_resnet", "keras", weights=None).model
    random.seed(3)
    expected = random.random()
    random.seed(3)
    heads = [np.asarray(head_parameters(replace_head(model, 3, seed=seed))[0]) for seed in (1, 1, 2)]
    assert random.random() == expected
    assert np.array_equal(heads[0], heads[1]) and not np.array_equal(heads[0], heads[2])


def test_a_copy_computes_the_same_and_its_batchnorm_can_be_frozen() -> None:
    inputs = keras.Input((8, 8, 3))
    norm = keras.layers.Normalization()
    norm.adapt(images(8) * 3)
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(inner(norm(inputs))))
    inner.set_weights([np.random.default_rng(1).random(w.shape).astype("float32") + 0.5 for w in inner.get_weights()])
    inner.layers[0].trainable = False
    copy = freezable_copy(model)
    np.testing.assert_allclose(copy(images(8)), model(images(8)), rtol=1e-6)
    assert [type(layer) for layer in batch_norms(copy)] == [FreezableBatchNormalization]
    assert len(copy.trainable_weights) == len(model.trainable_weights) == 2


def test_what_has_no_head_or_cannot_be_seen_into_is_refused() -> None:
    class Opaque(keras.Model):
        pass

    features = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    with pytest.raises(BadInput, match="which ends in features"):
        head(features)
    two_outputs = keras.Model(features.inputs, [features.output, features.output])
    for model in (Opaque(), keras.Sequential([keras.layers.Dense(3)]), two_outputs, "resnet"):
        with pytest.raises(BadInput, match="functional or sequential"):
            replace_head(model, 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="num_classes of at least 1"):
        replace_head(features, 0)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")], name="inner")
    with pytest.raises(BadInput, match="inside the inner model inner"):
        replace_head(keras.Sequential([keras.Input((4,)), inner]), 3)
    sequences = keras.Sequential([keras.Input((5, 4)), keras.layers.LayerNormalization()])
    with pytest.raises(BadInput, match=r"gives \(N, D\)"):
        replace_head(sequences, 3)
