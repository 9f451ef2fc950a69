"""Find the fault: the teacher's answers are cached, and belong to other pixels."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def cached_batches(
    teacher, images: np.ndarray, labels: np.ndarray, augment, num_epochs: int, batch_size: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The batches of a distillation that asks its expensive teacher once about every image.

    Args:
        teacher: function from images (n, H, W, C) to logits (n, K).
        images: shape (N, H, W, C).
        labels: integer, shape (N,).
        augment: function from images and a generator to one random view of each image, of the same shape.
        num_epochs: passes over all images, each in a new random order.
        batch_size: rows of a batch; the last one of an epoch may have fewer.
        rng: source of all randomness.

    Returns:
        For each batch, of all epochs in turn: views, labels and the teacher's logits of exactly these views. One view
        of each image is drawn and used in all epochs.
    """
    views = augment(images, rng)
    logits = teacher(views)
    batches = []
    for _epoch in range(num_epochs):
        order = rng.permutation(len(views))
        for start in range(0, len(views), batch_size):
            rows = order[start : start + batch_size]
            batches.append((views[rows], labels[rows], logits[rows]))
    return batches
'''

VIEWS, LOGITS = "    views = augment(images, rng)\n", "    logits = teacher(views)\n"
ORDER, LOOP = "        order = rng.permutation(len(views))\n", "    for _epoch in range(num_epochs):\n"
APPEND = "batches.append((views[rows], labels[rows], logits[rows]))"
STARTER = (
    NUMPY.replace(VIEWS + LOGITS, "    logits = teacher(images)\n")
    .replace(ORDER, ORDER.replace("views", "images") + "        views = augment(images, rng)\n")
    .replace(APPEND, APPEND.replace("logits[rows]", "logits[start : start + batch_size]"))
)

SPLIT = """
import numpy as np


def cached_batches(teacher, images, labels, augment, num_epochs, batch_size, rng):
    views = augment(images, rng)
    answers = np.concatenate([teacher(views[i : i + 1]) for i in range(len(views))])
    found = []
    for _ in range(num_epochs):
        shuffled = rng.permutation(len(views))
        for part in np.split(shuffled, np.arange(batch_size, len(views), batch_size)):
            found.append(tuple(array.take(part, axis=0) for array in (views, labels, answers)))
    return found
"""

SORTED = """
import numpy as np


def cached_batches(teacher, images, labels, augment, num_epochs, batch_size, rng):
    views = augment(images, rng)
    rows = list(zip(views, labels, teacher(views)))
    batches = []
    for _ in range(num_epochs):
        rng.shuffle(keys := np.arange(len(rows)))
        epoch = [rows[key] for key in keys]
        while epoch:
            now, epoch = epoch[:batch_size], epoch[batch_size:]
            batches.append(tuple(np.stack(column) for column in zip(*now)))
    return batches
"""

MESSAGES = {
    "stale": _("the teacher answered for other pixels, and its answers are dealt out in an order of their own"),
    "order": _("the answers are about the right views, but they come in the file's order while images are shuffled"),
    "clean-pixels": _("the teacher has seen the images before augmentation; the student sees others"),
    "new-views": _("each epoch brings new views, and the answers kept are those for the first ones"),
    "asked-again": _("the answers fit, but the teacher is asked anew for every batch: nothing is kept"),
    "student-clean": _("the teacher answers for augmented views, and the student sees the images without augmentation"),
    "file-order": _("every epoch runs in the file's order; each was to have a new random one"),
    "one-order": _("one random order serves all epochs; each was to have its own"),
    "last-dropped": _("the last, smaller batch of each epoch is missing"),
    "labels-in-file-order": _("the labels stay in the file's order while images are shuffled"),
}
EDITS = {
    "order": ((APPEND, APPEND.replace("logits[rows]", "logits[start : start + batch_size]")),),
    "clean-pixels": ((LOGITS, "    logits = teacher(images)\n"),),
    "new-views": ((ORDER, ORDER + "        views = augment(images, rng)\n"),),
    "asked-again": ((LOGITS, ""), (APPEND, APPEND.replace("logits[rows]", "teacher(views[rows])"))),
    "student-clean": ((APPEND, APPEND.replace("views", "images")),),
    "file-order": ((ORDER, "        order = np.arange(len(views))\n"),),
    "one-order": ((ORDER, ""), (LOOP, "    order = rng.permutation(len(views))\n" + LOOP)),
    "last-dropped": (("range(0, len(views), batch_size)", "range(0, len(views) - batch_size + 1, batch_size)"),),
    "labels-in-file-order": ((APPEND, APPEND.replace("labels[rows]", "labels[start : start + batch_size]")),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Images, each with a label of its own, in batches that do not come out even."""
    count = int(rng.integers(13, 16))
    inputs = {
        "images": rng.uniform(0.1, 1, size=(count, 4, 3, 2)),
        "labels": rng.permutation(count) + 100,
        "kernel": rng.normal(size=(24, 5)),
        "num_epochs": int(rng.integers(3, 5)),
        "batch_size": 6,
        "seed": int(rng.integers(1000)),
    }
    return [Case("augmented images", inputs, ("pairs", "once", "epochs", "order"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Ask the teacher about the views that came back; find each view's image by its label."""
    inputs, batches = case.inputs, observed["batches"]
    count, size, epochs = len(inputs["images"]), inputs["batch_size"], inputs["num_epochs"]
    sizes = [min(size, count - start) for start in range(0, count, size)] * epochs
    views, labels, logits = (np.concatenate([batch[i] for batch in batches]) for i in range(3))
    answers = views.reshape(len(views), -1) @ inputs["kernel"]
    wrong = int((~np.isclose(logits, answers).all(axis=1)).sum()) if logits.shape == answers.shape else len(views)
    pairs = _("{wrong} of {total} rows of logits are not what the teacher says about the view beside them")
    image = {label: _kind(image) for label, image in zip(inputs["labels"].tolist(), inputs["images"], strict=True)}
    pixels = all(
        np.allclose(_kind(view), image.get(label, 0)) for view, label in zip(views, labels.tolist(), strict=True)
    )
    whole = [len(batch[0]) for batch in batches] == sizes
    passes = labels.reshape(epochs, count) if whole else labels[None]
    every = whole and all(set(row) == set(inputs["labels"]) for row in passes)
    orders = {tuple(row) for row in [inputs["labels"], *passes]}
    first = {label: view for view, label in zip(views[::-1], labels[::-1].tolist(), strict=True)}
    still = all(np.array_equal(view, first[label]) for view, label in zip(views, labels.tolist(), strict=True))
    clean = dict(zip(inputs["labels"].tolist(), inputs["images"], strict=True))
    augmented = not any(
        np.array_equal(view, clean.get(label, 0)) for view, label in zip(views, labels.tolist(), strict=True)
    )
    asked = _("the teacher was asked about {asked} images; there are {count}")
    return [
        holds("pairs", wrong == 0, pairs.format(wrong=wrong, total=len(views))),
        holds("once", observed["asked"] == count, asked.format(asked=observed["asked"], count=count)),
        holds("once", still, _("an image shows another view in another epoch")),
        holds("epochs", every, _("not every epoch holds every image once, in batches of the right sizes")),
        holds("epochs", pixels, _("views and labels do not belong together")),
        holds("epochs", augmented, _("the views are the images themselves, without augmentation")),
        holds("order", len(orders) == epochs + 1, _("the epochs do not each have a random order of their own")),
    ]


def _kind(image: np.ndarray) -> np.ndarray:
    """What an image has in common with all its views: its pixels, sorted and relative to their sum."""
    return np.sort(image.ravel() / image.sum())


def probe_numpy(candidate, inputs):
    """The batches, and how many images the teacher was asked about."""
    asked = []

    def teacher(images):
        asked.append(len(images))
        return images.reshape(len(images), -1) @ inputs["kernel"]

    def augment(images, rng):
        """Mirrors half of the images and changes all in brightness."""
        mirrored = np.where(rng.random(len(images))[:, None, None, None] < 0.5, images[:, :, ::-1], images)
        return mirrored * rng.uniform(0.5, 0.9, size=(len(images), 1, 1, 1))

    settings = (inputs["num_epochs"], inputs["batch_size"], np.random.default_rng(inputs["seed"]))
    batches = candidate(teacher, inputs["images"].copy(), inputs["labels"].copy(), augment, *settings)
    return {"batches": [[as_array(part) for part in batch] for batch in batches], "asked": sum(asked)}


EXERCISE = Exercise(
    id="stale-cache",
    title=_("Answers to other pixels"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "The teacher is expensive, so its answers are computed once and kept. Since then training is fast and the "
        "student worse than one without a teacher. Find the faults in `cached_batches`, fix them, and prove it: every "
        "row's logits are the teacher's for exactly that view. One random view of each image is drawn and used in all "
        "epochs, the teacher is asked about it once, and each epoch has every image once in a new random order."
    ),
    hints=(
        _("Take one row of a batch, ask the teacher about its view, and compare with the logits beside it."),
        _("Two things move: the pixels and the order. An answer must move with both, or neither may move."),
        _("Draw the views once, ask about these, and index views, labels and logits with the same rows."),
    ),
    follow_ups=(
        FollowUp(
            _("One fixed view per image gives up most of augmentation. How do you get it back and keep the cache?"),
            _(
                "Draw several views of each image beforehand and cache an answer for each: epoch e uses view e modulo "
                "their number. Or store the random crop's parameters with the answer, as fast knowledge distillation "
                "does (Shen & Xing, 2022)."
            ),
        ),
        FollowUp(
            _("Beyer et al. (2022) call for a 'consistent' teacher. What is meant, and what did they find?"),
            _(
                "Teacher and student see the same crop of the same image at every step. A teacher with fixed targets "
                "from the whole image gives students that overfit; consistent views and long training, with "
                "aggressive mixup, come out best."
            ),
        ),
    ),
    criteria={
        "pairs": Criterion(_("gives the teacher's logits of exactly the views beside them"), weight=2),
        "once": Criterion(_("asks the teacher once about each image, for all epochs"), needs=("pairs", "epochs")),
        "epochs": Criterion(_("has every image once in each epoch, augmented, with its label")),
        "order": Criterion(_("has a new order in each epoch"), weight=0.5, needs=("epochs",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            starter=STARTER,
            alternatives={"split": SPLIT, "rows": SORTED},
            mistakes={
                "stale": Mistake(MESSAGES["stale"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
        ),
    },
    complexity=_(
        "The teacher sees N images in all, not `num_epochs`·N, and its answers take O(N·K) memory. What is dear is the "
        "list: its batches are copies, O(`num_epochs`·N·H·W·C) memory, where yielding them needs one at a time."
    ),
)
