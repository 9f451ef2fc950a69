"""Loss curves of full fine-tuning, for peak rates from far too small to far too large.

Fashion-ResNet learns digits from 10 labels a class: recipe, draws and rounds are those of the sweep in `fine_tuning`.
Kept are the losses of every epoch and the accuracy on the validation images. What the last epoch leaves is scored, not
the best one, so that a rate answers for where it leads.

    python benchmarks/evidence/learning_rate_curves.py
"""

import time

import numpy as np
import torch
from common import summary, write_json
from fine_tuning import EPOCHS, VAL_PER_CLASS, few

from tl_course import data
from tl_course.history import History
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.finetune import fine_tune

SEEDS = (0, 1, 2, 3, 4)
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
PER_CLASS = 10


def run(dataset: data.Dataset, lr: float, seed: int) -> History:
    """The history of one training; nothing is restored at its end."""
    classifier = Classifier.build("fashion_resnet", dataset.class_names, seed=seed, device="cpu")
    options = {"num_epochs": EPOCHS[PER_CLASS], "lr": lr, "restore_best": False, "progress": False}
    return fine_tune(classifier, few(dataset, PER_CLASS, seed), **options)


def main() -> None:
    """Train at every rate on every draw and write the file."""
    start = time.perf_counter()
    torch.set_num_threads(1)
    dataset = data.load("mnist")
    columns = ("train_loss", "val_loss", "val_accuracy")
    results = {name: np.zeros((len(SEEDS), len(RATES), EPOCHS[PER_CLASS])) for name in columns}
    for column, lr in enumerate(RATES):
        for row, seed in enumerate(SEEDS):
            history = run(dataset, lr, seed)
            for name, values in results.items():
                values[row, column] = getattr(history, name)
        print(f"{lr:g}: {summary(results['val_accuracy'][:, column, -1])}", flush=True)
    settings = {
        "rates": RATES,
        "per_class": PER_CLASS,
        "num_epochs": EPOCHS[PER_CLASS],
        "val_images": VAL_PER_CLASS * dataset.num_classes,
        "axes": "seeds, rates, epochs",
        "seconds": round(time.perf_counter() - start),
    }
    write_json("learning_rate_curves", settings, SEEDS, results)


if __name__ == "__main__":
    main()
