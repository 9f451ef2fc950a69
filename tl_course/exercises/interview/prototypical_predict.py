"""Predict with class means: prototypical networks at test time."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _watch
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def prototypical_predict(
    support: np.ndarray, support_labels: np.ndarray, query: np.ndarray, metric: str
) -> np.ndarray:
    """Label queries by their nearest class prototype (Snell et al., 2017).

    Args:
        support: embeddings of the labelled examples, float, shape (S, D), S at least 1; not modified. They may lie far
            from the origin.
        support_labels: any integers, not only 0..K-1, shape (S,); classes may differ in size.
        query: embeddings, float, shape (Q, D); Q may be 0. Not modified.
        metric: "euclidean" (the smallest squared Euclidean distance wins) or "cosine" (the largest cosine similarity
            wins; with a zero vector on either side it is 0).

    Returns:
        Labels from `support_labels`, integers, shape (Q,). A prototype is the mean of a class's support embeddings as
        they come, in both metrics. Among equally near prototypes the smallest label wins.
    """
    classes = np.unique(support_labels)  # (K,), ascending
    prototypes = np.stack([support[support_labels == label].mean(axis=0) for label in classes])  # (K, D)
    if metric == "cosine":
        lengths = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(prototypes, axis=1)
        scores = query @ prototypes.T / np.where(lengths > 0, lengths, 1)  # (Q, K)
    else:
        scores = -((query[:, None] - prototypes) ** 2).sum(axis=2)
    return classes[scores.argmax(axis=1)]
'''

LOOP = """
import numpy as np


def prototypical_predict(support, support_labels, query, metric):
    groups = {}
    for vector, label in zip(support.astype(float), support_labels.tolist()):
        groups.setdefault(label, []).append(vector)

    def cost(a, b):
        if metric == "euclidean":
            return np.dot(a - b, a - b)
        size = np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b))
        return -np.dot(a, b) / size if size else 0.0

    means = {label: sum(vectors) / len(vectors) for label, vectors in sorted(groups.items())}
    found = [min(means, key=lambda label: cost(vector.astype(float), means[label])) for vector in query]
    return np.array(found, dtype=np.int64)
"""

ONE_HOT = """
import numpy as np


def prototypical_predict(support, support_labels, query, metric):
    names, index, counts = np.unique(support_labels, return_inverse=True, return_counts=True)
    members = np.eye(len(names))[index]
    prototypes = members.T @ support.astype(np.float64) / counts[:, None]
    if metric == "cosine":
        def unit(vectors):
            sizes = np.linalg.norm(vectors, axis=-1, keepdims=True)
            return np.divide(vectors, sizes, out=np.zeros_like(vectors), where=sizes != 0)

        distances = 1 - np.einsum("qd,kd->qk", unit(query.astype(np.float64)), unit(prototypes))
    else:
        distances = np.linalg.norm(query[:, None, :] - prototypes[None], axis=-1)
    return np.take(names, np.argmin(np.round(distances, 12), axis=-1))
"""

MEAN = "support[support_labels == label].mean(axis=0)"
SCORES, DOT = (
    "-((query[:, None] - prototypes) ** 2).sum(axis=2)",
    "query @ prototypes.T / np.where(lengths > 0, lengths, 1)",
)
EXPANDED = "2 * query @ prototypes.T - (prototypes**2).sum(axis=1) - (query**2).sum(axis=1)[:, None]"
NEIGHBOUR = """
import numpy as np


def prototypical_predict(support, support_labels, query, metric):
    order = np.argsort(support_labels, kind="stable")
    support, support_labels = support[order], support_labels[order]
    if metric == "cosine":
        lengths = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(support, axis=1)
        scores = query @ support.T / np.where(lengths > 0, lengths, 1)
    else:
        scores = -((query[:, None] - support) ** 2).sum(axis=2)
    return support_labels[scores.argmax(axis=1)]
"""
MISTAKES = {
    "nearest-example": Mistake(
        _("this is the label of the nearest single example; classes should be represented by their means"),
        source=NEIGHBOUR,
    ),
    "positions": Mistake(
        _("what comes back numbers the classes from 0; the labels that were given may be any integers"),
        (("return classes[scores.argmax(axis=1)]", "return scores.argmax(axis=1)"),),
    ),
    "farthest": Mistake(
        _("with squared distances the largest wins: that is the class farthest away"), ((SCORES, SCORES[1:]),)
    ),
    "sums": Mistake(
        _("the embeddings of a class are added up and not averaged: large classes move far out"),
        ((".mean(axis=0)", ".sum(axis=0)"),),
    ),
    "always-euclidean": Mistake(
        _("the metric is ignored: cosine similarity looks at directions only"),
        (('metric == "cosine"', 'metric == "none"'),),
    ),
    "dot-product": Mistake(
        _("a dot product is no cosine similarity: long prototypes win"),
        ((DOT, "query @ prototypes.T"),),
    ),
    "mean-of-directions": Mistake(
        _("the embeddings were normalised before they were averaged; the prototype is the mean of them as they come"),
        (
            (
                "    prototypes =",
                '    if metric == "cosine":\n'
                "        support = support / np.maximum(np.linalg.norm(support, axis=1, keepdims=True), 1e-12)\n"
                "    prototypes =",
            ),
        ),
    ),
    "no-guard": Mistake(
        _("a zero vector divides zero by zero, and NaN wins every argmax"),
        (("np.where(lengths > 0, lengths, 1)", "lengths"),),
    ),
    "cancels": Mistake(
        _(
            "squared distances come from squared lengths and a dot product: far from the origin the digits that "
            "matter cancel"
        ),
        ((SCORES, EXPANDED),),
    ),
    "no-length": Mistake(
        _("the prototypes' squared lengths are left out of the distance: long prototypes win"),
        ((SCORES, "query @ prototypes.T"),),
    ),
    "last-of-ties": Mistake(
        _("among equally near prototypes the largest label wins"),
        (("return classes[scores.argmax(axis=1)]", "return classes[::-1][scores[:, ::-1].argmax(axis=1)]"),),
    ),
    "in-place": Mistake(
        _("the caller's embeddings are overwritten"),
        (
            (
                "    prototypes =",
                "    shift = support.mean(axis=0)\n"
                '    if metric != "cosine":\n'
                "        support -= shift\n"
                "        query -= shift\n"
                "    prototypes =",
            ),
        ),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Classes of unequal size in both metrics, zero vectors, ties, embeddings far from the origin, and no query."""
    labels = rng.permutation([-3, -3, 4, 4, 4, 4, 4, 11, 11, 11, 25])
    classes, spread = np.unique(labels), rng.uniform(0.2, 3, size=(11, 1))
    centres = 1.2 * rng.normal(size=(26, 4))

    def case(
        name: str, metric: str, criteria: tuple[str, ...], offset: float = 0.0, scale: float = 1.0, count: int = 60
    ) -> Case:
        support = offset + scale * spread * (centres[labels] + rng.normal(size=(11, 4)))
        query = offset + scale * rng.uniform(0.2, 3, size=(count, 1)) * rng.normal(size=(count, 4))
        arrays = {"support": support.astype(np.float32), "query": query.astype(np.float32)}
        return Case(name, {**arrays, "support_labels": labels, "metric": metric}, criteria)

    ties = np.array([[1, 0], [3, 0], [0, 2], [-2, -2], [0, 0]], dtype=np.float32)
    tied = {"support_labels": np.array([8, 8, 5, 2, 9]), "query": np.array([[0, 0], [1, 1], [-1, -1]], np.float32)}
    zeros = case("a zero prototype and a zero query", "cosine", ("zero",), count=9)
    zeros.inputs["support"][labels == classes[int(rng.integers(1, 4))]] = 0
    zeros.inputs["query"][4] = 0
    return [
        case("squared Euclid", "euclidean", ("euclidean", "untouched")),
        case("cosine", "cosine", ("cosine",)),
        case("far from the origin", "euclidean", ("stable",), 300.0, 0.05),
        case("short vectors", "cosine", ("cosine",), scale=0.01),
        zeros,
        Case("ties", {"support": ties, **tied, "metric": "euclidean"}, ("ties",)),
        case("no query", "euclidean", ("ties",), count=0),
    ]


def expected(support: np.ndarray, support_labels: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """The right labels, query by query, in double precision."""
    classes = sorted(set(support_labels.tolist()))
    means = [
        support[support_labels == label].astype(np.float64).sum(0) / (support_labels == label).sum()
        for label in classes
    ]

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        if metric == "euclidean":
            return float(sum((a - b) ** 2))
        return -float(sum(a * b)) / float(np.hypot.reduce(a) * np.hypot.reduce(b)) if a.any() and b.any() else 0.0

    nearest = [int(np.argmin([distance(vector, mean) for mean in means])) for vector in query.astype(np.float64)]
    return np.array([classes[k] for k in nearest], dtype=np.int64)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the labels."""
    name = case.criteria[0]
    found = [close(name, observed["labels"], expected(**case.inputs), _("the labels, {case}").format(case=case.name))]
    if "untouched" in case.criteria:
        integers = np.asarray(observed["labels"]).dtype.kind in "iu"
        found.append(holds(name, integers, _("the labels should be integers")))
        found.append(holds("untouched", observed["kept"], _("the arrays you were given had other values afterwards")))
    return found


def probe(candidate, inputs):
    """The labels, and whether the arrays stayed as they were."""
    with np.errstate(all="ignore"):
        labels, kept = _watch.call(
            candidate, *(inputs[name] for name in ("support", "support_labels", "query", "metric"))
        )
    return {"labels": as_array(labels), "kept": kept}


EXERCISE = Exercise(
    id="prototypical-predict",
    title=_("The nearest class mean"),
    lesson="11_interview_clinic",
    minutes=14,
    difficulty=3,
    points=4,
    statement=_(
        "Write `prototypical_predict(support, support_labels, query, metric)`: a class's prototype is the mean of its "
        "support embeddings as they come; each query gets the label of the nearest prototype. `metric` is "
        '"euclidean" (squared distance) or "cosine" (similarity; 0 with a zero vector). Labels are arbitrary integers, '
        "classes unequal in size; in ties the smallest label wins. It must stay right far from the origin, and without "
        "queries. Leave the inputs unchanged."
    ),
    hints=(
        _("Two steps: one mean for each label that occurs, then a (Q, K) matrix of scores."),
        _("`np.unique` gives the labels in ascending order; argmax takes the first of equal scores."),
        _("Take differences before you square them, and replace a length of 0 before you divide by it."),
    ),
    follow_ups=(
        FollowUp(
            _("Show that a prototypical classifier with squared Euclidean distance is linear."),
            _(
                "The score -|q - c|² is -|q|² + 2 c·q - |c|². The first term is the same for all classes and drops "
                "out of argmax and softmax, so the logits are linear in q with weight 2c and bias -|c|². The means "
                "thus give a linear head without training, also a good start for fine-tuning."
            ),
        ),
        FollowUp(
            _("When is cosine the better choice, and what should you do with the embeddings then?"),
            _(
                "When the length of an embedding says something other than the class, as it often does in backbones "
                "trained with a softmax or a contrastive loss on unit vectors. Subtract the mean of the source "
                "features and normalise (Wang et al., 2019); a large common component makes all cosines near 1."
            ),
        ),
        FollowUp(
            _("A million classes and a stream of queries: what changes?"),
            _(
                "Q·K·D differences do not fit: use a matrix product of centred or normalised vectors in blocks of "
                "classes, or an approximate nearest-neighbour index. Prototypes can be updated as running means when "
                "examples arrive; nothing is retrained."
            ),
        ),
    ),
    complexity=_(
        "O(S·(K + D) + Q·K·D) time. O(K·D) extra memory for the prototypes, and O(Q·K·D) for the differences; O(Q·K) "
        "in the cosine metric."
    ),
    criteria={
        "euclidean": Criterion(_("finds the nearest mean by squared Euclidean distance"), weight=1.5),
        "cosine": Criterion(_("finds the nearest mean by cosine similarity"), weight=1.5),
        "zero": Criterion(_("counts a similarity of 0 where a vector is zero"), needs=("cosine",)),
        "ties": Criterion(_("takes the smallest label in ties, and works without queries"), needs=("euclidean",)),
        "stable": Criterion(_("stays right far from the origin"), needs=("euclidean",)),
        "untouched": Criterion(_("leaves its inputs as they were"), weight=0.5, needs=("euclidean",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"loop": LOOP, "one-hot": ONE_HOT},
            mistakes=MISTAKES,
            equivalent={
                "scores = query @ prototypes.T / np.where(lengths > 0, lengths, 2)": "0 by any number but 0 is 0"
            },
        ),
    },
)
