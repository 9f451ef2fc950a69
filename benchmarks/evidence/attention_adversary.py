"""How much can attention change while the answer stays? (Jain & Wallace, 2019; Wiegreffe & Pinter, 2019)

A small classifier: one attention layer (additive) over frozen token vectors, a linear head on the weighted sum. Trained
on 1,000 tweets, five draws and seeds, on two kinds of vectors: MiniLM's static word embeddings, and its last hidden
states, each of which has seen the whole text. On 200 test tweets:

1. accuracy with learned attention, and with uniform attention trained alike;
2. attention permuted among the tokens, 50 times: the median change of the probability;
3. adversarial attention: as far as possible from the learned one (total variation) while the probability moves by at
   most 0.01.

    python benchmarks/evidence/attention_adversary.py
"""

import time

import numpy as np
import torch
from common import summary, write_json
from torch import Tensor, nn

from tl_course import data, zoo

SEEDS = (0, 1, 2, 3, 4)
KINDS = ("static words", "contextual states")
PER_CLASS, TEXTS, WIDTH = 500, 200, 64
NUM_STEPS, LR, WEIGHT_DECAY, BATCH = 300, 3e-3, 1e-2, 64
PERMUTATIONS, ALLOWED, ATTACK_STEPS, ATTACK_LR, PENALTY = 50, 0.01, 300, 0.1, 100.0
MAX_TOKENS = 48


class AttentionPooling(nn.Module):
    """Token vectors -> weights softmax(v · tanh(W h)) -> weighted sum -> logits."""

    def __init__(self, width: int, uniform: bool) -> None:
        super().__init__()
        self.uniform = uniform
        self.score = nn.Sequential(nn.Linear(width, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1, bias=False))
        self.head = nn.Linear(width, 2)

    def attend(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(N, T, D), bool (N, T) -> weights (N, T)."""
        scores = self.score(hidden).squeeze(-1) * (0.0 if self.uniform else 1.0)
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=1)

    def answer(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """Logits (N, 2) for given weights (N, T)."""
        return self.head((weights.unsqueeze(-1) * hidden).sum(dim=1))


def token_vectors(texts: list[str]) -> tuple[dict[str, Tensor], Tensor]:
    """Both kinds of vectors (N, T, D), special tokens left out of the mask (N, T)."""
    model = zoo.load("minilm")
    model.max_tokens = MAX_TOKENS
    batch = model.preprocess(texts)
    with torch.no_grad():
        states = torch.cat(
            [
                model.model(**{key: value[at : at + 100] for key, value in batch.items()}).last_hidden_state
                for at in range(0, len(texts), 100)
            ]
        )
        words = model.model.get_input_embeddings()(batch["input_ids"])
    special = torch.isin(batch["input_ids"], torch.tensor(model.tokenizer.all_special_ids))
    scaled = {kind: x / x.norm(dim=-1, keepdim=True) * 4 for kind, x in zip(KINDS, (words, states), strict=True)}
    return scaled, ~special


def trained(hidden: Tensor, mask: Tensor, y: Tensor, uniform: bool, seed: int) -> AttentionPooling:
    """A classifier trained with AdamW."""
    torch.manual_seed(seed)
    model = AttentionPooling(hidden.shape[-1], uniform)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    for _step in range(NUM_STEPS):
        rows = torch.randint(len(y), (BATCH,))
        logits = model.answer(hidden[rows], model.attend(hidden[rows], mask[rows]))
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, y[rows]).backward()
        optimizer.step()
    return model.requires_grad_(False).eval()


def permuted(model: AttentionPooling, hidden: Tensor, mask: Tensor, rng: np.random.Generator) -> np.ndarray:
    """The median change of the positive probability when a text's weights change places: (N,)."""
    weights = model.attend(hidden, mask)
    before = model.answer(hidden, weights).softmax(dim=1)[:, 1]
    changes = []
    for _round in range(PERMUTATIONS):
        mixed = weights.clone()
        for row, real in enumerate(mask):
            places = torch.nonzero(real).squeeze(1)
            mixed[row, places] = weights[row, places[torch.from_numpy(rng.permutation(len(places)))]]
        changes.append((model.answer(hidden, mixed).softmax(dim=1)[:, 1] - before).abs())
    return torch.stack(changes).median(dim=0).values.numpy()


def attacked(model: AttentionPooling, hidden: Tensor, mask: Tensor) -> np.ndarray:
    """The largest total variation found between the weights and others that keep the answer: (N,)."""
    weights = model.attend(hidden, mask)
    before = model.answer(hidden, weights).softmax(dim=1)[:, 1]
    free = weights.clamp(min=1e-4).log().add_(0.5 * torch.randn_like(weights)).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=ATTACK_LR)
    best = torch.zeros(len(weights))
    for _step in range(ATTACK_STEPS):
        other = free.masked_fill(~mask, -torch.inf).softmax(dim=1)
        moved = (model.answer(hidden, other).softmax(dim=1)[:, 1] - before).abs()
        distance = 0.5 * (other - weights).abs().sum(dim=1)
        best = torch.where(moved.detach() <= ALLOWED, torch.maximum(best, distance.detach()), best)
        optimizer.zero_grad()
        (PENALTY * (moved - ALLOWED / 2).clamp(min=0) - distance).sum().backward()
        optimizer.step()
    return best.numpy()


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    torch.set_num_threads(1)
    dataset = data.load("sentiment", domain="tweets")
    rng = np.random.default_rng(0)
    test = dataset.test.take(rng.permutation(len(dataset.test))[:TEXTS])
    train = dataset.train.take(rng.permutation(len(dataset.train))[:2000])
    train_vectors, train_mask = token_vectors(train.x.tolist())
    test_vectors, test_mask = token_vectors(test.x.tolist())
    names = ("accuracy learned", "accuracy uniform", "change when permuted", "adversarial distance", "undecided")
    found = {name: np.zeros((len(SEEDS), len(KINDS))) for name in names}
    distances = np.zeros((len(SEEDS), len(KINDS), TEXTS))
    for row, seed in enumerate(SEEDS):
        chosen = torch.from_numpy(data.few_shot(train.y, PER_CLASS, seed))
        y = torch.from_numpy(train.y)[chosen]
        for column, kind in enumerate(KINDS):
            hidden, seen = test_vectors[kind], train_vectors[kind][chosen]
            for name, uniform in (("accuracy learned", False), ("accuracy uniform", True)):
                model = trained(seen, train_mask[chosen], y, uniform, seed)
                logits = model.answer(hidden, model.attend(hidden, test_mask))
                found[name][row, column] = (logits.argmax(dim=1).numpy() == test.y).mean()
                if not uniform:
                    found["undecided"][row, column] = (logits.softmax(dim=1).amax(dim=1) < 0.95).float().mean().item()
                    found["change when permuted"][row, column] = np.median(permuted(model, hidden, test_mask, rng))
                    distances[row, column] = attacked(model, hidden, test_mask)
                    found["adversarial distance"][row, column] = np.median(distances[row, column])
        print(f"seed {seed}: {time.perf_counter() - begin:.0f} s", flush=True)
    for name, values in found.items():
        print(name, "; ".join(f"{kind} {summary(values[:, k])}" for k, kind in enumerate(KINDS)))
    settings = {
        "kinds": KINDS,
        "per_class": PER_CLASS,
        "texts": TEXTS,
        "num_steps": NUM_STEPS,
        "lr": LR,
        "weight_decay": WEIGHT_DECAY,
        "allowed_change_of_probability": ALLOWED,
        "axes": "seeds, kinds of token vectors; medians over texts",
        "undecided": "share of texts whose larger probability is below 0.95",
        "seconds": round(time.perf_counter() - begin),
    }
    quartiles = np.quantile(distances, (0.25, 0.5, 0.75), axis=2)
    write_json("attention_adversary", settings, SEEDS, {**found, "adversarial distance quartiles": quartiles})


if __name__ == "__main__":
    main()
