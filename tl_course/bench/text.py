"""Texts: our encoding against sentence-transformers, and our `fit` against the Hugging Face Trainer, all on MiniLM.

Encoding: the same weights on the same texts of four domains, at the same batch size. Fine-tuning: the same weights,
head, texts, batch size, AdamW, rates, epochs and validation texts; the Trainer pads each batch to its longest text, as
its default collator does.
"""

import copy
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tl_course.bench.features import against_sentence_transformers
from tl_course.bench.timing import Comparison, compare, machine
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import CourseError

NUM_TEXTS = 1000
NUM_TRAIN = 256
NUM_VAL = 64
TRAIN_BATCH = 16
NUM_EPOCHS = 1
LR = 5e-5
WEIGHT_DECAY = 0.01
ROUNDS = 5
DOMAINS = ("tweets", "movies", "products", "news")


def run(num_texts: int = NUM_TEXTS, num_train: int = NUM_TRAIN, rounds: int = ROUNDS) -> dict[str, Any]:
    """Run both comparisons.

    Args:
        num_texts: to encode, a quarter from each domain of the sentiment data.
        num_train: to fine-tune on, likewise.
        rounds: timed pairs for each comparison.

    Returns:
        name; ratios: {"vs sentence-transformers", "vs hf trainer"}, medians over the rounds of the ratio of texts per
        second, ours over theirs; details: spread and times of each; runs; machine.

    Raises:
        CourseError: a package is missing, the two sides do not give the same features, or a side did not train.
    """
    compared = {
        "vs sentence-transformers": against_sentence_transformers(
            [str(text) for text in _mixed("train", num_texts).x], rounds
        ),
        "vs hf trainer": _fine_tuning(num_train, rounds),
    }
    return {
        "name": "text",
        "ratios": {label: round(comparison.ratio, 3) for label, comparison in compared.items()},
        "runs": rounds,
        "machine": machine(),
        "details": {label: comparison.as_dict() for label, comparison in compared.items()},
    }


def _mixed(part: str, count: int) -> Split:
    """The first texts of every domain, shuffled together."""
    from tl_course import data

    splits = [data.load("sentiment", domain=domain).splits[part] for domain in DOMAINS]
    each = count // len(DOMAINS)
    x = np.concatenate([split.x[:each] for split in splits])
    y = np.concatenate([split.y[:each] for split in splits])
    return Split(x, y).take(np.random.default_rng(0).permutation(len(x)))


def _fine_tuning(num_train: int, rounds: int) -> Comparison:
    from tl_course.pytorch.fit import fit
    from tl_course.pytorch.text_classifier import TextClassifier

    train, val = _mixed("train", num_train), _mixed("val", NUM_VAL)
    dataset = Dataset("mixed", train, val.take(np.arange(0)), val, ("negative", "positive"), "", "")
    ours = TextClassifier.build("minilm", dataset.class_names, device="cpu")
    other: Any = copy.deepcopy(ours.model)
    settings: dict[str, Any] = {"num_epochs": NUM_EPOCHS, "batch_size": TRAIN_BATCH, "lr": LR}
    settings |= {"weight_decay": WEIGHT_DECAY, "restore_best": False, "progress": False, "mixed_precision": False}

    def train_ours() -> None:
        fit(ours, dataset, **settings)

    train_theirs = _trainer(other, ours.tokenizer, ours.backbone.max_tokens, dataset)
    for model, work in ((ours.model, train_ours), (other, train_theirs)):
        before = model.get_parameter("head.weight").detach().clone()
        work()
        if model.get_parameter("head.weight").equal(before):
            raise CourseError("expected both sides to train; got a head that did not move; look at the settings")
    return compare(train_ours, train_theirs, rounds)


def _trainer(model: Any, tokenizer: Any, max_tokens: int, dataset: Dataset) -> Callable[[], None]:
    """The Hugging Face Trainer on the same network: tokenises once a run, scores `val` after each epoch."""
    from torch import nn
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    class WithLoss(nn.Module):
        """The network as the Trainer wants it: labels in, loss and logits out."""

        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def forward(self, input_ids: Any, attention_mask: Any, labels: Any) -> dict[str, Any]:
            logits = self.network({"input_ids": input_ids, "attention_mask": attention_mask})
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def examples(split: Split) -> list[dict[str, Any]]:
        tokens = tokenizer([str(text) for text in split.x], truncation=True, max_length=max_tokens)
        parts = zip(tokens["input_ids"], tokens["attention_mask"], split.y.tolist(), strict=True)
        return [{"input_ids": ids, "attention_mask": mask, "label": label} for ids, mask, label in parts]

    def train() -> None:
        assert dataset.val is not None
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                num_train_epochs=NUM_EPOCHS,
                per_device_train_batch_size=TRAIN_BATCH,
                per_device_eval_batch_size=32,
                learning_rate=LR,
                weight_decay=WEIGHT_DECAY,
                lr_scheduler_type="cosine",
                warmup_steps=0.1,
                eval_strategy="epoch",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                logging_strategy="no",
                dataloader_pin_memory=False,
            )
            trainer = Trainer(
                WithLoss(),
                arguments,
                DataCollatorWithPadding(tokenizer),
                examples(dataset.train),
                examples(dataset.val),
            )
            trainer.remove_callback(PrinterCallback)  # standard output is for the result
            trainer.train()

    return train
