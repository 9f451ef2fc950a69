"""Batch normalisation with its two modes and running statistics."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _batchnorm_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """What a layer is asked for, one after another: batches of unequal sizes, modes, statistics set from outside."""

    def batches(scale: float, *sizes: int) -> list[np.ndarray]:
        return [scale * rng.normal(2, 3, size=(size, 4)) for size in sizes]

    settings = {"gain": rng.uniform(0.5, 2, size=4), "bias": rng.normal(size=4), "momentum": 0.3, "eps": 0.2}
    known = {**settings, "running_mean": rng.normal(size=4), "running_var": rng.uniform(2, 5, size=4)}

    def case(name: str, modes: list[str], sizes: list[int], settings: dict[str, Plain], *criteria: str) -> Case:
        scale = 1 if settings else 3e-3  # so that the default eps shows
        return Case(name, {"modes": modes, "batches": batches(scale, *sizes), "settings": settings}, criteria)

    return [
        case("training", ["", "", ""], [5, 2, 3], settings, "training", "running", "untouched"),
        case("evaluation", ["eval", "", ""], [3, 1, 2], known, "evaluation", "frozen"),
        case("back and forth", ["eval", "train", "eval", "train", "off"], [2, 5, 1, 3, 2], settings, "modes"),
        case("new layer", ["eval", "train", "eval"], [3, 4, 2], {}, "defaults"),
        case("batch of one", ["", "", "eval"], [3, 1, 1], settings, "one"),
        case("empty batch", ["", ""], [3, 0], settings, "one"),
    ]


def expected(inputs: dict[str, Plain]) -> list[dict[str, Plain]]:
    """What each call gives and leaves behind, feature by feature."""
    features, eps = range(4), inputs["settings"].get("eps", 1e-5)
    share = inputs["settings"].get("momentum", 0.1)
    state = {"gain": np.ones(4), "bias": np.zeros(4), "running_mean": np.zeros(4), "running_var": np.ones(4)}
    state |= {name: value for name, value in inputs["settings"].items() if name in state}
    mean, var, training, found = state["running_mean"], state["running_var"], True, []
    for mode, x in zip(inputs["modes"], inputs["batches"], strict=True):
        training = {"train": True, "eval": False, "off": False, "": training}[mode]
        refused = training and len(x) < 2
        used = mean, var
        if training and not refused:
            used = np.array([sum(x[:, j]) / len(x) for j in features]), np.diag(np.cov(x.T, bias=True))
            mean = mean + share * (used[0] - mean)
            var = var + share * (np.diag(np.cov(x.T)) - var)
        output = state["gain"] * ((x - used[0]) / np.sqrt(used[1] + eps)) + state["bias"]
        found.append({"output": "ValueError" if refused else output, "mean": mean, "var": var, "training": training})
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare outputs and running statistics call by call."""
    first, second = case.criteria[0], (*case.criteria, case.criteria[0])[1 if len(case.criteria) > 1 else 0]
    found = []
    for number, (yours, right) in enumerate(zip(observed["calls"], expected(case.inputs), strict=True), start=1):
        where = _("{name}, batch {number} ({size} rows)").format(
            name=case.name, number=number, size=len(case.inputs["batches"][number - 1])
        )
        if isinstance(right["output"], str) or isinstance(yours["output"], str):
            text = _("{where}: ValueError was expected in training, and only there").format(where=where)
            both = isinstance(right["output"], str) and isinstance(yours["output"], str)
            found.append(holds(first, both, text))
        else:
            found.append(close(first, yours["output"], right["output"], _("{where}: the result").format(where=where)))
        for name, thing in (("mean", _("the running mean")), ("var", _("the running variance"))):
            what = _("{where}: {thing} afterwards").format(where=where, thing=thing)
            found.append(close(second, yours[name], right[name], what))
        text = _("{where}: training is {yours}").format(where=where, yours=yours["training"])
        found.append(holds(first, yours["training"] == right["training"], text))
    if "untouched" in case.criteria:
        text = _("the batches you were given had other values afterwards")
        found.append(holds("untouched", observed["kept"], text))
    return found


def probe(candidate, inputs):
    """Send the batches through one layer, switching modes in between."""
    settings = dict(inputs["settings"])
    layer = candidate(4, **{name: settings.pop(name) for name in ("momentum", "eps") if name in settings})
    for name, value in settings.items():
        setattr(layer, name, value)
    calls, untouched = [], True
    for mode, x in zip(inputs["modes"], inputs["batches"], strict=True):
        if mode:
            layer.train(False) if mode == "off" else getattr(layer, mode)()
        try:
            output, kept = _watch.call(layer, x)
            output, untouched = as_array(output), untouched and kept
        except ValueError as error:
            if len(x) > 1:
                raise
            output = type(error).__name__
        state = {"mean": as_array(layer.running_mean), "var": as_array(layer.running_var)}
        calls.append({"output": output, **state, "training": bool(layer.training)})
    return {"calls": calls, "kept": untouched}


EXERCISE = Exercise(
    id="batchnorm-train-eval",
    title=_("A batch norm with two modes"),
    lesson="11_interview_clinic",
    minutes=20,
    difficulty=4,
    points=4,
    statement=_(
        "Write a class `BatchNorm(num_features, momentum=0.1, eps=1e-5)` in NumPy for x (N, D), forward only, with "
        "`train()`, `eval()` and a call. Training normalises with the batch's mean and biased variance, and the "
        "running statistics take in its mean and *unbiased* variance, momentum being the weight of the new batch. "
        "Evaluation uses the running statistics and moves nothing. Training with fewer than two examples raises "
        "`ValueError`. Do not modify x."
    ),
    hints=(
        _("Which four arrays does the layer keep, and which of them does the forward pass change, in which mode?"),
        _("Choose mean and variance by mode first; the formula that normalises is then the same for both."),
        _("The variance that normalises is divided by N, the remembered one by N - 1: one follows from the other."),
    ),
    follow_ups=(
        FollowUp(
            _("You freeze a backbone by taking its parameters from the optimiser. What about its batch norms?"),
            _(
                "Gain and bias stay, but in training mode the running statistics go on moving towards the new data, "
                "and batches normalise themselves. A frozen backbone has to run in evaluation mode; in PyTorch that "
                "means calling eval() again after each model.train(), in Keras passing training=False."
            ),
        ),
        FollowUp(
            _("Why does the running variance take the unbiased estimate, while the batch is divided by N?"),
            _(
                "The running value estimates the population's variance from small samples, so it corrects for the "
                "estimated mean; the batch only has to come out with variance 1. For 32 examples the two differ by "
                "3 %, for 2 by a factor of 2. Frameworks differ here: Keras remembers the biased one."
            ),
        ),
        FollowUp(
            _("Training loss is fine, evaluation is far off with batches of 4. What do you suspect, and what helps?"),
            _(
                "Running statistics from tiny batches are noisy, and training never used them. Freeze the pretrained "
                "statistics, use group or layer normalisation, synchronise over devices, or estimate the statistics "
                "again over the training set after training."
            ),
        ),
    ),
    complexity=_("O(N·D) time in both modes; O(D) state. Training passes over the batch three times, evaluation once."),
    criteria={
        "training": Criterion(_("normalises with the batch's statistics in training"), weight=1.5),
        "running": Criterion(_("moves the running statistics as asked"), weight=1.5),
        "evaluation": Criterion(_("normalises with the running statistics in evaluation")),
        "frozen": Criterion(
            _("leaves the statistics alone in evaluation"), weight=0.5, needs=("running", "evaluation")
        ),
        "modes": Criterion(_("switches between the modes, with the right state each time")),
        "defaults": Criterion(_("starts with the right values and settings"), weight=0.5),
        "one": Criterion(_("refuses fewer than two examples in training, and only there"), weight=0.5),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("training",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe,
            alternatives={"two paths": code.TWO_PATHS, "feature by feature": code.FEATURES},
            mistakes=code.MISTAKES,
            equivalent={
                "raise ValueError('training needs at least two examples_')": "the text of the error is free",
            },
        ),
    },
)
