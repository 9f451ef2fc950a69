"""One step of AdamW: decoupled weight decay and bias correction."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _adamw_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """The first step; a later one; several in a row with the defaults; gradients smaller than eps."""
    shape = (2, 3)
    settings = {"lr": 0.1, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": float(rng.uniform(0.2, 0.5))}

    def inputs(scale: float, count: int, past: float, start: int, settings: dict) -> dict[str, Plain]:
        return {
            "parameter": rng.normal(size=shape),
            "gradients": scale * rng.normal(size=(count, *shape)),
            "first": past * rng.normal(size=shape),
            "second": past * rng.uniform(0.5, 1, size=shape),
            "start": start,
            "settings": settings,
        }

    plain = {**settings, "weight_decay": 0.0}
    return [
        Case("first step", inputs(1, 1, 0, 1, plain), ("first",)),
        Case("decay", inputs(1, 1, 0.5, 7, settings), ("decay", "state")),
        Case("in a row", inputs(1, 3, 0, 1, settings), ("state", "untouched")),
        Case("small gradients", inputs(1e-6, 1, 0, 2, plain), ("eps",)),
        Case("defaults", inputs(1e-8, 2, 0, 1, {}), ("defaults",)),
    ]


def expected(
    start: int, first: np.ndarray, second: np.ndarray, settings: dict[str, Plain], inputs: dict[str, Plain]
) -> list[list[np.ndarray]]:
    """Parameter and state after each step; the running means are written out as weighted sums of all gradients."""
    lr, eps, decay = (settings[name] for name in ("lr", "eps", "weight_decay"))
    parameter, found = inputs["parameter"], []
    for count in range(1, len(inputs["gradients"]) + 1):
        gradients, means = inputs["gradients"][:count], []
        for beta, before, values in zip(settings["betas"], (first, second), (gradients, gradients**2), strict=True):
            ages = np.arange(count)[::-1]
            means.append(beta**count * before + np.tensordot((1 - beta) * beta**ages, values, axes=1))
        corrected = [
            mean / (1 - beta ** (start + count - 1)) for beta, mean in zip(settings["betas"], means, strict=True)
        ]
        parameter = parameter - lr * (decay * parameter + corrected[0] / (corrected[1] ** 0.5 + eps))
        found.append([parameter, *means])
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare parameter and state after each step."""
    inputs = case.inputs
    settings = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01} | inputs["settings"]
    right = expected(inputs["start"], inputs["first"], inputs["second"], settings, inputs)
    things = (_("the parameter"), _("the first mean"), _("the second mean"))
    found = []
    for number, (yours, wanted) in enumerate(zip(observed["steps"], right, strict=True), start=1):
        for thing, mine, theirs in zip(things, yours, wanted, strict=True):
            criterion = "state" if thing != things[0] and "state" in case.criteria else case.criteria[0]
            what = _("{thing} after {number} of your steps").format(thing=thing, number=number)
            found.append(close(criterion, mine, theirs, what, rtol=1e-6, atol=1e-20))
    if "untouched" in case.criteria:
        text = _("the arrays you were given had other values afterwards")
        found.append(holds("untouched", observed["kept"], text))
    return found


def probe(candidate, inputs):
    """Take the steps in a row, handing back what came out of the last."""
    arrays, steps, untouched = [inputs[name] for name in ("parameter", "first", "second")], [], True
    settings = dict(inputs["settings"])
    if settings:
        settings["betas"] = tuple(settings["betas"])
    for number, gradient in enumerate(inputs["gradients"], start=inputs["start"]):
        (parameter, first, second), kept = _watch.call(
            candidate, arrays[0], gradient, arrays[1], arrays[2], number, **settings
        )
        arrays = [np.array(array, dtype=float) for array in (parameter, first, second)]
        steps.append([as_array(array) for array in (parameter, first, second)])
        untouched = untouched and kept
    return {"steps": steps, "kept": untouched}


EXERCISE = Exercise(
    id="adamw-step",
    title=_("One step of AdamW"),
    lesson="11_interview_clinic",
    minutes=15,
    difficulty=3,
    points=4,
    statement=_(
        "Write one step of AdamW for an array, without a framework: `adamw_step(parameter, gradient, first, second, "
        "step, lr, betas, eps, weight_decay)`. The running means of the gradient and its square start at zero, and "
        "`step` at 1. Weight decay is decoupled, multiplied by lr, and acts on the parameter as it comes; eps is added "
        "to the root of the corrected second mean. Return the new parameter and both uncorrected means; modify "
        "nothing."
    ),
    hints=(
        _("Three things happen: two running means move, they are corrected for their start, the parameter moves."),
        _("After t steps from zero, a running mean's weights sum to 1 - beta^t. Divide by that, but do not store it."),
        _("Decoupled means that the decay never passes through the running means nor the root."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is L2 in the loss not the same as weight decay for Adam, although it is for plain SGD?"),
            _(
                "Adam divides by the root of the mean squared gradient. An L2 term in the gradient is divided too, so "
                "weights with large gradients are hardly held back. Decoupled decay shrinks all weights at one "
                "relative rate. Plain SGD only multiplies by the learning rate, so there the two agree."
            ),
        ),
        FollowUp(
            _("How large is AdamW's first step, and what follows for fine-tuning?"),
            _(
                "About lr in every coordinate, however small the gradient, since the corrected mean over its root is "
                "the gradient's sign. A random head thus sends full-sized steps into the backbone at once: reason for "
                "a warm-up, small rates, and training the head first."
            ),
        ),
        FollowUp(
            _("How much memory does AdamW need for a model of P parameters, and how do you reduce it?"),
            _(
                "Two more arrays of the parameters' size: in float32, 16 bytes per parameter with weights and "
                "gradients. Train fewer parameters (LoRA has state for its factors only), keep the state in 8 bits, "
                "factorise the second mean (Adafactor), or shard the state over devices."
            ),
        ),
    ),
    complexity=_("O(P) time for P entries; three new arrays of P entries, and a few temporary ones."),
    criteria={
        "first": Criterion(_("takes the first step right, bias correction included")),
        "decay": Criterion(_("decays the parameter apart from the gradient"), weight=1.5),
        "state": Criterion(_("hands back means with which the next step is right"), weight=1.5),
        "eps": Criterion(_("adds eps where it belongs, which shows for small gradients")),
        "defaults": Criterion(_("has the usual defaults"), weight=0.5),
        "untouched": Criterion(_("leaves its arguments as they were"), weight=0.5, needs=("first", "state")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe,
            alternatives={"lerp": code.LERP, "elements": code.ELEMENTS},
            mistakes=code.MISTAKES,
        ),
    },
)
