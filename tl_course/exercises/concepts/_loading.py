"""Models with given weights, loaded from given states, in PyTorch and in Keras.

Arrays are known by "layer/part"; parts are kernel (inputs, outputs), bias, gamma, beta, mean and variance.
"""

from collections import OrderedDict
from typing import Any

import numpy as np

from tl_course.exercises.engine.exercise import Plain
from tl_course.exercises.engine.plain import as_array

TORCH_PARTS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
KERAS_PARTS = {name: name for name in ("kernel", "bias", "gamma", "beta")} | {
    "mean": "moving_mean",
    "variance": "moving_variance",
}
ORDER = ("stem", "norm", "middle", "top", "head")


def _torch_name(name: str) -> str:
    layer, part = name.split("/")
    return f"{layer}.{TORCH_PARTS[part]}"


def _torch_state(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    import torch

    return {_torch_name(name): torch.from_numpy(value.T.copy()) for name, value in arrays.items()}


def probe_pytorch(candidate, inputs):
    """Load, note what stands where, and change the model to see whether the source's state changes too."""
    import torch
    from torch import nn

    def layer(name: str) -> nn.Module:
        if name == "norm":
            return nn.BatchNorm1d(len(inputs["model"]["norm/gamma"]))
        return nn.Linear(*inputs["model"][f"{name}/kernel"].shape)

    model = nn.Sequential(OrderedDict((name, layer(name)) for name in ORDER))
    model.load_state_dict(_torch_state(inputs["model"]), strict=False)
    state = _torch_state(inputs["state"])
    state["norm.num_batches_tracked"] = torch.tensor(40)
    before = {name: value.clone() for name, value in state.items()}
    report = candidate(model, state)
    values = {name: as_array(model.state_dict()[_torch_name(name)]).T for name in inputs["model"]}
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(1)
    kept = state.keys() == before.keys() and all(torch.equal(state[name], value) for name, value in before.items())
    return _report(report, values, {name: _torch_name(name) for name in values}, kept)


def probe_keras(candidate, inputs):
    """Load, note what stands where, and see whether the source's state is as it was."""
    import keras
    from keras import layers

    def layer(name: str) -> Any:
        if name == "norm":
            return layers.BatchNormalization(name=name)
        return layers.Dense(inputs["model"][f"{name}/kernel"].shape[1], name=name)

    width = len(inputs["model"]["stem/kernel"])
    model = keras.Sequential([keras.Input((width,)), *[layer(name) for name in ORDER]], name="model")
    weights = {weight.path: weight for weight in model.weights}
    paths = {name: f"{name.split('/')[0]}/{KERAS_PARTS[name.split('/')[1]]}" for name in inputs["model"]}
    paths = {name: next(path for path in weights if path.endswith(end)) for name, end in paths.items()}
    for name, value in inputs["model"].items():
        weights[paths[name]].assign(value)
    prefix = paths["stem/kernel"].removesuffix("stem/kernel")
    state = {paths.get(name, f"{prefix}{name}"): value.copy() for name, value in inputs["state"].items()}
    before = {name: value.copy() for name, value in state.items()}
    report = candidate(model, state)
    values = {name: as_array(weights[paths[name]]) for name in inputs["model"]}
    for weight in weights.values():
        weight.assign_add(keras.ops.ones_like(weight))
    kept = state.keys() == before.keys() and all(np.array_equal(state[name], value) for name, value in before.items())
    return _report(report, values, paths, kept)


def _report(report: Any, values: dict[str, np.ndarray], names: dict[str, str], kept: bool) -> dict[str, Plain]:
    """What both probes return; a report that is no list of names comes back as its type."""
    good = isinstance(report, (list, tuple)) and all(isinstance(name, str) for name in report)
    told = [str(name) for name in report] if good else type(report).__name__
    return {"report": told, "values": values, "names": names, "source kept": kept}
