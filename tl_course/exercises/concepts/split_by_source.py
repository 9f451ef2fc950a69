"""Split examples into training and test so that no source stands in both."""

import random

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUM_SPLITS = 60  # seeds tried
NUM_REPEATED = 5  # seeds used a second time

NUMPY = '''
import numpy as np


def split_by_source(sources: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split examples so that all examples of a source stay together.

    Args:
        sources: where each example comes from (patient, camera, author), strings, shape (N,), at least two sources.
        share: share of the *sources* that goes to the test set, between 0 and 1; rounded with `round` to a whole
            number of sources, at least one.
        seed: the same seed gives the same split; another seed gives another one.

    Returns:
        Indices of the training and of the test examples, integer, each ascending.
    """
    names = np.unique(sources)
    count = max(1, round(share * len(names)))
    chosen = np.random.default_rng(seed).choice(names, count, replace=False)
    held_out = np.isin(sources, chosen)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
'''

SHUFFLE = """
import random


def split_by_source(sources, share, seed):
    names = sorted(set(sources.tolist()))
    random.Random(seed).shuffle(names)
    chosen = set(names[: round(share * len(names)) or 1])
    train = [i for i, name in enumerate(sources) if name not in chosen]
    test = [i for i, name in enumerate(sources) if name in chosen]
    return train, test
"""

RANKS = """
import numpy as np


def split_by_source(sources, share, seed):
    names, member = np.unique(sources, return_inverse=True)
    rank = np.random.RandomState(seed).permutation(len(names))[member]
    count = np.clip(round(len(names) * share), 1, None)
    return np.nonzero(rank >= count)[0], np.nonzero(rank < count)[0]
"""

BY_EXAMPLE = _(
    "examples are drawn one by one, so most sources stand on both sides: the test set then asks for faces the model "
    "has seen"
)
SHARE_OF_EXAMPLES = _(
    "sources with many examples are drawn more often than others: the draw runs over examples, not over sources"
)
SORTED_TAIL = _("the same sources are held out whatever the seed")
UNSEEDED = _("the generator starts somewhere else at every call, so nobody can repeat the split")
GLOBAL_STATE = _("seeding the shared generator makes every later random number of the program start anew")
ROUNDED_DOWN = _("the number of sources is cut off, not rounded, and a small share leaves the test set empty")
SWAPPED = _("training and test examples are the wrong way round")
NAMES = _("the sources themselves are returned; asked are the positions of their examples")
OVERLAP = _("the training part is everything, the held-out sources included")


def cases(rng: np.random.Generator) -> list[Case]:
    """Sources of very unequal sizes in mixed order; a share that needs rounding; a share that rounds to nothing."""
    words = rng.choice([f"{kind} {number}" for kind in ("north", "south", "mobile") for number in range(9)], 7, False)
    sources = rng.permutation(np.repeat(words, (1, 1, 2, 3, 4, 6, 17)))
    seeds = [int(seed) for seed in rng.choice(10_000, size=NUM_SPLITS, replace=False)]
    every = ("complete", "apart", "share", "order", "random", "repeats", "global")
    return [
        Case("seven sources", {"sources": sources, "share": 0.4, "seeds": seeds}, every),
        Case("half", {"sources": sources[sources != words[0]], "share": 0.3, "seeds": seeds[:9]}, every[:4]),
        Case("small share", {"sources": sources, "share": 0.03, "seeds": seeds[:9]}, every[:4]),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Check properties of the splits; any generator may have made them."""
    sources, share = case.inputs["sources"], case.inputs["share"]
    if not observed["repeats"]:
        text = _("the same seed gave another split at the second call, so nothing else can be checked")
        return [holds(name, False, text) for name in case.criteria]
    splits = [(np.asarray(train), np.asarray(test)) for train, test in observed["splits"]]
    if any(part.ndim != 1 or part.dtype.kind not in "iu" for split in splits for part in split if part.size):
        text = _("one-dimensional arrays of whole numbers were expected, the positions of examples")
        return [holds(name, False, text) for name in case.criteria]
    wanted = max(1, round(share * len(set(sources.tolist()))))
    found = [_parts(train, test, sources, wanted) for train, test in splits]
    findings = [finding for group in found for finding in group]
    findings.append(holds("global", observed["global kept"], _("the shared random generator had moved afterwards")))
    findings.append(Finding("repeats", True))
    if "random" in case.criteria:
        findings.append(_random([test for _train, test in splits], sources, wanted))
    return [finding for finding in findings if finding.criterion in case.criteria]


def _parts(train: np.ndarray, test: np.ndarray, sources: np.ndarray, wanted: int) -> list[Finding]:
    together = np.sort(np.concatenate([train, test]).astype(np.int64))
    complete = np.array_equal(together, np.arange(len(sources)))
    if not complete:
        text = _("of {count} examples, your two parts hold {yours}, {distinct} of them different")
        text = text.format(count=len(sources), yours=len(together), distinct=len(set(together.tolist())))
        return [holds(name, False, text) for name in ("complete", "apart", "share", "order")]
    held, kept = ({str(name) for name in sources[part.astype(np.int64)]} for part in (test, train))
    both = _("{count} sources stand in both parts, among them {name}")
    share = _("{yours} sources are in the test set, {wanted} were asked for")
    name = min(held & kept, default="")
    return [
        Finding("complete", True),
        holds("apart", not held & kept, both.format(count=len(held & kept), name=name)),
        holds("share", len(held) == wanted, share.format(yours=len(held), wanted=wanted)),
        holds("order", all((np.diff(part) > 0).all() for part in (train, test)), _("the indices do not ascend")),
    ]


def _random(tests: list[np.ndarray], sources: np.ndarray, wanted: int) -> Finding:
    names = np.unique(sources)
    held = [set(sources[test.astype(np.int64)].tolist()) for test in tests]
    counts = np.array([sum(name in part for part in held) for name in names])
    usual = len(held) * wanted / len(names)
    odd = int(np.abs(counts - usual).argmax())
    text = _("over {draws} seeds, source {name} was held out {count} times; {usual:.0f} would be usual")
    message = text.format(draws=len(held), name=names[odd], count=int(counts[odd]), usual=usual)
    return holds("random", bool(np.abs(counts - usual).max() < 5 * np.sqrt(usual * (1 - wanted / len(names)))), message)


def probe(candidate, inputs):
    """Split with every seed, with some once more, and watch the shared generators."""
    sources, share, seeds = inputs["sources"], inputs["share"], inputs["seeds"]
    _split(candidate, sources, share, seeds[0])  # what an answer imports may draw from the shared generators, once
    before = _shared_state()
    splits = [_split(candidate, sources, share, seed) for seed in seeds]
    kept = _shared_state() == before
    again = [_split(candidate, sources, share, seed) for seed in seeds[:NUM_REPEATED]]
    same = all(np.array_equal(splits[i][part], again[i][part]) for i in range(NUM_REPEATED) for part in (0, 1))
    return {"repeats": True, "splits": splits, "global kept": kept} if same else {"repeats": False}


def _split(candidate, sources: np.ndarray, share: float, seed: int) -> list[np.ndarray]:
    train, test = candidate(sources.copy(), share, seed)
    return [as_array(train), as_array(test)]


def _shared_state() -> tuple[str, str]:
    """The states of NumPy's and Python's shared generators."""
    state = np.random.get_state(legacy=False)["state"]
    return f"{state['key'].tolist()} {state['pos']}", str(random.getstate())


DRAW, RESULT = "np.random.default_rng(seed).choice(names, count, replace=False)", "np.flatnonzero(~held_out)"

EXERCISE = Exercise(
    id="split-by-source",
    title=_("No patient in both parts"),
    lesson="01_concepts",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "Several examples come from each source (a patient, a camera), and the model will meet new sources. Write "
        "`split_by_source`: draw round(share x number of sources) sources, at least one, for the test set, each source "
        "with the same chance; the other sources' examples are for training. Return the indices of both parts, "
        "ascending. The same seed gives the same split; the shared random generators stay as they were."
    ),
    hints=(
        _("What is drawn here: examples, or something that owns examples?"),
        _("List the different sources first. How many of them belong in the test set?"),
        _("Mark each example whose source was drawn; the marked and the unmarked positions are the two parts."),
    ),
    follow_ups=(
        FollowUp(
            _("How much better does a model look when examples of one source stand on both sides?"),
            _(
                "As much as it can recognise sources: with near-duplicates (frames of one video, slices of one scan) "
                "the gap can be tens of points. The model answers by similarity to a training example, and that "
                "similarity is missing in use."
            ),
        ),
        FollowUp(
            _("One source holds 90 % of the examples. What is wrong with this split then?"),
            _(
                "The size of the test set depends on whether that source is drawn, so results swing with the seed. "
                "Report several splits, or go through all sources in turn (leave-one-source-out) and average per "
                "source."
            ),
        ),
    ),
    criteria={
        "complete": Criterion(_("puts every example in exactly one part"), needs=("share", "random")),
        "apart": Criterion(_("keeps each source in one part"), weight=2, needs=("complete", "share")),
        "share": Criterion(_("holds out the right number of sources"), needs=("random",)),
        "order": Criterion(_("returns ascending indices"), weight=0.5, needs=("complete", "share")),
        "random": Criterion(_("gives every source the same chance"), needs=("apart",)),
        "repeats": Criterion(_("gives the same split for the same seed"), weight=0.5, needs=("apart", "random")),
        "global": Criterion(_("leaves the shared random generators alone"), weight=0.5, needs=("apart", "random")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"shuffle": SHUFFLE, "ranks": RANKS},
            mistakes={
                "by-example": Mistake(
                    BY_EXAMPLE,
                    source="""
import numpy as np


def split_by_source(sources, share, seed):
    order = np.random.default_rng(seed).permutation(len(sources))
    count = max(1, round(share * len(sources)))
    return np.sort(order[count:]), np.sort(order[:count])
""",
                ),
                "share-of-examples": Mistake(
                    SHARE_OF_EXAMPLES,
                    (
                        (
                            DRAW,
                            "list(dict.fromkeys(np.random.default_rng(seed).permutation(sources).tolist()))[:count]",
                        ),
                    ),
                ),
                "sorted-tail": Mistake(SORTED_TAIL, ((DRAW, "names[-count:]"),)),
                "unseeded": Mistake(UNSEEDED, (("default_rng(seed)", "default_rng()"),)),
                "global-state": Mistake(
                    GLOBAL_STATE,
                    (("chosen = np.random.default_rng(seed)", "np.random.seed(seed)\n    chosen = np.random"),),
                ),
                "rounded-down": Mistake(
                    ROUNDED_DOWN, (("max(1, round(share * len(names)))", "int(share * len(names))"),)
                ),
                "swapped": Mistake(
                    SWAPPED, ((f"{RESULT}, np.flatnonzero(held_out)", f"np.flatnonzero(held_out), {RESULT}"),)
                ),
                "names": Mistake(
                    NAMES, ((f"{RESULT}, np.flatnonzero(held_out)", "np.setdiff1d(names, chosen), np.sort(chosen)"),)
                ),
                "overlap": Mistake(OVERLAP, ((RESULT, "np.arange(len(sources))"),)),
            },
            equivalent={"count = max(round(share * len(names)), 1)": "the maximum of two numbers is symmetric"},
        ),
    },
    complexity=_(
        "O(N log N) time for N examples, to sort the names and find the distinct ones; O(N) memory for names, mask and "
        "indices. A hash table would find them in O(N)."
    ),
)
