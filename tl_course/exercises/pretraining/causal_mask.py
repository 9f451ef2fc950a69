"""Who may look at whom in a decoder: nobody at what comes later, nobody at padding."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
import torch


def decoder_mask(attention_mask: torch.Tensor) -> torch.Tensor:
    """The mask of a language model that reads from left to right.

    Args:
        attention_mask: 1 for a token, 0 for padding, integer, shape (N, L); padding may stand at either end.

    Returns:
        bool, shape (N, 1, L, L), the same for all heads: True where the position of the row may attend to the position
        of the column, which is no padding and does not come later.
    """
    length = attention_mask.shape[1]
    so_far = torch.ones(length, length, dtype=torch.bool).tril()
    return so_far & attention_mask.bool()[:, None, None, :]  # (L, L) & (N, 1, 1, L)
'''

PYTORCH_POSITIONS = """
import torch


def decoder_mask(attention_mask):
    position = torch.arange(attention_mask.size(1))
    later = position.unsqueeze(0) > position.unsqueeze(1)
    hidden = (attention_mask == 0).unsqueeze(1).unsqueeze(1) | later
    return hidden.logical_not()
"""

PYTORCH_LOOP = """
import torch


def decoder_mask(attention_mask):
    count, length = attention_mask.shape
    mask = torch.zeros(count, 1, length, length, dtype=torch.bool)
    for row in range(length):
        mask[:, 0, row, : row + 1] = attention_mask[:, : row + 1] > 0
    return mask
"""

KERAS = '''
from keras import ops


def decoder_mask(attention_mask):
    """The mask of a language model that reads from left to right.

    Args:
        attention_mask: 1 for a token, 0 for padding, integer, shape (N, L); padding may stand at either end.

    Returns:
        bool, shape (N, 1, L, L), the same for all heads: True where the position of the row may attend to the position
        of the column, which is no padding and does not come later.
    """
    position = ops.arange(attention_mask.shape[1])
    so_far = ops.expand_dims(position, 1) >= position  # (L, L)
    real = ops.cast(attention_mask, "bool")[:, None, None, :]  # (N, 1, 1, L)
    return so_far & real
'''

KERAS_TRIL = """
from keras import ops


def decoder_mask(attention_mask):
    length = attention_mask.shape[-1]
    lower = ops.tril(ops.ones((length, length), dtype="int32"))
    keys = ops.cast(attention_mask, "int32")
    return ops.reshape(lower * ops.expand_dims(keys, 1), (-1, 1, length, length)) == 1
"""

KERAS_NUMPY = """
import numpy as np
from keras import ops


def decoder_mask(attention_mask):
    real = np.asarray(attention_mask) != 0
    rows = [np.tril(np.repeat(text[None], len(text), axis=0)) for text in real]
    return ops.convert_to_tensor(np.stack(rows)[:, None])
"""

MESSAGES = {
    "future": _("the triangle is the wrong one: each position sees what comes later and not what came before"),
    "strict": _("a position may not see itself; only what comes later must be hidden from it"),
    "one-ahead": _("each position also sees the next one, the very token that it is to predict"),
    "everything": _("nothing is hidden but padding: every position sees the whole text, as in BERT"),
    "ignores-padding": _("padding may be attended to"),
    "rows": _("padding is taken out as a query; what must not be seen is padding as a key"),
    "either": _("one of the two conditions is enough in yours; a key must meet both"),
    "inverted": _("True and False are the wrong way round: True means that a query may attend to a key"),
    "numbers": _(
        "the mask holds numbers; a boolean one was asked for, and functions read a float mask as something to add"
    ),
}
RETURN = {
    "pytorch": "so_far & attention_mask.bool()[:, None, None, :]",
    "keras": "so_far & real",
}
EDITS = {
    "pytorch": {
        "future": ((".tril()", ".triu()"),),
        "strict": ((".tril()", ".tril(-1)"),),
        "one-ahead": ((".tril()", ".tril(1)"),),
        "everything": ((".tril()", ""),),
        "ignores-padding": ((".bool()[:", ".bool().logical_or(torch.tensor(True))[:"),),
        "rows": (("[:, None, None, :]", "[:, None, :, None]"),),
        "either": (("so_far & ", "so_far | "),),
        "inverted": ((RETURN["pytorch"], f"~({RETURN['pytorch']})"),),
        "numbers": ((RETURN["pytorch"], f"({RETURN['pytorch']}).float()"),),
    },
    "keras": {
        "future": ((" >= ", " <= "),),
        "strict": ((" >= ", " > "),),
        "one-ahead": ((" >= ", " + 1 >= "),),
        "everything": ((" >= position", " >= 0 * position"),),
        "ignores-padding": (("ops.cast(attention_mask, ", "ops.cast(ops.ones_like(attention_mask), "),),
        "rows": (("[:, None, None, :]", "[:, None, :, None]"),),
        "either": (("so_far & ", "so_far | "),),
        "inverted": ((RETURN["keras"], f"~({RETURN['keras']})"),),
        "numbers": ((RETURN["keras"], f'ops.cast({RETURN["keras"]}, "float32")'),),
    },
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    return {name: Mistake(MESSAGES[name], edit) for name, edit in EDITS[framework].items()}


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts without padding, padded on the right, and padded on the left."""
    places = np.arange(7)
    lengths = rng.choice(np.arange(1, 7), size=(3, 1), replace=False)
    full = np.ones((2, int(rng.integers(4, 7))), dtype=np.int64)
    return [
        Case("no padding", {"attention_mask": full}, ("causal", "boolean")),
        Case("padding on the right", {"attention_mask": (places < lengths).astype(np.int64)}, ("padding",)),
        Case("padding on the left", {"attention_mask": (places >= lengths).astype(np.int64)}, ("left",)),
    ]


def expected(attention_mask: np.ndarray) -> np.ndarray:
    """The mask, pair by pair."""
    count, length = attention_mask.shape
    right = np.zeros((count, 1, length, length), dtype=bool)
    for text, row, column in np.ndindex(count, length, length):
        right[text, 0, row, column] = column <= row and attention_mask[text, column] == 1
    return right


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the mask made pair by pair, and name a pair that differs."""
    mask, right, criterion = observed["mask"], expected(case.inputs["attention_mask"]), case.criteria[0]
    found = [close(criterion, mask, right, _("the mask, {name}").format(name=case.name))]
    if mask.shape == right.shape and (wrong := np.argwhere((mask != 0) != right)).size:
        text, _head, row, column = wrong[0].tolist()
        message = _("{name}, text {text}: position {row} {may} attend to position {column}; yours says the opposite")
        may = _("may") if right[text, 0, row, column] else _("may not")
        found.insert(
            0, holds(criterion, False, message.format(name=case.name, text=text, row=row, may=may, column=column))
        )
    if case.name == "no padding":
        text = _("a boolean mask was expected, yours holds {dtype}")
        found.append(holds("boolean", mask.dtype == bool, text.format(dtype=mask.dtype)))
    return found


def probe_pytorch(candidate, inputs):
    """Make the mask."""
    import torch

    return {"mask": as_array(candidate(torch.tensor(inputs["attention_mask"])))}


def probe_keras(candidate, inputs):
    """Make the mask."""
    from keras import ops

    return {"mask": as_array(candidate(ops.convert_to_tensor(inputs["attention_mask"])))}


EXERCISE = Exercise(
    id="causal-mask",
    title=_("No looking ahead"),
    lesson="02_pretraining",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "A language model that predicts the next token must not see it. Write `decoder_mask(attention_mask)`: a "
        "boolean mask of shape (N, 1, L, L), True where the position of the row may attend to the position of the "
        "column. "
        "That column must not come later (a position sees itself) and must not be padding, which may stand on the "
        "right or on the left. Rows of padding positions follow the same rule."
    ),
    hints=(
        _("Two conditions: one is the same for every text, the other differs from text to text."),
        _("The first is a lower triangle, diagonal included. The second depends on the column only."),
        _("Give the triangle's (L, L) and the padding's (N, 1, 1, L) to one logical operation and let them broadcast."),
    ),
    follow_ups=(
        FollowUp(
            _("With padding on the left, the first rows are all False. What does that do to a softmax?"),
            _(
                "With minus infinity everywhere the row becomes NaN, and NaN spreads through the next layers' keys and "
                "the loss. Let such rows give zeros, or let them attend to themselves and ignore what comes out."
            ),
        ),
        FollowUp(
            _("Why does one pass with a causal mask train on every position at once?"),
            _(
                "Position t sees only tokens up to t, so its prediction of token t + 1 is an honest one. All L "
                "predictions share one pass, where generation needs a pass for each token."
            ),
        ),
    ),
    criteria={
        "causal": Criterion(_("a position sees itself and what came before"), weight=2),
        "boolean": Criterion(_("the mask is boolean"), needs=("causal",)),
        "padding": Criterion(_("nobody sees padding on the right")),
        "left": Criterion(_("nobody sees padding on the left")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"positions": PYTORCH_POSITIONS, "loop": PYTORCH_LOOP},
            mistakes=mistakes("pytorch"),
            equivalent={
                "so_far = torch.ones(length, length, dtype=torch.bool).tril()": "swaps two equal lengths",
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"tril": KERAS_TRIL, "numpy": KERAS_NUMPY},
            mistakes=mistakes("keras"),
        ),
    },
    complexity=_(
        "O(N·L²) time and memory, a byte an entry, for all heads together. Without padding the batch could share one "
        "(L, L) mask."
    ),
)
