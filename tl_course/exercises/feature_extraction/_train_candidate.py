"""Build a candidate model on a tiny backbone, train it for two steps, and see what moved: the linear probe's probes."""

import numpy as np

from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.feature_extraction._backbones import keras_backbone, torch_backbone


def _find(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The one array of this shape, or an empty one."""
    found = [array for array in arrays if array.shape == shape]
    return found[0] if len(found) == 1 else np.zeros(0)


def _moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> int:
    """How many values belong to arrays that changed."""
    return sum(after[name].size for name in after if not np.array_equal(before[name], after[name]))


def probe_pytorch(candidate, inputs):
    """Build a probe, look at its logits, train it for two steps, and see what moved."""
    import torch

    features, num_classes = len(inputs["weights"]["gamma"]), inputs["num_classes"]
    model = candidate(torch_backbone(inputs["weights"], dropout=0.5), features, num_classes)
    images = torch.from_numpy(inputs["images"].transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(inputs["labels"])

    def state(named):
        return {name: as_array(value) for name, value in named()}

    model.eval()
    logits, again, modes = as_array(model(images)), as_array(model(images)), [model.training]
    parameters, buffers = state(model.named_parameters), state(model.named_buffers)
    model.train()
    training_logits, modes = as_array(model(images)), [*modes, model.training]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2 if learning and logits.shape == (len(images), num_classes) else 0):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return {
        "logits": logits,
        "training logits": training_logits,
        "steady": np.array_equal(logits, again),
        "follows mode": modes == [False, True],
        "kernel": _find(list(parameters.values()), (num_classes, features)).T,
        "bias": _find(list(parameters.values()), (num_classes,)),
        "trainable": sum(parameter.numel() for parameter in learning),
        "moved": _moved(parameters, state(model.named_parameters)),
        "statistics": _moved(buffers, state(model.named_buffers)),
    }


def probe_keras(candidate, inputs):
    """Build a probe, look at its logits, train it for two steps, and see what moved."""
    import keras

    features, num_classes = len(inputs["weights"]["gamma"]), inputs["num_classes"]
    model = candidate(keras_backbone(inputs["weights"]), num_classes)
    logits = as_array(model(inputs["images"]))
    dropping = candidate(keras_backbone(inputs["weights"], dropout=0.5), num_classes)
    once, again = (as_array(dropping(inputs["images"])) for _call in range(2))

    def state(statistics):
        moving = [variable.name.startswith("moving_") for variable in model.weights]
        pairs = zip(model.weights, moving, strict=True)
        return {variable.path: as_array(variable) for variable, is_moving in pairs if is_moving == statistics}

    parameters, buffers = state(False), state(True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    training_logits = as_array(model(inputs["images"], training=True))
    shape = (len(inputs["images"]), num_classes)
    for _step in range(2 if model.trainable_weights and logits.shape == shape else 0):
        model.train_on_batch(inputs["images"], inputs["labels"])
    return {
        "logits": logits,
        "training logits": training_logits,
        "steady": np.array_equal(once, again),
        "follows mode": True,
        "kernel": _find(list(parameters.values()), (features, num_classes)),
        "bias": _find(list(parameters.values()), (num_classes,)),
        "trainable": sum(int(np.prod(variable.shape)) for variable in model.trainable_weights),
        "moved": _moved(parameters, state(False)),
        "statistics": _moved(buffers, state(True)),
    }
