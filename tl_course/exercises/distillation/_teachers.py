"""A tiny teacher with BatchNorm and a linear student, whose training is calculated in NumPy."""

from typing import Any

import numpy as np

from tl_course.exercises.distillation._losses import kd_loss
from tl_course.exercises.engine.exercise import Plain
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

EPSILON = 1e-5
Weights = dict[str, np.ndarray]
NORM = ("scale", "shift", "mean", "variance")
TEACHER = ("hidden", *NORM, "kernel", "bias")  # in Keras's order of weights


def draw_teacher(rng: np.random.Generator, features: int = 5, hidden: int = 6, num_classes: int = 4) -> Weights:
    """A teacher's weights: linear layer without bias, BatchNorm, ReLU, linear head."""
    drawn = {
        "hidden": rng.normal(size=(features, hidden)),
        "scale": rng.uniform(0.8, 1.4, size=hidden),
        "shift": rng.normal(size=hidden),
        "mean": rng.normal(size=hidden),
        "variance": rng.uniform(0.5, 2, size=hidden),
        "kernel": rng.normal(size=(hidden, num_classes)) * 1.5,
        "bias": rng.normal(size=num_classes),
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def draw_student(rng: np.random.Generator, features: int = 5, num_classes: int = 4) -> Weights:
    """A linear student's weights: kernel (D, K) and bias (K,)."""
    drawn = {"kernel": rng.normal(size=(features, num_classes)) / 2, "bias": rng.normal(size=num_classes) / 2}
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def teacher_logits(weights: Weights, x: np.ndarray) -> np.ndarray:
    """What the teacher gives in inference mode, float64, (N, K)."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    normalised = (x @ w["hidden"] - w["mean"]) / np.sqrt(w["variance"] + EPSILON) * w["scale"] + w["shift"]
    return np.maximum(normalised, 0) @ w["kernel"] + w["bias"]


def train_student(inputs: dict[str, Plain]) -> tuple[Weights, list[float]]:
    """The student's weights after one step of plain SGD for each batch, and the losses before each step."""
    kernel, bias = (inputs["student"][name].astype(np.float64) for name in ("kernel", "bias"))
    losses = []
    for x, y in zip(inputs["x"], inputs["y"], strict=True):
        logits = {"student": x @ kernel + bias, "teacher": teacher_logits(inputs["teacher"], x), "labels": y}
        loss, gradient = kd_loss({**logits, "temperature": inputs["temperature"], "alpha": inputs["alpha"]})
        kernel, bias = kernel - inputs["lr"] * x.T @ gradient, bias - inputs["lr"] * gradient.sum(axis=0)
        losses.append(loss)
    return {"kernel": kernel, "bias": bias}, losses


def torch_pair(inputs: dict[str, Plain]) -> tuple[Any, Any, dict[str, list]]:
    """Teacher (in training mode) and student (not) in PyTorch, and what their calls show: the modes they ran in."""
    import torch
    from torch import nn

    (features, hidden), num_classes = inputs["teacher"]["hidden"].shape, len(inputs["teacher"]["bias"])
    layers = nn.Linear(features, hidden, bias=False), nn.BatchNorm1d(hidden, EPSILON), nn.ReLU()
    teacher, student = nn.Sequential(*layers, nn.Linear(hidden, num_classes)), nn.Linear(features, num_classes)
    names = ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight", "3.bias"]
    values = {key: torch.tensor(inputs["teacher"][name].T) for key, name in zip(names, TEACHER, strict=True)}
    teacher.load_state_dict(values, strict=False)
    student.load_state_dict({"weight": torch.tensor(inputs["student"]["kernel"].T), "bias": _bias(inputs)})
    modes: dict[str, list] = {"teacher": [], "student": []}
    teacher.register_forward_pre_hook(lambda module, args: modes["teacher"].append(module.training))
    student.register_forward_pre_hook(lambda module, args: modes["student"].append(module.training))
    return teacher.train(), student.eval(), modes


def _bias(inputs: dict[str, Plain]) -> Any:
    import torch

    return torch.tensor(inputs["student"]["bias"])


def torch_observed(teacher: Any, student: Any, modes: dict[str, list]) -> dict[str, Plain]:
    """The weights of both, the modes the student ran in, and whether the teacher has got gradients."""
    values = [as_array(v).T for k, v in teacher.state_dict().items() if not k.endswith("num_batches_tracked")]
    gradients = [p.grad for p in teacher.parameters() if p.grad is not None]
    return {
        "teacher": dict(zip(TEACHER, values, strict=True)),
        "student": {"kernel": as_array(student.weight).T, "bias": as_array(student.bias)},
        "student training": bool(modes["student"]) and all(modes["student"]),
        "gradients": any(bool(gradient.any()) for gradient in gradients),
    }


def keras_pair(inputs: dict[str, Plain]) -> tuple[Any, Any, dict[str, list]]:
    """Teacher and student in Keras, and what their calls show: the modes they ran in."""
    import keras
    from keras import layers

    modes: dict[str, list] = {"teacher": [], "student": []}

    class Noting(layers.Layer):
        """Passes its input on and notes the mode it runs in."""

        def call(self, inputs, training=False):
            modes[self.name].append(bool(training))
            return inputs

    (features, hidden), num_classes = inputs["teacher"]["hidden"].shape, len(inputs["teacher"]["bias"])
    inside = [
        keras.Input((features,)),
        Noting(name="teacher"),
        layers.Dense(hidden, use_bias=False, name="teacher_hidden"),
        layers.BatchNormalization(epsilon=EPSILON, name="teacher_norm"),
        layers.ReLU(name="teacher_relu"),
        layers.Dense(num_classes, name="teacher_head"),
    ]
    teacher = keras.Sequential(inside, name="teacher_model")
    teacher.set_weights([inputs["teacher"][name] for name in TEACHER])
    head = layers.Dense(num_classes, name="student_head")
    student = keras.Sequential([keras.Input((features,)), Noting(name="student"), head], name="student_model")
    student.set_weights([inputs["student"][name] for name in ("kernel", "bias")])
    for seen in modes.values():
        seen.clear()
    return teacher, student, modes


def keras_observed(teacher: Any, student: Any, modes: dict[str, list], given: dict[str, Plain]) -> dict[str, Plain]:
    """The weights of both, the modes the student ran in, and whether gradients have moved the teacher."""
    after = dict(zip(TEACHER, teacher.get_weights(), strict=True))
    learned = ("hidden", "scale", "shift", "kernel", "bias")
    return {
        "teacher": after,
        "student": dict(zip(("kernel", "bias"), student.get_weights(), strict=True)),
        "student training": bool(modes["student"]) and all(modes["student"]),
        "gradients": any(not np.array_equal(after[name], given["teacher"][name]) for name in learned),
    }


def same_object(returned: Any, expected: Any) -> None:
    """Check what came back. Raises NotPlain, with a message for learners, when it is another object."""
    if returned is not expected:
        raise NotPlain(_("the student itself was expected back"))
