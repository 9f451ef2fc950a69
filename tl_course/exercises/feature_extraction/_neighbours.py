"""Features to classify by their neighbours, and the neighbours' votes, counted row by row."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from tl_course.exercises.engine.exercise import Plain


def features(rng: np.random.Generator, k: int) -> dict[str, Plain]:
    """Features whose cosine similarities are not too close to each other to be ranked in float32."""
    while True:
        train = rng.normal(size=(13, 5)) * rng.uniform(0.2, 5, size=(13, 1)) + 0.3
        test = rng.normal(size=(9, 5)) * rng.uniform(0.2, 5, size=(9, 1)) + 0.3
        found = {"train_x": train.astype(np.float32), "test_x": test.astype(np.float32), "k": k}
        if np.diff(np.sort(_cosines(found), axis=1), axis=1).min() > 1e-4:
            return {**found, "scales": rng.uniform(0.1, 10, size=(22, 1)).astype(np.float32)}


def labelled(rng: np.random.Generator, k: int, wanted: Callable[[list[list[int]]], bool]) -> dict[str, Plain]:
    """Features, with labels drawn until the votes are as wanted."""
    drawn = features(rng, k)
    while True:
        inputs = {**drawn, "train_y": rng.choice([1, 3, 4, 8], size=13)}
        if wanted(votes(inputs)):
            return inputs


def never_ties(voters: list[list[int]]) -> bool:
    """Every row has one class with the most votes."""
    return all(len(_leaders(labels)) == 1 for labels in voters)


def ties_tell(voters: list[list[int]]) -> bool:
    """Two rows or more where ties matter: the smallest class is wrong, and the nearest is not among those that tie."""
    tied = [labels for labels in voters if len(_leaders(labels)) > 1]
    smallest = sum(winner(labels) != min(_leaders(labels)) for labels in tied)
    return smallest >= 2 and any(labels[0] not in _leaders(labels) for labels in tied)


def _cosines(inputs: dict[str, Plain]) -> np.ndarray:
    """Cosine similarities in float64, shape (M, N)."""
    train, test = inputs["train_x"].astype(np.float64), inputs["test_x"].astype(np.float64)
    lengths = np.outer(np.sqrt((test**2).sum(axis=1)), np.sqrt((train**2).sum(axis=1)))
    return np.einsum("md,nd->mn", test, train) / lengths


def votes(inputs: dict[str, Plain]) -> list[list[int]]:
    """Each test row's voters, nearest first."""
    ranked = [sorted(range(len(row)), key=lambda i, row=row: -row[i]) for row in _cosines(inputs)]
    return [[int(inputs["train_y"][i]) for i in order[: inputs["k"]]] for order in ranked]


def _leaders(labels: list[int]) -> list[int]:
    """The classes with the most votes."""
    counts = Counter(labels)
    return [label for label, count in counts.items() if count == max(counts.values())]


def winner(labels: list[int]) -> int:
    """The class with the most votes; among several, that of the nearest voter."""
    leaders = _leaders(labels)
    return next(label for label in labels if label in leaders)
