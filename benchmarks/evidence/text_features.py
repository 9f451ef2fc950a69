"""What do pretrained sentence vectors save, and do they carry over to another domain?

1. Tweets, positive or negative, 20, 100 and 500 labels in all (half of each class), ten draws: MiniLM features with a
   linear probe against TF-IDF of words and word pairs with logistic regression. Both choose C by cross-validation on
   the drawn labels alone.
2. Trained on one domain, tested on another, 500 labels each, five draws: tweets, movies, products, news.

The test splits are used as they are, so the accuracy of always answering with the larger class is given beside them,
and balanced accuracy (the mean over both classes) too.

    python benchmarks/evidence/text_features.py
"""

import time

import numpy as np
from common import summary, write_json

from tl_course import data, zoo
from tl_course.feature_cache import cached_features
from tl_course.probes import ProbeResult, linear_probe, tfidf_probe

DOMAINS = ("tweets", "movies", "products", "news")
LABEL_COUNTS = (20, 100, 500)
SEEDS = tuple(range(10))
TRANSFER_LABELS = 500
TRANSFER_SEEDS = SEEDS[:5]
MOST_TEXTS = {"train": 2100, "test": 1100}  # cuts only the movies; the other domains have fewer
METHODS = ("MiniLM + linear probe", "TF-IDF")


def load(domain: str) -> tuple[data.Split, data.Split]:
    """Training and test texts of a domain, movies cut to about the size of the others."""
    dataset = data.load("sentiment", domain=domain)
    train, test = (
        split.take(np.random.default_rng(0).permutation(len(split))[: MOST_TEXTS[part]])
        if len(split) > MOST_TEXTS[part]
        else split
        for part, split in (("train", dataset.train), ("test", dataset.test))
    )
    return train, test


def balanced_accuracy(result: ProbeResult, labels: np.ndarray) -> float:
    """The mean of the accuracies on each class."""
    return float(np.mean([np.mean(result.predictions[labels == c] == c) for c in np.unique(labels)]))


def label_efficiency(
    splits: tuple[data.Split, data.Split], vectors: tuple[np.ndarray, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """Accuracy and balanced accuracy of both methods: (seeds, label counts)."""
    (train, test), (train_vectors, test_vectors) = splits, vectors
    names = ("accuracy", "balanced_accuracy")
    found = {name: {method: np.zeros((len(SEEDS), len(LABEL_COUNTS))) for method in METHODS} for name in names}
    for column, labels in enumerate(LABEL_COUNTS):
        for row, seed in enumerate(SEEDS):
            chosen = data.few_shot(train.y, labels // 2, seed)
            few = train.take(chosen)
            results = (
                linear_probe(train_vectors[chosen], few.y, test_vectors, test.y),
                tfidf_probe(few.x, few.y, test.x, test.y),
            )
            for method, result in zip(METHODS, results, strict=True):
                found["accuracy"][method][row, column] = result.accuracy
                found["balanced_accuracy"][method][row, column] = balanced_accuracy(result, test.y)
        for name, by_method in found.items():
            line = "; ".join(f"{method} {summary(values[:, column])}" for method, values in by_method.items())
            print(f"tweets, {labels} labels, {name}: {line}", flush=True)
    return found


def domain_transfer(
    splits: dict[str, tuple[data.Split, data.Split]], vectors: dict[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Balanced accuracy by training and test domain for both methods: (seeds, training domain, test domain)."""
    found = {method: np.zeros((len(TRANSFER_SEEDS), len(DOMAINS), len(DOMAINS))) for method in METHODS}
    test_y = np.concatenate([splits[target][1].y for target in DOMAINS])  # one fit answers all test domains
    test_texts = np.concatenate([splits[target][1].x for target in DOMAINS])
    test_vectors = np.concatenate([vectors[target][1] for target in DOMAINS])
    ends = np.cumsum([len(splits[target][1]) for target in DOMAINS])[:-1]
    for i, source in enumerate(DOMAINS):
        train = splits[source][0]
        for row, seed in enumerate(TRANSFER_SEEDS):
            chosen = data.few_shot(train.y, TRANSFER_LABELS // 2, seed)
            few = train.take(chosen)
            results = (
                linear_probe(vectors[source][0][chosen], few.y, test_vectors, test_y),
                tfidf_probe(few.x, few.y, test_texts, test_y),
            )
            for method, result in zip(METHODS, results, strict=True):
                parts = zip(np.split(result.predictions, ends), np.split(test_y, ends), strict=True)
                found[method][row, i] = [balanced_accuracy(ProbeResult(float(np.mean(p == y)), p), y) for p, y in parts]
        for method in METHODS:
            line = "; ".join(f"{target} {summary(found[method][:, i, j])}" for j, target in enumerate(DOMAINS))
            print(f"{method}, trained on {source}: {line}", flush=True)
    return found


def main() -> None:
    """Run everything and write the file."""
    start = time.perf_counter()
    model = zoo.load("minilm")
    splits = {domain: load(domain) for domain in DOMAINS}
    vectors = {}
    for domain, (train, test) in splits.items():
        vectors[domain] = (cached_features(model, train.x).features, cached_features(model, test.x).features)
        print(f"{domain}: features of {len(train)} + {len(test)} texts", flush=True)
    results = {
        "tweets": label_efficiency(splits["tweets"], vectors["tweets"]),
        "domain_transfer_balanced_accuracy": domain_transfer(splits, vectors),
        "larger_class": {domain: max(np.mean(test.y), 1 - np.mean(test.y)) for domain, (_, test) in splits.items()},
        "texts": {domain: {"train": len(train), "test": len(test)} for domain, (train, test) in splits.items()},
    }
    settings = {
        "label_counts": LABEL_COUNTS,
        "rows_of_accuracy": "seeds",
        "columns_of_accuracy": "labels in all, half of each class",
        "domains": DOMAINS,
        "axes_of_domain_transfer": "seeds (the first five), training domain, test domain",
        "domain_transfer_labels": TRANSFER_LABELS,
        "both_methods": "logistic regression, C by 5-fold cross-validation on the drawn labels alone",
        "tfidf": "words and word pairs, emoticons kept, sublinear term frequency",
        "seconds": round(time.perf_counter() - start),
    }
    write_json("text_features", settings, SEEDS, results)


if __name__ == "__main__":
    main()
