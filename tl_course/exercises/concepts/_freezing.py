"""Train a network of six layers for a step or two and see which of them moved."""

from typing import Any

import numpy as np

from tl_course.exercises.engine.exercise import Plain
from tl_course.exercises.engine.plain import as_array

EPSILON = 1e-5


def torch_network(inputs: dict[str, Plain]) -> Any:
    """Linear, BatchNorm, ReLU, a block of Linear and BatchNorm, ReLU, Linear; statistics are not the batch's."""
    import torch
    from torch import nn

    def linear(i: int) -> nn.Linear:
        layer = nn.Linear(*inputs[f"kernel{i}"].shape, bias=False)
        layer.load_state_dict({"weight": torch.from_numpy(inputs[f"kernel{i}"].T.copy())})
        return layer

    def norm(i: int) -> nn.BatchNorm1d:
        layer = nn.BatchNorm1d(4, eps=EPSILON)
        given = {"weight": "gamma", "running_mean": "mean", "running_var": "variance"}
        state = {name: torch.from_numpy(inputs[f"{key}{i}"].copy()) for name, key in given.items()}
        layer.load_state_dict(state, strict=False)
        return layer

    return nn.Sequential(linear(0), norm(0), nn.ReLU(), nn.Sequential(linear(1), norm(1)), nn.ReLU(), linear(2))


def keras_network(inputs: dict[str, Plain]) -> Any:
    """The same layers in Keras."""
    import keras
    from keras import layers

    def dense(i: int) -> Any:
        return layers.Dense(inputs[f"kernel{i}"].shape[1], use_bias=False)

    def norm() -> Any:
        return layers.BatchNormalization(epsilon=EPSILON, momentum=0.9)

    block = keras.Sequential([keras.Input((4,)), dense(1), norm()])
    model = keras.Sequential([keras.Input((3,)), dense(0), norm(), layers.ReLU(), block, layers.ReLU(), dense(2)])
    for i, layers_of in enumerate((model.layers[:2], block.layers)):
        layers_of[0].set_weights([inputs[f"kernel{i}"]])
        values = [inputs[f"{name}{i}"] for name in ("gamma", "mean", "variance")]
        layers_of[1].set_weights([values[0], np.zeros(4, np.float32), *values[1:]])
    model.layers[5].set_weights([inputs["kernel2"]])
    return model


def probe_pytorch(candidate, inputs):
    """Freeze, train for two steps, and report which layers' parameters and statistics changed."""
    import torch

    layers = list(torch_network(inputs))
    x = torch.from_numpy(inputs["x"])
    model = candidate(torch.nn.Sequential(*layers), inputs["n"])
    outputs = model.eval()(x)
    old = [[as_array(value) for value in layer.state_dict().values()] for layer in layers]
    trainable = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    model.train()
    training_outputs = model(x)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(learning, lr=0.1) if learning else None
    for _step in range(2):
        model.train()
        loss = (model(x) ** 2).mean()
        if optimiser is not None:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    parameters, statistics = [], []
    for layer, before, may_learn in zip(layers, old, trainable, strict=True):
        names = {name for name, _value in layer.named_parameters()}
        pairs = list(zip(layer.state_dict().items(), before, strict=True))
        changed = {name: not np.array_equal(as_array(value), start) for (name, value), start in pairs}
        parameters.append(may_learn or any(changed[name] for name in names))
        buffers = changed.keys() - names
        statistics.append(any(changed[name] for name in buffers if not name.endswith("num_batches_tracked")))
    return _report(parameters, statistics, outputs, training_outputs)


def probe_keras(candidate, inputs):
    """Freeze, train for one step, and report which layers' weights and statistics changed."""
    import keras
    import tensorflow as tf

    network = keras_network(inputs)
    layers = list(network.layers)
    x = tf.constant(inputs["x"])
    model = candidate(network, inputs["n"])
    outputs = model(x, training=False)
    variables = [[(v, as_array(v), "moving" in v.path) for v in layer.weights] for layer in layers]
    learning = {id(v) for v in model.trainable_variables}
    with tf.GradientTape() as tape:
        training_outputs = model(x, training=True)
        loss = tf.reduce_mean(training_outputs**2)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(keras.ops.multiply(gradient, 0.1))
    parameters, statistics = [], []
    for group in variables:
        moved = [(not np.array_equal(as_array(v), start) or id(v) in learning, buffer) for v, start, buffer in group]
        parameters.append(any(change for change, buffer in moved if not buffer))
        statistics.append(any(change for change, buffer in moved if buffer))
    return _report(parameters, statistics, outputs, training_outputs)


def _report(parameters: list[bool], statistics: list[bool], outputs: Any, training_outputs: Any) -> dict[str, Plain]:
    return {
        "parameters": np.array(parameters),
        "statistics": np.array(statistics),
        "outputs": as_array(outputs),
        "training outputs": as_array(training_outputs),
    }
