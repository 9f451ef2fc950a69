"""Find the fault: a masked language model with an excellent loss that cannot fill a gap."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.pretraining._masked_lm_code import variant
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """One token hidden, many, and none; the model's logits come from two tables."""

    def draw(share: float) -> dict[str, Plain]:
        tables = {"by_token": rng.normal(size=(9, 9)) * 2, "by_place": rng.normal(size=(5, 9))}
        ids, chosen = rng.integers(0, 8, size=(4, 5)), rng.random((4, 5)) < share
        arrays = {name: table.astype(np.float32) for name, table in tables.items()}
        return {**arrays, "ids": ids, "chosen": chosen, "mask_id": 8}

    one = draw(0.0)
    one["chosen"][tuple(rng.integers(0, 4, size=2))] = True
    return [
        Case("many hidden", draw(0.5), ("value", "gradient", "input")),
        Case("one hidden", one, ("share",)),
        Case("none hidden", draw(0.0), ("none",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss, its gradient by the logits (N, L, V), and what the model should get."""
    given = inputs["ids"].copy()
    given[inputs["chosen"]] = inputs["mask_id"]
    logits = inputs["by_token"].astype(np.float64)[given] + inputs["by_place"][: given.shape[1]]
    log_p = logits - logits.max(axis=2, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=2, keepdims=True))
    places, gradient = np.argwhere(inputs["chosen"]), np.zeros_like(logits)
    total = 0.0
    for text, place in places:
        token = inputs["ids"][text, place]
        total -= log_p[text, place, token]
        gradient[text, place] = np.exp(log_p[text, place])
        gradient[text, place, token] -= 1
    count = max(len(places), 1)
    return total / count, gradient / count, given


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare loss and gradient, and tell how much the visible tokens weigh."""
    loss, gradient, given = expected(case.inputs)
    criterion = case.criteria[0]
    found = [close(criterion, observed["loss"], loss, _("the loss, {name}").format(name=case.name))]
    if criterion != "value":
        return found
    seen = np.nan_to_num(np.asarray(observed["gradient"], dtype=np.float64), posinf=0, neginf=0)
    same = np.array_equal(observed["given"], given)
    found.append(holds("input", same, _("the model should see [MASK] where a token is hidden, and the rest as it is")))
    if seen.shape == gradient.shape:
        visible = np.abs(seen[~case.inputs["chosen"]]).sum() / max(np.abs(seen).sum(), 1e-12)
        text = _("{share:.0%} of the gradient comes from tokens that the model could simply copy")
        found.append(holds("gradient", visible < 1e-6, text.format(share=visible)))
    flows = holds("gradient", seen.size > 0, _("no gradient reaches the logits"))
    return [*found, flows, close("gradient", observed["gradient"], gradient, _("the gradient by the logits"))]


def probe_pytorch(candidate, inputs):
    """The loss, its gradient by the logits, and what the model was given."""
    import torch

    by_token, by_place = torch.tensor(inputs["by_token"]), torch.tensor(inputs["by_place"])
    given, logits = [], []

    def model(ids: torch.Tensor) -> torch.Tensor:
        given.append(ids.clone())
        logits.append((by_token[ids] + by_place[: ids.shape[1]]).requires_grad_())
        return logits[-1]

    loss = candidate(model, torch.tensor(inputs["ids"]), torch.tensor(inputs["chosen"]), inputs["mask_id"])
    value = as_array(loss)
    if value.shape == () and getattr(loss, "requires_grad", False):
        loss.backward()
    gradient = logits[0].grad if logits else None
    return {
        "loss": value,
        "gradient": as_array([] if gradient is None else gradient),
        "given": as_array(given[0] if given else []),
    }


def probe_keras(candidate, inputs):
    """The loss, its gradient by the logits, and what the model was given."""
    import tensorflow as tf

    by_token, by_place = tf.constant(inputs["by_token"]), tf.constant(inputs["by_place"])
    given, logits = [], []
    with tf.GradientTape() as tape:

        def model(ids):
            given.append(ids)
            logits.append(tf.gather(by_token, ids) + by_place[: ids.shape[1]])
            tape.watch(logits[-1])
            return logits[-1]

        loss = candidate(model, tf.constant(inputs["ids"]), tf.constant(inputs["chosen"]), inputs["mask_id"])
    value = as_array(loss)
    gradient = tape.gradient(loss, logits[0]) if value.shape == () and tf.is_tensor(loss) and logits else None
    return {
        "loss": value,
        "gradient": as_array([] if gradient is None else gradient),
        "given": as_array(given[0] if given else []),
    }


EXERCISE = Exercise(
    id="masked-lm-loss",
    title=_("Excellent loss, no idea"),
    lesson="02_pretraining",
    kind="find-the-fault",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "A masked language model reaches a loss of 0.3 within minutes. Asked to fill a gap, it offers the most "
        "frequent word whatever the sentence; fine-tuned, it is no better than a model from scratch. Find the fault in "
        "`guessing_loss`, fix it, and prove it: the loss is the mean over the hidden tokens, whatever their number, "
        "and gradients come from them alone. A batch in which nothing is hidden gives 0, not NaN."
    ),
    hints=(
        _("With a rate of 15 %, which tokens make up most of this mean? How hard are they to predict?"),
        _("A token that the model can see is no question. What should it weigh in the loss?"),
        _("Keep the loss of each token apart, set those that count nothing to zero, and divide by how many are left."),
    ),
    follow_ups=(
        FollowUp(
            _("A masked model learns from 15 % of its tokens in each pass, a causal one from all. Why use it at all?"),
            _(
                "Each prediction sees both sides, which makes better features for classification and tagging. The "
                "price is more passes for the same number of questions; ELECTRA asks about every token instead (is "
                "this one replaced?)."
            ),
        ),
        FollowUp(
            _("What would have shown the fault on the first day?"),
            _(
                "Compare with what a constant guess achieves: the entropy of the tokens' frequencies, about 6 nats for "
                "English words. A young model far below it is cheating. And look at accuracy on hidden tokens only."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("the loss is the mean over the hidden tokens"), weight=2),
        "gradient": Criterion(_("gradients come from the hidden tokens only"), needs=("value",)),
        "input": Criterion(_("the model sees [MASK] where a token is hidden"), weight=0.5, needs=("value",)),
        "share": Criterion(_("the loss does not depend on how many are hidden")),
        "none": Criterion(_("nothing hidden gives 0"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={"pytorch": variant("pytorch", probe_pytorch), "keras": variant("keras", probe_keras)},
    complexity=_(
        "O(N·L·V) time and memory for the cross-entropy, beside the model's own work. Only the hidden tokens count, so "
        "gathering them first (about one in seven in BERT) would save most of it."
    ),
)
