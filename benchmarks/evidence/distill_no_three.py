"""Hinton's experiment: can a student recognise a digit it has never seen, from its teacher's answers about others?

A CNN learns all ten MNIST digits. Two students with half of its parameters are trained on the images without any 3:
one on the labels, one on the teacher's soft answers. Then the second student's bias for 3 is raised, by the number that
gives the best accuracy on validation images (Hinton, Vinyals & Dean, 2015, chose it on the test set). Five seeds; in
each, teacher, students and order are new.

    python benchmarks/evidence/distill_no_three.py
"""

import time

import numpy as np
import torch
from common import summary, write_json
from distill_training import by_answers, by_labels, cnn, logits_of, train

from tl_course import data

SEEDS = (0, 1, 2, 3, 4)
TEACHER, WIDTHS = (16, 32, 64, 128), (12, 24, 48, 96)
TEMPERATURES = (1.0, 8.0, 20.0)
TEMPERATURE = 8.0
TEACHER_STEPS, NUM_STEPS = 300, 400
MISSING = 3
BIASES = np.arange(-2, 10, 0.1)


def trained_teacher(mnist: data.Dataset, seed: int) -> torch.nn.Module:
    """On every training image, moved by up to three pixels."""
    network, how = cnn(TEACHER, 10, seed), {"num_steps": TEACHER_STEPS, "seed": seed}
    return train(network, mnist.train.x, by_labels(mnist.train.y), shift=0.1, **how)


def student(few: data.Split, answers: np.ndarray | None, seed: int, temperature: float = TEMPERATURE):
    """On images without the missing digit: on the labels, or on the teacher's answers (N, 10)."""
    loss_of = by_labels(few.y) if answers is None else by_answers(answers, temperature)
    return train(cnn(WIDTHS, 10, 1000 + seed), few.x, loss_of, num_steps=NUM_STEPS, seed=seed)


def best_bias(logits: np.ndarray, y: np.ndarray) -> float:
    """What has to be added to the missing digit's logit for the best accuracy; the middle of equally good ones."""
    moved = np.arange(logits.shape[1]) == MISSING
    scores = np.array([np.mean((logits + bias * moved).argmax(1) == y) for bias in BIASES])
    return float(np.median(BIASES[scores == scores.max()]))


def scores(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Accuracy on the missing digit's images, on the others, and on all."""
    right, missing = logits.argmax(1) == y, y == MISSING
    return np.array([right[missing].mean(), right[~missing].mean(), right.mean()])


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    mnist = data.load("mnist")
    few = mnist.train.take(np.flatnonzero(mnist.train.y != MISSING))
    rows = {name: np.zeros((len(SEEDS), 3)) for name in ("teacher", "labels", "soft answers", "soft, bias corrected")}
    by_temperature = np.zeros((len(SEEDS), len(TEMPERATURES)))
    biases = np.zeros(len(SEEDS))
    for row, seed in enumerate(SEEDS):
        teacher = trained_teacher(mnist, seed)
        answers = logits_of(teacher, few.x)
        hard = student(few, None, seed)
        rows["teacher"][row] = scores(logits_of(teacher, mnist.test.x), mnist.test.y)
        rows["labels"][row] = scores(logits_of(hard, mnist.test.x), mnist.test.y)
        for column, temperature in enumerate(TEMPERATURES):
            soft = student(few, answers, seed, temperature)
            found = logits_of(soft, mnist.test.x)
            by_temperature[row, column] = scores(found, mnist.test.y)[0]
            if temperature == TEMPERATURE:
                biases[row] = best_bias(logits_of(soft, mnist.val.x), mnist.val.y)
                rows["soft answers"][row] = scores(found, mnist.test.y)
                moved = found + biases[row] * (np.arange(10) == MISSING)
                rows["soft, bias corrected"][row] = scores(moved, mnist.test.y)
        print(
            seed,
            {name: values[row].round(3) for name, values in rows.items()},
            by_temperature[row].round(3),
            flush=True,
        )
    for name, values in rows.items():
        print(f"{name}: on 3s {summary(values[:, 0])}, on all {summary(values[:, 2])}")
    settings = {
        "rows": "seeds",
        "columns": ["on the missing digit", "on the others", "on all"],
        "missing": MISSING,
        "temperature": TEMPERATURE,
        "temperatures": TEMPERATURES,
        "num_steps": {"teacher": TEACHER_STEPS, "student": NUM_STEPS},
        "images": len(few),
        "widths": {"teacher": TEACHER, "student": WIDTHS},
        "seconds": round(time.perf_counter() - begin),
    }
    results = {"accuracy": rows, "bias": biases, "on the missing digit by temperature": by_temperature}
    write_json("distill_no_three", settings, SEEDS, results)


if __name__ == "__main__":
    main()
