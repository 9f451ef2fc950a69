"""How many labels does transfer save? Frozen ImageNet features against a small CNN trained from scratch.

For mnist and photos, 1, 5, 10 and 50 labels a class, five draws of the labels. Every method sees the same labels and
is scored on the same test split. Settings are chosen without the test split:

- linear probe: C by cross-validation on the drawn labels alone (fixed below 5 a class);
- k-NN: k is the number of labels a class, at most 5;
- small CNN: learning rate and weight decay by accuracy on the validation split, once for each number of labels, on a
  draw of its own. Up to 10 a class the validation split holds more labels than the draws: that favours the baseline,
  on purpose. The number of steps follows from the number of images (Recipe.num_steps) and is not searched over.

    python benchmarks/evidence/label_efficiency.py
"""

import time
from dataclasses import asdict

import numpy as np
from common import summary, write_json

from tl_course import data, zoo
from tl_course.feature_cache import cached_features
from tl_course.probes import knn_probe, linear_probe
from tl_course.pytorch.scratch import train_small_cnn
from tl_course.scratch_recipe import Recipe, tune

DATASETS = {"mnist": False, "photos": True}  # name -> may images be mirrored?
LABEL_COUNTS = (1, 5, 10, 50)
SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 1000
GRID = ((1e-3, 0.05), (3e-3, 0.05), (1e-2, 0.05), (3e-3, 0.5))
IMAGE_SIZE = 96  # what MobileNetV2 sees; the small CNN sees the images at their own size


def features(split: data.Split, model: zoo.Pretrained) -> np.ndarray:
    """MobileNetV2's features of a split, grey images repeated over three channels: (N, 1280)."""
    colour = np.ascontiguousarray(np.broadcast_to(split.x, (*split.x.shape[:3], 3)))
    return cached_features(model, colour, batch_size=32).features


def tuned_recipe(dataset: data.Dataset, per_class: int, flip: bool) -> Recipe:
    """Learning rate and weight decay of the small CNN, by validation accuracy on a draw of its own."""
    chosen = dataset.train.take(data.few_shot(dataset.train.y, per_class, TUNING_SEED))
    assert dataset.val is not None
    val = dataset.val

    def score(recipe: Recipe) -> float:
        return train_small_cnn(chosen.x, chosen.y, val.x, val.y, dataset.num_classes, TUNING_SEED, recipe).accuracy

    return tune(score, Recipe(flip=flip), GRID)


def run(name: str, flip: bool) -> dict[str, object]:
    """Accuracy of every method, (seeds, label counts), on one data set."""
    dataset = data.load(name)
    model = zoo.load("mobilenet_v2", image_size=IMAGE_SIZE)
    train, test = features(dataset.train, model), features(dataset.test, model)
    methods = ("MobileNetV2 + linear probe", "MobileNetV2 + k-NN", "small CNN from scratch")
    accuracy = {method: np.zeros((len(SEEDS), len(LABEL_COUNTS))) for method in methods}
    recipes = {}
    for column, per_class in enumerate(LABEL_COUNTS):
        recipe = tuned_recipe(dataset, per_class, flip)
        recipes[str(per_class)] = asdict(recipe) | {"steps": recipe.num_steps(per_class * dataset.num_classes)}
        for row, seed in enumerate(SEEDS):
            chosen = data.few_shot(dataset.train.y, per_class, seed)
            few = dataset.train.take(chosen)
            scores = (
                linear_probe(train[chosen], few.y, test, dataset.test.y),
                knn_probe(train[chosen], few.y, test, dataset.test.y),
                train_small_cnn(few.x, few.y, dataset.test.x, dataset.test.y, dataset.num_classes, seed, recipe),
            )
            for method, score in zip(methods, scores, strict=True):
                accuracy[method][row, column] = float(score)
        line = "; ".join(f"{method} {summary(values[:, column])}" for method, values in accuracy.items())
        print(f"{name}, {per_class} a class: {line}", flush=True)
    return {
        "chance": 1 / dataset.num_classes,
        "test_images": len(dataset.test),
        "image_size": dataset.test.x.shape[1],
        "accuracy": accuracy,
        "small_cnn_recipes": recipes,
    }


def main() -> None:
    """Run everything and write the file."""
    start = time.perf_counter()
    results = {name: run(name, flip) for name, flip in DATASETS.items()}
    settings = {
        "label_counts": LABEL_COUNTS,
        "rows_of_accuracy": "seeds",
        "columns_of_accuracy": "label counts (a class)",
        "backbone_image_size": IMAGE_SIZE,
        "linear_probe": "rows of length 1, C by 5-fold cross-validation on the drawn labels, 1 below 5 a class",
        "knn": "cosine, k = labels a class, at most 5",
        "small_cnn_grid_lr_weight_decay": GRID,
        "small_cnn_chosen_on": f"validation split, draw of seed {TUNING_SEED}",
        "seconds": round(time.perf_counter() - start),
    }
    write_json("label_efficiency", settings, SEEDS, results)


if __name__ == "__main__":
    main()
