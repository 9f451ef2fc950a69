"""A bottleneck adapter that starts as the identity."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
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


def mistakes(edits: dict[str, tuple[tuple[str, str], ...]]) -> dict[str, Mistake]:
    """Edits of the reference."""
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}


def cases(rng: np.random.Generator) -> list[Case]:
    """Token vectors, positive and negative; and a bottleneck that has learned."""
    dim, size = int(rng.integers(6, 9)), int(rng.integers(2, 5))
    shapes = {"down": (dim, size), "down_bias": (size,), "up": (size, dim), "up_bias": (dim,)}
    learned = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    hidden = rng.normal(size=(3, 5, dim)).astype(np.float32)
    inputs = {"dim": dim, "size": size, "hidden": hidden}
    return [
        Case("start", {**inputs, "learned": None}, ("start", "size", "learns")),
        Case("learned", {**inputs, "learned": learned}, ("output",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare outputs, and count parameters."""
    inputs, learned = case.inputs, case.inputs["learned"]
    if learned:
        inner = np.einsum("nld,ds->nls", inputs["hidden"], learned["down"]) + learned["down_bias"]
        right = inputs["hidden"] + (inner * (inner > 0)) @ learned["up"] + learned["up_bias"]
        return [close("output", observed["output"], right, _("the output"), rtol=1e-3, atol=1e-4)]
    count = 2 * inputs["dim"] * inputs["size"] + inputs["dim"] + inputs["size"]
    return [
        close("start", observed["output"], inputs["hidden"], _("the output before training")),
        close("size", observed["count"], count, _("the number of trainable values")),
        holds("learns", observed["gradient"], _("no gradient reaches the upper layer's weight at the start")),
    ]


def probe_pytorch(candidate, inputs):
    """The output, the number of parameters, and whether the upper layer can begin to learn."""
    import torch

    adapter = candidate(inputs["dim"], inputs["size"])
    if not isinstance(adapter, torch.nn.Module):
        raise NotPlain(_("a torch.nn.Module was expected"))
    if inputs["learned"]:
        new = {name: torch.tensor(array.T) for name, array in inputs["learned"].items()}
        adapter.down.load_state_dict({"weight": new["down"], "bias": new["down_bias"]})
        adapter.up.load_state_dict({"weight": new["up"], "bias": new["up_bias"]})
    output = adapter(torch.tensor(inputs["hidden"]))
    ((output - 1) ** 2).sum().backward()
    gradient = adapter.up.weight.grad
    return {
        "output": as_array(output),
        "count": sum(p.numel() for p in adapter.parameters() if p.requires_grad),
        "gradient": gradient is not None and bool(gradient.any()),
    }


def probe_keras(candidate, inputs):
    """The output, the number of parameters, and whether the upper layer can begin to learn."""
    import keras
    import tensorflow as tf

    adapter = candidate(inputs["dim"], inputs["size"])
    if not isinstance(adapter, keras.layers.Layer):
        raise NotPlain(_("a keras.layers.Layer was expected"))
    hidden = keras.ops.convert_to_tensor(inputs["hidden"])
    adapter(hidden)  # builds its layers
    if inputs["learned"]:
        new = inputs["learned"]
        adapter.down.set_weights([new["down"], new["down_bias"]])
        adapter.up.set_weights([new["up"], new["up_bias"]])
    with tf.GradientTape() as tape:
        output = adapter(hidden)
        loss = keras.ops.sum((output - 1) ** 2)
    gradient = tape.gradient(loss, adapter.up.kernel.value)
    return {
        "output": as_array(output),
        "count": sum(int(np.prod(v.shape)) for v in adapter.trainable_variables),
        "gradient": gradient is not None and bool(as_array(gradient).any()),
    }


EXERCISE = Exercise(
    id="adapter-block",
    title=_("An adapter that starts as nothing"),
    lesson="05_fine_tuning_text",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "Adapters are small bottlenecks put into a frozen encoder; only they (and the head) are trained. Write "
        "`Adapter(dim, size)`: a linear layer `down` from dim to size features, ReLU, a linear layer `up` back to dim, "
        "both with bias, and the input added to the result. Before training it must return its input exactly, and its "
        "upper layer's weight must get a gradient in the first step. Checked: output before and after training, the "
        "number of parameters, and that gradient."
    ),
    hints=(
        _("Two linear layers, an activation between them, and a plus sign. Then ask how they should start."),
        _("The input passes by the bottleneck. What must the bottleneck give at first? Which layer can see to it?"),
        _("Zero weight and bias of the upper layer, leave the lower one random; return input plus bottleneck."),
    ),
    follow_ups=(
        FollowUp(
            _("Where in a Transformer block do adapters stand, and what do they cost compared with LoRA?"),
            _(
                "Houlsby et al. put one behind the attention and one behind the feed-forward part of each block, "
                "Pfeiffer et al. (2021) only the second. They add layers in sequence that cannot be merged, so each "
                "costs some latency at inference; LoRA's update disappears into the weight."
            ),
        ),
        FollowUp(
            _("Why start as the identity, when training would find its way from a small random start as well?"),
            _(
                "Then the first loss is that of the pretrained model with a new head, and every change is one that "
                "lowers the loss. Random changes in twelve layers add up: the upper layers, which are frozen, get "
                "vectors they never saw. Small random values, as Houlsby et al. use, come close."
            ),
        ),
    ),
    criteria={
        "start": Criterion(_("returns its input exactly before training"), needs=("output",)),
        "size": Criterion(_("has the parameters of a bottleneck of this size"), needs=("output",)),
        "learns": Criterion(_("can begin to learn"), needs=("output",)),
        "output": Criterion(_("adds what the bottleneck makes of its input"), weight=2),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"parameters": PYTORCH_PARAMETERS, "sequential": PYTORCH_SEQUENTIAL},
            mistakes=mistakes(TORCH_EDITS),
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"operations": KERAS_OPS, "add": KERAS_ADD},
            mistakes=mistakes(KERAS_EDITS),
        ),
    },
)
