"""The code of the exercise on an adapter: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


class Adapter(nn.Module):
    """A bottleneck with a residual connection, put behind a frozen layer (Houlsby et al., 2019)."""

    def __init__(self, dim: int, size: int) -> None:
        """Make an adapter that at first changes nothing.

        Args:
            dim: features of a token vector.
            size: of the bottleneck: `self.down` is an nn.Linear from dim to size, `self.up` one from size to dim, both
                with bias.
        """
        super().__init__()  # first of all: parameters register with it
        self.down = nn.Linear(dim, size)
        self.up = nn.Linear(size, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Token vectors plus what the bottleneck, with ReLU between its layers, makes of them; shape (N, L, dim)."""
        return hidden + self.up(torch.relu(self.down(hidden)))
'''

PYTORCH_PARAMETERS = """
import torch
import torch.nn.functional as F
from torch import nn


class Adapter(nn.Module):
    def __init__(self, dim, size):
        super().__init__()
        self.down, self.up = nn.Linear(dim, size), nn.Linear(size, dim)
        with torch.no_grad():
            self.down.weight.normal_(std=0.02)
            for parameter in self.up.parameters():
                parameter.fill_(0)

    def forward(self, hidden):
        inner = F.linear(hidden, self.down.weight, self.down.bias).clamp(min=0)
        return F.linear(inner, self.up.weight, self.up.bias).add(hidden)
"""

PYTORCH_SEQUENTIAL = """
from torch import nn


class Adapter(nn.Module):
    def __init__(self, dim, size):
        super().__init__()
        self.bottleneck = nn.Sequential(nn.Linear(dim, size), nn.ReLU(), nn.Linear(size, dim))
        for name, parameter in self.bottleneck[2].named_parameters():
            parameter.data = parameter.data * 0

    @property
    def down(self):
        return self.bottleneck[0]

    @property
    def up(self):
        return self.bottleneck[2]

    def forward(self, hidden):
        change = self.bottleneck(hidden)
        return hidden + change
"""

KERAS = '''
import keras
from keras import layers


class Adapter(layers.Layer):
    """A bottleneck with a residual connection, put behind a frozen layer (Houlsby et al., 2019)."""

    def __init__(self, dim: int, size: int) -> None:
        """Make an adapter that at first changes nothing.

        Args:
            dim: features of a token vector.
            size: of the bottleneck: `self.down` is a Dense layer from dim to size, `self.up` one from size to dim,
                both with bias.
        """
        super().__init__()  # first of all: parameters register with it
        self.down = layers.Dense(size, activation="relu")
        self.up = layers.Dense(dim, kernel_initializer="zeros")

    def call(self, hidden):
        """Token vectors plus what the bottleneck, with ReLU between its layers, makes of them; shape (N, L, dim)."""
        return hidden + self.up(self.down(hidden))
'''

KERAS_OPS = """
import keras
from keras import layers, ops


class Adapter(keras.Layer):
    def __init__(self, dim, size):
        super().__init__()
        self.down, self.up = layers.Dense(size), layers.Dense(dim)
        self.down.build((None, None, dim))
        self.up.build((None, None, size))
        for weight in self.up.weights:
            weight.assign(ops.zeros_like(weight))

    def call(self, hidden):
        inner = ops.maximum(ops.matmul(hidden, self.down.kernel) + self.down.bias, 0.0)
        return self.up(inner) + hidden
"""

KERAS_ADD = """
import keras
from keras import layers


class Adapter(layers.Layer):
    def __init__(self, dim, size):
        super().__init__()
        self.down = layers.Dense(size, kernel_initializer="he_normal")
        self.act = layers.ReLU()
        self.up = layers.Dense(dim, kernel_initializer=keras.initializers.Constant(0.0))
        self.add = layers.Add()

    def call(self, hidden):
        result = hidden
        for layer in (self.down, self.act, self.up):
            result = layer(result)
        return self.add([hidden, result])
"""

MESSAGES = {
    "no-residual": _("the token vectors themselves are missing: at the start everything is lost in the bottleneck"),
    "no-activation": _("between the two layers nothing non-linear happens: together they are one linear layer"),
    "random-start": _("the adapter changes its input from the first step: the frozen layers above get strange vectors"),
    "all-zero": _("both layers start at zero: no gradient reaches a weight, and only a bias learns"),
    "activation-last": _("the activation stands behind the upper layer, so the adapter can only add"),
    "activation-over-sum": _("the activation runs over the sum, and what is negative in the token vectors is lost"),
    "no-bottleneck": _("both layers keep all features: this many new parameters were to be avoided"),
    "scaled-residual": _("input and change are averaged; the input should pass as it is"),
}
ZEROS = "        nn.init.zeros_(self.up.weight)\n        nn.init.zeros_(self.up.bias)\n"
TORCH_SUM = "hidden + self.up(torch.relu(self.down(hidden)))"
TORCH_EDITS = {
    "no-residual": ((TORCH_SUM, TORCH_SUM.removeprefix("hidden + ")),),
    "no-activation": ((TORCH_SUM, "hidden + self.up(self.down(hidden))"),),
    "random-start": ((ZEROS, ""),),
    "all-zero": ((ZEROS, "        for parameter in self.parameters():\n            nn.init.zeros_(parameter)\n"),),
    "activation-last": ((TORCH_SUM, "hidden + torch.relu(self.up(self.down(hidden)))"),),
    "activation-over-sum": ((TORCH_SUM, f"torch.relu({TORCH_SUM})"),),
    "no-bottleneck": (("nn.Linear(dim, size)", "nn.Linear(dim, dim)"), ("nn.Linear(size, dim)", "nn.Linear(dim, dim)")),
    "scaled-residual": ((TORCH_SUM, f"({TORCH_SUM}) / 2"),),
}
KERAS_SUM, RELU, ZERO = "hidden + self.up(self.down(hidden))", ', activation="relu"', ', kernel_initializer="zeros"'
KERAS_EDITS = {
    "no-residual": ((KERAS_SUM, "self.up(self.down(hidden))"),),
    "no-activation": ((RELU, ""),),
    "random-start": ((ZERO, ""),),
    "all-zero": ((RELU, RELU + ZERO),),
    "activation-last": ((RELU, ""), (ZERO, ZERO + RELU)),
    "activation-over-sum": ((KERAS_SUM, f"keras.ops.relu({KERAS_SUM})"),),
    "no-bottleneck": (("layers.Dense(size,", "layers.Dense(dim,"),),
    "scaled-residual": ((KERAS_SUM, f"({KERAS_SUM}) / 2"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
