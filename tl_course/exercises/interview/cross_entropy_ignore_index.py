"""Cross-entropy over positions, some of which do not count."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _ignore_index_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Rows of unequal length under three indices, one position or none that counts, and large logits."""

    def case(name: str, ignore_index: int, lengths: list[int], *criteria: str, scale: float = 2.0) -> Case:
        shape = (len(lengths), 6)
        labels = rng.integers(1, 4, size=shape)  # 0 stays free: it may be the index to ignore
        if ignore_index < 0:
            labels[0, 0] = 0
        labels[np.arange(6) >= np.array(lengths)[:, None]] = ignore_index
        logits = (scale * rng.normal(size=(*shape, 4))).astype(np.float32)
        if name == "padded":  # certain and right: a loss of 0 that counts
            logits[1, 0] = 60 * (np.arange(4) == labels[1, 0])
        return Case(name, {"logits": logits, "labels": labels, "ignore_index": ignore_index}, criteria)

    return [
        case("padded", -100, [6, 2, 4], "value", "untouched"),
        case("index -1", -1, [3, 5, 1, 6], "index"),
        case("index 0", 0, [6, 1, 3], "index"),
        case("nothing ignored", -100, [6, 6], "value"),
        case("one position counts", -100, [0, 1], "value"),
        case("all ignored", -100, [0, 0, 0], "none"),
        case("large logits", -100, [4, 6, 0], "stable", scale=400.0),
    ]


def expected(logits: np.ndarray, labels: np.ndarray, ignore_index: int) -> tuple[float, np.ndarray]:
    """The right loss and its gradient, position by position."""
    losses, gradient = [], np.zeros(logits.shape)
    for place in zip(*np.nonzero(labels != ignore_index), strict=True):
        scores, label = logits[place].astype(np.float64), labels[place]
        losses.append(np.logaddexp.reduce(scores - scores[label]))
        gradient[place] = np.exp(scores - np.logaddexp.reduce(scores)) - (np.arange(len(scores)) == label)
    return sum(losses) / max(len(losses), 1), gradient / max(len(losses), 1)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the loss, and its gradient where the probe can see it."""
    name, (loss, gradient) = case.criteria[0], expected(**case.inputs)
    found = [close(name, observed["loss"], loss, _("the loss, {case}").format(case=case.name))]
    if "gradient" in observed:
        what = _("the gradient by the logits, {case}").format(case=case.name)
        found.append(close(name, observed["gradient"], gradient, what))
    if "untouched" in case.criteria:
        found.append(holds("untouched", observed["kept"], _("logits or labels had other values afterwards")))
    return found


def probe_numpy(candidate, inputs):
    """The loss, and whether the arrays stayed as they were."""
    with np.errstate(all="ignore"):
        loss, kept = _watch.call(candidate, inputs["logits"], inputs["labels"], inputs["ignore_index"])
    return {"loss": as_array(loss), "kept": kept}


def probe_pytorch(candidate, inputs):
    """The loss and its gradient, and whether the tensors stayed as they were."""
    import torch

    logits, labels = torch.tensor(inputs["logits"], requires_grad=True), torch.tensor(inputs["labels"])
    loss = candidate(logits, labels, inputs["ignore_index"])
    if getattr(loss, "requires_grad", False):
        loss.backward()
    gradient = torch.zeros_like(logits) if logits.grad is None else logits.grad
    kept = np.array_equal(as_array(logits), inputs["logits"]) and np.array_equal(as_array(labels), inputs["labels"])
    return {"loss": as_array(loss), "gradient": as_array(gradient), "kept": kept}


def probe_keras(candidate, inputs):
    """The loss and its gradient."""
    import tensorflow as tf

    logits, labels = tf.constant(inputs["logits"]), tf.constant(inputs["labels"])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = candidate(logits, labels, inputs["ignore_index"])
    gradient = tape.gradient(loss, logits) if tf.is_tensor(loss) else None
    found = np.zeros_like(inputs["logits"]) if gradient is None else as_array(tf.convert_to_tensor(gradient))
    return {"loss": as_array(loss), "gradient": found, "kept": True}


LARGER = "the larger of two numbers is the larger in either order"
ANY_CLASS = "where nothing counts, any class will do"

EXERCISE = Exercise(
    id="cross-entropy-ignore-index",
    title=_("Cross-entropy where not everything counts"),
    lesson="11_interview_clinic",
    minutes=12,
    difficulty=2,
    points=4,
    statement=_(
        "Write `cross_entropy(logits, labels, ignore_index)` for token labelling: logits (N, L, K), integer labels "
        "(N, L). Positions labelled `ignore_index`, any integer and perhaps one of 0..K-1, do not count. Return the "
        "mean loss over the positions that count, taken over the whole batch at once, and 0 (not NaN) if none counts. "
        "It is right for logits of several hundred. Where there are gradients, ignored positions get none."
    ),
    hints=(
        _("First decide which positions count; a label such as -100 must never be used to look up a logit."),
        _("Either pick out the positions that count, or give the others a harmless class and the weight 0."),
        _("Loss of a position: log-sum-exp less the right logit. Sum what counts and divide by at least 1."),
    ),
    follow_ups=(
        FollowUp(
            _("You accumulate gradients over four micro-batches. Why is the mean of four means wrong here?"),
            _(
                "The micro-batches have different numbers of positions that count, so tokens of the sparse ones weigh "
                "more. Add up the losses and divide by the number of positions in all four, known beforehand."
            ),
        ),
        FollowUp(
            _("What does the mean over the batch do differently from a mean per text?"),
            _(
                "Each token weighs the same, so long texts dominate; the mean per text weighs texts the same, and a "
                "token of a short one more. Neither is wrong, but learning rates found with one do not carry over to "
                "the other."
            ),
        ),
        FollowUp(
            _("Most positions are ignored, as in masked language modelling, and K is 250,000. What do you save?"),
            _(
                "Pick out the hidden states of the positions that count before the output layer: the logits then "
                "have C rows instead of N·L, about a seventh at 15 % masking, in time and in memory alike."
            ),
        ),
    ),
    complexity=_(
        "O(N·L·K) time; O(C·K) extra memory for the C positions that count (O(N·L·K) where they are weighted)."
    ),
    criteria={
        "value": Criterion(_("averages over the positions that count, in the whole batch"), weight=2),
        "index": Criterion(_("ignores whatever index it is told to")),
        "none": Criterion(_("gives 0 where nothing counts"), needs=("value",)),
        "stable": Criterion(_("stays right for large logits")),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"where": code.NUMPY_WHERE, "loop": code.NUMPY_LOOP},
            mistakes=code.mistakes("numpy"),
            equivalent={"return losses.sum() / max(1, len(right))": LARGER},
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"flat": code.PYTORCH_FLAT, "gather": code.PYTORCH_GATHER},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"one-hot": code.KERAS_ONE_HOT, "tensorflow": code.KERAS_TENSORFLOW},
            mistakes=code.mistakes("keras"),
            equivalent={
                "return ops.sum(losses * weights) / ops.maximum(1, ops.sum(weights))": LARGER,
                "counted = ops.not_equal(ignore_index, labels)": "inequality is symmetric",
                "classes = ops.where(counted, labels, 1)": ANY_CLASS,
            },
        ),
    },
)
