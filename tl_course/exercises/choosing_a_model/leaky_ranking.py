"""Find the fault: the best of many models, chosen on the examples that measure it."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def choose_model(predictions: dict[str, np.ndarray], y: np.ndarray, split: np.ndarray) -> tuple[str, float]:
    """Choose one of several trained models, and say how well it will do on new examples.

    Args:
        predictions: each model's predicted classes of all N examples, by the model's name, integer, shape (N,). Of
            models that are equally good, the one named first is chosen.
        y: true classes, integer, shape (N,).
        split: what each example is for: "train", "val" or "test", shape (N,). Each of them occurs.

    Returns:
        The chosen model's name, and an estimate of its accuracy, 0 to 1, that the choice did not flatter.
    """
    validation, test = split == "val", split == "test"
    accuracy = {name: np.mean(classes[validation] == y[validation]) for name, classes in predictions.items()}
    best = max(accuracy, key=accuracy.get)
    return best, np.mean(predictions[best][test] == y[test])
'''

STARTER = '''
import numpy as np


def choose_model(predictions: dict[str, np.ndarray], y: np.ndarray, split: np.ndarray) -> tuple[str, float]:
    """Choose one of several trained models, and say how well it will do on new examples.

    Args:
        predictions: each model's predicted classes of all N examples, by the model's name, integer, shape (N,). Of
            models that are equally good, the one named first is chosen.
        y: true classes, integer, shape (N,).
        split: what each example is for: "train", "val" or "test", shape (N,). Each of them occurs.

    Returns:
        The chosen model's name, and an estimate of its accuracy, 0 to 1, that the choice did not flatter.
    """
    unseen = split == "test"
    accuracy = {name: np.mean(classes[unseen] == y[unseen]) for name, classes in predictions.items()}
    best = max(accuracy, key=accuracy.get)
    return best, accuracy[best]
'''

MATRIX = """
import numpy as np


def choose_model(predictions, y, split):
    names = list(predictions)
    hits = np.stack([predictions[name] for name in names]) == y  # (M, N)
    index = hits[:, split == "val"].sum(axis=1).argmax()
    return names[index], float(hits[index, split == "test"].mean())
"""

LOOP = """
def choose_model(predictions, y, split):
    def accuracy(name, part):
        mine = [i for i in range(len(y)) if split[i] == part]
        return sum(int(predictions[name][i] == y[i]) for i in mine) / len(mine)

    best, most = None, -1.0
    for name in predictions:
        if accuracy(name, "val") > most:
            best, most = name, accuracy(name, "val")
    return [best, accuracy(best, "test")]
"""

CHOICE = 'validation, test = split == "val", split == "test"'
LAST = "np.mean(predictions[best][test] == y[test])"
MAX = "max(accuracy, key=accuracy.get)"
MESSAGES = {
    "chosen-on-test": _(
        "the examples that choose also measure: the best of many is partly the luckiest, and its luck is reported"
    ),
    "validation-reported": _("the choice is honest, but the figure reported is the one that won the choice"),
    "best-on-test": _("the figure reported belongs to another model than the one chosen"),
    "chosen-on-training": _("the choice falls on the model that remembers its training examples best"),
    "all-unseen": _("validation and test examples choose together, so the test examples have chosen too"),
    "everything": _("all examples choose, and the choice knows the test examples"),
    "reported-on-all-unseen": _("the estimate contains the validation examples, for which the model was chosen"),
    "mean-accuracy": _("the mean over all models is reported; only one of them will be used"),
    "worst": _("the worst model is chosen"),
    "last-of-equals": _("of equally good models the last one is chosen"),
}
EDITS = {
    "validation-reported": ((LAST, "accuracy[best]"),),
    "best-on-test": ((LAST, "max(np.mean(classes[test] == y[test]) for classes in predictions.values())"),),
    "chosen-on-training": ((CHOICE, CHOICE.replace("val", "train")),),
    "all-unseen": ((CHOICE, 'validation, test = split != "train", split == "test"'),),
    "everything": ((CHOICE, 'validation, test = split != "", split == "test"'),),
    "reported-on-all-unseen": ((LAST, 'np.mean((predictions[best] == y)[split != "train"])'),),
    "mean-accuracy": ((LAST, "np.mean([np.mean((classes == y)[test]) for classes in predictions.values()])"),),
    "worst": ((MAX, "min(accuracy, key=accuracy.get)"),),
    "last-of-equals": ((MAX, "max(reversed(accuracy), key=accuracy.get)"),),
}
SIZES = {"train": 40, "val": 23, "test": 17}
# right answers of five models on each split: each split has another favourite, and so have two splits together
RIGHT = {"train": (24, 38, 25, 26, 34), "val": (20, 9, 15, 19, 12), "test": (8, 9, 15, 13, 13)}
TIED = {"train": (24, 38, 25, 26, 27), "val": (12, 19, 11, 19, 19), "test": (10, 9, 12, 11, 14)}


def cases(rng: np.random.Generator) -> list[Case]:
    """Models of which each split prefers another, in random order; and some that are equally good in validation."""

    def drawn(right: dict[str, tuple[int, ...]]) -> dict[str, Plain]:
        models = rng.permutation(5)
        names = [str(name) for name in rng.permutation(["resnet", "vit", "mobilenet", "convnext", "dino"])]
        split = np.repeat(list(SIZES), list(SIZES.values()))
        y = rng.integers(0, 6, size=len(split))
        hits = [
            np.concatenate([rng.permutation(SIZES[part]) < right[part][model] for part in SIZES]) for model in models
        ]
        wrong = (y + rng.integers(1, 6, size=len(y))) % 6
        order = rng.permutation(len(y))
        return {
            "names": names,
            "predictions": [np.where(hit, y, wrong)[order] for hit in hits],
            "y": y[order],
            "other": wrong[order],
            "split": split[order],
        }

    return [
        Case("five models", drawn(RIGHT), ("choice", "report", "leak")),
        Case("equals", drawn(TIED), ("equals",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[str, float]:
    """The first of the models with most hits in validation, and its share of hits in the test split."""
    hits = [dict.fromkeys(SIZES, 0) for _name in inputs["names"]]
    for i, part in enumerate(inputs["split"]):
        for model, predicted in enumerate(inputs["predictions"]):
            hits[model][str(part)] += int(predicted[i] == inputs["y"][i])
    best = sorted(range(len(hits)), key=lambda model: (-hits[model]["val"], model))[0]
    return inputs["names"][best], hits[best]["test"] / SIZES["test"]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with counted hits, and with the choice after the test labels were changed."""
    name, accuracy = expected(case.inputs)
    text = _("in case '{case}' the choice falls on {seen}; {right} was expected")
    chosen = text.format(case=case.name, seen=observed["name"], right=name)
    criterion = case.criteria[0]
    found = [holds(criterion, observed["name"] == name, chosen)]
    what = _("the accuracy reported in case '{case}'").format(case=case.name)
    found.append(close("report" if criterion == "choice" else criterion, observed["accuracy"], accuracy, what))
    if "leak" in case.criteria:
        leaked = _("with other labels in the test split, another model is chosen")
        found.append(holds("leak", observed["other name"] == observed["name"], leaked))
    return found


def probe(candidate, inputs):
    """The choice, and the choice after the labels of the test split were changed."""

    def chosen(y: np.ndarray) -> tuple[str, np.ndarray]:
        predictions = {
            name: classes.copy() for name, classes in zip(inputs["names"], inputs["predictions"], strict=True)
        }
        returned = candidate(predictions, y.copy(), inputs["split"].copy())
        if not isinstance(returned, (tuple, list)) or len(returned) != 2 or not isinstance(returned[0], str):
            raise NotPlain(_("two things were expected: the name of a model and its accuracy"))
        return str(returned[0]), as_array(returned[1])

    name, accuracy = chosen(inputs["y"])
    other = chosen(np.where(inputs["split"] == "test", inputs["other"], inputs["y"]))[0]
    return {"name": name, "accuracy": accuracy, "other name": other}


EXERCISE = Exercise(
    id="leaky-ranking",
    title=_("The winner disappoints"),
    lesson="09_choosing_a_model",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A team compares trained models and ships the best. In production it does worse than announced, and the more "
        "models take part, the larger the gap. Find the fault in `choose_model`, fix it, and prove it: other labels in "
        "the test split never change the choice, and the accuracy reported is an honest estimate for the chosen model. "
        "Of equally good models the one named first wins. Return its name and its accuracy."
    ),
    hints=(
        _("Throw ten fair coins ten times each and report the best coin's share of heads. What will you report?"),
        _("For each number, ask which examples it has seen. Which split exists for choosing, and which is left over?"),
        _("Two accuracies are needed: one for all models that decides, one for the winner alone that is reported."),
    ),
    follow_ups=(
        FollowUp(
            _("How large is the flattery with 20 equally good models and 500 test examples, at an accuracy of 0.8?"),
            _(
                "One measured accuracy has a standard error of sqrt(0.8 x 0.2 / 500), about 0.018. The largest of 20 "
                "independent ones lies nearly 1.9 standard errors above the mean: about 0.033 too high. Models that "
                "err on the same examples flatter less."
            ),
        ),
        FollowUp(
            _("There are 100 labelled examples in all. How do you choose and report then?"),
            _(
                "Nested cross-validation: inner folds choose, the outer fold that took no part measures the whole "
                "procedure. Report the spread, and prefer the simpler model unless the gap exceeds it."
            ),
        ),
    ),
    criteria={
        "choice": Criterion(_("chooses on the examples that are there for choosing"), weight=2),
        "report": Criterion(_("reports an honest estimate for the chosen model"), weight=2, needs=("choice",)),
        "leak": Criterion(_("the test labels have no say in the choice"), needs=("choice",)),
        "equals": Criterion(_("of equally good models takes the one named first"), needs=("choice",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            starter=STARTER,
            alternatives={"matrix": MATRIX, "loop": LOOP},
            mistakes={
                "chosen-on-test": Mistake(MESSAGES["chosen-on-test"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
        ),
    },
    complexity=_(
        "O(M·N) time for M models and N examples, as the predictions are there already, and O(N) extra memory. An "
        "honest choice costs as much as a leaky one, but for one more comparison of N labels at most."
    ),
)
