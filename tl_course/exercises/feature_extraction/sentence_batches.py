"""Batches of texts of similar length, and the way back to the original order."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def sentence_batches(lengths: np.ndarray, batch_size: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Put texts of similar length into the same batch, and tell how to undo the new order.

    Args:
        lengths: tokens in each text, integer, shape (N,), N at least 1.
        batch_size: the most texts in a batch.

    Returns:
        The batches, each an array of indices into the texts, and an index array of shape (N,): the batches' outputs,
        joined one after the other and indexed with it, stand in the texts' original order.
    """
    order = np.argsort(lengths)
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return batches, np.argsort(order)
'''

NUMPY_SCATTER = """
import numpy as np


def sentence_batches(lengths, batch_size):
    order = np.array(sorted(range(len(lengths)), key=lambda i: -lengths[i]))  # long texts first
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return np.split(order, np.arange(batch_size, len(order), batch_size)), back
"""

NUMPY_LOOP = """
def sentence_batches(lengths, batch_size):
    batches = []
    for length, index in sorted((int(length), index) for index, length in enumerate(lengths)):
        if not batches or len(batches[-1]) == batch_size:
            batches.append([])
        batches[-1].append(index)
    joined = [index for batch in batches for index in batch]
    return batches, [joined.index(index) for index in range(len(lengths))]
"""

NOT_SORTED = _("the texts stay in the order in which they came, so one long text pads a batch of short ones")
DROPS_LAST = _("the last batch is left out when it is not full; its texts get no features")
ORDER_NOT_INVERSE = _(
    "the order that sorts is not the order that undoes sorting: it says who stands at a place, not where each text went"
)
SORTED_INSIDE = _("only the texts inside a batch are sorted; which texts share a batch decides the padding")
LENGTHS_NOT_INDICES = _("the batches hold token counts instead of the texts' indices")
TOO_LARGE = _("batch_size is taken for the number of batches")
BACKWARDS = _("reversing the joined outputs undoes a reversal, not a sort")


def cases(rng: np.random.Generator) -> list[Case]:
    """A count that leaves a partial batch, one that fits exactly with equal lengths in it, and one below a batch."""
    every = ("each once", "size", "padding", "inverse")
    partial, few = int(5 * rng.integers(3, 6) + rng.integers(1, 5)), int(rng.integers(5, 13))
    twice = np.repeat(_lengths(rng, int(rng.choice([6, 10])), 10), 2)
    return [
        Case("partial last batch", {"lengths": _lengths(rng, partial, 5), "batch_size": 5}, every),
        Case("equal lengths", {"lengths": rng.permutation(twice), "batch_size": 4}, every),
        Case(
            "less than a batch",
            {"lengths": _lengths(rng, few, few), "batch_size": 16},
            ("each once", "size", "inverse"),
        ),
    ]


def _lengths(rng: np.random.Generator, count: int, batch_size: int) -> np.ndarray:
    """Different token counts; in the given order they would need much padding."""
    while True:
        lengths = rng.choice(np.arange(3, 90), size=count, replace=False)
        parts = [lengths[start : start + batch_size] for start in range(0, count, batch_size)]
        if count <= batch_size or sum(max(part) * len(part) for part in parts) > 1.3 * lengths.sum():
            return lengths


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Count texts, batches and padding, and undo the order with the learner's index array."""
    lengths, batch_size = case.inputs["lengths"], case.inputs["batch_size"]
    batches = [np.asarray(batch) for batch in observed["batches"]]
    joined = np.concatenate([batch.ravel() for batch in batches]) if batches else np.zeros(0, dtype=int)
    problem = _not_batches(batches, len(lengths))
    if problem:
        return [holds(name, False, problem) for name in case.criteria]
    found = [
        _each_once(joined, len(lengths)),
        _size(batches, len(lengths), batch_size),
        _padding(batches, lengths, batch_size),
        _inverse(joined, np.asarray(observed["inverse"])),
    ]
    return [finding for finding in found if finding.criterion in case.criteria]


def _not_batches(batches: list[np.ndarray], count: int) -> str:
    """Why these are no batches of indices; empty when they are."""
    for batch in batches:
        if batch.ndim != 1 or batch.dtype.kind not in "iu":
            text = _("a batch is a one-dimensional array of whole numbers; yours has shape {shape} and dtype {dtype}")
            return text.format(shape=batch.shape, dtype=batch.dtype)
        if batch.size and (batch.min() < 0 or batch.max() >= count):
            text = _("a batch holds {index}; there are {count} texts, from 0")
            return text.format(index=batch.max() if batch.max() >= count else batch.min(), count=count)
    return "" if batches else _("there are no batches")


def _each_once(joined: np.ndarray, count: int) -> Finding:
    times = np.bincount(joined, minlength=count)
    odd = int(np.abs(times - 1).argmax())
    text = _("text {index} stands {times} times in your batches").format(index=odd, times=int(times[odd]))
    return holds("each once", bool((times == 1).all()), text)


def _size(batches: list[np.ndarray], count: int, batch_size: int) -> Finding:
    sizes = [len(batch) for batch in batches]
    fewest = -(-count // batch_size)
    if max(sizes) > batch_size:
        text = _("a batch holds {size} texts, batch_size is {batch_size}")
        return Finding("size", False, text.format(size=max(sizes), batch_size=batch_size))
    text = _("{count} texts need {fewest} batches of at most {batch_size}, yours are {batches}")
    text = text.format(count=count, fewest=fewest, batch_size=batch_size, batches=len(sizes))
    return holds("size", len(sizes) == fewest, text)


def _padding(batches: list[np.ndarray], lengths: np.ndarray, batch_size: int) -> Finding:
    """No more padded tokens than a cut of the sorted texts needs, from the short or from the long end."""
    rising = np.sort(lengths)
    cuts = [
        sum(int(max(texts[start : start + batch_size])) * len(texts[start : start + batch_size]) for start in starts)
        for texts, starts in (
            (rising, range(0, len(rising), batch_size)),
            (rising[::-1], range(0, len(rising), batch_size)),
        )
    ]
    mine = sum(int(lengths[batch].max()) * len(batch) for batch in batches if len(batch))
    text = _("your padded batches hold {mine} tokens in all; {least} are enough for these {real} real ones")
    return holds("padding", mine <= max(cuts), text.format(mine=mine, least=max(cuts), real=int(lengths.sum())))


def _inverse(joined: np.ndarray, inverse: np.ndarray) -> Finding:
    if inverse.shape != joined.shape or inverse.dtype.kind not in "iu":
        text = _("whole numbers of shape {right} were expected to undo the order, yours are {dtype} of shape {seen}")
        return Finding("inverse", False, text.format(right=joined.shape, dtype=inverse.dtype, seen=inverse.shape))
    if inverse.size and (inverse.min() < 0 or inverse.max() >= len(joined)):
        return Finding("inverse", False, _("the index array that undoes the order points outside the joined outputs"))
    what = _("the texts' numbers after joining and undoing the order")
    return close("inverse", joined[inverse], np.arange(len(joined)), what)


def probe_numpy(candidate, inputs):
    """Make batches from the token counts."""
    result = candidate(inputs["lengths"].copy(), inputs["batch_size"])
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotPlain(_("two things were expected: the batches, and the index array that undoes the order"))
    batches, inverse = result
    if not isinstance(batches, (list, tuple, np.ndarray)):
        raise NotPlain(_("the batches were expected as a list of index arrays"))
    return {"batches": [as_array(batch) for batch in batches], "inverse": as_array(inverse)}


EXERCISE = Exercise(
    id="sentence-batches",
    title=_("Short texts with short texts"),
    lesson="03_feature_extraction",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "A batch of texts is padded to its longest one, so mixing lengths wastes time. Write "
        "`sentence_batches(lengths, batch_size)`: sort by token count and cut into batches of `batch_size` (the last "
        "may be smaller). Return the list of index arrays, every text once, and an index array `inverse`. If `outputs` "
        "is a list with the encoder's result for each of your batches, one row per text, then "
        "`np.concatenate(outputs)[inverse]` stands in the original order. Checked: every text once, batch sizes, "
        "padded tokens, and the way back."
    ),
    hints=(
        _("Sort indices rather than lengths: you must still know which text is which."),
        _("A slice that reaches beyond the end is simply shorter; the last partial batch needs no special case."),
        _(
            "You know which text stands at each place. What you return asks the opposite: at which place stands text "
            "0, 1, 2, …?"
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why is sorting by length harmless for feature extraction and doubtful for training?"),
            _(
                "In inference mode and with the mask, a text's vector does not depend on its batch, so only the "
                "padding changes. In training, a batch of equal lengths is no random sample: length goes with topic "
                "and class, so the gradients of successive batches are biased. Bucketing with shuffling is the usual "
                "compromise."
            ),
        ),
        FollowUp(
            _(
                "Attention costs grow with the square of the length. How would you cut batches by tokens "
                "instead of texts?"
            ),
            _(
                "Sort by length and add texts as long as (number of texts) x (longest length) stays within a budget "
                "of tokens. Where attention dominates, budget number x length squared; for short texts the linear "
                "layers dominate, and counting tokens is right."
            ),
        ),
        FollowUp(
            _("Why do many libraries start with the longest batch?"),
            _(
                "It needs the most memory, so a batch that does not fit fails at once and not after an hour. The "
                "estimate of the remaining time is then pessimistic rather than too hopeful, and later batches fit "
                "into memory that is already allocated."
            ),
        ),
    ),
    criteria={
        "each once": Criterion(_("puts every text into exactly one batch")),
        "size": Criterion(_("fills batches up to batch_size"), needs=("each once",)),
        "padding": Criterion(_("needs no more padding than sorted texts do"), needs=("each once", "size")),
        "inverse": Criterion(_("leads back to the original order"), weight=2, needs=("each once", "padding")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"scatter": NUMPY_SCATTER, "loop": NUMPY_LOOP},
            mistakes={
                "not-sorted": Mistake(NOT_SORTED, (("np.argsort(lengths)", "np.arange(len(lengths))"),)),
                "drops-last": Mistake(
                    DROPS_LAST,
                    (("range(0, len(order), batch_size)", "range(0, len(order) - batch_size + 1, batch_size)"),),
                ),
                "order-not-inverse": Mistake(ORDER_NOT_INVERSE, (("np.argsort(order)", "order"),)),
                "backwards": Mistake(BACKWARDS, (("np.argsort(order)", "np.arange(len(order))[::-1]"),)),
                "sorted-inside": Mistake(
                    SORTED_INSIDE,
                    source="""
import numpy as np


def sentence_batches(lengths, batch_size):
    starts = range(0, len(lengths), batch_size)
    batches = [start + np.argsort(lengths[start : start + batch_size]) for start in starts]
    return batches, np.argsort(np.concatenate(batches))
""",
                ),
                "lengths-not-indices": Mistake(
                    LENGTHS_NOT_INDICES,
                    (("[order[start : start + batch_size]", "[lengths[order][start : start + batch_size]"),),
                ),
                "number-of-batches": Mistake(
                    TOO_LARGE,
                    (
                        (
                            "[order[start : start + batch_size] for start in range(0, len(order), batch_size)]",
                            "np.array_split(order, batch_size)",
                        ),
                    ),
                ),
            },
        ),
    },
    complexity=_(
        "O(N log N) time for two sorts (the way back could be had in O(N)), O(N) memory. That is nothing beside the "
        "padded tokens which the encoder is spared."
    ),
)
