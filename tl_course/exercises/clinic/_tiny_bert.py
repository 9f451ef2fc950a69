"""Texts and tiny BERTs for the clinic, and a record of what a program does with them while it runs."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Finding, Plain
from tl_course.exercises.fine_tuning_text._tiny_bert import VOCABULARY, WIDTH, Weights, bert_folder
from tl_course.exercises.fine_tuning_text._tiny_encoder import softmax
from tl_course.i18n import _

Events = list[dict[str, Plain]]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PLAIN_WORDS = ("not", "no", "never", "the", "a", "is", "in", "of", "to", "and")
WORDS = (*PLAIN_WORDS, *(f"{first}{last}" for first in ("mar", "gol", "fil", "vot", "ban") for last in "aeiouys"))
NUMBERS = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
CLASSES = 3


def draw_texts(rng: np.random.Generator, lengths: list[int]) -> list[str]:
    """Texts of these numbers of words; no text holds a word twice, and no two texts are the same."""
    texts: list[str] = []
    while len(texts) < len(lengths):
        text = " ".join(rng.choice(WORDS, size=lengths[len(texts)], replace=False))
        texts += [text] if text not in texts else []
    return texts


def split_tokens(text: str) -> list[str]:
    """What BERT's tokenizer makes of a text."""
    return ["[CLS]", *text.split(), "[SEP]"]


def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (padding 0) and attention mask of texts, both (N, L)."""
    rows = [[NUMBERS[token] for token in split_tokens(text)] for text in texts]
    length = max(map(len, rows))
    ids = np.array([row + [0] * (length - len(row)) for row in rows])
    return ids, (ids > 0).astype(np.int64)


def text_folder(weights: Weights, path: str) -> str:
    """Save a BERT, with dropout 0.1, and its tokenizer's vocabulary; returns the folder's absolute path."""
    folder = bert_folder(weights, path)
    Path(folder, "vocab.txt").write_text("\n".join(NUMBERS) + "\n", encoding="utf-8")
    return folder


@contextlib.contextmanager
def watch() -> Iterator[Events]:
    """Record, as plain data, what is done in the block: the batches BERTs read, what a head of 3 classes makes of them
    and each optimiser step."""
    from torch.nn.modules.module import register_module_forward_hook
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    events: Events = []
    hooks = [
        register_module_forward_hook(lambda *call: _read(events, *call), with_kwargs=True),
        register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: _step(events, optimizer)),
    ]
    try:
        yield events
    finally:
        for hook in hooks:
            hook.remove()


def _read(events: Events, module: Any, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
    """One call of a module: kept are BERTs and linear heads."""
    import torch
    from transformers import BertModel

    if isinstance(module, BertModel):
        given = inspect.signature(BertModel.forward).bind(module, *args, **kwargs).arguments
        mask = given.get("attention_mask")
        ids = given["input_ids"].numpy()
        states = {"training": bool(module.training), "graph": torch.is_grad_enabled()}
        tokens = {"first": output[0][:, 0], "pooled": output[1]}
        states |= {name: value.detach().numpy().copy() for name, value in tokens.items() if value is not None}
        events.append({"kind": "read", "ids": ids, "mask": None if mask is None else mask.numpy(), **states})
    if events and isinstance(module, torch.nn.Linear) and module.out_features == CLASSES:
        found = {"features": args[0], "logits": output}
        first = {name: value[:, 0] if value.ndim == 3 else value for name, value in found.items()}
        events[-1].update({name: value.detach().numpy().copy() for name, value in first.items()})


def _step(events: Events, optimizer: Any) -> None:
    """One step of an optimiser: its rate, the head's gradient, and whether the encoder has one."""
    gradients = {(CLASSES, WIDTH): None, (VOCABULARY, WIDTH): None}  # of the head, and of the word embeddings
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.shape in gradients and parameter.grad is not None:
                gradients[tuple(parameter.shape)] = parameter.grad.detach().numpy().copy()
    head, words = gradients.values()
    encoder = words is not None and bool(np.any(words))
    events.append({"kind": "step", "rate": optimizer.param_groups[0]["lr"], "gradient": head, "encoder": encoder})


def places(run: Callable[[], object]) -> tuple[list[str], str]:
    """A run on the device "meta", which holds no numbers, so that it ends with the first number asked for.

    Returns:
        The devices of the first batch of token ids that is read and of the weights it meets; and the error that says
        that two devices met, or nothing.
    """
    import torch
    from torch.nn.modules.module import register_module_forward_pre_hook

    found: list[str] = []

    def look(module: Any, args: tuple) -> None:
        if isinstance(module, torch.nn.Embedding) and module.num_embeddings == VOCABULARY and not found:
            found.extend([str(args[0].device), str(module.weight.device)])

    hook = register_module_forward_pre_hook(look)
    try:
        run()
    except Exception as error:
        return found, str(error) if "device" in str(error) else ""
    finally:
        hook.remove()
    return found, ""


def judge_places(observed: dict[str, Plain]) -> Finding:
    """Whether model and batches met on the device asked for."""
    batch, model = observed["places"] or ("?", "?")
    text = _("the batches are on {batch}, the model on {model}, and meta was asked for {error}")
    right = batch == model == "meta" and not observed["error"]
    return holds("device", right, text.format(batch=batch, model=model, error=observed["error"]).strip())


def keys(ids: np.ndarray) -> list[tuple[int, ...]]:
    """Each text of a batch without its padding."""
    return [tuple(row[row > 0].tolist()) for row in ids]


def head_reads_first(events: Events) -> bool:
    """Whether a head, outside training, reads the first token's vector or what the pooler makes of it."""
    return all(
        any(np.allclose(event["features"], event.get(name, np.nan)) for name in ("first", "pooled"))
        for event in events
        if event["kind"] == "read" and not event["training"] and "features" in event
    )


def masks_right(events: Events) -> bool:
    """Whether no text that was read attended to padding."""
    reads = [event for event in events if event["kind"] == "read"]
    return bool(reads) and all(
        (event["ids"] > 0).all() if event["mask"] is None else np.array_equal(event["mask"], event["ids"] > 0)
        for event in reads
    )


def losses(event: dict[str, Plain], labels: dict[tuple[int, ...], int]) -> np.ndarray:
    """Cross-entropy of each text of a batch that was read, from the logits that were seen, (N,)."""
    odds = softmax(event["logits"].astype(np.float64))
    return -np.log(odds[np.arange(len(odds)), [labels[key] for key in keys(event["ids"])]])


def right_gradient(event: dict[str, Plain], labels: dict[tuple[int, ...], int]) -> np.ndarray:
    """Gradient of the mean cross-entropy of a batch for the head's weights, (classes, features)."""
    error = softmax(event["logits"].astype(np.float64))
    error[np.arange(len(error)), [labels[key] for key in keys(event["ids"])]] -= 1
    return error.T @ event["features"] / len(error)


def trained(events: Events) -> list[tuple[dict[str, Plain], dict[str, Plain]]]:
    """Each optimiser step with the batch read before it: (batch, step)."""
    return [(events[i - 1], event) for i, event in enumerate(events) if i > 0 and event["kind"] == "step"]


def steps_right(events: Events, labels: dict[tuple[int, ...], int]) -> bool:
    """Whether each step follows the gradient of the mean cross-entropy of one batch, in head and encoder."""
    pairs = trained(events)
    return bool(pairs) and all(
        "logits" in batch
        and batch["training"]
        and step["encoder"]
        and step["gradient"] is not None
        and np.allclose(step["gradient"], right_gradient(batch, labels), atol=1e-5)
        for batch, step in pairs
    )


def epochs_right(events: Events, texts: list[tuple[int, ...]], num_epochs: int) -> bool:
    """Whether the steps show each text once an epoch, and not twice in the same order."""
    seen = [key for batch, _step in trained(events) for key in keys(batch["ids"])]
    size = len(texts)
    parts = [seen[start : start + size] for start in range(0, len(seen), size)]
    orders = {tuple(part) for part in parts}
    return len(parts) == len(orders) == num_epochs and all(sorted(part) == sorted(texts) for part in parts)
