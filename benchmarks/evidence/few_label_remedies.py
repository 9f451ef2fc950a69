"""Overfitting with few labels: what helps, and by how much?

Fashion-ResNet (trained on clothes) is fine-tuned on MNIST digits with five labels a class. Each remedy is added alone,
its strength chosen on validation images with draws of its own; then everything that helped there is put together.
Early stopping pays for itself: it takes one label of the five a class to decide when to stop.

    python benchmarks/evidence/few_label_remedies.py
"""

import copy
import time
from dataclasses import replace

import numpy as np
import torch
from common import summary, write_json
from remedy_training import Run, accuracy, new_head, outputs, train
from torch import nn

from tl_course import data, zoo
from tl_course.scratch_recipe import random_shift

PER_CLASS = 5
SEEDS = tuple(range(8))
TUNING_SEEDS = (1000, 1001)
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
STRENGTHS = {
    "augmentation": (0.05, 0.1, 0.15),
    "dropout": (0.2, 0.5, 0.8),
    "weight decay": (0.1, 1.0, 3.0),
    "L2-SP": (0.001, 0.01, 0.1),
    "mixup": (0.1, 0.4, 1.0),
}
CHECK_EVERY = 10  # steps between two looks at the labels held back for early stopping


class Backbone(nn.Module):
    """Fashion-ResNet without its head."""

    def __init__(self) -> None:
        super().__init__()
        self.model = zoo.load("fashion_resnet", device="cpu").model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, 28, 28) -> (N, 128)."""
        return self.model.forward_features(x)


PREPARE = zoo.load("fashion_resnet", device="cpu").preprocess


def fine_tuned(
    few: data.Split, scored: data.Split, run: Run, strengths: dict[str, float], seed: int, early_stopping: bool = False
) -> dict[str, float]:
    """Accuracy on the training labels and on `scored` after fine-tuning with these remedies."""
    backbone, head = Backbone(), new_head(128, 10, seed, strengths.get("dropout", 0.0))
    shift = strengths.get("augmentation", 0.0)
    run = replace(
        run,
        weight_decay=strengths.get("weight decay", 0.0),
        l2_sp=strengths.get("L2-SP", 0.0),
        mixup=strengths.get("mixup", 0.0),
    )
    kept = few
    best = {"loss": np.inf, "state": (backbone, head), "step": run.num_steps}
    held_back = few.take(np.arange(10))  # few_shot goes round by round: the first ten are one of each class
    if early_stopping:
        kept = few.take(np.arange(10, len(few)))

    def look(step: int) -> None:
        if early_stopping and step % CHECK_EVERY == 0:
            logits = torch.from_numpy(outputs(backbone, head, held_back.x, PREPARE)[1])
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(held_back.y)).item()
            if loss < best["loss"]:
                best.update(loss=loss, state=copy.deepcopy((backbone, head)), step=step)

    augment = (lambda x, rng: random_shift(x, shift, False, rng)) if shift else None
    train(backbone, head, kept.x, kept.y, run, seed, PREPARE, augment, look if early_stopping else None)
    if early_stopping:
        backbone, head = best["state"]
    scores = {
        name: accuracy(backbone, head, split.x, split.y, PREPARE) for name, split in (("train", kept), ("test", scored))
    }
    return scores | {"steps": best["step"] if early_stopping else run.num_steps}


def main() -> None:
    """Choose strengths, run everything and write the file."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    mnist = data.load("mnist")
    assert mnist.val is not None
    val = mnist.val

    def draw(seed: int) -> data.Split:
        return mnist.train.take(data.few_shot(mnist.train.y, PER_CLASS, seed))

    def tuned(run: Run, strengths: dict[str, float]) -> float:
        return float(np.mean([fine_tuned(draw(s), val, run, strengths, s)["test"] for s in TUNING_SEEDS]))

    base = Run(batchnorm="free")
    by_rate = {lr: tuned(replace(base, lr=lr), {}) for lr in LEARNING_RATES}
    base = replace(base, lr=max(by_rate, key=by_rate.__getitem__))
    plain = by_rate[base.lr]
    print(f"validation: lr {by_rate}", flush=True)
    tried, chosen = {}, {}
    for remedy, values in STRENGTHS.items():
        tried[remedy] = {str(value): tuned(base, {remedy: value}) for value in values}
        chosen[remedy] = max(values, key=lambda value: tried[remedy][str(value)])
        print(f"validation: {remedy} {tried[remedy]}", flush=True)
    helped = {remedy: chosen[remedy] for remedy in chosen if max(tried[remedy].values()) > plain}

    variants: dict[str, tuple[dict[str, float], bool]] = {"nothing": ({}, False)}
    variants |= {remedy: ({remedy: value}, False) for remedy, value in chosen.items()}
    variants |= {"early stopping": ({}, True), "all that helped": (helped, False)}
    results = {}
    for name, (strengths, early) in variants.items():
        runs = [fine_tuned(draw(seed), mnist.test, base, strengths, seed, early) for seed in SEEDS]
        results[name] = {key: np.array([run[key] for run in runs]) for key in ("test", "train", "steps")}
        print(f"{name}: test {summary(results[name]['test'])}, train {summary(results[name]['train'])}", flush=True)
    settings = {
        "backbone": "fashion_resnet, all of it fine-tuned, BatchNorm statistics free",
        "target": "mnist",
        "per_class": PER_CLASS,
        "steps": base.num_steps,
        "lr": base.lr,
        "lr_validation": {str(lr): value for lr, value in by_rate.items()},
        "strengths": chosen,
        "strengths_validation": tried,
        "all_that_helped": helped,
        "chosen_on": f"validation split, draws of seeds {TUNING_SEEDS}",
        "early_stopping": f"one label of {PER_CLASS} a class held back, loss looked at every {CHECK_EVERY} steps",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("few_label_remedies", settings, SEEDS, results)


if __name__ == "__main__":
    main()
