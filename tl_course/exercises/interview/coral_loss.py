"""The distance between the covariances of source and target features."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _coral_loss_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Batches of unequal size, a mere shift, features far from the origin, one feature, two rows, and a single one."""

    def drawn(rows: int, width: int) -> np.ndarray:
        return rng.normal(size=(rows, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)

    def case(name: str, source: np.ndarray, target: np.ndarray, *criteria: str) -> Case:
        return Case(name, {"source": source.astype(np.float32), "target": target.astype(np.float32)}, criteria)

    moved = np.round(drawn(6, 3) * 64) / 64
    return [
        case("unequal batches", drawn(7, 4), drawn(5, 4), "value", "untouched"),
        case("a mere shift", moved, moved + np.array([2, -1, 4]), "shift"),
        case("far from the origin", drawn(8, 3) + 2000, drawn(6, 3) - 2000, "stable"),
        case("one feature", drawn(2, 1), drawn(5, 1), "edges"),
        case("a single row", drawn(1, 3), drawn(5, 3), "edges"),
        case("two single rows", drawn(1, 3), drawn(1, 3), "edges"),
    ]


def expected(source: np.ndarray, target: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """The right loss from sums over pairs of rows, and its gradients by both batches in closed form."""

    def covariance(x: np.ndarray) -> np.ndarray:
        gaps = x[:, None] - x
        return np.einsum("ijk,ijl->kl", gaps, gaps) / (2 * len(x) * max(len(x) - 1, 1))

    batches = [source.astype(np.float64), target.astype(np.float64)]
    gap = covariance(batches[0]) - covariance(batches[1])
    gradients = [
        sign * (x - x.mean(axis=0)) @ gap / (gap.size * max(len(x) - 1, 1))
        for sign, x in zip((1, -1), batches, strict=True)
    ]
    return float(np.linalg.norm(gap) ** 2 / (4 * gap.size)), gradients


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the loss, and its gradients where the probe can see them."""
    name, (loss, gradients) = case.criteria[0], expected(**case.inputs)
    found = [close(name, observed["loss"], loss, _("the loss, {case}").format(case=case.name), rtol=2e-3)]
    for batch, right in zip(("source", "target"), gradients, strict=True):
        if batch in observed:
            what = _("the gradient by the {batch} batch, {case}").format(batch=batch, case=case.name)
            found.append(close(name, observed[batch], right, what, rtol=5e-3, atol=1e-3))
    if "untouched" in case.criteria:
        found.append(holds("untouched", observed["kept"], _("the features you were given had other values afterwards")))
    return found


def probe_numpy(candidate, inputs):
    """The loss, and whether the features stayed as they were."""
    with np.errstate(all="ignore"):
        loss, kept = _watch.call(candidate, inputs["source"], inputs["target"])
    return {"loss": as_array(loss), "kept": kept}


def probe_pytorch(candidate, inputs):
    """The loss and its gradients, and whether the features stayed as they were."""
    import torch

    batches = {name: torch.tensor(value, requires_grad=True) for name, value in inputs.items()}
    loss = candidate(batches["source"], batches["target"])
    if getattr(loss, "requires_grad", False):
        loss.backward()
    gradients = {name: as_array(torch.zeros_like(x) if x.grad is None else x.grad) for name, x in batches.items()}
    kept = all(np.array_equal(as_array(batches[name]), inputs[name]) for name in inputs)
    return {"loss": as_array(loss), "kept": kept, **gradients}


LARGER = "the larger of two numbers is the larger in either order"

EXERCISE = Exercise(
    id="coral-loss",
    title=_("CORAL: align two covariances"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Write `coral_loss(source, target)` for features (N, D) and (M, D): the squared Frobenius norm of the "
        "difference of their covariance matrices, divided by 4 D². Each covariance is around its own batch's mean, "
        "with divisor N - 1 (M - 1), and zero for a batch of one row. A mere shift of a batch costs nothing. It must "
        "stay right far from the origin and for D = 1. Where there are gradients, they reach both batches."
    ),
    hints=(
        _("A covariance matrix compares features with each other, so its shape does not depend on the batch size."),
        _("Take the mean off first; then one matrix product gives all the sums of products."),
        _("Centred, transposed, times centred, over at least 1; then square the difference, add up, divide by 4 D²."),
    ),
    follow_ups=(
        FollowUp(
            _("How do CORAL, MMD and a domain-adversarial loss differ in what they can align?"),
            _(
                "CORAL matches covariances only: distributions that differ in mean or in higher moments pass. MMD with "
                "a characteristic kernel sees every difference in the limit, at O(N²) cost and with a bandwidth to "
                "choose. An adversary is the most flexible and the hardest to train."
            ),
        ),
        FollowUp(
            _("Features are perfectly aligned and target accuracy is worse than before. How can that be?"),
            _(
                "Alignment ignores classes: with another share of classes in the target, equal statistics force some "
                "target examples onto wrong classes. And without the classification loss, features that are all zero "
                "align perfectly: watch the weight of the two losses."
            ),
        ),
        FollowUp(
            _("D is 2,048 and a batch has 32 rows. What do you expect of the covariance, and of its cost?"),
            _(
                "A matrix of 4 million entries of rank at most 31: mostly noise, 17 MB in float32. Use a lower layer "
                "or a projection, larger batches or running estimates. With few rows the same norm follows from "
                "N×N, M×M and N×M products of centred rows, without any D×D matrix."
            ),
        ),
    ),
    complexity=_("O((N + M)·D²) time. O(D²) extra memory for the covariances, and (N + M)·D for the centred features."),
    criteria={
        "value": Criterion(_("compares the covariances"), weight=2),
        "shift": Criterion(_("costs nothing for a mere shift"), needs=("value",)),
        "stable": Criterion(_("stays right far from the origin")),
        "edges": Criterion(_("works for one feature and for a single row")),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"cov": code.NUMPY_COV, "loop": code.NUMPY_LOOP},
            mistakes=code.mistakes("numpy"),
            equivalent={"covariances.append(centred.T @ centred / max(1, len(x) - 1))": LARGER},
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"cov": code.PYTORCH_COV, "einsum": code.PYTORCH_EINSUM},
            mistakes=code.mistakes("pytorch"),
            equivalent={"covariances.append(centred.T @ centred / max(1, len(x) - 1))": LARGER},
        ),
    },
)
