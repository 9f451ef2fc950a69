"""One large linear layer as two thin ones: the truncated singular value decomposition."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def low_rank(weight: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Replace a linear layer's weight by two factors of the lowest rank that keeps enough of it.

    Args:
        weight: of a layer that computes x W^T, shape (K, D), float, not all zero.
        share: of the sum of squares of the weight's entries that the factors' product has to keep at least, 0 < share
            < 1.

    Returns:
        down, shape (R, D), and up, shape (K, R): x W^T becomes x down^T up^T. Their product is the best
        approximation of its rank (Eckart and Young, 1936), and R is the smallest rank that keeps the share.
    """
    u, s, vt = np.linalg.svd(weight, full_matrices=False)  # (K, M), (M,), (M, D), M the smaller of K and D
    kept = np.cumsum(s**2) / np.sum(s**2)
    rank = np.searchsorted(kept, share) + 1
    return vt[:rank], u[:, :rank] * s[:rank]
'''

GROWING = """
import numpy as np


def low_rank(weight, share):
    total, rank = np.square(weight).sum(), 0
    u, s, vt = np.linalg.svd(weight)
    root = np.sqrt(s)
    while True:
        rank += 1
        up, down = u[:, :rank] * root[:rank], root[:rank, None] * vt[:rank]
        if np.square(weight - up @ down).sum() <= (1 - share) * total:
            return down, up
"""

PROJECTION = """
import numpy as np


def low_rank(weight, share):
    # the strongest directions of the inputs' side are eigenvectors of W^T W
    energy, directions = np.linalg.eigh(weight.T @ weight)
    energy, directions = energy[::-1], directions[:, ::-1]
    rank = 1 + int((energy.cumsum() < share * energy.sum()).sum())
    down = directions[:, :rank].T
    return [down, weight @ down.T]
"""

ENERGY, RANK = "np.cumsum(s**2) / np.sum(s**2)", "np.searchsorted(kept, share) + 1"
RESULT = "vt[:rank], u[:, :rank] * s[:rank]"
MESSAGES = {
    "not-squared": _("singular values are added up as they are; the sum of squares is made of their squares"),
    "one-too-few": _("the last rank still needed is left out: the share is missed by a little"),
    "one-too-many": _("the rank is larger than needed"),
    "rank-from-share": _("the share of ranks is not the share of what they keep: a few hold most of it"),
    "relative-size": _("ranks are kept by the size of a singular value beside the largest one"),
    "values-lost": _("the singular values are in neither factor: every direction is as strong as the next"),
    "values-twice": _("the singular values are in both factors"),
    "smallest": _("the weakest directions are kept and the strongest left out"),
    "swapped": _("the factors are in the wrong order for the layer: first down to R features, then up"),
    "transposed": _("each factor is transposed: they do not fit a layer that computes x W^T"),
    "product": _("the factors are multiplied out again: the approximation is as large as the weight was"),
}
EDITS = {
    "not-squared": ((ENERGY, "np.cumsum(s) / np.sum(s)"),),
    "one-too-few": ((RANK, "max(np.searchsorted(kept, share), 1)"),),
    "one-too-many": ((RANK, "np.searchsorted(kept, share) + 2"),),
    "rank-from-share": ((RANK, "int(np.ceil(share * len(s)))"),),
    "relative-size": ((RANK, "max(int((s / s[0] >= 1 - share).sum()), 1)"),),
    "values-lost": ((RESULT, "vt[:rank], u[:, :rank]"),),
    "values-twice": ((RESULT, "s[:rank, None] * vt[:rank], u[:, :rank] * s[:rank]"),),
    "smallest": ((RESULT, "vt[-rank:], u[:, -rank:] * s[-rank:]"),),
    "swapped": ((RESULT, "u[:, :rank] * s[:rank], vt[:rank]"),),
    "transposed": ((RESULT, "vt[:rank].T, (u[:, :rank] * s[:rank]).T"),),
    "product": ((RESULT, "np.eye(weight.shape[1]), (u[:, :rank] * s[:rank]) @ vt[:rank]"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A tall and a wide weight with known singular values, and a share that one direction keeps alone."""

    def drawn(rows: int, columns: int, rank: int) -> dict[str, Plain]:
        size = min(rows, columns)
        values = np.sort(rng.uniform(0.5, 3, size=size))[::-1] * 0.8 ** np.arange(size)
        left = np.linalg.qr(rng.normal(size=(rows, size)))[0]
        right = np.linalg.qr(rng.normal(size=(columns, size)))[0]
        kept = np.concatenate([[0.0], np.cumsum(values**2) / np.sum(values**2)])
        before, after = kept[rank - 1], kept[rank]
        return {
            "weight": left * values @ right.T,
            "share": float(before + rng.uniform(0.3, 0.7) * (after - before)),
            "x": rng.normal(size=(4, columns)),
        }

    return [
        Case("tall", drawn(9, 6, 3), ("rank", "product", "inputs")),
        Case("wide", drawn(5, 8, 4), ("rank", "product")),
        Case("one direction", drawn(6, 7, 1), ("one",)),
    ]


def expected(inputs: dict[str, Plain]) -> tuple[int, np.ndarray]:
    """The rank, and what the layer computes: the inputs projected on the strongest directions of W W^T."""
    weight = inputs["weight"]
    energy, directions = np.linalg.eigh(weight @ weight.T)
    total, found, rank = (weight**2).sum(), 0.0, 0
    while found < inputs["share"] * total:
        rank += 1
        found += energy[-rank]
    strongest = directions[:, -rank:]
    return rank, inputs["x"] @ weight.T @ strongest @ strongest.T


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare rank and outputs with the best approximation."""
    rank, output = expected(case.inputs)
    first, second = ("one", "one") if case.name == "one direction" else ("rank", "product")
    (rows, columns), down, up = case.inputs["weight"].shape, observed["down"], observed["up"]
    text = _("factors of the shapes {right} were expected in case '{case}', yours have {seen}")
    right, seen = [(rank, columns), (rows, rank)], [tuple(down.shape), tuple(up.shape)]
    found = [holds(first, seen == right, text.format(right=right, seen=seen, case=case.name))]
    fits = down.ndim == up.ndim == 2 and (down.shape[1], down.shape[0], up.shape[0]) == (columns, up.shape[1], rows)
    if fits:
        what = _("what the two layers compute in case '{case}'").format(case=case.name)
        found.append(close(second, case.inputs["x"] @ down.T @ up.T, output, what))
    else:
        found.append(holds(second, False, text.format(right=right, seen=seen, case=case.name)))
    if "inputs" in case.criteria:
        found.append(holds("inputs", observed["kept"], _("your function changed the weight it was given")))
    return found


def probe(candidate, inputs):
    """The two factors; watch the weight."""
    weight = inputs["weight"].copy()
    factors = candidate(weight, inputs["share"])
    if not isinstance(factors, (tuple, list)) or len(factors) != 2:
        raise NotPlain(_("two factors were expected: down and up"))
    kept = np.array_equal(weight, inputs["weight"])
    return {"down": as_array(factors[0]), "up": as_array(factors[1]), "kept": kept}


EXERCISE = Exercise(
    id="low-rank-linear",
    title=_("One wide layer as two thin ones"),
    lesson="10_small_and_shipped",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A layer x Wᵀ with W of shape (K, D) can become two: down to R features, then up to K. Write `low_rank(weight, "
        "share)`: the smallest R whose best approximation keeps at least `share` of the sum of the squared entries of "
        "W. Return `down` (R, D) and `up` (K, R), so that x downᵀ upᵀ is that approximation. How the strength is "
        "divided between the factors is up to you; the weight stays unchanged."
    ),
    hints=(
        _("The singular value decomposition sorts a matrix's directions by strength. Which of them do you keep?"),
        _("The sum of squared entries equals the sum of squared singular values: add them up until it is enough."),
        _("np.linalg.svd gives u, s and vt: the first R rows of vt go down, the first R columns of u times s go up."),
    ),
    follow_ups=(
        FollowUp(
            _("For which rank do two layers need fewer multiplications than one, for a 1024 x 1024 layer?"),
            _(
                "R (K + D) < K D, so R below 512. At R = 256 it is half; two small products in a row also have less "
                "work to hide memory traffic behind, so time falls by less than the count."
            ),
        ),
        FollowUp(
            _("The approximation is optimal for the weight. Why is it not for the network?"),
            _(
                "Errors count where the inputs are: a direction that activations hardly use may be dropped, however "
                "strong the weight. Weight the decomposition by the activations' covariance, and fine-tune the factors "
                "afterwards."
            ),
        ),
    ),
    criteria={
        "rank": Criterion(_("finds the smallest rank that keeps the share")),
        "product": Criterion(_("gives the best approximation of that rank"), weight=2),
        "one": Criterion(_("copes with one direction that is enough"), needs=("product",)),
        "inputs": Criterion(_("leaves the weight as it was"), weight=0.5, needs=("product",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"growing": GROWING, "projection": PROJECTION},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            equivalent={
                "u, s, vt = np.linalg.svd(weight, full_matrices=True)": "the columns beyond the rank are cut off",
                "u, s, vt = np.linalg.svd(weight)": "the columns beyond the rank are cut off",
            },
        ),
    },
    complexity=_(
        "One singular value decomposition, O(K·D·min(K, D)) time and O(K·D) memory. Then a row costs R·(K + D) "
        "multiplications in place of K·D, which pays where R is below K·D / (K + D)."
    ),
)
