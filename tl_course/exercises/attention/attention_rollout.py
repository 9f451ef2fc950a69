"""Attention rollout: how much of each input token reaches each token of the last layer."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def attention_rollout(weights: np.ndarray) -> np.ndarray:
    """Attention rollout (Abnar and Zuidema, 2020) of one text.

    Args:
        weights: attention of every layer, from the input upwards, and head, shape (layers, heads, T, T); row i says
            where token i looks. A row may be all zero, where a token looks nowhere.

    Returns:
        How much of each input token (column) is in each token (row) after the last layer, shape (T, T).
    """
    size = weights.shape[-1]
    rolled = np.eye(size)
    for layer in weights.mean(axis=1):  # (T, T)
        mixed = layer + np.eye(size)
        mixed = mixed / mixed.sum(axis=1, keepdims=True)
        rolled = mixed @ rolled
    return rolled
'''

NUMPY_REDUCE = """
from functools import reduce

import numpy as np


def attention_rollout(weights):
    identity = np.identity(weights.shape[2])
    mean = np.einsum("lhij->lij", weights) / weights.shape[1]
    mixed = 0.5 * mean + 0.5 * identity
    mixed = mixed / np.linalg.norm(mixed, ord=1, axis=-1)[..., None]
    return reduce(np.matmul, mixed[::-1])
"""

NUMPY_RECURSION = """
import numpy as np


def attention_rollout(weights):
    if len(weights) == 0:
        return np.eye(weights.shape[-1])
    below = attention_rollout(weights[:-1])
    attention = sum(weights[-1]) / len(weights[-1])
    rows = []
    for i, row in enumerate(attention):
        rows.append((below[i] + row @ below) / (1 + row.sum()))
    return np.array(rows)
"""

PRODUCT, MIXED = "mixed @ rolled", "mixed = layer + np.eye(size)"
NORMAL = "        mixed = mixed / mixed.sum(axis=1, keepdims=True)\n"
MESSAGES = {
    "reversed": _("the layers are multiplied in the wrong order: information flows from the input upwards"),
    "no-residual": _("the residual connection is left out: a token would lose itself in every layer"),
    "not-normalised": _("rows are not shares any more: the numbers grow from layer to layer"),
    "columns": _("the columns add up to 1 and not the rows: row i says what token i is made of"),
    "elementwise": _("the layers are multiplied number by number; what passes through other tokens is lost"),
    "last-layer": _("only the last layer is looked at, as if its inputs were still the words"),
    "averaged": _("the layers are averaged; a path through two layers is the product of both"),
    "largest-head": _("only the strongest head counts at each place; rollout takes their mean"),
    "transposed": _("rows and columns are exchanged: it says how much each token gives and not what it is made of"),
    "half-only": _("half and half holds only where a row adds up to 1: a token that looks nowhere loses one half"),
}
EDITS = {
    "reversed": ((PRODUCT, "rolled @ mixed"),),
    "no-residual": ((MIXED, "mixed = layer"),),
    "not-normalised": ((NORMAL, ""),),
    "columns": (("mixed.sum(axis=1", "mixed.sum(axis=0"),),
    "elementwise": (("rolled = np.eye(size)", "rolled = np.ones((size, size))"), (PRODUCT, "mixed * rolled")),
    "last-layer": ((PRODUCT, "mixed"),),
    "averaged": (
        ("rolled = np.eye(size)", "rolled = np.zeros((size, size))"),
        (PRODUCT, "rolled + mixed / len(weights)"),
    ),
    "largest-head": (("weights.mean(axis=1)", "weights.max(axis=1)"),),
    "transposed": (("return rolled", "return rolled.T"),),
    "half-only": ((MIXED, "mixed = layer / 2 + np.eye(size) / 2"), (NORMAL, "")),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Three layers of two heads; one text with a token that looks nowhere; and a single layer."""
    return [
        Case("three layers", {"weights": _weights(rng, 3, 2, 5)}, ("value", "shares")),
        Case("a token that looks nowhere", {"weights": _weights(rng, 2, 3, 4, empty=3)}, ("empty",)),
        Case("one layer", {"weights": _weights(rng, 1, 4, 6)}, ("value",)),
    ]


def _weights(rng: np.random.Generator, layers: int, heads: int, size: int, empty: int | None = None) -> np.ndarray:
    odds = np.exp(2 * rng.normal(size=(layers, heads, size, size)))
    weights = odds / odds.sum(axis=-1, keepdims=True)
    if empty is not None:
        weights[:, :, empty] = 0
    return weights


def expected(weights: np.ndarray) -> np.ndarray:
    """The right answer: every path from an input token to a token of the last layer, followed from the top."""
    size = weights.shape[-1]
    rows = np.zeros((size, size))
    for token in range(size):
        share = {token: 1.0}
        for layer in weights[::-1]:
            below = dict.fromkeys(range(size), 0.0)
            for place, amount in share.items():
                looks = [float(np.mean(layer[:, place, other])) + (other == place) for other in range(size)]
                for other in range(size):
                    below[other] += amount * looks[other] / sum(looks)
            share = below
        rows[token] = [share[other] for other in range(size)]
    return rows


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with all paths followed one by one."""
    weights, rolled = case.inputs["weights"], np.asarray(observed["rolled"])
    found = [close(case.criteria[0], rolled, expected(weights), _("the rollout"))]
    found.append(holds(case.criteria[0], observed["kept"], _("your function changed the weights it was given")))
    if "shares" in case.criteria:
        sums = rolled.sum(axis=-1) if rolled.ndim else rolled
        text = _("the rows add up to {least:.3g} to {most:.3g}").format(least=sums.min(), most=sums.max())
        found.append(holds("shares", np.allclose(sums, 1, atol=1e-5), text))
    return found


def probe_numpy(candidate, inputs):
    """Roll one text's attention out."""
    given = inputs["weights"].copy()
    return {"rolled": as_array(candidate(given)), "kept": np.array_equal(given, inputs["weights"])}


EXERCISE = Exercise(
    id="attention-rollout",
    title=_("Through all layers at once"),
    lesson="07_attention",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "In higher layers a position holds a mixture of many tokens, so one layer's weights do not point at words. "
        "Write `attention_rollout(weights)` for one text, weights of shape (layers, heads, T, T): in each layer take "
        "the mean over the heads, add the identity for the residual connection, and divide each row by its sum. "
        "Return the product over all layers: row i says how much of each input token is in token i at the top. A row "
        "of zeros is a token that looks nowhere; it keeps all of itself."
    ),
    hints=(
        _("Do it for two layers on paper: token 2 looks at token 1, which has looked at token 0."),
        _("A mixture of mixtures is a matrix product. Which layer's matrix stands on the left?"),
        _("Start with the identity; for each layer, from the bottom: mean, plus identity, normalise, times the rest."),
    ),
    follow_ups=(
        FollowUp(
            _("What does rollout assume that a real Transformer does not do?"),
            _(
                "That attention and residual count half each and that nothing else matters: value and output "
                "projections, the norm of vectors, LayerNorm and the feed-forward parts are left out, and heads are "
                "alike. It is a picture of possible flow, no measurement of influence; check it by leaving tokens out."
            ),
        ),
        FollowUp(
            _("For a vision Transformer, how do you get a heat map for one image, and for one class?"),
            _(
                "Take the class token's row without its own column, and put the patches back on their grid. Rollout "
                "is the same for every class; to ask about one class, weight each head by the gradient of that "
                "class's logit (Chefer et al., 2021)."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("multiplies the layers' mixtures in the right order"), weight=2),
        "shares": Criterion(_("gives shares: every row adds up to 1"), needs=("value",)),
        "empty": Criterion(_("lets a token that looks nowhere keep itself")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"reduce": NUMPY_REDUCE, "recursion": NUMPY_RECURSION},
            mistakes={name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            equivalent={"size = weights.shape[-2]": "each head's matrix is square"},
        ),
    },
    complexity=_(
        "O(layers·T³) time for the matrix products, O(layers·heads·T²) for the means; O(layers·T²) extra memory. If "
        "one row is wanted, say that of [CLS], starting with it at the top makes the products O(layers·T²)."
    ),
)
