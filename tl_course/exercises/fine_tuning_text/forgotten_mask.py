"""Find the fault: a text's probabilities depend on the other texts of its batch."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text import _forgotten_mask_code as code
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

PAD = 5


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts of unequal length in one batch; id 0 is a word, and the padding has another id."""
    ids, mask = draw_texts(rng, [8, 3, 6, 2, 4])
    ids = np.where(mask == 1, ids, PAD)
    ids[:, 1] = 0
    inputs = {"encoder": draw_encoder(rng), "head": draw_head(rng), "ids": ids, "mask": mask}
    return [Case("batch", inputs, ("value", "company", "padding"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with probabilities calculated text by text, and the texts' own in other company."""
    inputs = case.inputs
    right = softmax(mean_logits(inputs["encoder"], inputs["head"], inputs["ids"], inputs["mask"]))
    batch, alone, padded = (np.asarray(observed[name]) for name in ("batch", "alone", "padded"))
    text = _("in the batch, a text's probability of a class differs by up to {gap:.0%} from what it gets alone")
    gap = float(np.abs(batch - alone).max()) if batch.shape == alone.shape else 1.0
    same = padded.shape == batch.shape and np.allclose(padded, batch, atol=1e-4)
    return [
        close("value", batch, right, _("the probabilities"), atol=1e-4),
        holds("company", gap < 1e-4, text.format(gap=gap)),
        holds("padding", same, _("other ids in the padding changed the probabilities")),
        holds("padding", observed["kept"], _("your function changed the batch it was given")),
    ]


def _observe(candidate, inputs, convert) -> dict[str, Plain]:
    """A batch, its texts one by one without padding, and the batch with other ids in its padding."""
    ids, mask = inputs["ids"], inputs["mask"]

    kept = []

    def predict(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        arrays = {"input_ids": ids, "token_type_ids": np.zeros_like(ids), "attention_mask": mask}
        batch = {name: convert(array) for name, array in arrays.items()}
        result = as_array(candidate(batch))
        kept.append(all(np.array_equal(as_array(batch[name]), arrays[name]) for name in arrays))
        return result

    alone = [predict(text[row == 1][None], row[row == 1][None]) for text, row in zip(ids, mask, strict=True)]
    other = predict(np.where(mask == 1, ids, PAD + 2), mask)
    return {"batch": predict(ids, mask), "alone": np.concatenate(alone), "padded": other, "kept": all(kept)}


def probe_pytorch(candidate, inputs):
    """Probabilities in company and alone."""
    import torch

    encoder, head = torch_encoder(inputs["encoder"]).eval(), torch_head(inputs["head"])
    return _observe(lambda batch: candidate(encoder, head, batch), inputs, torch.tensor)


def probe_keras(candidate, inputs):
    """Probabilities in company and alone."""
    from keras import ops

    encoder, head = keras_encoder(inputs["encoder"]), keras_head(inputs["head"])
    return _observe(lambda batch: candidate(encoder, head, batch), inputs, ops.convert_to_tensor)


EXERCISE = Exercise(
    id="forgotten-mask",
    title=_("It depends on the company"),
    lesson="05_fine_tuning_text",
    kind="find-the-fault",
    minutes=8,
    difficulty=2,
    points=4,
    statement=_(
        "A service classifies texts in batches. Customers complain that the same short text gets another probability "
        "whenever a long one happens to be in its batch; sent alone, it gets the one from validation. Find the fault "
        "in `predict_proba`, fix it, and prove it: a text's probabilities are those it gets alone and without padding, "
        "whatever ids stand in the padding. The encoder is in inference mode already."
    ),
    hints=(
        _("Follow one real token through the encoder. Which positions does it mix with?"),
        _("The mask must act in two places. It is used in one of them."),
        _("Look at what the encoder's `attention_mask` is when nobody passes it, and pass it by name."),
    ),
    follow_ups=(
        FollowUp(
            _("Average accuracy may hardly fall without the mask. Why is the fault hard to notice, and dangerous?"),
            _(
                "Attention to padding is spread thinly and training with the same fault adapts to it, so averages look "
                "fine. But answers now depend on the batch: they cannot be reproduced, short texts beside long ones "
                "suffer most, and tests with one text each never show it."
            ),
        ),
        FollowUp(
            _("How would you test a text service for such faults without knowing its code?"),
            _(
                "Send the same texts alone, in batches of other texts, and in another order: all answers must agree "
                "within rounding. The same test finds dropout that is active and statistics taken from the batch."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the right probabilities"), weight=2),
        "company": Criterion(_("gives a text in a batch what it gets alone"), needs=("value",)),
        "padding": Criterion(_("does not depend on what stands in the padding"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"keywords": code.PYTORCH_KEYWORDS, "one by one": code.PYTORCH_ALONE},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"keywords": code.KERAS_KEYWORDS, "one by one": code.KERAS_ALONE},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "One forward pass of the encoder dominates: in each layer O(N·L²·D + N·L·D²) time, with the fault and without, "
        "as padding is computed all the same. Pooling adds O(N·L·D), the head O(N·D·K)."
    ),
)
