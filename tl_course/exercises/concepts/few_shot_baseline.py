"""Find the faults: a comparison that treats its baseline worse than its favourite."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def few_shot_gain(train, rates: list[float], num_steps: int, seeds: list[int]) -> np.ndarray:
    """How much fine-tuning gains over training from scratch with the same budget.

    Args:
        train: `train(method, lr, num_steps, seed)` trains one model, method "transfer" or "scratch", and returns its
            accuracies as a dict {"val": ..., "test": ...}.
        rates: learning rates to try.
        num_steps: training steps that one model may take.
        seeds: draws of the labelled examples; each is tuned and compared by itself.

    Returns:
        Test accuracy of transfer minus that of scratch, float, one per seed, shape (S,).
    """

    def accuracy(method, seed):
        runs = [train(method, lr, num_steps, seed) for lr in rates]
        return max(runs, key=lambda run: run["val"])["test"]

    return np.array([accuracy("transfer", seed) - accuracy("scratch", seed) for seed in seeds])
'''

BODY = NUMPY.partition("\n    def accuracy")[2]
STARTER = NUMPY.replace(
    "\n    def accuracy" + BODY,
    """    gains = []
    for seed in seeds:
        transfer = max(train("transfer", lr, num_steps, seed)["test"] for lr in rates)
        scratch = train("scratch", rates[0], num_steps // 2, seed)["test"]
        gains.append(transfer - scratch)
    return np.array(gains)
""",
)

TABLES = """
import numpy as np


def few_shot_gain(train, rates, num_steps, seeds):
    scores = {}
    for method in ("transfer", "scratch"):
        runs = [[train(method, lr, num_steps, seed) for lr in rates] for seed in seeds]
        val, test = (np.array([[run[part] for run in row] for row in runs]) for part in ("val", "test"))
        scores[method] = np.take_along_axis(test, val.argmax(axis=1)[:, None], axis=1)[:, 0]
    return scores["transfer"] - scores["scratch"]
"""

RUNNING_BEST = """
def few_shot_gain(train, rates, num_steps, seeds):
    gains = []
    for seed in seeds:
        gain = 0.0
        for method, sign in (("transfer", 1), ("scratch", -1)):
            best, reported = -1.0, None
            for lr in rates:
                run = train(method, lr, num_steps, seed)
                if run["val"] > best:
                    best, reported = run["val"], run["test"]
            gain += sign * reported
        gains.append(gain)
    return gains
"""

MESSAGES = {
    "faulty": _(
        "the favourite gets more than the baseline, in more ways than one, and examples that should only judge have a "
        "say in the choice"
    ),
    "tuned-on-test": _(
        "the test set chooses the learning rate: the best of several noisy accuracies is too high on average"
    ),
    "one-on-test": _("one method is still chosen by its test accuracy, the other by its validation accuracy"),
    "baseline-untuned": _("the baseline has to take the first learning rate while the favourite may choose"),
    "borrowed-rate": _("scratch has to take the learning rate that suits transfer; each method needs its own search"),
    "fewer-steps": _("training from scratch gets fewer steps, though it needs rather more"),
    "both-untuned": _("both take the first learning rate: equal, but it tells which of them that rate happens to suit"),
    "validation": _("the accuracy reported is the one by which the rate was chosen, so it is too good"),
    "worst": _("the rate with the lowest validation accuracy is taken"),
    "one-rate": _("one rate is chosen over all seeds together; each seed is to be tuned by itself"),
    "sign": _("the difference has the wrong sign: a gain of transfer is positive"),
    "average": _("averaging over rates compares how sensitive the methods are to the rate, not how good they can get"),
}
CHOICE, RUNS, PAIR = (
    'max(runs, key=lambda run: run["val"])["test"]',
    "[train(method, lr, num_steps, seed) for lr in rates]",
    'accuracy("transfer", seed) - accuracy("scratch", seed)',
)
FIRST_FOR_SCRATCH = "(rates if method == 'transfer' else rates[:1])]"
EDITS = {
    "tuned-on-test": ((CHOICE, 'max(run["test"] for run in runs)'),),
    "one-on-test": ((CHOICE, 'max(runs, key=lambda run: run["test" if method == "transfer" else "val"])["test"]'),),
    "baseline-untuned": ((RUNS, RUNS.replace("rates]", FIRST_FOR_SCRATCH)),),
    "borrowed-rate": (
        (
            CHOICE,
            'runs[int(np.argmax([train("transfer", lr, num_steps, seed)["val"] for lr in rates]))]["test"]',
        ),
    ),
    "fewer-steps": ((RUNS, RUNS.replace("num_steps", "num_steps // (1 if method == 'transfer' else 2)")),),
    "both-untuned": ((RUNS, RUNS.replace("rates]", "rates[:1]]")),),
    "validation": ((CHOICE, 'max(run["val"] for run in runs)'),),
    "worst": (("max(runs", "min(runs"),),
    "sign": ((PAIR, 'accuracy("scratch", seed) - accuracy("transfer", seed)'),),
    "average": ((CHOICE, 'np.mean([run["test"] for run in runs])'),),
}
ONE_RATE = """
import numpy as np


def few_shot_gain(train, rates, num_steps, seeds):
    def accuracy(method):
        runs = [[train(method, lr, num_steps, seed) for lr in rates] for seed in seeds]
        best = np.mean([[run["val"] for run in row] for row in runs], axis=0).argmax()
        return np.array([row[best]["test"] for row in runs])

    return accuracy("transfer") - accuracy("scratch")
"""


def cases(rng: np.random.Generator) -> list[Case]:
    """Tables of accuracies in which each method likes another learning rate, and no set's favourite is the other's."""
    seeds, rates = 5, 4
    val = rng.uniform(0.3, 0.6, size=(2, seeds, rates))
    test = rng.uniform(0.3, 0.6, size=(2, seeds, rates))
    for seed in range(seeds):
        best = rng.permutation(np.arange(1, rates))[:2]  # another rate for each method, and never the first
        for method in range(2):
            val[method, seed, best[method]] = rng.uniform(0.7, 0.8)
            test[method, seed, best[method] % (rates - 1) + 1] = rng.uniform(0.7, 0.8)  # the test set prefers another
    inputs = {
        "rates": np.sort(rng.choice([1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1], size=rates, replace=False)).tolist(),
        "num_steps": int(rng.integers(30, 60)) * 2,
        "seeds": [int(seed) for seed in rng.choice(1000, size=seeds, replace=False)],
        "val": val,
        "test": test,
    }
    return [Case("comparison", inputs, ("value", "choice", "budget"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the tables' own choice, and count what each method was given."""
    inputs = case.inputs
    chosen = np.where(inputs["val"] == inputs["val"].max(axis=2, keepdims=True), inputs["test"], 0).sum(axis=2)
    same = np.shape(observed["gains"]) == np.shape(observed["other test"]) and np.allclose(
        observed["gains"], observed["other test"], atol=1e-9
    )
    wanted = [[rate, inputs["num_steps"], seed] for rate in inputs["rates"] for seed in inputs["seeds"]]
    text = _("{method} was trained {runs} times with {steps} steps in all; {wanted} times with {budget} were expected")
    found = []
    for method in ("transfer", "scratch"):
        calls = observed["calls"][method]
        message = text.format(
            method=method,
            runs=len(calls),
            steps=int(sum(call[1] for call in calls)),
            wanted=len(wanted),
            budget=len(wanted) * inputs["num_steps"],
        )
        found.append(holds("budget", sorted(calls) == sorted(wanted), message))
    message = _("test accuracies of models that should not be chosen changed, and your gain changed with them")
    return [
        close("value", observed["gains"], chosen[0] - chosen[1], _("the gain of each seed")),
        holds("choice", same, message),
        *found,
    ]


def probe(candidate, inputs):
    """Compare with a log of all training runs, and once more with other test accuracies of the worse models."""
    val, test, rates, seeds = inputs["val"], inputs["test"], inputs["rates"], inputs["seeds"]
    calls: dict[str, list[list[float]]] = {"transfer": [], "scratch": []}

    def compare(test_table):
        def train(method, lr, num_steps, seed):
            calls[method].append([float(lr), int(num_steps), int(seed)])
            row = int(method == "scratch"), seeds.index(seed), rates.index(lr)
            part = min(1.0, num_steps / inputs["num_steps"]) ** 0.5  # fewer steps, lower accuracy
            return {"val": float(val[row]) * part, "test": float(test_table[row]) * part}

        return as_array(candidate(train, list(rates), inputs["num_steps"], list(seeds)))

    gains = compare(test)
    first = {method: [list(call) for call in made] for method, made in calls.items()}
    other = np.where(val == val.max(axis=2, keepdims=True), test, 1.2 - test)
    return {"gains": gains, "calls": first, "other test": compare(other)}


EXERCISE = Exercise(
    id="few-shot-baseline",
    title=_("A gain that did not last"),
    lesson="01_concepts",
    kind="find-the-fault",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A report claimed 25 points for fine-tuning over training from scratch. A colleague who gave both methods the "
        "same care measured 8. Find what makes `few_shot_gain` flatter, and fix it: the gain per seed, the learning "
        "rate chosen as in honest practice, and nothing granted to one method that the other is denied. Each method, "
        "rate and seed is trained exactly once. Ties do not occur."
    ),
    hints=(
        _("Write down, for each method, everything that may be chosen, by whom, and how much is spent."),
        _("Which of the two accuracies of a run may influence a decision, and which may only be reported?"),
        _("A small inner function for one method and one seed, called for both, leaves no room for favourites."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the best of 20 test accuracies too high even if all 20 models are equally good?"),
            _(
                "Each is the true accuracy plus noise, and the maximum picks the luckiest noise. With 200 test images "
                "at 80 % one standard error is 2.8 points, and the best of 20 lies nearly two of them above the truth."
            ),
        ),
        FollowUp(
            _("Is the same number of steps a fair budget for a pretrained network and one from scratch?"),
            _(
                "It is one fair question (same compute on the target), but scratch may simply need longer. Say which "
                "budget is equal, show the curve over steps, and let scratch run until its validation accuracy no "
                "longer rises."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the gain of each seed"), weight=2),
        "choice": Criterion(_("lets no test accuracy take part in a choice"), needs=("value",)),
        "budget": Criterion(_("spends the same on both methods"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            starter=STARTER,
            alternatives={"tables": TABLES, "running best": RUNNING_BEST},
            mistakes={
                "faulty": Mistake(MESSAGES["faulty"], source=STARTER),
                "one-rate": Mistake(MESSAGES["one-rate"], source=ONE_RATE),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={
                "return [accuracy('transfer', seed) - accuracy('scratch', seed) for seed in seeds]": "a list of "
                "numbers is as good as an array"
            },
        ),
    },
    complexity=_(
        "With R rates and S seeds, 2·R·S trainings of `num_steps` steps, which dwarf all else; memory for the R "
        "results of one method and seed. For many rates the fair comparison costs nearly twice what the flattering one "
        "did."
    ),
)
