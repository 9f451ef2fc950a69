"""Attention from its formula: scores, softmax, a weighted mean."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.pretraining import _dot_product_code as code
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Batches of heads without and with a mask; single sequences with a blind query, and with large scores."""

    def draw(*batch: int) -> dict[str, Plain]:
        sizes = {"query": (4, 5), "key": (6, 5), "value": (6, 7)}
        return {name: rng.normal(size=(*batch, *size)).astype(np.float32) for name, size in sizes.items()}

    mask, blind = rng.random((2, 1, 4, 6)) < 0.6, rng.random((4, 6)) < 0.5
    mask[..., 0] = True
    blind[:, 1], blind[2], large = True, False, draw(2)
    large["query"] *= 3000
    highest = (large["query"] @ large["key"].transpose(0, 2, 1)).argmax(axis=-1)
    large["mask"] = np.arange(6) != highest[..., None]  # the largest score is forbidden
    return [
        Case("no mask", {**draw(2, 3), "mask": None}, ("weights", "output")),
        Case("a mask for all heads", {**draw(2, 3), "mask": mask}, ("mask",)),
        Case("a query without keys", {**draw(), "mask": blind}, ("empty",)),
        Case("large scores", large, ("stable",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, np.ndarray]:
    """Output and weights, query by query over the keys that it may see."""
    query, key, value = (inputs[name].astype(np.float64) for name in ("query", "key", "value"))
    shape = (*query.shape[:-1], key.shape[-2])
    mask = np.broadcast_to(True if inputs["mask"] is None else inputs["mask"], shape)
    weights = np.zeros(shape)
    for place in np.ndindex(shape[:-1]):
        seen = np.flatnonzero(mask[place])
        if len(seen):
            scores = key[place[:-1]][seen] @ query[place] / np.sqrt(query.shape[-1])
            shares = np.exp(scores - scores.max())
            weights[place][seen] = shares / shares.sum()
    return np.einsum("...qk,...kd->...qd", weights, value), weights


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with attention computed query by query, and say what the rows add up to."""
    output, weights = expected(case.inputs)
    which = ("weights", "output") if case.name == "no mask" else case.criteria * 2
    rough = {"rtol": 1e-2, "atol": 1e-3} if case.name == "large scores" else {}  # float32 has 7 digits
    found = [
        close(which[0], observed["weights"], weights, _("the weights, {name}").format(name=case.name), **rough),
        close(which[1], observed["output"], output, _("the output, {name}").format(name=case.name), **rough),
    ]
    seen = np.asarray(observed["weights"], dtype=np.float64)
    if seen.shape != weights.shape:
        return found
    gap = np.abs(seen.sum(axis=-1) - weights.sum(axis=-1)).max()
    text = _("rows of weights add up to 1, or to 0 where a query may attend to nothing; yours are up to {gap:.2g} off")
    return [holds(which[0], not gap > 1e-3, text.format(gap=gap)), *found]


def _observed(result) -> dict[str, Plain]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotPlain(_("a pair (output, weights) was expected"))
    return {"output": as_array(result[0]), "weights": as_array(result[1])}


def probe_numpy(candidate, inputs):
    """Attend."""
    return _observed(candidate(inputs["query"], inputs["key"], inputs["value"], inputs["mask"]))


def probe_pytorch(candidate, inputs):
    """Attend."""
    import torch

    names = ("query", "key", "value", "mask")
    return _observed(candidate(*(None if inputs[name] is None else torch.tensor(inputs[name]) for name in names)))


def probe_keras(candidate, inputs):
    """Attend."""
    from keras import ops

    names = ("query", "key", "value", "mask")
    return _observed(
        candidate(*(None if inputs[name] is None else ops.convert_to_tensor(inputs[name]) for name in names))
    )


EXERCISE = Exercise(
    id="scaled-dot-product",
    title=_("Attention from its formula"),
    lesson="02_pretraining",
    minutes=12,
    difficulty=2,
    points=4,
    statement=_(
        "Write `attend(query, key, value, mask=None)`: scaled dot-product attention. Return two things: the output and "
        "the weights, one row per query. Any number of leading axes (batch, heads) may come before the last two. Where "
        "the boolean `mask` is False, a query gives a key no weight; it may have axes of length 1. A query that may "
        "attend to nothing gets zeros, not NaN. Scores of thousands stay finite."
    ),
    hints=(
        _("Three steps: a score for each pair of query and key, a softmax over the keys, a weighted mean of values."),
        _("Which score makes a key's share of a softmax zero? Put it in before the softmax, not after."),
        _(
            "Use a very low number rather than minus infinity, and set to zero afterwards what the mask forbids: then "
            "a query without keys gives zeros by itself."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why are the scores divided by the square root of the vectors' length?"),
            _(
                "With independent entries of variance 1, a dot product of D of them has variance D. Divided by the "
                "root of D it keeps variance 1, so the softmax stays away from picking a single key, where its "
                "gradient is almost zero."
            ),
        ),
        FollowUp(
            _("What does attention cost in time and memory as texts get longer?"),
            _(
                "Both grow with the square of the length, for each head and layer. Fused kernels compute blocks and "
                "never store the weights, so memory grows linearly, but then no maps come out."
            ),
        ),
    ),
    criteria={
        "weights": Criterion(_("the weights are right"), weight=2),
        "output": Criterion(_("the output is the weighted mean of the values")),
        "mask": Criterion(_("forbidden keys get no weight, and rows still add up to 1")),
        "empty": Criterion(_("a query that may attend to nothing gets zeros")),
        "stable": Criterion(_("large scores give finite, right weights")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"einsum": code.NUMPY_EINSUM, "scipy": code.NUMPY_SCIPY},
            mistakes=code.mistakes("numpy"),
            equivalent={
                "scores = np.where(allowed, scores, -2000000000.0)": "as low as makes no difference",
                "weights = shares / np.maximum(1, shares.sum(axis=-1, keepdims=True))": "the maximum is symmetric",
            },
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"nan to zero": code.PYTORCH_NAN, "built in": code.PYTORCH_BUILT_IN},
            mistakes=code.mistakes("pytorch"),
            equivalent={
                "scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])": "swapping two axes is symmetric"
            },
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"einsum": code.KERAS_EINSUM, "tensorflow": code.KERAS_TENSORFLOW},
            mistakes=code.mistakes("keras"),
            equivalent={"scores = ops.where(allowed, scores, -2000000000.0)": "as low as makes no difference"},
        ),
    },
    complexity=_(
        "For each text and head O(Lq·Lk·(D + Dv)) time and O(Lq·Lk) memory for scores and weights. Fused kernels get "
        "by without storing these, by going through the keys in blocks, but then have no weights to return."
    ),
)
