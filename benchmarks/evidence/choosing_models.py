"""Do scores of frozen features predict the fine-tuned result? Eleven image networks, three targets, 100 labels each.

Every candidate is scored on 100 labelled images (10 a class, ten classes) and then fine-tuned on the same images; the
result is the accuracy on 200 test images that no score has seen. Five draws of the labels; scores and results of a pair
are means over them. Left out are the pairs where the target is what the network was pretrained on. The peak rate of a
network is the better one of two on validation images of mnist, on a draw of its own.

    python benchmarks/evidence/choosing_models.py
"""

import copy
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from choosing_candidates import Candidate, all_candidates
from common import write_json
from torch import nn
from training import accuracy, train

from tl_course import data
from tl_course.scratch_recipe import Recipe
from tl_course.selection import score_features
from tl_course.selection_scores import h_score, linear_cka, rank_agreement

SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 1000
PER_CLASS, NUM_CLASSES, TEST_IMAGES = 10, 10, 200
RATES = (1e-3, 3e-3)
STEPS, BATCH_SIZE, SHIFT = 40, 25, 0.1
SCORED = ("knn", "linear_probe", "logme", "h_score", "h_score_unshrunk", "leep", "parameters", "width")
TARGETS: dict[str, Callable[[], data.Dataset]] = {
    "mnist": lambda: data.load("mnist"),
    "photos": lambda: data.load("photos", size=32, per_photo={"train": 100, "val": 1, "test": 40}),
    "cluttered_digits": lambda: data.load("cluttered_digits"),
}


def ten_classes(split: data.Split) -> data.Split:
    """Of the photographs, the first ten."""
    return split.take(np.flatnonzero(split.y < NUM_CLASSES))


def some(split: data.Split, count: int) -> data.Split:
    """The same examples every time."""
    return split.take(np.random.RandomState(0).permutation(len(split))[:count])


def draws(target: data.Dataset, seeds: tuple[int, ...]) -> dict[int, data.Split]:
    """The labelled images of every draw."""
    pool = ten_classes(target.train)
    return {seed: pool.take(data.few_shot(pool.y, PER_CLASS, seed)) for seed in seeds}


@torch.inference_mode()
def features_of(candidate: Candidate, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Frozen features (N, D) of prepared images, and the source head's probabilities where there is one."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    features = torch.cat([candidate.backbone.eval()(batch) for batch in x.split(50)])
    probabilities = None if candidate.head is None else candidate.head(features).softmax(dim=1).numpy()
    return features.numpy(), probabilities


def scores_of(candidate: Candidate, few: data.Split, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All scores of one pair on one draw, in the order of SCORED, and the features."""
    features, probabilities = features_of(candidate, candidate.prepare(few.x))
    found = score_features(features, few.y, probabilities, seed=seed)
    parameters = sum(p.numel() for p in candidate.backbone.parameters())
    unshrunk = h_score(features, few.y, shrinkage=0.0)
    leep = np.nan if found.leep is None else found.leep
    row = (found.knn, found.linear_probe, found.logme, found.h_score, unshrunk, leep, parameters, candidate.width)
    return np.array(row, dtype=float), features


def fine_tuned(candidate: Candidate, few: data.Split, lr: float, seed: int) -> nn.Module:
    """A copy with a fresh head, all of it trained."""
    torch.manual_seed(seed)
    model = nn.Sequential(copy.deepcopy(candidate.backbone), nn.Linear(candidate.width, NUM_CLASSES))
    model.requires_grad_(True)
    recipe = Recipe(lr=lr, steps=STEPS, batch_size=BATCH_SIZE, shift=SHIFT)
    return train(model, candidate.prepare(few.x), few.y, recipe, seed)


def chosen_rate(candidate: Candidate) -> float:
    """The better rate on mnist's validation images."""
    target = data.load("mnist")
    few, val = draws(target, (TUNING_SEED,))[TUNING_SEED], some(target.splits["val"], TEST_IMAGES)
    val_x = candidate.prepare(val.x)
    return max(RATES, key=lambda lr: accuracy(fine_tuned(candidate, few, lr, TUNING_SEED), val_x, val.y))


def run_target(
    target: data.Dataset, candidates: dict[str, Candidate], rates: dict[str, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, float]]:
    """Scores (draws, models, SCORED), results (draws, models), CKA of the first draw, and seconds for both."""
    few, test = draws(target, SEEDS), some(ten_classes(target.test), TEST_IMAGES)
    scores = np.full((len(SEEDS), len(candidates), len(SCORED)), np.nan)
    results = np.full((len(SEEDS), len(candidates)), np.nan)
    features, seconds = {}, {"scores": 0.0, "fine-tuning": 0.0}
    for column, (name, candidate) in enumerate(candidates.items()):
        if candidate.source == target.name:
            continue
        test_x = candidate.prepare(test.x)
        for row, seed in enumerate(SEEDS):
            start = time.process_time()
            scores[row, column], drawn = scores_of(candidate, few[seed], seed)
            features.setdefault(name, drawn)
            middle = time.process_time()
            model = fine_tuned(candidate, few[seed], rates[name], seed)
            results[row, column] = accuracy(model, test_x, test.y)
            seconds["scores"] += middle - start
            seconds["fine-tuning"] += time.process_time() - middle
        found = dict(zip(SCORED, scores[:, column].mean(axis=0).round(3), strict=True))
        print(f"{target.name}, {name}: {results[:, column].mean():.1%}; {found}", flush=True)
    kept = list(features)
    cka = np.full((len(candidates), len(candidates)), np.nan)
    places = [list(candidates).index(name) for name in kept]
    cka[np.ix_(places, places)] = [[linear_cka(features[a], features[b]) for b in kept] for a in kept]
    return scores, results, cka, seconds


def agreement(
    scores: dict[str, np.ndarray], results: dict[str, np.ndarray], names: Sequence[str] = SCORED
) -> dict[str, dict]:
    """Kendall's tau of these scores with the results, on means over draws."""
    means = {name: values.mean(axis=0) for name, values in results.items()}
    return {
        score: vars(rank_agreement({name: values.mean(axis=0)[:, i] for name, values in scores.items()}, means))
        for i, score in enumerate(SCORED)
        if score in names
    }


def main() -> None:
    """Run everything; the file is written after every target, so that a run cut short keeps those it finished."""
    start = time.perf_counter()
    candidates = all_candidates()
    rates = {name: chosen_rate(candidate) for name, candidate in candidates.items()}
    print(f"rates: {rates}; {time.perf_counter() - start:.0f} s so far", flush=True)
    settings = {
        "models": tuple(candidates),
        "source": {name: candidate.source for name, candidate in candidates.items()},
        "axes_of_accuracy": "draws, models; NaN where the target is the model's own source",
        "axes_of_scores": "draws, models, the names in 'scored'",
        "scored": SCORED,
        "labels": f"{PER_CLASS} a class, {NUM_CLASSES} classes",
        "test_images": TEST_IMAGES,
        "rates": rates,
        "rates_tried": RATES,
        "rates_chosen_on": f"mnist's validation images, draw of seed {TUNING_SEED}",
        "steps": STEPS,
        "batch_size": BATCH_SIZE,
        "shift": SHIFT,
        "mobilenet_v2_image_size": 32,
    }
    scores, results, cka, seconds = {}, {}, {}, {}
    for name, load in TARGETS.items():
        scores[name], results[name], cka[name], seconds[name] = run_target(load(), candidates, rates)
        found = {"accuracy": results, "scores": scores, "agreement": agreement(scores, results), "cka": cka}
        settings |= {"targets": tuple(results), "processor_seconds": seconds}
        write_json("choosing_models", settings | {"seconds": round(time.perf_counter() - start)}, SEEDS, found)
        for score, values in found["agreement"].items():
            print(f"{score}: tau {values['tau']:.2f} ({values['low']:.2f} to {values['high']:.2f})", flush=True)


if __name__ == "__main__":
    main()
