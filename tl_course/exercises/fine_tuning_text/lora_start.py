"""Find the faults: a LoRA that never learns, and one that is another model once it is merged."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text import _lora_start_code as code
from tl_course.i18n import _

STEPS, RATE = 40, 0.05


def cases(rng: np.random.Generator) -> list[Case]:
    """Targets that a frozen weight misses by something of low rank; and a checkpoint's factors."""
    features, units, rank = 6, 4, 2
    weight, down, up = (rng.normal(size=shape) for shape in ((features, units), (features, rank), (rank, units)))
    x = rng.normal(size=(15, features))
    inputs = {"weight": weight, "x": x, "y": x @ (weight + down @ up)}
    inputs = {name: array.astype(np.float32) for name, array in inputs.items()}
    settings = {"rank": rank, "alpha": float(rng.uniform(5, 7))}
    checkpoint = {"down": rng.normal(size=(features, rank)), "up": rng.normal(size=(rank, units))}
    checkpoint = {name: array.astype(np.float32) for name, array in checkpoint.items()}
    return [
        Case("training", {**inputs, **settings, "checkpoint": None}, ("start", "learns")),
        Case("checkpoint", {**inputs, **settings, "checkpoint": checkpoint}, ("strength", "merge")),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Look at start and progress; compare update and merged weight with what the checkpoint's factors make."""
    inputs, checkpoint = case.inputs, case.inputs["checkpoint"]
    if checkpoint is None:
        return _training(inputs, observed)
    update = checkpoint["down"].astype(np.float64) @ checkpoint["up"] * inputs["alpha"] / inputs["rank"]
    apart = inputs["x"] @ inputs["weight"] + observed["update"]
    gap = _("merged and unmerged layer differ by up to {gap:.2g} in their outputs")
    gap = gap.format(gap=float(np.abs(inputs["x"] @ observed["merged"] - apart).max()))
    right = close("merge", observed["merged"], inputs["weight"] + update, _("the merged weight"), atol=1e-4)
    return [
        close("strength", observed["update"], inputs["x"] @ update, _("the update's output"), atol=1e-4),
        right if right.passed else Finding("merge", False, f"{right.message}; {gap}"),
        close("merge", observed["given"], inputs["weight"], _("the frozen weight after merging")),
    ]


def _training(inputs: dict[str, Plain], observed: dict[str, Plain]) -> list[Finding]:
    before, after = (float(np.mean((observed[name] - inputs["y"]) ** 2)) for name in ("first", "last"))
    product = np.asarray(observed["down"], dtype=np.float64) @ observed["up"]  # (D, K)
    used = int(np.linalg.matrix_rank(product, tol=1e-3)) if np.isfinite(product).all() else 0
    text = _("{steps} steps of training take the error from {before:.4g} to {after:.4g}")
    learned = text.format(steps=STEPS, before=before, after=after)
    rank = _("the update that was learned has rank {used}, {rank} was asked for").format(used=used, rank=inputs["rank"])
    right = inputs["x"] @ inputs["weight"]
    return [
        close("start", observed["first"], right, _("the output before training"), atol=1e-4),
        holds("learns", np.isfinite(after) and after < 0.7 * before, learned),
        holds("learns", used == inputs["rank"], rank),
    ]


def probe_pytorch(candidate, inputs):
    """Train the update beside the frozen weight, or load a checkpoint and merge it; arrays have features first."""
    import torch

    weight, x, y = torch.tensor(inputs["weight"].T), torch.tensor(inputs["x"]), torch.tensor(inputs["y"])
    update = candidate(weight.shape[1], weight.shape[0], inputs["rank"], inputs["alpha"])
    if inputs["checkpoint"]:
        with torch.no_grad():
            for name, value in inputs["checkpoint"].items():
                getattr(update, name).copy_(torch.tensor(value.T))
        found = {"update": as_array(update(x)), "merged": as_array(update.merged(weight)).T}
        return {**found, "given": as_array(weight).T}
    optimizer = torch.optim.Adam(update.parameters(), lr=RATE)
    outputs = []
    for _step in range(STEPS):
        optimizer.zero_grad()
        outputs.append(x @ weight.T + update(x))
        ((outputs[-1] - y) ** 2).mean().backward()
        optimizer.step()
    found = {"first": as_array(outputs[0]), "last": as_array(outputs[-1])}
    return {**found, "down": as_array(update.down).T, "up": as_array(update.up).T}


def probe_keras(candidate, inputs):
    """Train the update beside the frozen kernel, or load a checkpoint and merge it."""
    import keras
    import tensorflow as tf
    from keras import ops

    kernel = keras.Variable(inputs["weight"], trainable=False)
    x, y = ops.convert_to_tensor(inputs["x"]), ops.convert_to_tensor(inputs["y"])
    update = candidate(*inputs["weight"].shape, inputs["rank"], inputs["alpha"])
    first = as_array(ops.matmul(x, kernel) + update(x))
    if inputs["checkpoint"]:
        for name, value in inputs["checkpoint"].items():
            getattr(update, name).assign(value)
        found = {"update": as_array(update(x)), "merged": as_array(update.merged(kernel))}
        return {**found, "given": as_array(kernel)}
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(update.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            output = ops.matmul(x, kernel) + update(x)
            loss = ops.mean((output - y) ** 2)
        optimizer.apply(tape.gradient(loss, update.trainable_variables))
        return output

    outputs = [as_array(step()) for _step in range(STEPS)]
    return {"first": first, "last": outputs[-1], "down": as_array(update.down), "up": as_array(update.up)}


EXERCISE = Exercise(
    id="lora-start",
    title=_("It never learns, and merged it is another model"),
    lesson="05_fine_tuning_text",
    kind="find-the-fault",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "Two complaints about one LoRA layer. Training from the start leaves the loss exactly where it was. And a "
        "checkpoint trained elsewhere is excellent beside the frozen weight, yet once merged it answers differently. "
        "Find both faults in `LowRankUpdate`, fix them, and prove it: before training the update adds nothing, then it "
        "learns with its full rank; `merged` returns a new weight that computes what frozen weight and update do "
        "together. The update's strength is alpha / rank."
    ),
    hints=(
        _("Write down the gradient of up @ down with respect to each factor. What is it at the start?"),
        _("A product is zero as soon as one factor is. The other may be anything, as long as its rows differ."),
        _("Start one factor from random numbers. Then compare, term by term, what forward adds and what merged adds."),
    ),
    follow_ups=(
        FollowUp(
            _("Which of the two factors should be the random one, or does it not matter?"),
            _(
                "Either gives a zero start with gradients. Hayou et al. (2024) find that a random down-projection "
                "with a zero up-projection allows larger learning rates and does a little better; it is also what the "
                "paper and all libraries do, so checkpoints are comparable."
            ),
        ),
        FollowUp(
            _("When do you merge, and when do you keep the update apart?"),
            _(
                "Merge for one task in production: no extra latency, an ordinary weight. Keep apart to serve many "
                "tasks on one base, to switch or remove an update exactly, or when the base is stored in 4 or 8 bits, "
                "where adding and rounding again loses part of the update."
            ),
        ),
    ),
    criteria={
        "start": Criterion(_("adds nothing before training"), needs=("learns",)),
        "learns": Criterion(_("learns, with its full rank"), weight=2),
        "strength": Criterion(_("adds alpha / rank times the product of the factors")),
        "merge": Criterion(_("merges into a new weight that computes the same"), weight=2, needs=("strength",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"random up": code.PYTORCH_UP_RANDOM, "merged by forward": code.PYTORCH_BY_FORWARD},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"random up": code.KERAS_UP_RANDOM, "merged by call": code.KERAS_BY_CALL},
            mistakes=code.mistakes("keras"),
            equivalent={
                "self.down = self.add_weight(shape=(in_features, rank))": "Keras's default initialiser is random too"
            },
        ),
    },
    complexity=_(
        "A forward pass adds O(N·rank·(I + O)) time for I input and O output features. Merging takes O(rank·I·O) once "
        "and O(I·O) memory for the new weight; from then on the update costs nothing in use."
    ),
)
