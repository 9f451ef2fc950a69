"""Find texts that are nearly the same, so that they can be kept in one split."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import ceil

THRESHOLD = 0.7
"""Jaccard similarity of the word sets from which two texts count as nearly the same."""


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i > j, whose sets of words have a Jaccard similarity |A & B| / |A | B| >= threshold.

    Exact, yet far from comparing all pairs: sets that similar must share one of their rarest words (prefix filter;
    Bayardo, Ma & Srikant, Scaling Up All Pairs Similarity Search, WWW 2007).

    Args:
        texts: words separated by blanks, case and punctuation already removed.
        threshold: in (0, 1].
    """
    frequency = Counter(word for text in texts for word in set(text.split()))
    ordered = [sorted(set(text.split()), key=lambda word: (frequency[word], word)) for text in texts]
    sets = [set(words) for words in ordered]
    seen: dict[str, list[int]] = defaultdict(list)
    for i, words in enumerate(ordered):
        prefix = words[: len(words) - ceil(threshold * len(words)) + 1]
        for j in sorted({j for word in prefix for j in seen[word]}):
            common = len(sets[i] & sets[j])
            if common >= threshold * (len(sets[i]) + len(sets[j]) - common):
                yield i, j
        for word in prefix:
            seen[word].append(i)
