"""Attention between words, from attention between word pieces."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def merge_wordpieces(tokens: list[str], weights: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Merge word pieces into words (Clark et al., 2019).

    Args:
        tokens: T tokens of a WordPiece tokenizer: "##" at the beginning says that a token continues the word before it.
            Where there is no word before it, it is a word of its own and keeps its "##".
        weights: attention of each head, shape (H, T, T), rows attend to columns and add up to 1.

    Returns:
        The W words, continued ones joined without "##", and the weights between them, shape (H, W, W). Attention to a
        word is the sum over its pieces, attention from a word their mean, so rows still add up to 1.
    """
    words, word_of = [], []
    for token in tokens:
        if token.startswith("##") and words:
            words[-1] += token[2:]
        else:
            words.append(token)
        word_of.append(len(words) - 1)
    member = np.eye(len(words))[word_of]  # (T, W)
    return words, (member / member.sum(axis=0)).T @ weights @ member
'''

NUMPY_REDUCE = """
import numpy as np


def merge_wordpieces(tokens, weights):
    starts = [place for place, token in enumerate(tokens) if place == 0 or token[:2] != "##"]
    ends = starts[1:] + [len(tokens)]
    words = [tokens[a] + "".join(token[2:] for token in tokens[a + 1 : b]) for a, b in zip(starts, ends)]
    to_words = np.add.reduceat(weights, starts, axis=2)
    lengths = np.array(ends) - np.array(starts)
    return words, np.add.reduceat(to_words, starts, axis=1) / lengths[:, None]
"""

NUMPY_LOOP = """
import numpy as np


def merge_wordpieces(tokens, weights):
    groups = []
    for place, token in enumerate(tokens):
        if groups and token.startswith("##"):
            groups[-1].append(place)
        else:
            groups.append([place])
    words = [tokens[group[0]] + "".join(tokens[place].removeprefix("##") for place in group[1:]) for group in groups]
    merged = np.empty((len(weights), len(groups), len(groups)))
    for row, source in enumerate(groups):
        for column, target in enumerate(groups):
            merged[:, row, column] = weights[:, source][:, :, target].sum(axis=2).mean(axis=1)
    return words, merged
"""

MESSAGES = {
    "sum-both": _(
        "attention from the pieces of a word is added too, so a word of three pieces gives out 3 instead of 1"
    ),
    "mean-both": _("attention to the pieces of a word is averaged, so part of what a row gives out is lost"),
    "the-other-way": _("rows are added and columns averaged: it is the other way round"),
    "first-piece": _("only the first piece of each word is looked at; what the others give and get is lost"),
    "renormalised": _("rows are brought to 1 after averaging: long words still look half as important as they are"),
    "one-hash": _("a token that begins with a single # starts a word of its own"),
    "all-hashes": _("all # of a continuation are removed; only the two that mark it should go"),
    "hashes-kept": _("the marks of the continuations are still in the words"),
    "first-token": _("a continuation at the very beginning has no word before it"),
}
MERGED = "(member / member.sum(axis=0)).T @ weights @ member"
MEAN = "member / member.sum(axis=0)"
EDITS = {
    "sum-both": ((MERGED, "member.T @ weights @ member"),),
    "mean-both": ((MERGED, f"({MEAN}).T @ weights @ ({MEAN})"),),
    "the-other-way": ((MERGED, f"member.T @ weights @ ({MEAN})"),),
    "first-piece": (
        ("    return words,", "    first = [word_of.index(word) for word in range(len(words))]\n    return words,"),
        (MERGED, "weights[:, first][:, :, first]"),
    ),
    "renormalised": (
        ("    return words,", f"    merged = ({MEAN}).T @ weights @ ({MEAN})\n    return words,"),
        (f"words, {MERGED}", "words, merged / merged.sum(axis=-1, keepdims=True)"),
    ),
    "one-hash": (('startswith("##")', 'startswith("#")'),),
    "all-hashes": (("token[2:]", 'token.strip("#")'),),
    "hashes-kept": (("token[2:]", "token"),),
    "first-token": (('token.startswith("##") and words', 'token.startswith("##")'),),
}
SYLLABLES = ("ba", "dor", "fel", "gi", "lum", "mor", "nik", "pra", "sto", "vun")


def cases(rng: np.random.Generator) -> list[Case]:
    """Words of one to three pieces between special tokens; a text cut inside a word; words with # in them."""

    def rows(count: int) -> np.ndarray:
        return rng.dirichlet(np.ones(count), size=(2, count)).astype(np.float32)

    def draw(pieces: list[int]) -> tuple[list[str], np.ndarray]:
        tokens = []
        for count in pieces:
            parts = rng.choice(SYLLABLES, size=count).tolist()
            tokens += [parts[0], *(f"##{part}" for part in parts[1:])]
        return tokens, rows(len(tokens))

    middle, _weights = draw(rng.permutation([1, 2, 3, 1]).tolist())
    whole = ["[CLS]", *middle, "[SEP]"]
    cut, cut_weights = draw([3, 1, 2])
    hashes, _weights = draw([2, 1])
    marked = [*hashes, "c", "###", "#", *rng.choice(SYLLABLES, size=1).tolist()]
    return [
        Case("whole words", {"tokens": whole, "weights": rows(len(whole))}, ("words", "weights", "rows")),
        Case("cut inside a word", {"tokens": cut[1:], "weights": cut_weights[:, 1:, 1:]}, ("cut",)),
        Case("words with #", {"tokens": marked, "weights": rows(len(marked))}, ("hashes",)),
    ]


def expected(tokens: list[str], weights: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Words and the weights between them, pair by pair of pieces."""
    words, groups = [], []
    for place, token in enumerate(tokens):
        if place and token[:2] == "##":
            words[-1] += token[2:]
            groups[-1].append(place)
        else:
            words.append(token)
            groups.append([place])
    merged = np.zeros((len(weights), len(words), len(words)))
    for row, column in np.ndindex(len(words), len(words)):
        pairs = [weights[:, source, target] for source in groups[row] for target in groups[column]]
        merged[:, row, column] = np.sum(pairs, axis=0) / len(groups[row])
    return words, merged


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare words and weights, and look at what the rows add up to."""
    words, merged = expected(case.inputs["tokens"], case.inputs["weights"])
    which = ("words", "weights") if case.name == "whole words" else case.criteria * 2
    text = _("{name}: the words should be {right}; yours are {words}")
    message = text.format(name=case.name, right=" ".join(words), words=" ".join(observed["words"]))
    found = [
        holds(which[0], observed["words"] == words, message),
        close(which[1], observed["weights"], merged, _("the weights, {name}").format(name=case.name)),
    ]
    seen = np.asarray(observed["weights"], dtype=np.float64)
    if case.name == "whole words":
        right_shape = seen.shape == merged.shape
        gap = float(np.abs(seen.sum(axis=-1) - 1).max()) if right_shape else 1.0
        text = _("each row should still add up to 1; yours are up to {gap:.2g} off")
        found.append(holds("rows", gap < 1e-3, text.format(gap=gap)))
    return found


def probe_numpy(candidate, inputs):
    """Merge."""
    result = candidate(list(inputs["tokens"]), inputs["weights"])
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotPlain(_("a pair (words, weights) was expected"))
    words, weights = result
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise NotPlain(_("the words were expected as a list of strings"))
    return {"words": list(map(str, words)), "weights": as_array(weights)}


EXERCISE = Exercise(
    id="merge-wordpieces",
    title=_("From pieces to words"),
    lesson="07_attention",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A map between word pieces is hard to read. Write `merge_wordpieces(tokens, weights)`: return the list of "
        "words and the weights between them, shape (H, W, W). Tokens that begin with `##` continue the word before. "
        "Attention to a word is the sum over its pieces, attention from a word the mean over its pieces, so rows still "
        "add up to 1. A text may be cut inside a word: then its first token is a word as it stands."
    ),
    hints=(
        _("First find out which word each token belongs to: a number that grows with each token that begins a word."),
        _("A word of two pieces gives out as much attention as any other word, but it may get twice as much."),
        _("With a table of membership M, tokens by words, of ones and zeros: add columns by M, average rows by M too."),
    ),
    follow_ups=(
        FollowUp(
            _("Why add over the columns and average over the rows?"),
            _(
                "A row shares out a total of 1. What falls on two pieces falls on their word, so shares are added; but "
                "a word's two rows share out 2, and only their mean is again a way to share out 1."
            ),
        ),
        FollowUp(
            _("Which pattern in the maps does this merging hide?"),
            _(
                "What happens inside a word: heads in which pieces attend to their first piece, which put words "
                "together. It becomes weight of the word on itself, on the diagonal."
            ),
        ),
    ),
    criteria={
        "words": Criterion(_("pieces are joined into words")),
        "weights": Criterion(_("attention to a word is added, attention from it averaged"), weight=2),
        "rows": Criterion(_("rows still add up to 1"), weight=0.5, needs=("weights",)),
        "cut": Criterion(_("a text that begins inside a word is merged too")),
        "hashes": Criterion(_("only the mark of a continuation is taken off")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"reduceat": NUMPY_REDUCE, "loop": NUMPY_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edit) for name, edit in EDITS.items()},
        ),
    },
    complexity=_(
        "O(H·T²·W) time for two matrix products and O(H·T·W) extra memory. Adding up rows and columns in place of them "
        "takes O(H·T²) time, which for one text of a few hundred tokens hardly matters."
    ),
)
