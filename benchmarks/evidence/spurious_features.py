"""A spurious feature, and the remedy that retrains nothing but the last layer (after Kirichenko et al., 2023).

Two shapes on a tinted ground, arranged like the Waterbirds benchmark (Sagawa et al., 2020): most training squares stand
on the squares' tint and most triangles on the triangles', a few on the other's. In the test images the four groups are
equally large. A small CNN is trained from scratch. Then everything but its last layer is frozen, and that layer is
trained anew on validation images, either all of them or as many of every group.

For comparison, "no shortcut" trains on images whose tint says nothing about the shape.

    python benchmarks/evidence/spurious_features.py
"""

import time

import numpy as np
import torch
from common import summary, write_json
from remedy_training import Run, outputs, probe_head, train
from torch import nn

from tl_course import data
from tl_course.pytorch.scratch import small_cnn
from tl_course.scratch_recipe import random_shift

SEEDS = (0, 1, 2, 3, 4)
CLASSES = (3, 5)  # square and triangle
AGREEMENTS = (0.5, 0.7, 0.8, 0.9)  # of the generator, whose other tints are dropped: see `agreeing` in the results
NO_SHORTCUT = 0.125
COUNTS = {"train": 200, "val": 600, "test": 600}
NO_SHORTCUT_TRAIN = 660  # of which a quarter have one of the two tints: about as many images as with a shortcut
HEADS = ("as trained", "last layer, all validation images", "last layer, balanced")
RUN = Run(num_steps=300, lr=3e-3, weight_decay=0.05, batchnorm="free")


def images_for(agreement: float, seed: int) -> data.Dataset:
    """Two shapes, each on its own tint or on the other's; classes and tints are 0 and 1."""
    counts = COUNTS | ({"train": NO_SHORTCUT_TRAIN} if agreement == NO_SHORTCUT else {})
    full = data.load("shapes", spurious=agreement, seed=500 + seed, per_class=counts)
    parts = {}
    for name, split in full.splits.items():
        kept = split.take(np.isin(split.y, CLASSES) & np.isin(split.extras["tint"], CLASSES))
        tint = np.searchsorted(CLASSES, kept.extras["tint"])
        parts[name] = data.Split(kept.x, np.searchsorted(CLASSES, kept.y), {"tint": tint})
    names = tuple(full.class_names[c] for c in CLASSES)
    return data.Dataset("shapes", parts["train"], parts["test"], parts["val"], names, full.source, full.licence)


def network_input(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) in [0, 1] -> (N, 3, H, W) about 0."""
    return torch.from_numpy(np.ascontiguousarray((images - 0.5) / 0.25, dtype=np.float32)).permute(0, 3, 1, 2)


def trained_network(dataset: data.Dataset, seed: int) -> tuple[nn.Module, nn.Module]:
    """Backbone and head of a small CNN after ordinary training (empirical risk minimisation)."""
    network = small_cnn(3, dataset.num_classes, seed)
    backbone, head = network[:-1], nn.Sequential(nn.Identity(), network[-1])

    def shifted(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return random_shift(x, 0.1, True, rng)

    train(backbone, head, dataset.train.x, dataset.train.y, RUN, seed, network_input, shifted)
    return backbone, head


def by_group(predictions: np.ndarray, test: data.Split) -> dict[str, float]:
    """Accuracy with all groups counting the same, and of the worst of the four groups (class and tint)."""
    right = predictions == test.y
    groups = [right[(test.y == c) & (test.extras["tint"] == t)].mean() for c in (0, 1) for t in (0, 1)]
    return {"mean of groups": float(np.mean(groups)), "worst group": float(min(groups))}


def balanced(val: data.Split, seed: int) -> np.ndarray:
    """As many validation images of each of the four groups: their positions."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero((val.y == c) & (val.extras["tint"] == t)) for c in (0, 1) for t in (0, 1)]
    count = min(map(len, groups))
    return np.concatenate([rng.permutation(group)[:count] for group in groups])


def retrained_heads(
    backbone: nn.Module, head: nn.Module, dataset: data.Dataset, seed: int
) -> dict[str, dict[str, float]]:
    """Test accuracy by group with the head as trained, and with the two retrained ones."""
    assert dataset.val is not None
    features, logits = outputs(backbone, head, dataset.test.x, network_input)
    val_features = outputs(backbone, head, dataset.val.x, network_input)[0]
    even = balanced(dataset.val, seed)
    found = {HEADS[0]: logits.argmax(1)}
    for name, rows in ((HEADS[1], np.arange(len(dataset.val))), (HEADS[2], even)):
        fitted = probe_head(val_features[rows], dataset.val.y[rows], C=0.1)
        with torch.no_grad():
            found[name] = fitted(torch.from_numpy(features)).numpy().argmax(1)
    scores = {name: by_group(predictions, dataset.test) for name, predictions in found.items()}
    agreeing = float(np.mean(dataset.train.extras["tint"] == dataset.train.y))
    counted = {"training": len(dataset.train), "agreeing": agreeing, "balanced validation": len(even)}
    return scores | {"images": counted}


def main() -> None:
    """Run everything and write the file."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    results = {}
    for agreement in (*AGREEMENTS, NO_SHORTCUT):
        runs = []
        for seed in SEEDS:
            dataset = images_for(agreement, seed)
            runs.append(retrained_heads(*trained_network(dataset, seed), dataset, seed))
        results[str(agreement)] = {m: {g: np.array([run[m][g] for run in runs]) for g in runs[0][m]} for m in runs[0]}
        agreeing = results[str(agreement)]["images"].pop("agreeing")
        results[str(agreement)]["agreeing"] = agreeing.mean()
        for method in HEADS:
            groups = results[str(agreement)][method]
            print(f"{agreeing.mean():.3f} {method}: " + "; ".join(f"{g} {summary(v)}" for g, v in groups.items()))
    settings = {
        "agreements_of_the_generator": AGREEMENTS,
        "agreeing": "share of the training images on the tint of their class, in the results",
        "no_shortcut": NO_SHORTCUT,
        "images_a_class": COUNTS,
        "network": f"small CNN from scratch, {RUN.num_steps} steps, lr {RUN.lr}, shifts and mirroring",
        "last_layer": "logistic regression, C 0.1, on the frozen network's features of validation images",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("spurious_features", settings, SEEDS, results)


if __name__ == "__main__":
    main()
