"""Equal numbers from PyTorch and Keras on equal weights: head, freezing, groups, schedule, L2-SP, fit."""

from collections.abc import Callable, Iterator
from functools import cache

import keras
import numpy as np
import pytest
import torch
from keras import ops

from tl_course import data
from tl_course.data.dataset import Dataset
from tl_course.keras import finetune as keras_finetune
from tl_course.keras import freezing as keras_freezing
from tl_course.keras import heads as keras_heads
from tl_course.keras import optim as keras_optim
from tl_course.keras.augment import mixup as keras_mixup
from tl_course.keras.batchnorm import layers_of
from tl_course.keras.classifier import Classifier as KerasClassifier
from tl_course.keras.fit import fit as keras_fit
from tl_course.pytorch import finetune as torch_finetune
from tl_course.pytorch import freezing as torch_freezing
from tl_course.pytorch import heads as torch_heads
from tl_course.pytorch import optim as torch_optim
from tl_course.pytorch.augment import mixup as torch_mixup
from tl_course.pytorch.classifier import Classifier as TorchClassifier
from tl_course.pytorch.fit import fit as torch_fit
from tl_course.schedules import warmup_cosine
from tl_course.zoo.mobilenet_keras import _names as mobilenet_names

NAMES = tuple("0123456789")
Pair = tuple[TorchClassifier, KerasClassifier]


def torch_prefix(keras_name: str, mobilenet: bool) -> str:
    """The PyTorch name of a Keras layer's weights."""
    if keras_name == "head":
        return "classifier" if mobilenet else "fc"
    return mobilenet_names()[keras_name] if mobilenet else keras_name


def weights(pair: Pair) -> Iterator[tuple[str, torch.Tensor, keras.Variable]]:
    """(PyTorch's name, its tensor, Keras's variable) of every weight."""
    state = dict(pair[0].model.state_dict(keep_vars=True))
    suffix = {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
        "kernel": "weight",
        "depthwise_kernel": "weight",
        "bias": "bias",
    }
    for layer in layers_of(pair[1].model):
        for variable in layer.weights:
            name = f"{torch_prefix(layer.name, pair[0].backbone.name == 'mobilenet_v2')}.{suffix[variable.name]}"
            yield name, state[name], variable


def in_keras_layout(tensor: torch.Tensor, variable: keras.Variable) -> np.ndarray:
    array = tensor.detach().numpy()
    if array.ndim == 4:
        return array.transpose(2, 3, 0, 1) if variable.name == "depthwise_kernel" else array.transpose(2, 3, 1, 0)
    return array.T


def pair(name: str = "fashion_resnet", size: int = 16) -> Pair:
    """The same classifier in both: the head's weights are copied from PyTorch's."""
    made = tuple(make.build(name, NAMES, image_size=size, seed=3) for make in (TorchClassifier, KerasClassifier))
    for _, tensor, variable in weights(made):
        if variable.path.startswith("head"):
            variable.assign(in_keras_layout(tensor, variable))
    return made


@cache
def untouched(name: str, size: int) -> Pair:
    """`pair` for tests that change nothing."""
    return pair(name, size)


def digits(train: int = 48, val: int = 30) -> Dataset:
    full = data.load("digits")
    parts = full.train.take(np.arange(train)), full.val.take(np.arange(val))  # pyright: ignore[reportOptionalMemberAccess]
    return Dataset("digits", parts[0], full.test, parts[1], NAMES, "", "")


def photos(classifier: TorchClassifier, count: int = 6) -> np.ndarray:
    channels = classifier.backbone.channels
    return np.random.default_rng(0).random((count, 40, 36, channels), dtype=np.float32)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> bool:
    """Largest difference at most so much of the largest value."""
    return float(np.abs(ours - theirs).max()) <= tolerance * max(1.0, float(np.abs(theirs).max()))


def step(both: Pair, backward: Callable[[Pair], tuple[list, list]], groups: dict, steps: int) -> None:
    """AdamW with groups in both, on equal gradients' sources."""
    torch_optimizer = torch.optim.AdamW(torch_optim.param_groups(both[0].model, **groups))
    keras_optimizer = keras_optim.GroupedAdamW(keras_optim.param_groups(both[1].model, **groups))
    peaks = [group["lr"] for group in torch_optimizer.param_groups]
    for number in range(steps):
        factor = warmup_cosine(number, steps, 1.0)
        for group, peak in zip(torch_optimizer.param_groups, peaks, strict=True):
            group["lr"] = warmup_cosine(number, steps, peak)
        keras_optimizer.learning_rate = factor
        torch_optimizer.zero_grad()
        gradients, variables = backward(both)
        torch_optimizer.step()
        keras_optimizer.apply(gradients, variables)


def cross_entropy(training: bool, images: np.ndarray) -> Callable[[Pair], tuple[list, list]]:
    """Gradients of both: PyTorch's in place, Keras's returned."""
    import tensorflow as tf

    labels = np.arange(len(images)) % len(NAMES)

    def backward(both: Pair) -> tuple[list, list]:
        both[0].model.train(training)
        torch.nn.functional.cross_entropy(
            both[0].model(both[0].preprocess(images)), torch.from_numpy(labels)
        ).backward()
        model = both[1].model
        with tf.GradientTape() as tape:
            logits = model(both[1].preprocess(images), training=training)
            loss = ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        return tape.gradient(loss, model.trainable_variables), model.trainable_variables

    return backward


@pytest.mark.parametrize(("name", "size"), [("fashion_resnet", 16), ("mobilenet_v2", 40)])
def test_head_and_classifier_give_equal_logits(name: str, size: int) -> None:
    both = untouched(name, size)
    images = photos(both[0])
    assert close(both[1].logits(images), both[0].logits(images), 1e-4)
    assert close(both[1].predict_proba(images), both[0].predict_proba(images), 1e-5)
    assert (both[1].predict(images) == both[0].predict(images)).all()
    shapes = [[tuple(p.shape) for p in heads.head_parameters(c.model)] for heads, c in zip(HEADS, both, strict=True)]
    assert shapes[0] == [(10, shapes[1][0][0]), (10,)] and shapes[1][0][1:] == (10,)
    counts = [sum(p.numel() for p in torch_heads.backbone_parameters(both[0].model))]
    counts.append(sum(int(np.prod(p.shape)) for p in keras_heads.backbone_parameters(both[1].model)))
    assert counts[0] == counts[1]


HEADS = (torch_heads, keras_heads)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f, m: f.freeze_backbone(m), id="frozen"),
        pytest.param(lambda f, m: f.freeze_backbone(m, statistics=False), id="statistics free"),
        pytest.param(lambda f, m: (f.freeze(m), f.unfreeze(m)), id="unfrozen, statistics frozen"),
        pytest.param(lambda f, m: (f.freeze(m), f.unfreeze(m, statistics=True)), id="unfrozen"),
        pytest.param(lambda f, m: f.freeze(f.stages(m)[0][1]), id="stem frozen"),
    ],
)
def test_freezing_moves_the_same_things(change: Callable[..., object]) -> None:
    both = pair()
    for freezing, classifier in zip((torch_freezing, keras_freezing), both, strict=True):
        change(freezing, classifier.model)
    before = {name: (tensor.detach().clone(), np.asarray(variable).copy()) for name, tensor, variable in weights(both)}
    step(both, cross_entropy(True, photos(both[0])[..., :1]), {"lr": 1e-2}, 2)
    moved = [set(), set()]
    for name, tensor, variable in weights(both):
        moved[0] |= {name} if not torch.equal(tensor, before[name][0]) else set()
        moved[1] |= {name} if not np.array_equal(variable, before[name][1]) else set()
    assert moved[0] == moved[1] and {"fc.weight", "fc.bias"} <= moved[0]


@pytest.mark.parametrize(("name", "size"), [("fashion_resnet", 16), ("mobilenet_v2", 40)])
@pytest.mark.parametrize("layer_decay", [1.0, 0.8])
def test_groups_hold_the_same_parameters_at_the_same_rates(name: str, size: int, layer_decay: float) -> None:
    both = untouched(name, size)
    options = {"lr": 1e-2, "backbone_lr": 1e-3, "layer_decay": layer_decay, "weight_decay": 0.1}
    found = [optim.param_groups(c.model, **options) for optim, c in zip((torch_optim, keras_optim), both, strict=True)]
    settings = [{id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]} for groups in found]
    trained = [(tensor, variable) for _, tensor, variable in weights(both) if "moving" not in variable.name]
    assert len(settings[0]) == len(settings[1]) == len(trained)
    assert all(settings[0][id(t)] == pytest.approx(settings[1][id(v)], rel=1e-9) for t, v in trained)
    if name == "fashion_resnet" or layer_decay == 1:
        assert [group["name"] for group in found[0]] == [group["name"] for group in found[1]]


def test_adamw_with_groups_and_schedule_takes_equal_steps() -> None:
    both = pair()
    for freezing, classifier in zip((torch_freezing, keras_freezing), both, strict=True):
        freezing.freeze(classifier.model)
        freezing.unfreeze(classifier.model)  # gains train, statistics do not
    before = {name: tensor.detach().clone() for name, tensor, _ in weights(both)}
    options = {"lr": 1e-3, "backbone_lr": 3e-4, "layer_decay": 0.7, "weight_decay": 0.5}
    step(both, equal_gradients(), options, 6)
    for name, tensor, variable in weights(both):
        assert close(np.asarray(variable), in_keras_layout(tensor, variable), 1e-6), name
        assert "running" in name or not torch.equal(tensor, before[name])


def equal_gradients() -> Callable[[Pair], tuple[list, list]]:
    """The same random gradients for both, some of them tiny: there the place of epsilon shows."""
    rng = np.random.default_rng(0)

    def backward(both: Pair) -> tuple[list, list]:
        gradients = {}
        for _, tensor, variable in weights(both):
            if "moving" not in variable.name:
                drawn = rng.normal(size=tensor.shape) * 10.0 ** rng.uniform(-9, 0, size=tensor.shape)
                tensor.grad = torch.from_numpy(drawn.astype(np.float32))
                gradients[variable.path] = in_keras_layout(tensor.grad, variable)
        variables = both[1].model.trainable_variables
        return [ops.convert_to_tensor(gradients[v.path]) for v in variables], variables

    return backward


def test_gradients_and_three_real_steps_agree() -> None:
    """Through the whole network, so rounding grows: Adam turns a gradient's sign into a step of full size."""
    both = pair()
    for freezing, classifier in zip((torch_freezing, keras_freezing), both, strict=True):
        freezing.freeze_backbone(classifier.model)
    images = photos(both[0])
    step(both, cross_entropy(True, images), {"lr": 1e-2, "weight_decay": 0.1}, 3)
    for name, tensor, variable in weights(both):
        assert close(np.asarray(variable), in_keras_layout(tensor, variable), 1e-5), name


def test_l2_sp_has_equal_value_and_gradient() -> None:
    import tensorflow as tf

    both = pair()
    start = torch_optim.snapshot(both[0].model), keras_optim.snapshot(both[1].model)
    rng = np.random.default_rng(0)
    for _, tensor, variable in weights(both):
        tensor.data += torch.from_numpy(0.1 * rng.normal(size=tensor.shape).astype(np.float32))
        variable.assign(in_keras_layout(tensor, variable))
    ours = torch_optim.l2_sp(both[0].model, start[0], 0.3, 0.7)
    ours.backward()
    variables = both[1].model.trainable_variables
    with tf.GradientTape() as tape:
        theirs = keras_optim.l2_sp(both[1].model, start[1], 0.3, 0.7)
    gradients = dict(zip((v.path for v in variables), tape.gradient(theirs, variables), strict=True))
    assert float(theirs) == pytest.approx(ours.item(), rel=1e-5) and ours.item() > 10
    for name, tensor, variable in weights(both):
        if "moving" not in variable.name:
            assert close(np.asarray(gradients[variable.path]), in_keras_layout(tensor.grad, variable), 1e-5), name


def test_mixup_mixes_alike() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((5, 4, 4, 1), dtype=np.float32), np.eye(5, dtype=np.float32)
    ours = torch_mixup(torch.from_numpy(x), torch.from_numpy(y), 0.4, seed=7)
    theirs = keras_mixup(x, y, 0.4, seed=7)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "mixup": 0.3, "l2_sp": 0.01, "layer_decay": 0.8}])
def test_fit_trains_alike(options: dict) -> None:
    """Same order, same schedule, same losses; two epochs of training apart from rounding."""
    both, dataset = pair(), digits()
    settings = {"num_epochs": 2, "lr": 1e-4, "batch_size": 16, "progress": False, "restore_best": False, **options}
    for freezing, classifier in zip((torch_freezing, keras_freezing), both, strict=True):
        freezing.freeze(classifier.model)
        freezing.unfreeze(classifier.model)
    ours, theirs = (run(c, dataset, **settings) for run, c in zip((torch_fit, keras_fit), both, strict=True))
    assert theirs.train_loss == pytest.approx(ours.train_loss, rel=2e-3)
    assert theirs.val_loss == pytest.approx(ours.val_loss, rel=2e-3)
    assert theirs.lr == pytest.approx(ours.lr)


def test_a_linear_probe_ends_alike() -> None:
    both, dataset = pair(), digits()
    options = {"num_epochs": 5, "progress": False, "patience": 3}
    ours, theirs = (
        module.linear_probe(c, dataset, **options)
        for module, c in zip((torch_finetune, keras_finetune), both, strict=True)
    )
    assert theirs.train_loss == pytest.approx(ours.train_loss, rel=1e-3)
    assert theirs.val_accuracy == pytest.approx(ours.val_accuracy, abs=0.04) and theirs.stage == ours.stage
