"""Find the fault: a causal language model whose loss falls to nothing and that repeats itself for ever."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.pretraining._next_token_code import variant
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Full texts; texts of several lengths; and a model that knows each next token, or each token it reads."""
    full, ids = np.ones((3, 5), dtype=np.int64), rng.integers(0, 6, size=(3, 5))
    lengths = np.array([[5], [2], [int(rng.integers(3, 5))]])
    padded = (np.arange(5) < lengths).astype(np.int64)
    logits = [rng.normal(size=(3, 5, 6)).astype(np.float32) * 2 for _text in range(2)]
    ids[:, 1:] = np.where(ids[:, 1:] == ids[:, :-1], (ids[:, 1:] + 1) % 6, ids[:, 1:])
    after = np.append(ids[:, 1:], ids[:, :1], axis=1)
    knows, repeats = (10 * np.eye(6, dtype=np.float32)[tokens] for tokens in (after, ids))
    return [
        Case("no padding", {"logits": logits[0], "ids": ids, "attention_mask": full}, ("value",)),
        Case("padding", {"logits": logits[1], "ids": ids, "attention_mask": padded}, ("padding", "gradient")),
        Case("it knows", {"logits": knows, "ids": ids, "attention_mask": full}, ("knows",)),
        Case("it repeats", {"logits": repeats, "ids": ids, "attention_mask": full}, ("knows",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[float, np.ndarray]:
    """The loss and its gradient by the logits, token by token."""
    logits, ids = inputs["logits"].astype(np.float64), inputs["ids"]
    gradient, losses = np.zeros_like(logits), []
    for text, length in enumerate(inputs["attention_mask"].sum(axis=1)):
        for place in range(1, length):
            guess = logits[text, place - 1]
            shares = np.exp(guess - guess.max())
            shares /= shares.sum()
            losses.append(-np.log(shares[ids[text, place]]))
            gradient[text, place - 1] = shares - np.eye(len(shares))[ids[text, place]]
    return float(np.mean(losses)), gradient / len(losses)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare value and gradient, and what two easily told models get."""
    loss, gradient = expected(case.inputs)
    found = [close(case.criteria[0], observed["loss"], loss, _("the loss, {name}").format(name=case.name))]
    if case.criteria[0] == "knows" and not found[0].passed and np.shape(observed["loss"]) == ():
        texts = {
            "it knows": _(
                "a model that gives each next token its due should get {right:.3g}; yours gives it {loss:.3g}"
            ),
            "it repeats": _("a model that only repeats what it read should get {right:.3g}; yours gives it {loss:.3g}"),
        }
        message = texts[case.name].format(right=loss, loss=float(observed["loss"]))
        found = [holds("knows", False, message)]
    if case.name != "padding":
        return found
    flows = holds("gradient", np.asarray(observed["gradient"]).size > 0, _("no gradient reaches the logits"))
    return [*found, flows, close("gradient", observed["gradient"], gradient, _("the gradient by the logits"))]


def probe_pytorch(candidate, inputs):
    """The loss and its gradient by the logits."""
    import torch

    logits = torch.tensor(inputs["logits"], requires_grad=True)
    loss = candidate(logits, torch.tensor(inputs["ids"]), torch.tensor(inputs["attention_mask"]))
    value = as_array(loss)
    if value.shape == () and getattr(loss, "requires_grad", False):
        loss.backward()
    return {"loss": value, "gradient": as_array([] if logits.grad is None else logits.grad)}


def probe_keras(candidate, inputs):
    """The loss and its gradient by the logits."""
    import tensorflow as tf

    logits = tf.constant(inputs["logits"])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = candidate(logits, tf.constant(inputs["ids"]), tf.constant(inputs["attention_mask"]))
    value = as_array(loss)
    gradient = tape.gradient(loss, logits) if value.shape == () and tf.is_tensor(loss) else None
    return {"loss": value, "gradient": as_array([] if gradient is None else gradient)}


EXERCISE = Exercise(
    id="next-token-loss",
    title=_("The parrot"),
    lesson="02_pretraining",
    kind="find-the-fault",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "A small causal language model reaches a loss of 0.001 on text it has never seen. Asked to go on with a "
        "sentence, it repeats the last word for ever. Its causal mask is right. Find the fault in `causal_lm_loss`, "
        "fix it, and prove it: the mean cross-entropy over all tokens that have one before them, padding left out, in "
        "batches with and without padding."
    ),
    hints=(
        _("Take a text of three tokens. Which logits have seen what, and which token should each of them predict?"),
        _("The last position's logits have no answer in the text, and the first token is predicted by nothing."),
        _("Compare logits up to the last but one with ids from the second on. Which of the two does padding go with?"),
    ),
    follow_ups=(
        FollowUp(
            _("Hugging Face models take `labels=input_ids`. Why is that no such fault?"),
            _(
                "They shift inside: logits up to the last but one are compared with labels from the second on. Who "
                "shifts the labels as well trains the model to predict two tokens ahead."
            ),
        ),
        FollowUp(
            _("How is this loss related to perplexity, and what is the perplexity of guessing evenly?"),
            _(
                "Perplexity is the exponential of the mean loss in nats; guessing evenly over V tokens gives V. Two "
                "models compare only with the same tokenizer, since the mean is taken per token."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("each token is predicted from those before it"), weight=2),
        "padding": Criterion(_("padding is not predicted")),
        "gradient": Criterion(_("gradients flow and are right"), needs=("padding",)),
        "knows": Criterion(_("foresight is rewarded and repetition is not")),
    },
    cases=cases,
    judge=judge,
    variants={"pytorch": variant("pytorch", probe_pytorch), "keras": variant("keras", probe_keras)},
    complexity=_(
        "O(N·L·V) time and memory, with the fault and without. For a vocabulary of tens of thousands the logits and "
        "copies of them are often the largest arrays of the step."
    ),
)
