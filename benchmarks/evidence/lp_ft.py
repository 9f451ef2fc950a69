"""Linear probe, fine-tuning, or probe then fine-tuning: in and out of distribution (after Kumar et al., 2022).

Shapes: a small CNN learns five classes of shapes in the "wild" domain, where looks vary in every way, so that its
features cope with all of them. Target: three other shapes, 30 labels a class, all in the "plain" domain; tested there
(in) and in five domains the target's labels say nothing about (out). Each seed draws its own backbone, target and head.

Photos: MobileNetV2's ImageNet features, 18 photographs, ten labelled crops of each; out of distribution the test crops
are inverted, grey, or dark and noisy. Each seed draws its own labels and head.

The learning rate of each method is chosen by in-distribution validation, as one would have to in practice.

    python benchmarks/evidence/lp_ft.py
"""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from common import summary, write_json
from remedy_training import Prepare, Run, accuracy, new_head, outputs, probe_head, train
from torch import Tensor, nn

from tl_course import data, zoo
from tl_course.pytorch.scratch import small_cnn
from tl_course.scratch_recipe import random_shift

SEEDS = (0, 1, 2, 3, 4)
LEARNING_RATES = {"shapes": (3e-4, 1e-3, 3e-3), "photos": (3e-4, 1e-3)}
SOURCE_CLASSES, TARGET_CLASSES = (0, 2, 4, 5, 7), (1, 3, 6)
SHAPE_DOMAINS = (
    "plain",
    "inverted",
    "coloured",
    "textured",
    "cluttered",
    "wild",
)  # the first is where labels come from
SOURCE_STEPS, SHAPE_STEPS = 1500, 150
PHOTO_SIZE, PHOTO_STEPS, PHOTO_BATCH = 64, 80, 18
METHODS = ("linear probe", "fine-tuning", "probe, then fine-tuning")

Tests = dict[str, data.Split]


def some_shapes(domain: str, seed: int, classes: tuple[int, ...], counts: dict[str, int]) -> data.Dataset:
    """Shapes of these classes only, numbered anew."""
    full = data.load("shapes", domain=domain, seed=seed, per_class=counts)
    parts = {}
    for name, split in full.splits.items():
        kept = split.take(np.isin(split.y, classes))
        parts[name] = data.Split(kept.x, np.searchsorted(classes, kept.y))
    names = tuple(full.class_names[c] for c in classes)
    return data.Dataset("shapes", parts["train"], parts["test"], parts["val"], names, full.source, full.licence)


def shapes_input(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) in [0, 1] -> (N, 3, H, W) about 0."""
    return torch.from_numpy(np.ascontiguousarray((images - 0.5) / 0.25, dtype=np.float32)).permute(0, 3, 1, 2)


def shapes_backbone(seed: int) -> tuple[nn.Module, float]:
    """A small CNN trained on five classes in the wild domain, without its head; and its accuracy there."""
    source = some_shapes("wild", 100 + seed, SOURCE_CLASSES, {"train": 400, "val": 1, "test": 50})
    network = small_cnn(3, len(SOURCE_CLASSES), seed)
    backbone, head = network[:-1], nn.Sequential(nn.Identity(), network[-1])
    run = Run(num_steps=SOURCE_STEPS, lr=3e-3, weight_decay=0.05, batchnorm="free")
    train(
        backbone,
        head,
        source.train.x,
        source.train.y,
        run,
        seed,
        shapes_input,
        lambda x, g: random_shift(x, 0.1, True, g),
    )
    return backbone, accuracy(backbone, head, source.test.x, source.test.y, shapes_input)


def photo_tests(crops: data.Split) -> Tests:
    """The same test crops as they are, inverted, grey, and dark with noise."""
    noise = np.random.default_rng(0).normal(0, 0.08, crops.x.shape)
    changed = {
        "as they are": crops.x,
        "inverted": 1 - crops.x,
        "grey": np.broadcast_to(crops.x.mean(axis=-1, keepdims=True), crops.x.shape),
        "dark and noisy": np.clip(0.4 * crops.x + noise, 0, 1),
    }
    return {name: data.Split(np.ascontiguousarray(x, dtype=np.float32), crops.y) for name, x in changed.items()}


def adapted(
    method: str, backbone: nn.Module, width: int, few: data.Split, run: Run, seed: int, prepare: Prepare
) -> tuple[nn.Module, nn.Module]:
    """A copy of the backbone and a head, after one of the three methods."""
    backbone = copy.deepcopy(backbone)
    num_classes = int(few.y.max()) + 1
    probe = probe_head(outputs(backbone, nn.Identity(), few.x, prepare)[0], few.y)
    if method == "linear probe":
        return backbone, probe
    head = new_head(width, num_classes, seed) if method == "fine-tuning" else probe
    train(backbone, head, few.x, few.y, run, seed, prepare)
    return backbone, head


def compare(
    backbone: nn.Module,
    width: int,
    few: data.Split,
    val: data.Split,
    tests: Tests,
    run: Run,
    learning_rates: tuple[float, ...],
    seed: int,
    prepare: Prepare,
) -> dict[str, dict[str, float]]:
    """Accuracy on every test for each method, at the learning rate that validation in distribution prefers."""
    found = {}
    for method in METHODS:
        rates = (0.0,) if method == "linear probe" else learning_rates
        scores = {}
        for lr in rates:
            tried = adapted(method, backbone, width, few, Run(**(vars(run) | {"lr": lr})), seed, prepare)
            on_tests = {name: accuracy(*tried, part.x, part.y, prepare) for name, part in tests.items()}
            scores[lr] = {"validation": accuracy(*tried, val.x, val.y, prepare), "lr": lr} | on_tests
        found[method] = max(scores.values(), key=lambda score: score["validation"])
    return found


def on_shapes(seed: int) -> dict[str, dict[str, float]]:
    """One seed of the shapes."""
    backbone, source_accuracy = shapes_backbone(seed)
    target = some_shapes("plain", 300 + seed, TARGET_CLASSES, {"train": 30, "val": 50, "test": 1})
    assert target.val is not None
    counts = {"train": 1, "val": 1, "test": 100}
    tests = {name: some_shapes(name, 200, TARGET_CLASSES, counts).test for name in SHAPE_DOMAINS}
    run = Run(num_steps=SHAPE_STEPS)
    found = compare(backbone, 128, target.train, target.val, tests, run, LEARNING_RATES["shapes"], seed, shapes_input)
    return found | {"source": {"accuracy": source_accuracy}}


def photos_and_model() -> tuple[data.Dataset, zoo.Pretrained]:
    """The crops and MobileNetV2."""
    crops = data.load("photos", size=PHOTO_SIZE, per_photo={"train": 40, "val": 5, "test": 10})
    return crops, zoo.load("mobilenet_v2", image_size=PHOTO_SIZE, device="cpu")


def on_photos(seed: int) -> dict[str, dict[str, float]]:
    """One seed of the photographs."""
    crops, model = photos_and_model()
    assert crops.val is not None
    few = crops.train.take(data.few_shot(crops.train.y, 10, seed))
    run = Run(num_steps=PHOTO_STEPS, batch_size=PHOTO_BATCH)
    return compare(
        model.model,
        model.feature_dim,
        few,
        crops.val,
        photo_tests(crops.test),
        run,
        LEARNING_RATES["photos"],
        seed,
        model.preprocess,
    )


def run_all(experiment: Callable[[int], dict[str, dict[str, float]]]) -> dict[str, dict[str, np.ndarray]]:
    """Every seed; method -> test -> values over the seeds."""
    runs = [experiment(seed) for seed in SEEDS]
    found = {m: {key: np.array([run[m][key] for run in runs]) for key in runs[0][m]} for m in runs[0]}
    for method, scores in found.items():
        print(method, "; ".join(f"{key} {summary(values)}" for key, values in scores.items()), flush=True)
    return found


def main() -> None:
    """Run both and write the file."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    results = {"shapes": run_all(on_shapes), "photos": run_all(on_photos)}
    settings = {
        "methods": METHODS,
        "in_distribution": {"shapes": SHAPE_DOMAINS[0], "photos": "as they are"},
        "out_of_distribution": {"shapes": SHAPE_DOMAINS[1:], "photos": ("inverted", "grey", "dark and noisy")},
        "shapes": f"source {SOURCE_STEPS} steps on five wild classes; target 30 labels a class, {SHAPE_STEPS} steps",
        "photos": f"10 labels a class at {PHOTO_SIZE} pixels, {PHOTO_STEPS} steps of {PHOTO_BATCH}",
        "learning_rates": LEARNING_RATES,
        "chosen_on": "in-distribution validation images, for each seed; the smaller rate wins a tie",
        "batchnorm": "statistics frozen",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("lp_ft", settings, SEEDS, results)


if __name__ == "__main__":
    main()
