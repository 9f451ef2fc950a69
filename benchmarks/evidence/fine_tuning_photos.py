"""Fine-tuning MobileNetV2 on photographs: the rate, a random or a trained head, free or frozen statistics.

Test accuracy over five draws of 5 labels a class; 6 rounds of fine-tuning at each rate, the last weights kept, nothing
chosen. The linear probe on the same draws is what fine-tuning has to beat.

    python benchmarks/evidence/fine_tuning_photos.py
"""

import time
from dataclasses import replace

import numpy as np
from common import summary, write_json

from tl_course import data
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.finetune import fine_tune, linear_probe, lp_ft
from tl_course.pytorch.fit import evaluate
from tl_course.pytorch.freezing import freeze

SEEDS = (0, 1, 2, 3, 4)
RATES = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3)
PER_CLASS = 5
NUM_EPOCHS = 6
IMAGE_SIZE = 64
PROBE = {"num_epochs": 30, "lr": 1e-2}
OPTIONS = {"restore_best": False, "progress": False}


def score(photos: data.Dataset, strategy: str, lr: float, seed: int) -> float:
    """Test accuracy after one strategy on one draw of the labels."""
    chosen = data.few_shot(photos.train.y, PER_CLASS, seed)
    few = replace(photos, train=photos.train.take(chosen))
    classifier = Classifier.build("mobilenet_v2", photos.class_names, image_size=IMAGE_SIZE, seed=seed, device="cpu")
    if strategy == "linear probe":
        linear_probe(classifier, few, **PROBE, **OPTIONS)
    elif strategy == "random head, free statistics":
        fine_tune(classifier, few, num_epochs=NUM_EPOCHS, lr=lr, **OPTIONS)
    elif strategy == "random head, frozen statistics":
        freeze(classifier.model)
        fine_tune(classifier, few, num_epochs=NUM_EPOCHS, lr=lr, statistics=False, **OPTIONS)
    else:
        probe = {"probe_epochs": PROBE["num_epochs"], "probe_lr": PROBE["lr"]}
        lp_ft(classifier, few, num_epochs=NUM_EPOCHS, lr=lr, **probe, **OPTIONS)
    return evaluate(classifier, photos.test).accuracy


def main() -> None:
    """Run everything and write the file."""
    start = time.perf_counter()
    photos = data.load("photos", size=IMAGE_SIZE, per_photo={"train": 30, "val": 1, "test": 10})
    probe = np.array([score(photos, "linear probe", 0, seed) for seed in SEEDS])
    print(f"linear probe: {summary(probe)}", flush=True)
    accuracy = {}
    for strategy in ("random head, free statistics", "random head, frozen statistics", "LP-FT, frozen statistics"):
        accuracy[strategy] = np.array([[score(photos, strategy, lr, seed) for lr in RATES] for seed in SEEDS])
        means = "; ".join(f"{lr:g} {summary(accuracy[strategy][:, i])}" for i, lr in enumerate(RATES))
        print(f"{strategy}: {means}", flush=True)
    settings = {
        "rates": RATES,
        "rows": "seeds",
        "per_class": PER_CLASS,
        "num_epochs": NUM_EPOCHS,
        "image_size": IMAGE_SIZE,
        "probe": PROBE,
        "seconds": round(time.perf_counter() - start),
    }
    write_json("fine_tuning_photos", settings, SEEDS, {"linear_probe": probe, "accuracy": accuracy})


if __name__ == "__main__":
    main()
