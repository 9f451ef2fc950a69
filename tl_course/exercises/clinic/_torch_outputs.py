"""Tiny classifiers with the interface of Hugging Face's, and their training calculated in NumPy (PyTorch)."""

from collections.abc import Callable

import numpy as np

from tl_course.exercises.engine.exercise import Plain
from tl_course.exercises.fine_tuning_text._tiny_encoder import softmax

Weights = dict[str, np.ndarray]


def draw_linear(rng: np.random.Generator, width: int, classes: int) -> Weights:
    """A kernel (D, K) and a bias (K,)."""
    return {"kernel": rng.normal(size=(width, classes)), "bias": rng.normal(size=classes)}


def distilled(
    student: Weights, teacher: Weights, batches: list[dict[str, np.ndarray]], lr: float, t: float, share: float
) -> tuple[Weights, list[float]]:
    """A linear student after one Adam step per batch, and the loss of each step.

    Args:
        student, teacher: see `draw_linear`.
        batches: "x" (N, D) and "labels" (N,).
        lr: learning rate.
        t: temperature.
        share: of the teacher's part of the loss.
    """
    now = {name: array.astype(np.float64) for name, array in student.items()}
    first, second = ({name: np.zeros(array.shape) for name, array in now.items()} for _moment in range(2))
    losses = []
    for step, batch in enumerate(batches, start=1):
        x, rows = batch["x"].astype(np.float64), np.arange(len(batch["labels"]))
        logits = x @ now["kernel"] + now["bias"]
        p, q = softmax((x @ teacher["kernel"] + teacher["bias"]) / t), softmax(logits / t)
        hard = softmax(logits)
        soft_loss = t**2 * (p * np.log(p / q)).sum(axis=1).mean()
        losses.append(share * soft_loss - (1 - share) * np.log(hard[rows, batch["labels"]]).mean())
        hard[rows, batch["labels"]] -= 1
        error = (share * t * (q - p) + (1 - share) * hard) / len(x)
        for name, gradient in (("kernel", x.T @ error), ("bias", error.sum(axis=0))):
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            root = np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8
            now[name] = now[name] - lr * first[name] / (1 - 0.9**step) / root
    return now, losses


def torch_classifier(weights: Weights, who: str, note: Callable[[dict[str, Plain]], None], dropout: float = 0.0):
    """A linear classifier that is called with x and labels, gives `.logits` and `.loss`, and notes its calls."""
    from types import SimpleNamespace

    import torch
    from torch import nn

    class Classifier(nn.Module):
        """Dropout on the inputs, and one linear layer."""

        def __init__(self) -> None:
            super().__init__()
            self.dropout = nn.Dropout(dropout)
            self.linear = nn.Linear(*weights["kernel"].shape)

        def to(self, *args, **kwargs):
            """Notes the move."""
            note({"event": "to", "who": who, "device": str(kwargs.get("device", args[0] if args else ""))})
            return super().to(*args, **kwargs)

        def forward(self, x, labels=None):
            """Logits (N, K), and the mean cross-entropy where labels are given."""
            note({"event": "call", "who": who, "training": self.dropout.training, "rows": len(x)})
            logits = self.linear(self.dropout(x))
            loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
            return SimpleNamespace(logits=logits, loss=loss)

    model = Classifier()
    kernel, bias = (torch.tensor(weights[name], dtype=torch.float32) for name in ("kernel", "bias"))
    model.linear.load_state_dict({"weight": kernel.T, "bias": bias})
    return model


def moves(note: Callable[[dict[str, Plain]], None]):
    """A context in which every move of a whole tensor of integers or of several rows to a device is noted."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Moves(TorchFunctionMode):
        """Notes calls of `Tensor.to`."""

        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.to and not isinstance(args[0], torch.nn.Parameter):
                note({"event": "moved", "whole": args[0].dtype == torch.int64, "rows": len(args[0])})
            return func(*args, **(kwargs or {}))

    return Moves()
