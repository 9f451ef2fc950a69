"""Linear probing first, then fine-tuning of everything from that head."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.when_transfer_fails._lp_ft_code import (
    KERAS,
    KERAS_CLOSED,
    KERAS_OPTIMISERS,
    PYTORCH,
    PYTORCH_CLOSED,
    PYTORCH_OPTIMISERS,
)
from tl_course.exercises.when_transfer_fails._two_layers import probe_keras, probe_pytorch
from tl_course.i18n import _

MESSAGES = {
    "only-tuning": _("everything learns from the first step, so the random head's gradients distort the backbone"),
    "order": _("fine-tuning comes first: when the probe starts, the features are distorted already"),
    "all-in-probe": _("the backbone learns in the first stage as well"),
    "fresh-head": _("the second stage starts from another head than the one the first stage found"),
    "backbone-only": _("in the second stage the head no longer learns"),
    "head-only": _("in the second stage the backbone still does not learn"),
    "rates": _("the two learning rates are exchanged"),
    "left-frozen": _("the backbone was frozen for the first stage and is still frozen in the second"),
    "each-step": _("the backbone does not change in the first stage and yet is run at every step"),
}
TORCH_FEATURES = "    features = backbone(x).detach()\n"
TORCH_PROBE = (
    "    descend(list(head.parameters()), lambda: nn.functional.mse_loss(head(features), y), probe_steps, probe_lr)\n"
)
TORCH_ALL = "    everything = [*backbone.parameters(), *head.parameters()]\n"
TORCH_TUNE = "    descend(everything, lambda: nn.functional.mse_loss(head(backbone(x)), y), tune_steps, tune_lr)\n"
KERAS_FEATURES = "    features = backbone(x)\n"
KERAS_PROBE = (
    "    descend(head.trainable_weights, lambda: ops.mean((head(features) - y) ** 2), probe_steps, probe_lr)\n"
)
KERAS_ALL = "    everything = [*backbone.trainable_weights, *head.trainable_weights]\n"
KERAS_TUNE = "    descend(everything, lambda: ops.mean((head(backbone(x)) - y) ** 2), tune_steps, tune_lr)\n"


def _edits(features: str, probe: str, everything: str, tune: str, zero: str, lists: tuple[str, str]):
    """The mistakes, as changes of the four lines of the reference's body."""
    body = features + probe + everything + tune
    head, backbone = lists
    changed = {
        "only-tuning": features + everything + tune,
        "order": everything + tune + features + probe,
        "all-in-probe": everything + tune.replace("tune_", "probe_") + tune,
        "fresh-head": features + probe + zero + everything + tune,
        "backbone-only": features + probe + tune.replace("everything", backbone),
        "head-only": features + probe + tune.replace("everything", head),
        "rates": body.replace("probe_lr", "LR").replace("tune_lr", "probe_lr").replace("LR", "tune_lr"),
        "each-step": tune.replace("everything", head).replace("tune_", "probe_") + everything + tune,
    }
    return {name: ((body, text),) for name, text in changed.items()}


SYMMETRIC = "a squared error is the same from either side"
TORCH_FROZEN = PYTORCH_OPTIMISERS.replace("    with torch", "    backbone.requires_grad_(False)\n    with torch", 1)
KERAS_FROZEN = KERAS.replace(KERAS_FEATURES, f"    backbone.trainable = False\n{KERAS_FEATURES}")
TORCH_ZERO = "    with torch.no_grad():\n        [parameter.zero_() for parameter in head.parameters()]\n"
KERAS_ZERO = "    [weight.assign(ops.zeros_like(weight)) for weight in head.trainable_weights]\n"
TORCH_EDITS = _edits(
    TORCH_FEATURES,
    TORCH_PROBE,
    TORCH_ALL,
    TORCH_TUNE,
    TORCH_ZERO,
    ("list(head.parameters())", "list(backbone.parameters())"),
)
KERAS_EDITS = _edits(
    KERAS_FEATURES,
    KERAS_PROBE,
    KERAS_ALL,
    KERAS_TUNE,
    KERAS_ZERO,
    ("head.trainable_weights", "backbone.trainable_weights"),
)


def cases(rng: np.random.Generator) -> list[Case]:
    """Both stages, the first alone and the second alone, on two tiny linear layers."""
    x = rng.normal(size=(12, 4))
    x -= x.mean(axis=0)
    x = np.linalg.svd(x, full_matrices=False)[0] * np.sqrt(12)  # white inputs: gradient descent converges quickly
    backbone = np.linalg.qr(rng.normal(size=(4, 3)))[0] * rng.uniform(0.9, 1.2, size=3)
    drawn = {
        "x": x,
        "y": rng.normal(size=(12, 2)) + x @ rng.normal(size=(4, 2)),
        "backbone": backbone,
        "kernel": rng.normal(size=(3, 2)),
        "bias": rng.normal(size=2),
    }
    inputs = {name: value.astype(np.float32) for name, value in drawn.items()}
    rates = {"probe_lr": float(rng.uniform(0.6, 0.8)), "tune_lr": float(rng.uniform(0.1, 0.2))}
    stages = {"both stages": (8, 3), "probe alone": (9, 0), "tuning alone": (0, 2)}
    criteria = {
        "both stages": ("tuned", "passes"),
        "probe alone": ("probe", "frozen", "passes"),
        "tuning alone": ("tuned",),
    }
    return [
        Case(name, {**inputs, **rates, "probe_steps": probe, "tune_steps": tune}, criteria[name])
        for name, (probe, tune) in stages.items()
    ]


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Backbone, kernel and bias after both stages, with gradients written out."""
    x, y, backbone, kernel, bias = (
        inputs[name].astype(np.float64) for name in ("x", "y", "backbone", "kernel", "bias")
    )
    for step in range(inputs["probe_steps"] + inputs["tune_steps"]):
        tuning = step >= inputs["probe_steps"]
        lr = inputs["tune_lr"] if tuning else inputs["probe_lr"]
        slope = 2 * (x @ backbone @ kernel + bias - y) / y.size
        down = x.T @ slope @ kernel.T if tuning else 0.0
        kernel, bias, backbone = (
            kernel - lr * backbone.T @ x.T @ slope,
            bias - lr * slope.sum(axis=0),
            backbone - lr * down,
        )
    return backbone, kernel, bias


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with gradient descent written out in NumPy."""
    backbone, kernel, bias = expected(case.inputs)
    text = _("{what} after '{case}'")
    names = {"backbone": _("the backbone"), "kernel": _("the head's weights"), "bias": _("the head's bias")}
    right = {"backbone": backbone, "kernel": kernel, "bias": bias}
    parts = {
        name: close("tuned", observed[name], right[name], text.format(what=what, case=case.name), 1e-3, 1e-4)
        for name, what in names.items()
    }
    allowed = 1 + case.inputs["tune_steps"]
    runs = _("the backbone ran {runs} times; {allowed} are enough").format(runs=observed["passes"], allowed=allowed)
    open_ = _("afterwards parts of the model are no longer trainable")
    found = {
        "both stages": [*parts.values(), holds("passes", observed["passes"] <= allowed, runs)],
        "tuning alone": [*parts.values(), holds("tuned", observed["trainable"], open_)],
        "probe alone": [
            Finding("frozen", parts["backbone"].passed, parts["backbone"].message),
            *[Finding("probe", parts[name].passed, parts[name].message) for name in ("kernel", "bias")],
            holds("passes", observed["passes"] <= allowed, runs),
        ],
    }
    return found[case.name]


EXERCISE = Exercise(
    id="lp-ft",
    title=_("First the head, then everything"),
    lesson="08_when_transfer_fails",
    minutes=20,
    difficulty=5,
    points=6,
    statement=_(
        "Fine-tuning from a random head distorts good features, and accuracy on shifted data falls (Kumar et al. "
        "2022). Write `lp_ft`, in place: `probe_steps` full-batch gradient steps with `probe_lr` on the head alone, "
        "then `tune_steps` steps with `tune_lr` on backbone and head, from that head. The loss is the mean squared "
        "error. The backbone runs at most 1 + `tune_steps` times, and everything is trainable in the end."
    ),
    hints=(
        _("Which of the two stages may touch the backbone, and from which head does the second one start?"),
        _("While the backbone does not change, neither do its features. How often must they be computed?"),
        _("One helper that descends on a given loss over given weights serves both stages with different arguments."),
    ),
    follow_ups=(
        FollowUp(
            _("Why does a random head distort the backbone, when a converged one does not?"),
            _(
                "The backbone's gradient is the output error times the head. A random head gives large errors and "
                "arbitrary directions, so features of the training inputs move while those of shifted inputs stay "
                "behind. From a good head errors are small and so are the changes."
            ),
        ),
        FollowUp(
            _("When is linear probing alone better than LP-FT?"),
            _(
                "With few labels and good features, particularly under strong shift: fewer parameters, nothing to "
                "distort, and cached features make it nearly free. Choose between them on validation data that has "
                "the shift you expect."
            ),
        ),
    ),
    criteria={
        "probe": Criterion(_("first trains the head alone")),
        "frozen": Criterion(_("leaves the backbone alone meanwhile"), needs=("probe",)),
        "tuned": Criterion(_("then trains everything, from that head"), weight=2),
        "passes": Criterion(_("computes the probe's features once"), needs=("probe", "tuned")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"optimisers": PYTORCH_OPTIMISERS, "by hand": PYTORCH_CLOSED},
            mistakes={
                **{name: Mistake(MESSAGES[name], edits) for name, edits in TORCH_EDITS.items()},
                "left-frozen": Mistake(MESSAGES["left-frozen"], source=TORCH_FROZEN),
            },
            equivalent={
                "features = backbone(x)": "gradients are asked for the head's parameters only",
                "descend(list(head.parameters()), lambda: nn.functional.mse_loss(y, head(features)), probe_steps, "
                "probe_lr)": SYMMETRIC,
                "descend(everything, lambda: nn.functional.mse_loss(y, head(backbone(x))), tune_steps, "
                "tune_lr)": SYMMETRIC,
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"optimisers": KERAS_OPTIMISERS, "by hand": KERAS_CLOSED},
            mistakes={
                **{name: Mistake(MESSAGES[name], edits) for name, edits in KERAS_EDITS.items()},
                "left-frozen": Mistake(MESSAGES["left-frozen"], source=KERAS_FROZEN),
            },
        ),
    },
    complexity=_(
        "The backbone runs forward 1 + `tune_steps` times and backward `tune_steps` times on all N inputs, which "
        "dominates. A step of the first stage costs O(N·H·K), on O(N·H) features kept in memory."
    ),
)
