"""Is a better teacher a better teacher? Its size, its number of labels, and label smoothing, on 8 x 8 digits.

A student with 16 hidden units, ten labels a class, and teachers that learn from the same 100 images: one of the
student's own architecture, and two larger ones; then one of the larger ones trained on all 1,078 images, and with
smoothed labels (Müller, Kornblith & Hinton, 2019, find that such teachers distil worse; Shen et al., 2021, that they
need not). All students see the 100 images only. Ten seeds; in each the draw of the images and all networks are new, and
what is compared is paired.

    python benchmarks/evidence/distill_teachers.py
"""

import time

import numpy as np
from common import summary, write_json
from distill_training import by_answers, by_labels, logits_of, mlp, train

from tl_course import data

SEEDS = tuple(range(10))
PER_CLASS, STUDENT = 10, (16,)
SIZES = {"16": (16,), "64, 64": (64, 64), "256, 256": (256, 256)}
SMOOTHING = 0.2
TEACHER_STEPS, NUM_STEPS, TEMPERATURE, LR = 500, 1000, 4.0, 3e-3


def one_seed(digits: data.Dataset, seed: int) -> dict[str, tuple[float, float, float]]:
    """Teacher -> (its accuracy, its student's, how often the two agree); "labels" is the student without a teacher."""
    few = digits.train.take(data.few_shot(digits.train.y, PER_CLASS, seed))
    test = digits.test

    def teacher(widths: tuple[int, ...], split: data.Split, smoothing: float = 0.0):
        how = {"num_steps": TEACHER_STEPS, "seed": seed, "lr": LR}
        return train(mlp(widths, 10, seed), split.x, by_labels(split.y, smoothing), **how)

    def student(loss_of) -> np.ndarray:
        network = mlp(STUDENT, 10, 1000 + seed)
        train(network, few.x, loss_of, num_steps=NUM_STEPS, seed=seed, lr=LR)
        return logits_of(network, test.x).argmax(1)

    teachers = {name: teacher(widths, few) for name, widths in SIZES.items()}
    teachers["64, 64, all labels"] = teacher(SIZES["64, 64"], digits.train)
    teachers["64, 64, smoothed"] = teacher(SIZES["64, 64"], few, SMOOTHING)
    found = {"labels": (np.nan, float(np.mean(student(by_labels(few.y)) == test.y)), np.nan)}
    for name, network in teachers.items():
        says, taught = logits_of(network, test.x).argmax(1), student(by_answers(logits_of(network, few.x), TEMPERATURE))
        found[name] = tuple(float(np.mean(a == b)) for a, b in ((says, test.y), (taught, test.y), (taught, says)))
    return found


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    digits = data.load("digits")
    rows = [one_seed(digits, seed) for seed in SEEDS]
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}  # (seeds, 3)
    for name, values in found.items():
        print(
            f"{name}: teacher {summary(values[:, 0])}, student {summary(values[:, 1])}, agree {summary(values[:, 2])}"
        )
    columns = ("teacher", "student", "agreement")
    results = {
        column: {name: values[:, k] for name, values in found.items() if name != "labels" or column == "student"}
        for k, column in enumerate(columns)
    }
    settings = {
        "rows": "seeds",
        "per_class": PER_CLASS,
        "widths": {"student": STUDENT, "teachers": SIZES},
        "smoothing": SMOOTHING,
        "num_steps": {"teacher": TEACHER_STEPS, "student": NUM_STEPS},
        "temperature": TEMPERATURE,
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("distill_teachers", settings, SEEDS, results)


if __name__ == "__main__":
    main()
