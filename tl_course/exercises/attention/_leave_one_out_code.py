"""The code of the exercise on leaving tokens out: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
from collections.abc import Callable

import torch


@torch.no_grad()
def leave_one_out_scores(
    model: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    mask_id: int,
) -> torch.Tensor:
    """How much the predicted class loses when a token is hidden.

    Args:
        model: `model(input_ids, attention_mask)` gives logits, shape (N, K).
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, shape (N, L).
        mask_id: the id of [MASK], which takes the place of a hidden token.

    Returns:
        For each token the probability of the class predicted for the whole text, minus that class's probability
        without the token, shape (N, L); 0 for padding.
    """
    whole = model(input_ids, attention_mask).softmax(dim=1)  # (N, K)
    best = whole.argmax(dim=1, keepdim=True)
    scores = torch.zeros(input_ids.shape)
    for place in range(input_ids.shape[1]):
        hidden = input_ids.clone()
        hidden[:, place] = mask_id
        without = model(hidden, attention_mask).softmax(dim=1)
        scores[:, place] = (whole - without).gather(1, best).squeeze(1)
    return scores * attention_mask
'''

PYTORCH_BATCHED = """
import torch


def leave_one_out_scores(model, input_ids, attention_mask, mask_id):
    texts, length = input_ids.shape
    variants = input_ids[:, None].repeat(1, length + 1, 1)  # (N, L + 1, L); the last one stays whole
    places = torch.arange(length)
    variants[:, places, places] = mask_id
    masks = attention_mask[:, None].expand_as(variants)
    with torch.inference_mode():
        odds = model(variants.flatten(0, 1), masks.flatten(0, 1)).softmax(-1).view(texts, length + 1, -1)
    best = odds[:, -1].argmax(-1)
    chosen = odds[torch.arange(texts), :, best]
    return torch.where(attention_mask == 1, chosen[:, -1:] - chosen[:, :-1], 0.0)
"""

PYTORCH_TEXTS = """
import torch


def leave_one_out_scores(model, input_ids, attention_mask, mask_id):
    rows = []
    for ids, mask in zip(input_ids, attention_mask):
        length = int(mask.sum())
        logits = model(ids[None], mask[None])[0].detach()
        best = int(logits.argmax())
        row = [0.0] * len(ids)
        for place in range(length):
            changed = ids.clone()
            changed[place] = mask_id
            after = model(changed[None], mask[None])[0].detach()
            before_after = torch.stack([logits, after])
            odds = torch.exp(before_after - before_after.logsumexp(1, keepdim=True))[:, best]
            row[place] = float(odds[0] - odds[1])
        rows.append(row)
    return torch.tensor(rows)
"""

KERAS = '''
from collections.abc import Callable

from keras import ops


def leave_one_out_scores(model: Callable, input_ids, attention_mask, mask_id: int):
    """How much the predicted class loses when a token is hidden.

    Args:
        model: `model(input_ids, attention_mask)` gives logits, shape (N, K).
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, integer, shape (N, L).
        mask_id: the id of [MASK], which takes the place of a hidden token.

    Returns:
        For each token the probability of the class predicted for the whole text, minus that class's probability
        without the token, shape (N, L); 0 for padding.
    """
    whole = ops.softmax(model(input_ids, attention_mask))  # (N, K)
    best = ops.one_hot(ops.argmax(whole, axis=1), whole.shape[1])
    columns = []
    for place in range(input_ids.shape[1]):
        here = ops.arange(input_ids.shape[1]) == place
        hidden = ops.where(here, mask_id, input_ids)
        without = ops.softmax(model(hidden, attention_mask))
        columns.append(ops.sum((whole - without) * best, axis=1))
    return ops.stack(columns, axis=1) * ops.cast(attention_mask, whole.dtype)
'''

KERAS_BATCHED = """
import numpy as np
from keras import ops


def leave_one_out_scores(model, input_ids, attention_mask, mask_id):
    ids, mask = np.asarray(input_ids), np.asarray(attention_mask)
    texts, length = ids.shape
    variants = np.repeat(ids[:, None], length + 1, axis=1)  # (N, L + 1, L); the last one stays whole
    variants[:, range(length), range(length)] = mask_id
    masks = np.repeat(mask[:, None], length + 1, axis=1)
    rows = (ops.convert_to_tensor(array.reshape(-1, length)) for array in (variants, masks))
    logits = model(*rows)
    odds = np.asarray(ops.softmax(logits)).reshape(texts, length + 1, -1)
    chosen = np.stack([rows[:, rows[-1].argmax()] for rows in odds])
    return np.where(mask == 1, chosen[:, -1:] - chosen[:, :-1], 0)
"""

KERAS_TEXTS = """
import numpy as np
from keras import ops


def leave_one_out_scores(model, input_ids, attention_mask, mask_id):
    scores = np.zeros(input_ids.shape)

    def odds(ids, mask):
        logits = np.asarray(model(ops.convert_to_tensor(ids[None]), ops.convert_to_tensor(mask[None])))[0]
        return np.exp(logits) / np.exp(logits).sum()

    for n, (ids, mask) in enumerate(zip(np.asarray(input_ids), np.asarray(attention_mask))):
        whole = odds(ids, mask)
        for place in np.flatnonzero(mask):
            changed = np.where(np.arange(len(ids)) == place, mask_id, ids)
            scores[n, place] = whole.max() - odds(changed, mask)[np.argmax(whole)]
    return scores
"""

MESSAGES = {
    "cumulative": _("tokens that were hidden stay hidden: each score is that of all tokens so far"),
    "sign": _("the sign is turned: a token that speaks for the class should have a positive score"),
    "new-prediction": _("after hiding a token, the largest probability is taken, be it that of another class"),
    "logits": _("these are differences of logits; probabilities were asked for"),
    "no-sign": _("the sign is lost: tokens that speak against the class look like those that speak for it"),
    "first-class": _("every text is asked about class 0, whatever was predicted for it"),
    "masked-out": _("the token is taken out of the attention and not replaced by [MASK], which is another question"),
    "other-id": _("the hidden token is replaced by id 0, which is a word here"),
    "shares": _("the scores of a text are divided by their sum; differences of probabilities were asked for"),
    "one-text": _("the class predicted for the first text is used for all texts"),
}
CHOSEN = "(whole - without).gather(1, best).squeeze(1)"
HIDDEN = "        hidden = input_ids.clone()\n        hidden[:, place] = mask_id\n"
TORCH_EDITS = {
    "cumulative": (("input_ids.clone()", "input_ids"),),
    "sign": (("(whole - without)", "(without - whole)"),),
    "new-prediction": ((CHOSEN, "whole.amax(dim=1) - without.amax(dim=1)"),),
    "logits": (
        ("model(input_ids, attention_mask).softmax(dim=1)", "model(input_ids, attention_mask)"),
        ("model(hidden, attention_mask).softmax(dim=1)", "model(hidden, attention_mask)"),
    ),
    "no-sign": ((CHOSEN, CHOSEN + ".abs()"),),
    "first-class": ((CHOSEN, "(whole - without)[:, 0]"),),
    "masked-out": (
        (HIDDEN, "        kept = attention_mask.clone()\n        kept[:, place] = 0\n"),
        ("model(hidden, attention_mask)", "model(input_ids, kept)"),
    ),
    "other-id": (("= mask_id\n", "= 0\n"),),
    "shares": (
        (
            "    return scores * attention_mask",
            "    scores = scores * attention_mask\n    return scores / scores.sum(1, keepdim=True)",
        ),
    ),
    "one-text": ((CHOSEN, "(whole - without)[:, best[0, 0]]"),),
}
KERAS_CHOSEN = "ops.sum((whole - without) * best, axis=1)"
KERAS_HIDDEN = "ops.where(here, mask_id, input_ids)"
KERAS_RETURN = "ops.stack(columns, axis=1) * ops.cast(attention_mask, whole.dtype)"
KERAS_EDITS = {
    "cumulative": (
        ("hidden = " + KERAS_HIDDEN, "input_ids = " + KERAS_HIDDEN),
        ("model(hidden,", "model(input_ids,"),
    ),
    "sign": (("(whole - without)", "(without - whole)"),),
    "new-prediction": ((KERAS_CHOSEN, "ops.max(whole, axis=1) - ops.max(without, axis=1)"),),
    "logits": (
        ("ops.softmax(model(input_ids, attention_mask))", "model(input_ids, attention_mask)"),
        ("ops.softmax(model(hidden, attention_mask))", "model(hidden, attention_mask)"),
    ),
    "no-sign": ((KERAS_CHOSEN, f"ops.abs({KERAS_CHOSEN})"),),
    "first-class": ((KERAS_CHOSEN, "(whole - without)[:, 0]"),),
    "masked-out": (("model(hidden, attention_mask)", "model(input_ids, ops.where(here, 0, attention_mask))"),),
    "other-id": ((KERAS_HIDDEN, "ops.where(here, 0, input_ids)"),),
    "shares": ((KERAS_RETURN, f"{KERAS_RETURN} / ops.sum({KERAS_RETURN}, axis=1, keepdims=True)"),),
    "one-text": ((KERAS_CHOSEN, "ops.sum((whole - without) * best[:1], axis=1)"),),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
