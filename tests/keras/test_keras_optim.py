"""Parameter groups, their optimiser and L2-SP against what follows from their definition."""

import keras
import numpy as np
import pytest
from keras import ops

from tl_course.errors import BadInput
from tl_course.keras.freezing import freeze, freeze_backbone, stages
from tl_course.keras.heads import head_parameters, replace_head
from tl_course.keras.optim import GroupedAdamW, l2_sp, param_groups, snapshot
from tl_course.zoo.residual_keras import fashion_resnet


@pytest.fixture(scope="module")
def resnet() -> keras.Model:
    return fashion_resnet()


def tiny() -> keras.Model:
    """Backbone [[1], [2]] and bias [3], head [[4, 5]] and biases [6, 7]."""
    layers = keras.layers
    inputs = keras.Input((2,))
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.Dense(1, name="body")(inputs)))
    model.set_weights([np.array([[1], [2]]), np.array([3]), np.array([[4, 5]]), np.array([6, 7])])
    return model


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_each_trainable_parameter_once_and_decay_for_matrices_only(resnet: keras.Model, layer_decay: float) -> None:
    model = replace_head(resnet, 3)
    freeze(stages(model)[0][1])
    groups = param_groups(model, 1e-3, layer_decay=layer_decay, weight_decay=0.1)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.trainable_weights) and len(listed) == 26
    assert all(group["weight_decay"] == (0.1 if len(p.shape) > 1 else 0.0) for group in groups for p in group["params"])
    names = [group["name"] for group in groups]
    assert len(names) == len(set(names)) and names[-2:] == ["head/decay", "head/no_decay"]


def test_rates_fall_from_stage_to_stage(resnet: keras.Model) -> None:
    groups = param_groups(resnet, 1e-2, backbone_lr=1e-3, layer_decay=0.5)
    rates = {group["name"].split("/")[0]: group["lr"] for group in groups}
    expected = {"stem": 1.25e-4, "stage1": 2.5e-4, "stage2": 5e-4, "stage3": 1e-3, "head": 1e-2}
    assert rates == pytest.approx(expected, rel=1e-9) and list(rates) == list(expected)


def test_equal_rates_make_four_groups_and_a_frozen_backbone_two(resnet: keras.Model) -> None:
    model = replace_head(resnet, 3)
    names = [group["name"] for group in param_groups(model, 1e-3, backbone_lr=1e-4)]
    assert names == ["backbone/decay", "backbone/no_decay", "head/decay", "head/no_decay"]
    freeze_backbone(model)
    groups = param_groups(model, 1e-3)
    assert [id(p) for group in groups for p in group["params"]] == [id(p) for p in head_parameters(model)]


def test_a_first_step_worked_by_hand() -> None:
    """With constant gradients m / sqrt(v) is 1: each weight moves by its rate, and by rate * decay * weight."""
    model = tiny()
    optimizer = GroupedAdamW(param_groups(model, 0.5, backbone_lr=0.25, weight_decay=0.1), learning_rate=0.2)
    optimizer.apply([ops.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    expected = [
        [[1 - 0.05 - 0.005], [2 - 0.05 - 0.01]],
        [3 - 0.05],
        [[4 - 0.1 - 0.04, 5 - 0.1 - 0.05]],
        [6 - 0.1, 7 - 0.1],
    ]
    for weight, values in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, values, rtol=1e-5)


def test_the_optimiser_works_in_keras_fit_and_survives_serialisation() -> None:
    model = tiny()
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 10)
    optimizer = GroupedAdamW(param_groups(model, 0.01, backbone_lr=0.0), learning_rate=schedule)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, GroupedAdamW) and again.rates == optimizer.rates
    model.compile(again, "mse", jit_compile=False)
    before = model.get_weights()
    model.fit(np.ones((4, 2)), np.zeros((4, 2)), verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert same == [True, True, False, False]  # the backbone's rate is 0


def test_a_variable_without_a_group_and_a_path_twice_are_refused() -> None:
    model = tiny()
    freeze(model.layers[1])
    groups = param_groups(model, 0.1)
    model.layers[1].trainable = True
    with pytest.raises(BadInput, match="none for body/kernel; make the groups after"):
        GroupedAdamW(groups).build(model.trainable_variables)
    with pytest.raises(BadInput, match="head/kernel twice"):
        GroupedAdamW([*groups, *groups])


def test_l2_sp_worked_by_hand() -> None:
    """Backbone moved by (1, -2) and 3: 1 + 4 + 9 = 14; head 16 + 25 + 36 + 49 = 126."""
    model = tiny()
    start = snapshot(model)
    model.layers[1].set_weights([np.array([[2], [0]]), np.array([6])])
    assert float(l2_sp(model, start, alpha=0.1, beta=0.01)) == pytest.approx(0.05 * 14 + 0.005 * 126)
    assert float(l2_sp(model, start, alpha=0.1)) == pytest.approx(0.05 * (14 + 126))
    assert start.keys() == {"body/kernel", "body/bias"} and float(start["body/bias"][0]) == 3.0


def test_wrong_arguments_are_refused(resnet: keras.Model) -> None:
    for wrong, message in (
        ({"lr": -1.0}, "lr of at least 0"),
        ({"lr": 1.0, "backbone_lr": -1.0}, "backbone_lr of at least 0"),
        ({"lr": 1.0, "weight_decay": -1.0}, "weight_decay of at least 0"),
        ({"lr": 1.0, "layer_decay": 0.0}, "layer_decay above 0"),
        ({"lr": 1.0, "layer_decay": 1.1}, "layer_decay above 0"),
    ):
        with pytest.raises(BadInput, match=message):
            param_groups(resnet, **wrong)
    with pytest.raises(BadInput, match="take them with snapshot"):
        l2_sp(resnet, snapshot(tiny()), 0.1)
    model = tiny()
    freeze(model)
    with pytest.raises(BadInput, match="something to train"):
        param_groups(model, 1e-3)
