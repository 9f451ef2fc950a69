"""A bottleneck adapter that starts as the identity."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text import _adapter_code as code
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance
from tl_course.i18n import _

LARGE = 100.0  # token vectors so large that no unit of the bottleneck is silent because of its bias


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

    adapter = instance(candidate(inputs["dim"], inputs["size"]), torch.nn.Module)
    if inputs["learned"]:
        new = {name: torch.tensor(array.T) for name, array in inputs["learned"].items()}
        adapter.down.load_state_dict({"weight": new["down"], "bias": new["down_bias"]})
        adapter.up.load_state_dict({"weight": new["up"], "bias": new["up_bias"]})
    output = adapter(torch.tensor(inputs["hidden"]))
    adapter(torch.tensor(LARGE * inputs["hidden"])).sum().backward()
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

    adapter = instance(candidate(inputs["dim"], inputs["size"]), keras.layers.Layer)
    hidden = keras.ops.convert_to_tensor(inputs["hidden"])
    adapter(hidden)  # builds its layers
    if inputs["learned"]:
        new = inputs["learned"]
        _fill(adapter.down, new["down"], new["down_bias"])
        _fill(adapter.up, new["up"], new["up_bias"])
    with tf.GradientTape() as tape:
        loss = keras.ops.sum(adapter(LARGE * hidden))
    gradient = tape.gradient(loss, adapter.up.kernel.value)
    return {
        "output": as_array(adapter(hidden)),
        "count": sum(int(np.prod(v.shape)) for v in adapter.trainable_variables),
        "gradient": gradient is not None and bool(as_array(gradient).any()),
    }


def _fill(layer, kernel, bias):
    """Like set_weights, whose message holds Keras's running number of the layer and so differs between processes."""
    for variable, value in zip(layer.weights, (kernel, bias), strict=True):
        if tuple(variable.shape) != value.shape:
            raise ValueError(f"expected weights of shape {value.shape}, yours have {tuple(variable.shape)}")
        variable.assign(value)


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
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"parameters": code.PYTORCH_PARAMETERS, "sequential": code.PYTORCH_SEQUENTIAL},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"operations": code.KERAS_OPS, "add": code.KERAS_ADD},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(N·L·dim·size) time, 2·dim·size weights and dim + size biases. Only these need optimiser state, but the "
        "backward pass runs through all frozen layers above the lowest adapter: it saves memory rather than time."
    ),
)
