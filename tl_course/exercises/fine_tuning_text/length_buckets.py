"""Batches of texts of about equal length that are still shuffled for training."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def shuffled_buckets(
    lengths: np.ndarray, batch_size: int, pool_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The batches of one epoch.

    Args:
        lengths: tokens in each text, shape (N,).
        batch_size: texts in a batch; the last one may be smaller.
        pool_size: how many texts, drawn at random, are sorted together; a multiple of batch_size.
        rng: where all the chance comes from.

    Returns:
        Index arrays, one a batch, in random order. Every text is in exactly one of them.
    """
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool])]
        batches += [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
    return [batches[place] for place in rng.permutation(len(batches))]
'''

NUMPY_LEXSORT = """
import numpy as np


def shuffled_buckets(lengths, batch_size, pool_size, rng):
    place = np.arange(len(lengths))
    rng.shuffle(place)
    inverse = np.lexsort((-np.asarray(lengths), place // pool_size))
    cuts = np.arange(batch_size, len(inverse), batch_size)
    batches = np.split(inverse, cuts)
    rng.shuffle(whole := list(range(len(batches))))
    return [batches[i] for i in whole]
"""

NUMPY_SETS = """
import numpy as np


def shuffled_buckets(lengths, batch_size, pool_size, rng):
    left = set(range(len(lengths)))
    batches = []
    while left:
        size = min(pool_size, len(left))
        pool = rng.choice(sorted(left), size=size, replace=False).tolist()
        left -= set(pool)
        pool.sort(key=lambda index: lengths[index], reverse=True)
        while pool:
            batches.append(np.array(pool[:batch_size]))
            del pool[:batch_size]
    keys = rng.random(len(batches))
    return [batches[i] for i in np.argsort(keys)]
"""

ORDER, SORT, LAST = (
    "rng.permutation(len(lengths))",
    "        pool = pool[np.argsort(lengths[pool])]\n",
    "[batches[place] for place in rng.permutation(len(batches))]",
)
MESSAGES = {
    "short-to-long": _("batches come from short to long within each pool: training sees lengths in a fixed order"),
    "fixed-order": _("the texts are drawn anew, but the short batches always stand at the same places of the epoch"),
    "never-sorted": _("the texts are shuffled and not sorted, so short ones are padded to the length of long ones"),
    "one-sorted-list": _("the same texts meet in the same batch in every epoch; only the order of batches changes"),
    "own-seed": _("the random numbers do not come from the rng given: every epoch is like the first"),
    "global-random": _("the random numbers come from NumPy's global state, so the rng's seed does not repeat a run"),
    "drops-last": _("texts that do not fill a batch are left out, in every epoch others"),
    "shuffled-after": _("the sorted texts are shuffled again before they are cut into batches"),
    "lengths-not-indices": _("the batches hold lengths, where indices of texts were expected"),
    "sorts-positions": _("the places after sorting are counted within the pool and were taken for indices of texts"),
}
EDITS = {
    "short-to-long": (LAST, "batches"),
    "fixed-order": (LAST, LAST.replace("rng", "np.random.default_rng(0)")),
    "never-sorted": (SORT, ""),
    "one-sorted-list": (ORDER, "np.argsort(lengths)"),
    "own-seed": ("    order = ", "    rng = np.random.default_rng(0)\n    order = "),
    "global-random": ("    order = ", "    rng = np.random\n    order = "),
    "drops-last": ("range(0, len(pool), batch_size)", "range(0, len(pool) - batch_size + 1, batch_size)"),
    "shuffled-after": (SORT, SORT + "        pool = rng.permutation(pool)\n"),
    "lengths-not-indices": (SORT, "        pool = np.sort(lengths[pool])\n"),
    "sorts-positions": (SORT, "        pool = np.argsort(lengths[pool])\n"),
}

EPOCHS = 6


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts of very unequal lengths: several pools, one pool for all, and pools that fill no whole batch."""
    several, one, odd = int(rng.integers(44, 61)), int(rng.integers(20, 30)), int(rng.choice([27, 29, 30, 31, 33, 34]))
    return [
        _case(rng, "several pools", several, 4, 16, ("each once", "padding", "chance", "seed")),
        _case(rng, "one pool", one, 3, 60, ("each once", "padding")),
        _case(rng, "an odd end", odd, 4, 12, ("each once", "padding")),
    ]


def _case(rng: np.random.Generator, name: str, count: int, batch_size: int, pool_size: int, criteria) -> Case:
    lengths = rng.permutation(rng.integers(1, 4, size=count) + np.arange(count) * 4)
    seeds = [int(seed) for seed in rng.choice(1000, size=EPOCHS, replace=False)]
    return Case(name, {"lengths": lengths, "batch": batch_size, "pool": pool_size, "seeds": seeds}, criteria)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Properties of every epoch, and how epochs differ."""
    inputs, epochs = case.inputs, [[np.asarray(batch) for batch in epoch] for epoch in observed["epochs"]]
    problem = next((text for epoch in epochs if (text := _not_batches(epoch, inputs))), "")
    if problem:
        return [holds(name, False, problem) for name in case.criteria]
    found = [holds("each once", True, "")]
    found.append(holds("padding", all(_homogeneous(epoch, inputs) for epoch in epochs), _padding_text(epochs, inputs)))
    if "chance" in case.criteria:
        again = [[np.asarray(batch) for batch in epoch] for epoch in observed["again"]]
        repeated = all(_same(a, b) for a, b in zip(epochs, again, strict=True))
        found += [*_chance(epochs, inputs["lengths"])]
        found.append(holds("seed", repeated, _("the same seed of the rng gave other batches when it was used again")))
    kept = _("your function changed the lengths it was given")
    return [*found, holds("each once", observed["kept"], kept)]


def _not_batches(epoch: list[np.ndarray], inputs: dict[str, Plain]) -> str:
    """Why these are no batches of all texts; empty when they are."""
    count, size = len(inputs["lengths"]), inputs["batch"]
    for batch in epoch:
        if batch.ndim != 1 or batch.dtype.kind not in "iu" or not 0 < len(batch) <= size:
            text = _("a batch is an index array of 1 to {size} integers; yours has shape {shape} and dtype {dtype}")
            return text.format(size=size, shape=batch.shape, dtype=batch.dtype)
    times = np.unique(np.concatenate(epoch) if epoch else np.zeros(0, dtype=int), return_counts=True)
    if not np.array_equal(times[0], np.arange(count)) or (times[1] > 1).any():
        text = _("{count} texts were given; your batches hold {seen} different indices in {places} places")
        return text.format(count=count, seen=len(times[0]), places=int(times[1].sum()))
    fewest = sum(-(-min(inputs["pool"], count - start) // size) for start in range(0, count, inputs["pool"]))
    text = _("{fewest} batches were expected, yours are {seen}")
    return "" if len(epoch) == fewest else text.format(fewest=fewest, seen=len(epoch))


def _homogeneous(epoch: list[np.ndarray], inputs: dict[str, Plain]) -> bool:
    """Whether batches can be put into pools in which they do not overlap in length (a greedy colouring)."""
    spans = sorted((inputs["lengths"][batch].min(), inputs["lengths"][batch].max()) for batch in epoch)
    ends: list[int] = []
    for low, high in spans:
        free = [place for place, end in enumerate(ends) if end < low]
        if free:
            ends[free[0]] = high
        else:
            ends.append(high)
    return len(ends) <= -(-len(inputs["lengths"]) // inputs["pool"])


def _padding_text(epochs: list[list[np.ndarray]], inputs: dict[str, Plain]) -> str:
    lengths = inputs["lengths"]
    share = np.mean([sum(lengths[b].max() * len(b) for b in epoch) / lengths.sum() - 1 for epoch in epochs])
    text = _("padding adds {share:.0%} to the real tokens: batches of one pool of {pool} texts overlap in length")
    return text.format(share=float(share), pool=inputs["pool"])


def _chance(epochs: list[list[np.ndarray]], lengths: np.ndarray) -> list[Finding]:
    """Other company in other epochs, and no order of lengths that returns."""
    groups = [{frozenset(batch.tolist()) for batch in epoch} for epoch in epochs]
    stable = set.intersection(*groups)
    message = _("{count} of {all} batches hold the same texts in every epoch")
    together = holds("chance", not stable, message.format(count=len(stable), all=len(epochs[0])))
    means = np.array([[lengths[batch].mean() for batch in epoch] for epoch in epochs])  # (epochs, batches)
    others = ~np.eye(len(epochs), dtype=bool)
    alike = float(np.corrcoef(means)[others].mean())
    ordered = _("batches come in nearly the same order of lengths in every epoch (correlation {alike:.2f})")
    return [together, holds("chance", alike < 0.45, ordered.format(alike=alike))]


def _same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def probe_numpy(candidate, inputs):
    """Several epochs, each with a seed of its own, and the same again."""
    given = inputs["lengths"].copy()

    def epoch(seed: int) -> list[np.ndarray]:
        batches = candidate(given, inputs["batch"], inputs["pool"], np.random.default_rng(seed))
        if not isinstance(batches, (list, tuple, np.ndarray)):
            raise NotPlain(_("a list of index arrays was expected, one a batch"))
        return [as_array(batch) for batch in batches]

    epochs, again = ([epoch(seed) for seed in inputs["seeds"]] for _turn in range(2))
    return {"epochs": epochs, "again": again, "kept": np.array_equal(given, inputs["lengths"])}


EXERCISE = Exercise(
    id="length-buckets",
    title=_("Alike in length, and still shuffled"),
    lesson="05_fine_tuning_text",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Sorting all texts by length saves padding, but training then sees the same batches in the same order in every "
        "epoch. Write `shuffled_buckets(lengths, batch_size, pool_size, rng)`, called once per epoch: shuffle all "
        "texts, take `pool_size` of them at a time, sort each pool by length and cut it into batches. Return the index "
        "arrays of all batches in random order. Checked: every text once, lengths within a pool, company and order "
        "that change, and that all chance comes from `rng`."
    ),
    hints=(
        _("Chance enters twice: which texts form a pool, and in which order the batches come."),
        _("`np.argsort(lengths[pool])` counts places within the pool. What leads from there to the texts' numbers?"),
        _(
            "Permute all indices; for each slice of pool_size: order it by length, cut it into slices of batch_size, "
            "collect them; permute what was collected."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("What does pool_size trade against what?"),
            _(
                "A large pool makes batches more alike in length, so there is less padding, and less random: length "
                "goes with topic and class, which biases each gradient. A pool of one batch is plain shuffling. In "
                "between lie common choices, such as 50 batches a pool."
            ),
        ),
        FollowUp(
            _("Two runs with the same seed should see the same batches. What else must be seeded, and what breaks it?"),
            _(
                "The new head, dropout, and the data loader's workers, each from a generator of its own. It breaks "
                "when code draws from a global generator, as then any extra draw elsewhere moves all later batches."
            ),
        ),
    ),
    criteria={
        "each once": Criterion(_("puts every text into exactly one batch of at most batch_size")),
        "padding": Criterion(_("batches texts of a pool by length"), weight=2, needs=("each once",)),
        "chance": Criterion(_("changes company and order from epoch to epoch"), weight=2, needs=("each once",)),
        "seed": Criterion(_("repeats an epoch for the same rng"), needs=("each once", "chance")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"lexsort": NUMPY_LEXSORT, "sets": NUMPY_SETS},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
        ),
    },
    complexity=_(
        "O(N log `pool_size`) time an epoch, as only pools are sorted, and O(N) memory. A larger pool means less "
        "padding for the encoder, which is what costs, and batches that are more alike from epoch to epoch."
    ),
)
