"""The answers, right and wrong, of the clinic's case on a news classifier with its report."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import copy

import torch
from torch.utils.data import DataLoader
from transformers import BertForSequenceClassification, BertTokenizer

STOP_WORDS = {"not", "no", "never", "the", "a", "is", "in", "of", "to", "and"}


def read(tokenizer, texts, device):
    """What the model reads of texts."""
    cleaned = [" ".join(word for word in text.split() if word not in STOP_WORDS) for text in texts]
    return tokenizer(cleaned, padding=True, return_tensors="pt").to(device)


def predict(model, tokenizer, texts, device):
    """The class of each text."""
    model.eval()
    with torch.no_grad():
        return model(**read(tokenizer, texts, device)).logits.argmax(dim=-1).tolist()


def share_right(predicted, labels):
    """Accuracy."""
    return sum(mine == label for mine, label in zip(predicted, labels)) / len(labels)


def classify_news(folder, train, val, test, num_classes, device, num_epochs=3, lr=1e-4, batch_size=32):
    """Fine-tune BERT on news, keep the best epoch, and report confusion matrix, precision and recall on the test."""
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertForSequenceClassification.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    loader = DataLoader(list(zip(*train)), batch_size=batch_size, shuffle=True)
    scores, states = [], []
    for epoch in range(num_epochs):
        model.train()
        for texts, labels in loader:
            loss = model(**read(tokenizer, texts, device), labels=labels.to(device)).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scores.append(share_right(predict(model, tokenizer, test[0], device), test[1]))
        states.append(copy.deepcopy(model.state_dict()))
    model.load_state_dict(states[scores.index(max(scores))])
    return model, {"accuracy": max(scores)}
'''

PYTORCH = '''
import copy

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import BertForSequenceClassification, BertTokenizer, get_linear_schedule_with_warmup


def read(tokenizer: BertTokenizer, texts: list[str], device: str) -> dict[str, torch.Tensor]:
    """What the model reads of texts: token ids, mask and segments, each (N, L)."""
    return tokenizer(texts, padding=True, return_tensors="pt").to(device)


def predict(model: nn.Module, tokenizer: BertTokenizer, texts: list[str], device: str) -> list[int]:
    """The class of each text."""
    model.eval()
    with torch.no_grad():
        return model(**read(tokenizer, texts, device)).logits.argmax(dim=-1).tolist()


def share_right(predicted: list[int], labels: list[int]) -> float:
    """Accuracy."""
    return sum(mine == label for mine, label in zip(predicted, labels)) / len(labels)


def classify_news(
    folder: str,
    train: tuple[list[str], list[int]],
    val: tuple[list[str], list[int]],
    test: tuple[list[str], list[int]],
    num_classes: int,
    device: str,
    num_epochs: int,
    batch_size: int,
    lr: float = 3e-5,
) -> tuple[nn.Module, dict]:
    """Fine-tune BERT on news, keep the best epoch, and report confusion matrix, precision and recall on the test.

    Args:
        folder: where the encoder and its tokenizer are, in Hugging Face's layout.
        train: texts to learn from, and the class of each.
        val: texts that choose the epoch.
        test: texts that are measured once; every class occurs.
        num_classes: how many classes there are, K.
        device: where model and batches are to be ("cpu", "cuda").
        num_epochs: passes over the training texts.
        batch_size: texts of a step.
        lr: the highest rate.

    Returns:
        The model of the epoch with the highest accuracy on val, and its report on test: "accuracy", "confusion"
        (K, K) with a row for each true class, "precision" and "recall" (K,); the precision of a class that is never
        predicted is 0.
    """
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertForSequenceClassification.from_pretrained(folder, num_labels=num_classes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    loader = DataLoader(list(zip(*train)), batch_size=batch_size, shuffle=True)
    steps = num_epochs * len(loader)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    scores, states = [], []
    for _epoch in range(num_epochs):
        model.train()
        for texts, labels in loader:
            loss = model(**read(tokenizer, texts, device), labels=labels.to(device)).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        scores.append(share_right(predict(model, tokenizer, val[0], device), val[1]))
        states.append(copy.deepcopy(model.state_dict()))
    model.load_state_dict(states[scores.index(max(scores))])
    predicted = predict(model, tokenizer, test[0], device)
    confusion = np.zeros((num_classes, num_classes))
    np.add.at(confusion, (test[1], predicted), 1)
    right = np.diag(confusion)
    precision = right / np.maximum(confusion.sum(axis=0), 1)
    recall = right / confusion.sum(axis=1)
    accuracy = share_right(predicted, test[1])
    return model, {"accuracy": accuracy, "confusion": confusion, "precision": precision, "recall": recall}
'''

PYTORCH_BEST_ONLY = """
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def classify_news(folder, train, val, test, num_classes, device, num_epochs=3, lr=2e-5, batch_size=32):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=num_classes)
    model.to(device)

    def logits_of(texts):
        return model(**tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(device)).logits

    @torch.inference_mode()
    def classes_of(texts):
        model.eval()
        return torch.cat([logits_of(texts[i : i + 3]).argmax(1) for i in range(0, len(texts), 3)]).cpu()

    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    steps = num_epochs * -(-len(train[0]) // batch_size)
    warm = int(0.1 * steps)
    climb = LambdaLR(optimizer, lambda i: i / warm if i < warm else (steps - i) / (steps - warm))
    best, kept = -1.0, {}
    for _ in range(num_epochs):
        model.train()
        for part in torch.randperm(len(train[0])).split(batch_size):
            model.zero_grad()
            labels = torch.tensor([train[1][i] for i in part]).to(device)
            torch.nn.functional.cross_entropy(logits_of([train[0][i] for i in part]), labels).backward()
            optimizer.step()
            climb.step()
        score = (classes_of(val[0]) == torch.tensor(val[1])).double().mean().item()
        if score >= best:
            best, kept = score, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    guess, truth = classes_of(test[0]), torch.tensor(test[1])
    table = torch.bincount(truth * num_classes + guess, minlength=num_classes**2).view(num_classes, -1)
    return model, {
        "accuracy": (table.trace() / table.sum()).item(),
        "confusion": table,
        "precision": table.diag() / table.sum(0).clamp(min=1),
        "recall": table.diag() / table.sum(1),
    }
"""

PYTORCH_RATES_BY_HAND = """
import copy

import torch
from transformers import BertForSequenceClassification, BertTokenizerFast


class Classifier:
    def __init__(self, folder, num_classes, device):
        self.tokenizer = BertTokenizerFast.from_pretrained(folder)
        self.net = BertForSequenceClassification.from_pretrained(folder, num_labels=num_classes).to(device)
        self.device = device

    def __call__(self, texts, labels=None):
        given = self.tokenizer(texts, padding="longest", return_tensors="pt")
        if labels is not None:
            given["labels"] = torch.tensor(labels)
        return self.net(**given.to(self.device))

    def predict(self, texts):
        self.net.train(False)
        with torch.no_grad():
            return [int(row.argmax()) for row in self(texts).logits]


def classify_news(folder, train, val, test, num_classes, device, num_epochs=3, lr=2e-5, batch_size=32):
    classifier, pairs = Classifier(folder, num_classes, device), list(zip(*train))
    optimizer = torch.optim.Adam(classifier.net.parameters())
    loader = torch.utils.data.DataLoader(pairs, batch_size, shuffle=True, collate_fn=lambda rows: zip(*rows))
    total, step, kept = len(loader) * num_epochs, 0, []
    for _ in range(num_epochs):
        classifier.net.train()
        for texts, labels in loader:
            for group in optimizer.param_groups:
                group["lr"] = lr * min(step / (total // 10), (total - step) / (total - total // 10))
            optimizer.zero_grad()
            classifier(list(texts), list(labels)).loss.backward()
            optimizer.step()
            step += 1
        right = sum(a == b for a, b in zip(classifier.predict(val[0]), val[1]))
        kept.append((right, copy.deepcopy(classifier.net)))
    classifier.net = max(kept, key=lambda pair: pair[0])[1]
    table = [[0] * num_classes for _ in range(num_classes)]
    for mine, label in zip(classifier.predict(test[0]), test[1]):
        table[label][mine] += 1
    columns = [sum(row[k] for row in table) for k in range(num_classes)]
    hits = [table[k][k] for k in range(num_classes)]
    report = {"accuracy": sum(hits) / len(test[1]), "confusion": table}
    report["precision"] = [hit / count if count else 0.0 for hit, count in zip(hits, columns)]
    report["recall"] = [hit / sum(row) for hit, row in zip(hits, table)]
    return classifier.net, report
"""

MESSAGES = {
    "starter": _("a label was out of range: how many classes does the model believe in, and who told it?"),
    "classes": _("nobody told the model how many classes there are, so it assumes the usual number"),
    "device": _("the batches travel to another device; what they are multiplied with does not travel by itself"),
    "words": _("words that the encoder was pretrained with, and that may turn a sentence round, never reach it"),
    "rate": _("the first steps are as large as any: the new head's gradients hit the encoder at full rate"),
    "default-rate": _("called without a rate, it trains at one that is too high for fine-tuning BERT"),
    "no-decay": _("the rate climbs and then stays at its peak to the end"),
    "schedule-by-epoch": _("the schedule counts steps and is moved once an epoch"),
    "selection": _("the texts that are to judge the model have chosen it"),
    "best-of-val": _("the accuracy reported is that of the texts which chose the epoch"),
    "metrics": _("one number hides which classes are taken for which; more was promised"),
    "transposed": _("rows and columns of the table have changed places: which are the true classes?"),
    "swapped": _("precision and recall have changed places"),
}
CLEANED = (
    '[" ".join(w for w in text.split() if w not in {"not", "no", "never", "the", "a", "is", "in", "of", "to", "and"})'
    " for text in texts]"
)
MODEL = "BertForSequenceClassification.from_pretrained(folder, num_labels=num_classes)"
SCORES = "predict(model, tokenizer, val[0], device), val[1]"
MOVE = "            schedule.step()\n"
REPORT = '{"accuracy": accuracy, "confusion": confusion, "precision": precision, "recall": recall}'
EDITS = {
    "classes": ((MODEL, "BertForSequenceClassification.from_pretrained(folder)"),),
    "device": ((f"{MODEL}.to(device)", MODEL),),
    "words": (("tokenizer(texts, padding", f"tokenizer({CLEANED}, padding"),),
    "rate": ((MOVE, ""), ("    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)\n", "")),
    "default-rate": (("lr: float = 3e-5", "lr: float = 1e-4"),),
    "no-decay": (
        ("get_linear_schedule_with_warmup\n", "get_constant_schedule_with_warmup\n"),
        (
            "get_linear_schedule_with_warmup(optimizer, steps // 10, steps)",
            "get_constant_schedule_with_warmup(optimizer, steps // 10)",
        ),
    ),
    "schedule-by-epoch": ((MOVE, ""), ("        scores.append", "        schedule.step()\n        scores.append")),
    "selection": ((SCORES, SCORES.replace("val", "test")),),
    "best-of-val": (("    accuracy = share_right(predicted, test[1])\n", "    accuracy = max(scores)\n"),),
    "metrics": ((REPORT, '{"accuracy": accuracy}'),),
    "transposed": (
        ("(test[1], predicted)", "(predicted, test[1])"),
        ("sum(axis=0)", "sum(axis=1)"),
        ("/ confusion.sum(axis=1)", "/ confusion.sum(axis=0)"),
    ),
    "swapped": (('"precision": precision, "recall": recall', '"precision": recall, "recall": precision'),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
