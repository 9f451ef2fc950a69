"""An offline estimate of which key points of a card an answer in English covers: MiniLM and a logistic regression.

Each key point is compared with windows of the answer (sentences, pairs of them, clauses); benchmarks/key_points.py fits
the coefficients and measures precision and recall on cards the fit has not seen. It hears what an answer talks about,
not whether it affirms it: a key point that is denied, or stated with its roles exchanged, is often ticked.
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tl_course import assets
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.practice.cards import Card, all_cards

FILE = Path(__file__).with_suffix(".json")
FEATURES = ("share", "claims", "answer", "margin")
LONGEST = 60  # words of one piece: two of them stay below MiniLM's 256 tokens, so that nothing is cut off

_SHORTEST = 5  # words of a clause that stands as a window of its own
_STEM = 5  # letters by which words are compared
_HAN = re.compile(r"[\u3400-\u9fff]")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a about all also an and any are as at be because been but by can do does each for from had has have how i if "
        "in into is it its just may more must no not of on one only or other out own should so such than that the "
        "their them then there they this to up very was we were what when where which who will with without would "
        "yet you",
    )
)


@dataclass(frozen=True)
class Estimate:
    """Which key points an answer seems to cover.

    Attributes:
        probabilities: one in [0, 1] for each key point of the card, in its order.
        threshold: from here on a point counts as covered.
    """

    probabilities: tuple[float, ...]
    threshold: float

    @property
    def covered(self) -> tuple[bool, ...]:
        """Whether each key point seems to be covered."""
        return tuple(probability >= self.threshold for probability in self.probabilities)

    def note(self) -> str:
        """One line for the learner: an estimate, how good it is, and who decides."""
        measured = fitted()["measured"]
        return _(
            "An estimate (measured precision {precision:.2f}, recall {recall:.2f} on {answers} answers) that does not "
            "notice denials. Your own rating decides."
        ).format(precision=measured["precision"], recall=measured["recall"], answers=measured["answers"])


def available(language: str) -> bool:
    """Whether answers in a language ("en", "zh", also "en_GB") can be estimated: English ones only.

    Of Chinese this MiniLM knows some characters and the terms in Latin letters: the same answers in Chinese find their
    key points with an AUC of 0.74, in English of 0.93 (nearest_window_auc of the committed figures).
    """
    return language[:2].lower() == "en"


def estimate(card: Card, answer: str) -> Estimate:
    """Which key points of the card the answer covers. The first call loads MiniLM, from the course's assets.

    Args:
        card: the question.
        answer: the learner's words, in English, of any length; in an empty one nothing is covered.

    Raises:
        BadInput: an answer in Chinese, or MiniLM is not on this computer.
    """
    if len(_HAN.findall(answer)) > len(re.findall(r"[A-Za-z]+", answer)):
        raise BadInput(
            _("an answer in English"),
            _("one in Chinese"),
            _("compare it with the key points yourself: the model of the estimate was trained on English"),
        )
    model = fitted()
    if not re.search(r"\w", answer):
        return Estimate((0.0,) * len(card.key_points), model["threshold"])
    scores = features(card, answer) @ np.array(model["coefficients"]) + model["intercept"]
    return Estimate(tuple((1 / (1 + np.exp(-scores))).tolist()), model["threshold"])


def warm_up() -> None:
    """Load MiniLM, so that the first estimate need not wait.

    Raises:
        BadInput: it is not on this computer.
    """
    encoder()


def features(card: Card, answer: str) -> np.ndarray:
    """What the regression sees, float64 (key points of the card, len(FEATURES)).

    share: of the key point's words, the rare ones weighing more, those that the answer has; claims: how near the answer
    comes to the card's wrong claims; answer: to the sentences of the card's answer (means of the highest cosines);
    margin: by how much the window nearest to the key point prefers it to the card's other key points (cosine).
    """
    parts = windows(answer)
    vectors = encode(tuple(parts))  # (windows, 384)
    similar = vectors @ encode(tuple(point.en for point in card.key_points)).T  # (windows, key points)
    nearest = similar.argmax(axis=0)
    claims = (vectors @ encode(tuple(wrong.claim.en for wrong in card.wrong)).T).max(axis=0).mean()
    model_answer = (vectors @ encode(tuple(sentences(card.answer.en))).T).max(axis=0).mean()
    said = _words(answer)
    rows = []
    for place, point in enumerate(card.key_points):
        window = similar[nearest[place]]
        margin = window[place] - np.delete(window, place).max()
        rows.append((_share(_words(point.en), said), claims, model_answer, margin))
    return np.array(rows, dtype=np.float64)


def sentences(text: str) -> list[str]:
    """A text's sentences and parts between semicolons and colons; one of more than 60 words in overlapping pieces."""
    found = []
    for sentence in re.split(r"(?<=[.!?;:])\s+", text.strip()):
        words = sentence.split()
        if len(words) > LONGEST:
            starts = range(0, len(words) - LONGEST // 2, LONGEST // 2)
            found += [" ".join(words[start : start + LONGEST]) for start in starts]
        elif words:
            found.append(sentence)
    return found


def windows(text: str) -> list[str]:
    """The sentences of a text, each two that follow one another, and the clauses between commas likewise."""
    whole = sentences(text)
    found = whole + [" ".join(pair) for pair in pairwise(whole)]
    for sentence in whole:
        clauses = [clause.strip() for clause in sentence.split(", ")]
        if len(clauses) > 1:
            found += [clause for clause in clauses if len(clause.split()) >= _SHORTEST]
        if len(clauses) > 2:
            found += [" ".join(pair) for pair in pairwise(clauses)]
    return found


@lru_cache(maxsize=2048)
def encoder() -> Any:
    """MiniLM, or a BadInput that says how to get it."""
    if assets.status("minilm") != "ready":
        raise BadInput(
            _("MiniLM on this computer"),
            _("no copy that is whole"),
            _("run tl_course.assets.fetch('minilm') once, or go on without the estimate"),
        )
    from tl_course import zoo

    return zoo.load("minilm", "pytorch", device="cpu")


@lru_cache(maxsize=2048)
def encode(texts: tuple[str, ...]) -> np.ndarray:
    """Texts -> MiniLM's unit vectors, float32 (texts, 384)."""
    return encoder().features(texts)


@cache
def fitted() -> dict[str, Any]:
    """The committed fit: coefficients, intercept, threshold, and what was measured; see benchmarks/key_points.py."""
    return json.loads(FILE.read_text(encoding="utf-8"))


@cache
def _weights() -> dict[str, float]:
    """How much a word says: the logarithm of how rare it is in the key points of all cards."""
    points = [point.en for card in all_cards() for point in card.key_points]
    counts = Counter(word for point in points for word in _words(point))
    return {word: math.log(len(points) / (1 + count)) for word, count in counts.items()}


def _words(text: str) -> set[str]:
    found = re.findall(r"[a-z0-9²√/.\-]*[a-z0-9²√]", text.lower())
    return {word[:_STEM] for word in found if len(word) > 1 and word not in _COMMON}


def _share(wanted: set[str], said: set[str]) -> float:
    weights = _weights()
    total = sum(weights.get(word, 1.0) for word in wanted)
    return sum(weights.get(word, 1.0) for word in wanted & said) / total if total else 0.0
