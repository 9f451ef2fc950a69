"""Fine-tuned on one domain, tested on another: tweets, movies, products, news; against a probe on the same labels.

100 labels of one domain, five draws, balanced accuracy on 100 texts of every domain. The probe is logistic regression
on MiniLM's frozen features, with the same labels and the same test texts.

    python benchmarks/evidence/text_domains.py
"""

import time

import numpy as np
import text_training as tt
from common import summary, write_json

from tl_course import data
from tl_course.feature_cache import cached_features
from tl_course.probes import linear_probe

DOMAINS = ("tweets", "movies", "products", "news")
SEEDS = (0, 1, 2, 3, 4)
LABELS, LR, NUM_EPOCHS, TEST_TEXTS = 100, 1e-4, 5, 100
METHODS = ("fine-tuned", "linear probe")


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    model = tt.minilm()
    splits = {domain: data.load("sentiment", domain=domain).splits for domain in DOMAINS}
    train = {domain: tt.some(parts["train"], 2100) for domain, parts in splits.items()}
    test = [tt.some(splits[domain]["test"], TEST_TEXTS) for domain in DOMAINS]
    test_x, test_y = np.concatenate([part.x for part in test]), np.concatenate([part.y for part in test])
    test_tokens, ends = tt.tokens_of(model, test_x), np.cumsum([len(part) for part in test])[:-1]
    test_vectors = cached_features(model, test_x).features
    found = {method: np.zeros((len(SEEDS), len(DOMAINS), len(DOMAINS))) for method in METHODS}
    for i, source in enumerate(DOMAINS):
        tokens, vectors = tt.tokens_of(model, train[source].x), cached_features(model, train[source].x).features
        for row, seed in enumerate(SEEDS):
            chosen = data.few_shot(train[source].y, LABELS // 2, seed)
            y = train[source].y[chosen]
            network = tt.TextNetwork(model.model, 2, seed=seed)
            tt.train(network, [tokens[k] for k in chosen], y, lr=LR, num_epochs=NUM_EPOCHS, seed=seed)
            answers = {
                "fine-tuned": tt.predict(network, test_tokens),
                "linear probe": linear_probe(vectors[chosen], y, test_vectors, test_y).predictions,
            }
            for method, predictions in answers.items():
                parts = zip(np.split(predictions, ends), np.split(test_y, ends), strict=True)
                found[method][row, i] = [tt.balanced_accuracy(p, t) for p, t in parts]
        for method in METHODS:
            line = "; ".join(f"{target} {summary(found[method][:, i, j])}" for j, target in enumerate(DOMAINS))
            print(f"{method}, trained on {source}: {line}", flush=True)
    settings = {
        "domains": DOMAINS,
        "axes": "seeds, training domain, test domain",
        "labels": LABELS,
        "lr": LR,
        "num_epochs": NUM_EPOCHS,
        "batch_size": tt.BATCH_SIZE,
        "test_texts": TEST_TEXTS,
        "precision": "bfloat16 matrix products",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("text_domains", settings, SEEDS, {"balanced_accuracy": found})


if __name__ == "__main__":
    main()
