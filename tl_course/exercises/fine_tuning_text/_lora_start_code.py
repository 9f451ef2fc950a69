"""The code of the exercise on how LoRA starts and is merged: references, starters, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import torch
from torch import nn


class LowRankUpdate(nn.Module):
    """A trainable update of rank `rank` beside a frozen weight, alpha / rank times up @ down. It starts at zero."""

    def __init__(self, in_features: int, out_features: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.down = nn.Parameter(nn.init.xavier_normal_(torch.zeros(rank, in_features)))
        self.up = nn.Parameter(torch.zeros(out_features, rank))
        self.strength = alpha / rank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What is added to the frozen layer's output: (N, out_features) for features x (N, in_features)."""
        low = nn.functional.linear(x, self.down)
        return self.strength * nn.functional.linear(low, self.up)

    def merged(self, weight: torch.Tensor) -> torch.Tensor:
        """A new weight that computes what frozen layer and update do together; shape (out_features, in_features)."""
        return weight + self.strength * (self.up @ self.down)
'''

TORCH_INIT = "nn.init.xavier_normal_(torch.zeros(rank, in_features))"
TORCH_MERGE = "weight + self.strength * (self.up @ self.down)"
PYTORCH_STARTER = PYTORCH.replace(TORCH_INIT, "torch.zeros(rank, in_features)").replace(
    TORCH_MERGE, "weight + self.up @ self.down"
)

PYTORCH_UP_RANDOM = """
import torch
from torch import nn


class LowRankUpdate(nn.Module):
    def __init__(self, in_features, out_features, rank, alpha):
        super().__init__()
        self.rank, self.alpha = rank, alpha
        self.down = nn.Parameter(torch.zeros(rank, in_features))
        self.up = nn.Parameter(torch.randn(out_features, rank) * 0.5)

    def forward(self, x):
        return self.alpha / self.rank * (x @ self.down.T @ self.up.T)

    def merged(self, weight):
        with torch.no_grad():
            return torch.addmm(weight, self.up, self.down, alpha=self.alpha / self.rank)
"""

PYTORCH_BY_FORWARD = """
import torch
from torch import nn


class LowRankUpdate(nn.Module):
    def __init__(self, in_features, out_features, rank, alpha):
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, in_features).uniform_(-0.7, 0.7))
        self.up = nn.Parameter(torch.zeros(out_features, rank))
        self.register_buffer("strength", torch.tensor(alpha / rank))

    def forward(self, x):
        return torch.einsum("nd,rd,kr->nk", x, self.down, self.up * self.strength)

    def merged(self, weight):
        return weight.clone() + self.forward(torch.eye(weight.shape[1])).T
"""

KERAS = '''
import keras
from keras import ops


class LowRankUpdate(keras.layers.Layer):
    """A trainable update of rank `rank` beside a frozen kernel, alpha / rank times down @ up. It starts at zero."""

    def __init__(self, in_features: int, out_features: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.down = self.add_weight(shape=(in_features, rank), initializer="glorot_normal")
        self.up = self.add_weight(shape=(rank, out_features), initializer="zeros")
        self.strength = alpha / rank

    def call(self, x):
        """What is added to the frozen layer's output: (N, out_features) for features x (N, in_features)."""
        low = ops.matmul(x, self.down)
        return self.strength * ops.matmul(low, self.up)

    def merged(self, kernel):
        """A new kernel that computes what frozen layer and update do together; shape (in_features, out_features)."""
        return kernel + self.strength * ops.matmul(self.down, self.up)
'''

KERAS_INIT, KERAS_MERGE = '"glorot_normal"', "kernel + self.strength * ops.matmul(self.down, self.up)"
KERAS_STARTER = KERAS.replace(KERAS_INIT, '"zeros"').replace(KERAS_MERGE, "kernel + ops.matmul(self.down, self.up)")

KERAS_UP_RANDOM = """
import keras
from keras import ops


class LowRankUpdate(keras.layers.Layer):
    def __init__(self, in_features, out_features, rank, alpha):
        super().__init__()
        self.rank, self.alpha = rank, alpha
        self.down = self.add_weight(shape=(in_features, rank), initializer="zeros", name="down")
        self.up = self.add_weight(shape=(rank, out_features), initializer="he_normal", name="up")

    def call(self, x):
        return self.alpha / self.rank * (x @ self.down @ self.up)

    def merged(self, kernel):
        return ops.convert_to_tensor(kernel) + ops.einsum("dr,rk->dk", self.down, self.up) * self.alpha / self.rank
"""

KERAS_BY_CALL = """
import keras
from keras import ops


class LowRankUpdate(keras.layers.Layer):
    def __init__(self, in_features, out_features, rank, alpha):
        super().__init__()
        self.down = keras.Variable(keras.random.uniform((in_features, rank), -0.7, 0.7))
        self.up = keras.Variable(ops.zeros((rank, out_features)))
        self.strength = alpha / rank

    def call(self, x):
        return ops.dot(ops.dot(x, self.down) * self.strength, self.up)

    def merged(self, kernel):
        return self.call(ops.eye(self.down.shape[0])) + kernel
"""

MESSAGES = {
    "both-faults": _(
        "each factor's gradient is a product with the other factor, and both are zero: nothing is ever learned"
    ),
    "zero-left": _("the merge is right now, but each factor waits for the other one: nothing is ever learned"),
    "merge-left": _("it learns now, but the merged weight takes the update in another strength than training did"),
    "both-random": _("the update is not zero at the start, so training begins from a disturbed model"),
    "ones": _("all rows start alike, get equal gradients and stay alike: whatever the rank, the update has rank one"),
    "scale-gone": _("the two agree, but only because alpha / rank is now left out of training as well"),
    "scaled-twice": _("the update is multiplied by alpha / rank twice when it is merged"),
    "in-place": _("the frozen weight given is changed, so merging again adds the update again"),
    "update-only": _("the merged weight is the update alone: what was pretrained is gone"),
}
TORCH_EDITS = {
    "zero-left": ((TORCH_INIT, "torch.zeros(rank, in_features)"),),
    "merge-left": ((TORCH_MERGE, "weight + self.up @ self.down"),),
    "both-random": (("torch.zeros(out_features, rank)", "torch.randn(out_features, rank)"),),
    "ones": ((TORCH_INIT, "torch.ones(rank, in_features)"),),
    "scale-gone": (("strength = alpha / rank", "strength = 1.0"),),
    "scaled-twice": ((TORCH_MERGE, "weight + self.strength**2 * (self.up @ self.down)"),),
    "in-place": ((TORCH_MERGE, "weight.add_(self.strength * (self.up @ self.down).detach())"),),
    "update-only": ((TORCH_MERGE, TORCH_MERGE.removeprefix("weight + ")),),
}
KERAS_EDITS = {
    "zero-left": ((KERAS_INIT, '"zeros"'),),
    "merge-left": ((KERAS_MERGE, "kernel + ops.matmul(self.down, self.up)"),),
    "both-random": (('(rank, out_features), initializer="zeros"', "(rank, out_features)"),),
    "ones": ((KERAS_INIT, '"ones"'),),
    "scale-gone": (("strength = alpha / rank", "strength = 1.0"),),
    "scaled-twice": ((KERAS_MERGE, "kernel + self.strength**2 * ops.matmul(self.down, self.up)"),),
    "in-place": ((KERAS_MERGE, "kernel.assign_add(self.strength * ops.matmul(self.down, self.up))"),),
    "update-only": ((KERAS_MERGE, KERAS_MERGE.removeprefix("kernel + ")),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    starter = {"pytorch": PYTORCH_STARTER, "keras": KERAS_STARTER}[framework]
    found = {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
    return {"both-faults": Mistake(MESSAGES["both-faults"], source=starter), **found}
