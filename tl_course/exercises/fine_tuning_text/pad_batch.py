"""Pad a batch of token ids to its longest text, and say what is padding."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def pad_batch(ids: list[list[int]], pad_id: int, max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Make one array of texts of unequal length.

    Args:
        ids: token ids of each text, [CLS] first and [SEP] last, two or more a text.
        pad_id: what stands in the padding. It may also be the id of a real token, as in models without a [PAD].
        max_length: no text may be longer. A longer one loses the tokens before its [SEP].

    Returns:
        Token ids and attention mask (1 for a token, 0 for padding), integers, both of shape (N, L), where L is the
        length of the longest text that is left.
    """
    texts = [text if len(text) <= max_length else [*text[: max_length - 1], text[-1]] for text in ids]
    longest = max(len(text) for text in texts)
    input_ids = np.full((len(texts), longest), pad_id)
    attention_mask = np.zeros((len(texts), longest), dtype=np.int64)
    for row, text in enumerate(texts):
        input_ids[row, : len(text)] = text
        attention_mask[row, : len(text)] = 1
    return input_ids, attention_mask
'''

NUMPY_COMPARE = """
import numpy as np


def pad_batch(ids, pad_id, max_length):
    lengths = np.minimum([len(text) for text in ids], max_length)
    attention_mask = (np.arange(lengths.max())[None, :] < lengths[:, None]).astype(int)
    input_ids = attention_mask * 0 + pad_id
    flat = [token for text, n in zip(ids, lengths) for token in text[: n - 1] + text[-1:]]
    input_ids[attention_mask == 1] = flat
    return input_ids, attention_mask
"""

NUMPY_LISTS = """
import numpy as np


def pad_batch(ids, pad_id, max_length):
    rows, masks = [], []
    size = min(max(map(len, ids)), max_length)
    for text in ids:
        kept = list(text)
        while len(kept) > size:
            del kept[-2]
        missing = size - len(kept)
        rows.append(kept + [pad_id] * missing)
        masks.append([1] * len(kept) + [0] * missing)
    return np.array(rows), np.array(masks)
"""

CUT, LONGEST, FILL = (
    "[*text[: max_length - 1], text[-1]]",
    "longest = max(len(text) for text in texts)",
    "attention_mask[row, : len(text)] = 1",
)
MESSAGES = {
    "mask-from-ids": _("the mask asks whether an id equals pad_id, so a real token with this id is taken for padding"),
    "always-max-length": _("every batch is padded to max_length, however short its texts are"),
    "separator-lost": _("a long text is cut at the end, and its [SEP] goes with it"),
    "begin-lost": _("a long text loses its beginning, and with it the [CLS] that stands for the text"),
    "not-cut": _("texts longer than max_length stay as they are; the model has no positions for them"),
    "pads-with-zero": _("the padding holds 0, whatever pad_id is; here 0 is a word"),
    "pads-left": _("the padding stands before the text, so that tokens get other positions than in pretraining"),
    "mask-inverted": _("the mask marks what to ignore; the encoder reads 1 as a token to attend to"),
    "length-before-cut": _("the width is that of the longest text before cutting"),
    "mask-without-separator": _("the last token of each text counts as padding"),
}
AT_LIMIT = "texts = [text if len(text) < max_length else [*text[:max_length - 1], text[-1]] for text in ids]"
LEFT = (
    ("input_ids[row, : len(text)] = text", "input_ids[row, longest - len(text) :] = text"),
    (FILL, "attention_mask[row, longest - len(text) :] = 1"),
)
EDITS = {
    "mask-from-ids": ((FILL, "attention_mask[row] = input_ids[row] != pad_id"),),
    "always-max-length": ((LONGEST, "longest = max_length"),),
    "separator-lost": ((CUT, "text[:max_length]"),),
    "begin-lost": ((CUT, "text[-max_length:]"),),
    "not-cut": (("text if len(text) <= max_length else " + CUT, "text"),),
    "pads-with-zero": (("longest), pad_id)", "longest), 0)"),),
    "pads-left": LEFT,
    "mask-inverted": (("return input_ids, attention_mask", "return input_ids, 1 - attention_mask"),),
    "length-before-cut": ((LONGEST, "longest = max(len(text) for text in ids)"),),
    "mask-without-separator": ((FILL, "attention_mask[row, : len(text) - 1] = 1"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts that fit, texts that are too long, and a text as long as allowed; pad_id is a real token's id too."""
    return [
        _case(rng, "all fit", [5, 3, 7, 2], 12, ("values", "mask")),
        _case(rng, "some are too long", [11, 4, 9, 8, 2], 8, ("cut",)),
        _case(rng, "as long as allowed", [3, 6], 6, ("cut",)),
    ]


def _case(rng: np.random.Generator, name: str, lengths: list[int], max_length: int, criteria: tuple[str, ...]) -> Case:
    pad_id, cls_id, sep_id = 7, 1, 2
    texts = [np.array([cls_id, *rng.integers(3, 30, size=length - 2), sep_id]) for length in lengths]
    texts[0][1] = pad_id
    order = rng.permutation(len(lengths))
    ids = [texts[place].tolist() for place in order]
    return Case(name, {"ids": ids, "pad_id": pad_id, "max_length": max_length}, criteria)


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask, value by value."""
    limit, sizes = inputs["max_length"], [min(len(text), inputs["max_length"]) for text in inputs["ids"]]
    ids, mask = [], []
    for text, size in zip(inputs["ids"], sizes, strict=True):
        middle = text[1 : limit - 1] if len(text) > limit else text[1:-1]
        ids.append([text[0], *middle, text[-1], *(inputs["pad_id"] for _place in range(size, max(sizes)))])
        mask.append([int(place < size) for place in range(max(sizes))])
    return np.array(ids), np.array(mask)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare ids and mask, look at their types, and at what became of the inputs."""
    right_ids, right_mask = expected(case.inputs)
    first = case.criteria[0]
    ids, mask = np.asarray(observed["ids"]), np.asarray(observed["mask"])
    found = [
        close(first, ids, right_ids, _("the token ids")),
        holds(first, ids.dtype.kind in "iu", _("token ids are integers; yours are {kind}").format(kind=ids.dtype)),
        holds(first, observed["kept"], _("your function changed the lists it was given")),
    ]
    what = _("the attention mask")
    if first == "cut":
        return [*found, close("cut", mask, right_mask, what)]
    whole = _("the mask is made of integers; yours holds {kind}").format(kind=mask.dtype)
    return [*found, close("mask", mask, right_mask, what), holds("mask", mask.dtype.kind in "iu", whole)]


def probe_numpy(candidate, inputs):
    """Pad one batch."""
    texts = [list(text) for text in inputs["ids"]]
    result = candidate(texts, inputs["pad_id"], inputs["max_length"])
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotPlain(_("two arrays were expected: the token ids and the attention mask"))
    return {"ids": as_array(result[0]), "mask": as_array(result[1]), "kept": texts == inputs["ids"]}


EXERCISE = Exercise(
    id="pad-batch",
    title=_("As long as its longest text"),
    lesson="05_fine_tuning_text",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "Write `pad_batch(ids, pad_id, max_length)`: from lists of token ids make `input_ids` and `attention_mask`, "
        "integer arrays of shape (N, L). L is the length of this batch's longest text, not `max_length`. A text of "
        "more than `max_length` tokens loses those before its last one, the [SEP]. The mask is 1 for tokens and 0 for "
        "padding, also where `pad_id` is the id of a real token. Leave the lists you are given as they are."
    ),
    hints=(
        _("Cut first, then ask how long the longest text is."),
        _("What tells padding from tokens: an id, or a position beyond the text's length?"),
        _("Fill an array with pad_id and another with 0; then write each text, and as many ones, into its row."),
    ),
    follow_ups=(
        FollowUp(
            _("Why pad to the batch's longest text and not always to 512?"),
            _(
                "Attention costs grow with the square of the length and everything else in proportion, and padding is "
                "computed like words. With short texts most of the work would go into padding. Fixed lengths pay only "
                "where every new shape means compiling again."
            ),
        ),
        FollowUp(
            _("GPT-2 has no padding token, so people set `pad_token = eos_token`. What goes wrong then?"),
            _(
                "A mask or loss made by comparing ids with pad_id also drops the real end-of-text tokens, so the model "
                "never learns to stop. Make the mask from the lengths and the labels from the mask. Batched generation "
                "wants the padding on the left, so that the last position is a real token."
            ),
        ),
    ),
    criteria={
        "values": Criterion(_("pads to the longest text of the batch")),
        "mask": Criterion(_("marks tokens and padding, whatever their ids")),
        "cut": Criterion(_("shortens long texts and keeps their last token"), needs=("values",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"comparison": NUMPY_COMPARE, "lists": NUMPY_LISTS},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            equivalent={AT_LIMIT: "cutting a text of just max_length tokens gives the text itself"},
        ),
    },
    complexity=_(
        "O(N·L) time and memory. The encoder pays for all N·L positions, tokens or not, its attention even for N·L²: "
        "hence this batch's longest text for L, and batches of texts of like length."
    ),
)
