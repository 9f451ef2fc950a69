"""Name the features of these images, from this model, with these settings: the key of a feature cache."""

import json

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

SHORTEST, LONGEST = 16, 64  # characters of a key
ASKED = (
    *("key", "copy", "memory order", "settings order", "again", "other process"),
    *("other pixel", "pixels swapped", "other shape", "other dtype", "other model", "other value"),
    *("other setting", "renamed setting", "other list"),
)

NUMPY = '''
import hashlib
import json

import numpy as np


def cache_key(images: np.ndarray, model: str, settings: dict) -> str:
    """Name the features that a model computes from images.

    Args:
        images: any shape and dtype, in any memory layout.
        model: the backbone's name, which stands for one fixed set of weights.
        settings: the preprocessing, names to numbers, strings, booleans or lists of these.

    Returns:
        16 to 64 hexadecimal digits: the same for the same content, on every day and in every process.
    """
    about = [images.shape, str(images.dtype), model, settings]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(images.tobytes())  # always in row-major order
    return digest.hexdigest()
'''

NUMPY_PARTS = """
import hashlib

import numpy as np


def cache_key(images, model, settings):
    parts = [np.ascontiguousarray(images).data, repr((images.shape, images.dtype.str)).encode(), model.encode()]
    parts += [repr((name, settings[name])).encode() for name in sorted(settings)]
    each = "".join(hashlib.md5(part).hexdigest() for part in parts)
    return hashlib.md5(each.encode()).hexdigest()
"""

NUMPY_FILE = """
import hashlib
import io

import numpy as np


def cache_key(images, model, settings):
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(images))
    file.write(b"|" + model.encode() + b"|" + str(sorted(settings.items())).encode())
    return hashlib.blake2b(file.getvalue(), digest_size=16).hexdigest()
"""

SALTED_HASH = _("Python's hash() starts from another random number in each process, so tomorrow nothing is found")
IDENTITY = _("id() is where the array happens to lie in memory; the same images loaded again lie elsewhere")
ONLY_SHAPE = _("two data sets of one size get one key, and the second is served the first one's features")
ONLY_BYTES = _("the same bytes read as another shape or dtype are other images")
NO_SETTINGS = _("after a change of the preprocessing, the old features are served")
NO_MODEL = _("another model is served the first model's features")
ABBREVIATED = _("an array as text shows only its corners once it is large, so most pixels play no part")
KEY_ORDER = _("the same settings written down in another order give another key, and everything is computed again")
MEMORY_ORDER = _("the key follows how the array lies in memory, so equal images give two keys")
SUMMED = _("images with equal sums are different images: a sum forgets where each value stands")


def cases(rng: np.random.Generator) -> list[Case]:
    """A few small images, and an array too large to be printed whole; keys are asked for in drawn order."""
    settings = {
        "size": int(rng.integers(200, 300)),
        "mean": [round(float(value), 3) for value in rng.uniform(0.3, 0.6, size=3)],
        "interpolation": "bilinear",
        "crop": True,
    }
    small = rng.random((2, 4, 5, 3)).astype(np.float32)
    large = rng.random((3, 20, 26, 3)).astype(np.float32)
    return [
        Case(name, {"images": images, "settings": settings, "asked": rng.permutation(ASKED).tolist()}, criteria)
        for name, images, criteria in (
            ("few pixels", small, ("text", "images", "recipe", "content", "process")),
            ("many pixels", large, ("images",)),
        )
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Check which pairs of keys are equal; any digest is right."""
    problem = next((text for kind in observed["kinds"] if (text := _not_a_key(kind))), "")
    number = dict(zip(case.inputs["asked"], observed["numbers"], strict=True))
    if min(observed["numbers"]) < 0:
        return [holds(name, False, problem) for name in case.criteria]
    different = {
        "other pixel": ("images", _("a pixel changed and the key did not")),
        "pixels swapped": ("images", _("two pixels changed places and the key did not change")),
        "other shape": ("images", _("the same numbers in another shape got the same key")),
        "other dtype": ("images", _("the same bytes with another dtype got the same key")),
        "other model": ("recipe", _("another model got the same key")),
        "other value": ("recipe", _("another value of a setting got the same key")),
        "other setting": ("recipe", _("one setting more gave the same key")),
        "renamed setting": ("recipe", _("a setting with another name got the same key")),
        "other list": ("recipe", _("a list with another number in it got the same key")),
    }
    equal = {
        "copy": ("content", _("a copy of the images got another key")),
        "memory order": ("content", _("the same images in another memory layout got another key")),
        "settings order": ("content", _("the same settings in another order got another key")),
        "again": ("content", _("the second call gave another key")),
        "other process": ("process", _("in another process the same content would get another key")),
    }
    found = [holds(name, number[key] != number["key"], text) for key, (name, text) in different.items()]
    found += [holds(name, number[key] == number["key"], text) for key, (name, text) in equal.items()]
    again = number["again"] == number["key"]  # of keys that do not repeat, it says nothing that they differ
    found += [holds(name, again, equal["again"][1]) for name in ("images", "recipe")]
    found.append(holds("text", not problem, problem))
    found.append(holds("content", observed["settings kept"], _("your function changed the settings it was given")))
    return [finding for finding in found if finding.criterion in case.criteria]


def _not_a_key(kind: str) -> str:
    """Why something is no key; empty when it is one."""
    reasons = {
        "hexadecimal": "",
        "other characters": _("the key holds characters that are no hexadecimal digits (0 to 9, a to f)"),
        "too short": _("the key is shorter than {least} characters").format(least=SHORTEST),
        "too long": _("the key is longer than {most} characters").format(most=LONGEST),
    }
    return reasons.get(kind, _("a key is a string, yours is {kind}").format(kind=kind))


def probe_numpy(candidate, inputs):
    """The keys asked for, of the same and of changed content: equal numbers for equal keys, and of what kind each is.

    Numbers, as the digits of a right key are free, and those of some wrong ones differ from process to process.
    """
    images, settings, model = inputs["images"], inputs["settings"], "mobilenet_v2"
    changed, swapped = images.copy(), images.copy()
    middle = tuple(size // 2 for size in images.shape)
    changed[middle] += 1e-3
    swapped[0, 1, 1], swapped[0, 1, 2] = images[0, 1, 2].copy(), images[0, 1, 1].copy()
    values = [*settings["mean"][:2], settings["mean"][2] + 0.001]
    renamed = {("height" if name == "size" else name): value for name, value in settings.items()}
    content = {
        "key": (images, model, settings),
        "other pixel": (changed, model, settings),
        "pixels swapped": (swapped, model, settings),
        "other shape": (images.reshape(images.shape[0], -1, 3), model, settings),
        "other dtype": (images.view(np.int32), model, settings),
        "other model": (images, "mobilenet_v3", settings),
        "other value": (images, model, {**settings, "size": settings["size"] + 1}),
        "other setting": (images, model, {**settings, "antialias": False}),
        "renamed setting": (images, model, renamed),
        "other list": (images, model, {**settings, "mean": values}),
        "copy": (images.copy(), str(model), {**settings, "mean": list(settings["mean"])}),
        "memory order": (np.asfortranarray(images), model, settings),
        "settings order": (images, model, dict(reversed(settings.items()))),
        "again": (images, model, settings),
    }
    before = json.dumps(settings)
    keys = [
        _in_another_process(candidate, *content["key"]) if name == "other process" else candidate(*content[name])
        for name in inputs["asked"]
    ]
    distinct = list(dict.fromkeys(key for key in keys if type(key) is str))
    numbers = [distinct.index(key) if type(key) is str else -1 for key in keys]
    kinds = [_kind(key) for key in keys]
    return {"numbers": numbers, "kinds": kinds, "settings kept": json.dumps(settings) == before}


def _in_another_process(candidate, *arguments):
    """A key where hash() and id() give other numbers, as they do in another process."""
    elsewhere = {"hash": lambda value: hash(value) ^ 0x5BD1E995, "id": lambda value: id(value) + 0x1000}
    scope = getattr(candidate, "__globals__", {})
    replaced = [name for name in elsewhere if name not in scope]  # a name of the answer's own stays
    scope.update({name: elsewhere[name] for name in replaced})
    try:
        return candidate(*arguments)
    finally:
        for name in replaced:
            del scope[name]


def _kind(key) -> str:
    """What a key is: "hexadecimal", what is wrong with it, or the type that should have been a string."""
    if type(key) is not str:
        return type(key).__name__
    if not set(key) <= set("0123456789abcdefABCDEF"):
        return "other characters"
    return "too short" if len(key) < SHORTEST else "too long" if len(key) > LONGEST else "hexadecimal"


EXERCISE = Exercise(
    id="cache-key",
    title=_("A name for cached features"),
    lesson="03_feature_extraction",
    minutes=12,
    difficulty=4,
    points=4,
    statement=_(
        "Frozen features are computed once and kept. Write `cache_key(images, model, settings)`, the name they are "
        "kept under: 16 to 64 hexadecimal digits. It changes whenever the images (values, dtype or shape), the "
        "model's name or any setting changes. It is the same for equal content: a copy, another memory layout of the "
        "array, another order of the settings, another process. `model` names one fixed set of weights; `settings` is "
        "a flat dict of numbers, strings, booleans and lists and stays unchanged."
    ),
    hints=(
        _("List everything that the features depend on; a key that forgets one of these serves wrong features."),
        _("A cryptographic digest of bytes (hashlib) does not depend on the process. Python's own hash() does."),
        _(
            "Digest a text made of shape, dtype, model and the settings in sorted order, then the array's values in "
            "row-major order."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("The weights behind a model's name are updated. How does the cache notice?"),
            _(
                "It does not, if the key holds only the name: old features are served. Put a digest of the weights, "
                "or a pinned revision of them, into the key, so that new weights give a new key."
            ),
        ),
        FollowUp(
            _("Random augmentation is switched on. May features still be cached?"),
            _(
                "Not as they are: each epoch must see other random views, and a cache freezes the first. Cache "
                "features without augmentation, or store a fixed number of augmented views for each image and say so "
                "in the settings."
            ),
        ),
        FollowUp(
            _("A key collides once in 2^64. With how many keys does that begin to matter?"),
            _(
                "By the birthday bound the chance is about n squared over 2^65. A million keys give about 3 in 10^8; "
                "with 2^32 keys, some four billion, it is near 40 %. A longer digest settles the question for a few "
                "bytes."
            ),
        ),
    ),
    criteria={
        "text": Criterion(_("is a string of 16 to 64 hexadecimal digits"), weight=0.5, needs=("images", "recipe")),
        "images": Criterion(_("changes with the images' values, shape and dtype"), weight=2),
        "recipe": Criterion(_("changes with the model and with every setting")),
        "content": Criterion(_("is the same for equal content"), needs=("images", "recipe")),
        "process": Criterion(_("is the same in every process"), needs=("images", "recipe")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"parts": NUMPY_PARTS, "file": NUMPY_FILE},
            mistakes={
                "salted-hash": Mistake(
                    SALTED_HASH,
                    source="""
import json


def cache_key(images, model, settings):
    text = json.dumps([images.shape, str(images.dtype), model, settings], sort_keys=True)
    return f"{hash((text, images.tobytes())) % 2**64:016x}"
""",
                ),
                "identity": Mistake(IDENTITY, (("images.tobytes()", "str(id(images)).encode()"),)),
                "only-shape": Mistake(
                    ONLY_SHAPE, (("    digest.update(images.tobytes())  # always in row-major order\n", ""),)
                ),
                "only-bytes": Mistake(ONLY_BYTES, (("images.shape, str(images.dtype), model", "model"),)),
                "no-settings": Mistake(NO_SETTINGS, ((", model, settings]", ", model]"),)),
                "no-model": Mistake(NO_MODEL, ((", model, settings]", ", settings]"),)),
                "abbreviated": Mistake(ABBREVIATED, (("images.tobytes()", "str(images).encode()"),)),
                "key-order": Mistake(KEY_ORDER, ((", sort_keys=True", ""),)),
                "memory-order": Mistake(MEMORY_ORDER, (("images.tobytes()", 'images.tobytes(order="A")'),)),
                "summed": Mistake(SUMMED, (("images.tobytes()", "str(images.sum(dtype=float)).encode()"),)),
            },
        ),
    },
    complexity=_(
        "O(B) time for B bytes of images, each hashed once: little beside the forward passes that a hit saves. "
        "`tobytes` makes a copy, O(B) memory; hashing slices one by one would avoid it."
    ),
)
