"""Ten labels with transfer against a hundred from scratch, on four real data sets.

    target                          transferred from                                              from scratch
    photos, crops of 32 x 32        MobileNetV2 trained on ImageNet                               small CNN
    tweets, their mood              MiniLM, alone or with rated films, products and news          TF-IDF
    digits, 8 x 8                   a small CNN trained on mnist, scaled down to 8 x 8            small CNN
    mnist, 28 x 28                  Fashion-ResNet, trained on pictures of clothes                small CNN

Every method sees the same labels, 10 and 100 a class, five draws, and is scored on the same test split by the mean of
the accuracies on each class. Which way of transferring is reported (probe or fine-tuning, which source) is decided on
validation, on a draw of its own. So are, for each number of labels, the rival's learning rate, weight decay and number
of steps (up to twice those of fine-tuning) and the learning rate of fine-tuning. TF-IDF and the probes choose their C
by cross-validation on the drawn labels.

    python benchmarks/evidence/label_counts.py
"""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from common import summary, write_json
from PIL import Image
from torch import nn
from training import LAYERS, pooled_features, predict, start_from, train, variants

from tl_course import data, zoo
from tl_course.feature_cache import cached_features
from tl_course.probes import linear_probe, tfidf_probe
from tl_course.pytorch.scratch import small_cnn
from tl_course.scratch_recipe import Recipe, standardizer

SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 1000
LABEL_COUNTS = (10, 100)
LRS = (1e-3, 3e-3, 1e-2)
WEIGHT_DECAYS = (0.05, 0.5)
TARGET_WEIGHT = 10
"""How often a labelled tweet counts beside one labelled text of another domain."""

FIXED = (Recipe(),)
"""What is "tried" where a method has no learning rate."""

Predict = Callable[[np.ndarray, str, int, Recipe], np.ndarray]
"""Positions of the labelled images in train, the split to predict ("val" or "test"), seed, recipe -> classes."""


@dataclass(frozen=True)
class Method:
    """A way to learn the target, and the recipes to choose from for so many labelled examples."""

    predict: Predict
    recipes: Callable[[int], list[Recipe]]
    try_more_steps: bool = False


@dataclass(frozen=True)
class Task:
    """A target with its rival and the ways to transfer to it."""

    dataset: data.Dataset
    scratch: Method
    transfer: Mapping[str, Method]


def balanced_accuracy(predicted: np.ndarray, y: np.ndarray) -> float:
    """The mean of the accuracies on each class."""
    return float(np.mean([np.mean(predicted[y == label] == label) for label in np.unique(y)]))


def probe(dataset: data.Dataset, vectors: Mapping[str, np.ndarray]) -> Method:
    """Logistic regression on frozen features, given for every split."""

    def run(chosen: np.ndarray, part: str, seed: int, recipe: Recipe) -> np.ndarray:
        y = dataset.splits[part].y
        return linear_probe(vectors["train"][chosen], dataset.train.y[chosen], vectors[part], y).predictions

    return Method(run, lambda _: list(FIXED))


def network(dataset: data.Dataset, start: Callable[[int], nn.Module], scale: object, flip: bool, rival: bool) -> Method:
    """A network trained from this start on images standardised as at its source (None: by the labelled images)."""

    def run(chosen: np.ndarray, part: str, seed: int, recipe: Recipe) -> np.ndarray:
        few = dataset.train.take(chosen)
        mean, std = scale or standardizer(few.x)  # pyright: ignore[reportGeneralTypeIssues]
        model = train(start(seed), (few.x - mean) / std, few.y, recipe, seed)
        return predict(model, (dataset.splits[part].x - mean) / std)

    def recipes(num_images: int) -> list[Recipe]:
        base = Recipe(flip=flip)
        base = replace(base, steps=base.num_steps(num_images))
        return variants(base, LRS, WEIGHT_DECAYS if rival else WEIGHT_DECAYS[:1])

    return Method(run, recipes, try_more_steps=rival)


def features(model: zoo.Pretrained, dataset: data.Dataset) -> dict[str, np.ndarray]:
    """Frozen features of every split."""
    return {part: cached_features(model, split.x, batch_size=32).features for part, split in dataset.splits.items()}


def photos() -> Task:
    """Crops of photographs; MobileNetV2 sees them enlarged to 96 x 96."""
    dataset = data.load("photos", size=32)
    model = zoo.load("mobilenet_v2", image_size=96)
    scratch = network(dataset, lambda seed: small_cnn(3, dataset.num_classes, seed), None, True, rival=True)
    return Task(dataset, scratch, {"MobileNetV2, probe": probe(dataset, features(model, dataset))})


def tweets() -> Task:
    """Positive or negative? The second way has learned the question on rated texts of three other domains."""
    dataset, model = data.load("sentiment", domain="tweets"), zoo.load("minilm")
    vectors = features(model, dataset)
    others = [data.load("sentiment", domain=name).train for name in ("movies", "products", "news")]
    others = [split.take(np.random.RandomState(0).permutation(len(split))[:2000]) for split in others]
    source_x = np.concatenate([cached_features(model, split.x).features for split in others])
    source_y = np.concatenate([split.y for split in others])

    def with_other_domains(chosen: np.ndarray, part: str, seed: int, recipe: Recipe) -> np.ndarray:
        repeated = np.repeat(chosen, TARGET_WEIGHT)
        x = np.concatenate([source_x, vectors["train"][repeated]])
        y = np.concatenate([source_y, dataset.train.y[repeated]])
        return linear_probe(x, y, vectors[part], dataset.splits[part].y, C=1.0).predictions

    def words(chosen: np.ndarray, part: str, seed: int, recipe: Recipe) -> np.ndarray:
        few, asked = dataset.train.take(chosen), dataset.splits[part]
        return tfidf_probe(few.x, few.y, asked.x, asked.y).predictions

    ways = {
        "MiniLM, probe": probe(dataset, vectors),
        "MiniLM, probe with other domains": Method(with_other_domains, lambda _: list(FIXED)),
    }
    return Task(dataset, Method(words, lambda _: list(FIXED)), ways)


def shrunken_mnist() -> data.Split:
    """All 5,000 images of mnist, cut to the digit's height, and scaled to 8 x 8 like the images of digits."""
    dataset = data.load("mnist")
    x = np.concatenate([split.x for split in dataset.splits.values()])[..., 0]
    small = []
    for image in np.pad(x, ((0, 0), (14, 14), (14, 14))):
        rows, columns = (np.flatnonzero(image.max(axis=axis) > 0.2) for axis in (1, 0))
        top, bottom = rows[0], rows[-1] + 1
        left = (columns[0] + columns[-1] + 1 - (bottom - top)) // 2
        square = Image.fromarray(image[top:bottom, left : left + bottom - top])
        small.append(np.asarray(square.resize((8, 8), Image.Resampling.BOX)))
    return data.Split(np.stack(small)[..., None], np.concatenate([split.y for split in dataset.splits.values()]))


def digits() -> Task:
    """Eight by eight pixels; a small CNN learned the same ten digits on mnist."""
    dataset, source = data.load("digits"), shrunken_mnist()
    mean, std = standardizer(source.x)
    recipe = Recipe(lr=3e-3, steps=800)
    trained = {
        seed: train(small_cnn(1, 10, seed), (source.x - mean) / std, source.y, recipe, seed)
        for seed in (*SEEDS, TUNING_SEED)
    }
    starts = {
        "mnist, fine-tuned": lambda seed: deepcopy(trained[seed]),
        "mnist, fine-tuned with a fresh head": lambda seed: start_from(trained[seed], LAYERS, 10, seed + 500),
    }
    scratch = network(dataset, lambda seed: small_cnn(1, 10, seed), None, False, rival=True)
    methods = {name: network(dataset, start, (mean, std), False, rival=False) for name, start in starts.items()}

    def frozen(chosen: np.ndarray, part: str, seed: int, recipe: Recipe) -> np.ndarray:
        few, asked = dataset.train.take(chosen), dataset.splits[part]
        vectors = [pooled_features(trained[seed], (x - mean) / std) for x in (few.x, asked.x)]
        return linear_probe(vectors[0], few.y, vectors[1], asked.y).predictions

    return Task(dataset, scratch, {"mnist, probe": Method(frozen, lambda _: list(FIXED)), **methods})


def mnist() -> Task:
    """Twenty-eight by twenty-eight pixels; Fashion-ResNet learned clothes."""
    dataset, model = data.load("mnist"), zoo.load("fashion_resnet")

    @torch.inference_mode()
    def earlier_map(images: np.ndarray) -> np.ndarray:
        body = nn.Sequential(model.model.stem, model.model.stage1, model.model.stage2)
        return torch.cat([body(batch).flatten(1) for batch in model.preprocess(images).split(250)]).numpy()

    def with_head(seed: int) -> nn.Module:
        body = deepcopy(model.model)
        parts = (body.stem, body.stage1, body.stage2, body.stage3, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.Sequential(*parts, nn.Linear(128, 10)).requires_grad_()

    seen = model.preprocess(np.linspace(0, 1, 784, dtype=np.float32).reshape(1, 28, 28, 1)).numpy()
    std = 1 / (seen.max() - seen.min())  # the source's standardisation, read off its preprocessing
    vectors = {part: earlier_map(split.x) for part, split in dataset.splits.items()}
    ways = {
        "Fashion-ResNet, probe one stage earlier": probe(dataset, vectors),
        "Fashion-ResNet, fine-tuned": network(dataset, with_head, (-seen.min() * std, std), False, rival=False),
    }
    scratch = network(dataset, lambda seed: small_cnn(1, 10, seed), None, False, rival=True)
    return Task(dataset, scratch, ways)


TASKS = {"photos": photos, "tweets": tweets, "digits": digits, "mnist": mnist}


def choose(method: Method, dataset: data.Dataset, per_class: int) -> tuple[Recipe, float]:
    """The recipe that is best on validation, and its score there."""
    chosen = data.few_shot(dataset.train.y, per_class, TUNING_SEED)
    assert dataset.val is not None
    y = dataset.val.y

    def score(recipe: Recipe) -> float:
        return balanced_accuracy(method.predict(chosen, "val", TUNING_SEED, recipe), y)

    scored = [(score(recipe), recipe) for recipe in method.recipes(len(chosen))]
    best = max(scored, key=lambda pair: pair[0])
    if method.try_more_steps:
        longer = replace(best[1], steps=2 * (best[1].steps or 0))
        best = max(best, (score(longer), longer), key=lambda pair: pair[0])
    return best[1], best[0]


def run(name: str) -> dict[str, object]:
    """Scores of transfer and rival, (seeds, label counts), with what validation chose."""
    task = TASKS[name]()
    dataset = task.dataset
    scores = {kind: np.zeros((len(SEEDS), len(LABEL_COUNTS))) for kind in ("transfer", "from scratch")}
    ways, validation, recipes = [], [], []
    for column, per_class in enumerate(LABEL_COUNTS):
        tried = {way: choose(method, dataset, per_class) for way, method in task.transfer.items()}
        way = max(tried, key=lambda key: tried[key][1])
        rival = choose(task.scratch, dataset, per_class)[0]
        ways.append(way)
        validation.append({key: score for key, (_, score) in tried.items()})
        recipes.append({"transfer": asdict(tried[way][0]), "from scratch": asdict(rival)})
        methods = {"transfer": (task.transfer[way], tried[way][0]), "from scratch": (task.scratch, rival)}
        for row, seed in enumerate(SEEDS):
            chosen = data.few_shot(dataset.train.y, per_class, seed)
            for kind, (method, recipe) in methods.items():
                predicted = method.predict(chosen, "test", seed, recipe)
                scores[kind][row, column] = balanced_accuracy(predicted, dataset.test.y)
        line = "; ".join(f"{kind} {summary(values[:, column])}" for kind, values in scores.items())
        print(f"{name}, {per_class} a class: {way}; {line}", flush=True)
    return {
        "balanced_accuracy": scores,
        "way_of_transferring": ways,
        "validation_score_of_each_way": validation,
        "recipes": recipes,
        "test_examples": len(dataset.test),
        "classes": dataset.num_classes,
    }


def main() -> None:
    """Run everything and write the file."""
    start = time.perf_counter()
    results = {name: run(name) for name in TASKS}
    settings = {
        "label_counts": LABEL_COUNTS,
        "rows": "seeds",
        "columns": "label counts (a class)",
        "score": "balanced accuracy on the test split",
        "lr_grid": LRS,
        "weight_decay_grid_of_the_rival": WEIGHT_DECAYS,
        "steps_of_the_rival": "as fine-tuning, or twice as many where that is better on validation",
        "chosen_on": f"validation split, draw of seed {TUNING_SEED}",
        "seconds": round(time.perf_counter() - start),
    }
    write_json("label_counts", settings, SEEDS, results)


if __name__ == "__main__":
    main()
