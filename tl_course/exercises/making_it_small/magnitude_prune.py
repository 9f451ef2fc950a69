"""Which weights go: masks by magnitude over a whole network."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.making_it_small import _prune_code as code
from tl_course.i18n import _

SHAPES = ((3, 2, 4), (7, 5), (6,))


def cases(rng: np.random.Generator) -> list[Case]:
    """Layers of different sizes of weight; many equal weights; nothing and everything to prune."""
    spread = rng.permutation([0.3, 1.0, 2.0])
    weights = [(rng.normal(size=shape) * s).astype(np.float32) for shape, s in zip(SHAPES, spread, strict=True)]
    total = sum(weight.size for weight in weights)
    tied = [rng.choice([-0.5, 0.25, 0.5, 2.0], size=shape).astype(np.float32) for shape in SHAPES]
    lowest = sum(int((np.abs(weight) == 0.25).sum()) for weight in tied)

    def share(count: int) -> float:  # a little more than count weights, so that rounding does not decide
        return (count + 0.3) / total

    return [
        Case("a network", {"weights": weights, "sparsity": share(int(rng.integers(20, 45)))}, ("smallest", "kept")),
        Case("equal weights", {"weights": tied, "sparsity": share(lowest + 5)}, ("exact",)),
        Case("nothing", {"weights": weights, "sparsity": 0.0}, ("ends",)),
        Case("everything", {"weights": weights, "sparsity": 1.0}, ("ends",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the smallest magnitudes counted; of equal ones, any may go."""
    criterion, weights, masks = case.criteria[0], case.inputs["weights"], observed["masks"]
    shapes = [list(mask.shape) for mask in masks]
    wanted = [list(weight.shape) for weight in weights]
    text = _("masks of the shapes {right} were expected, yours have {seen}")
    found = [holds(criterion, shapes == wanted, text.format(right=wanted, seen=shapes))]
    if shapes != wanted:
        return found
    truth = all(mask.dtype.kind == "b" for mask in masks)
    kinds = ", ".join(sorted({str(mask.dtype) for mask in masks}))
    found.append(holds(criterion, truth, _("masks hold truth values (bool), yours {kinds}").format(kinds=kinds)))
    magnitudes = np.concatenate([np.abs(weight).ravel() for weight in weights])
    gone = np.concatenate([np.asarray(mask).ravel() for mask in masks]) == 0
    count = int(case.inputs["sparsity"] * len(magnitudes))
    what = _("the number of pruned weights in case '{case}'").format(case=case.name)
    found.append(close(criterion, int(gone.sum()), count, what))
    in_order = not gone.any() or gone.all() or magnitudes[gone].max() <= magnitudes[~gone].min()
    found.append(holds(criterion, in_order, _("a weight was pruned while a smaller one, by magnitude, stays")))
    if "kept" in case.criteria:
        found.append(holds("kept", observed["kept"], _("your function changed the weights it was given")))
    return found


def _observe(candidate, weights, inputs) -> dict[str, Plain]:
    masks = candidate(weights, inputs["sparsity"])
    if not isinstance(masks, (tuple, list)):
        raise NotPlain(_("a list of masks was expected, not {type}").format(type=type(masks).__name__))
    kept = all(np.array_equal(as_array(now), before) for now, before in zip(weights, inputs["weights"], strict=True))
    return {"masks": [as_array(mask) for mask in masks], "kept": kept}


def probe_numpy(candidate, inputs):
    """The masks; watch the weights."""
    return _observe(candidate, [weight.copy() for weight in inputs["weights"]], inputs)


def probe_pytorch(candidate, inputs):
    """The masks; watch the weights."""
    import torch

    return _observe(candidate, [torch.nn.Parameter(torch.tensor(weight)) for weight in inputs["weights"]], inputs)


def probe_keras(candidate, inputs):
    """The masks; watch the weights."""
    import keras

    return _observe(candidate, [keras.Variable(weight, name="kernel") for weight in inputs["weights"]], inputs)


EXERCISE = Exercise(
    id="magnitude-prune",
    title=_("The smallest weights go"),
    lesson="10_small_and_shipped",
    minutes=12,
    difficulty=2,
    points=4,
    statement=_(
        "Write `magnitude_masks(weights, sparsity)`: global magnitude pruning. Of all weights of all layers together, "
        "the int(sparsity * total) with the smallest magnitude are pruned, so one layer may lose more than another. "
        "Return one mask of truth values a layer, True for what stays. Of weights with equal magnitudes any may go, "
        "but the number is exact. The weights themselves stay unchanged."
    ),
    hints=(
        _("Which weight is smaller here, -3 or 0.1? And who competes with whom: the weights of a layer, or all?"),
        _("Put all magnitudes into one vector, sort their positions, and take the first int(sparsity * total)."),
        _("Start from a vector of True, set those positions to False, split it at the layers' sizes and reshape."),
    ),
    follow_ups=(
        FollowUp(
            _("Half of the weights are zero. Why is the model neither smaller on disk nor faster?"),
            _(
                "A dense array stores zeros like other numbers, and dense kernels multiply by them. A file shrinks "
                "when it is compressed or stored sparsely; speed needs a sparse kernel and much higher sparsity, a "
                "pattern such as 2:4 that the hardware knows, or pruning whole channels."
            ),
        ),
        FollowUp(
            _("When is pruning each layer by the same share safer than one threshold for all?"),
            _(
                "When layers differ much in scale: a threshold for all may empty a layer whose weights are small by "
                "initialisation or because BatchNorm follows it, which cuts the network in two. Keep a floor per "
                "layer, or compare scaled magnitudes."
            ),
        ),
    ),
    criteria={
        "smallest": Criterion(_("prunes the smallest magnitudes of the network, and the right number"), weight=2),
        "exact": Criterion(_("prunes no more than asked for where weights are equal"), needs=("smallest",)),
        "ends": Criterion(_("prunes nothing at sparsity 0 and everything at 1"), weight=0.5, needs=("smallest",)),
        "kept": Criterion(_("leaves the weights as they were"), weight=0.5, needs=("smallest",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"sorted list": code.NUMPY_RANKED, "threshold": code.NUMPY_LEFT},
            mistakes=code.mistakes("numpy"),
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"library": code.PYTORCH_LIBRARY, "top k": code.PYTORCH_TOPK},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"numpy": code.KERAS_NUMPY, "top k": code.KERAS_TOPK},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(P log P) time to sort P weights of all layers and O(P) memory, most of it for their places in that order. A "
        "selection of the smallest takes O(P) on average."
    ),
)
