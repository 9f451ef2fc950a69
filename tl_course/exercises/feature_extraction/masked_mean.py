"""Average the token vectors of a text, padding left out."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import torch


def masked_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average each text's token vectors, leaving padding out.

    Args:
        hidden: token vectors, float, shape (N, L, H).
        mask: 1 for a token, 0 for padding, integer, shape (N, L).

    Returns:
        One vector per text, shape (N, H); zeros for a text that is all padding.
    """
    weights = mask.unsqueeze(-1)  # (N, L, 1)
    total = (hidden * weights).sum(dim=1)  # (N, H)
    return total / weights.sum(dim=1).clamp(min=1)
'''

PYTORCH_EINSUM = """
import torch


def masked_mean(hidden, mask):
    weights = mask.float()
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("nl,nlh->nh", weights, hidden)
"""

PYTORCH_LOOP = """
import torch


def masked_mean(hidden, mask):
    rows = []
    for vectors, keep in zip(hidden, mask.bool()):
        rows.append(vectors[keep].mean(0) if keep.any() else torch.zeros(vectors.shape[1]))
    return torch.stack(rows)
"""

KERAS = '''
from keras import ops


def masked_mean(hidden, mask):
    """Average each text's token vectors, leaving padding out.

    Args:
        hidden: token vectors, float, shape (N, L, H).
        mask: 1 for a token, 0 for padding, integer, shape (N, L).

    Returns:
        One vector per text, shape (N, H); zeros for a text that is all padding.
    """
    weights = ops.cast(ops.expand_dims(mask, -1), hidden.dtype)  # (N, L, 1)
    total = ops.sum(hidden * weights, axis=1)  # (N, H)
    return total / ops.maximum(ops.sum(weights, axis=1), 1)
'''

KERAS_EINSUM = """
from keras import ops


def masked_mean(hidden, mask):
    weights = ops.cast(mask, "float32")
    weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1.0)
    return ops.einsum("nl,nlh->nh", weights, hidden)
"""

KERAS_WHERE = """
from keras import ops


def masked_mean(hidden, mask):
    keep = ops.expand_dims(ops.cast(mask, "bool"), -1)
    total = ops.sum(ops.where(keep, hidden, ops.zeros_like(hidden)), axis=1)
    count = ops.sum(ops.cast(keep, hidden.dtype), axis=1)
    return ops.where(count > 0, total / ops.where(count > 0, count, ops.ones_like(count)), ops.zeros_like(total))
"""

IGNORES_MASK = _("every position is averaged, padding too, so a text's vector depends on how long its batch is")
DIVIDES_BY_LENGTH = _("padding is left out of the sum but still counted in what the sum is divided by")
NOT_DIVIDED = _("the vectors are added up and never divided, so long texts get long vectors")
NO_GUARD = _("a text that is all padding divides zero by zero")
WRONG_AXIS = _("the average runs over the wrong axis: each text should keep its H features")


def cases(rng: np.random.Generator) -> list[Case]:
    """Random token vectors with padding of several lengths; one text is all padding."""
    hidden = rng.normal(size=(3, 5, 4)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    empty = np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 0]])
    return [
        Case("padded", {"hidden": hidden, "mask": mask}, ("value", "padding")),
        Case("all padding", {"hidden": hidden, "mask": empty}, ("empty",)),
    ]


def expected(inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The right answer, text by text."""
    rows = []
    for vectors, mask in zip(inputs["hidden"], inputs["mask"], strict=True):
        kept = vectors[mask == 1]
        rows.append(kept.mean(axis=0) if len(kept) else np.zeros(vectors.shape[1]))
    return np.array(rows)


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Compare with the average taken text by text, and with what other padding gives."""
    right = expected(case.inputs)
    if case.name == "all padding":
        return [close("empty", observed["pooled"], right, _("the vectors"))]
    same = np.allclose(observed["pooled"], observed["other padding"], atol=1e-5)
    message = _("other numbers in the padding changed your result")
    return [close("value", observed["pooled"], right, _("the vectors")), holds("padding", same, message)]


def probe_pytorch(candidate, inputs):
    """Pool, and pool again with other numbers in the padding."""
    import torch

    hidden, mask = torch.from_numpy(inputs["hidden"]), torch.from_numpy(inputs["mask"])
    other = torch.where(mask[..., None] == 1, hidden, hidden + 3)
    return {"pooled": as_array(candidate(hidden, mask)), "other padding": as_array(candidate(other, mask))}


def probe_keras(candidate, inputs):
    """Pool, and pool again with other numbers in the padding."""
    from keras import ops

    hidden, mask = ops.convert_to_tensor(inputs["hidden"]), ops.convert_to_tensor(inputs["mask"])
    other = ops.where(ops.expand_dims(mask, -1) == 1, hidden, hidden + 3)
    return {"pooled": as_array(candidate(hidden, mask)), "other padding": as_array(candidate(other, mask))}


EXERCISE = Exercise(
    id="masked-mean",
    title=_("The mean of the real tokens"),
    lesson="03_feature_extraction",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "A text encoder returns one vector for each token, and batches are padded to one length. Write `masked_mean`: "
        "one vector per text, the average over its real tokens only. A text that is all padding gives zeros, not NaN."
    ),
    hints=(
        _("Padding must count neither in the sum nor in what you divide by."),
        _("Give the mask a third axis of length 1, so that it multiplies every feature of a token."),
        _("Sum hidden times mask over the token axis, sum the mask over the same axis, and divide by at least 1."),
    ),
    follow_ups=(
        FollowUp(
            _("Why does an average without the mask make a text's vector depend on its neighbours in the batch?"),
            _(
                "The batch is padded to its longest text. Without the mask the padding vectors enter the mean, and "
                "their number depends on how long the neighbours are, so the same text gets another vector in another "
                "batch."
            ),
        ),
        FollowUp(
            _("When would you take the [CLS] vector instead, and why is it poor before fine-tuning?"),
            _(
                "When the model was trained so that this vector stands for the text: fine-tuned for classification, "
                "or an embedding model built on it. Pretraining asks little of it (next-sentence prediction in BERT, "
                "nothing in RoBERTa), so it summarises poorly; Reimers and Gurevych (2019) found averaged GloVe "
                "vectors better for similarity."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("averages the real tokens"), weight=2),
        "padding": Criterion(_("does not depend on what stands in the padding"), needs=("value",)),
        "empty": Criterion(_("gives zeros for a text that is all padding")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"einsum": PYTORCH_EINSUM, "loop": PYTORCH_LOOP},
            mistakes={
                "ignores-mask": Mistake(IGNORES_MASK, (("mask.unsqueeze(-1)", "torch.ones_like(mask).unsqueeze(-1)"),)),
                "divides-by-length": Mistake(
                    DIVIDES_BY_LENGTH, (("weights.sum(dim=1).clamp(min=1)", "hidden.shape[1]"),)
                ),
                "not-divided": Mistake(NOT_DIVIDED, ((" / weights.sum(dim=1).clamp(min=1)", ""),)),
                "no-guard": Mistake(NO_GUARD, ((".clamp(min=1)", ""),)),
                "wrong-axis": Mistake(
                    WRONG_AXIS, (("(hidden * weights).sum(dim=1)", "(hidden * weights).sum(dim=2)"),)
                ),
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"einsum": KERAS_EINSUM, "where": KERAS_WHERE},
            mistakes={
                "ignores-mask": Mistake(
                    IGNORES_MASK, (("ops.expand_dims(mask, -1)", "ops.expand_dims(ops.ones_like(mask), -1)"),)
                ),
                "divides-by-length": Mistake(
                    DIVIDES_BY_LENGTH, (("ops.maximum(ops.sum(weights, axis=1), 1)", "hidden.shape[1]"),)
                ),
                "not-divided": Mistake(NOT_DIVIDED, ((" / ops.maximum(ops.sum(weights, axis=1), 1)", ""),)),
                "no-guard": Mistake(
                    NO_GUARD, (("ops.maximum(ops.sum(weights, axis=1), 1)", "ops.sum(weights, axis=1)"),)
                ),
                "wrong-axis": Mistake(
                    WRONG_AXIS, (("ops.sum(hidden * weights, axis=1)", "ops.sum(hidden * weights, axis=2)"),)
                ),
            },
            equivalent={
                "return total / ops.maximum(1, ops.sum(weights, axis=1))": "the maximum of two numbers is symmetric"
            },
        ),
    },
    complexity=_(
        "O(N·L·H) time and, for the product with the mask, O(N·L·H) extra memory. As a product of a (1, L) row of "
        "weights with each text's (L, H) vectors it needs O(N·H) only."
    ),
)
