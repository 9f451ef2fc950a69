"""Transfer across a growing gap, until it harms. Our own images of shapes, 24 x 24 pixels, eight classes.

Two sources, plain images (light shapes on dark ground): in the first the class must be told from the shape; in the
second, the shortcut, a tint of the ground gives it away, so that the network need not look at the shape. The target
shows the same eight classes, ten labels each, at a gap of 0 to 1 from the plain domain: a growing share of the images
is inverted, and colour and strokes come in. Strategies, with a fresh head and the same number of steps:

- from scratch: everything, from a random start;
- full: everything, from the source's weights;
- partial: the same with the first two of four layers frozen;
- probe: logistic regression on the frozen network's last features;
- untrained probe: the same on the random start, which tells what the source's training adds or takes away.

Three regimes: similar with few and with many (150 a class) labels, at the gap of 0.3; far with few, at 1.

Learning rates are chosen for each strategy, source, gap and label count on validation images, on a draw of its own.
Every seed draws source weights, labels and start anew.

    python benchmarks/evidence/domain_gap.py
"""

import time
from dataclasses import asdict, dataclass

import numpy as np
from common import summary, write_json
from torch import nn
from training import LAYERS, accuracy, best_recipe, layer, pooled_features, start_from, train, variants

from tl_course import data
from tl_course.probes import linear_probe
from tl_course.pytorch.scratch import small_cnn
from tl_course.scratch_recipe import Recipe, standardizer

SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 1000
SIZE = 24
NUM_CLASSES = 8
FEW, MANY = 10, 150
GAPS = (0.0, 0.3, 0.6, 1.0)
FULL_GAP = {"inversion": 1.0, "background": 0.4, "colour": 0.3}
SOURCES = {"plain": None, "shortcut": 1.0}  # name -> how often the tint agrees with the class
STRATEGIES = {
    "from scratch": "plain",
    "full": "plain",
    "partial": "plain",
    "probe": "plain",
    "untrained probe": "plain",
    "full, shortcut": "shortcut",
    "probe, shortcut": "shortcut",
}
"""Strategy -> the source it starts from (for its standardisation only, where nothing is taken from the source)."""

CELLS = [(gap, FEW) for gap in GAPS] + [(GAPS[1], MANY), (GAPS[-1], MANY)]
"""Gap and labels a class of every comparison."""

SOURCE_RECIPE = Recipe(lr=1e-2, weight_decay=1.0, steps=500)
STEPS = {FEW: 150, MANY: 250}
LRS = (1.5e-3, 6e-3, 2.4e-2, 6e-2)


@dataclass(frozen=True)
class Source:
    """A source network with the standardisation its inputs had, and its accuracy on plain images without a hint."""

    model: nn.Sequential
    mean: np.ndarray
    std: np.ndarray
    accuracy: float


def source_network(name: str, seed: int) -> Source:
    """A network trained on a source. Test images of the shortcut have tints that say nothing about the class."""
    images = data.load("shapes", size=SIZE, per_class=100, seed=10_000 + seed, spurious=SOURCES[name])
    mean, std = standardizer(images.train.x)
    model = small_cnn(3, NUM_CLASSES, seed)
    train(model, (images.train.x - mean) / std, images.train.y, SOURCE_RECIPE, seed)
    return Source(model, mean, std, accuracy(model, (images.test.x - mean) / std, images.test.y))


def target(gap: float, per_class: int, seed: int) -> data.Dataset:
    """The target's images at this gap."""
    strengths = {name: gap * strength for name, strength in FULL_GAP.items()}
    counts = {"train": per_class, "val": 50, "test": 100}
    return data.load("shapes", size=SIZE, per_class=counts, seed=seed, **strengths)


def score(strategy: str, source: Source, few: data.Split, asked: data.Split, recipe: Recipe, seed: int) -> float:
    """Learn from the few labelled images with this strategy, and score on the others."""
    kind = strategy.split(",")[0]
    if kind in ("probe", "untrained probe"):
        model = source.model if kind == "probe" else small_cnn(3, NUM_CLASSES, seed + 500)
        vectors = [pooled_features(model, (x - source.mean) / source.std) for x in (few.x, asked.x)]
        return linear_probe(vectors[0], few.y, vectors[1], asked.y).accuracy
    mean, std = standardizer(few.x) if kind == "from scratch" else (source.mean, source.std)
    model = start_from(source.model, 0 if kind == "from scratch" else LAYERS, NUM_CLASSES, seed + 500)
    frozen = [layer(model, 1), layer(model, 2)] if kind == "partial" else []
    train(model, (few.x - mean) / std, few.y, recipe, seed, frozen)
    return accuracy(model, (asked.x - mean) / std, asked.y)


def tuned_recipes(sources: dict[str, Source]) -> dict[tuple[str, float, int], Recipe]:
    """The best recipe on validation images, for every strategy, gap and label count."""
    recipes = {}
    for gap, per_class in CELLS:
        images = target(gap, per_class, TUNING_SEED)
        assert images.val is not None
        few, val = images.train, images.val
        for strategy, name in STRATEGIES.items():

            def validation(
                recipe: Recipe, strategy: str = strategy, name: str = name, few: data.Split = few, val: data.Split = val
            ) -> float:
                return score(strategy, sources[name], few, val, recipe, TUNING_SEED)

            choices = variants(Recipe(steps=STEPS[per_class]), LRS)
            choices = choices[:1] if "probe" in strategy else choices
            recipes[strategy, gap, per_class] = best_recipe(validation, choices)
        print(f"gap {gap}, {per_class} a class: tuned", flush=True)
    return recipes


def main() -> None:
    """Run everything and write the file."""
    started = time.perf_counter()
    recipes = tuned_recipes({name: source_network(name, TUNING_SEED) for name in SOURCES})
    found = {strategy: np.zeros((len(SEEDS), len(CELLS))) for strategy in STRATEGIES}
    source_accuracy = {name: np.zeros(len(SEEDS)) for name in SOURCES}
    for row, seed in enumerate(SEEDS):
        sources = {name: source_network(name, seed) for name in SOURCES}
        for name, source in sources.items():
            source_accuracy[name][row] = source.accuracy
        for column, (gap, per_class) in enumerate(CELLS):
            images = target(gap, per_class, seed)
            for strategy, name in STRATEGIES.items():
                recipe = recipes[strategy, gap, per_class]
                found[strategy][row, column] = score(strategy, sources[name], images.train, images.test, recipe, seed)
        print(f"seed {seed} done after {time.perf_counter() - started:.0f} s", flush=True)
    for column, (gap, per_class) in enumerate(CELLS):
        line = "; ".join(f"{strategy} {summary(values[:, column])}" for strategy, values in found.items())
        print(f"gap {gap}, {per_class} a class: {line}")
    settings = {
        "cells": [{"gap": gap, "labels_per_class": per_class} for gap, per_class in CELLS],
        "rows": "seeds",
        "columns": "cells",
        "full_gap": FULL_GAP,
        "image_size": SIZE,
        "source_recipe": asdict(SOURCE_RECIPE),
        "steps": {str(per_class): steps for per_class, steps in STEPS.items()},
        "lr_grid": LRS,
        "lr_chosen_on": f"validation images, draw of seed {TUNING_SEED}",
        "lr": {strategy: [recipes[strategy, *cell].lr for cell in CELLS] for strategy in STRATEGIES},
        "seconds": round(time.perf_counter() - started),
    }
    results = {"test_accuracy": found, "source_test_accuracy": source_accuracy, "test_images": 100 * NUM_CLASSES}
    write_json("domain_gap", settings, SEEDS, results)


if __name__ == "__main__":
    main()
