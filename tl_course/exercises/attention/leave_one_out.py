"""How much a prediction changes when a token is hidden."""

from typing import Any

import numpy as np

from tl_course.exercises.attention import _leave_one_out_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
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

MASK = 4


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts of unequal length for which the model predicts different classes, and changes its mind."""
    while True:
        inputs: dict[str, Any] = {"encoder": draw_encoder(rng), "head": draw_head(rng), "mask_id": MASK}
        inputs["ids"], inputs["mask"] = draw_texts(rng, [7, 3, 5, 4])
        whole, without = probabilities(inputs)
        best = whole.argmax(axis=1)
        others = (without.argmax(axis=2) != best[:, None])[inputs["mask"] == 1]
        drops = whole[np.arange(4), best][:, None] - without[np.arange(4), :, best]
        if best[0] != 0 and len(set(best)) > 1 and others.any() and (drops[inputs["mask"] == 1] < -0.02).any():
            break
    return [Case("texts", inputs, ("value", "padding", "inputs"))]


def probabilities(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray]:
    """Of the whole texts (N, K), and with each place hidden (N, L, K)."""
    ids = inputs["ids"]
    whole = mean_logits(inputs["encoder"], inputs["head"], ids, inputs["mask"])
    hidden = [np.where(np.arange(ids.shape[1]) == place, inputs["mask_id"], ids) for place in range(ids.shape[1])]
    without = [mean_logits(inputs["encoder"], inputs["head"], changed, inputs["mask"]) for changed in hidden]
    return softmax(whole), softmax(np.stack(without, axis=1))


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the differences calculated text by text."""
    inputs, scores = case.inputs, np.asarray(observed["scores"])
    whole, without = probabilities(inputs)
    texts, best = np.arange(len(whole)), whole.argmax(axis=1)
    right = (whole[texts, best][:, None] - without[texts, :, best]) * inputs["mask"]
    padding = scores.shape == right.shape and not scores[inputs["mask"] == 0].any()
    return [
        close("value", scores, right, _("the scores"), atol=1e-4),
        holds("padding", padding, _("some padding has a score")),
        holds("inputs", observed["kept"], _("your function changed the token ids or the mask it was given")),
    ]


def probe_pytorch(candidate, inputs):
    """The scores, and whether ids and mask are as before."""
    import torch

    encoder, head = torch_encoder(inputs["encoder"]).eval(), torch_head(inputs["head"])

    def model(input_ids, attention_mask):
        kept = attention_mask.unsqueeze(-1)
        hidden = encoder(input_ids, attention_mask).last_hidden_state * kept
        return head(hidden.sum(dim=1) / kept.sum(dim=1).clamp(min=1))

    ids, mask = torch.tensor(inputs["ids"]), torch.tensor(inputs["mask"])
    scores = as_array(candidate(model, ids, mask, inputs["mask_id"]))
    return {"scores": scores, "kept": _same(inputs, as_array(ids), as_array(mask))}


def probe_keras(candidate, inputs):
    """The scores; tensors of TensorFlow cannot be changed."""
    from keras import ops

    encoder, head = keras_encoder(inputs["encoder"]), keras_head(inputs["head"])

    def model(input_ids, attention_mask):
        kept = ops.cast(attention_mask, "float32")[..., None]
        hidden = encoder(input_ids, attention_mask).last_hidden_state * kept
        return head(ops.sum(hidden, axis=1) / ops.maximum(ops.sum(kept, axis=1), 1.0))

    ids, mask = ops.convert_to_tensor(inputs["ids"]), ops.convert_to_tensor(inputs["mask"])
    scores = as_array(candidate(model, ids, mask, inputs["mask_id"]))
    return {"scores": scores, "kept": _same(inputs, as_array(ids), as_array(mask))}


def _same(inputs: dict[str, Plain], ids: np.ndarray, mask: np.ndarray) -> bool:
    return np.array_equal(ids, inputs["ids"]) and np.array_equal(mask, inputs["mask"])


EXERCISE = Exercise(
    id="leave-one-out",
    title=_("What if this word were not there?"),
    lesson="07_attention",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Attention says where a model looks; leaving a token out says what it needs. Write "
        "`leave_one_out_scores(model, input_ids, attention_mask, mask_id)`, where `model(ids, mask)` gives logits: for "
        "each token the probability of the class predicted for the whole text, minus that same class's probability "
        "when the token is replaced by `mask_id`. Return shape (N, L), 0 for padding. A token that speaks against the "
        "class has a negative score. Leave ids and mask as they are."
    ),
    hints=(
        _("Hide one place at a time, in all texts at once, and ask the model again."),
        _("Which class you ask about is decided once, by the whole text. Where must the next place start from?"),
        _(
            "For each place: a fresh copy of the ids with mask_id there, softmax of the logits, and the difference in "
            "the column of the class predicted at first."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Two words say the same ('great', 'wonderful'). What do their scores show, and what would help?"),
            _(
                "Hiding either changes little, as the other one is still there, so both look unimportant. Hide groups, "
                "or average over random sets of hidden tokens, as Shapley values and LIME do, at the price of many "
                "more passes."
            ),
        ),
        FollowUp(
            _("Replace by [MASK], delete, or take out of the attention mask: does it matter?"),
            _(
                "Yes: each makes another text, and models react to unusual ones. [MASK] keeps the positions and was "
                "seen in pretraining, but not in fine-tuning; deletion moves all that follows. Report which one was "
                "used, and compare rankings between them."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the drop in the predicted class's probability"), weight=2),
        "padding": Criterion(_("gives padding a score of 0"), needs=("value",)),
        "inputs": Criterion(_("leaves ids and mask as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"one batch": code.PYTORCH_BATCHED, "text by text": code.PYTORCH_TEXTS},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"one batch": code.KERAS_BATCHED, "text by text": code.KERAS_TEXTS},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "L + 1 forward passes of the whole batch, N·(L + 1) texts in all, which dominate; a gradient needs one forward "
        "and one backward pass. Memory: one pass at a time without a graph, and O(N·L) for the scores."
    ),
)
