"""Top-k accuracy that ties cannot flatter."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _top_k_code as code
from tl_course.exercises.interview import _watch
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Uneven ranks, several k; ties of all sorts; k from the number of classes on; what must be refused."""
    ranks = rng.permutation(np.repeat(np.arange(5), [rng.integers(5, 9), *rng.integers(1, 5, size=4)]))
    scores = np.array([rng.permutation(5) for _rank in ranks]) + rng.uniform(0, 0.5, size=(len(ranks), 5))
    labels = np.argsort(-scores, axis=1)[np.arange(len(ranks)), ranks]
    few = rng.integers(2, size=(10, 4)).astype(np.float64)
    tied = np.concatenate([few, np.full((4, 4), rng.normal())])
    tied_labels = np.concatenate([rng.integers(4, size=10), np.arange(4)])
    plain = {"scores": scores - 10, "labels": labels}
    refused = {"scores": scores[:0], "labels": labels[:0]}
    return [
        Case("usual", {**plain, "ks": [1, 2, 3, 4]}, ("value", "untouched")),
        Case("ties", {"scores": tied, "labels": tied_labels, "ks": [1, 2, 3]}, ("ties",)),
        Case("many", {**plain, "ks": [5, 6, 50]}, ("large",)),
        Case("one class", {"scores": scores[:3, :1], "labels": np.zeros(3, dtype=np.int64), "ks": [1, 2]}, ("large",)),
        Case("no examples", {**refused, "ks": [1]}, ("refuses",)),
        Case("k below 1", {**plain, "ks": [0, -1]}, ("refuses",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with a count of rivals, example by example."""
    scores, labels = case.inputs["scores"], case.inputs["labels"]
    found = []
    for k, value in zip(case.inputs["ks"], observed["values"], strict=True):
        what = _("{name}, k = {k}: the accuracy").format(name=case.name, k=k)
        if case.criteria == ("refuses",):
            text = _("{what}: ValueError was expected, yours gave {value}").format(what=what, value=value)
            found.append(holds("refuses", value == "ValueError", text))
        else:
            others = [np.delete(row, label) >= row[label] for row, label in zip(scores, labels, strict=True)]
            right = sum(rivals.sum() < k for rivals in others) / len(labels)
            found.append(close(case.criteria[0], value, right, what))
    if "untouched" in case.criteria:
        text = _("the arrays you were given had other values afterwards")
        found.append(holds("untouched", observed["kept"], text))
    return found


def probe(candidate, inputs):
    """The accuracy for each k, or the name of the error that was raised."""
    values, untouched = [], True
    for k in inputs["ks"]:
        try:
            value, kept = _watch.call(candidate, inputs["scores"], inputs["labels"], k)
            values.append(as_array(value))
            untouched = untouched and kept
        except ValueError as error:
            if len(inputs["labels"]) and k >= 1:
                raise
            values.append(type(error).__name__)
    return {"values": [value if isinstance(value, str) else value.tolist() for value in values], "kept": untouched}


EXERCISE = Exercise(
    id="top-k-accuracy",
    title=_("Among the k best"),
    lesson="11_interview_clinic",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "Write `top_k_accuracy(scores, labels, k)` for scores (N, K) and integer labels (N,): the share of examples "
        "whose right class is among the k highest scores. Ties count against the model: an example counts only if "
        "fewer than k *other* classes score at least as high as the right one. With k of K or more, every example "
        "counts. Raise `ValueError` for no examples or k below 1. Leave the inputs unchanged."
    ),
    hints=(
        _("You need not know which classes are the k best, only how many stand before the right one."),
        _("Compare each row with the score of its right class, kept as a column so that it broadcasts."),
        _("The comparison finds the right class too: take it off the count before you compare with k."),
    ),
    follow_ups=(
        FollowUp(
            _("A model outputs the same score for every class. What do common implementations report for it?"),
            _(
                "It depends on how they break ties: counting only strictly better classes gives 100 %, a sort gives "
                "whatever share of labels stands first in its order. Collapsed models and quantised or saturated "
                "scores do produce ties, so the rule belongs in the definition."
            ),
        ),
        FollowUp(
            _("When is top-5 accuracy a poor measure after transfer?"),
            _(
                "With few classes: for ten classes, chance is already 50 %. It also says nothing when only one "
                "decision is acted upon. It suits many similar classes, ambiguous labels, or a shortlist shown to a "
                "person."
            ),
        ),
        FollowUp(
            _("K is a million (retrieval). What does your solution cost, and what does a sort cost?"),
            _(
                "Counting rivals is one pass, O(K) per example, without indices. A full sort is O(K log K), a partial "
                "selection O(K) but with a copy. At that size the scores themselves are the problem: compute them in "
                "blocks and add up the counts, or use an approximate index."
            ),
        ),
    ),
    complexity=_("O(N·K) time, no sort. O(N·K) extra memory for the comparison, one byte an entry."),
    criteria={
        "value": Criterion(_("gives the share for several k"), weight=2),
        "ties": Criterion(_("counts ties against the model"), weight=1.5),
        "large": Criterion(_("counts every example when k is the number of classes or more"), needs=("value",)),
        "refuses": Criterion(_("raises ValueError for no examples and for k below 1"), weight=0.5, needs=("value",)),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe,
            alternatives={"sorted": code.SORTED, "loop": code.LOOP, "right class last": code.LAST},
            mistakes=code.MISTAKES,
            equivalent={
                "raise ValueError('an example and k of at least 1 are needed_')": "the text of the error is free"
            },
        ),
    },
)
