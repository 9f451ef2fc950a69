"""Fine-tuning Fashion-ResNet to digits: learning rates, and strategies over label counts.

Every number is test accuracy on MNIST over five draws of the labels. The sweep uses 10 labels a class. For the
strategies, the rate is chosen on 200 validation images, once for each strategy and number of labels, on a draw of its
own; every strategy may use as many gradient steps. "from scratch" is the same network with random weights.

    python benchmarks/evidence/fine_tuning.py
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from common import summary, write_json

from tl_course import data
from tl_course.history import History
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.finetune import fine_tune, gradual_unfreezing, linear_probe, lp_ft
from tl_course.pytorch.fit import evaluate

SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 1000
SWEEP_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
VAL_PER_CLASS = 20
EPOCHS = {5: 30, 10: 20, 50: 8}  # labels a class: rounds of fine-tuning
PROBE = {"num_epochs": 40, "lr": 3e-2}  # the head alone, on features computed once
RATES = (3e-4, 1e-3, 3e-3, 1e-2)

Train = Callable[[Classifier, data.Dataset, int, float], History]


def probe(classifier: Classifier, dataset: data.Dataset, num_epochs: int, lr: float) -> History:
    """The head alone."""
    return linear_probe(classifier, dataset, num_epochs=PROBE["num_epochs"], lr=10 * lr, progress=False)


def full(classifier: Classifier, dataset: data.Dataset, num_epochs: int, lr: float) -> History:
    """Everything from a random head."""
    return fine_tune(classifier, dataset, num_epochs=num_epochs, lr=lr, progress=False)


def probe_then_full(classifier: Classifier, dataset: data.Dataset, num_epochs: int, lr: float) -> History:
    """Everything from a trained head."""
    return lp_ft(
        classifier,
        dataset,
        num_epochs=num_epochs,
        lr=lr,
        probe_epochs=PROBE["num_epochs"],
        probe_lr=PROBE["lr"],
        statistics=True,
        progress=False,
    )


def gradual(classifier: Classifier, dataset: data.Dataset, num_epochs: int, lr: float) -> History:
    """The head, then three groups of stages, in as many epochs altogether."""
    options = {"num_stages": 3, "num_epochs": -(-num_epochs // 4), "statistics": True, "progress": False}
    return gradual_unfreezing(classifier, dataset, lr=lr, **options)


STRATEGIES: dict[str, tuple[Train, str | None]] = {
    "linear probe": (probe, "pretrained"),
    "fine-tuning": (full, "pretrained"),
    "LP-FT": (probe_then_full, "pretrained"),
    "gradual unfreezing": (gradual, "pretrained"),
    "from scratch": (full, None),
}


def few(dataset: data.Dataset, per_class: int, seed: int) -> data.Dataset:
    """The data set with few labels to train on and few to choose on; the test split stays."""
    assert dataset.val is not None
    chosen = data.few_shot(dataset.train.y, per_class, seed)
    choosing = data.few_shot(dataset.val.y, VAL_PER_CLASS, seed=0)
    return replace(dataset, train=dataset.train.take(chosen), val=dataset.val.take(choosing))


def trained(dataset: data.Dataset, strategy: str, per_class: int, lr: float, seed: int) -> tuple[Classifier, History]:
    """A classifier after one strategy on one draw of the labels."""
    train, weights = STRATEGIES[strategy]
    classifier = Classifier.build("fashion_resnet", dataset.class_names, weights=weights, seed=seed, device="cpu")
    return classifier, train(classifier, few(dataset, per_class, seed), EPOCHS[per_class], lr)


def score(dataset: data.Dataset, strategy: str, per_class: int, lr: float, seed: int) -> float:
    """Test accuracy."""
    return evaluate(trained(dataset, strategy, per_class, lr, seed)[0], dataset.test).accuracy


def chosen_rate(dataset: data.Dataset, strategy: str, per_class: int) -> float:
    """The rate with the best validation accuracy, on the tuning draw."""

    def val_accuracy(lr: float) -> float:
        history = trained(dataset, strategy, per_class, lr, TUNING_SEED)[1]
        return history.val_accuracy[history.best_epoch - 1]

    return max(RATES, key=val_accuracy)


def main() -> None:
    """Run both experiments and write the file."""
    start = time.perf_counter()
    dataset = data.load("mnist")
    sweep = np.array([[score(dataset, "fine-tuning", 10, lr, seed) for lr in SWEEP_RATES] for seed in SEEDS])
    print("; ".join(f"{lr:g} {summary(sweep[:, i])}" for i, lr in enumerate(SWEEP_RATES)), flush=True)
    accuracy = {strategy: np.zeros((len(SEEDS), len(EPOCHS))) for strategy in STRATEGIES}
    rates: dict[str, dict[str, float]] = {strategy: {} for strategy in STRATEGIES}
    for column, per_class in enumerate(EPOCHS):
        for strategy, values in accuracy.items():
            lr = chosen_rate(dataset, strategy, per_class)
            rates[strategy][str(per_class)] = lr
            run = partial(score, dataset, strategy, per_class, lr)
            values[:, column] = [run(seed) for seed in SEEDS]
            print(f"{per_class} a class, {strategy} (lr {lr:g}): {summary(values[:, column])}", flush=True)
    settings = {
        "sweep_rates": SWEEP_RATES,
        "sweep_per_class": 10,
        "label_counts": tuple(EPOCHS),
        "rows": "seeds",
        "rates_tried": RATES,
        "linear_probe_rates": "ten times those tried",
        "chosen_on": f"{VAL_PER_CLASS} validation images a class, draw of seed {TUNING_SEED}",
        "num_epochs": {str(count): epochs for count, epochs in EPOCHS.items()},
        "probe": PROBE,
        "seconds": round(time.perf_counter() - start),
    }
    write_json("fine_tuning", settings, SEEDS, {"sweep": sweep, "accuracy": accuracy, "rates": rates})


if __name__ == "__main__":
    main()
