"""Stop when validation no longer improves, and go back to the best epoch."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

REFERENCE = '''
import math

import numpy as np


class EarlyStopping:
    """Watches the validation loss and keeps the weights of the best epoch.

    An epoch improves when its loss is lower than the best so far by more than min_delta. A loss that is not a number
    never does. Training changes the arrays of weights in place.

    Args:
        patience: stop after so many epochs in a row without improvement, at least 1.
        min_delta: smaller gains do not count.

    Attributes:
        best_epoch: the last epoch that improved, counted from 0, None before there is one.
        best_loss: its validation loss, infinite before there is one.
        best_weights: its weights, by name.
    """

    def __init__(self, patience: int, min_delta: float = 0.0) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.epoch, self.waited = 0, 0
        self.best_epoch, self.best_loss, self.best_weights = None, math.inf, {}

    def step(self, val_loss: float, weights: dict[str, np.ndarray]) -> bool:
        """Note an epoch's validation loss and weights, and say whether training should stop now."""
        if val_loss < self.best_loss - self.min_delta:
            self.best_epoch, self.best_loss, self.waited = self.epoch, val_loss, 0
            self.best_weights = {name: value.copy() for name, value in weights.items()}
        else:
            self.waited += 1
        self.epoch += 1
        return self.waited >= self.patience
'''

DEEP_COPY = """
import copy


class EarlyStopping:
    def __init__(self, patience, min_delta=0.0):
        self.limit, self.margin, self.losses = patience, min_delta, []
        self.best_epoch, self.best_weights = None, None

    @property
    def best_loss(self):
        return float("inf") if self.best_epoch is None else self.losses[self.best_epoch]

    def step(self, val_loss, weights):
        improved = self.best_loss - val_loss > self.margin
        self.losses.append(val_loss)
        if improved:
            self.best_epoch = len(self.losses) - 1
            self.best_weights = copy.deepcopy(weights)
        last = -1 if self.best_epoch is None else self.best_epoch
        return len(self.losses) - 1 - last >= self.limit
"""

COUNTDOWN = """
import numpy as np


class EarlyStopping:
    best_epoch = None
    best_loss = np.inf
    best_weights = None

    def __init__(self, patience, min_delta=0.0):
        self.patience = self.left = patience
        self.threshold = lambda: self.best_loss - min_delta
        self.epochs = iter(range(10**9))

    def step(self, val_loss, weights):
        epoch = next(self.epochs)
        if np.isnan(val_loss) or val_loss >= self.threshold():
            self.left -= 1
            return self.left <= 0
        self.left = self.patience
        self.best_epoch, self.best_loss = epoch, val_loss
        self.best_weights = {name: np.array(value) for name, value in weights.items()}
        return False
"""

IMPROVES, COPY = (
    "val_loss < self.best_loss - self.min_delta",
    "{name: value.copy() for name, value in weights.items()}",
)
MESSAGES = {
    "not-copied": _(
        "the best weights are the very arrays that training goes on changing, so they become the last ones"
    ),
    "shallow-copy": _("the dict was copied and its arrays were not: training goes on changing them"),
    "last-weights": _("the weights kept are those of the last epoch, not of the best"),
    "one-late": _("training goes on for one epoch more than `patience` allows"),
    "never-resets": _("all epochs without improvement are added up, although better ones came in between"),
    "previous-epoch": _("each loss is compared with the one before it, so a slow rise with small dips never stops"),
    "tie-improves": _("an equal loss is taken for an improvement: a plateau then never ends"),
    "margin-ignored": _("gains smaller than min_delta count, so noise keeps training alive"),
    "margin-added": _("the margin is on the wrong side: losses that are slightly worse count as improvements"),
    "best-creeps": _("the best loss follows gains too small to count, so many small gains never add up to one"),
    "nan-improves": _("a loss that is not a number is taken for an improvement"),
    "higher-is-better": _("your class waits for the loss to rise; that is right for accuracy"),
}
EDITS = {
    "not-copied": ((COPY, "weights"),),
    "shallow-copy": ((COPY, "dict(weights)"),),
    "last-weights": (("        self.epoch += 1", f"        self.best_weights = {COPY}\n        self.epoch += 1"),),
    "one-late": (("self.waited >= self.patience", "self.waited > self.patience"),),
    "never-resets": ((", self.waited = self.epoch, val_loss, 0", " = self.epoch, val_loss"),),
    "previous-epoch": (
        (IMPROVES, "val_loss < getattr(self, 'previous', math.inf) - self.min_delta"),
        ("        self.epoch += 1", "        self.previous = val_loss\n        self.epoch += 1"),
    ),
    "tie-improves": ((IMPROVES, "val_loss <= self.best_loss - self.min_delta"),),
    "margin-ignored": ((" - self.min_delta", ""),),
    "margin-added": ((" - self.min_delta", " + self.min_delta"),),
    "best-creeps": (
        (
            "            self.waited += 1",
            "            self.waited += 1\n            self.best_loss = min(self.best_loss, val_loss)",
        ),
    ),
    "nan-improves": ((IMPROVES, "not val_loss >= self.best_loss - self.min_delta"),),
    "higher-is-better": (
        (IMPROVES, "val_loss > self.best_loss + self.min_delta"),
        ("None, math.inf", "None, -math.inf"),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Losses that pause and fall again, ties, small gains, losses that are not numbers, and a run that goes on."""
    high, low = float(rng.uniform(2, 3)), float(rng.uniform(0.5, 1))
    fall = [high, high - 0.5, high - 0.4, high - 0.3, low]
    paused = [*fall, low + 0.3, low + 0.1, low + 0.2, low + 0.15, low - 0.2]
    small = [*(high - gain for gain in (0, 0.06, 0.12, 0.07, 0.15, 0.17, 0.19)), low, low + 0.05]
    nans = [float("nan"), high, float("nan"), high - 0.1, high, float("nan"), low]
    falling = sorted(rng.uniform(0, 3, size=6).tolist(), reverse=True)
    ties = [high, low, high, low, high, low, 0.0]
    start = rng.normal(size=(2, 3))
    runs = {
        "pauses": (paused, 3, None, ("stop", "best", "weights")),
        "ties": (ties, 2 + int(rng.integers(2)), None, ("stop",)),
        "small gains": (small, 3, 0.1, ("margin",)),
        "not a number": (nans, 2, 0.0, ("nan",)),
        "goes on": (falling, 1, None, ("best",)),
    }
    return [
        Case(name, {"losses": losses, "patience": patience, "min_delta": margin, "start": start}, criteria)
        for name, (losses, patience, margin, criteria) in runs.items()
    ]


def expected(inputs: dict[str, Plain]) -> tuple[list[bool], int]:
    """What each step returns until one says stop, and the best epoch, found by looking back over all losses so far."""
    losses = np.nan_to_num(np.array(inputs["losses"]), nan=np.inf)
    margin, best, flags = inputs["min_delta"] or 0.0, -1, []
    for epoch, loss in enumerate(losses):
        if best < 0 or loss < losses[best] - margin:
            best = epoch if np.isfinite(loss) else best
        flags.append(epoch - best >= inputs["patience"])
        if flags[-1]:
            break
    return flags, best


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare when training stops, and what is kept."""
    flags, best = expected(case.inputs)
    text = _("{name}: with patience {patience}, losses {losses}: stopped after {yours} epochs, {right} expected")
    losses = ", ".join(f"{loss:.2f}" for loss in case.inputs["losses"])
    yours = len(observed["flags"]) if observed["flags"][-1] else _("none of the")
    right = len(flags) if flags[-1] else _("none of the")
    message = text.format(name=case.name, patience=case.inputs["patience"], losses=losses, yours=yours, right=right)
    stopped = observed["flags"] == flags
    kept = [
        close("best", observed["best_epoch"], best, _("best_epoch")),
        close("best", observed["best_loss"], case.inputs["losses"][best], _("best_loss")),
    ]
    found = {
        "stop": [holds("stop", stopped, message)],
        "best": kept,
        "weights": [
            close("weights", observed["weights"], case.inputs["start"] * 2.0**best, _("the kernel in best_weights")),
            close("weights", observed["bias"], case.inputs["start"][0] * 2.0**best, _("the bias in best_weights")),
        ],
    }
    if case.name in ("small gains", "not a number"):
        (criterion,) = case.criteria
        moved = [Finding(criterion, finding.passed, finding.message) for finding in kept]
        return [holds(criterion, stopped, message), *moved]
    return [finding for criterion in case.criteria for finding in found[criterion]]


def probe(candidate, inputs):
    """Run epochs that double the weights, one in place and one anew, until the candidate says stop."""
    margin = {} if inputs["min_delta"] is None else {"min_delta": inputs["min_delta"]}
    stopping = candidate(patience=inputs["patience"], **margin)
    weights = {"kernel": inputs["start"].copy(), "bias": inputs["start"][0]}
    flags = []
    for loss in inputs["losses"]:
        flags.append(bool(stopping.step(loss, weights)))
        weights["kernel"] *= 2
        weights["bias"] = weights["bias"] * 2
        if flags[-1]:
            break
    best = -1 if stopping.best_epoch is None else stopping.best_epoch
    kept = stopping.best_weights or {}
    return {
        "flags": flags,
        "best_epoch": as_array(best),
        "best_loss": as_array(stopping.best_loss),
        "weights": as_array(kept.get("kernel", [])),
        "bias": as_array(kept.get("bias", [])),
    }


EXERCISE = Exercise(
    id="early-stopping",
    title=_("Stop, and go back to the best epoch"),
    lesson="04_fine_tuning_images",
    minutes=12,
    difficulty=2,
    points=4,
    statement=_(
        "Write the class `EarlyStopping(patience, min_delta=0.0)`. Training calls `step(val_loss, weights)` once per "
        "epoch and stops when it returns True: after `patience` epochs in a row without improvement. An epoch improves "
        "when its loss is lower than `best_loss` by more than `min_delta`; NaN never improves. `best_epoch` (from 0), "
        "`best_loss` and `best_weights` belong to the last epoch that improved, whatever training does to its arrays "
        "later."
    ),
    hints=(
        _("Two things are remembered: the best epoch so far, and how long it has been since."),
        _(
            "An array's content changes during training. What must you do with it so that a later epoch cannot touch "
            "it?"
        ),
        _("Improvement: note epoch and loss, copy every array, set the count back. Otherwise count up; compare."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the best epoch's validation accuracy too good as an estimate for new images?"),
            _(
                "It is the best of many noisy measurements, and the best is partly luck. Keep a test set that took no "
                "part in any choice, this one included, and measure on it once."
            ),
        ),
        FollowUp(
            _("How do you combine early stopping with a cosine schedule?"),
            _(
                "With care: the low rates at the end often bring the last gain, and stopping early never reaches them. "
                "Choose the number of epochs beforehand, run the schedule to its end, and use the best checkpoint."
            ),
        ),
    ),
    criteria={
        "stop": Criterion(_("stops after `patience` epochs in a row without improvement"), weight=2),
        "best": Criterion(_("knows the best epoch and its loss")),
        "weights": Criterion(_("keeps the best epoch's weights, whatever happens to the arrays later"), weight=2),
        "margin": Criterion(_("counts only gains of more than min_delta")),
        "nan": Criterion(_("never takes NaN for an improvement")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=REFERENCE,
            probe=probe,
            alternatives={"deep copy": DEEP_COPY, "countdown": COUNTDOWN},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "A call is O(1), or O(P) when it improves and P weights are copied; one more copy of the weights is kept "
        "throughout. What stopping saves is whole epochs; what it costs is `patience` epochs past the best."
    ),
)
