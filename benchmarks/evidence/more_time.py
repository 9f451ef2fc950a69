"""Does training from scratch catch up? More labels and more time, small: digits 0 to 4 -> digits 5 to 9 of mnist.

A small CNN trained on the digits 0 to 4 is fine-tuned on 5 to 9, all layers, with a fresh head; its rival has the same
network, augmentation, schedule and number of steps, and starts at random. 5, 30 and 300 labels a class, 30, 100 and 300
gradient steps; every length is a run of its own with its own warm-up and decay. He, Girshick & Dollar (ICCV 2019) did
this at full scale.

The learning rate is chosen for every start, label count and length by accuracy on validation digits, on a draw of its
own.

    python benchmarks/evidence/more_time.py
"""

import time
from dataclasses import asdict, replace

import numpy as np
from common import summary, write_json
from torch import nn
from training import LAYERS, accuracy, best_recipe, digits, start_from, train, variants

from tl_course import data
from tl_course.pytorch.scratch import small_cnn
from tl_course.scratch_recipe import Recipe, standardizer

SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 1000
LABEL_COUNTS = (5, 30, 300)
STEPS = (30, 100, 300)
STARTS = ("pretrained", "from scratch")
SOURCE_RECIPE = Recipe(lr=3e-3, steps=300)
LRS = (2e-3, 8e-3)


def score(start: str, source: nn.Sequential, few: data.Split, test: data.Split, recipe: Recipe, seed: int) -> float:
    """Train from this start and score."""
    model = start_from(source, LAYERS if start == "pretrained" else 0, 5, seed + 500)
    return accuracy(train(model, few.x, few.y, recipe, seed), test.x, test.y)


def main() -> None:
    """Run everything and write the file."""
    started = time.perf_counter()
    dataset = data.load("mnist")
    assert dataset.val is not None
    mean, std = standardizer(digits(dataset.train, 0, 5).x)
    old, new, val, test = (
        data.Split((split.x - mean) / std, split.y)
        for split in (
            digits(dataset.train, 0, 5),
            *(digits(split, 5, 10) for split in (dataset.train, dataset.val, dataset.test)),
        )
    )

    def source_network(seed: int) -> nn.Sequential:
        return train(small_cnn(1, 5, seed), old.x, old.y, SOURCE_RECIPE, seed)

    recipes = {}
    tuning_source = source_network(TUNING_SEED)
    for per_class in LABEL_COUNTS:
        few = new.take(data.few_shot(new.y, per_class, TUNING_SEED))
        for steps in STEPS:
            for start in STARTS:

                def validation(recipe: Recipe, start: str = start, few: data.Split = few) -> float:
                    return score(start, tuning_source, few, val, recipe, TUNING_SEED)

                chosen = best_recipe(validation, variants(Recipe(steps=steps), LRS))
                recipes[start, per_class, steps] = chosen
        print(f"{per_class} a class: tuned after {time.perf_counter() - started:.0f} s", flush=True)

    found = {start: np.zeros((len(SEEDS), len(LABEL_COUNTS), len(STEPS))) for start in STARTS}
    for row, seed in enumerate(SEEDS):
        source = source_network(seed)
        for i, per_class in enumerate(LABEL_COUNTS):
            few = new.take(data.few_shot(new.y, per_class, seed))
            for j, steps in enumerate(STEPS):
                for start in STARTS:
                    recipe = recipes[start, per_class, steps]
                    found[start][row, i, j] = score(start, source, few, test, recipe, seed)
        print(f"seed {seed} done after {time.perf_counter() - started:.0f} s", flush=True)
    for start, values in found.items():
        for i, per_class in enumerate(LABEL_COUNTS):
            print(start, per_class, ", ".join(summary(values[:, i, j]) for j in range(len(STEPS))))
    settings = {
        "label_counts": LABEL_COUNTS,
        "steps": STEPS,
        "axes_of_test_accuracy": "seeds, label counts (a class), steps",
        "source_recipe": asdict(SOURCE_RECIPE),
        "target_recipe": asdict(replace(Recipe(), steps=None)),
        "lr_grid": LRS,
        "lr_chosen_on": f"validation digits 5 to 9 ({len(val)} images), draw of seed {TUNING_SEED}",
        "lr": {
            start: [[recipes[start, count, steps].lr for steps in STEPS] for count in LABEL_COUNTS] for start in STARTS
        },
        "seconds": round(time.perf_counter() - started),
    }
    write_json("more_time", settings, SEEDS, {"test_accuracy": found, "test_images": len(test)})


if __name__ == "__main__":
    main()
