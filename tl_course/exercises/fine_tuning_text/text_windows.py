"""Cut long texts into overlapping windows that fit the encoder."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
def text_windows(
    texts: list[list[int]], max_length: int, overlap: int, cls_id: int, sep_id: int
) -> tuple[list[list[int]], list[int]]:
    """Cut texts into windows of at most max_length tokens.

    Args:
        texts: token ids of each text without special tokens; a text may be empty.
        max_length: longest window, [CLS] and [SEP] counted.
        overlap: how many of a window's last words begin the next window too; less than max_length - 2.
        cls_id: id of [CLS], which begins every window.
        sep_id: id of [SEP], which ends it.

    Returns:
        The windows, text by text and from left to right, and the number of the text that each one is from. Every
        text has one window or more; none holds only what the one before it holds already.
    """
    room = max_length - 2
    windows, owners = [], []
    for number, text in enumerate(texts):
        for start in range(0, max(len(text) - overlap, 1), room - overlap):
            windows.append([cls_id, *text[start : start + room], sep_id])
            owners.append(number)
    return windows, owners
'''

NUMPY_WHILE = """
import numpy as np


def text_windows(texts, max_length, overlap, cls_id, sep_id):
    windows, owners = [], []
    for number, text in enumerate(texts):
        rest = [int(token) for token in text]
        while True:
            windows.append(np.array([cls_id] + rest[: max_length - 2] + [sep_id]))
            owners += [number]
            if len(rest) <= max_length - 2:
                break
            rest = rest[max_length - 2 - overlap :]
    return windows, owners
"""

NUMPY_COUNT = """
import numpy as np


def text_windows(texts, max_length, overlap, cls_id, sep_id):
    step, room = max_length - 2 - overlap, max_length - 2
    counts = [1 + max(0, int(np.ceil((len(text) - room) / step))) for text in texts]
    owners = np.repeat(np.arange(len(texts)), counts)
    places = np.concatenate([np.arange(count) for count in counts]) * step
    frame = lambda words: np.concatenate([[cls_id], words, [sep_id]]).astype(int)
    return [frame(texts[owner][place : place + room]) for owner, place in zip(owners, places)], owners
"""

RANGE, WINDOW = "range(0, max(len(text) - overlap, 1), room - overlap)", "[cls_id, *text[start : start + room], sep_id]"
MESSAGES = {
    "specials-not-counted": _("the windows hold max_length words, and with [CLS] and [SEP] they are two too long"),
    "superfluous-window": _("a last window repeats what the window before it holds already"),
    "step-is-overlap": _("windows begin `overlap` words apart; that is the part they were to share"),
    "no-overlap": _("the windows do not overlap, so what stands at a cut loses half of its context"),
    "specials-once": _("only a text's first window begins with [CLS]: the classifier reads a word in the others"),
    "rest-dropped": _("only full windows are kept, and a text's last words are in none"),
    "first-only": _("each text is truncated to its first window"),
    "overlap-of-positions": _("the overlap is counted with [CLS] and [SEP], so fewer words are shared"),
    "empty-lost": _("an empty text has no window, and from there on answers no longer fit the texts"),
    "owner-is-window": _("the windows are numbered; callers must know which text each one is from"),
}
EDITS = {
    "specials-not-counted": ("room = max_length - 2", "room = max_length"),
    "superfluous-window": (RANGE, "range(0, max(len(text), 1), room - overlap)"),
    "step-is-overlap": (RANGE, "range(0, max(len(text) - overlap, 1), overlap)"),
    "no-overlap": (RANGE, "range(0, max(len(text), 1), room)"),
    "specials-once": (WINDOW, "[*([cls_id] if start == 0 else []), *text[start : start + room], sep_id]"),
    "rest-dropped": (RANGE, "range(0, max(len(text) - room + 1, 1), room - overlap)"),
    "first-only": (RANGE, "[0]"),
    "overlap-of-positions": (RANGE, "range(0, max(len(text) - overlap + 2, 1), room - overlap + 2)"),
    "empty-lost": (RANGE, "range(0, max(len(text) - overlap, min(len(text), 1)), room - overlap)"),
    "owner-is-window": ("owners.append(number)", "owners.append(len(owners))"),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts that need no cut, one that ends where a window does, and longer ones."""
    room, overlap = int(rng.integers(6, 8)), int(rng.integers(2, 4))
    step = room - overlap
    lengths = [room, 2 * step + overlap, 3 * step + overlap + 1, 1, 4 * step + overlap - 1, room + 1]
    texts = [rng.integers(3, 90, size=length).tolist() for length in rng.permutation(lengths)]
    empty = [rng.integers(3, 90, size=length).tolist() for length in (5, 0, overlap, room + step)]
    settings = {"max_length": room + 2, "overlap": overlap, "cls_id": 1, "sep_id": 2}
    alone = {**settings, "overlap": 0}
    return [
        Case("overlapping", {"texts": texts, **settings}, ("windows", "owners")),
        Case("with an empty text", {"texts": empty, **settings}, ("short",)),
        Case("no overlap", {"texts": texts, **alone}, ("windows",)),
        Case("one new word", {"texts": texts, **settings, "overlap": room - 1}, ("windows",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[list[np.ndarray], list[int]]:
    """Windows and owners: each window begins where the one before ends, less the overlap, until the text's end."""
    windows, owners = [], []
    for number, text in enumerate(inputs["texts"]):
        end, begin = 0, 0
        while end < len(text) or number not in owners:
            end = min(begin + inputs["max_length"] - 2, len(text))
            windows.append(np.array([inputs["cls_id"], *text[begin:end], inputs["sep_id"]]))
            owners.append(number)
            begin = end - inputs["overlap"]
    return windows, owners


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare window by window, and the owners."""
    right, owners = expected(case.inputs)
    windows = [np.asarray(window) for window in observed["windows"]]
    first = case.criteria[0]
    text = _("{count} windows were expected, yours are {seen}").format(count=len(right), seen=len(windows))
    found = [holds(first, len(windows) == len(right), text)]
    for place, (mine, wanted) in enumerate(zip(windows, right, strict=False)):
        whole = mine.dtype.kind in "iu"
        found.append(holds(first, whole, _("a window holds integers; yours is of {kind}").format(kind=mine.dtype)))
        found.append(close(first, mine, wanted, _("window {place}").format(place=place)))
    found.append(holds(first, observed["kept"], _("your function changed the texts it was given")))
    criterion = "owners" if "owners" in case.criteria else first
    return [*found, close(criterion, observed["owners"], owners, _("the numbers of the texts"))]


def probe_numpy(candidate, inputs):
    """Cut all texts."""
    texts = [list(text) for text in inputs["texts"]]
    result = candidate(texts, *(inputs[name] for name in ("max_length", "overlap", "cls_id", "sep_id")))
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not isinstance(result[0], (list, tuple)):
        raise NotPlain(_("two things were expected: a list of windows, and the number of each window's text"))
    windows = [as_array(window) for window in result[0]]
    return {"windows": windows, "owners": as_array(result[1]), "kept": texts == inputs["texts"]}


EXERCISE = Exercise(
    id="text-windows",
    title=_("Longer than the model reads"),
    lesson="05_fine_tuning_text",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "An encoder reads at most `max_length` tokens. Write `text_windows(texts, max_length, overlap, cls_id, "
        "sep_id)`: cut each text, given as ids without special tokens, into windows from left to right. Each begins "
        "with [CLS] and ends with [SEP], which count towards `max_length`; the last `overlap` words of one window are "
        "the first of the next. No window may only repeat words of the one before. Return the windows, and for each "
        "the number of its text; an empty text has one window."
    ),
    hints=(
        _("How many words fit into a window, and how far apart do two windows begin?"),
        _("Draw a text of 10 words with room for 6 and an overlap of 2. Where must no further window begin?"),
        _("Windows begin every `room - overlap` words, as long as more than `overlap` words are left there."),
    ),
    follow_ups=(
        FollowUp(
            _("Training and predicting on windows: which label does a window have, and how is a text classified?"),
            _(
                "In training each window takes its text's label, which is noise where the evidence is elsewhere. At "
                "prediction, average logits or probabilities over a text's windows, or take the largest where one "
                "passage decides. Split train and test by text, or windows of one text stand on both sides."
            ),
        ),
        FollowUp(
            _("When would you rather truncate?"),
            _(
                "When the beginning tells enough, as in news, where head plus tail is a strong baseline (Sun et al., "
                "2019). It costs one pass and not several. Measure both on validation texts, the long ones apart."
            ),
        ),
    ),
    criteria={
        "windows": Criterion(_("cuts texts into overlapping windows that fit"), weight=3),
        "owners": Criterion(_("tells which text each window is from"), needs=("windows",)),
        "short": Criterion(_("gives every short text, also an empty one, its window")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"while": NUMPY_WHILE, "count": NUMPY_COUNT},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
            equivalent={
                "for start in range(0, max(1, len(text) - overlap), room - overlap):": "the maximum is symmetric"
            },
        ),
    },
    complexity=_(
        "Time and memory grow with the tokens of all windows: each word of a long text stands in about (`max_length` - "
        "2) / (`max_length` - 2 - `overlap`) of them. The encoder's work grows by that factor too, and doubles where "
        "windows share half of their words."
    ),
)
