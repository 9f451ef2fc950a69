"""What do images teach without labels? Rotation and contrastive pretraining on MNIST, judged by a linear probe.

The small CNN of the course learns from 3,000 digits without their labels: by telling how far an image was turned
(Gidaris et al., 2018), or by finding the other view of the same image (SimCLR: Chen et al., 2020). Its averaged
features then go into a linear probe with 5 or 50 labels per class. Beside them: the same network untrained, the same
network pretrained with the labels of all these digits (which the others never see), and the pixels themselves. Same
number of steps and batch size for each pretraining. Five seeds: weights, order, views and labels are drawn anew.

    python benchmarks/evidence/pretext.py
"""

import time

import numpy as np
import torch
from common import summary, write_json
from torch import Tensor, nn

from tl_course import data
from tl_course.probes import linear_probe
from tl_course.pytorch.pretext import nt_xent, rotation_batch
from tl_course.pytorch.scratch import small_cnn
from tl_course.schedules import warmup_cosine
from tl_course.views import strong_view

SEEDS = tuple(range(5))
PER_CLASS = (5, 50)
NUM_STEPS = 80
BATCH_SIZE = 128
LR = 3e-3
TEMPERATURE = 0.5
WIDTH = 64  # of what the contrastive head gives
PRETRAININGS = ("rotation", "contrastive", "supervised")


def tensor(images: np.ndarray) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def pretrain(kind: str, images: np.ndarray, y: np.ndarray, seed: int) -> nn.Sequential:
    """The small CNN after pretraining of this kind, its head included; "untrained" trains nothing."""
    num_outputs = {"rotation": 4, "contrastive": WIDTH, "supervised": 10, "untrained": 10}[kind]
    model = small_cnn(1, num_outputs, seed=seed)
    if kind == "untrained":
        return model
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=1e-4)
    model.train()
    for step in range(NUM_STEPS):
        optimizer.param_groups[0]["lr"] = warmup_cosine(step, NUM_STEPS, LR)
        chosen = rng.choice(len(images), BATCH_SIZE, replace=False)
        loss = loss_of(kind, model, images[chosen], y[chosen], rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def loss_of(kind: str, model: nn.Module, images: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The pretraining's loss on a batch; both views of the contrastive task go through BatchNorm together."""
    if kind == "rotation":
        turned, turns = rotation_batch(tensor(images), rng)
        return nn.functional.cross_entropy(model(turned), turns)
    if kind == "contrastive":
        both = model(tensor(np.concatenate([strong_view(images, rng), strong_view(images, rng)])))
        return nt_xent(*both.split(len(images)), TEMPERATURE)
    return nn.functional.cross_entropy(model(tensor(images)), torch.from_numpy(y))


def features(model: nn.Sequential, images: np.ndarray) -> np.ndarray:
    """What reaches the head: averaged features, (N, 128)."""
    model.eval()
    with torch.inference_mode():
        return np.concatenate([model[:-1](part).numpy() for part in tensor(images).split(500)])


def main() -> None:
    """Run everything and write the file."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    mnist = data.load("mnist")
    train, test = mnist.train, mnist.test
    methods = ("untrained", *PRETRAININGS)
    scores = {name: np.zeros((len(SEEDS), len(PER_CLASS))) for name in (*methods, "pixels")}
    rotation_accuracy, seconds = [], {}
    for row, seed in enumerate(SEEDS):
        vectors = {"pixels": (train.x.reshape(len(train), -1), test.x.reshape(len(test), -1))}
        for kind in methods:
            before = time.process_time()
            model = pretrain(kind, train.x, train.y, seed)
            seconds[kind] = round(time.process_time() - before, 1)
            vectors[kind] = (features(model, train.x), features(model, test.x))
            if kind == "rotation":
                turned, turns = rotation_batch(tensor(test.x), np.random.default_rng(seed))
                with torch.inference_mode():
                    rotation_accuracy.append((model(turned).argmax(dim=1) == turns).float().mean().item())
        for column, per_class in enumerate(PER_CLASS):
            chosen = data.few_shot(train.y, per_class, seed)
            for name, (known, unseen) in vectors.items():
                scores[name][row, column] = linear_probe(known[chosen], train.y[chosen], unseen, test.y).accuracy
        print(
            f"seed {seed}: " + ", ".join(f"{name} {values[row].round(3)}" for name, values in scores.items()),
            flush=True,
        )
    for column, per_class in enumerate(PER_CLASS):
        print(f"{per_class}: " + "; ".join(f"{name} {summary(values[:, column])}" for name, values in scores.items()))
    settings = {
        "per_class": PER_CLASS,
        "rows": "seeds",
        "columns": "labels per class of the probe",
        "network": "small CNN of tl_course.pytorch.scratch",
        "pretraining": {"num_steps": NUM_STEPS, "batch_size": BATCH_SIZE, "lr": LR, "images": len(train)},
        "contrastive": {"temperature": TEMPERATURE, "width": WIDTH, "views": "strong_view, twice"},
        "probe": "logistic regression on averaged features, C by cross-validation on the drawn labels",
        "seconds": round(time.perf_counter() - began),
    }
    results = {
        "accuracy": scores,
        "rotation_test_accuracy": np.array(rotation_accuracy),
        "cpu_seconds_of_pretraining": seconds,
    }
    write_json("pretext", settings, SEEDS, results)


if __name__ == "__main__":
    main()
