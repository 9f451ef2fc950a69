"""A linear layer with a low-rank update."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text import _lora_code as code
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """A layer at the start; and with factors that have learned, on features of three axes."""
    rank, features, units = int(rng.integers(3, 5)), 70, 9
    layer = {
        "kernel": rng.normal(size=(features, units)).astype(np.float32),
        "bias": rng.normal(size=units).astype(np.float32),
        "rank": rank,
        "alpha": float(rng.uniform(5, 7)),
    }
    learned = {
        "A": rng.normal(size=(features, rank)).astype(np.float32),
        "B": rng.normal(size=(rank, units)).astype(np.float32),
    }
    x = rng.normal(size=(2, 5, features)).astype(np.float32)
    return [
        Case("start", {**layer, "x": x, "learned": None}, ("start", "factors", "trainable")),
        Case("learned", {**layer, "x": x, "learned": learned}, ("output",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare outputs, starting values, and what would learn."""
    inputs = case.inputs
    base = inputs["x"].astype(np.float64) @ inputs["kernel"] + inputs["bias"]
    if inputs["learned"]:
        low = inputs["learned"]["A"].astype(np.float64) @ inputs["learned"]["B"] * inputs["alpha"] / inputs["rank"]
        return [close("output", observed["output"], base + inputs["x"] @ low, _("the output"), rtol=1e-3, atol=1e-3)]
    features, units, rank = *inputs["kernel"].shape, inputs["rank"]
    first, second = np.asarray(observed["A"]), np.asarray(observed["B"])
    shapes = _("written with features first, A and B have shapes {first} and {second}; yours have {seen} and {other}")
    shapes = shapes.format(first=(features, rank), second=(rank, units), seen=first.shape, other=second.shape)
    ratio = float(first.std() * rank)
    spread = _("the standard deviation of A at the start is {ratio:.2g} times what it should be")
    wanted = {"A": first.size, "B": second.size}
    text = _("trainable numbers: {right} were expected, yours are {seen}")
    return [
        close("start", observed["output"], base, _("the output before training"), atol=1e-4),
        holds("factors", first.shape == (features, rank) and second.shape == (rank, units), shapes),
        holds("factors", 0.75 < ratio < 1.3, spread.format(ratio=ratio)),
        holds("factors", not second.any(), _("B is not zero at the start")),
        holds("factors", observed["gradient"], _("no gradient reaches the factors: they would never learn")),
        close("trainable", observed["frozen"], inputs["kernel"].size + units, _("the number of frozen values")),
        holds(
            "trainable",
            observed["trainable"] == sum(wanted.values()),
            text.format(right=sum(wanted.values()), seen=observed["trainable"]),
        ),
    ]


def probe_pytorch(candidate, inputs):
    """Outputs, factors (features first), gradients and the count of what is trainable."""
    import torch

    linear = torch.nn.Linear(*inputs["kernel"].shape)
    linear.load_state_dict({"weight": torch.tensor(inputs["kernel"].T), "bias": torch.tensor(inputs["bias"])})
    layer = instance(candidate(linear, inputs["rank"], inputs["alpha"]), torch.nn.Module)
    if inputs["learned"]:
        with torch.no_grad():
            layer.A.copy_(torch.tensor(inputs["learned"]["A"].T))
            layer.B.copy_(torch.tensor(inputs["learned"]["B"].T))
    output = layer(torch.tensor(inputs["x"]))
    (output**2).sum().backward()
    parameters = list(layer.parameters())
    return {
        "output": as_array(output),
        "A": as_array(layer.A).T,
        "B": as_array(layer.B).T,
        "gradient": layer.B.grad is not None and bool(layer.B.grad.any()),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "frozen": sum(p.numel() for p in parameters if not p.requires_grad),
    }


def probe_keras(candidate, inputs):
    """Outputs, factors (features first), gradients and the count of what is trainable."""
    import keras
    import tensorflow as tf

    dense = keras.layers.Dense(inputs["kernel"].shape[1])
    dense.build((None, len(inputs["kernel"])))
    dense.set_weights([inputs["kernel"], inputs["bias"]])
    layer = instance(candidate(dense, inputs["rank"], inputs["alpha"]), keras.layers.Layer)
    if inputs["learned"]:
        layer.A.assign(inputs["learned"]["A"])
        layer.B.assign(inputs["learned"]["B"])
    with tf.GradientTape() as tape:
        output = layer(keras.ops.convert_to_tensor(inputs["x"]))
        loss = keras.ops.sum(output**2)
    gradient = tape.gradient(loss, layer.B.value)
    return {
        "output": as_array(output),
        "A": as_array(layer.A),
        "B": as_array(layer.B),
        "gradient": gradient is not None and bool(as_array(gradient).any()),
        "trainable": sum(int(np.prod(v.shape)) for v in layer.trainable_variables),
        "frozen": sum(int(np.prod(v.shape)) for v in layer.non_trainable_variables),
    }


EXERCISE = Exercise(
    id="lora-linear",
    title=_("A layer with a low-rank update"),
    lesson="05_fine_tuning_text",
    minutes=15,
    difficulty=4,
    points=5,
    statement=_(
        "Write the layer `LoRALinear`: a pretrained linear layer, frozen, plus an update of low rank. Its output is "
        "the layer's own plus alpha / rank times what the factors A and B make of the features. At the start A is "
        "normal with standard deviation 1 / rank and B is zero, so that nothing changes before training. Only A and B "
        "are trainable. Names and shapes are in the docstrings. Checked: outputs before and after training, starting "
        "values, and what is trainable."
    ),
    hints=(
        _("The wrapped layer does most of the work: call it as it is, and add something to its result."),
        _("First down to `rank` features with A, then up to K with B. What must be 0 for the sum to change nothing?"),
        _(
            "Freeze the layer; make A with random numbers divided by rank and B with zeros, registered as parameters; "
            "return layer(x) plus alpha / rank times x, A and B multiplied in this order."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the update divided by the rank?"),
            _(
                "A sum over more rank-one terms is larger, so without it every rank would want another learning rate. "
                "With alpha / rank the rank can be varied at the same rate; rsLoRA argues for the square root of the "
                "rank, since alpha / rank makes large ranks learn too slowly."
            ),
        ),
        FollowUp(
            _("LoRA trains under 1 % of the parameters. Does training need 1 % of the time and memory?"),
            _(
                "No. Gradients and Adam's two averages exist for the factors only, which saves most of that memory. "
                "The forward pass, the activations and the backward pass through all layers remain, so a step "
                "is only a little faster (25 % on GPT-3 in the paper)."
            ),
        ),
    ),
    criteria={
        "start": Criterion(_("computes what the pretrained layer does before training")),
        "factors": Criterion(_("starts from a random A and a zero B that can learn"), needs=("start",)),
        "trainable": Criterion(_("trains the factors and nothing else"), needs=("start",)),
        "output": Criterion(_("adds alpha / rank times the low-rank update"), weight=2),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"functional": code.PYTORCH_FUNCTIONAL, "merged": code.PYTORCH_MERGED},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"variables": code.KERAS_BUILD, "merged": code.KERAS_MERGED},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "For each row of features O(D·K) time for the frozen layer and O(rank·(D + K)) for the update, provided B A is "
        "never multiplied out. Gradients and optimiser state are kept for rank·(D + K) weights, not for D·K."
    ),
)
