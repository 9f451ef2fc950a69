"""Does masked-language-model training on the target's unlabelled texts help, before few labels are used?

MiniLM reads 1,200 snippets of film reviews with 15 % of their tokens to restore: two rounds in which only the language
model's new head trains, two in which everything does. Then 20 and 100 labels in all, five draws, with fine-tuning and
with a linear probe on the masked mean: from MiniLM as it is, and after that training. One pretraining run: its own luck
is not in the spread.

    python benchmarks/evidence/further_pretraining.py
"""

import time

import numpy as np
import text_training as tt
import torch
from common import summary, write_json
from torch import nn

from tl_course import data
from tl_course.probes import linear_probe
from tl_course.pytorch.features import masked_mean
from tl_course.pytorch.further_pretraining import further_pretrain

LABEL_COUNTS = (20, 100)
NUM_EPOCHS = {20: 8, 100: 4}
SEEDS = (0, 1, 2, 3, 4)
LR, TEST_TEXTS = 1e-4, 200
UNLABELLED_TEXTS = 1200
PRETRAINING = {"head_epochs": 2, "head_lr": 1e-2, "num_epochs": 2, "lr": 1e-4}
METHODS = ("fine-tuned", "linear probe")


@torch.inference_mode()
def vectors(encoder: nn.Module, tokens: list[list[int]]) -> np.ndarray:
    """Masked mean of the last layer, (N, 384)."""
    out = np.zeros((len(tokens), 384), dtype=np.float32)
    for chosen in tt.length_buckets([len(ids) for ids in tokens], 64):
        batch = tt.padded(tokens, chosen)
        out[chosen] = masked_mean(encoder(**batch).last_hidden_state, batch["attention_mask"]).numpy()
    return out


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    model, movies = tt.minilm(), data.load("sentiment", domain="movies")
    labelled, test = movies.train, tt.some(movies.test, TEST_TEXTS)
    train_tokens, test_tokens = (tt.tokens_of(model, split.x) for split in (labelled, test))
    read_more = tt.minilm()
    with torch.autocast("cpu", torch.bfloat16):
        history = further_pretrain(read_more, tt.some(labelled, UNLABELLED_TEXTS).x, progress=False, **PRETRAINING)
    losses = np.asarray(history.loss)
    print(f"masked-token loss {losses[:10].mean():.2f} -> {losses[-10:].mean():.2f}", flush=True)
    starts = {"none": model.model, "further pretraining": read_more.model}
    found = {f"{start}, {method}": np.zeros((len(SEEDS), len(LABEL_COUNTS))) for start in starts for method in METHODS}
    for start, encoder in starts.items():
        test_vectors = vectors(encoder, test_tokens)
        for column, labels in enumerate(LABEL_COUNTS):
            for row, seed in enumerate(SEEDS):
                chosen = data.few_shot(labelled.y, labels // 2, seed)
                few, y = [train_tokens[i] for i in chosen], labelled.y[chosen]
                network = tt.TextNetwork(encoder, 2, seed=seed)
                tt.train(network, few, y, lr=LR, num_epochs=NUM_EPOCHS[labels], seed=seed)
                answers = {
                    "fine-tuned": tt.predict(network, test_tokens),
                    "linear probe": linear_probe(vectors(encoder, few), y, test_vectors, test.y).predictions,
                }
                for method, predictions in answers.items():
                    found[f"{start}, {method}"][row, column] = tt.balanced_accuracy(predictions, test.y)
            for method in METHODS:
                print(
                    f"{start}, {labels} labels, {method}: {summary(found[f'{start}, {method}'][:, column])}", flush=True
                )
    settings = {
        "domain": "movies",
        "label_counts": LABEL_COUNTS,
        "num_epochs": NUM_EPOCHS,
        "lr": LR,
        "pretraining": {"texts": UNLABELLED_TEXTS, **PRETRAINING},
        "test_texts": TEST_TEXTS,
        "precision": "bfloat16 matrix products",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("further_pretraining", settings, SEEDS, {"balanced_accuracy": found, "masked_loss": losses})


if __name__ == "__main__":
    main()
