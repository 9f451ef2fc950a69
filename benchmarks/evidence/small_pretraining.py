"""What does pretraining on a few thousand unlabelled texts buy, at the same budget?

A small encoder (2 blocks, 64 wide) learns from all training texts of four domains, without labels: by masked or by
causal language modelling. Then it is fine-tuned on 50, 200 or 1,000 labelled tweets. Its rivals are the same network,
tokenizer and recipe without pretraining: with as many fine-tuning steps, and with the pretraining's steps on top.
Learning rates are chosen on validation tweets, at 200 labels of another draw, for each method. TF-IDF with logistic
regression, and a linear probe on MiniLM, which others trained on a thousand million sentence pairs, stand beside them
for reference. Five seeds; each pretrains anew.

    python benchmarks/evidence/small_pretraining.py
"""

import time
from dataclasses import replace

import numpy as np
import torch
from common import summary, write_json
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from tl_course import data, zoo
from tl_course.encoder_config import EncoderConfig
from tl_course.feature_cache import cached_features
from tl_course.masking import MaskingVocab
from tl_course.probes import linear_probe, tfidf_probe
from tl_course.pytorch.encoder import Encoder
from tl_course.pytorch.features import masked_mean
from tl_course.pytorch.language_models import CausalLM, MaskedLM, held_out_loss, pretrain
from tl_course.schedules import warmup_cosine
from tl_course.vocabulary import encode, train_tokenizer

DOMAINS = ("tweets", "movies", "products", "news")
LABEL_COUNTS = (50, 200, 1000)
SEEDS = tuple(range(5))
TUNING_SEED = 100
TUNING_LABELS = 200
LEARNING_RATES = (3e-4, 1e-3, 3e-3)
MAX_TOKENS = 32
VOCAB_SIZE = 1000
PRETRAINING = {"num_steps": 800, "batch_size": 32, "rate": 0.3, "lr": 4e-3}
FINE_TUNING_STEPS = 150
BATCH_SIZE = 32
WHOLE_BUDGET = PRETRAINING["num_steps"] + FINE_TUNING_STEPS
START = {"masked LM, then fine-tuned": "masked", "causal LM, then fine-tuned": "causal"}
SCRATCH = {"from scratch, fine-tuning steps": FINE_TUNING_STEPS, "from scratch, whole budget": WHOLE_BUDGET}


class Classifier(nn.Module):
    """Encoder, mean over the tokens, linear head."""

    def __init__(self, encoder: Encoder, causal: bool) -> None:
        super().__init__()
        self.encoder, self.causal, self.head = encoder, causal, nn.Linear(encoder.config.dim, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        mask = (ids != 0).long()
        hidden = self.encoder(ids, mask, causal=self.causal).last_hidden_state
        return self.head(masked_mean(hidden, mask))


def new_encoder(vocab_size: int, seed: int, dropout: float) -> Encoder:
    """A random encoder."""
    torch.manual_seed(seed)
    return Encoder(EncoderConfig(vocab_size, MAX_TOKENS, 64, 2, 4, 128, dropout=dropout, norm="pre", num_segments=0))


def train(classifier: Classifier, ids: np.ndarray, y: np.ndarray, num_steps: int, lr: float, seed: int) -> None:
    """Cross-entropy, AdamW, warm-up and cosine decay, everything trained."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=lr, weight_decay=0.01)
    order = np.concatenate([rng.permutation(len(y)) for _ in range(-(-num_steps * BATCH_SIZE // len(y)))])
    classifier.train()
    for step in range(num_steps):
        optimizer.param_groups[0]["lr"] = warmup_cosine(step, num_steps, lr)
        chosen = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
        batch = ids[chosen, : (ids[chosen] != 0).sum(axis=1).max()]
        loss = nn.functional.cross_entropy(classifier(torch.from_numpy(batch)), torch.from_numpy(y[chosen]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def score(classifier: Classifier, ids: np.ndarray, y: np.ndarray) -> float:
    """Balanced accuracy."""
    classifier.eval()
    with torch.inference_mode():
        return balanced_accuracy_score(y, classifier(torch.from_numpy(ids)).argmax(dim=1).numpy())


def fine_tuned(
    start: Encoder | None, vocab_size: int, objective: str, few: data.Split, num_steps: int, lr: float, seed: int
) -> Classifier:
    """A classifier trained on the few texts, from pretrained weights or from random ones."""
    encoder = new_encoder(vocab_size, seed + 1000, dropout=0.1)
    if start is not None:
        encoder.load_state_dict(start.state_dict())
    classifier = Classifier(encoder, objective == "causal")
    train(classifier, few.x, few.y, num_steps, lr, seed)
    return classifier


def main() -> None:
    """Run everything and write the file."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    domains = [data.load("sentiment", domain=domain, neutral=0) for domain in DOMAINS]
    unlabelled = np.concatenate([dataset.train.x for dataset in domains])
    tokenizer = train_tokenizer(unlabelled, VOCAB_SIZE)
    vocab, size = MaskingVocab.of(tokenizer), len(tokenizer)
    pool = encode(tokenizer, unlabelled, MAX_TOKENS)
    held_out = encode(tokenizer, np.concatenate([dataset.val.x for dataset in domains]), MAX_TOKENS)
    tweets = data.load("sentiment", domain="tweets")
    texts = {name: getattr(tweets, name) for name in ("train", "val", "test")}
    coded = {name: replace(split, x=encode(tokenizer, split.x, MAX_TOKENS)) for name, split in texts.items()}
    models: dict[str, dict[int, Encoder]] = {"masked": {}, "causal": {}}
    losses: dict[str, list[float]] = {"masked": [], "causal": []}
    seconds: dict[str, float] = {}

    def pretrained(objective: str, seed: int) -> Encoder:
        if seed not in models[objective]:
            model = (MaskedLM if objective == "masked" else CausalLM)(new_encoder(size, seed, dropout=0.0))
            before = time.process_time()
            pretrain(model, pool, model.objective, **PRETRAINING, vocab=vocab, seed=seed)
            seconds[f"pretraining, {objective}"] = time.process_time() - before
            losses[objective].append(held_out_loss(model, held_out, vocab=vocab))
            models[objective][seed] = model.encoder
            print(f"{objective}, seed {seed}: held-out loss {losses[objective][-1]:.3f}", flush=True)
        return models[objective][seed]

    def run(method: str, labels: int, seed: int, lr: float, part: str) -> float:
        few = coded["train"].take(data.few_shot(coded["train"].y, labels // 2, seed))
        objective = START.get(method, "none")
        start = pretrained(objective, seed % TUNING_SEED) if method in START else None
        before = time.process_time()
        classifier = fine_tuned(start, size, objective, few, SCRATCH.get(method, FINE_TUNING_STEPS), lr, seed)
        seconds[method] = time.process_time() - before
        return score(classifier, coded[part].x, coded[part].y)

    methods = (*START, *SCRATCH)
    rates, tuning = {}, {}
    for method in methods:
        tuning[method] = [run(method, TUNING_LABELS, TUNING_SEED, lr, "val") for lr in LEARNING_RATES]
        rates[method] = LEARNING_RATES[int(np.argmax(tuning[method]))]
        print(f"{method}: {tuning[method]} -> {rates[method]:g}", flush=True)

    minilm = zoo.load("minilm")
    vectors = {name: cached_features(minilm, split.x).features for name, split in texts.items()}
    references = ("TF-IDF", "MiniLM + linear probe")
    scores = {method: np.zeros((len(SEEDS), len(LABEL_COUNTS))) for method in (*methods, *references)}
    for column, labels in enumerate(LABEL_COUNTS):
        for row, seed in enumerate(SEEDS):
            for method in methods:
                scores[method][row, column] = run(method, labels, seed, rates[method], "test")
            chosen = data.few_shot(texts["train"].y, labels // 2, seed)
            few, test = texts["train"].take(chosen), texts["test"]
            answers = (
                tfidf_probe(few.x, few.y, test.x, test.y).predictions,
                linear_probe(vectors["train"][chosen], few.y, vectors["test"], test.y).predictions,
            )
            for method, answer in zip(references, answers, strict=True):
                scores[method][row, column] = balanced_accuracy_score(test.y, answer)
        for method, values in scores.items():
            print(f"{labels} labels, {method}: {summary(values[:, column])}", flush=True)

    counts = np.bincount(pool[pool > vocab.mask_id], minlength=size) + 1
    ordinary = held_out[held_out > vocab.mask_id]
    results = {
        "balanced_accuracy": scores,
        "held_out_loss": losses,
        "held_out_loss_of_unigrams": float(-np.log(counts / counts.sum())[ordinary].mean()),
        "validation_by_learning_rate": tuning,
        "rates": rates,
        "cpu_seconds_of_the_last_run": {name: round(value, 1) for name, value in seconds.items()},
        "texts": {"unlabelled": len(pool), "test": len(texts["test"])},
        "parameters": sum(p.numel() for p in models["masked"][0].parameters()),
    }
    settings = {
        "label_counts": LABEL_COUNTS,
        "rows_of_scores": "seeds; each has its own pretraining, labels and head",
        "columns_of_scores": "labelled tweets in all, half of each class",
        "unlabelled": "all training texts of tweets, movies, products and news, neutral ones included",
        "vocabulary": f"{VOCAB_SIZE} byte-pair pieces of the unlabelled texts, texts cut at {MAX_TOKENS} tokens",
        "encoder": "2 blocks, 64 wide, 4 heads, pre-norm",
        "pretraining": PRETRAINING,
        "fine_tuning_steps": FINE_TUNING_STEPS,
        "whole_budget_steps": WHOLE_BUDGET,
        "batch_size": BATCH_SIZE,
        "learning_rates": LEARNING_RATES,
        "tuned_on": f"validation tweets, {TUNING_LABELS} labels of seed {TUNING_SEED}, each method by itself",
        "seconds": round(time.perf_counter() - began),
    }
    write_json("small_pretraining", settings, SEEDS, results)


if __name__ == "__main__":
    main()
