"""The learning rate of one step: linear warm-up, then half a cosine."""

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

REFERENCE = '''
import math


def warmup_cosine(step: int, num_steps: int, peak: float, warmup_steps: int, final: float) -> float:
    """The learning rate of one step.

    Args:
        step: 0 is the first step of the run, num_steps - 1 the last.
        num_steps: gradient steps of the whole run.
        peak: the highest rate.
        warmup_steps: how many steps rise, fewer than num_steps; 0 means no warm-up.
        final: what the cosine falls towards, as a fraction of peak.

    Returns:
        While step < warmup_steps: equal rises, so that the last of them (step warmup_steps - 1) has rate peak. Then
        half a cosine, which is at peak in step warmup_steps and would be at final * peak in step num_steps.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    angle = math.pi * (step - warmup_steps) / (num_steps - warmup_steps)
    return peak * (final + (1 - final) * (1 + math.cos(angle)) / 2)
'''

SQUARED_COSINE = """
import math


def warmup_cosine(step, num_steps, peak, warmup_steps, final):
    rises = [peak * (i + 1) / warmup_steps for i in range(warmup_steps)]
    falling = num_steps - warmup_steps
    falls = [math.cos(0.5 * math.pi * i / falling) ** 2 for i in range(falling)]
    return (rises + [final * peak + (peak - final * peak) * fall for fall in falls])[step]
"""

BY_ARRAYS = """
import numpy as np


def warmup_cosine(step, num_steps, peak, warmup_steps, final):
    lowest = final * peak
    angles = np.linspace(0, np.pi, num_steps - warmup_steps, endpoint=False)
    cosine = lowest + (peak - lowest) * (np.cos(angles) + 1) / 2
    rising = np.linspace(0, peak, warmup_steps + 1)[1:]
    return np.concatenate([rising, cosine])[step]
"""

MESSAGES = {
    "zero-start": _("your first step has rate 0: it computes a gradient and then learns nothing from it"),
    "no-warm-up": _("the rate starts at its peak, so a new head's first, nearly random gradients have full force"),
    "whole-run": _("the cosine is counted from step 0, so the rate jumps down when the warm-up ends"),
    "warm-up-as-offset": _("the cosine's length still includes the warm-up, so the run ends before the rate is down"),
    "whole-cosine": _("your cosine goes through a whole period: after the middle the rate rises again"),
    "absolute-final": _("the final rate was read as a rate; it is a fraction of the peak"),
    "floor-added": _("the final rate was added on top, so the curve passes beyond its peak"),
    "no-floor": _("the rate falls towards 0, whatever final rate was asked for"),
    "linear-fall": _("after the peak the rate falls along a straight line"),
    "warm-up-from-final": _("the warm-up starts from the final rate; it rises in equal parts from nothing"),
}
EDITS = {
    "zero-start": ("(step + 1)", "step"),
    "no-warm-up": ("if step < warmup_steps:", "if False:"),
    "whole-run": ("(step - warmup_steps) / (num_steps - warmup_steps)", "step / num_steps"),
    "warm-up-as-offset": ("/ (num_steps - warmup_steps)", "/ num_steps"),
    "whole-cosine": ("math.pi *", "2 * math.pi *"),
    "absolute-final": (
        "peak * (final + (1 - final) * (1 + math.cos(angle)) / 2)",
        "final + (peak - final) * (1 + math.cos(angle)) / 2",
    ),
    "floor-added": ("(1 - final) * ", ""),
    "no-floor": ("final + (1 - final) * ", ""),
    "linear-fall": ("(1 + math.cos(angle)) / 2", "(1 - angle / math.pi)"),
    "warm-up-from-final": (
        "peak * (step + 1) / warmup_steps",
        "peak * (final + (1 - final) * (step + 1) / warmup_steps)",
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A run with warm-up, one without, and one that warms up until its last step but one."""
    peak, final = float(rng.uniform(0.1, 3)), float(rng.uniform(0.05, 0.3))
    num_steps, warmup_steps = int(rng.integers(17, 25)), int(rng.integers(4, 7))
    run = {"num_steps": num_steps, "warmup_steps": warmup_steps, "peak": peak, "final": final}
    return [
        Case("warm-up", run, ("rise", "fall")),
        Case("no warm-up", {**run, "warmup_steps": 0, "final": 0.0}, ("edges",)),
        Case("nearly all warm-up", {**run, "num_steps": warmup_steps + 1}, ("edges",)),
    ]


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """The right rates of all steps, from the sum of the angles' cosines drawn as points on a circle."""
    rising, falling = inputs["warmup_steps"], inputs["num_steps"] - inputs["warmup_steps"]
    circle = np.exp(1j * np.pi / falling) ** np.arange(falling)
    share = np.interp(circle.real, [-1, 1], [inputs["final"], 1])
    return inputs["peak"] * np.concatenate([np.cumsum(np.full(rising, 1 / max(rising, 1))), share])


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the rates of all steps."""
    right, rates, rising = expected(case.inputs), np.asarray(observed["rates"]), case.inputs["warmup_steps"]
    if case.name != "warm-up":
        return [close("edges", rates, right, _("the rates of a run: {name}").format(name=_(case.name)))]
    return [
        close("rise", rates[:rising], right[:rising], _("the rates of the warm-up")),
        close("fall", rates[rising:], right[rising:], _("the rates after the warm-up")),
    ]


def probe(candidate, inputs):
    """The rates of all steps."""
    run = (inputs["num_steps"], inputs["peak"], inputs["warmup_steps"], inputs["final"])
    return {"rates": as_array([float(as_array(candidate(step, *run))) for step in range(inputs["num_steps"])])}


EXERCISE = Exercise(
    id="warmup-cosine",
    title=_("A rate that rises and falls"),
    lesson="04_fine_tuning_images",
    minutes=8,
    difficulty=1,
    points=3,
    statement=_(
        "Write `warmup_cosine(step, num_steps, peak, warmup_steps, final)`, the learning rate of one step, counted "
        "from 0. It rises in equal parts, so that step `warmup_steps - 1` has rate `peak`. From step `warmup_steps`, "
        "still at `peak`, it falls along half a cosine that would reach `final * peak` in step `num_steps`. With no "
        "warm-up steps the cosine starts at once."
    ),
    hints=(
        _("Draw the curve for 10 steps with 4 of them rising, and write each step's rate below it."),
        _("After the warm-up, which fraction of the remaining steps has passed? It runs from 0 towards 1."),
        _("(1 + cos(pi * fraction)) / 2 falls from 1 to 0. Stretch it so that it falls from 1 to `final`."),
    ),
    follow_ups=(
        FollowUp(
            _("Why does warm-up matter when a new head sits on a pretrained backbone?"),
            _(
                "The first gradients come from a head that knows nothing, and they are large and point nowhere useful. "
                "At a small rate they move the head a little and hardly harm the backbone. Adam's averages of squared "
                "gradients are unreliable in the first steps too."
            ),
        ),
        FollowUp(
            _("You double the number of epochs and keep the schedule's code. What changes?"),
            _(
                "The cosine is stretched over the new number of steps, so the rate stays high for longer; stopping the "
                "long run half-way is not the short run. With a warm-up given as a fraction, that grows as well."
            ),
        ),
    ),
    criteria={
        "rise": Criterion(_("rises in equal parts up to the peak")),
        "fall": Criterion(_("falls along half a cosine from the peak towards the final rate"), weight=2),
        "edges": Criterion(_("is right without warm-up and with a single step after it")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=REFERENCE,
            probe=probe,
            alternatives={"squared cosine": SQUARED_COSINE, "arrays": BY_ARRAYS},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
        ),
    },
    complexity=_(
        "O(1) time and memory: a closed formula of the step. No table of `num_steps` rates and no state, so a run "
        "resumed at any step has the right rate."
    ),
)
