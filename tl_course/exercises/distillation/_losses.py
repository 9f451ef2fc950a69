"""What exercises on distillation losses share: drawn logits, right losses in NumPy, and probes of a loss."""

from typing import Any

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Finding, Plain
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _


def draw_logits(rng: np.random.Generator, count: int, num_classes: int) -> dict[str, np.ndarray]:
    """Logits of a student and of a teacher that is surer of itself, float32 (N, K), some of them negative."""
    student, teacher = rng.normal(size=(2, count, num_classes)) * np.array([2.0, 3.0])[:, None, None]
    return {"student": student.astype(np.float32), "teacher": teacher.astype(np.float32)}


def fewer(inputs: dict[str, Plain], count: int) -> dict[str, Plain]:
    """The same inputs for the first examples only: an answer must not count on one batch size."""
    return {name: value[:count] if isinstance(value, np.ndarray) else value for name, value in inputs.items()}


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Log-probabilities of logits / temperature, float64, over the last axis."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True))


def soft_loss(student: np.ndarray, teacher: np.ndarray, temperature: float) -> tuple[float, np.ndarray]:
    """T squared times the mean KL divergence of a batch, written out row by row, and its gradient by the student."""
    p, q = np.exp(log_softmax(teacher, temperature)), np.exp(log_softmax(student, temperature))
    gaps = log_softmax(teacher, temperature) - log_softmax(student, temperature)
    rows = [sum(float(a * b) for a, b in zip(*pair, strict=True)) for pair in zip(p, gaps, strict=True)]
    return temperature**2 * sum(rows) / len(rows), temperature * (q - p) / len(rows)


def hard_loss(student: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean cross-entropy of a batch and its gradient by the logits."""
    log_q = log_softmax(student)
    target = np.eye(student.shape[1])[labels]
    return -float(log_q[np.arange(len(labels)), labels].mean()), (np.exp(log_q) - target) / len(labels)


def kd_loss(inputs: dict[str, Plain]) -> tuple[float, np.ndarray]:
    """alpha times the soft loss plus 1 - alpha times the hard one, and the gradient by the student's logits."""
    soft = soft_loss(inputs["student"], inputs["teacher"], inputs["temperature"])
    hard = hard_loss(inputs["student"], inputs["labels"])
    alpha = inputs["alpha"]
    return alpha * soft[0] + (1 - alpha) * hard[0], alpha * soft[1] + (1 - alpha) * hard[1]


def value_and_gradient(
    criterion: str, observed: dict[str, Plain], right: tuple[float, np.ndarray], name: str
) -> list[Finding]:
    """Findings that compare a loss and, where the probe can see it, its gradient by the student's logits."""
    found = [close(criterion, observed["loss"], right[0], _("the loss, {name}").format(name=name))]
    if "gradient" not in observed:
        return found
    flows = holds(criterion, np.asarray(observed["gradient"]).size > 0, _("no gradient reaches the student's logits"))
    what = _("the gradient by the student's logits, {name}").format(name=name)
    return [*found, flows, close(criterion, observed["gradient"], right[1], what)]


def teacher_alone(criterion: str, observed: dict[str, Plain]) -> Finding:
    """The finding that nothing happens to the teacher: no gradient, no change in place."""
    return holds(criterion, not observed["touched"], _("gradients flow to the teacher, or what was given is changed"))


def probe_numpy(candidate: Any, inputs: dict[str, Plain]) -> dict[str, Plain]:
    """The loss of the inputs, in their order, and whether an array was changed in place."""
    given = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}
    loss = as_array(candidate(*given.values()))
    return {"loss": loss, "touched": any(not np.array_equal(given[name], inputs[name]) for name in inputs)}


def probe_pytorch(candidate: Any, inputs: dict[str, Plain]) -> dict[str, Plain]:
    """The loss of the inputs, in their order, and its gradients: the first two get one, where they may."""
    import torch

    given = [torch.tensor(value) if isinstance(value, np.ndarray) else value for value in inputs.values()]
    student, teacher = (tensor.requires_grad_() for tensor in given[:2])
    loss = candidate(*given)
    value = as_array(loss)
    if value.shape == () and getattr(loss, "requires_grad", False):
        loss.backward()
    touched = teacher.grad is not None and bool(teacher.grad.any())
    return {"loss": value, "gradient": as_array([] if student.grad is None else student.grad), "touched": touched}


def probe_keras(candidate: Any, inputs: dict[str, Plain]) -> dict[str, Plain]:
    """The loss of the inputs, in their order, and its gradients: the first two get one, where they may."""
    import tensorflow as tf

    given = [tf.constant(value) if isinstance(value, np.ndarray) else value for value in inputs.values()]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given[:2])
        loss = candidate(*given)
    value = as_array(loss)
    if value.shape != () or not tf.is_tensor(loss):
        return {"loss": value, "gradient": as_array([]), "touched": False}
    gradient, other = tape.gradient(loss, given[:2])
    touched = other is not None and bool(as_array(other).any())
    return {"loss": value, "gradient": as_array([] if gradient is None else gradient), "touched": touched}


PROBES = {"numpy": probe_numpy, "pytorch": probe_pytorch, "keras": probe_keras}
