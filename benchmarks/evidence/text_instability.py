"""How much luck is in fine-tuning? The same 100 tweets, eight seeds, several peak rates, with and without warm-up.

The seed decides the head's first weights, the order of the texts and dropout; the labelled tweets are the same in all
runs, so all spread is luck of the optimisation. A run has failed when its balanced accuracy stays below 65 %.

    python benchmarks/evidence/text_instability.py
"""

import time

import numpy as np
import text_training as tt
from common import summary, write_json

from tl_course import data

RATES = (1e-4, 3e-4, 1e-3)
RATES_WITHOUT_WARMUP = (3e-4,)
SEEDS = tuple(range(8))
NUM_EPOCHS = 3
FAILED = 0.65


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    model, tweets = tt.minilm(), data.load("sentiment", domain="tweets")
    chosen = data.few_shot(tweets.train.y, 50, 0)
    few, y = tt.tokens_of(model, tweets.train.x[chosen]), tweets.train.y[chosen]
    test = tt.some(tweets.test, 150)
    test_tokens = tt.tokens_of(model, test.x)
    found, losses = {}, {}
    for name, warmup, rates in (("warm-up", tt.WARMUP, RATES), ("no warm-up", 0.0, RATES_WITHOUT_WARMUP)):
        found[name], losses[name] = np.zeros((len(SEEDS), len(rates))), np.zeros((len(SEEDS), len(rates)))
        for column, lr in enumerate(rates):
            for row, seed in enumerate(SEEDS):
                network = tt.TextNetwork(model.model, 2, seed=seed)
                losses[name][row, column] = tt.train(
                    network, few, y, lr=lr, num_epochs=NUM_EPOCHS, seed=seed, warmup=warmup
                )
                found[name][row, column] = tt.balanced_accuracy(tt.predict(network, test_tokens), test.y)
            failed = int((found[name][:, column] < FAILED).sum())
            print(f"{name}, lr {lr:g}: {summary(found[name][:, column])}, {failed} failed", flush=True)
    settings = {
        "rates": {"warm-up": RATES, "no warm-up": RATES_WITHOUT_WARMUP},
        "rows": "seeds: head, order, dropout; the labels are the same",
        "labels": len(y),
        "num_epochs": NUM_EPOCHS,
        "batch_size": tt.BATCH_SIZE,
        "failed_below": FAILED,
        "test_texts": len(test),
        "precision": "bfloat16 matrix products",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("text_instability", settings, SEEDS, {"balanced_accuracy": found, "last_loss": losses})


if __name__ == "__main__":
    main()
