"""Find the fault: the model was chosen by the accuracy that is then reported."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

REFERENCE = '''
from collections.abc import Callable

import numpy as np


def choose_model(
    models: dict[str, Callable[[np.ndarray], np.ndarray]],
    val_x: np.ndarray,
    val_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
) -> dict[str, object]:
    """Choose the best of several fine-tuned models and report how good it is.

    Args:
        models: each model's prediction by its name: takes images (n, ...) and returns classes, integer, (n,).
        val_x: validation images, (N, ...).
        val_y: their classes, integer, (N,).
        test_x: test images, (M, ...).
        test_y: their classes, integer, (M,).

    Returns:
        "name": the model that goes into production, the first among equals;
        "val_accuracy", "test_accuracy": its accuracy on either set, in [0, 1].
    """
    scores = {name: (predict(val_x) == val_y).mean() for name, predict in models.items()}
    name = max(scores, key=scores.get)
    correct = models[name](test_x) == test_y
    return {"name": name, "val_accuracy": scores[name], "test_accuracy": correct.mean()}
'''

BODY = REFERENCE.partition("    scores =")[1] + REFERENCE.partition("    scores =")[2]
STARTER = REFERENCE.replace(
    BODY,
    """    scores = {name: (predict(test_x) == test_y).mean() for name, predict in models.items()}
    name = max(scores, key=scores.get)
    correct = models[name](val_x) == val_y
    return {"name": name, "val_accuracy": correct.mean(), "test_accuracy": scores[name]}
""",
)

LOOP = """
import numpy as np


def choose_model(models, val_x, val_y, test_x, test_y):
    best = None
    for name in models:
        accuracy = np.count_nonzero(models[name](val_x) == val_y) / len(val_y)
        if best is None or accuracy > best["val_accuracy"]:
            best = {"name": name, "val_accuracy": accuracy}
    best["test_accuracy"] = np.mean(models[best["name"]](test_x) == test_y)
    return best
"""

ERRORS = """
def choose_model(models, val_x, val_y, test_x, test_y):
    def errors(name, images, labels):
        return sum(int(guess) != int(label) for guess, label in zip(models[name](images), labels))

    names = list(models)
    wrong = [errors(name, val_x, val_y) for name in names]
    place = wrong.index(min(wrong))
    return {
        "name": names[place],
        "test_accuracy": 1 - errors(names[place], test_x, test_y) / len(test_y),
        "val_accuracy": 1 - wrong[place] / len(val_y),
    }
"""

SCORES, CHOICE = "(predict(val_x) == val_y).mean()", "max(scores, key=scores.get)"
BOTH = "np.mean([*(predict(val_x) == val_y), *(predict(test_x) == test_y)])"
MESSAGES = {
    "chosen-on-test": _(
        "the models compete on the very images whose accuracy is reported: the best of many is lucky too"
    ),
    "peeks": _(
        "every model is measured on the test set: whoever sees those figures will choose by them sooner or later"
    ),
    "pooled": _("validation and test images are thrown together, so the test set still takes part in the choice"),
    "never-tested": _("the accuracy reported as the test's is the one the model was chosen by"),
    "breaks-ties-on-test": _("the test set takes part in the choice whenever two models are equal"),
    "last-of-equals": _("of several models with equal accuracy, not the first was taken"),
    "worst": _("your choice goes to the model that is wrong most often"),
    "errors-reported": _("the share of wrong answers was reported as accuracy"),
    "not-divided": _("the right answers were counted and never divided by the number of images"),
}
EDITS = {
    "peeks": (
        (
            "    name = max",
            "    tested = [float((p(test_x) == test_y).mean()) for p in models.values()]\n    name = max",
        ),
    ),
    "pooled": ((SCORES, BOTH), ("scores[name],", "float((models[name](val_x) == val_y).mean()),")),
    "never-tested": (("correct.mean()", "scores[name]"),),
    "breaks-ties-on-test": (
        (
            CHOICE,
            "max([name for name in scores if scores[name] == max(scores.values())], "
            "key=lambda name: (models[name](test_x) == test_y).mean())",
        ),
    ),
    "last-of-equals": ((CHOICE, "max(reversed(scores), key=scores.get)"),),
    "worst": ((CHOICE, "min(scores, key=scores.get)"),),
    "errors-reported": (("correct.mean()", "1 - correct.mean()"),),
    "not-divided": (("correct.mean()", "correct.sum()"),),
}
NAMES = ("linear probe", "fine-tuned", "gradually unfrozen", "probed, then tuned", "from scratch")


def cases(rng: np.random.Generator) -> list[Case]:
    """Five models whose ranking differs between validation and test; in the second case two lead on validation."""
    found = []
    for name, val_right, test_right in (
        ("a clear winner", [11, 16, 13, 14, 8], [15, 21, 27, 19, 12]),
        ("two equals", [10, 12, 15, 9, 15], [14, 17, 20, 11, 25]),
    ):
        order = rng.permutation(5)
        if name == "two equals" and list(order).index(2) > list(order).index(4):
            order = order[::-1]
        val_more, test_more = int(rng.integers(-4, 4)), int(rng.integers(-6, 4))  # for all: the ranking stays
        correct = [_shuffled(rng, val_right[i] + val_more, 20, test_right[i] + test_more, 31) for i in order]
        labels = rng.integers(0, 4, size=51)
        inputs = {"names": rng.permutation(NAMES).tolist(), "labels": labels, "correct": np.array(correct)}
        found.append(Case(name, inputs, ("choice", "figures", "once") if name == "a clear winner" else ("equals",)))
    return found


def _shuffled(rng: np.random.Generator, val_right: int, val: int, test_right: int, test: int) -> np.ndarray:
    """Which of the 20 validation and 31 test images a model gets right."""
    parts = [np.arange(size) < right for size, right in ((val, val_right), (test, test_right))]
    return np.concatenate([rng.permutation(part) for part in parts])


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the validation ranking, and count how often the test images were looked at."""
    shares = [(int(np.sum(row[:20])) / 20, int(np.sum(row[20:])) / 31) for row in case.inputs["correct"]]
    best = int(np.argmax([val for val, _test in shares]))
    text = _("{yours} was chosen; {right} leads on validation")
    choice = holds(
        case.criteria[0],
        observed["name"] == case.inputs["names"][best],
        text.format(yours=observed["name"], right=case.inputs["names"][best]),
    )
    looked = np.zeros(5, dtype=int)
    looked[best] = 31
    seen = np.asarray(observed["looked"])
    message = _(
        "{count} models were shown test images, {times} test predictions in all; one model's {size} were expected"
    )
    once = holds(
        case.criteria[-1],
        np.array_equal(seen, looked),
        message.format(count=int((seen > 0).sum()), times=int(seen.sum()), size=31),
    )
    if case.name == "two equals":
        return [choice, once]
    return [
        choice,
        once,
        close("figures", observed["val_accuracy"], shares[best][0], "val_accuracy"),
        close("figures", observed["test_accuracy"], shares[best][1], "test_accuracy"),
    ]


def probe(candidate, inputs):
    """Let the candidate choose among models that know their own answers and count which images they are shown."""
    labels, looked = inputs["labels"], np.zeros(5, dtype=int)
    identity = np.arange(51)

    def model(place: int):
        def predict(images):
            shown = np.asarray(images)[:, 0].astype(int)
            looked[place] += int((shown >= 20).sum())
            return np.where(inputs["correct"][place][shown], labels[shown], (labels[shown] + 1) % 4)

        return predict

    models = {name: model(place) for place, name in enumerate(inputs["names"])}
    images = np.stack([identity, labels], axis=1)
    found = candidate(models, images[:20], labels[:20], images[20:], labels[20:])
    if not isinstance(found, dict) or not {"name", "val_accuracy", "test_accuracy"} <= set(found):
        raise NotPlain(_("a dict with the keys name, val_accuracy and test_accuracy was expected"))
    figures = {name: as_array(found[name]) for name in ("val_accuracy", "test_accuracy")}
    return {"name": str(found["name"]), **figures, "looked": looked}


EXERCISE = Exercise(
    id="chosen-on-test",
    title=_("The winner disappoints"),
    lesson="04_fine_tuning_images",
    kind="find-the-fault",
    minutes=8,
    difficulty=1,
    points=3,
    statement=_(
        "A team fine-tunes a backbone in five ways, reports 87 %, and measures 80 % in production. With fifty ways it "
        "reports 91 %, and production stays at 80 %; data and service are sound. Find the fault in `choose_model`, "
        "fix it, and prove it: the figure reported must be an honest estimate for new images. Validation and test "
        "images are both yours to use. Among equals the first model wins. Return name, val_accuracy and test_accuracy."
    ),
    hints=(
        _("Suppose all fifty models were equally good. What would the highest of fifty measured accuracies be like?"),
        _("Each set of images may serve one purpose. Which set may decide, and how often is the other one looked at?"),
        _("Decide first, with one set, for all models. Then one model alone meets the other set, one time."),
    ),
    follow_ups=(
        FollowUp(
            _("How large is the bias when many equally good models are compared on the same n images?"),
            _(
                "One accuracy has a standard error of sqrt(p (1 - p) / n), and the best of k independent ones lies "
                "about sqrt(2 ln k) of these above the truth. With 80 %, 100 images and 50 models that is up to ten "
                "points; similar models make similar errors, which lowers it."
            ),
        ),
        FollowUp(
            _("The test set has now been used once, and the result is bad. What do you do?"),
            _(
                "Report it. You may go on developing, but from then on this set has informed decisions and serves as "
                "validation; an honest figure for the next model needs fresh images."
            ),
        ),
    ),
    criteria={
        "choice": Criterion(_("chooses the model that leads on validation"), weight=2),
        "figures": Criterion(_("reports that model's accuracy on either set"), needs=("choice",)),
        "once": Criterion(_("shows the test images to one model, once"), weight=2, needs=("choice", "figures")),
        "equals": Criterion(_("takes the first of equals, without asking the test set")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=REFERENCE,
            probe=probe,
            starter=STARTER,
            alternatives={"loop": LOOP, "errors": ERRORS},
            mistakes={
                "chosen-on-test": Mistake(MESSAGES["chosen-on-test"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
        ),
    },
    complexity=_(
        "With R models, R + 1 predictions of a whole set dominate; comparing classes is O(N + M) at most for each. Up "
        "to the sizes N and M of the two sets the faulty program costs the same: honesty is free here."
    ),
)
