"""The code of the question on splitting a folder of images: reference, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

NUMPY = '''
import random
import re
from collections import defaultdict
from pathlib import PurePosixPath


def split_folder(paths: list[str], val_share: float, seed: int) -> tuple[list[str], list[str]]:
    r"""Split image files into training and validation, class by class, and keep each burst together.

    Args:
        paths: such as "cat/red_door_03.jpg", all different, in any order: folder, which is the class, then file name.
            A burst is made of the files of one folder whose names agree once the extension and an ending of "_" and
            digits are taken off, here "red_door". A name without that ending ("door7.png") is a burst by itself, with
            "door7_1.jpg", "door7_2.jpg", ...
        val_share: share of each class's files that is meant for validation, between 0 and 1.
        seed: decides which bursts are held out: each burst is held out for some seeds and not for others.

    Returns:
        Paths for training and for validation, both sorted. A class of one burst is for training; any other has at least
        one burst in each part, and its number of files in validation differs from val_share x its files by no more
        than its largest burst has. The split depends on the set of paths and the seed alone, not on the paths' order.
        Neither the list nor the shared random generators are changed.
    """
    classes = defaultdict(lambda: defaultdict(list))
    for path in sorted(paths):
        file = PurePosixPath(path)
        burst = re.sub(r"_\\d+$", "", file.stem)
        classes[file.parent][burst].append(path)
    rng = random.Random(seed)
    held_out = []
    for bursts in classes.values():
        order = list(bursts.values())
        rng.shuffle(order)
        wanted = val_share * sum(len(files) for files in order)
        chosen = []
        for files in order[1:]:  # the first one stays in training
            if not chosen or len(chosen) + len(files) <= wanted:
                chosen += files
        held_out += chosen
    return sorted(set(paths) - set(held_out)), sorted(held_out)
'''

PREFIX_SUMS = """
import os

import numpy as np


def _burst(path):
    root, _extension = os.path.splitext(path)
    head, line, tail = root.rpartition("_")
    return head if line and tail.isdigit() else root


def split_folder(paths, val_share, seed):
    rng = np.random.default_rng(seed)
    ordered = sorted(paths)
    bursts = [_burst(path) for path in ordered]
    held_out = set()
    for folder in sorted({os.path.dirname(path) for path in paths}):
        names = sorted({burst for burst in bursts if os.path.dirname(burst) == folder})
        names = [names[i] for i in rng.permutation(len(names))]
        ends = np.cumsum([bursts.count(name) for name in names])
        if len(names) > 1:
            count = int(np.argmin(np.abs(ends[:-1] - val_share * ends[-1]))) + 1
            held_out.update(names[:count])
    parts = [[path for path, burst in zip(ordered, bursts) if (burst in held_out) == part] for part in (False, True)]
    return tuple(parts)
"""

GROUPBY = """
from itertools import groupby
from random import Random


def split_folder(paths, val_share, seed):
    def key(path):
        folder, name = path.rsplit("/", 1)
        stem = name.rsplit(".", 1)[0]
        number = stem.rsplit("_", 1)
        return folder, number[0] if len(number) == 2 and number[1].isdecimal() else stem

    train, held_out = [], []
    for folder, files in groupby(sorted(paths, key=lambda path: (key(path), path)), key=lambda path: key(path)[0]):
        bursts = [list(burst) for _name, burst in groupby(files, key=key)]
        total = sum(map(len, bursts))
        picked = []
        shuffled = Random(f"{seed} {folder}").sample(bursts, len(bursts))
        while len(shuffled) > 1 and (not picked or len(picked) + len(shuffled[-1]) / 2 < val_share * total):
            picked += shuffled.pop()
        train += [path for burst in shuffled for path in burst]
        held_out += picked
    return sorted(train), sorted(held_out)
"""

KEY, SHUFFLE = 're.sub(r"_\\d+$", "", file.stem)', "        rng.shuffle(order)\n"
WANTED, PICK = "val_share * sum(len(files) for files in order)", "not chosen or len(chosen) + len(files) <= wanted"
RESULT = "sorted(set(paths) - set(held_out)), sorted(held_out)"
MISTAKES = {
    "by-file": Mistake(
        _("files are drawn one by one: most bursts stand on both sides, and validation tests what was learnt by heart"),
        ((KEY, "file.name"),),
    ),
    "one-extension": Mistake(
        _("only some extensions are taken off, so a burst with files of another kind falls apart"),
        ((KEY, 're.sub(r"_\\d+\\.jpg$", "", file.name)'),),
    ),
    "first-underscore": Mistake(
        _("names are cut at their first underscore, which throws different bursts together, even a whole class"),
        ((KEY, 'file.stem.split("_")[0]'),),
    ),
    "all-endings": Mistake(
        _("more than one number is taken off the end: a date or a counter in the burst's own name goes with it"),
        ((KEY, 're.sub(r"(_\\d+)+$", "", file.stem)'),),
    ),
    "any-digits": Mistake(
        _("digits at the end are taken off without asking for the underscore: door7 and door8 become one burst"),
        ((KEY, 're.sub(r"_?\\d+$", "", file.stem)'),),
    ),
    "not-by-class": Mistake(
        _("bursts of all classes are drawn from one pot: a small class may be missing from a part"),
        (("classes[file.parent][burst]", "classes[0][file.parent, burst]"),),
    ),
    "counts-bursts": Mistake(
        _("the share is taken of the bursts, not of the files: large or small bursts throw a class's share off"),
        (
            (WANTED, "max(1, round(val_share * len(order)))"),
            (PICK, "wanted > 0"),
            ("+= files", "+= files\n                wanted -= 1"),
        ),
    ),
    "may-be-empty": Mistake(
        _("where the first bursts are larger than the share, nothing of the class is held out"),
        ((PICK, "len(chosen) + len(files) <= wanted"),),
    ),
    "overshoots": Mistake(
        _("bursts are held out however far they exceed the share: nothing may be left for training"),
        ((PICK, "len(chosen) <= wanted"), ("order[1:]", "order")),
    ),
    "single-burst": Mistake(
        _("a class of one burst is held out whole: nothing of it is left to learn from"), (("order[1:]", "order"),)
    ),
    "listing-order": Mistake(
        _("the split depends on the order of the list: another file system lists the same folder in another order"),
        (("for path in sorted(paths)", "for path in paths"),),
    ),
    "same-for-all-seeds": Mistake(
        _("the seed changes nothing: the same bursts are held out every time"), ((SHUFFLE, ""),)
    ),
    "unseeded": Mistake(
        _("the generator starts somewhere else at every call: nobody can repeat the split"),
        (("random.Random(seed)", "random.Random()"),),
    ),
    "global-state": Mistake(
        _("seeding the shared generator makes every later random number of the program start anew"),
        (("rng = random.Random(seed)", "rng = random\n    rng.seed(seed)"),),
    ),
    "swapped": Mistake(
        _("training and validation are the wrong way round"),
        ((RESULT, "sorted(held_out), sorted(set(paths) - set(held_out))"),),
    ),
    "sorts-the-list": Mistake(
        _("the caller's own list is put in order"),
        (("    for path in sorted(paths):", "    paths.sort()\n    for path in paths:"),),
    ),
}
EQUIVALENT = {
    "if not chosen or len(chosen) + len(files) < wanted:": "the share may be missed by the largest burst either way",
}
