"""Which stages train in which epoch: gradual unfreezing from the head downwards."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
from torch import nn


def unfreeze_stages(stages: list[nn.Module], epoch: int, epochs_per_stage: int) -> int:
    """Set which stages train in an epoch.

    Args:
        stages: the model's parts from the input to the head; in whatever state they are.
        epoch: counted from 0. In epoch 0 the head trains alone.
        epochs_per_stage: after so many epochs the next stage towards the input joins those that train.

    Returns:
        How many stages train in this epoch.
    """
    count = min(1 + epoch // epochs_per_stage, len(stages))
    for place, stage in enumerate(reversed(stages)):
        stage.requires_grad_(place < count)
    return count
'''

PYTORCH_SLICES = """
def unfreeze_stages(stages, epoch, epochs_per_stage):
    first = max(0, len(stages) - 1 - epoch // epochs_per_stage)
    for trained, part in ((False, stages[:first]), (True, stages[first:])):
        for stage in part:
            for parameter in stage.parameters():
                parameter.requires_grad = trained
    return len(stages) - first
"""

PYTORCH_STARTS = """
def unfreeze_stages(stages, epoch, epochs_per_stage):
    starts = [epochs_per_stage * distance for distance in range(len(stages))][::-1]
    trained = [epoch >= start for start in starts]
    [stage.requires_grad_(flag) for stage, flag in zip(stages, trained)]
    return sum(trained)
"""

KERAS = (
    PYTORCH.replace("from torch import nn", "import keras")
    .replace("nn.Module", "keras.Layer")
    .replace("stage.requires_grad_(place < count)", "stage.trainable = place < count")
)

KERAS_SLICES = """
def unfreeze_stages(stages, epoch, epochs_per_stage):
    first = max(0, len(stages) - 1 - epoch // epochs_per_stage)
    for stage in stages[:first]:
        stage.trainable = False
    for stage in stages[first:]:
        stage.trainable = True
    return len(stages) - first
"""

KERAS_STARTS = """
def unfreeze_stages(stages, epoch, epochs_per_stage):
    trained = 0
    for index in range(len(stages) - 1, -1, -1):
        starts = epochs_per_stage * (len(stages) - 1 - index)
        stages[index].trainable = starts <= epoch
        trained += starts <= epoch
    return int(trained)
"""

COUNT, ORDER, TRAINED = (
    "min(1 + epoch // epochs_per_stage, len(stages))",
    "enumerate(reversed(stages))",
    "place < count",
)
MESSAGES = {
    "input-first": _("the stages join from the input: the most general features move while the head is still new"),
    "every-epoch": _("a stage joins in every epoch, whatever epochs_per_stage says"),
    "head-waits": _("in the first epochs nothing trains at all, not even the head"),
    "one-only": _("only the stage that joined last trains: those before it are frozen again"),
    "all-at-once": _("after the head's epochs the whole model is unfrozen in one go"),
    "one-early": _("each stage joins an epoch too early"),
    "never-freezes": _("stages are unfrozen and none is frozen: what was trainable before stays so"),
    "not-capped": _("the number of stages that train goes on growing when all of them do"),
    "starts-over": _("when all stages train, the count starts again from the head"),
}
EDITS = {
    "input-first": (ORDER, "enumerate(stages)"),
    "every-epoch": (COUNT, "min(1 + epoch, len(stages))"),
    "head-waits": (COUNT, "min(epoch // epochs_per_stage, len(stages))"),
    "one-only": (TRAINED, "place == count - 1"),
    "all-at-once": (COUNT, "1 if epoch < epochs_per_stage else len(stages)"),
    "one-early": (COUNT, "min(1 + (epoch + 1) // epochs_per_stage, len(stages))"),
    "not-capped": (COUNT, "1 + epoch // epochs_per_stage"),
    "starts-over": (COUNT, "1 + epoch // epochs_per_stage % len(stages)"),
}
NEVER = {
    "pytorch": (
        "stage.requires_grad_(place < count)",
        "stage.requires_grad_(place < count or next(stage.parameters()).requires_grad)",
    ),
    "keras": ("stage.trainable = place < count", "stage.trainable = place < count or stage.trainable"),
}

SYMMETRIC = {"count = min(len(stages), 1 + epoch // epochs_per_stage)": "the minimum of two numbers is symmetric"}


def cases(rng: np.random.Generator) -> list[Case]:
    """Epochs in order, and single epochs out of order, as when a run is resumed."""
    count, each = int(rng.integers(4, 6)), int(rng.integers(2, 4))
    epochs = list(range(count * each + 2))
    order = [each, *(int(epoch) for epoch in rng.permutation(epochs)), 0]
    return [
        Case("in order", {"stages": count, "each": each, "epochs": epochs}, ("schedule", "count")),
        Case("out of order", {"stages": count, "each": each, "epochs": order}, ("state",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the epoch in which each stage starts."""
    epochs, stages, each = (case.inputs[name] for name in ("epochs", "stages", "each"))
    starts = each * np.arange(stages)[::-1]
    right = (np.array(epochs)[:, None] >= starts).astype(float)
    flags, criterion = np.asarray(observed["flags"]), case.criteria[0]
    wrong = np.argwhere(flags != right) if flags.shape == right.shape else np.zeros((0, 2), dtype=int)
    text = _("{count} stages, {each} epochs per stage: in epoch {epoch} these train (1) from input to head: {yours}")
    message = ""
    if len(wrong):
        row = int(wrong[0, 0])
        yours = " ".join(f"{flag:g}" for flag in flags[row])
        message = text.format(count=stages, each=each, epoch=epochs[row], yours=yours)
    found = [holds(criterion, np.array_equal(flags, right), message)]
    if criterion == "schedule":
        found.append(close("count", observed["counts"], right.sum(axis=1), _("the number of stages, epoch by epoch")))
    return found


def _observe(candidate, inputs, stages, share) -> dict[str, Plain]:
    counts, flags = [], []
    for epoch in inputs["epochs"]:
        counts.append(as_array(candidate(list(stages), epoch, inputs["each"])))
        flags.append([share(stage) for stage in stages])
    return {"counts": as_array(counts), "flags": as_array(flags)}


def probe_pytorch(candidate, inputs):
    """Which share of each stage's parameters trains, epoch by epoch."""
    from torch import nn

    stages = [nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)) for _stage in range(inputs["stages"])]
    return _observe(candidate, inputs, stages, lambda s: float(np.mean([p.requires_grad for p in s.parameters()])))


def probe_keras(candidate, inputs):
    """Which share of each stage's weights trains, epoch by epoch."""
    import keras

    stages = [
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), keras.layers.Dense(3)])
        for _stage in range(inputs["stages"])
    ]
    return _observe(candidate, inputs, stages, lambda s: len(s.trainable_variables) / len(s.variables))


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {**EDITS, "never-freezes": NEVER[framework]}
    return {name: Mistake(MESSAGES[name], (edit,)) for name, edit in edits.items()}


EXERCISE = Exercise(
    id="gradual-unfreezing",
    title=_("One stage after another"),
    lesson="04_fine_tuning_images",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "Gradual unfreezing trains the head first and then, stage by stage, what lies below it. Write "
        "`unfreeze_stages(stages, epoch, epochs_per_stage)`, called before each epoch: `stages` go from input to head. "
        "In epoch 0 the head alone trains; after every `epochs_per_stage` epochs the next stage joins, until all "
        "train. Set what is trainable, whatever it was before, as a run may be resumed at any epoch. Return how many "
        "stages train."
    ),
    hints=(
        _("Write a table: one row per epoch, one column per stage, for 4 stages and 2 epochs per stage."),
        _("How many stages train follows from a whole-number division. Which ones are they, counted from the end?"),
        _(
            "Count 1 + epoch // epochs_per_stage, at most all. Set every stage: True for the last `count`, False "
            "before."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("In Keras, is it enough to call this before every epoch of `fit`?"),
            _(
                "No. `fit` uses what was trainable when the model was compiled, so compile again whenever the number "
                "of stages changes, and set the optimiser's rate again too."
            ),
        ),
        FollowUp(
            _("Why from the head downwards, and when would you train the lowest stage instead?"),
            _(
                "High stages are the most specific to the source task, so they have most to change, and low ones are "
                "general. When only the look of the input changes, such as noise or colour, adapting the lowest stage "
                "can be better (Lee et al., 2023, surgical fine-tuning)."
            ),
        ),
    ),
    criteria={
        "schedule": Criterion(_("the right stages train in every epoch"), weight=2),
        "state": Criterion(_("sets all stages, whatever they were before"), needs=("schedule",)),
        "count": Criterion(_("returns how many stages train"), needs=("schedule",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"slices": PYTORCH_SLICES, "starts": PYTORCH_STARTS},
            mistakes=mistakes("pytorch"),
            equivalent=SYMMETRIC,
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"slices": KERAS_SLICES, "starts": KERAS_STARTS},
            mistakes=mistakes("keras"),
            equivalent=SYMMETRIC,
        ),
    },
    complexity=_(
        "O(A) for A arrays of weights, once an epoch. An epoch's forward pass always costs the same, and its backward "
        "pass reaches down to the lowest stage that trains: the first epochs are the cheapest."
    ),
)
