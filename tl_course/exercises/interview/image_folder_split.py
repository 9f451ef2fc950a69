"""Split a folder of images so that no burst of near-identical photographs stands in both parts."""

import random
import re
from collections import defaultdict
from typing import Any

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain
from tl_course.exercises.interview import _split_folder_code as code
from tl_course.i18n import _

NUM_SEEDS = 60
Classes = dict[str, dict[str, set[str]]]  # class, burst, paths


def cases(rng: np.random.Generator) -> list[Case]:
    """Classes with bursts of unequal sizes and misleading names; a class of one burst; small and large shares."""
    words = [str(word) for word in rng.permutation(["door", "gate", "lamp", "wall", "tree", "roof", "sign", "well"])]
    day = int(rng.integers(10, 27))
    names = [f"red_{words[0]}", f"red_{words[1]}", *words[2:4], f"IMG_202407{day}", f"IMG_202407{day + 1}"]
    many = _files("cat", dict(zip(names, rng.permutation([1, 2, 2, 4, 5, 7]).tolist(), strict=True)))
    alone = [f"dog/{words[4]}{number}.{kind}" for number, kind in zip(range(6, 12), ("jpg", "png") * 3, strict=True)]
    alone += [f"dog/{words[4]}7_{number}.png" for number in range(2)]
    mixed = [*_files("new_cat", {words[5]: 3, words[6]: 3, words[0]: 1}), f"new_cat/{words[5]}.png"]
    unequal = _files("fox", {f"{word}_{day}": size for word, size in zip(words, [1, 1, 1, 1, 6, 6, 6, 6], strict=True)})
    pair = _files("elk", {names[4]: 9, names[5]: 2})
    single = _files("owl", {words[7]: 4})

    def case(name: str, parts: list[list[str]], share: float, count: int, *criteria: str) -> Case:
        paths = [path for part in parts for path in part]
        order = [paths[i] for i in rng.permutation(len(paths))]
        seeds = [int(seed) for seed in rng.choice(10_000, size=count, replace=False)]
        return Case(name, {"paths": order, "share": share, "seeds": seeds}, criteria)

    main = ("complete", "apart", "share", "both", "order")
    return [
        case("usual", [many, alone, mixed, unequal], 0.4, NUM_SEEDS, *main, "random", "repeats", "alone"),
        case("small share", [many, alone, pair, single], 0.05, 12, *main),
        case("large share", [many, mixed, pair, single], 0.9, 12, *main),
    ]


def _files(folder: str, sizes: dict[str, int]) -> list[str]:
    """Paths of bursts of these sizes; every third file is a PNG."""
    kinds = ("jpg", "jpg", "png")
    return [f"{folder}/{name}_{i + 1:02d}.{kinds[i % 3]}" for name, size in sizes.items() for i in range(size)]


def _classes(paths: list[str]) -> Classes:
    """The paths by class and burst."""
    found: Classes = defaultdict(lambda: defaultdict(set))
    for path in paths:
        match = re.fullmatch(r"(?P<folder>[^/]+)/(?P<burst>.+?)(_[0-9]+)?[.][a-z]+", path)
        assert match is not None, path  # our own paths
        found[match["folder"]][match["burst"]].add(path)
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Check properties of the splits; any generator may have made them."""
    if not observed["repeats"]:
        text = _("the same seed gave another split at the second call, so nothing else can be checked")
        return [holds(name, False, text) for name in case.criteria]
    inputs, classes = case.inputs, _classes(case.inputs["paths"])
    found = [finding for split in observed["splits"] for finding in _split(split, inputs, classes)]
    found.append(Finding("repeats", True))
    found.append(holds("alone", observed["list kept"], _("the list you were given was changed")))
    found.append(holds("alone", observed["generators kept"], _("the shared random generators had moved afterwards")))
    in_order = all(part == sorted(part) for split in observed["splits"] for part in split)
    text = _("the same paths in another order gave another split, or a part is not sorted")
    found.append(holds("order", observed["order"] and in_order, text))
    if "random" in case.criteria:
        found.append(_random([set(split[1]) for split in observed["splits"]], classes))
    return [finding for finding in found if finding.criterion in case.criteria]


def _split(split: list[list[str]], inputs: dict[str, Plain], classes: Classes) -> list[Finding]:
    train, val = split
    if sorted(train + val) != sorted(inputs["paths"]):
        text = _("of {count} paths, your two parts hold {yours}, {distinct} of them different")
        text = text.format(count=len(inputs["paths"]), yours=len(train + val), distinct=len({*train, *val}))
        return [holds(name, False, text) for name in ("complete", "apart", "share", "both", "order")]
    found, held = [Finding("complete", True)], set(val)
    for name, bursts in classes.items():
        torn = [burst for burst, paths in bursts.items() if 0 < len(held & paths) < len(paths)]
        text = _("burst {burst} of class {name} stands in both parts").format(burst=min(torn, default=""), name=name)
        found.append(holds("apart", not torn, text))
        files, largest = sum(map(len, bursts.values())), max(map(len, bursts.values()))
        count = len(held & set().union(*bursts.values()))
        single = len(bursts) == 1
        text = _("class {name}: {count} of {files} files held out, the share is {share}, the largest burst {largest}")
        text = text.format(name=name, count=count, files=files, share=inputs["share"], largest=largest)
        found.append(holds("share", single or abs(count - inputs["share"] * files) <= largest, text))
        text = _("class {name} has {bursts} bursts, and {count} of its {files} files are for validation")
        text = text.format(name=name, bursts=len(bursts), count=count, files=files)
        found.append(holds("both", count == 0 if single else 0 < count < files, text))
    return found


def _random(held: list[set[str]], classes: Classes) -> Finding:
    for name, bursts in classes.items():
        for burst, paths in bursts.items():
            count = sum(paths <= val for val in held)
            if not 0 < count < len(held):
                text = _("burst {burst} of class {name} was held out for {count} of {seeds} seeds")
                return Finding("random", False, text.format(burst=burst, name=name, count=count, seeds=len(held)))
    return Finding("random", True)


def probe(candidate, inputs):
    """Split with every seed, once more with some, from another order, and watch the list and the generators."""
    paths, share, seeds = inputs["paths"], inputs["share"], inputs["seeds"]
    _call(candidate, list(paths), share, seeds[0])  # what an answer imports may draw from the shared generators, once
    before, given = _shared_state(), list(paths)
    splits = [_call(candidate, given, share, seed) for seed in seeds]
    kept = {"list kept": given == paths, "generators kept": _shared_state() == before}
    again = [_call(candidate, list(paths), share, seed) for seed in seeds[:4]]
    turned = [_call(candidate, list(order), share, seeds[0]) for order in (sorted(paths), paths[::-1])]
    if again != splits[:4]:
        return {"repeats": False}
    return {"repeats": True, "splits": splits, **kept, "order": turned == [splits[0]] * 2}


def _call(candidate: Any, paths: list[str], share: float, seed: int) -> list[list[str]]:
    parts = [[str(path) for path in part] for part in candidate(paths, share, seed)]
    if len(parts) != 2:
        raise NotPlain(_("two lists of paths were expected"))
    return parts


def _shared_state() -> tuple[str, str]:
    """The states of NumPy's and Python's shared generators."""
    state = np.random.get_state(legacy=False)["state"]
    return f"{state['key'].tolist()} {state['pos']}", str(random.getstate())


EXERCISE = Exercise(
    id="image-folder-split",
    title=_("No burst in both parts"),
    lesson="11_interview_clinic",
    minutes=20,
    difficulty=4,
    points=4,
    statement=_(
        "Photographs come in bursts: files of one class folder whose names differ only in a final `_number` and the "
        "extension. Write `split_folder(paths, val_share, seed)` for paths such as `cat/red_door_03.jpg`: sorted "
        "training and validation paths, no burst in both. Each class has about val_share of its files in validation, "
        "at most its largest burst off, and a burst in each part if it has two. The same files and seed give the "
        "same split, in whatever order they are listed."
    ),
    hints=(
        _("What is drawn: files, or bursts? And from one pot, or class by class?"),
        _("First build a table from class to burst to files, from the paths in sorted order."),
        _(
            "Shuffle each class's bursts with a generator of your own. Put the first aside for training, then hold out "
            "bursts: the first in any case, others only while the share allows."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Nobody named the bursts. How do you find near-identical images?"),
            _(
                "Perceptual hashes within a small Hamming distance, or nearest neighbours of pretrained features above "
                "a similarity checked by eye; then connected components are the groups. Time stamps and camera ids in "
                "the metadata help. Look at the pairs across the parts that are most alike before trusting a score."
            ),
        ),
        FollowUp(
            _("The folder grows every week. How do files keep their part?"),
            _(
                "Decide by a stable hash (not Python's hash, which is salted per process) of the burst's name: below "
                "the share means validation. New files of an old burst follow it, old ones never move. The shares are "
                "then met on average only. Or write the split to a file, with its version, and only add to it."
            ),
        ),
        FollowUp(
            _("What does this cost for ten million files, and what would you replace?"),
            _(
                "Sorting dominates, O(n log n), and all paths lie in memory. Hash the burst's name in one streaming "
                "pass instead: no sorting, no table, and every machine comes to the same decision."
            ),
        ),
    ),
    complexity=_("O(n log n) time for n paths, from sorting; O(n) memory."),
    criteria={
        "complete": Criterion(_("puts every path in exactly one part"), weight=0.5),
        "apart": Criterion(_("keeps each burst in one part"), weight=2, needs=("complete", "random")),
        "share": Criterion(_("holds out about the right share of each class"), needs=("complete",)),
        "both": Criterion(_("has every class of two bursts or more in both parts"), needs=("complete",)),
        "order": Criterion(_("returns sorted paths, whatever the order of the list"), needs=("complete", "random")),
        "random": Criterion(_("holds out each burst for some seeds and not for others"), needs=("apart",)),
        "repeats": Criterion(_("gives the same split for the same seed"), weight=0.5, needs=("apart", "random")),
        "alone": Criterion(
            _("leaves the list and the shared random generators alone"), weight=0.5, needs=("apart", "random")
        ),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe,
            alternatives={"prefix sums": code.PREFIX_SUMS, "groupby": code.GROUPBY},
            mistakes=code.MISTAKES,
            equivalent=code.EQUIVALENT,
        ),
    },
)
