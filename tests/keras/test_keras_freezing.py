"""What is frozen stays as it is, in training that knows nothing of freezing: Keras's own fit."""

from collections.abc import Iterable

import keras
import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.keras.batchnorm import freezable_copy, layers_of
from tl_course.keras.freezing import freeze, freeze_backbone, has_free_statistics, stages, unfreeze
from tl_course.keras.heads import head, replace_head
from tl_course.zoo.residual_keras import fashion_resnet

HEAD = {"head/kernel", "head/bias"}


@pytest.fixture
def model() -> keras.Model:
    """Two stages, BatchNorm and Dropout."""
    layers = keras.layers
    inputs = x = keras.Input((6, 6, 1))
    for stage in ("stage1", "stage2"):
        x = layers.Conv2D(4, 3, padding="same", name=f"{stage}.conv")(x)
        x = layers.BatchNormalization(name=f"{stage}.bn")(x)
    return replace_head(keras.Model(inputs, layers.Dropout(0.5)(x)), 3)


def train_a_bit(model: keras.Model, compiled: bool = False) -> None:
    """Three steps of Keras's fit, which calls the model with training=True."""
    if not compiled:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.1), loss, jit_compile=False)
    rng = np.random.default_rng(0)
    model.fit(3 + rng.random((12, 6, 6, 1), dtype=np.float32), np.arange(12) % 3, batch_size=4, verbose=0)


def moved(model: keras.Model, before: Iterable[np.ndarray]) -> set[str]:
    return {w.path for w, old in zip(model.weights, before, strict=True) if not np.array_equal(w, old)}


def test_nothing_of_a_frozen_backbone_moves(model: keras.Model) -> None:
    freeze_backbone(model)
    before = model.get_weights()
    train_a_bit(model)
    assert moved(model, before) == HEAD


def test_a_frozen_backbones_features_do_not_depend_on_the_batch(model: keras.Model) -> None:
    freeze_backbone(model)
    norm = model.get_layer("stage2.bn")
    features = keras.Model(model.input, norm.output)
    x = np.random.default_rng(0).random((5, 6, 6, 1), dtype=np.float32)
    alone = np.concatenate([features(image[None], training=True) for image in x])
    np.testing.assert_allclose(features(x, training=True), alone, atol=1e-6)


def test_the_trap_parameters_frozen_statistics_free(model: keras.Model) -> None:
    freeze_backbone(model, statistics=False)
    before = model.get_weights()
    train_a_bit(model)
    averages = {f"stage{i}.bn/moving_{name}" for i in (1, 2) for name in ("mean", "variance")}
    assert moved(model, before) == HEAD | averages
    unfreeze(model)
    before = model.get_weights()
    train_a_bit(model)
    assert moved(model, before) == {w.path for w in model.weights}


def test_gain_and_shift_train_on_frozen_statistics(model: keras.Model) -> None:
    freeze(model)
    unfreeze(model)
    assert not has_free_statistics(model)
    before = model.get_weights()
    train_a_bit(model)
    found = moved(model, before)
    assert found == {w.path for w in model.weights if "moving" not in w.path} and "stage1.bn/gamma" in found
    unfreeze(model, statistics=True)
    before = model.get_weights()
    train_a_bit(model)
    assert has_free_statistics(model) and moved(model, before) == {w.path for w in model.weights}


def test_frozen_statistics_survive_an_outer_models_training_true() -> None:
    """The way found in many tutorials, `base(x, training=False)`, does not: the outer training=True overrides it."""
    layers = keras.layers
    base = keras.Sequential([keras.Input((6, 6, 1)), layers.BatchNormalization(), layers.Conv2D(2, 3)])
    ours = freezable_copy(base)
    freeze(ours)
    unfreeze(ours)
    x = 3 + np.random.default_rng(0).random((8, 6, 6, 1), dtype=np.float32)
    for inner, moves in ((base, True), (ours, False)):
        inputs = keras.Input((6, 6, 1))
        outer = keras.Model(inputs, layers.GlobalAveragePooling2D()(inner(inputs, training=False)))
        before = np.asarray(inner.layers[0].moving_mean)
        outer(x, training=True)
        assert np.array_equal(before, inner.layers[0].moving_mean) is not moves


def test_the_recompile_trap(model: keras.Model) -> None:
    """Unfreezing without compile() leaves the weights where they are; compile() sets them free."""
    freeze_backbone(model)
    train_a_bit(model)
    unfreeze(model)
    before = model.get_weights()
    train_a_bit(model, compiled=True)
    assert moved(model, before) == HEAD
    train_a_bit(model)
    assert "stage1.conv/kernel" in moved(model, before)


def test_a_plain_batchnorm_cannot_train_on_frozen_statistics() -> None:
    plain = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(name="bn"), keras.layers.Dense(2)])
    unfreeze(plain)  # nothing was frozen: nothing to keep
    plain.trainable = False
    with pytest.raises(BadInput, match="bn, a plain BatchNormalization; pass the model through replace_head"):
        unfreeze(plain)
    unfreeze(plain, statistics=True)
    assert len(plain.trainable_weights) == 4
    with pytest.raises(BadInput, match="a layer, or a list of layers"):
        freeze("stem")  # pyright: ignore[reportArgumentType]


def test_one_stage_can_be_frozen(model: keras.Model) -> None:
    freeze(stages(model)[0][1])
    before = model.get_weights()
    train_a_bit(model)
    still = {w.path for w in model.weights} - moved(model, before)
    assert still == {w.path for w in model.weights if w.path.startswith("stage1")} and len(still) == 6


def test_stages_run_from_input_to_head_and_hold_everything_once() -> None:
    applications = keras.applications
    resnet = replace_head(fashion_resnet(), 4)
    assert [name for name, _ in stages(resnet)] == ["stem", "stage1", "stage2", "stage3", "head"]
    options = {"weights": None, "include_top": False, "input_shape": (32, 32, 3)}
    vgg = replace_head(applications.VGG16(**options), 4)
    assert [layers[0].name for _, layers in stages(vgg)] == [*(f"block{i}_conv1" for i in range(1, 6)), "head"]
    resnet50 = replace_head(applications.ResNet50(**options), 4)
    assert [layers[0].name.split("_")[0] for _, layers in stages(resnet50)][:5] == [f"conv{i}" for i in range(1, 6)]
    mobilenet = replace_head(applications.MobileNetV2(**options), 4)
    assert len(stages(mobilenet)) == 20 and stages(mobilenet)[4][0] == "block_3"
    for model in (resnet, vgg, resnet50, mobilenet):
        listed = [layer for _, layers in stages(model) for layer in layers]
        assert len(listed) == len({id(layer) for layer in listed}) and listed[-1] is head(model)
        assert {id(layer) for layer in listed} == {id(layer) for layer in layers_of(model) if layer.weights}
