"""Whole filters go: a convolution gets narrower, and everything that follows it has to know."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def prune_filters(
    kernel: np.ndarray, norm: dict[str, np.ndarray], next_kernel: np.ndarray, keep: int
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Remove the weakest filters of a convolution that BatchNorm, ReLU and another convolution follow.

    Args:
        kernel: of the convolution, shape (h, w, C, F): F filters that each look at C channels.
        norm: of the BatchNorm: "gamma", "beta", "mean" and "variance", shape (F,) each.
        next_kernel: of the convolution after it, shape (h', w', F, G).
        keep: how many filters stay, 1 to F: those whose weights have the largest L1 norm (Li et al., 2017), in the
            order in which they were.

    Returns:
        The three without the other filters: kernel (h, w, C, keep), the norm's arrays (keep,) by the same names, and
        next_kernel (h', w', keep, G).
    """
    strength = np.abs(kernel).sum(axis=(0, 1, 2))  # (F,)
    kept = np.sort(np.argsort(-strength)[:keep])
    return kernel[..., kept], {name: values[kept] for name, values in norm.items()}, next_kernel[:, :, kept]
'''

LOOP = """
import numpy as np


def prune_filters(kernel, norm, next_kernel, keep):
    count = kernel.shape[-1]
    ranked = sorted(range(count), key=lambda f: float(np.linalg.norm(kernel[..., f].ravel(), ord=1)))
    gone = ranked[: count - keep]
    smaller = {name: np.delete(values, gone) for name, values in norm.items()}
    return np.delete(kernel, gone, axis=3), smaller, np.delete(next_kernel, gone, axis=2)
"""

MASK = """
import numpy as np


def prune_filters(kernel, norm, next_kernel, keep):
    strength = np.abs(kernel.reshape(-1, kernel.shape[3])).mean(0)
    mask = strength >= np.partition(strength, -keep)[-keep]
    first = np.compress(mask, kernel, axis=-1)
    return [first, dict(zip(norm, (v[mask] for v in norm.values()))), np.compress(mask, next_kernel, axis=-2)]
"""

STRENGTH, KEPT = "np.abs(kernel).sum(axis=(0, 1, 2))", "np.sort(np.argsort(-strength)[:keep])"
NORM, NEXT = "{name: values[kept] for name, values in norm.items()}", "next_kernel[:, :, kept]"
MESSAGES = {
    "signed": _("weights are added up with their signs, so a filter whose weights cancel counts as weak"),
    "l2": _("filters are ranked by their L2 norm, which large single weights decide"),
    "by-gamma": _("filters are ranked by BatchNorm's scale: that is network slimming, another criterion"),
    "by-input": _("the strength is taken of what the next layer makes of a filter, not of the filter"),
    "weakest-stay": _("the weakest filters stay and the strongest go"),
    "ranked-order": _("the filters are sorted by strength: each keeps its partners, but not its place"),
    "norm-forgotten": _("BatchNorm keeps parameters for filters that are gone"),
    "norm-first": _("BatchNorm keeps its first entries, which belong to other filters"),
    "next-first": _("the next convolution keeps its first input channels, which listen to other filters"),
    "next-outputs": _("the next convolution loses output channels instead of the input channels that have gone"),
    "zeroed": _("weak filters are set to zero: as many multiplications as before"),
    "first-filters": _("the first filters stay, whatever their weights"),
    "gone-counted": _("`keep` filters go; so many should stay"),
}
EDITS = {
    "signed": ((STRENGTH, "np.abs(kernel.sum(axis=(0, 1, 2)))"),),
    "l2": ((STRENGTH, "(kernel**2).sum(axis=(0, 1, 2))"),),
    "by-gamma": ((STRENGTH, 'np.abs(norm["gamma"])'),),
    "by-input": ((STRENGTH, "np.abs(next_kernel).sum(axis=(0, 1, 3))"),),
    "weakest-stay": ((KEPT, "np.sort(np.argsort(strength)[:keep])"),),
    "ranked-order": ((KEPT, "np.argsort(-strength)[:keep]"),),
    "norm-forgotten": ((NORM, "norm"),),
    "norm-first": ((NORM, "{name: values[:keep] for name, values in norm.items()}"),),
    "next-first": ((NEXT, "next_kernel[:, :, :keep]"),),
    "next-outputs": ((NEXT, "next_kernel[..., kept]"),),
    "zeroed": (
        (
            f"return kernel[..., kept], {NORM}, {NEXT}",
            "return kernel * np.isin(np.arange(len(strength)), kept), norm, next_kernel",
        ),
    ),
    "first-filters": ((KEPT, "np.arange(keep)"),),
    "gone-counted": ((KEPT, "np.sort(np.argsort(-strength)[: len(strength) - keep])"),),
}
NAMES = ("gamma", "beta", "mean", "variance")


def cases(rng: np.random.Generator) -> list[Case]:
    """Filters of different strength, in random order; one that stays; all that stay."""

    def drawn(keep: int) -> dict[str, Plain]:
        kernel = rng.normal(size=(3, 2, 4, 7))
        orders = (np.abs(kernel).sum((0, 1, 2)), (kernel**2).sum((0, 1, 2)), np.abs(kernel.sum((0, 1, 2))))
        first, *others = ({int(f) for f in np.argsort(-order)[:keep]} for order in orders)
        if keep < 7 and first in others:  # other ways to rank filters have to keep other ones
            return drawn(keep)
        norm = {name: rng.uniform(0.3, 2, size=7) for name in NAMES}
        return {"kernel": kernel, "norm": norm, "next": rng.normal(size=(2, 3, 7, 9)), "keep": keep}

    return [
        Case("some stay", drawn(int(rng.integers(3, 5))), ("kernel", "norm", "next", "inputs")),
        Case("one stays", drawn(1), ("ends",)),
        Case("all stay", drawn(7), ("ends",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Filter by filter: it stays when fewer than `keep` are stronger."""
    kernel, norm, after = inputs["kernel"], inputs["norm"], inputs["next"]
    strength = [sum(abs(float(w)) for w in kernel[:, :, :, f].flat) for f in range(kernel.shape[3])]
    kept = [f for f, own in enumerate(strength) if sum(other > own for other in strength) < inputs["keep"]]
    smaller = {name: np.array([norm[name][f] for f in kept]) for name in NAMES}
    return np.stack([kernel[..., f] for f in kept], axis=3), smaller, np.stack([after[:, :, f] for f in kept], axis=2)


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare all three parts with those put together filter by filter."""
    kernel, norm, after = expected(case.inputs)
    names = ("kernel", "norm", "next") if "kernel" in case.criteria else ("ends",) * 3
    text = _("{what} in case '{case}'")
    found = [
        close(names[0], observed["kernel"], kernel, text.format(what="kernel", case=case.name)),
        *(close(names[1], observed[name], norm[name], text.format(what=name, case=case.name)) for name in NAMES),
        close(names[2], observed["next"], after, text.format(what="next_kernel", case=case.name)),
    ]
    if "inputs" in case.criteria:
        found.append(holds("inputs", observed["kept"], _("your function changed what it was given")))
    return found


def probe(candidate, inputs):
    """Prune once; watch the inputs."""
    kernel, after = inputs["kernel"].copy(), inputs["next"].copy()
    norm = {name: inputs["norm"][name].copy() for name in NAMES}
    returned = candidate(kernel, norm, after, inputs["keep"])
    if not isinstance(returned, (tuple, list)) or len(returned) != 3 or not isinstance(returned[1], dict):
        raise NotPlain(_("three things were expected: the kernel, the norm's arrays in a dict, and the next kernel"))
    if set(returned[1]) != set(NAMES):
        raise NotPlain(_("the norm's arrays were expected by these names: {names}").format(names=", ".join(NAMES)))
    pairs = [(kernel, inputs["kernel"]), (after, inputs["next"]), *((norm[n], inputs["norm"][n]) for n in NAMES)]
    kept = all(np.array_equal(now, before) for now, before in pairs)
    smaller = {name: as_array(returned[1][name]) for name in NAMES}
    return {"kernel": as_array(returned[0]), "next": as_array(returned[2]), "kept": kept, **smaller}


EXERCISE = Exercise(
    id="structured-prune",
    title=_("A narrower convolution"),
    lesson="10_small_and_shipped",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Removing whole filters makes a network faster on any hardware, provided that all neighbours follow. Write "
        "`prune_filters(kernel, norm, next_kernel, keep)`: of the F filters of a convolution keep those with the "
        "largest L1 norm, in their old order, and cut the BatchNorm's four arrays and the next convolution's input "
        "channels to match. Kernels have the layout (h, w, in, out). Return all three; the inputs stay unchanged."
    ),
    hints=(
        _("Which axis of the first kernel numbers its filters, and which axis of the second listens to them?"),
        _("One list of kept indices decides everything. The order within it has to be that of before."),
        _("Sum np.abs(kernel) over its first three axes, sort the indices of the `keep` largest, and index thrice."),
    ),
    follow_ups=(
        FollowUp(
            _("A residual connection adds this layer's output to another's. What may you remove then?"),
            _(
                "Only channels that all branches of the sum lose together: they share their numbering. Prune the inner "
                "convolutions of a block, whose width nobody else sees, or group the coupled layers and rank them "
                "jointly."
            ),
        ),
        FollowUp(
            _("Half of a network's filters go. How do parameters and multiplications change?"),
            _(
                "Inner convolutions lose half of their inputs and half of their outputs: about a quarter remains of "
                "both. Latency falls by less, since memory traffic and small layers do not shrink in proportion; "
                "measure it."
            ),
        ),
    ),
    criteria={
        "kernel": Criterion(_("keeps the strongest filters, in their order")),
        "norm": Criterion(_("cuts the BatchNorm to match"), needs=("kernel",)),
        "next": Criterion(_("cuts the next convolution's inputs to match"), needs=("kernel",)),
        "ends": Criterion(_("copes with one filter and with all"), weight=0.5, needs=("kernel",)),
        "inputs": Criterion(_("leaves what it was given as it was"), weight=0.5, needs=("kernel",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"loop": LOOP, "mask": MASK},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
        ),
    },
    complexity=_(
        "O(P) time for the P weights of both kernels and O(F log F) for the order of F filters; O(P) memory. In use "
        "both convolutions fall to `keep` / F of their multiplications, with dense kernels on any device."
    ),
)
