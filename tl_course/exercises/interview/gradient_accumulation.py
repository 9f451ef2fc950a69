"""The step of a large batch, from parts that fit into memory."""

from itertools import pairwise

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _accumulation_code as code
from tl_course.i18n import _

LR, MOMENTUM = 0.5, 0.9


def cases(rng: np.random.Generator) -> list[Case]:
    """Two steps each: equal parts, a last part that is smaller, a part for every example, one part for all."""

    def inputs(sizes: list[int], micro_batch_size: int) -> dict[str, Plain]:
        return {
            "kernel": rng.normal(size=(5, 3)).astype(np.float32),
            "bias": rng.normal(size=3).astype(np.float32),
            "x": [rng.normal(size=(size, 5)).astype(np.float32) for size in sizes],
            "y": [rng.integers(3, size=size) for size in sizes],
            "micro_batch_size": micro_batch_size,
        }

    return [
        Case("8 examples by 4", inputs([8, 8], 4), ("equal", "loss", "again", "memory")),
        Case("10 examples by 4", inputs([10, 9], 4), ("last", "loss", "memory")),
        Case("3 examples by 1", inputs([3, 3], 1), ("edges",)),
        Case("3 examples by 8", inputs([3, 5], 8), ("edges",)),
    ]


def expected(inputs: dict[str, Plain]) -> list[dict[str, Plain]]:
    """Losses and weights of the whole batches, in float64."""
    kernel, bias = inputs["kernel"].astype(np.float64), inputs["bias"].astype(np.float64)
    speed, found = [0.0, 0.0], []
    for x, y in zip(inputs["x"], inputs["y"], strict=True):
        logits = x @ kernel + bias
        gaps = np.exp(logits[:, None, :] - logits[:, :, None]).sum(axis=2)  # 1 / softmax
        loss = np.log(gaps[np.arange(len(y)), y]).mean()
        error = (1 / gaps - np.eye(3)[y]) / len(y)
        speed = [MOMENTUM * speed[0] + x.T @ error, MOMENTUM * speed[1] + error.sum(axis=0)]
        kernel, bias = kernel - LR * speed[0], bias - LR * speed[1]
        found.append({"loss": loss, "kernel": kernel, "bias": bias})
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare weights and losses with those of the whole batch; look at what went through the model when."""
    found, first = [], case.criteria[0]
    for number, (yours, right) in enumerate(zip(observed["steps"], expected(case.inputs), strict=True), start=1):
        where = _("{name}, step {number}").format(name=case.name, number=number)
        again = "again" if number == 2 and "again" in case.criteria else first
        for name, thing in (("kernel", _("the kernel")), ("bias", _("the bias"))):
            found.append(close(again, yours[name], right[name], f"{where}: {thing}"))
        loss = "loss" if "loss" in case.criteria else first
        if yours["loss"] is None:
            found.append(holds(loss, False, _("no loss was returned")))
        else:
            found.append(close(loss, yours["loss"], right["loss"], _("{where}: the loss").format(where=where)))
        text = _("{where}: the model was called in inference mode").format(where=where)
        found.append(holds(first, yours["training"], text))
        found.append(_memory(yours["events"], case, number, where))
    return [finding for finding in found if finding.criterion in case.criteria]


def _memory(events: list[str], case: Case, number: int, where: str) -> Finding:
    """Parts of the right size, each with its backward pass before the next one's forward pass."""
    sizes = [int(event) for event in events if event != "backward"]
    limit, count = case.inputs["micro_batch_size"], len(case.inputs["x"][number - 1])
    if max(sizes, default=0) > limit:
        text = _("{where}: {size} examples went through the model at once, {limit} are allowed")
        return Finding("memory", False, text.format(where=where, size=max(sizes), limit=limit))
    kept = any("backward" not in pair for pair in pairwise(events))
    if kept:
        text = _("{where}: a part's forward pass began before the backward pass of the part before it")
        return Finding("memory", False, text.format(where=where))
    text = _("{where}: {seen} of {count} examples went through the model")
    return holds("memory", sum(sizes) == count, text.format(where=where, seen=sum(sizes), count=count))


def probe_pytorch(candidate, inputs):
    """Two steps of a linear model; its parameters have a gradient from something else before each."""
    import torch
    from torch import nn

    class Watched(nn.Module):
        """A linear layer that notes its forward and backward passes."""

        def __init__(self):
            super().__init__()
            self.linear, self.events, self.modes = nn.Linear(5, 3), [], []

        def forward(self, x):
            self.events.append(str(len(x)))
            self.modes.append(self.training)
            out = self.linear(x)
            if out.requires_grad:
                out.register_hook(lambda gradient: self.events.append("backward"))
            return out

    model = Watched()
    with torch.no_grad():
        model.linear.weight.copy_(torch.tensor(inputs["kernel"].T))
        model.linear.bias.copy_(torch.tensor(inputs["bias"]))
    optimizer, steps = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM), []
    for x, y in zip(inputs["x"], inputs["y"], strict=True):
        model.train()
        model.linear.weight.grad = torch.full((3, 5), 2.0)
        model.events.clear()
        model.modes.clear()
        loss = candidate(model, optimizer, torch.tensor(x), torch.tensor(y), inputs["micro_batch_size"])
        state = {"kernel": as_array(model.linear.weight).T, "bias": as_array(model.linear.bias)}
        steps.append(
            {
                "loss": None if loss is None else as_array(loss),
                **state,
                "events": list(model.events),
                "training": all(model.modes),
            }
        )
    return {"steps": steps}


def probe_keras(candidate, inputs):
    """Two steps of a linear model that notes its forward and backward passes."""
    import keras
    import tensorflow as tf

    events, modes = [], []

    @tf.custom_gradient
    def noted(x):
        def gradient(upstream):
            events.append("backward")
            return upstream

        return tf.identity(x), gradient

    class Watched(keras.Model):
        """A linear layer that notes its forward and backward passes."""

        def __init__(self):
            super().__init__()
            self.linear = keras.layers.Dense(3)
            self.linear.build((None, 5))

        def call(self, x, training=False):
            events.append(str(x.shape[0]))
            modes.append(bool(training))
            return noted(self.linear(x))

    model = Watched()
    model.linear.set_weights([inputs["kernel"], inputs["bias"]])
    optimizer, steps = keras.optimizers.SGD(learning_rate=LR, momentum=MOMENTUM), []
    for x, y in zip(inputs["x"], inputs["y"], strict=True):
        events.clear()
        modes.clear()
        loss = candidate(model, optimizer, x, y, inputs["micro_batch_size"])
        state = dict(zip(("kernel", "bias"), map(as_array, model.linear.get_weights()), strict=True))
        steps.append(
            {"loss": None if loss is None else as_array(loss), **state, "events": list(events), "training": all(modes)}
        )
    return {"steps": steps}


EXERCISE = Exercise(
    id="gradient-accumulation",
    title=_("A batch too large for memory"),
    lesson="11_interview_clinic",
    minutes=15,
    difficulty=3,
    points=4,
    statement=_(
        "A batch does not fit into memory. Write `accumulated_step(model, optimizer, x, y, micro_batch_size)`: send at "
        "most micro_batch_size examples through the model at a time, in training mode, with each part's backward pass "
        "before the next part's forward pass. Then take one optimiser step, exactly that of the whole batch's mean "
        "cross-entropy, also when the last part is smaller. Return the batch's mean loss. The step must not depend on "
        "gradients from before."
    ),
    hints=(
        _("The gradient of a sum is the sum of the gradients. Is your loss a sum of the parts' losses?"),
        _("What must a part of 2 examples count, beside one of 4, so that every example counts alike?"),
        _("Add up the examples' losses of a part and divide by the size of the whole batch, not of the part."),
    ),
    follow_ups=(
        FollowUp(
            _("For which models does accumulation not give the large batch's step?"),
            _(
                "Where examples of a batch see each other: batch normalisation takes each part's statistics, and "
                "contrastive losses lose the other parts' negatives. Dropout only draws other masks. Freeze the "
                "statistics, use other norms, or cache embeddings for the loss (GradCache)."
            ),
        ),
        FollowUp(
            _("A language model's loss is a mean over tokens and texts differ in length. What must you divide by?"),
            _(
                "By the number of target tokens in the whole large batch, counted before the first backward pass. "
                "Means per part, averaged, weight tokens of short parts more: a bug that widely used training code "
                "had for years."
            ),
        ),
        FollowUp(
            _("What does accumulation cost, compared with a batch that fits, and what changes on several devices?"),
            _(
                "The same operations in sequence, with small parts using the device less well; memory is that of one "
                "part plus the gradients. With data parallelism, exchange gradients only at the last part (no_sync in "
                "PyTorch's DDP), or you pay for communication at every part."
            ),
        ),
    ),
    complexity=_(
        "With P parameters and M examples per part: the time of the whole batch's forward and backward passes; memory "
        "O(P) for gradients and the activations of M examples instead of N."
    ),
    criteria={
        "equal": Criterion(_("takes the whole batch's step from equal parts"), weight=1.5),
        "last": Criterion(_("takes it when the last part is smaller"), weight=1.5),
        "again": Criterion(_("takes a second step right, whatever gradients there were"), weight=0.5),
        "loss": Criterion(_("returns the mean loss of the whole batch")),
        "edges": Criterion(_("works with one example a part, and with one part for all")),
        "memory": Criterion(_("holds one part at a time"), needs=("equal",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"weighted": code.PYTORCH_WEIGHTED, "autograd": code.PYTORCH_AUTOGRAD},
            mistakes=code.mistakes("pytorch"),
            equivalent=code.EQUIVALENT,
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"weighted": code.KERAS_WEIGHTED, "dataset": code.KERAS_DATASET},
            mistakes=code.mistakes("keras"),
            equivalent=code.KERAS_EQUIVALENT,
        ),
    },
)
