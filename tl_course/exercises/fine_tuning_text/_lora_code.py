"""The code of the exercise on a LoRA layer: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable update of low rank: W x + b + (alpha / rank) B A x (Hu et al., 2021)."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        """Wrap a layer, so that at first it computes just what it did.

        Args:
            linear: the pretrained layer, D features to K; it is kept as `self.linear` and frozen.
            rank: of the update. `self.A` (rank, D) starts from a normal distribution with standard deviation 1 / rank,
                `self.B` (K, rank) at zero; both are trainable parameters.
            alpha: the update is multiplied by alpha / rank.
        """
        super().__init__()  # first of all: parameters register with it
        self.linear = linear.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(rank, linear.in_features) / rank)
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer's output, shape (..., K), for features x, shape (..., D)."""
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)
'''

PYTORCH_FUNCTIONAL = """
import torch
import torch.nn.functional as F


class LoRALinear(torch.nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear, self.rank, self.alpha = linear, rank, alpha
        for parameter in linear.parameters():
            parameter.requires_grad = False
        self.A = torch.nn.Parameter(torch.empty(rank, linear.in_features).normal_(std=1 / rank))
        self.B = torch.nn.Parameter(linear.weight.new_zeros(len(linear.weight), rank))

    def forward(self, x):
        low = F.linear(x, self.A) * (self.alpha / self.rank)
        return F.linear(x, self.linear.weight, self.linear.bias) + F.linear(low, self.B)
"""

PYTORCH_MERGED = """
import torch
from torch import nn


class LoRALinear(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear
        linear.weight.requires_grad_(False)
        if linear.bias is not None:
            linear.bias.requires_grad_(False)
        self.A = nn.Parameter(torch.normal(0.0, 1.0 / rank, size=(rank, linear.weight.shape[1])))
        self.B = nn.Parameter(torch.zeros(linear.weight.shape[0], rank))
        self.factor = alpha / rank

    def forward(self, x):
        weight = self.linear.weight + self.factor * torch.einsum("kr,rd->kd", self.B, self.A)
        return nn.functional.linear(x, weight, self.linear.bias)
"""

KERAS = '''
import keras
from keras import ops


class LoRALinear(keras.layers.Layer):
    """A frozen Dense layer with a trainable update of low rank: x W + b + (alpha / rank) x A B (Hu et al., 2021)."""

    def __init__(self, dense: keras.layers.Dense, rank: int, alpha: float) -> None:
        """Wrap a layer, so that at first it computes just what it did.

        Args:
            dense: the pretrained layer, built, linear, D features to K; it is kept as `self.dense` and frozen.
            rank: of the update. `self.A` (D, rank) starts from a normal distribution with standard deviation 1 / rank,
                `self.B` (rank, K) at zero; both are trainable weights.
            alpha: the update is multiplied by alpha / rank.
        """
        super().__init__()  # first of all: parameters register with it
        self.dense = dense
        self.dense.trainable = False
        features, units = dense.kernel.shape
        self.A = self.add_weight(shape=(features, rank), initializer=keras.initializers.RandomNormal(stddev=1 / rank))
        self.B = self.add_weight(shape=(rank, units), initializer="zeros")
        self.scale = alpha / rank

    def call(self, x):
        """The layer's output, shape (..., K), for features x, shape (..., D)."""
        return self.dense(x) + self.scale * ops.matmul(ops.matmul(x, self.A), self.B)
'''

KERAS_BUILD = """
import keras


class LoRALinear(keras.layers.Layer):
    def __init__(self, dense, rank, alpha):
        super().__init__(name="lora")
        dense.trainable = False
        self.dense, self.rank, self.factor = dense, rank, alpha / rank
        start = keras.random.normal((dense.kernel.shape[0], rank), stddev=1 / rank)
        self.A = keras.Variable(start, name="A")
        self.B = keras.Variable(keras.ops.zeros((rank, dense.units)), name="B")

    def call(self, x):
        low = (x @ self.A) * self.factor
        return low @ self.B + self.dense(x)
"""

KERAS_MERGED = """
import keras
from keras import ops


class LoRALinear(keras.layers.Layer):
    def __init__(self, dense, rank, alpha):
        super().__init__()
        self.dense, self.rank, self.alpha = dense, rank, alpha
        for layer in (dense,):
            layer.trainable = False
        count, units = ops.shape(dense.kernel)
        self.A = self.add_weight(name="A", shape=(count, rank), initializer="random_normal")
        self.A.assign(keras.random.normal((count, rank)) / rank)
        self.B = self.add_weight(name="B", shape=(rank, units), initializer="zeros")

    def call(self, x):
        kernel = self.dense.kernel + ops.einsum("dr,rk->dk", self.A, self.B) * (self.alpha / self.rank)
        result = ops.dot(x, kernel)
        return result if self.dense.bias is None else result + self.dense.bias
"""

MESSAGES = {
    "both-zero": _("both factors are zero at the start: neither gets a gradient, and the update stays zero for ever"),
    "both-random": _("both factors are random at the start, so the wrapped layer is not the pretrained one any more"),
    "no-scale": _("alpha is ignored: another alpha should give another strength of the same factors"),
    "scale-without-rank": _("the update is multiplied by alpha alone, so a larger rank would need another alpha"),
    "base-trainable": _("the pretrained layer goes on learning: there is more to train than before, not less"),
    "bias-trainable": _("the pretrained bias goes on learning; the layer was to be frozen as a whole"),
    "update-alone": _("the pretrained layer's own output is missing"),
    "bias-lost": _("the pretrained layer's bias is left out"),
    "nonlinear": _(
        "something non-linear stands between the factors, so the update could not be merged into the weight"
    ),
    "A-zero": _("the roles of the factors are exchanged: here A was to be random and B zero"),
    "not-registered": _("the factors are no parameters of the module: an optimiser would never see them"),
}
TORCH_A, TORCH_B = "torch.randn(rank, linear.in_features) / rank", "torch.zeros(linear.out_features, rank)"
UPDATE = "self.scale * (x @ self.A.T @ self.B.T)"
TORCH_EDITS = {
    "both-zero": ((TORCH_A, "torch.zeros(rank, linear.in_features)"),),
    "both-random": ((TORCH_B, "torch.randn(linear.out_features, rank)"),),
    "A-zero": (
        (TORCH_A, "torch.zeros(rank, linear.in_features)"),
        (TORCH_B, "torch.randn(linear.out_features, rank) / rank"),
    ),
    "no-scale": (("alpha / rank\n\n", "1.0\n\n"),),
    "scale-without-rank": (("alpha / rank\n\n", "alpha\n\n"),),
    "base-trainable": (("linear.requires_grad_(False)", "linear"),),
    "bias-trainable": (
        ("linear.requires_grad_(False)", "linear"),
        ("        self.A =", "        linear.weight.requires_grad_(False)\n        self.A ="),
    ),
    "update-alone": (("self.linear(x) + ", ""),),
    "bias-lost": (("self.linear(x) +", "x @ self.linear.weight.T +"),),
    "nonlinear": (("x @ self.A.T @ self.B.T", "torch.relu(x @ self.A.T) @ self.B.T"),),
    "not-registered": (
        (f"nn.Parameter({TORCH_A})", f"({TORCH_A}).requires_grad_()"),
        (f"nn.Parameter({TORCH_B})", f"({TORCH_B}).requires_grad_()"),
    ),
}
KERAS_A = "keras.initializers.RandomNormal(stddev=1 / rank)"
KERAS_B = 'shape=(rank, units), initializer="zeros"'
KERAS_EDITS = {
    "both-zero": ((KERAS_A, '"zeros"'),),
    "both-random": ((KERAS_B, 'shape=(rank, units), initializer="random_normal"'),),
    "A-zero": ((KERAS_A, '"zeros"'), (KERAS_B, KERAS_B.replace("zeros", "glorot_normal"))),
    "no-scale": (("alpha / rank\n\n", "1.0\n\n"),),
    "scale-without-rank": (("alpha / rank\n\n", "alpha\n\n"),),
    "base-trainable": (("        self.dense.trainable = False\n", ""),),
    "update-alone": (("self.dense(x) + ", ""),),
    "bias-lost": (("self.dense(x) +", "ops.matmul(x, self.dense.kernel) +"),),
    "nonlinear": (("ops.matmul(x, self.A)", "ops.relu(ops.matmul(x, self.A))"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
