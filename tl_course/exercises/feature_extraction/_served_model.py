"""The tiny trained model of a service, images on which every wrong preprocessing shows, and the probes that serve."""

from functools import partial
from typing import Any

import numpy as np

from tl_course.exercises.engine.exercise import Plain
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.feature_extraction._backbones import backbone_features, keras_backbone, torch_backbone

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # ImageNet, after torchvision


def telling_inputs(rng: np.random.Generator) -> dict[str, Plain]:
    """A model and images on which every wrong preprocessing shows, whichever of the two the model was trained with."""
    while True:
        inputs = _model_and_images(rng)
        if all(_tells(inputs, scheme) for scheme in ("imagenet", "symmetric")):
            return inputs


def _model_and_images(rng: np.random.Generator) -> dict[str, Plain]:
    """Weights of a backbone and of a head for four classes, and 24 images in [0, 1]."""
    tint = rng.uniform(0.05, 0.95, size=(24, 1, 1, 3))
    images = np.clip(tint + rng.normal(scale=0.15, size=(24, 5, 6, 3)), 0, 1)
    inputs = {
        "images": images,
        "kernel": rng.normal(scale=0.4, size=(3, 3, 3, 8)),
        "gamma": rng.uniform(0.5, 1.5, size=8),
        "beta": rng.normal(scale=0.5, size=8),
        "mean": rng.normal(scale=0.7, size=8),
        "variance": rng.uniform(0.5, 2, size=8),
        "weights": rng.normal(size=(8, 4)),
        "bias": np.zeros(4),
    }
    inputs["bias"] = -0.5 * (logits(inputs, "imagenet").mean(axis=0) + logits(inputs, "symmetric").mean(axis=0))
    return {name: value.astype(np.float32) for name, value in inputs.items()}


def _tells(inputs: dict[str, Plain], scheme: str) -> bool:
    """Whether answers are clear, several classes occur, and other preprocessing changes several answers."""
    right = logits(inputs, scheme)
    top = np.sort(right, axis=1)
    several = (np.bincount(right.argmax(axis=1), minlength=4) >= 2).sum() >= 3
    images = inputs["images"]
    wrong = [logits({**inputs, "images": other}, scheme) for other in (images * 255, images[..., ::-1])]
    wrong += [logits(inputs, other) for other in ("imagenet", "symmetric", "raw") if other != scheme]
    changed = [np.count_nonzero(other.argmax(axis=1) != right.argmax(axis=1)) for other in wrong]
    return bool((top[:, -1] - top[:, -2]).min() > 1e-3 and several and min(changed) >= 3)


def logits(inputs: dict[str, Plain], scheme: str) -> np.ndarray:
    """What the trained model gives for the images, shape (N, 4), computed in float64."""
    images = inputs["images"].astype(np.float64)
    pixels = {"imagenet": (images - MEAN) / STD, "symmetric": 2 * images - 1, "raw": images}[scheme]
    weights = {name: inputs[name] for name in ("kernel", "gamma", "beta", "mean", "variance")}
    return backbone_features(weights, pixels) @ inputs["weights"].astype(np.float64) + inputs["bias"]


def torch_model(inputs: dict[str, Plain]) -> tuple[Any, Any]:
    """The backbone and the head, which has Dropout, in PyTorch."""
    import torch
    from torch import nn

    linear = nn.Linear(8, 4)
    linear.load_state_dict({"weight": torch.from_numpy(inputs["weights"].T), "bias": torch.from_numpy(inputs["bias"])})
    return torch_backbone(inputs), nn.Sequential(nn.Dropout(0.5), linear)


def keras_model(inputs: dict[str, Plain]) -> tuple[Any, Any]:
    """The backbone and the head, which has Dropout, in Keras."""
    import keras
    from keras import layers

    head = keras.Sequential([keras.Input((8,)), layers.Dropout(0.5), layers.Dense(4)])
    head.layers[-1].set_weights([inputs["weights"], inputs["bias"]])
    return keras_backbone(inputs), head


def _observe(predict, batch, singles, weights, scheme: str) -> dict[str, Plain]:
    """What both probes report: classes of a batch and of single images, and whether the weights stayed."""
    before = weights()
    classes = as_array(predict(batch))
    alone = [as_array(predict(single)).ravel() for single in singles]
    kept = all(np.array_equal(old, new) for old, new in zip(before, weights(), strict=True))
    return {"classes": classes, "alone": np.concatenate(alone), "state kept": kept, "scheme": scheme}


def probe_pytorch(candidate, inputs):
    """Serve a batch, then its first four images one at a time; watch the backbone's buffers."""
    import torch

    torch.manual_seed(0)
    backbone, head = torch_model(inputs)
    images = torch.from_numpy(inputs["images"]).permute(0, 3, 1, 2).contiguous()
    served = images.clone()
    observed = _observe(
        partial(candidate, backbone, head),
        served,
        [images[i : i + 1].clone() for i in range(4)],
        lambda: [as_array(value) for value in backbone.state_dict().values()],
        "imagenet",
    )
    return {**observed, "images kept": torch.equal(served, images)}


def probe_keras(candidate, inputs):
    """Serve a batch, then its first four images one at a time; watch the backbone's weights."""
    from keras import ops

    images = inputs["images"]
    backbone, head = keras_model(inputs)
    observed = _observe(
        partial(candidate, backbone, head),
        ops.convert_to_tensor(images),
        [ops.convert_to_tensor(images[i : i + 1]) for i in range(4)],
        lambda: [value.copy() for value in backbone.get_weights()],
        "symmetric",
    )
    return {**observed, "images kept": True}
