"""Fine-tuning MiniLM on tweets: how many labels does it take, and how does it do against a probe on the same draws?

20, 100 and 500 labels in all, half of each class, five draws: the first five of `text_features.py`. The rivals, frozen
features with a linear probe and TF-IDF with logistic regression, get the same labels and the same 400 test texts. The
peak rate was chosen at 100 labels on validation texts, with a draw that is not among the five.

    python benchmarks/evidence/text_fine_tuning.py
"""

import time

import numpy as np
import text_training as tt
from common import summary, write_json

from tl_course import data
from tl_course.feature_cache import cached_features
from tl_course.probes import linear_probe, tfidf_probe

LABEL_COUNTS = (20, 100, 500)
NUM_EPOCHS = {20: 12, 100: 6, 500: 2}
METHODS = ("fine-tuned", "linear probe", "TF-IDF")
SEEDS = (0, 1, 2, 3, 4)
RATES = (1e-4, 3e-4)
TEST_TEXTS = 400
CHOOSING_DRAW = 100


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    model, tweets = tt.minilm(), data.load("sentiment", domain="tweets")
    labelled, test, val = tweets.train, tt.some(tweets.test, TEST_TEXTS), tt.some(tweets.splits["val"], 200)
    train_tokens, test_tokens, val_tokens = (tt.tokens_of(model, split.x) for split in (labelled, test, val))
    train_vectors, test_vectors = (cached_features(model, split.x).features for split in (labelled, test))

    def fine_tuned(labels: int, draw: int, lr: float) -> tt.TextNetwork:
        chosen = data.few_shot(labelled.y, labels // 2, draw)
        network = tt.TextNetwork(model.model, 2, seed=draw)
        few = [train_tokens[i] for i in chosen]
        tt.train(network, few, labelled.y[chosen], lr=lr, num_epochs=NUM_EPOCHS[labels], seed=draw)
        return network

    on_val = [tt.balanced_accuracy(tt.predict(fine_tuned(100, CHOOSING_DRAW, lr), val_tokens), val.y) for lr in RATES]
    lr = RATES[int(np.argmax(on_val))]
    print(f"rates on validation texts: {dict(zip(RATES, np.round(on_val, 3), strict=True))}", flush=True)
    found = {method: np.zeros((len(SEEDS), len(LABEL_COUNTS))) for method in METHODS}
    for column, labels in enumerate(LABEL_COUNTS):
        for row, seed in enumerate(SEEDS):
            chosen = data.few_shot(labelled.y, labels // 2, seed)
            few = labelled.take(chosen)
            answers = {
                "fine-tuned": tt.predict(fine_tuned(labels, seed, lr), test_tokens),
                "linear probe": linear_probe(train_vectors[chosen], few.y, test_vectors, test.y).predictions,
                "TF-IDF": tfidf_probe(few.x, few.y, test.x, test.y).predictions,
            }
            for method, predictions in answers.items():
                found[method][row, column] = tt.balanced_accuracy(predictions, test.y)
        line = "; ".join(f"{method} {summary(values[:, column])}" for method, values in found.items())
        print(f"{labels} labels: {line}", flush=True)
    settings = {
        "label_counts": LABEL_COUNTS,
        "rows": "seeds, which choose the labels, the head and the order",
        "columns": "labels in all, half of each class",
        "num_epochs": NUM_EPOCHS,
        "lr": lr,
        "rates_tried": RATES,
        "balanced_accuracy_on_validation": on_val,
        "batch_size": tt.BATCH_SIZE,
        "test_texts": TEST_TEXTS,
        "precision": "bfloat16 matrix products",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("text_fine_tuning", settings, SEEDS, {"balanced_accuracy": found})


if __name__ == "__main__":
    main()
