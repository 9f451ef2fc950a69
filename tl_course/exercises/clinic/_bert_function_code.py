"""The answers, right and wrong, of the clinic's case on a function that loads a BERT and fine-tunes it."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import torch
from torch.utils.data import DataLoader
from transformers import BertModel


def batch_loss(model, batch, device):
    """Loss of one batch."""
    inputs = {name: value.to(device) for name, value in batch.items()}
    outputs = model(**inputs)
    return outputs.loss


def load_and_finetune(folder, train_set, test_set, num_classes, device, num_epochs=3, lr=1e-5, batch_size=32):
    """Load a pretrained BERT, fine-tune it to classify texts, and measure it on texts it has not seen."""
    model = BertModel.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)

    model.train()
    for epoch in range(num_epochs):
        for batch in train_loader:
            loss = batch_loss(model, batch, device)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    history = []  # the loss, for the log
    model.eval()
    with torch.no_grad():
        for inputs in train_loader:
            loss = batch_loss(model, inputs, device)
            history.append(loss.item())
    return model, history, loss.item()
'''

PYTORCH = '''
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import BertForSequenceClassification


def batch_loss(model: nn.Module, batch: dict[str, torch.Tensor], device: str) -> torch.Tensor:
    """Mean cross-entropy over the texts of one batch."""
    inputs = {name: value.to(device) for name, value in batch.items()}
    return model(**inputs).loss


def load_and_finetune(
    folder: str,
    train_set: list[dict[str, torch.Tensor]],
    test_set: list[dict[str, torch.Tensor]],
    num_classes: int,
    device: str,
    num_epochs: int,
    lr: float,
    batch_size: int,
) -> tuple[nn.Module, list[float], float]:
    """Load a pretrained BERT, fine-tune it to classify texts, and measure it on texts it has not seen.

    Args:
        folder: where the pretrained encoder is, in Hugging Face's layout.
        train_set: one dict a text: "input_ids" and "attention_mask", shape (L,), and "labels", its class.
        test_set: other texts, in the same form.
        num_classes: how many classes there are.
        device: where model and batches are to be ("cpu", "cuda").
        num_epochs: passes over the training texts.
        lr: AdamW's rate.
        batch_size: texts of a step.

    Returns:
        The trained classifier; the mean training loss of each epoch; the mean loss over the test texts, in inference
        mode after training.
    """
    model = BertForSequenceClassification.from_pretrained(folder, num_labels=num_classes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
    test_loader = DataLoader(test_set, batch_size=batch_size)
    history = []
    model.train()
    for _epoch in range(num_epochs):
        total, count = 0.0, 0
        for batch in train_loader:
            loss = batch_loss(model, batch, device)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, count = total + loss.item() * len(batch["labels"]), count + len(batch["labels"])
        history.append(total / count)
    model.eval()
    measured, count = 0.0, 0
    with torch.no_grad():
        for batch in test_loader:
            loss = batch_loss(model, batch, device)
            measured, count = measured + loss.item() * len(batch["labels"]), count + len(batch["labels"])
    return model, history, measured / count
'''

PYTORCH_OWN_HEAD = """
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import AutoModel


class Classifier(nn.Module):
    def __init__(self, folder, num_classes):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder)
        self.head = nn.Linear(self.encoder.config.hidden_size, num_classes)

    def forward(self, input_ids, attention_mask):
        return self.head(self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state[:, 0])


def load_and_finetune(folder, train_set, test_set, num_classes, device, num_epochs, lr, batch_size):
    model = Classifier(folder, num_classes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss(reduction="none")

    def losses(batch):
        batch = {name: value.to(device) for name, value in batch.items()}
        labels = batch.pop("labels")
        return criterion(model(**batch), labels)

    history = []
    for _ in range(num_epochs):
        model.train()
        seen = []
        for batch in DataLoader(train_set, batch_size, shuffle=True):
            optimizer.zero_grad()
            each = losses(batch)
            each.mean().backward()
            optimizer.step()
            seen += each.tolist()
        history.append(sum(seen) / len(seen))
    model.eval()
    with torch.inference_mode():
        (batch,) = DataLoader(test_set, len(test_set))
        return model, history, losses(batch).mean().item()
"""

PYTORCH_LOGITS = """
import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForSequenceClassification


def load_and_finetune(folder, train_set, test_set, num_classes, device, num_epochs, lr, batch_size):
    config = AutoConfig.from_pretrained(folder, num_labels=num_classes)
    model = AutoModelForSequenceClassification.from_pretrained(folder, config=config)
    model.to(torch.device(device)).train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)

    def loss_of(samples):
        stacked = {name: torch.stack([sample[name] for sample in samples]).to(device) for name in samples[0]}
        logits = model(stacked["input_ids"], stacked["attention_mask"]).logits
        return cross_entropy(logits, stacked["labels"])

    log = []
    for _ in range(num_epochs):
        order, total = torch.randperm(len(train_set)).tolist(), 0.0
        for start in range(0, len(order), batch_size):
            samples = [train_set[i] for i in order[start : start + batch_size]]
            model.zero_grad()
            loss = loss_of(samples)
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(samples)
        log.append(total / len(order))
    model.eval()
    with torch.no_grad():
        return model, log, float(np.mean([loss_of([sample]).item() for sample in test_set]))
"""

MESSAGES = {
    "starter": _("labels are handed over and nothing uses them: find out what this class returns, and what it lacks"),
    "head": _(
        "a bare encoder turns tokens into vectors; it knows no classes, and unknown keywords such as labels pass "
        "through it without a word"
    ),
    "any-number": _("the mean of hidden vectors is made small: no label takes part in what is minimised"),
    "device": _("the batches travel to another device; what they are multiplied with does not travel by itself"),
    "log": _("the numbers of the log are not those of the training they are shown as"),
    "last-of-epoch": _("an epoch is judged by the batch that happened to come last"),
    "holdout": _("texts the model has learned from say little about texts it has not"),
    "training-mode": _("the model is measured while dropout is still active"),
    "score": _("the number returned tells of the batch that happened to come last"),
    "mean-of-means": _("a short last batch counts as much as a full one"),
    "accumulates": _("each batch's gradients are added to those of all batches before it"),
    "head-alone": _("the encoder stays as it was: that is a linear probe, not fine-tuning"),
}
MODEL = "BertForSequenceClassification.from_pretrained(folder, num_labels=num_classes)"
HISTORY = "        history.append(total / count)\n"
MEASURED = 'measured, count = measured + loss.item() * len(batch["labels"]), count + len(batch["labels"])'
BARE = (("BertForSequenceClassification\n", "BertModel\n"), (MODEL, "BertModel.from_pretrained(folder)"))
EDITS = {
    "head": BARE,
    "any-number": (*BARE, ("model(**inputs).loss", "model(**inputs)[0].mean()")),
    "device": ((f"{MODEL}.to(device)", MODEL),),
    "log": ((HISTORY, ""), (MEASURED, f"{MEASURED}\n            history.append(loss.item())")),
    "last-of-epoch": ((HISTORY, "        history.append(loss.item())\n"),),
    "holdout": (("for batch in test_loader", "for batch in train_loader"),),
    "training-mode": (("    model.eval()\n", ""),),
    "score": (("measured / count", "loss.item()"),),
    "mean-of-means": ((MEASURED, "measured, count = measured + loss.item(), count + 1"),),
    "accumulates": (("            optimizer.zero_grad()\n", ""),),
    "head-alone": (("    optimizer = ", "    model.bert.requires_grad_(False)\n    optimizer = "),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
