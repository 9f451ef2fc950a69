"""Which heads look at the previous token: a score without special tokens and padding."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def previous_token_score(weights: np.ndarray, mask: np.ndarray, special: np.ndarray) -> np.ndarray:
    """How much each head's tokens look at the token before them.

    Args:
        weights: attention, shape (layers, N, heads, T, T); row i of a text says where its token i looks.
        mask: 1 for tokens, 0 for padding, integer, shape (N, T).
        special: True for [CLS], [SEP] and other special tokens, bool, shape (N, T).

    Returns:
        The mean weight from a word to the one right before it, over all such pairs of all texts, shape
        (layers, heads); 0 where there is no pair. Both of a pair are neither special nor padding.
    """
    words = (mask == 1) & ~special  # (N, T)
    pairs = words[:, 1:] & words[:, :-1]  # (N, T - 1)
    steps = np.diagonal(weights, offset=-1, axis1=3, axis2=4)  # (layers, N, heads, T - 1)
    total = np.einsum("lnht,nt->lh", steps, pairs)
    return total / max(pairs.sum(), 1)
'''

NUMPY_LOOP = """
import numpy as np


def previous_token_score(weights, mask, special):
    layers, texts, heads, size, _ = weights.shape
    found = []
    for n in range(texts):
        word = [bool(m) and not s for m, s in zip(mask[n], special[n])]
        found += [weights[:, n, :, i, i - 1] for i in range(1, size) if word[i] and word[i - 1]]
    return np.mean(found, axis=0) if found else np.zeros((layers, heads))
"""

NUMPY_SELECT = """
import numpy as np


def previous_token_score(weights, mask, special):
    words = np.where(special, 0, mask)
    text, place = np.nonzero(words[:, :-1] * words[:, 1:])
    chosen = weights.transpose(1, 3, 4, 0, 2)[text, place + 1, place]  # (pairs, layers, heads)
    return chosen.sum(axis=0) / (len(chosen) or 1)
"""

WORDS, PAIRS, STEPS = (
    "words = (mask == 1) & ~special",
    "words[:, 1:] & words[:, :-1]",
    "np.diagonal(weights, offset=-1, axis1=3, axis2=4)",
)
TOTAL = '    total = np.einsum("lnht,nt->lh", steps, pairs)\n    return total / max(pairs.sum(), 1)\n'
MESSAGES = {
    "special-counted": _("special tokens count as words: the first word's look at [CLS] is no look at a word before"),
    "padding-counted": _("padding counts as words, so the score depends on how long the batch is"),
    "next-token": _("this is the weight on the following token: row i says where token i looks"),
    "target-unchecked": _("only the word that looks is checked; what stands before it may be [CLS]"),
    "source-unchecked": _("only the token looked at is checked; [SEP] or padding may do the looking"),
    "mean-of-texts": _("each text's own mean is averaged, so a word of a short text counts more than one of a long"),
    "divided-by-length": _("the sum is divided by all positions, and heads look weaker in padded batches"),
    "itself": _("this is the weight of each token on itself"),
    "layers-mixed": _("the mean also runs over the layers: each layer's heads are heads of their own"),
    "no-pairs": _("where no two words are neighbours, zero is divided by zero"),
    "scores-of-texts": _("the axes of texts and heads are exchanged: there is one score per text"),
}
EDITS = {
    "special-counted": (WORDS, "words = mask == 1"),
    "padding-counted": (WORDS, "words = ~special"),
    "next-token": (STEPS, STEPS.replace("-1", "1")),
    "target-unchecked": (PAIRS, "words[:, 1:]"),
    "source-unchecked": (PAIRS, "words[:, :-1]"),
    "mean-of-texts": (
        TOTAL,
        "    counts = np.maximum(pairs.sum(axis=1), 1)\n"
        '    return np.einsum("lnht,nt,n->lh", steps, pairs, 1 / counts) / len(pairs)\n',
    ),
    "divided-by-length": ("max(pairs.sum(), 1)", "pairs.size"),
    "itself": (STEPS, "np.diagonal(weights, axis1=3, axis2=4)[..., 1:]"),
    "layers-mixed": ('"lnht,nt->lh", steps, pairs)', '"lnht,nt->h", steps, pairs) / len(weights)'),
    "no-pairs": ("max(pairs.sum(), 1)", "pairs.sum()"),
    "scores-of-texts": (TOTAL, '    return np.einsum("lnht,nt->ln", steps, pairs) / max(pairs.sum(), 1)\n'),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts of unequal length with [SEP] in the middle of one; two short texts; and texts without a pair of words."""
    lengths, size = [9, 5, 7, 4], 9
    mask = (np.arange(size) < np.array(lengths)[:, None]).astype(np.int64)
    special = np.zeros(mask.shape, dtype=bool)
    special[:, 0] = True
    special[np.arange(4), np.array(lengths) - 1] = True
    special[0, int(rng.integers(3, 6))] = True
    short = np.where(np.arange(size) % 2 == 0, True, special)
    return [
        Case("words", {"weights": _weights(rng, 3, 4, 2, size), "mask": mask, "special": special}, ("value",)),
        Case("other padding", _fewer(rng, mask, special), ("padding",)),
        Case("no pairs", {"weights": _weights(rng, 2, 4, 3, size), "mask": mask, "special": short}, ("empty",)),
    ]


def _weights(rng: np.random.Generator, layers: int, texts: int, heads: int, size: int) -> np.ndarray:
    odds = np.exp(rng.normal(size=(layers, texts, heads, size, size)))
    return odds / odds.sum(axis=-1, keepdims=True)


def _fewer(rng: np.random.Generator, mask: np.ndarray, special: np.ndarray) -> dict[str, Plain]:
    """A text of two words and one of a single word, both mostly padding."""
    mask, special = mask[[3, 3]], special[[3, 3]]
    mask[1, 3], special[1, 2] = 0, True
    return {"weights": _weights(rng, 3, 2, 4, 9), "mask": mask, "special": special}


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the mean over pairs collected one by one."""
    inputs = case.inputs
    weights, pairs = inputs["weights"], []
    for text in range(weights.shape[1]):
        words = [bool(m) and not s for m, s in zip(inputs["mask"][text], inputs["special"][text], strict=True)]
        pairs += [weights[:, text, :, i, i - 1] for i in range(1, len(words)) if words[i] and words[i - 1]]
    right = sum(pairs) / len(pairs) if pairs else np.zeros(weights.shape[:3:2])
    (criterion,) = case.criteria
    kept = _("your function changed the arrays it was given")
    return [close(criterion, observed["scores"], right, _("the scores")), holds(criterion, observed["kept"], kept)]


def probe_numpy(candidate, inputs):
    """The scores of all heads."""
    given = {name: inputs[name].copy() for name in ("weights", "mask", "special")}
    scores = as_array(candidate(*given.values()))
    return {"scores": scores, "kept": all(np.array_equal(given[name], inputs[name]) for name in given)}


EXERCISE = Exercise(
    id="head-score",
    title=_("Heads that look one token back"),
    lesson="07_attention",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Some heads mostly look at the previous token. Write `previous_token_score(weights, mask, special)` for "
        "attention of shape (layers, N, heads, T, T): for each layer and head the mean weight from a word to the word "
        "right before it, over all such pairs of all texts together. Special tokens and padding are no words, and a "
        "pair counts only where both tokens are. Return shape (layers, heads); where there is no pair at all, zeros."
    ),
    hints=(
        _("Write down which (row, column) of a text's matrix belong to 'one token back'."),
        _("These cells lie on a diagonal. Next to it you need, per text, which of its places are pairs of words."),
        _("Mark words, then pairs: words[:, 1:] and words[:, :-1]; add up the diagonal there, divide by their number."),
    ),
    follow_ups=(
        FollowUp(
            _("A head scores 0.6. What do you compare this with before you call it a previous-token head?"),
            _(
                "With what a head without any preference has: about one over the text's length, so short texts give "
                "high scores to any head; with the same head on shuffled words; and with other heads. Then switch the "
                "head off and see what changes, as weights alone show no effect."
            ),
        ),
        FollowUp(
            _("Why are special tokens left out? In BERT many heads put most of their weight on [SEP]."),
            _(
                "Clark et al. (2019) read this as doing nothing: a row must add up to 1, and [SEP] is a place where "
                "weight does no harm. With it in the score, a text's last token looking one back, or the first word "
                "at [CLS], would count as language."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("averages over pairs of neighbouring words"), weight=2),
        "padding": Criterion(_("does not count padding")),
        "empty": Criterion(_("gives zeros where there is no pair"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"loop": NUMPY_LOOP, "select": NUMPY_SELECT},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
            equivalent={"return total / max(1, pairs.sum())": "the maximum of two numbers is symmetric"},
        ),
    },
    complexity=_(
        "O(layers·N·heads·T) time, as T - 1 of the T² entries of a map are read, and O(N·T) extra memory. The maps "
        "themselves, layers·N·heads·T² numbers, are what fills the memory."
    ),
)
