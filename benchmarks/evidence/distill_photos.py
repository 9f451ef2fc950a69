"""A CNN with less than a twentieth of MobileNetV2's parameters, on photographs: five labels a class, more crops.

The teacher is MobileNetV2 pretrained on ImageNet with a linear head, trained on five labelled crops of each of 18
photographs, 64 pixels wide. The student, a small CNN that starts from random weights and sees the crops at half the
width, gets the same 90 labels, or the teacher's answers to all 1,800 crops of the training split, or all their labels.
Every crop comes in three views (as it is, and twice moved and perhaps mirrored), so that the teacher answers each view
once. All students take the same number of steps. Five draws of the labels; in each the head, the student and the order
are new.

    python benchmarks/evidence/distill_photos.py
"""

import time

import numpy as np
import torch
from common import summary, write_json
from distill_training import accuracy, by_answers, by_labels, cnn, tensor, train
from remedy_training import probe_head

from tl_course import data, zoo
from tl_course.scratch_recipe import WIDTHS, random_shift

SEEDS = (0, 1, 2, 3, 4)
PER_CLASS, SIZE, VIEWS, NUM_STEPS, TEMPERATURE = 5, 64, 3, 400, 2.0


def views(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """(VIEWS, N, H, W, C): the images as they are, then moved by up to a tenth and perhaps mirrored."""
    rng = np.random.default_rng(seed)
    return np.stack([images, *(random_shift(images, 0.1, True, rng) for _ in range(VIEWS - 1))])


def halved(images: np.ndarray) -> np.ndarray:
    """(..., H, W, C) at half the height and width: the mean of 2 x 2 pixels."""
    *rest, height, width, channels = images.shape
    return images.reshape(*rest, height // 2, 2, width // 2, 2, channels).mean(axis=(-4, -2), dtype=np.float32)


def milliseconds(model: torch.nn.Module, batch: torch.Tensor, rounds: int = 15) -> float:
    """Median processor time of an image, in inference mode, one thread."""
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds):
            begin = time.process_time()
            model(batch)
            seconds.append(time.process_time() - begin)
    return 1000 * float(np.median(seconds)) / len(batch)


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    photos = data.load("photos", size=SIZE)
    train_x, train_y, test = photos.train.x, photos.train.y, photos.test
    mean, std = train_x.mean(axis=(0, 1, 2)), halved(train_x).std(axis=(0, 1, 2))
    backbone = zoo.load("mobilenet_v2", image_size=64, device="cpu")
    seen = views(train_x)  # (V, N, H, W, 3)
    features = np.stack([backbone.features(part) for part in seen])  # (V, N, D)
    test_features = backbone.features(test.x)
    print(f"features of {features.shape[:2]}, {time.perf_counter() - begin:.0f} s", flush=True)
    names = ("teacher", "90 labels", "1,800 crops, soft", "1,800 labels")
    small = (halved(seen) - mean) / std
    found = {name: np.zeros(len(SEEDS)) for name in names}
    test_x = (halved(test.x) - mean) / std
    for row, seed in enumerate(SEEDS):
        few = data.few_shot(train_y, PER_CLASS, seed)
        every = np.arange(len(train_y))
        labelled = features[:, few].reshape(-1, features.shape[-1]), np.tile(train_y[few], VIEWS)
        head = probe_head(*labelled).eval()
        with torch.inference_mode():
            answers = head(torch.from_numpy(features)).numpy()  # (V, N, 18)
            found["teacher"][row] = np.mean(head(torch.from_numpy(test_features)).numpy().argmax(1) == test.y)
        runs = {
            "90 labels": (few, None),
            "1,800 crops, soft": (every, answers),
            "1,800 labels": (every, None),
        }
        for name, (places, soft) in runs.items():
            x = small[:, places].reshape(-1, *small.shape[2:])
            known = by_labels(np.tile(train_y[places], VIEWS))
            loss_of = known if soft is None else by_answers(soft[:, places].reshape(len(x), -1), TEMPERATURE)
            student = train(cnn(WIDTHS, 18, seed, 3), x, loss_of, num_steps=NUM_STEPS, batch_size=32, seed=seed)
            found[name][row] = accuracy(student, test_x, test.y)
        print(
            seed,
            {name: values[row].round(3) for name, values in found.items()},
            round(time.perf_counter() - begin),
            flush=True,
        )
    for name, values in found.items():
        print(f"{name}: {summary(values)}")
    batch = test.x[:32]
    parameters = {
        "teacher": sum(p.numel() for p in backbone.model.parameters()) + 18 * (backbone.feature_dim + 1),
        "student": sum(p.numel() for p in student.parameters()),
    }
    speed = {
        "teacher": milliseconds(backbone.model.eval(), backbone.preprocess(batch)),
        "student": milliseconds(student, tensor((halved(batch) - mean) / std)),
    }
    settings = {
        "rows": "seeds",
        "per_class": PER_CLASS,
        "views": VIEWS,
        "num_steps": NUM_STEPS,
        "temperature": TEMPERATURE,
        "pixels": {"teacher": SIZE, "student": SIZE // 2},
        "seconds": round(time.perf_counter() - begin),
    }
    results = {"accuracy": found, "parameters": parameters, "milliseconds an image": speed}
    write_json("distill_photos", settings, SEEDS, results)


if __name__ == "__main__":
    main()
