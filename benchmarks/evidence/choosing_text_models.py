"""Do scores of frozen features predict the fine-tuned result of text encoders? Seven forms of MiniLM, two domains.

MiniLM cut after 1, 2, 4 or 6 layers, pooled by the masked mean or by [CLS], with its last two layers drawn anew, or two
layers of random weights. Each is scored on 48 labelled texts (24 a class) and fine-tuned on the same texts; the result
is balanced accuracy on 100 test texts that no score has seen. Five draws of the labels; scores and results of a pair
are means over them. One peak rate for all, from lesson 05; the token embeddings stay frozen to save time.

    python benchmarks/evidence/choosing_text_models.py
"""

import copy
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import text_training as tt
import torch
from choosing_models import SCORED, agreement
from common import write_json
from torch import Tensor, nn

from tl_course import data, zoo
from tl_course.pytorch.features import masked_mean
from tl_course.selection import score_features
from tl_course.selection_scores import h_score, linear_cka
from tl_course.text_batches import length_buckets

SEEDS = (0, 1, 2, 3, 4)
DOMAINS = ("tweets", "movies")
PER_CLASS, TEST_TEXTS, MAX_TOKENS = 24, 100, 24
LR, NUM_EPOCHS = 3e-4, 5


@dataclass(frozen=True)
class Form:
    """One form of MiniLM: how many layers, pooled how, and which of them are not pretrained."""

    layers: int
    pooling: str = "mean"
    drawn_anew: int = 0


FORMS = {
    "6 layers": Form(6),
    "6 layers, [CLS]": Form(6, "cls"),
    "4 layers": Form(4),
    "2 layers": Form(2),
    "1 layer": Form(1),
    "6 layers, last 2 random": Form(6, drawn_anew=2),
    "2 layers, both random": Form(2, drawn_anew=2),
}


class Encoder(nn.Module):
    """A form of MiniLM with pooling: tokens (N, L) -> (N, 384), the matrix products in bfloat16."""

    def __init__(self, encoder: Any, form: Form) -> None:
        super().__init__()
        self.form = form
        self.encoder: Any = copy.deepcopy(encoder)
        self.encoder.encoder.layer = self.encoder.encoder.layer[: form.layers]
        self.encoder.embeddings.requires_grad_(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return masked_mean(hidden.float(), attention_mask) if self.form.pooling == "mean" else hidden[:, 0].float()


class Network(nn.Module):
    """An encoder and a fresh linear head, with dropout between."""

    def __init__(self, encoder: Encoder, seed: int) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder)
        torch.manual_seed(seed)
        self.head = nn.Linear(384, 2)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.head(nn.functional.dropout(self.encoder(input_ids, attention_mask), 0.1, self.training))


def encoders() -> dict[str, Encoder]:
    """Every form by name; the layers that are drawn anew come from MiniLM with random weights."""
    torch.manual_seed(0)
    pretrained, random = tt.minilm().model, zoo.load("minilm", weights=None, device="cpu").model
    found = {}
    for name, form in FORMS.items():
        encoder = Encoder(random if form.drawn_anew == form.layers else pretrained, form)
        for place in range(form.layers - form.drawn_anew, form.layers):
            encoder.encoder.encoder.layer[place] = copy.deepcopy(random.encoder.layer[place])
        found[name] = encoder.eval()
    return found


@torch.inference_mode()
def features_of(encoder: Encoder, tokens: list[list[int]]) -> np.ndarray:
    """Frozen features float32 (N, 384)."""
    found = np.zeros((len(tokens), 384), dtype=np.float32)
    for chosen in length_buckets([len(ids) for ids in tokens], 32):
        found[chosen] = encoder(**tt.padded(tokens, chosen)).numpy()
    return found


def run_domain(domain: str, forms: dict[str, Encoder]) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, float]]:
    """Scores (draws, models, SCORED), results (draws, models), CKA of the first draw, and seconds for both."""
    dataset, tokenizer = data.load("sentiment", domain=domain), tt.minilm().tokenizer
    pool, test = tt.some(dataset.train, 2000), tt.some(dataset.test, TEST_TEXTS)
    test_tokens = tokenizer(list(test.x), truncation=True, max_length=MAX_TOKENS)["input_ids"]
    scores = np.full((len(SEEDS), len(forms), len(SCORED)), np.nan)
    results = np.full((len(SEEDS), len(forms)), np.nan)
    first, seconds = [], {"scores": 0.0, "fine-tuning": 0.0}
    for column, (name, encoder) in enumerate(forms.items()):
        for row, seed in enumerate(SEEDS):
            few = pool.take(data.few_shot(pool.y, PER_CLASS, seed))
            tokens = tokenizer(list(few.x), truncation=True, max_length=MAX_TOKENS)["input_ids"]
            start = time.process_time()
            features = features_of(encoder, tokens)
            scores[row, column] = scores_of(encoder, features, few.y, seed)
            first += [features] if row == 0 else []
            middle = time.process_time()
            network = Network(encoder, seed)
            tt.train(network, tokens, few.y, lr=LR, num_epochs=NUM_EPOCHS, seed=seed)
            results[row, column] = tt.balanced_accuracy(tt.predict(network, test_tokens), test.y)
            seconds["scores"] += middle - start
            seconds["fine-tuning"] += time.process_time() - middle
        line = dict(zip(SCORED, scores[:, column].mean(axis=0).round(3), strict=True))
        print(f"{domain}, {name}: {results[:, column].mean():.1%}; {line}", flush=True)
    return scores, results, np.array([[linear_cka(a, b) for b in first] for a in first]), seconds


def scores_of(encoder: Encoder, features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[float, ...]:
    """All scores of one pair on one draw, in the order of SCORED."""
    found = score_features(features, labels, seed=seed)
    parameters = sum(p.numel() for p in encoder.parameters())
    unshrunk = h_score(features, labels, shrinkage=0.0)
    return found.knn, found.linear_probe, found.logme, found.h_score, unshrunk, np.nan, parameters, 384


def main() -> None:
    """Run everything; the file is written after every domain, so that a run cut short keeps those it finished."""
    begin = time.perf_counter()
    forms = encoders()
    settings = {
        "models": tuple(forms),
        "axes_of_accuracy": "draws, models; balanced",
        "axes_of_scores": "draws, models, the names in 'scored'; no form has a source head, so LEEP is NaN",
        "scored": SCORED,
        "labels": f"{PER_CLASS} a class, 2 classes",
        "test_texts": TEST_TEXTS,
        "max_tokens": MAX_TOKENS,
        "lr": LR,
        "num_epochs": NUM_EPOCHS,
        "batch_size": tt.BATCH_SIZE,
        "frozen": "the token embeddings",
        "precision": "bfloat16 matrix products",
    }
    compared = [score for score in SCORED if score not in ("leep", "width")]
    scores, results, cka, seconds = {}, {}, {}, {}
    for domain in DOMAINS:
        scores[domain], results[domain], cka[domain], seconds[domain] = run_domain(domain, forms)
        found = {"accuracy": results, "scores": scores, "agreement": agreement(scores, results, compared), "cka": cka}
        settings |= {"targets": tuple(results), "processor_seconds": seconds}
        write_json("choosing_text_models", settings | {"seconds": round(time.perf_counter() - begin)}, SEEDS, found)
        for score, values in found["agreement"].items():
            print(f"{score}: tau {values['tau']:.2f} ({values['low']:.2f} to {values['high']:.2f})", flush=True)


if __name__ == "__main__":
    main()
