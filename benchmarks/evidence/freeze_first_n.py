"""Which layers transfer? Yosinski's freeze-the-first-n experiment, small: digits 0 to 4 -> digits 5 to 9.

A small CNN of four convolutions is trained on the digits 0 to 4 of mnist. Its first n layers are copied into a new one,
whose other layers start at random, and which learns 5 to 9 from 100 labels, 20 a class:

- frozen: the copied layers stay as they are;
- tuned: they are trained on with the rest;
- random frozen: the first n layers stay at their random start (what freezing alone costs);
- n = 0 is training from scratch.

Every seed draws its own source weights, labels and start. The learning rate is chosen for each method and n by accuracy
on validation digits 5 to 9, on a draw of its own; the test split is not looked at before the end.

    python benchmarks/evidence/freeze_first_n.py
"""

import time
from dataclasses import asdict

import numpy as np
from common import summary, write_json
from torch import nn
from training import LAYERS, accuracy, best_recipe, digits, layer, start_from, train, variants

from tl_course import data
from tl_course.pytorch.scratch import small_cnn
from tl_course.scratch_recipe import Recipe, standardizer

SEEDS = (0, 1, 2, 3, 4, 5)
TUNING_SEED = 1000
PER_CLASS = 20
SOURCE_RECIPE = Recipe(lr=3e-3, steps=300)
TARGET_RECIPE = Recipe(steps=150)
LRS = (1e-3, 3e-3, 1e-2)
METHODS = ("frozen", "tuned", "random frozen")
DEPTHS = tuple(range(1, LAYERS + 1))


def target_network(
    method: str, depth: int, source: nn.Sequential, few: data.Split, recipe: Recipe, seed: int
) -> nn.Sequential:
    """A network for the target, trained from this start."""
    model = start_from(source, 0 if method == "random frozen" else depth, 5, seed + 500)
    frozen = [layer(model, n) for n in range(1, depth + 1)] if method != "tuned" else []
    return train(model, few.x, few.y, recipe, seed, frozen)


def main() -> None:
    """Run everything and write the file."""
    start = time.perf_counter()
    dataset = data.load("mnist")
    assert dataset.val is not None
    mean, std = standardizer(digits(dataset.train, 0, 5).x)

    def scaled(split: data.Split) -> data.Split:
        return data.Split((split.x - mean) / std, split.y)

    source_train, source_test = scaled(digits(dataset.train, 0, 5)), scaled(digits(dataset.test, 0, 5))
    train_split, val, test = (scaled(digits(s, 5, 10)) for s in (dataset.train, dataset.val, dataset.test))

    def source_network(seed: int) -> nn.Sequential:
        return train(small_cnn(1, 5, seed), source_train.x, source_train.y, SOURCE_RECIPE, seed)

    tuning_source = source_network(TUNING_SEED)
    tuning_draw = train_split.take(data.few_shot(train_split.y, PER_CLASS, TUNING_SEED))
    cases = [("tuned", 0), *((method, depth) for method in METHODS for depth in DEPTHS)]
    recipes = {}
    for method, depth in cases:

        def score(recipe: Recipe, method: str = method, depth: int = depth) -> float:
            model = target_network(method, depth, tuning_source, tuning_draw, recipe, TUNING_SEED)
            return accuracy(model, val.x, val.y)

        recipes[method, depth] = best_recipe(score, variants(TARGET_RECIPE, LRS))
        print(f"{method}, first {depth}: lr {recipes[method, depth].lr}", flush=True)

    scores = {method: np.zeros((len(SEEDS), LAYERS + 1)) for method in METHODS}
    source_accuracy = np.zeros(len(SEEDS))
    for row, seed in enumerate(SEEDS):
        source = source_network(seed)
        source_accuracy[row] = accuracy(source, source_test.x, source_test.y)
        few = train_split.take(data.few_shot(train_split.y, PER_CLASS, seed))
        for method, depth in cases:
            model = target_network(method, depth, source, few, recipes[method, depth], seed)
            scores[method][row, depth] = accuracy(model, test.x, test.y)
        for method in ("frozen", "random frozen"):
            scores[method][row, 0] = scores["tuned"][row, 0]
        print(f"seed {seed} done, {time.perf_counter() - start:.0f} s", flush=True)
    for method, values in scores.items():
        print(method, ", ".join(summary(column) for column in values.T))
    settings = {
        "layers_copied": (0, *DEPTHS),
        "rows": "seeds",
        "columns": "how many layers are copied (or, random frozen, frozen at their start); 0 is from scratch",
        "labels_per_class": PER_CLASS,
        "source_recipe": asdict(SOURCE_RECIPE),
        "target_recipe": asdict(TARGET_RECIPE),
        "lr_grid": LRS,
        "lr_chosen_on": f"validation digits 5 to 9 ({len(val)} images), draw of seed {TUNING_SEED}",
        "lr": {
            method: [recipes[method if depth else "tuned", depth].lr for depth in (0, *DEPTHS)] for method in METHODS
        },
        "seconds": round(time.perf_counter() - start),
    }
    results = {"test_accuracy": scores, "source_test_accuracy": source_accuracy, "test_images": len(test)}
    write_json("freeze_first_n", settings, SEEDS, results)


if __name__ == "__main__":
    main()
