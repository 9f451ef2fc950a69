"""Four domains of sentiment: how far apart are they, what does moving cost, and does the confidence move along?

A linear head on MiniLM's frozen features, 300 texts of one domain, balanced, tested on 500 texts of every domain. For
each pair: balanced accuracy, expected calibration error before and after temperature scaling on the source's validation
texts, the proxy A-distance of the features, and how well the distance to the training texts marks the other domain.

    python benchmarks/evidence/sentiment_shift.py
"""

import time

import numpy as np
from common import summary, write_json
from sklearn.linear_model import LogisticRegression

from tl_course import data, zoo
from tl_course.calibration import auroc, knn_score, max_softmax_score, softmax, temperature_scale
from tl_course.feature_cache import cached_features
from tl_course.metrics import expected_calibration_error
from tl_course.shift import proxy_a_distance

DOMAINS = ("tweets", "movies", "products", "news")
TEXTS = {"train": 500, "val": 250, "test": 500}
SEEDS = (0, 1, 2, 3, 4)
LABELS = 300
WINDOW = 250  # texts of each domain for the proxy A-distance


def texts_of(domain: str) -> dict[str, data.Split]:
    """The same texts of each split every time; where there are fewer, all of them."""
    dataset = data.load("sentiment", domain=domain)
    rng = np.random.RandomState(0)
    return {part: split.take(rng.permutation(len(split))[: TEXTS[part]]) for part, split in dataset.splits.items()}


def fitted(features: np.ndarray, y: np.ndarray) -> LogisticRegression:
    """Logistic regression on rows of length 1."""
    return LogisticRegression(C=10.0, max_iter=2000).fit(features, y)


def logits_of(head: LogisticRegression, features: np.ndarray) -> np.ndarray:
    """(N, 2), their difference the log-odds."""
    odds = head.decision_function(features)
    return np.stack([-odds / 2, odds / 2], axis=1)


def balanced_accuracy(predictions: np.ndarray, y: np.ndarray) -> float:
    """The mean of the accuracies on each class."""
    return float(np.mean([np.mean(predictions[y == c] == c) for c in np.unique(y)]))


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    model = zoo.load("minilm")
    splits = {domain: texts_of(domain) for domain in DOMAINS}
    vectors = {
        domain: {part: cached_features(model, split.x).features for part, split in parts.items()}
        for domain, parts in splits.items()
    }
    shape = (len(SEEDS), len(DOMAINS), len(DOMAINS))
    names = ("balanced accuracy", "ece", "ece scaled", "proxy A-distance", "softmax auroc", "k-NN auroc")
    found = {name: np.zeros(shape) for name in names}
    temperatures = np.zeros(shape[:2])
    for row, seed in enumerate(SEEDS):
        for i, source in enumerate(DOMAINS):
            chosen = data.few_shot(splits[source]["train"].y, LABELS // 2, seed)
            train = vectors[source]["train"][chosen]
            head = fitted(train, splits[source]["train"].y[chosen])
            temperatures[row, i] = temperature_scale(logits_of(head, vectors[source]["val"]), splits[source]["val"].y)
            inside = logits_of(head, vectors[source]["test"])
            for j, target in enumerate(DOMAINS):
                y, features = splits[target]["test"].y, vectors[target]["test"]
                logits = logits_of(head, features)
                here = np.random.RandomState(seed).permutation(len(vectors[source]["train"]))[:WINDOW]
                there = np.random.RandomState(seed + 100).permutation(len(features))[:WINDOW]
                values = (
                    balanced_accuracy(logits.argmax(1), y),
                    expected_calibration_error(y, softmax(logits)),
                    expected_calibration_error(y, softmax(logits, temperatures[row, i])),
                    proxy_a_distance(vectors[source]["train"][here], features[there], seed),
                    auroc(max_softmax_score(inside), max_softmax_score(logits)),
                    auroc(knn_score(vectors[source]["test"], train), knn_score(features, train)),
                )
                for name, value in zip(names, values, strict=True):
                    found[name][row, i, j] = value
    for name, values in found.items():
        for i, source in enumerate(DOMAINS):
            print(name, source, "; ".join(f"{t} {summary(values[:, i, j])}" for j, t in enumerate(DOMAINS)), flush=True)
    results = {
        "found": found,
        "temperature": temperatures,
        "positive": {domain: {part: np.mean(split.y) for part, split in splits[domain].items()} for domain in DOMAINS},
        "texts": {domain: {part: len(split) for part, split in splits[domain].items()} for domain in DOMAINS},
    }
    settings = {
        "domains": DOMAINS,
        "labels": LABELS,
        "axes": "seeds, training domain, test domain",
        "head": "logistic regression, C 10, on MiniLM's features",
        "proxy_a_distance": f"{WINDOW} texts each: the training domain's training texts, the test domain's test texts",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("sentiment_shift", settings, SEEDS, results)


if __name__ == "__main__":
    main()
