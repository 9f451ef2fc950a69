"""Which part of the joint distribution changed between source and target."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def shift_kind(source: np.ndarray, target: np.ndarray, tolerance: float) -> str:
    """Name the shift between two domains from counts of labelled samples.

    Args:
        source: how many source samples have input value x and class y, integer, shape (X, Y).
        target: the same for the target, shape (X, Y); the two domains may differ in size.
        tolerance: two (conditional) distributions are the same when no probability differs by more than this.

    Returns:
        "none" when P(x, y) is the same; else "covariate" when P(y|x) is; else "label" when P(x|y) is; else "concept".
        Values of x (or classes) that only one domain has seen say nothing about what is conditional on them.
    """

    def same(pairs):
        known = [(a / a.sum(), b / b.sum()) for a, b in pairs if a.any() and b.any()]
        return all(np.abs(p - q).max() <= tolerance for p, q in known)

    if same([(source, target)]):
        return "none"
    if same(zip(source, target)):
        return "covariate"
    return "label" if same(zip(source.T, target.T)) else "concept"
'''

BROADCAST = """
import numpy as np


def shift_kind(source, target, tolerance):
    def same(axis):
        totals = [counts.sum(axis=axis, keepdims=True) for counts in (source, target)]
        before, after = (counts / np.maximum(total, 1) for counts, total in zip((source, target), totals))
        seen = (totals[0] > 0) & (totals[1] > 0)
        return np.max(np.abs(before - after) * seen) <= tolerance

    if same((0, 1)):
        return "none"
    if same(1):
        return "covariate"
    return "label" if same(0) else "concept"
"""

MASKED = """
import numpy as np


def shift_kind(source, target, tolerance):
    def gap(a, b):
        with np.errstate(invalid="ignore"):
            return np.nanmax(np.abs(a - b))

    p, q = source / source.sum(), target / target.sum()
    with np.errstate(invalid="ignore"):
        gaps = {
            "none": gap(p, q),
            "covariate": gap(p / p.sum(1)[:, None], q / q.sum(1)[:, None]),
            "label": gap(p / p.sum(0), q / q.sum(0)),
        }
    return next((kind for kind, size in gaps.items() if size <= tolerance + 1e-12), "concept")
"""

MARGINALS = """
import numpy as np


def shift_kind(source, target, tolerance):
    p, q = source / source.sum(), target / target.sum()
    if np.abs(p - q).max() <= tolerance:
        return "none"
    if np.abs(p.sum(0) - q.sum(0)).max() > tolerance:
        return "label"
    return "covariate" if np.abs(p.sum(1) - q.sum(1)).max() > tolerance else "concept"
"""

MESSAGES = {
    "marginals": _(
        "only P(x) and P(y) are compared. When the inputs change, the share of classes changes with them; what tells "
        "the shifts apart is what stays the same"
    ),
    "swapped": _("the names of the two shifts are exchanged: ask which conditional distribution stays"),
    "unseen": _("an input that one domain has never seen counts as a contradiction, though nothing is known about it"),
    "counts": _("counts are compared as they are, so a larger sample looks like a shift"),
    "mean": _("differences are averaged, so a change in one corner of the table gets lost"),
    "label-first": _("where both explanations fit, the order of the questions decides, and yours is another one"),
    "joint": _("conditional distributions are compared without dividing by how frequent the condition is"),
    "never-none": _("two domains with the same distribution are said to differ"),
    "exact": _("any difference counts as a shift: samples differ a little even when nothing has changed"),
}
KNOWN, SEEN = "(a / a.sum(), b / b.sum())", " if a.any() and b.any()"
ROWS, COLUMNS = "zip(source, target)", "zip(source.T, target.T)"
EDITS = {
    "swapped": (
        (f"same({ROWS})", f"same(list({COLUMNS}))"),
        (f'"label" if same({COLUMNS})', f'"label" if same({ROWS})'),
    ),
    "unseen": ((KNOWN, "(a / max(a.sum(), 1), b / max(b.sum(), 1))"), (SEEN, "")),
    "counts": ((KNOWN, "(a, b)"),),
    "mean": (("np.abs(p - q).max()", "np.abs(p - q).mean()"),),
    "label-first": (
        (f'same({ROWS}):\n        return "covariate"', f'same(list({COLUMNS})):\n        return "label"'),
        (f'"label" if same({COLUMNS})', f'"covariate" if same({ROWS})'),
    ),
    "joint": ((KNOWN, "(a / source.sum(), b / target.sum())"),),
    "never-none": (('    if same([(source, target)]):\n        return "none"\n', ""),),
    "exact": (("<= tolerance", "<= 1e-9"),),
}
SYMMETRIC = "whether two distributions agree does not depend on which comes first"


def _rows(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Class probabilities in sixteenths that differ from row to row, shape (rows, 3)."""
    first = rng.permutation(np.linspace(1, 12, rows).round())
    second = np.array([rng.integers(1, 16 - f - 1) if f < 13 else 1 for f in first])
    return np.stack([first, second, 16 - first - second], axis=1)


def cases(rng: np.random.Generator) -> list[Case]:
    """Shifts of each kind, exact up to the size of the domains; some only nearly or in one place. In drawn order."""
    rule = _rows(rng, 4)
    often, seldom = rng.permutation([2, 3, 9, 30]), rng.permutation([20, 11, 2, 1])
    if np.argmax(often) == np.argmin(seldom):
        seldom = seldom[::-1]
    covariate = (rule * often[:, None], 3 * rule * seldom[:, None])
    label = (covariate[0].T, covariate[1].T)  # read the other way round, P(x|y) is what stays
    extra = np.array([[40, 8, 16], [0, 0, 0]])
    unseen = np.concatenate([covariate[0], extra]), np.concatenate([covariate[1], extra[::-1]])
    hidden = [table.copy() for table in covariate]
    rare = int(np.argmin(hidden[1].sum(axis=1)))
    hidden[1][rare] = np.roll(hidden[1][rare], 1)  # the rule changed for one rare input only
    free = np.outer(rng.integers(5, 9, size=3), [6, 7, 9])
    both = np.diag([1, 2, 13]), np.diag(rng.permutation([12, 5, 1]))
    turned = rng.integers(2, 9) * np.array([[4, 6, 6], [10, 3, 3]])[:, rng.permutation(3)]
    wobble = free.copy() * 20
    wobble[0, 0] += 12
    concept = free, free[:, ::-1] * np.array([[1, 2, 30]])
    found = [
        ("covariate", covariate, 0.02),
        ("label", label, 0.02),
        ("unseen input", unseen, 0.02),
        ("one rare input", tuple(hidden), 0.02),
        ("concept", concept, 0.1),
        ("sampling", (free * 20, wobble), 0.02),
        ("twice as many", (free, 2 * free), 0.0),
        ("the same sample", (free, free.copy()), 0.02),
        ("both fit", both, 0.02),
        ("one class", (turned, 7 * turned[::-1]), 0.15),
    ]
    return [
        Case(
            name,
            {"source": pair[0], "target": pair[1], "tolerance": tolerance},
            (_criterion(pair[0], pair[1], tolerance),),
        )
        for name, pair, tolerance in (found[place] for place in rng.permutation(len(found)))
    ]


def _criterion(source: np.ndarray, target: np.ndarray, tolerance: float) -> str:
    """The right answer, probability by probability."""

    def same(pairs: list[tuple[np.ndarray, np.ndarray]]) -> bool:
        known = [(a / a.sum(), b / b.sum()) for a, b in pairs if a.any() and b.any()]
        return all(abs(p - q) <= tolerance for a, b in known for p, q in zip(a, b, strict=True))

    if same([(source.ravel(), target.ravel())]):
        return "none"
    if same(list(zip(source, target, strict=True))):
        return "covariate"
    return "label" if same(list(zip(source.T, target.T, strict=True))) else "concept"


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the name found probability by probability."""
    (criterion,) = case.criteria
    text = _("case '{case}': {right!r} was expected, yours is {yours!r}")
    yours = observed["kind"]
    return [holds(criterion, yours == criterion, text.format(case=case.name, right=criterion, yours=yours))]


def probe(candidate, inputs):
    """The name of one shift; what is no text comes back as its type."""
    kind = candidate(inputs["source"], inputs["target"], inputs["tolerance"])
    return {"kind": str(kind) if isinstance(kind, str) else type(kind).__name__}


EXERCISE = Exercise(
    id="domain-shift-kind",
    title=_("What exactly has shifted?"),
    lesson="01_concepts",
    minutes=15,
    difficulty=4,
    points=5,
    statement=_(
        "Labelled samples of source and target are counted in tables: rows are input values, columns are classes. "
        "Write `shift_kind`: 'none' when P(x, y) is the same, else 'covariate' when P(y|x) is, else 'label' when "
        "P(x|y) is, else 'concept'. Probabilities are the same when they differ by at most `tolerance`. A row or "
        "column that is empty in one of the domains says nothing about its conditional distribution."
    ),
    hints=(
        _("Each kind is known by what stays the same, not by what changes."),
        _("One table gives three distributions: divide it by its sum, by its row sums or by its column sums."),
        _("Write one helper that compares the tables divided along a given axis and skips what one of them lacks."),
    ),
    follow_ups=(
        FollowUp(
            _("Which of these shifts can be corrected without any target labels?"),
            _(
                "Covariate shift, by weighting source examples with the ratio of input densities where the supports "
                "overlap; and label shift, by estimating the new class shares from the model's predictions (Saerens "
                "2002, Lipton 2018). Concept shift needs target labels: the inputs alone do not show it."
            ),
        ),
        FollowUp(
            _("With real images you cannot tabulate x. How would you look for covariate shift?"),
            _(
                "Train a classifier to tell source from target features; accuracy clearly above chance on held-out "
                "examples means the inputs differ (Rabanser 2019). It says nothing of P(y|x), for which a small "
                "labelled target sample is needed."
            ),
        ),
    ),
    criteria={
        "none": Criterion(_("sees that nothing but chance or size has changed"), needs=("concept",)),
        "covariate": Criterion(_("knows a covariate shift"), needs=("concept",)),
        "label": Criterion(_("knows a label shift"), needs=("covariate",)),
        "concept": Criterion(_("knows a concept shift, also in one corner"), needs=("none",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"broadcast": BROADCAST, "masked": MASKED},
            mistakes={
                "marginals": Mistake(MESSAGES["marginals"], source=MARGINALS),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={
                "if same(zip(target, source)):": SYMMETRIC,
                "return 'label' if same(zip(target.T, source.T)) else 'concept'": SYMMETRIC,
            },
        ),
    },
    complexity=_(
        "O(X·Y) time: each table is gone through at most three times, as a whole, by rows and by columns. O(X·Y) extra "
        "memory at most; the number of samples behind the counts plays no part."
    ),
)
