"""The focal loss from logits."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.interview import _focal_loss_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Usual logits with the defaults and with other settings; logits up to 10,000; one entry and three axes."""

    def inputs(logits: np.ndarray, targets: np.ndarray, settings: dict[str, float]) -> dict[str, Plain]:
        return {"logits": logits.astype(np.float32), "targets": targets.astype(np.int64), "settings": settings}

    logits, targets = 1.5 * rng.normal(size=(4, 3)), rng.permutation(12).reshape(4, 3) < 5
    logits[np.unravel_index(np.argmax(targets), (4, 3))] = -1.0  # a one that is missed
    alpha = float(rng.uniform(0.6, 0.9))
    size = rng.uniform(0.5, 1, size=(2, 5)) * np.array([[1e4, -1e4, 30, -30, -1e4]])
    signs = np.array([[1, 0, 1, 0, 1], [0, 1, 0, 1, 1]]) > 0
    found = [
        Case("defaults", inputs(logits, targets, {}), ("value", "untouched")),
        Case("gamma 0", inputs(logits, targets, {"alpha": alpha, "gamma": 0.0}), ("settings",)),
        Case("gamma 0.5", inputs(logits, targets, {"alpha": alpha, "gamma": 0.5}), ("settings",)),
        Case("gamma 3", inputs(logits, targets, {"gamma": 3.0}), ("settings",)),
        Case("one entry", inputs(logits[0, :1], targets[0, :1], {}), ("shapes",)),
        Case("three axes", inputs(logits.reshape(2, 1, 6), targets.reshape(2, 1, 6), {"alpha": alpha}), ("shapes",)),
    ]
    for gamma in (2.0, 0.5, 0.0):
        settings = {"alpha": alpha, "gamma": gamma}
        found.append(Case(f"huge logits, gamma {gamma:g}", inputs(size, signs, settings), ("stable",)))
    return found


def expected(
    logits: np.ndarray, targets: np.ndarray, alpha: float = 0.25, gamma: float = 2.0
) -> tuple[float, np.ndarray]:
    """Loss and gradient in float64, from the exponential of minus a logit's size, which is at most 1."""
    sign = 2.0 * targets - 1
    margin = sign * logits.astype(np.float64)
    small = np.exp(-np.abs(margin))
    p, rest = (np.where(side, 1, small) / (1 + small) for side in (margin > 0, margin <= 0))
    log_p = np.minimum(margin, 0) - np.log1p(small)
    share = np.where(targets == 1, alpha, 1 - alpha)
    slope = sign * share * rest**gamma * (gamma * p * log_p - rest)
    return float((-share * rest**gamma * log_p).mean()), slope / logits.size


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the loss, and where there is one, its gradient."""
    loss, gradient = expected(case.inputs["logits"], case.inputs["targets"], **case.inputs["settings"])
    found = [close(case.criteria[0], observed["loss"], loss, _("{name}: the loss").format(name=case.name))]
    if "gradient" in observed:
        what = _("{name}: the gradient").format(name=case.name)
        atol = 5e-3 * np.abs(gradient).max() if case.criteria[0] == "stable" else 1e-6  # float32: 7,000 - 6,999.9
        found.append(close(case.criteria[0], observed["gradient"], gradient, what, atol=atol))
    if "untouched" in case.criteria:
        text = _("logits or targets had other values afterwards")
        found.append(holds("untouched", observed["kept"], text))
    return found


def probe_numpy(candidate, inputs):
    """The loss, and whether the inputs stayed as they were."""
    logits = inputs["logits"].astype(np.float64)
    loss, kept = _watch.call(candidate, logits, inputs["targets"], **inputs["settings"])
    return {"loss": as_array(loss), "kept": kept}


def probe_pytorch(candidate, inputs):
    """The loss and its gradient, and whether the inputs stayed as they were."""
    import torch

    leaf, targets = torch.tensor(inputs["logits"], requires_grad=True), torch.tensor(inputs["targets"])
    logits = leaf * 1  # not a leaf itself: what writes into it is told by its values, not by an error
    loss = candidate(logits, targets, **inputs["settings"])
    kept = np.array_equal(as_array(logits), inputs["logits"]) and np.array_equal(as_array(targets), inputs["targets"])
    if not getattr(loss, "requires_grad", False):
        raise NotPlain(_("a tensor from which gradients flow back to the logits was expected"))
    (gradient,) = torch.autograd.grad(loss, leaf)
    return {"loss": as_array(loss), "gradient": as_array(gradient), "kept": kept}


def probe_keras(candidate, inputs):
    """The loss and its gradient; tensors cannot be written to."""
    import tensorflow as tf

    logits, targets = tf.constant(inputs["logits"]), tf.constant(inputs["targets"])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = candidate(logits, targets, **inputs["settings"])
    if not tf.is_tensor(loss):
        raise NotPlain(_("a tensor from which gradients flow back to the logits was expected"))
    gradient = tape.gradient(loss, logits, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return {"loss": as_array(loss), "gradient": as_array(gradient), "kept": True}


EXERCISE = Exercise(
    id="focal-loss",
    title=_("Focal loss from logits"),
    lesson="11_interview_clinic",
    minutes=15,
    difficulty=3,
    points=4,
    statement=_(
        "Write the binary focal loss, `focal_loss(logits, targets, alpha=0.25, gamma=2.0)`, averaged over all entries "
        "of any shape. With p the probability of the right answer (a sigmoid), an entry costs "
        "-a·(1 - p)^gamma·log(p), where a is alpha for target 1 and 1 - alpha for target 0. Logits of ±10,000 must "
        "give the true loss, and in PyTorch and Keras a finite gradient, for any gamma from 0. Leave the inputs "
        "unchanged."
    ),
    hints=(
        _("Turn targets of 0 into the other case by a sign: which logit belongs to the right answer?"),
        _("Never compute p first. The logarithms of p and of 1 - p both have safe functions of the logit."),
        _("A power is an exponential: (1 - p)^gamma from gamma and the logarithm of 1 - p, which is always finite."),
    ),
    follow_ups=(
        FollowUp(
            _("What does gamma do, and when would you rather not use the focal loss?"),
            _(
                "It shrinks the loss of examples that are already right: at p = 0.9 and gamma 2 to a hundredth. It "
                "helps where easy negatives flood the loss, as in dense detection. With noisy labels it focuses on the "
                "wrong ones; and it is no proper scoring rule, so its outputs need calibration to be read as "
                "probabilities."
            ),
        ),
        FollowUp(
            _("Training a detector diverges in its first steps. How does the paper start the last layer?"),
            _(
                "With a bias of -log((1 - pi) / pi), pi = 0.01, so that everything starts as an unlikely positive. "
                "Otherwise the many negatives give a huge loss at p = 0.5 and swamp the few positives."
            ),
        ),
        FollowUp(
            _("The usual code computes 1 - p and raises it to gamma. What goes wrong with it in half precision?"),
            _(
                "p rounds to 1 already for logits around 8, so the factor is 0 although the true one is not, and for "
                "gamma below 1 its gradient is infinite times zero. Working with log(1 - p) keeps the small factor; "
                "otherwise compute the loss in float32."
            ),
        ),
    ),
    complexity=_("O(M) time and extra memory for M entries, a few elementwise passes."),
    criteria={
        "value": Criterion(_("gives the mean focal loss with the defaults"), weight=1.5),
        "settings": Criterion(_("follows alpha and gamma, 0 included")),
        "stable": Criterion(_("is right for huge logits, with a finite gradient"), weight=2, needs=("value",)),
        "shapes": Criterion(_("works for one entry and for any shape"), weight=0.5, needs=("value",)),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"log1p": code.NUMPY_LOG1P, "loop": code.NUMPY_LOOP},
            mistakes=code.mistakes("numpy"),
            equivalent=code.EQUIVALENT,
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"bce": code.PYTORCH_BCE, "parts": code.PYTORCH_PARTS},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"softplus": code.KERAS_SOFTPLUS, "tensorflow": code.KERAS_TENSORFLOW},
            mistakes=code.mistakes("keras"),
        ),
    },
)
