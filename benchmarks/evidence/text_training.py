"""One training loop for the experiments of lesson 05: MiniLM with a new head on the masked mean of its last layer.

On one core fine-tuning MiniLM is slow, so the loop is lean: token ids made once, batches of like lengths, and bfloat16
for the matrix products (weights, gradients and the optimizer stay in float32), which here halves the time.
"""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tl_course import data, zoo
from tl_course.pytorch.features import masked_mean
from tl_course.schedules import warmup_cosine
from tl_course.text_batches import length_buckets, pad
from tl_course.zoo.texts import TextModel

torch.set_num_threads(1)

BATCH_SIZE = 16
WEIGHT_DECAY = 0.05
WARMUP = 0.1


class TextNetwork(nn.Module):
    """An encoder, the masked mean of its last layer, dropout and a linear head: tokens (N, L) -> logits (N, K)."""

    def __init__(self, encoder: nn.Module, num_classes: int, seed: int) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(384, num_classes)
            nn.init.normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)
        self.dropout = nn.Dropout(0.1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head(self.dropout(masked_mean(hidden.float(), attention_mask)))


def tokens_of(model: TextModel, texts: np.ndarray) -> list[list[int]]:
    """Token ids of every text, [CLS] and [SEP] included, cut after 128 tokens."""
    return model.tokenizer(list(texts), truncation=True, max_length=128)["input_ids"]


def padded(tokens: list[list[int]], chosen: np.ndarray) -> dict[str, Tensor]:
    """The chosen texts as a batch, padded to its longest."""
    input_ids, mask = pad([tokens[i] for i in chosen], 0)
    return {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(mask)}


def train(
    network: nn.Module,
    tokens: list[list[int]],
    y: np.ndarray,
    *,
    lr: float,
    num_epochs: int,
    seed: int,
    warmup: float = WARMUP,
    groups: Callable[[nn.Module], list[dict]] | None = None,
    loss_of: Callable[[Tensor, np.ndarray], Tensor] | None = None,
) -> float:
    """Train in place what is trainable, with AdamW, warm-up and cosine; the last epoch's mean loss.

    Args:
        network: `TextNetwork`, or one with adapters or LoRA.
        tokens, y: texts as ids, and class numbers.
        lr: peak rate; of the head where groups give several.
        num_epochs, warmup: of the schedule; no early stopping, as few labels leave none to stop by.
        seed: of order and dropout.
        groups: parameter groups with their own peak rates; default one rate, no decay on biases and gains.
        loss_of: logits (n, K) and the places of their texts -> scalar; default cross-entropy with y.
    """
    free = [p for p in network.parameters() if p.requires_grad]
    plain = [
        {"params": [p for p in free if p.ndim > 1], "lr": lr, "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in free if p.ndim <= 1], "lr": lr, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups(network) if groups else plain, fused=True)
    peaks = [group["lr"] for group in optimizer.param_groups]
    rng, lengths = np.random.default_rng(seed), [len(ids) for ids in tokens]
    num_steps, step, losses = num_epochs * math.ceil(len(y) / BATCH_SIZE), 0, []
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _epoch in range(num_epochs):
            losses = []
            for chosen in length_buckets(lengths, BATCH_SIZE, rng):
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = warmup_cosine(min(step, num_steps), num_steps, peak, warmup)
                logits = network(**padded(tokens, chosen))
                loss = loss_of(logits, chosen) if loss_of else cross_entropy(logits, torch.from_numpy(y[chosen]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                step += 1
    network.eval()
    return float(np.mean(losses))


@torch.inference_mode()
def predict(network: nn.Module, tokens: list[list[int]]) -> np.ndarray:
    """The most likely class of every text, int64 (N,)."""
    network.eval()
    found = np.zeros(len(tokens), dtype=np.int64)
    for chosen in length_buckets([len(ids) for ids in tokens], 64):
        found[chosen] = network(**padded(tokens, chosen)).argmax(dim=1).numpy()
    return found


def balanced_accuracy(predictions: np.ndarray, y: np.ndarray) -> float:
    """The mean of the accuracies on each class."""
    return float(np.mean([np.mean(predictions[y == c] == c) for c in np.unique(y)]))


def some(split: data.Split, count: int) -> data.Split:
    """The same `count` examples of a split every time; all where there are fewer."""
    return split.take(np.random.RandomState(0).permutation(len(split))[:count])


def minilm() -> TextModel:
    """MiniLM on the processor."""
    return zoo.load("minilm", device="cpu")
