"""Five ways to adapt MiniLM to 100 labelled tweets: quality, trainable parameters, memory and time of a step.

Full fine-tuning, layer-wise rates, LoRA of rank 2 and 8 on query and value, adapters of 32, and a linear probe, five
draws, tested on 400 texts. The full runs are those of `text_fine_tuning.py` (same draws, epochs and test texts), which
has to be run first. LoRA's rate, which the adapters share, was chosen on validation texts with a draw not used again.

Memory is what one step of 16 texts leaves behind: gradients and AdamW's two averages, added up over the tensors that
are there, beside 3 x 4 bytes a trainable parameter; and the activations, the tensors that the forward pass keeps for
the backward pass. Time is processor time of one step on one core, in float32, median of ten.

    python benchmarks/evidence/text_adaptation.py
"""

import time
from collections.abc import Callable

import numpy as np
import text_training as tt
import torch
from common import summary, write_json
from torch import nn

from tl_course import data, evidence
from tl_course.feature_cache import cached_features
from tl_course.probes import linear_probe
from tl_course.pytorch.adapters import add_adapters
from tl_course.pytorch.lora import add_lora, trainable_parameters
from tl_course.pytorch.optim import param_groups

SEEDS = (0, 1, 2, 3, 4)
LABELS, NUM_EPOCHS, TEST_TEXTS, COLUMN = 100, 6, 400, 1
RATES = (1e-3, 3e-3)
CHOOSING_DRAW = 100
FULL_LR, HEAD_LR, LAYER_DECAY = 1e-4, 1e-3, 0.8
CHANGES: dict[str, Callable[[nn.Module, int], nn.Module]] = {
    "layer-wise rates": lambda network, seed: network,
    "LoRA, rank 2": lambda network, seed: add_lora(network, rank=2, seed=seed),
    "LoRA, rank 8": lambda network, seed: add_lora(network, rank=8, seed=seed),
    "adapters": lambda network, seed: add_adapters(network, size=32, seed=seed),
}
BYTES = 4


def layer_wise(network: nn.Module) -> list[dict]:
    """The head fast, the last layer slower, each layer before it slower again."""
    return param_groups(network, HEAD_LR, backbone_lr=FULL_LR, layer_decay=LAYER_DECAY)


def cost(network: tt.TextNetwork, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """Bytes of gradients, optimizer state and activations, and seconds, of a step on 16 texts."""
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=0.0, fused=True)
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def step() -> None:
        with torch.autocast("cpu", enabled=False):
            hidden = network.encoder(**batch).last_hidden_state
        loss = nn.functional.cross_entropy(
            network.head(tt.masked_mean(hidden, batch["attention_mask"])), torch.zeros(len(hidden), dtype=torch.long)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    network.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step()
    seconds = []
    for _repetition in range(10):
        begin = time.process_time()
        step()
        seconds.append(time.process_time() - begin)
    trainable = trainable_parameters(network)
    tensors = [p.grad for p in network.parameters() if p.grad is not None]
    tensors += [value for state in optimizer.state.values() for value in state.values() if value.ndim]
    return {
        "trainable": trainable,
        "computed_megabytes": 3 * BYTES * trainable / 1e6,
        "measured_megabytes": sum(tensor.nbytes for tensor in tensors) / 1e6,
        "activation_megabytes": sum(kept.values()) / 1e6,
        "seconds_a_step": float(np.median(seconds)),
    }


def main() -> None:
    """Run everything and write the file."""
    begin = time.perf_counter()
    full = evidence.load("text_fine_tuning")
    same = (full["settings"]["lr"], full["settings"]["num_epochs"][str(LABELS)], full["settings"]["test_texts"])
    if same != (FULL_LR, NUM_EPOCHS, TEST_TEXTS):
        raise SystemExit(f"text_fine_tuning has other settings, {same}: make them equal and run it again")
    model, tweets = tt.minilm(), data.load("sentiment", domain="tweets")
    labelled, test, val = tweets.train, tt.some(tweets.test, TEST_TEXTS), tt.some(tweets.splits["val"], 200)
    train_tokens, test_tokens, val_tokens = (tt.tokens_of(model, split.x) for split in (labelled, test, val))
    train_vectors, test_vectors = (cached_features(model, split.x).features for split in (labelled, test))

    def adapted(name: str, draw: int, lr: float) -> nn.Module:
        chosen = data.few_shot(labelled.y, LABELS // 2, draw)
        network = tt.TextNetwork(model.model, 2, seed=draw)
        CHANGES[name](network, draw)  # in place
        groups = layer_wise if name == "layer-wise rates" else None
        few = [train_tokens[i] for i in chosen]
        tt.train(network, few, labelled.y[chosen], lr=lr, num_epochs=NUM_EPOCHS, seed=draw, groups=groups)
        return network

    rates = {"full fine-tuning": FULL_LR, "layer-wise rates": HEAD_LR}
    scores = [
        tt.balanced_accuracy(tt.predict(adapted("LoRA, rank 8", CHOOSING_DRAW, lr), val_tokens), val.y) for lr in RATES
    ]
    rates["LoRA, rank 8"] = RATES[int(np.argmax(scores))]
    print(f"LoRA: {dict(zip(RATES, np.round(scores, 3), strict=True))}", flush=True)
    rates["LoRA, rank 2"] = rates["adapters"] = rates["LoRA, rank 8"]
    found = {"full fine-tuning": np.array(full["results"]["balanced_accuracy"]["fine-tuned"])[:, COLUMN]}
    for name in CHANGES:
        found[name] = np.array(
            [tt.balanced_accuracy(tt.predict(adapted(name, seed, rates[name]), test_tokens), test.y) for seed in SEEDS]
        )
        print(f"{name}: {summary(found[name])}", flush=True)
    found["linear probe"] = np.zeros(len(SEEDS))
    for row, seed in enumerate(SEEDS):
        chosen = data.few_shot(labelled.y, LABELS // 2, seed)
        result = linear_probe(train_vectors[chosen], labelled.y[chosen], test_vectors, test.y)
        found["linear probe"][row] = tt.balanced_accuracy(result.predictions, test.y)
    batch = tt.padded(train_tokens, np.arange(tt.BATCH_SIZE))
    costs = {"full fine-tuning": cost(tt.TextNetwork(model.model, 2, seed=0), batch)}
    for name, change in CHANGES.items():
        network = tt.TextNetwork(model.model, 2, seed=0)
        change(network, 0)
        costs[name] = cost(network, batch)
    probe = tt.TextNetwork(model.model, 2, seed=0)
    probe.encoder.requires_grad_(False)
    costs["linear probe"] = cost(probe, batch)
    for name, values in costs.items():
        print(name, {key: round(value, 3) for key, value in values.items()}, flush=True)
    settings = {
        "labels": LABELS,
        "num_epochs": NUM_EPOCHS,
        "rates": rates,
        "rates_tried_for_lora": RATES,
        "layer_wise": {"head": HEAD_LR, "last_layer": FULL_LR, "layer_decay": LAYER_DECAY},
        "batch_size": tt.BATCH_SIZE,
        "tokens_of_the_measured_batch": list(batch["input_ids"].shape),
        "test_texts": TEST_TEXTS,
        "precision": "bfloat16 matrix products; time and memory in float32",
        "seconds": round(time.perf_counter() - begin),
    }
    write_json("text_adaptation", settings, SEEDS, {"balanced_accuracy": found, "costs": costs})


if __name__ == "__main__":
    main()
