"""The triplet loss with the hardest positive and negative of the batch."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _triplet_loss_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Three classes, lonely anchors, no anchor at all, embeddings far from the origin, and some that coincide."""

    def case(
        name: str,
        labels: list[int],
        criteria: tuple[str, ...],
        spread: float = 1.0,
        offset: float = 0.0,
        wide: float = 0.0,
    ) -> Case:
        order = rng.permutation(labels)
        centres = rng.normal(size=(10, 4))[order] * 0.7
        embeddings = offset + spread * (centres + rng.normal(size=(len(labels), 4)) * 0.6)
        margin = spread * float(rng.uniform(0.3, 0.6)) + wide
        return Case(name, {"embeddings": embeddings.astype(np.float32), "labels": order, "margin": margin}, criteria)

    twins = case("two coincide", [0, 0, 0, 3, 3, 5], ("stable",))
    first, second = np.flatnonzero(twins.inputs["labels"] == 3)
    twins.inputs["embeddings"][second] = twins.inputs["embeddings"][first]
    return [
        case("three classes", [0, 0, 0, 4, 4, 4, 7, 7, 7], ("value", "untouched")),
        case("classes far apart", [2, 2, 2, 9, 9, 9, 9, 5, 5, 5], ("value",), 5.0),
        case("lonely anchors", [1, 1, 1, 3, 4, 5, 5], ("lonely",), wide=2.0),
        case("all of different labels", [0, 1, 2, 3, 4], ("none",)),
        case("all of one label", [6, 6, 6, 6], ("none",)),
        case("far from the origin", [0, 0, 2, 2, 2, 8, 8, 8], ("stable",), 0.1, 500.0),
        twins,
    ]


def value(embeddings: np.ndarray, labels: np.ndarray, margin: float) -> float:
    """The right loss, anchor by anchor."""
    losses = []
    for i, label in enumerate(labels.tolist()):
        distance = {j: float(np.linalg.norm(embeddings[i] - embeddings[j])) for j in range(len(labels)) if j != i}
        positives = [distance[j] for j in distance if labels[j] == label]
        negatives = [distance[j] for j in distance if labels[j] != label]
        if positives and negatives:
            losses.append(max(0.0, margin + max(positives) - min(negatives)))
    return sum(losses) / len(losses) if losses else 0.0


def slopes(embeddings: np.ndarray, labels: np.ndarray, margin: float, step: float = 1e-6) -> np.ndarray:
    """The gradient by central differences."""
    found = np.zeros_like(embeddings)
    for index in np.ndindex(embeddings.shape):
        nudge = np.zeros_like(embeddings)
        nudge[index] = step
        found[index] = (value(embeddings + nudge, labels, margin) - value(embeddings - nudge, labels, margin)) / 2
    return found / step


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the loss, and its gradient where the probe can see it."""
    given = {**case.inputs, "embeddings": case.inputs["embeddings"].astype(np.float64)}
    name = case.criteria[0]
    found = [close(name, observed["loss"], value(**given), _("the loss, {case}").format(case=case.name), rtol=1e-3)]
    if "untouched" in case.criteria:
        found.append(holds("untouched", observed["kept"], _("the arrays you were given had other values afterwards")))
    if "gradient" not in observed:
        return found
    gradient = np.asarray(observed["gradient"])
    if case.name == "two coincide":
        return [
            *found,
            holds(name, bool(np.isfinite(gradient).all()), _("gradients are not finite where two coincide")),
        ]
    what = _("the gradient, {case}").format(case=case.name)
    return [*found, close(name, gradient, slopes(**given), what, rtol=1e-2, atol=1e-3)]


def probe_numpy(candidate, inputs):
    """The loss, and whether the arrays stayed as they were."""
    with np.errstate(all="ignore"):
        loss, kept = _watch.call(candidate, inputs["embeddings"], inputs["labels"], inputs["margin"])
    return {"loss": as_array(loss), "kept": kept}


def probe_pytorch(candidate, inputs):
    """The loss and its gradient, and whether the tensors stayed as they were."""
    import torch

    embeddings, labels = torch.tensor(inputs["embeddings"], requires_grad=True), torch.tensor(inputs["labels"])
    loss = candidate(embeddings, labels, inputs["margin"])
    if getattr(loss, "requires_grad", False):
        loss.backward()
    gradient = torch.zeros_like(embeddings) if embeddings.grad is None else embeddings.grad
    kept = np.array_equal(as_array(embeddings), inputs["embeddings"]) and np.array_equal(labels, inputs["labels"])
    return {"loss": as_array(loss), "gradient": as_array(gradient), "kept": kept}


SYMMETRIC = "distances and masks are symmetric: rows and columns say the same"
LARGER = "the larger of two numbers is the larger in either order"
PAIRS = "an anchor's positive is an anchor too, so there are none or at least two"

EXERCISE = Exercise(
    id="triplet-loss",
    title=_("Triplet loss, the hardest of the batch"),
    lesson="11_interview_clinic",
    minutes=18,
    difficulty=4,
    points=4,
    statement=_(
        "Write `triplet_loss(embeddings, labels, margin)` with batch-hard mining. For each anchor: margin plus the "
        "Euclidean distance to the farthest other example of its label, less that to the nearest of another label, at "
        "least 0. Average over anchors that have both, losses of 0 included; without any the loss is 0. It must stay "
        "right far from the origin and, with gradients, where two embeddings coincide. No loop over triplets."
    ),
    hints=(
        _("All pairs fit into one (N, N) matrix of distances. Which entries are positives, which are negatives?"),
        _("Make masks from labels[:, None] == labels; an example is not its own positive."),
        _("Fill what is masked so that max or min overlooks it; keep the rows that have both."),
    ),
    follow_ups=(
        FollowUp(
            _("Why mine hard triplets, and what goes wrong with the hardest of a very large set?"),
            _(
                "Most random triplets already satisfy the margin and give no gradient. The hardest of everything are "
                "often mislabelled or odd, and training on them collapses; the hardest within a small batch are only "
                "moderately hard (Hermans et al., 2017), as is semi-hard mining (Schroff et al., 2015)."
            ),
        ),
        FollowUp(
            _("Training settles at a loss that equals the margin. What has happened?"),
            _(
                "All embeddings have collapsed onto one point: both distances are 0, the margin remains. Lower the "
                "learning rate, begin with easier negatives or the soft margin, and normalise the embeddings."
            ),
        ),
        FollowUp(
            _("Your batch has 4,096 examples of 512 dimensions. Where does the memory go, and what would you change?"),
            _(
                "Differences of all pairs take N²·D numbers, 34 GB in float32. The matrix product form needs N² only, "
                "67 MB; centre or normalise the embeddings first so that little cancels, and compute in float32 or "
                "better."
            ),
        ),
    ),
    complexity=_("O(N²·D) time. O(N²·D) extra memory for the differences; O(N²) with a matrix product."),
    criteria={
        "value": Criterion(_("takes the hardest positive and negative of each anchor"), weight=2),
        "lonely": Criterion(_("leaves out anchors without a positive")),
        "none": Criterion(_("gives 0 without any anchor"), needs=("value",)),
        "stable": Criterion(_("is right far from the origin and where embeddings coincide")),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"loop": code.NUMPY_LOOP, "masked arrays": code.NUMPY_MASKED},
            mistakes=code.mistakes("numpy"),
            equivalent={
                "farthest = np.where(positive, distances, 0).max(axis=0)": SYMMETRIC,
                "nearest = np.where(same, np.inf, distances).min(axis=0)": SYMMETRIC,
                "counted = positive.any(axis=0) & ~same.all()": SYMMETRIC,
                "losses = np.maximum(0, margin + farthest[counted] - nearest[counted])": LARGER,
                "return losses.sum() / max(1, counted.sum())": LARGER,
                "return losses.sum() / max(counted.sum(), 2)": PAIRS,
            },
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"loop": code.PYTORCH_LOOP, "picked": code.PYTORCH_PICKED},
            mistakes=code.mistakes("pytorch"),
            equivalent={
                "farthest = distances.masked_fill(~positive, 0).amax(dim=0)": SYMMETRIC,
                "nearest = distances.masked_fill(same, torch.inf).amin(dim=0)": SYMMETRIC,
                "counted = positive.any(dim=0) & ~same.all()": SYMMETRIC,
                "return losses.sum() / counted.sum().clamp(min=2)": PAIRS,
            },
        ),
    },
)
