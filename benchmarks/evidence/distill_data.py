"""When does distillation win, and when not? Few labels, the teacher's answers to the same images, and to others.

8 x 8 digits. A student with a few labels is compared with the same student that gets, for the same number of steps, a
teacher's soft answers: to the same images, or to all training images, whose labels it never sees. The teacher either
knows all 1,078 training labels, or has no more than the student's few. Five draws of the labels; in each the networks
and the order are new.

    python benchmarks/evidence/distill_data.py
"""

import time

import numpy as np
from common import summary, write_json
from distill_training import accuracy, by_answers, by_labels, logits_of, mlp, train

from tl_course import data

SEEDS = tuple(range(5))
PER_CLASS = (3, 10)
TEACHER, STUDENT = (128, 128), (32,)
TEACHER_STEPS, NUM_STEPS, TEMPERATURE, LR = 400, 400, 4.0, 3e-3


def one_draw(digits: data.Dataset, per_class: int, seed: int) -> dict[str, float]:
    """Test accuracy of every student and both teachers."""
    few = digits.train.take(data.few_shot(digits.train.y, per_class, seed))
    test = digits.test
    steps = {"num_steps": TEACHER_STEPS, "seed": seed, "lr": 1e-3}
    strong = train(mlp(TEACHER, 10, seed), digits.train.x, by_labels(digits.train.y), **steps)
    weak = train(mlp(TEACHER, 10, seed), few.x, by_labels(few.y), **steps)

    def student(x: np.ndarray, loss_of) -> float:
        network = mlp(STUDENT, 10, 1000 + seed)
        train(network, x, loss_of, num_steps=NUM_STEPS, seed=seed, lr=LR)
        return accuracy(network, test.x, test.y)

    def answers(teacher, x):
        return by_answers(logits_of(teacher, x), TEMPERATURE)

    return {
        "labels": student(few.x, by_labels(few.y)),
        "same images, soft": student(few.x, answers(strong, few.x)),
        "unlabelled, soft": student(digits.train.x, answers(strong, digits.train.x)),
        "teacher with the same few, soft": student(few.x, answers(weak, few.x)),
        "teacher with the same few, unlabelled": student(digits.train.x, answers(weak, digits.train.x)),
        "strong teacher": accuracy(strong, test.x, test.y),
        "weak teacher": accuracy(weak, test.x, test.y),
    }


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    digits = data.load("digits")
    found = {}
    for per_class in PER_CLASS:
        rows = [one_draw(digits, per_class, seed) for seed in SEEDS]
        found[f"{per_class} labels a class"] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        print(f"{per_class} labels a class, {time.perf_counter() - begin:.0f} s", flush=True)
        for name, values in found[f"{per_class} labels a class"].items():
            print(f"  {name}: {summary(values)}", flush=True)
    settings = {
        "rows": "seeds, which draw the labels",
        "per_class": PER_CLASS,
        "images": len(digits.train),
        "widths": {"teacher": TEACHER, "student": STUDENT},
        "num_steps": {"teacher": TEACHER_STEPS, "student": NUM_STEPS},
        "temperature": TEMPERATURE,
        "lr": {"teacher": 1e-3, "student": LR},
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("distill_data", settings, SEEDS, {"accuracy": found})


if __name__ == "__main__":
    main()
