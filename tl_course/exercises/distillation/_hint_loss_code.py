"""The code of the exercise on hints: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


class HintLoss(nn.Module):
    """How far a student's features, projected, are from its teacher's (Romero et al., 2015)."""

    def __init__(self, student_dim: int, teacher_dim: int) -> None:
        """Make the linear layer `self.projector`, from student_dim to teacher_dim features, with bias."""
        super().__init__()  # first of all: parameters register with it
        self.projector = nn.Linear(student_dim, teacher_dim)

    def forward(self, student_features: torch.Tensor, teacher_features: torch.Tensor) -> torch.Tensor:
        """The mean squared difference over all elements, a scalar, for features (N, student_dim), (N, teacher_dim)."""
        difference = self.projector(student_features) - teacher_features.detach()
        return (difference**2).mean()
'''

PYTORCH_MODULE = """
import torch
from torch import nn


class HintLoss(nn.Module):
    def __init__(self, student_dim, teacher_dim):
        super().__init__()
        self.projector = nn.LazyLinear(teacher_dim)
        self.projector(torch.zeros(1, student_dim))
        self.distance = nn.MSELoss()

    def forward(self, student_features, teacher_features):
        with torch.no_grad():
            target = teacher_features.clone()
        return self.distance(self.projector(student_features), target)
"""

PYTORCH_BY_HAND = """
import torch
import torch.nn.functional as F
from torch import nn


class HintLoss(nn.Module):
    def __init__(self, student_dim, teacher_dim):
        super().__init__()
        self.add_module("projector", nn.Linear(in_features=student_dim, out_features=teacher_dim, bias=True))

    def forward(self, student_features, teacher_features):
        projected = F.linear(student_features, self.projector.weight, self.projector.bias)
        total = projected.sub(teacher_features.data).square().sum()
        return total / projected.numel()
"""

KERAS = '''
import keras
from keras import layers, ops


class HintLoss(layers.Layer):
    """How far a student's features, projected, are from its teacher's (Romero et al., 2015)."""

    def __init__(self, student_dim: int, teacher_dim: int) -> None:
        """Make the Dense layer `self.projector`, from student_dim to teacher_dim features, with bias."""
        super().__init__()  # first of all: layers register with it
        self.projector = layers.Dense(teacher_dim, name="projector")

    def call(self, student_features, teacher_features):
        """The mean squared difference over all elements, a scalar, for features (N, student_dim), (N, teacher_dim)."""
        difference = self.projector(student_features) - ops.stop_gradient(teacher_features)
        return ops.mean(difference**2)
'''

KERAS_LOSS = """
import keras
from keras import layers, ops


class HintLoss(keras.Layer):
    def __init__(self, student_dim, teacher_dim):
        super().__init__()
        self.projector = layers.Dense(teacher_dim, activation="linear", name="projector")
        self.projector.build((None, student_dim))
        self.distance = keras.losses.MeanSquaredError()

    def call(self, student_features, teacher_features):
        return self.distance(ops.stop_gradient(teacher_features), self.projector(student_features))
"""

KERAS_BY_HAND = """
import tensorflow as tf
from keras import layers


class HintLoss(layers.Layer):
    def __init__(self, student_dim, teacher_dim, **kwargs):
        super().__init__(**kwargs)
        self.projector = layers.Dense(teacher_dim, name="projector")
        self.projector.build((None, student_dim))

    def call(self, student_features, teacher_features):
        projected = tf.matmul(student_features, self.projector.kernel) + self.projector.bias
        gap = tf.math.squared_difference(projected, tf.stop_gradient(teacher_features))
        return tf.reduce_sum(gap) / tf.cast(tf.size(gap), gap.dtype)
"""

MESSAGES = {
    "teacher-learns": _("gradients flow to the teacher: it would come to meet the student"),
    "student-detached": _("the student is taken for a constant: only the projector learns"),
    "projector-frozen": _("the projector is not trained: the student must follow a random direction of it"),
    "teacher-projected": _(
        "the teacher is projected to the student's width: a target that is trained along can vanish"
    ),
    "summed": _("the squares are added up, so the loss grows with batch and width"),
    "sum-over-features": _("only the examples are averaged; the features are added up"),
    "absolute": _("absolute differences are taken, not squared ones"),
    "distance": _("the root is taken: this is a distance, not a mean of squares"),
    "activation": _("an activation stands behind the projector: what is negative in the teacher is out of reach"),
    "cosine": _("only directions are compared; how long the vectors are plays no part"),
}
MEAN = {"pytorch": "(difference**2).mean()", "keras": "ops.mean(difference**2)"}
OTHER = {
    "pytorch": {
        "summed": "(difference**2).sum()",
        "sum-over-features": "(difference**2).sum(dim=1).mean()",
        "absolute": "difference.abs().mean()",
        "distance": "(difference**2).mean().sqrt()",
        "cosine": "1 - nn.functional.cosine_similarity(self.projector(student_features), teacher_features.data).mean()",
    },
    "keras": {
        "summed": "ops.sum(difference**2)",
        "sum-over-features": "ops.mean(ops.sum(difference**2, axis=1))",
        "absolute": "ops.mean(ops.abs(difference))",
        "distance": "ops.sqrt(ops.mean(difference**2))",
        "cosine": "1 + ops.mean(keras.losses.cosine_similarity(ops.stop_gradient(teacher_features), "
        "self.projector(student_features)))",
    },
}
TARGET = {"pytorch": "teacher_features.detach()", "keras": "ops.stop_gradient(teacher_features)"}
PROJECTED = "self.projector(student_features)"
DETACHED = {
    "pytorch": "self.projector(student_features.detach())",
    "keras": "self.projector(ops.stop_gradient(student_features))",
}
LAYER = {"pytorch": "nn.Linear(student_dim, teacher_dim)", "keras": 'layers.Dense(teacher_dim, name="projector")'}
FROZEN = {
    "pytorch": LAYER["pytorch"] + ".requires_grad_(False)",
    "keras": 'layers.Dense(teacher_dim, name="projector", trainable=False)',
}
OTHER_WAY = {"pytorch": "nn.Linear(teacher_dim, student_dim)", "keras": 'layers.Dense(student_dim, name="projector")'}
ACTIVATED = {"pytorch": f"torch.relu({PROJECTED})", "keras": f"ops.relu({PROJECTED})"}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    target, layer = TARGET[framework], LAYER[framework]
    projected = f"{PROJECTED} - {target}"
    edits = {
        "teacher-learns": ((target, "teacher_features"),),
        "student-detached": ((PROJECTED, DETACHED[framework]),),
        "projector-frozen": ((layer, FROZEN[framework]),),
        "teacher-projected": (
            (layer, OTHER_WAY[framework]),
            (projected, f"student_features - self.projector({target})"),
        ),
        "activation": ((PROJECTED, ACTIVATED[framework]),),
        **{name: ((MEAN[framework], new),) for name, new in OTHER[framework].items()},
    }
    return {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
