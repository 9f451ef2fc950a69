"""Predict by a vote of the k nearest features, in cosine similarity."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.feature_extraction import _knn_code as code
from tl_course.exercises.feature_extraction._neighbours import features, labelled, never_ties, ties_tell, votes, winner
from tl_course.i18n import _

ANYHOW = """counts = [np.bincount(row) for row in labels]
    clear = [(count == count.max()).sum() == 1 for count in counts]
    return np.where(clear, [count.argmax() for count in counts], labels[:, 0])"""

EUCLIDEAN = _(
    "the neighbours are ranked by Euclidean distance between raw features, so long vectors end up far from all"
)
DOT_PRODUCT = _("the neighbours are ranked by dot product, so long training vectors are everyone's neighbours")
FARTHEST = _("those that vote are the least similar training examples")
MEAN_LABEL = _(
    "class numbers are averaged: they are names, not quantities, and between classes 1 and 3 lies not class 2"
)
WRONG_AXIS = _("each feature is scaled over all examples; what should have length 1 is each example's vector")
K_IGNORED = _("only the nearest example decides, whatever k is")
SMALLEST_CLASS = _("a tie goes to the smallest class number, which says nothing about the features")
NEAREST_ANYHOW = _("a tie goes to the nearest neighbour even where its class is not among those that tie")


def cases(rng: np.random.Generator) -> list[Case]:
    """Random features of very different lengths: one neighbour, three without ties, five with ties."""
    one = {**features(rng, k=1), "train_y": rng.choice([1, 3, 4, 8], size=13)}
    return [
        Case("one neighbour", one, ("value", "scale", "inputs")),
        Case("three neighbours", labelled(rng, 3, never_ties), ("value", "scale", "inputs")),
        Case("five neighbours with ties", labelled(rng, 5, ties_tell), ("ties",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with votes counted row by row, and with what rescaled features give."""
    right = np.array([winner(labels) for labels in votes(case.inputs)])
    seen = observed["classes"]
    if case.name == "five neighbours with ties":
        return [close("ties", seen, right, _("the classes"))]
    whole = np.asarray(seen).dtype.kind in "iu"
    same = np.array_equal(seen, observed["rescaled"])
    rescaled = _("multiplying feature vectors by positive numbers changed your predictions; their cosines are the same")
    return [
        close("value", seen, right, _("the classes")),
        holds("value", whole, _("classes are whole numbers; yours have another dtype")),
        holds("scale", same, rescaled),
        holds("inputs", observed["inputs kept"], _("your function changed the arrays it was given")),
    ]


def _observe(candidate, train_x, train_y, test_x, inputs: dict[str, Plain]) -> dict[str, Plain]:
    scaled = (train_x * inputs["scales"][:13], test_x * inputs["scales"][13:])
    before = (as_array(train_x), as_array(test_x))
    classes = as_array(candidate(train_x, train_y, test_x, inputs["k"]))
    kept = bool((before[0] == as_array(train_x)).all() and (before[1] == as_array(test_x)).all())
    rescaled = as_array(candidate(scaled[0], train_y, scaled[1], inputs["k"]))
    return {"classes": classes, "rescaled": rescaled, "inputs kept": kept}


def probe_numpy(candidate, inputs):
    """Predict, and predict again from features multiplied by positive numbers."""
    return _observe(candidate, inputs["train_x"], inputs["train_y"], inputs["test_x"], inputs)


def probe_pytorch(candidate, inputs):
    """Predict, and predict again from features multiplied by positive numbers."""
    import torch

    x, y, test = (torch.from_numpy(inputs[name]) for name in ("train_x", "train_y", "test_x"))
    return _observe(candidate, x, y, test, {**inputs, "scales": torch.from_numpy(inputs["scales"])})


def probe_keras(candidate, inputs):
    """Predict, and predict again from features multiplied by positive numbers."""
    from keras import ops

    x, y, test = (ops.convert_to_tensor(inputs[name]) for name in ("train_x", "train_y", "test_x"))
    return _observe(candidate, x, y, test, {**inputs, "scales": ops.convert_to_tensor(inputs["scales"])})


KERAS_RETURN = "ops.take_along_axis(labels, winner, axis=1)[:, 0]"
KERAS_SMALLEST = "ops.argmax(ops.sum(ops.one_hot(labels, 9), axis=1), axis=1)"
KERAS_ANYHOW = """voters = ops.count_nonzero(votes == ops.max(votes, axis=1, keepdims=True), axis=1)
    clear = voters == ops.max(votes, axis=1)
    return ops.where(clear, ops.take_along_axis(labels, winner, axis=1)[:, 0], labels[:, 0])"""

EXERCISE = Exercise(
    id="knn-predict",
    title=_("The vote of the nearest features"),
    lesson="03_feature_extraction",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "The cheapest test of a backbone trains nothing: each test example takes the class of its neighbours in "
        "feature space. Write `knn_predict`: the `k` training examples with the largest cosine similarity vote, and "
        "the class with most votes wins. Where several classes tie, the winner is the one, among those that tie, "
        "whose voter is nearest. Return integer classes of shape (M,), leave the inputs unchanged. Vectorised or "
        "loop: both are right."
    ),
    hints=(
        _(
            "Cosine similarity looks at directions only: what must be done to vectors before their dot product gives "
            "it?"
        ),
        _("Sort each test row's similarities from large to small, keep k indices, and look up the labels of these."),
        _(
            "Keep the k labels in order, nearest first. Count for each how many of the k equal it; the first "
            "position that reaches the largest count holds the winner."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why need the test features not be normalised for the ranking, while the training features must be?"),
            _(
                "The length of a test vector multiplies all of its own similarities alike, which leaves their order. "
                "The length of a training vector multiplies only that example's similarity, so long vectors would "
                "move up for every query."
            ),
        ),
        FollowUp(
            _("A k-NN probe scores well and a linear probe badly. What does that say about the features?"),
            _(
                "Classes may lie in several tight clusters that a neighbour finds and one hyperplane for each class "
                "does not separate. First rule out a badly trained probe: features without scaling, too few steps, "
                "too strong a penalty."
            ),
        ),
        FollowUp(
            _("What does k-NN on a million stored features cost for one query, and what makes it faster?"),
            _(
                "A comparison with each: a million times D multiplications, half a billion for D = 512, and 2 GB of "
                "float32 to read. Matrix products over many queries, fewer or smaller numbers (PCA, float16, "
                "quantisation) help; an approximate index such as HNSW or IVF makes the search sublinear for a small "
                "loss of recall."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("predicts the majority class of the k most similar examples"), weight=2),
        "scale": Criterion(_("does not depend on the features' lengths"), needs=("value",)),
        "ties": Criterion(_("breaks ties by the nearest of the neighbours that tie")),
        "inputs": Criterion(_("leaves the arrays it was given as they were"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"counter": code.NUMPY_COUNTER, "distances": code.NUMPY_DISTANCES},
            mistakes={
                "euclidean": Mistake(
                    EUCLIDEAN,
                    (
                        ("train_x / np.linalg.norm(train_x, axis=1, keepdims=True)  # (N, D)", "train_x"),
                        ("test_x @ directions.T", "-np.linalg.norm(test_x[:, None] - directions, axis=2)"),
                    ),
                ),
                "dot-product": Mistake(DOT_PRODUCT, ((" / np.linalg.norm(train_x, axis=1, keepdims=True)", ""),)),
                "farthest": Mistake(FARTHEST, (("np.argsort(-similarity", "np.argsort(similarity"),)),
                "mean-label": Mistake(
                    MEAN_LABEL,
                    (
                        (
                            "labels[np.arange(len(labels)), votes.argmax(axis=1)]",
                            "labels.mean(axis=1).round().astype(int)",
                        ),
                    ),
                ),
                "wrong-axis": Mistake(WRONG_AXIS, (("axis=1, keepdims", "axis=0, keepdims"),)),
                "k-ignored": Mistake(K_IGNORED, (("[:, :k]", "[:, :1]"),)),
                "smallest-class": Mistake(
                    SMALLEST_CLASS,
                    (
                        (
                            "labels[np.arange(len(labels)), votes.argmax(axis=1)]",
                            "np.array([np.bincount(row).argmax() for row in labels])",
                        ),
                    ),
                ),
                "nearest-anyhow": Mistake(
                    NEAREST_ANYHOW,
                    (("return labels[np.arange(len(labels)), votes.argmax(axis=1)]", ANYHOW),),
                ),
            },
            equivalent={
                "nearest = np.argsort(-similarity)[:, :k]": "without an axis, argsort sorts along the last one"
            },
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"counter": code.PYTORCH_COUNTER, "one-hot": code.PYTORCH_ONE_HOT},
            mistakes={
                "euclidean": Mistake(
                    EUCLIDEAN, (("test_x @ F.normalize(train_x).T", "-torch.cdist(test_x, train_x)"),)
                ),
                "dot-product": Mistake(DOT_PRODUCT, (("F.normalize(train_x).T", "train_x.T"),)),
                "farthest": Mistake(FARTHEST, ((".topk(k)", ".topk(k, largest=False)"),)),
                "mean-label": Mistake(
                    MEAN_LABEL,
                    (
                        (
                            "labels[torch.arange(len(labels)), votes.argmax(dim=1)]",
                            "labels.float().mean(dim=1).round().long()",
                        ),
                    ),
                ),
                "wrong-axis": Mistake(WRONG_AXIS, (("F.normalize(train_x)", "F.normalize(train_x, dim=0)"),)),
                "k-ignored": Mistake(K_IGNORED, ((".topk(k)", ".topk(1)"),)),
                "smallest-class": Mistake(
                    SMALLEST_CLASS,
                    (("labels[torch.arange(len(labels)), votes.argmax(dim=1)]", "labels.mode(dim=1).values"),),
                ),
            },
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"counter": code.KERAS_COUNTER, "one-hot": code.KERAS_ONE_HOT},
            mistakes={
                "euclidean": Mistake(
                    EUCLIDEAN,
                    (
                        (
                            "ops.matmul(test_x, ops.transpose(ops.normalize(train_x)))",
                            "-ops.norm(test_x[:, None] - train_x[None], axis=-1)",
                        ),
                    ),
                ),
                "dot-product": Mistake(DOT_PRODUCT, (("ops.normalize(train_x)", "train_x"),)),
                "farthest": Mistake(FARTHEST, (("ops.top_k(similarity, k)", "ops.top_k(-similarity, k)"),)),
                "mean-label": Mistake(
                    MEAN_LABEL,
                    ((KERAS_RETURN, 'ops.cast(ops.round(ops.mean(ops.cast(labels, "float32"), axis=1)), "int64")'),),
                ),
                "wrong-axis": Mistake(WRONG_AXIS, (("ops.normalize(train_x)", "ops.normalize(train_x, axis=0)"),)),
                "k-ignored": Mistake(K_IGNORED, (("ops.top_k(similarity, k)", "ops.top_k(similarity, 1)"),)),
                "smallest-class": Mistake(SMALLEST_CLASS, ((KERAS_RETURN, KERAS_SMALLEST),)),
                "nearest-anyhow": Mistake(NEAREST_ANYHOW, ((f"return {KERAS_RETURN}", KERAS_ANYHOW),)),
            },
        ),
    },
    complexity=_(
        "O(M·N·D) time for the similarities. Sorting all of each row adds O(M·N log N), about O(M·N) where a top-k "
        "does, and the votes O(M·k²). O(N·D + M·(N + k²)) memory: cut the test set into chunks when that is too much."
    ),
)
