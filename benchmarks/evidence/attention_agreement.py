"""Do attention maps rank a text's tokens as the model's answers do?

MiniLM is fine-tuned on 800 tweets, five draws and seeds. On the same 100 test tweets every token gets a rank: from
attention (first layer, last layer, all layers averaged, rollout), from gradient × input, and from leaving it out
(hidden behind the mask, or [MASK] in its place). Compared, in absolute values and without special tokens: Kendall's
tau of each pair, averaged over texts; the same measure between two seeds; and how much of the largest effect the
top-ranked token has when it is left out.

    python benchmarks/evidence/attention_agreement.py
"""

import itertools
import time
from dataclasses import replace

import numpy as np
import torch
from common import summary, write_json

from tl_course import attention, data, zoo
from tl_course.pytorch import attention as in_pytorch
from tl_course.pytorch.fit import evaluate, fit
from tl_course.pytorch.text_classifier import TextClassifier

SEEDS = (0, 1, 2, 3, 4)
PER_CLASS, NUM_EPOCHS, LR, BACKBONE_LR = 400, 2, 1e-3, 5e-5
TEXTS, WORDS = 100, (6, 25)
ATTENTION = ("first layer", "last layer", "all layers", "rollout")
MEASURES = (*ATTENTION, "gradient × input", "[MASK] in its place", "leave-one-out")


def trained(dataset: data.Dataset, seed: int) -> TextClassifier:
    """MiniLM with a head on its averaged token vectors, fine-tuned on a draw of tweets."""
    few = replace(
        dataset,
        train=dataset.train.take(data.few_shot(dataset.train.y, PER_CLASS, seed)),
        val=dataset.val.take(data.few_shot(dataset.val.y, 50, seed)),
    )
    classifier = TextClassifier(zoo.load("minilm", attention="eager"), dataset.class_names, seed=seed)
    fit(classifier, few, num_epochs=NUM_EPOCHS, lr=LR, backbone_lr=BACKBONE_LR, seed=seed, progress=False)
    return classifier


def importances(classifier: TextClassifier, texts: list[str]) -> list[np.ndarray]:
    """For each text (measures, content tokens), in absolute values."""
    maps = in_pytorch.attention_maps(classifier, texts)
    mask_id = classifier.tokenizer.mask_token_id
    asked = (
        in_pytorch.gradient_x_input(classifier, texts),
        in_pytorch.leave_one_out(classifier, texts, replace_with=mask_id),
        in_pytorch.leave_one_out(classifier, texts),
    )
    rows = []
    for index in range(len(texts)):
        weights = maps.of(index)
        seen = (weights[0], weights[-1], weights, attention.rollout(weights))
        every = [attention.received(each) for each in seen] + [np.abs(measure[index]) for measure in asked]
        rows.append(np.stack(every)[:, ~maps.special_of(index)])
    return rows


def mean_tau(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Mean and standard deviation of Kendall's tau over texts."""
    taus = np.array([attention.rank_correlation(*pair) for pair in pairs])
    return float(np.nanmean(taus)), float(np.nanstd(taus, ddof=1))


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    torch.set_num_threads(1)
    dataset = data.load("sentiment", domain="tweets")
    short = [text for text in dataset.test.x.tolist() if WORDS[0] <= len(text.split()) <= WORDS[1]]
    texts = [short[i] for i in np.random.default_rng(0).permutation(len(short))[:TEXTS]]
    count = len(MEASURES)
    tau, over_texts = np.ones((len(SEEDS), count, count)), np.zeros((len(SEEDS), count, count))
    accuracy, share = np.zeros(len(SEEDS)), np.zeros((len(SEEDS), count + 1))
    found: list[list[np.ndarray]] = []
    for row, seed in enumerate(SEEDS):
        classifier = trained(dataset, seed)
        accuracy[row] = evaluate(classifier, dataset.test).accuracy
        rows = importances(classifier, texts)
        found.append(rows)
        for a, b in itertools.combinations(range(count), 2):
            tau[row, a, b], over_texts[row, a, b] = mean_tau([(values[a], values[b]) for values in rows])
            tau[row, b, a], over_texts[row, b, a] = tau[row, a, b], over_texts[row, a, b]
        effects = [values[-1] / values[-1].max() for values in rows]  # leave-one-out, the largest is 1
        share[row, :count] = np.mean(
            [[effect[values[m].argmax()] for m in range(count)] for effect, values in zip(effects, rows, strict=True)],
            axis=0,
        )
        share[row, count] = np.mean([effect.mean() for effect in effects])
        print(f"seed {seed}: accuracy {accuracy[row]:.3f}, {time.perf_counter() - begin:.0f} s", flush=True)
        print(np.round(tau[row], 2), np.round(share[row], 2), flush=True)
    between = np.array(
        [
            [mean_tau([(a[m], b[m]) for a, b in zip(found[i], found[j], strict=True)])[0] for m in range(count)]
            for i, j in itertools.combinations(range(len(SEEDS)), 2)
        ]
    )
    for m, name in enumerate(MEASURES):
        print(f"{name}: with leave-one-out {summary(tau[:, m, -1])}, between seeds {summary(between[:, m])}")
    results = {
        "measures": MEASURES,
        "tau": tau,
        "tau_std_over_texts": over_texts,
        "tau_between_seeds": between,
        "share_of_largest_effect": share,
        "accuracy": accuracy,
        "content_tokens": [int(values.shape[1]) for values in found[0]],
    }
    settings = {
        "domain": "tweets",
        "per_class": PER_CLASS,
        "num_epochs": NUM_EPOCHS,
        "lr": LR,
        "backbone_lr": BACKBONE_LR,
        "texts": TEXTS,
        "words": WORDS,
        "axes_of_tau": "seeds, measures, measures; Kendall's tau-b averaged over texts",
        "axes_of_tau_between_seeds": "pairs of seeds, measures",
        "axes_of_share": "seeds, measures and last a token drawn at random; the largest effect of a text is 1",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("attention_agreement", settings, SEEDS, results)


if __name__ == "__main__":
    main()
