"""The contrastive loss: pick the other view of the same image out of the whole batch."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.pretraining import _contrastive_code as code
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Embeddings of random lengths; a low temperature, at which careless exponentials overflow."""
    inputs = {}
    for name in ("first", "second"):
        lengths = rng.uniform(0.3, 3, size=(5, 1))
        inputs[name] = (rng.normal(size=(5, 4)) * lengths).astype(np.float32)
    inputs["second"] += inputs["first"]
    temperature = float(rng.uniform(0.3, 0.8))
    return [
        Case("a batch", {**inputs, "temperature": temperature}, ("value", "gradient", "length", "order")),
        Case("a low temperature", {**inputs, "temperature": 0.005}, ("stable",)),
    ]


def expected(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """View by view: how surprised it is by its partner among all other views."""
    views, count = np.concatenate([first, second]).astype(np.float64), len(first)
    views /= np.sqrt((views**2).sum(axis=1, keepdims=True))
    losses = []
    for own in range(2 * count):
        scores = np.delete(views @ views[own], own) / temperature
        partner = views[(own + count) % (2 * count)] @ views[own] / temperature
        losses.append(np.log(np.exp(scores - scores.max()).sum()) + scores.max() - partner)
    return float(np.mean(losses))


def slope(first: np.ndarray, second: np.ndarray, temperature: float) -> np.ndarray:
    """The gradient by the first views, from small steps to both sides."""
    gradient, step = np.zeros(first.shape), 1e-5
    for place in np.ndindex(first.shape):
        move = np.zeros(first.shape)
        move[place] = step
        high, low = (expected(first + sign * move, second, temperature) for sign in (1, -1))
        gradient[place] = (high - low) / (2 * step)
    return gradient


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare value and gradient; lengths and the order of the images must not matter."""
    first, second, temperature = case.inputs["first"], case.inputs["second"], case.inputs["temperature"]
    right = expected(first, second, temperature)
    criterion = case.criteria[0]
    value = close(criterion, observed["loss"], right, _("the loss, {name}").format(name=case.name), rtol=1e-3)
    if criterion == "stable":
        return [value]
    flows = holds("gradient", np.asarray(observed["gradient"]).size > 0, _("no gradient reaches the embeddings"))
    longer = np.allclose(observed["longer"], observed["loss"], rtol=1e-3, equal_nan=True)
    order = np.allclose(observed["other order"], observed["loss"], rtol=1e-3, equal_nan=True)
    gradient = slope(first.astype(np.float64), second, temperature)
    return [
        value,
        flows,
        close("gradient", observed["gradient"], gradient, _("the gradient by `first`"), rtol=1e-2, atol=1e-4),
        holds("length", longer, _("embeddings three times as long gave another loss")),
        holds("order", order, _("the same pairs in another order gave another loss")),
    ]


def _with(observed: dict[str, Plain], candidate, inputs, tensor) -> dict[str, Plain]:
    def loss(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return as_array(candidate(tensor(first), tensor(second), inputs["temperature"]))

    first, second = inputs["first"], inputs["second"]
    return {**observed, "longer": loss(first * 3, second), "other order": loss(first[::-1].copy(), second[::-1].copy())}


def probe_pytorch(candidate, inputs):
    """The loss and its gradient by the first views; the loss for longer embeddings, and in another order."""
    import torch

    first = torch.tensor(inputs["first"], requires_grad=True)
    loss = candidate(first, torch.tensor(inputs["second"]), inputs["temperature"])
    value = as_array(loss)
    if value.shape == () and getattr(loss, "requires_grad", False):
        loss.backward()
    gradient = as_array([] if first.grad is None else first.grad)
    return _with({"loss": value, "gradient": gradient}, candidate, inputs, torch.tensor)


def probe_keras(candidate, inputs):
    """The loss and its gradient by the first views; the loss for longer embeddings, and in another order."""
    import tensorflow as tf

    first = tf.constant(inputs["first"])
    with tf.GradientTape() as tape:
        tape.watch(first)
        loss = candidate(first, tf.constant(inputs["second"]), inputs["temperature"])
    value = as_array(loss)
    gradient = tape.gradient(loss, first) if value.shape == () and tf.is_tensor(loss) else None
    gradient = as_array([] if gradient is None else gradient)
    return _with({"loss": value, "gradient": gradient}, candidate, inputs, tf.constant)


EXERCISE = Exercise(
    id="nt-xent",
    title=_("Find your other half"),
    lesson="02_pretraining",
    minutes=15,
    difficulty=4,
    points=5,
    statement=_(
        "Write `contrastive_loss(first, second, temperature)`, SimCLR's loss. Row i of `first` and row i of `second` "
        "embed two views of image i. Compare each of the 2N views with the 2N - 1 others by cosine similarity over "
        "`temperature`; its loss is the cross-entropy of picking its partner. Return the mean over all views, a scalar "
        "through which gradients flow. It is finite at a temperature of 0.005."
    ),
    hints=(
        _("Stack both views into 2N rows. One matrix then holds all similarities. Which entries must not count?"),
        _("Each row is a classification with 2N classes, one of them forbidden. Where does row i find its partner?"),
        _("Put a very low number on the diagonal; row i's class is i + N for the first half and i - N for the second."),
    ),
    follow_ups=(
        FollowUp(
            _("Why does SimCLR want large batches, and what does MoCo do instead?"),
            _(
                "The other images of the batch are the negatives: with few of them the task is easy and the features "
                "coarse. MoCo keeps a queue of earlier embeddings from a slowly moving encoder, so the number of "
                "negatives no longer depends on the batch."
            ),
        ),
        FollowUp(
            _("What does a low temperature do, and when does it hurt?"),
            _(
                "It concentrates the gradient on the most similar negatives. Among those are other images of the same "
                "class, which should be close, so too low a temperature pushes apart what belongs together."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("each view looks for its partner among all others"), weight=2),
        "gradient": Criterion(_("gradients flow and are right"), needs=("value",)),
        "length": Criterion(_("the embeddings' lengths do not matter"), weight=0.5, needs=("value",)),
        "order": Criterion(_("the order of the images does not matter"), weight=0.5, needs=("value",)),
        "stable": Criterion(_("stays finite and right at a low temperature")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"blocks": code.PYTORCH_BLOCKS, "loop": code.PYTORCH_LOOP},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"blocks": code.KERAS_BLOCKS, "tensorflow": code.KERAS_TENSORFLOW},
            mistakes=code.mistakes("keras"),
            equivalent={
                "scores = cosine / temperature - 2000000000.0 * ops.eye(num_views)": "as low as makes no difference"
            },
        ),
    },
    complexity=_(
        "O(N²·D) time and O(N·D + N²) memory: 4·N² similarities of 2N views. So it grows with the square of the batch, "
        "yet the encoder's work for 2N views dominates until N is very large."
    ),
)
