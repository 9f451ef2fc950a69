"""A decision: the best model that latency, memory and licence allow, and no dearer than it has to be."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain
from tl_course.i18n import _

NUMPY = '''
def choose_under_budget(
    candidates: list[dict], max_latency_ms: float, max_memory_mb: float, licences: set[str], margin: float
) -> str | None:
    """Choose a model for a product: what is forbidden goes first, then accuracy decides, then speed.

    Args:
        candidates: one dict a model: "name", "accuracy" (validation, 0 to 1), "latency_ms", "memory_mb", "licence".
        max_latency_ms: latency allowed, this value included.
        max_memory_mb: memory allowed, this value included.
        licences: names of the licences allowed.
        margin: accuracies at most this far below the best *allowed* model's count as equal to it, 0 or more.

    Returns:
        The name of the fastest of the allowed models that count as equal to the best; of equally fast ones the more
        accurate. None where no model is allowed.
    """
    allowed = [
        model
        for model in candidates
        if model["latency_ms"] <= max_latency_ms
        and model["memory_mb"] <= max_memory_mb
        and model["licence"] in licences
    ]
    if not allowed:
        return None
    best = max(model["accuracy"] for model in allowed)
    good = [model for model in allowed if model["accuracy"] >= best - margin]
    return min(good, key=lambda model: (model["latency_ms"], -model["accuracy"]))["name"]
'''

ARRAYS = """
import numpy as np


def choose_under_budget(candidates, max_latency_ms, max_memory_mb, licences, margin):
    if len(candidates) == 0:
        return None
    latency, memory, accuracy = (
        np.array([model[key] for model in candidates]) for key in ("latency_ms", "memory_mb", "accuracy")
    )
    free = np.array([model["licence"] in licences for model in candidates])
    accuracy = np.where((latency <= max_latency_ms) & (memory <= max_memory_mb) & free, accuracy, -np.inf)
    if np.isneginf(accuracy).all():
        return None
    latency = np.where(accuracy >= accuracy.max() - margin, latency, np.inf)
    return candidates[np.lexsort((-accuracy, latency))[0]]["name"]
"""

SORTING = """
def choose_under_budget(candidates, max_latency_ms, max_memory_mb, licences, margin):
    def fits(model):
        over = model["latency_ms"] > max_latency_ms or model["memory_mb"] > max_memory_mb
        return not over and model["licence"] in licences

    ranked = sorted(filter(fits, candidates), key=lambda model: model["accuracy"], reverse=True)
    chosen = None
    for model in ranked:
        if ranked[0]["accuracy"] - model["accuracy"] > margin:
            break
        if chosen is None or model["latency_ms"] < chosen["latency_ms"]:
            chosen = model
    return chosen and chosen["name"]
"""

BEST, GOOD = 'max(model["accuracy"] for model in allowed)', 'if model["accuracy"] >= best - margin'
KEY = 'key=lambda model: (model["latency_ms"], -model["accuracy"])'
LAST = f'min(good, {KEY})["name"]'
MESSAGES = {
    "most-accurate": _("the most accurate allowed model wins, even where a faster one is as good"),
    "fastest": _("the fastest allowed model wins, however much worse it is"),
    "best-of-all": _("accuracies are compared with a model that may not be used at all"),
    "licence-ignored": _("a model is chosen whose licence does not allow the product"),
    "memory-ignored": _("a model is chosen that does not fit into the memory"),
    "latency-ignored": _("a model is chosen that is too slow"),
    "any-one": _("a model passes that meets one of the requirements; it has to meet all"),
    "limit-excluded": _("a model exactly at a limit is turned away, though the limit is allowed"),
    "equals-by-order": _("of two models equally fast, the one that happens to be named first wins"),
    "smallest": _("among models that count as equal, memory decides; latency should"),
    "ratio": _("the margin is taken as a share of the best accuracy; it is a difference"),
    "no-exception": _("where nothing is allowed, something forbidden is returned"),
    "weighted-score": _("accuracy and speed are mixed into one number, so a fast bad model can win"),
}
EDITS = {
    "most-accurate": ((LAST, 'max(good, key=lambda model: (model["accuracy"], -model["latency_ms"]))["name"]'),),
    "fastest": ((GOOD, "if best"),),
    "best-of-all": ((BEST, 'max(model["accuracy"] for model in candidates)'), (LAST, f"{LAST} if good else None")),
    "licence-ignored": ((' and model["licence"] in licences', ""),),
    "memory-ignored": ((' and model["memory_mb"] <= max_memory_mb', ""),),
    "latency-ignored": (('if model["latency_ms"] <= max_latency_ms\n        and', "if"),),
    "any-one": (
        ('        and model["memory_mb"]', '        or model["memory_mb"]'),
        ('        and model["licence"]', '        or model["licence"]'),
    ),
    "limit-excluded": (
        ('["latency_ms"] <= max', '["latency_ms"] < max'),
        ('["memory_mb"] <= max', '["memory_mb"] < max'),
    ),
    "equals-by-order": ((KEY, 'key=lambda model: model["latency_ms"]'),),
    "smallest": ((KEY, 'key=lambda model: (model["memory_mb"], -model["accuracy"])'),),
    "ratio": ((GOOD, 'if model["accuracy"] >= best * (1 - margin)'),),
    "no-exception": (
        ("        return None", '        return max(candidates, key=lambda model: model["accuracy"])["name"]'),
    ),
    "weighted-score": (
        (LAST, 'max(allowed, key=lambda model: model["accuracy"] - model["latency_ms"] / 100)["name"]'),
    ),
}
NAMES = ("resnet50", "vit_b", "mobilenet_v2", "convnext_t", "efficientnet_b0", "deit_s", "regnet_y", "swin_t", "dino_s")
# accuracy, latency and memory beside their limits, licence allowed; margin 0.02
MODELS = {
    "too slow": (0.95, 1.4, 0.7, True),
    "too large": (0.945, 0.2, 1.3, True),
    "not free": (0.96, 0.25, 0.6, False),
    "best": (0.90, 0.9, 0.9, True),
    "just as good": (0.885, 0.5, 0.8, True),
    "just within": (0.881, 0.45, 0.7, True),
    "as good and small": (0.889, 0.7, 0.2, True),
    "a little worse": (0.879, 0.4, 0.3, True),
    "fast and bad": (0.55, 0.1, 0.1, True),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """All kinds of models; models exactly at the limits; equally fast ones; nothing that is allowed."""
    latency, memory = float(rng.integers(20, 60)), float(rng.integers(100, 900))
    shift = float(rng.integers(0, 8)) / 256

    def drawn(models: list[tuple[float, float, float, bool]], margin: float = 0.02) -> dict[str, Plain]:
        names = rng.permutation(NAMES)
        # of the equally fast ones the best must not come first
        order = rng.permutation(len(models)) if margin < 0.1 else np.arange(len(models))
        forbidden = rng.choice(["cc-by-nc-4.0", "research-only"])
        rows = [models[i] for i in order]
        candidates = [
            {
                "name": str(name),
                "accuracy": row[0] - shift,
                "latency_ms": row[1] * latency,
                "memory_mb": row[2] * memory,
                "licence": str(rng.choice(["apache-2.0", "mit"]) if row[3] else forbidden),
            }
            for name, row in zip(names, rows, strict=False)
        ]
        return {"candidates": candidates, "latency": latency, "memory": memory, "margin": margin}

    limits = [(0.5, 0.75, 0.25, True), (0.75, 1.0, 1.0, True), (0.875, 1.0, 1.5, True), (0.9375, 1.0, 0.5, False)]
    tied = [(0.8125, 0.5, 0.5, True), (0.875, 0.5, 0.75, True), (0.84375, 0.5, 0.25, True), (0.890625, 0.75, 0.5, True)]
    forbidden = [MODELS[name] for name in ("too slow", "too large", "not free")]
    return [
        Case("all kinds", drawn(list(MODELS.values())), ("choice", "allowed")),
        Case("at the limits", drawn(limits), ("limits",)),
        Case("equally fast", drawn(tied, 0.125), ("limits",)),
        Case("without a margin", drawn(list(MODELS.values()), 0.0), ("limits",)),
        Case("nothing allowed", drawn(forbidden), ("nothing",)),
    ]


def expected(inputs: dict[str, Plain]) -> str | None:
    """The model that beats every other allowed one, compared in pairs."""
    free = ("apache-2.0", "mit")
    allowed = [
        (row["latency_ms"], -row["accuracy"], row["name"])
        for row in inputs["candidates"]
        if not (row["latency_ms"] > inputs["latency"] or row["memory_mb"] > inputs["memory"]) and row["licence"] in free
    ]
    top = min((negative for _latency, negative, _name in allowed), default=0.0)
    equal = sorted(row for row in allowed if row[1] - top <= inputs["margin"])
    return equal[0][2] if equal else None


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the choice, and say which requirement it breaks."""
    right, seen = expected(case.inputs), observed["name"]
    text = _("in case '{case}' your choice is {seen!r}; {right!r} was expected")
    message = text.format(case=case.name, seen=seen, right=right)
    found = [holds(case.criteria[0], seen == right, message)]
    if "allowed" in case.criteria:
        rows = [row for row in case.inputs["candidates"] if row["name"] == seen]
        broken = [
            name
            for row in rows
            for name, wrong in (
                (_("the latency"), row["latency_ms"] > case.inputs["latency"]),
                (_("the memory"), row["memory_mb"] > case.inputs["memory"]),
                (_("the licence"), row["licence"] not in ("apache-2.0", "mit")),
            )
            if wrong
        ]
        text = _("your choice is not allowed by {broken}").format(broken=", ".join(broken))
        found.append(holds("allowed", len(rows) == 1 and not broken, text))
    return found


def probe(candidate, inputs):
    """The choice."""
    candidates = [dict(row) for row in inputs["candidates"]]
    licences = {"apache-2.0", "mit"}
    name = candidate(candidates, inputs["latency"], inputs["memory"], licences, inputs["margin"])
    if name is not None and not isinstance(name, str):
        raise NotPlain(_("the name of a model or None was expected, not {type}").format(type=type(name).__name__))
    return {"name": None if name is None else str(name)}


EXERCISE = Exercise(
    id="choose-under-budget",
    title=_("The best model you may use"),
    lesson="09_choosing_a_model",
    minutes=10,
    difficulty=2,
    points=3,
    statement=_(
        "Write `choose_under_budget(candidates, max_latency_ms, max_memory_mb, licences, margin)`. A model is allowed "
        "when latency and memory do not exceed their limits and its licence is among the licences allowed. Of the "
        "allowed models, all whose accuracy is at most `margin` below the best allowed one's count as equally good; "
        "the fastest of these wins, and of equally fast ones the more accurate. Return its name, or None where no "
        "model is allowed."
    ),
    hints=(
        _("Requirements and wishes are two things: which of the five arguments can a good accuracy never outweigh?"),
        _("Filter first. What is the best accuracy among those that are left?"),
        _("Keep those within the margin of it, and take the minimum of the pair (latency, -accuracy)."),
    ),
    follow_ups=(
        FollowUp(
            _("How would you set the margin?"),
            _(
                "By what the validation set can tell apart: with N examples a difference below about one or two "
                "standard errors of the paired difference is noise. A product may set it wider, where a faster answer "
                "is worth more than the last half percent."
            ),
        ),
        FollowUp(
            _("Which requirements are missing from this list?"),
            _(
                "The pretraining data: its licence, whether it resembles the target, and whether it contains the test "
                "set. The input size, the runtime's supported operations, energy, who maintains the model, and how "
                "it does on the groups that matter."
            ),
        ),
    ),
    criteria={
        "choice": Criterion(_("chooses the fastest of the models that are as good as the best"), weight=2),
        "allowed": Criterion(_("chooses nothing that is not allowed"), needs=("choice",)),
        "limits": Criterion(_("decides rightly at the limits, for equals and without a margin"), needs=("choice",)),
        "nothing": Criterion(_("chooses nothing where nothing is allowed"), weight=0.5, needs=("choice",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"arrays": ARRAYS, "sorting": SORTING},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(M) time and memory for M candidates: a few passes and no sorting. What costs is to measure the accuracy, "
        "latency and memory of each candidate beforehand."
    ),
)
