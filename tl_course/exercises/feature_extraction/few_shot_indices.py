"""Draw the same number of labelled examples for each class."""

import itertools
import random
import re
from unittest import mock

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.feature_extraction._few_shot_draws import NUM_DRAWS, examine
from tl_course.i18n import _

NUM_REPEATED = 5  # seeds are used a second time

NUMPY = '''
import numpy as np


def few_shot_indices(y: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Draw per_class examples of each class, without replacement.

    Args:
        y: classes, integer, shape (N,), in any order; any whole numbers may be class numbers.
        per_class: how many examples to draw of each class, at least 1.
        seed: the same seed gives the same draw; another seed gives another one.

    Returns:
        Indices into y, integer, ascending, shape (C * per_class,) for C classes.

    Raises:
        ValueError: a class has fewer than per_class examples; the message names the class.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        if len(members) < per_class:
            raise ValueError(f"{len(members)} examples of class {label}, {per_class} wanted")
        chosen.append(rng.choice(members, per_class, replace=False))
    return np.sort(np.concatenate(chosen))
'''

NUMPY_PERMUTE = """
import numpy as np


def few_shot_indices(y, per_class, seed):
    order = np.random.RandomState(seed).permutation(len(y))
    taken = {int(label): [] for label in y}
    for index in order:
        if len(taken[int(y[index])]) < per_class:
            taken[int(y[index])].append(int(index))
    for label, found in taken.items():
        if len(found) < per_class:
            raise ValueError(f"class {label}: only {len(found)}")
    return np.array(sorted(sum(taken.values(), [])))
"""

NUMPY_SAMPLE = """
import random


def few_shot_indices(y, per_class, seed):
    draw = random.Random(seed)
    indices = []
    for label in sorted(set(y.tolist())):
        members = [i for i, other in enumerate(y) if other == label]
        if per_class > len(members):
            raise ValueError("too few of class " + str(label))
        indices += draw.sample(members, per_class)
    return sorted(indices)
"""

TOO_FEW = """        if len(members) < per_class:
            raise ValueError(f"{len(members)} examples of class {label}, {per_class} wanted")
"""

WITH_REPLACEMENT = _(
    "the draw puts each index back, so an example can come twice and a class has fewer examples than it seems"
)
FIRST_ONES = _("each class gives its first examples whatever the seed, so there is only one possible draw")
IGNORES_SEED = _("there is a random draw, but the seed it was given plays no part in it")
UNSEEDED = _("the generator starts somewhere else at every call, so nobody can repeat an experiment")
UNBALANCED = _("the draw is made over all examples together, so frequent classes get more than their share")
GLOBAL_STATE = _("seeding the shared generator makes every later random number of the program start anew")
SHORT = _("a class with too few examples silently gives what it has, and the result is no longer balanced")
SAME_POSITIONS = _(
    "each class starts the generator anew from the same seed, so all classes are drawn at the same positions"
)
BLOCK = _("only the place to start is drawn, so neighbours in the file always come together")
NOT_SORTED = _("the indices come class by class, not in ascending order")
LABEL_RANGE = _("class numbers are taken to run from 0 without gaps")


def cases(rng: np.random.Generator) -> list[Case]:
    """Three classes with gaps between their numbers; a class that is just large enough; one that is too small."""
    labels = rng.choice(np.arange(12, 40), size=3, replace=False)
    y = rng.permutation(np.repeat(labels, (6, 6, 11)))
    seeds = [int(seed) for seed in rng.choice(10_000, size=NUM_DRAWS, replace=False)]
    every = ("balanced", "distinct", "order", "repeats", "random", "global")
    return [
        Case("three of each", {"y": y, "per_class": 3, "seeds": seeds}, every),
        Case("all of a class", {"y": y, "per_class": 6, "seeds": seeds[:5]}, ("balanced", "distinct", "order")),
        Case("too few", {"y": y, "per_class": 7, "seeds": seeds[:1]}, ("too few",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Check properties of the draws; any generator may have made them."""
    if case.name == "too few":
        return [_complains(observed["error"], case.inputs["y"])]
    draws = [np.asarray(draw) for draw in observed["draws"]]
    again = [np.asarray(draw) for draw in observed["again"]]
    repeats = len(again) == NUM_REPEATED and all(map(np.array_equal, draws, again))
    if len(draws) != len(case.inputs["seeds"]):
        raise ValueError("one draw a seed was expected")
    found = [
        *examine(draws, case.inputs["y"], case.inputs["per_class"]),
        holds("repeats", repeats, _("the same seed gave other indices at the second call")),
        holds("global", observed["global kept"], _("after your function the shared random generator had moved")),
    ]
    return [finding for finding in found if finding.criterion in case.criteria]


def _complains(error: str | None, y: np.ndarray) -> Finding:
    """Whether a ValueError came that names a class that is too small."""
    if error is None:
        return Finding("too few", False, _("per_class is larger than a class, and no ValueError was raised"))
    small = {int(label) for label in y if np.count_nonzero(y == label) == 6}
    named = small & {int(number) for number in re.findall(r"\d+", error)}
    return holds("too few", bool(named), _("the ValueError does not say which class has too few examples"))


def probe_numpy(candidate, inputs):
    """Draw with every seed, with some once more, and watch the shared generators.

    A generator without a seed starts elsewhere at every call and yet alike at every check, so that an answer that
    makes one can be told from others.
    """
    y, per_class, seeds = inputs["y"], inputs["per_class"], inputs["seeds"]
    if per_class > 6:
        try:
            candidate(y.copy(), per_class, seeds[0])
        except ValueError as error:
            return {"error": str(error)}
        return {"error": None}
    made, start = np.random.default_rng, itertools.count(10_000)
    with mock.patch("numpy.random.default_rng", lambda seed=None: made(next(start) if seed is None else seed)):
        before = _shared_state()
        draws = [as_array(candidate(y.copy(), per_class, seed)) for seed in seeds]
        kept = _shared_state() == before
        again = [as_array(candidate(y.copy(), per_class, seed)) for seed in seeds[:NUM_REPEATED]]
    return {"draws": draws, "again": again, "global kept": kept}


def _shared_state() -> tuple[str, str]:
    """The states of NumPy's and Python's shared generators."""
    state = np.random.get_state(legacy=False)["state"]
    return f"{state['key'].tolist()} {state['pos']}", str(random.getstate())


EXERCISE = Exercise(
    id="few-shot-indices",
    title=_("A few labels for each class"),
    lesson="03_feature_extraction",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Few-label experiments stand or fall with the draw. Write `few_shot_indices(y, per_class, seed)`: "
        "`per_class` indices of each class, drawn without replacement, each class independently and every example "
        "with the same chance. The same seed gives the same indices, another seed others; NumPy's and Python's "
        "shared random generators stay as they were. Return integers in ascending order; a class with too few "
        "examples raises a `ValueError` that names it. Any generator is right."
    ),
    hints=(
        _("Work class by class: which indices of y belong to it?"),
        _("A generator object of your own, made from the seed once, leaves the shared one alone."),
        _(
            "For each class number that occurs: collect its indices, check that there are enough, let your generator "
            "choose without replacement. Join the parts and sort at the end."
        ),
    ),
    follow_ups=(
        FollowUp(
            _(
                "Accuracy with 5 labels per class varies by several points from draw to draw. How do you report such "
                "a result?"
            ),
            _(
                "Repeat it with many seeds and report the mean, the standard deviation or a confidence interval, and "
                "the number of draws. Compare methods on the same draws, so that the luck of a draw cancels in the "
                "difference."
            ),
        ),
        FollowUp(
            _("When would you rather draw in proportion to the class frequencies?"),
            _(
                "When the experiment stands for labelling at random in practice, or when the predicted probabilities "
                "should match the real class frequencies. A balanced draw tells the model that all classes are "
                "equally likely."
            ),
        ),
        FollowUp(
            _("Why should the test set not depend on this seed?"),
            _(
                "Otherwise two things vary at once, and a test set that happens to be easy looks like a good draw. It "
                "could also contain examples that another seed trains on. One fixed test set asks every draw the same "
                "questions."
            ),
        ),
    ),
    criteria={
        "balanced": Criterion(_("draws per_class indices of each class")),
        "distinct": Criterion(_("draws no example twice"), needs=("balanced",)),
        "order": Criterion(_("returns the indices in ascending order"), weight=0.5, needs=("balanced",)),
        "repeats": Criterion(_("gives the same draw for the same seed"), needs=("balanced", "random")),
        "random": Criterion(
            _("gives every example of a class its chance, each class independently"), needs=("balanced",)
        ),
        "global": Criterion(_("leaves the shared random generators alone"), weight=0.5, needs=("balanced", "random")),
        "too few": Criterion(
            _("raises a ValueError that names a class with too few examples"), weight=0.5, needs=("balanced",)
        ),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"permute": NUMPY_PERMUTE, "sample": NUMPY_SAMPLE},
            mistakes={
                "with-replacement": Mistake(WITH_REPLACEMENT, ((", replace=False", ""),)),
                "first-ones": Mistake(
                    FIRST_ONES, (("rng.choice(members, per_class, replace=False)", "members[:per_class]"),)
                ),
                "block": Mistake(
                    BLOCK,
                    (
                        (
                            "chosen.append(rng.choice(members, per_class, replace=False))",
                            "start = rng.integers(len(members) - per_class + 1)\n"
                            "        chosen.append(members[start : start + per_class])",
                        ),
                    ),
                ),
                "ignores-seed": Mistake(IGNORES_SEED, (("default_rng(seed)", "default_rng(0)"),)),
                "unseeded": Mistake(UNSEEDED, (("default_rng(seed)", "default_rng()"),)),
                "unbalanced": Mistake(
                    UNBALANCED,
                    source="""
import numpy as np


def few_shot_indices(y, per_class, seed):
    classes, counts = np.unique(y, return_counts=True)
    if counts.min() < per_class:
        raise ValueError(f"class {classes[counts.argmin()]} has too few")
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(len(y), per_class * len(classes), replace=False))
""",
                ),
                "global-state": Mistake(
                    GLOBAL_STATE,
                    (("rng = np.random.default_rng(seed)", "np.random.seed(seed)"), ("rng.choice", "np.random.choice")),
                ),
                "short": Mistake(
                    SHORT,
                    (
                        (TOO_FEW, ""),
                        ("members, per_class, replace", "members, min(per_class, len(members)), replace"),
                    ),
                ),
                "same-positions": Mistake(
                    SAME_POSITIONS, (("rng.choice(members", "np.random.default_rng(seed).choice(members"),)
                ),
                "not-sorted": Mistake(NOT_SORTED, (("np.sort(np.concatenate(chosen))", "np.concatenate(chosen)"),)),
                "label-range": Mistake(LABEL_RANGE, (("np.unique(y)", "range(len(np.unique(y)))"),)),
            },
            equivalent={
                f"raise ValueError(f'{wording}')": "how the error reads is free as long as it names the class"
                for wording in (
                    "{len(members)} examples of class _{label}, {per_class} wanted",
                    "{len(members)} examples of class {label}, _{per_class} wanted",
                    "{len(members)} examples of class {label}, {per_class} wanted_",
                    "{members} examples of class {label}, {per_class} wanted",
                )
            },
        ),
    },
    complexity=_(
        "O(N·(C + log N)) time for C classes, as y is sorted to find them and searched anew for each; O(N) memory. One "
        "sort could do it all, which matters for thousands of classes."
    ),
)
