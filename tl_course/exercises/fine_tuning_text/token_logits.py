"""Find the fault: the loss runs over every token, and the classifier is asked for one class a text."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text import _token_logits_code as code
from tl_course.exercises.fine_tuning_text._tiny_encoder import (
    draw_encoder,
    draw_head,
    draw_texts,
    keras_encoder,
    keras_head,
    mean_logits,
    softmax,
    torch_encoder,
    torch_head,
)
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """A padded batch of texts of three classes, and the same texts with more padding."""
    ids, mask = draw_texts(rng, [7, 3, 5, 4, 2])
    inputs = {"encoder": draw_encoder(rng), "head": draw_head(rng), "ids": ids, "mask": mask}
    return [Case("batch", {**inputs, "labels": rng.integers(0, 3, size=5)}, ("loss", "logits", "padding", "gradient"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with logits and loss calculated text by text."""
    inputs = case.inputs
    logits = mean_logits(inputs["encoder"], inputs["head"], inputs["ids"], inputs["mask"])
    loss = -np.log(softmax(logits)[np.arange(len(logits)), inputs["labels"]]).mean()
    same = np.shape(observed["loss"]) == () and np.allclose(observed["loss"], observed["loss padded"], atol=1e-4)
    message = _("with {more} more columns of padding the loss is {after}, before it was {before}")
    before, after = (np.round(np.asarray(observed[name]), 4) for name in ("loss", "loss padded"))
    return [
        close("loss", observed["loss"], loss, _("the loss"), atol=1e-4),
        close("logits", observed["logits"], logits, _("the logits"), atol=1e-4),
        holds("padding", same, message.format(more=MORE, before=before, after=after)),
        holds("gradient", observed["gradient"], _("the loss gives the encoder no gradient")),
    ]


MORE = 3  # columns of padding


def _padded(array: np.ndarray, value: int) -> np.ndarray:
    return np.pad(array, ((0, 0), (0, MORE)), constant_values=value)


def _pair(result):
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotPlain(_("two things were expected: the loss and the logits"))
    return result


def probe_pytorch(candidate, inputs):
    """Loss, logits and the encoder's gradient; the loss once more with longer padding."""
    import torch

    encoder, head = torch_encoder(inputs["encoder"]), torch_head(inputs["head"])
    labels = torch.tensor(inputs["labels"])
    loss, logits = _pair(candidate(encoder, head, torch.tensor(inputs["ids"]), torch.tensor(inputs["mask"]), labels))
    wide = torch.tensor(_padded(inputs["ids"], 1)), torch.tensor(_padded(inputs["mask"], 0))
    again = _pair(candidate(encoder, head, *wide, labels))[0]
    if isinstance(loss, torch.Tensor) and loss.requires_grad and loss.ndim == 0:
        loss.backward()
    gradient = encoder.weights["query"].grad
    return {
        "loss": as_array(loss),
        "logits": as_array(logits),
        "loss padded": as_array(again),
        "gradient": gradient is not None and bool(gradient.abs().sum() > 0),
    }


def probe_keras(candidate, inputs):
    """Loss, logits and the encoder's gradient; the loss once more with longer padding."""
    import tensorflow as tf
    from keras import ops

    encoder, head = keras_encoder(inputs["encoder"]), keras_head(inputs["head"])
    ids, mask, labels = (ops.convert_to_tensor(inputs[name]) for name in ("ids", "mask", "labels"))
    with tf.GradientTape() as tape:
        loss, logits = _pair(candidate(encoder, head, ids, mask, labels))
    wide = ops.convert_to_tensor(_padded(inputs["ids"], 1)), ops.convert_to_tensor(_padded(inputs["mask"], 0))
    again = _pair(candidate(encoder, head, *wide, labels))[0]
    gradient = tape.gradient(loss, encoder.query.value) if tf.is_tensor(loss) else None
    return {
        "loss": as_array(loss),
        "logits": as_array(logits),
        "loss padded": as_array(again),
        "gradient": gradient is not None and bool(np.abs(as_array(gradient)).sum() > 0),
    }


EXERCISE = Exercise(
    id="token-logits",
    title=_("One class for a text, not for a token"),
    lesson="05_fine_tuning_text",
    kind="find-the-fault",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "The first version of this loss stopped with a message about shapes, and a colleague made it run. Now the loss "
        "of the same texts changes with the padding of their batch, and the caller, who needs one row of logits per "
        "text, gets a table of tokens. Find the fault in `text_loss`, fix it, and prove it: the head reads the mean of "
        "a text's real token vectors; return the mean cross-entropy over texts and logits of shape (N, K)."
    ),
    hints=(
        _("Write the shape behind every line. Where should the axis of tokens end?"),
        _("The encoder gives L vectors per text, the labels one class. Something must turn L vectors into one."),
        _("Average each text's vectors with the mask, padding in neither sum nor count; only then comes the head."),
    ),
    follow_ups=(
        FollowUp(
            _("For which task is a loss over (N, L, K) logits right, and what then belongs in the padding?"),
            _(
                "For labelling tokens, such as named entities, where each token has its own class. Padding, special "
                "tokens and, usually, all but the first piece of a word get the label -100, which PyTorch's "
                "cross-entropy leaves out of sum and count."
            ),
        ),
        FollowUp(
            _("`cross_entropy(hidden[:, 0], labels)` runs without any error. Why, and what does the model learn?"),
            _(
                "Every label is smaller than the hidden size, so the features pass for logits of hundreds of classes. "
                "Training pushes up the features that happen to have the labels' numbers; it even works a little, "
                "which hides the missing head."
            ),
        ),
    ),
    criteria={
        "loss": Criterion(_("is the mean cross-entropy over texts"), weight=2),
        "logits": Criterion(_("gives one row of logits for each text")),
        "padding": Criterion(_("does not depend on the length of the padding"), needs=("loss",)),
        "gradient": Criterion(_("lets the encoder learn"), needs=("loss",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"mean of token logits": code.PYTORCH_TOKEN_MEAN, "loop": code.PYTORCH_LOOP},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"mean of token logits": code.KERAS_TOKEN_MEAN, "loop": code.KERAS_LOOP},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "The encoder's forward pass dominates: in each layer O(N·L²·D + N·L·D²). Pooling adds O(N·L·D); the head, run "
        "once for each text and not for each token, O(N·D·K)."
    ),
)
