"""The answers, right and wrong, of the clinic's case on a script that fine-tunes a BERT with a loss of its own."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

STARTER = '''
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import BertModel, BertTokenizer


def prepare(tokenizer, texts, device):
    """What the model reads of texts, padded to one length."""
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    return encoded["input_ids"].to(device)


def classify(model, inputs):
    """Logits of texts."""
    outputs = model(inputs)
    return outputs[0]


def finetune(folder, texts, labels, new_texts, num_classes, device, num_epochs=3, lr=1e-5, batch_size=32):
    """Fine-tune a pretrained BERT on labelled texts; return the loss of each epoch and the logits of new texts."""
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    loader = DataLoader(list(zip(texts, labels)), batch_size=batch_size, shuffle=True)
    history = []
    model.train()
    for epoch in range(num_epochs):
        for batch, targets in loader:
            logits = classify(model, prepare(tokenizer, batch, device))
            loss = nn.functional.cross_entropy(logits, targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        history.append(loss.item())
    model.eval()
    with torch.no_grad():
        return history, classify(model, prepare(tokenizer, new_texts, device))
'''

PYTORCH = '''
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import BertModel, BertTokenizer


def prepare(tokenizer: BertTokenizer, texts: list[str], device: str) -> dict[str, torch.Tensor]:
    """What the model reads of texts, padded to one length: token ids and mask, each (N, L)."""
    return tokenizer(texts, padding=True, return_tensors="pt").to(device)


def classify(model: BertModel, head: nn.Linear, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits of texts, (N, K), from the last vector of the first token."""
    return head(model(**inputs).last_hidden_state[:, 0])


def finetune(
    folder: str,
    texts: list[str],
    labels: list[int],
    new_texts: list[str],
    num_classes: int,
    device: str,
    num_epochs: int,
    lr: float,
    batch_size: int,
) -> tuple[list[float], torch.Tensor]:
    """Fine-tune a pretrained BERT on labelled texts; return the loss of each epoch and the logits of new texts.

    Args:
        folder: where the encoder and its tokenizer are, in Hugging Face's layout.
        texts: texts to learn from, as they come.
        labels: the class of each.
        new_texts: texts to classify after training.
        num_classes: how many classes there are, K.
        device: where model and batches are to be ("cpu", "cuda").
        num_epochs: passes over the texts.
        lr: AdamW's rate.
        batch_size: texts of a step.

    Returns:
        The mean training loss of each epoch, and the logits of the new texts in inference mode, (N, K).
    """
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).to(device)
    head = nn.Linear(model.config.hidden_size, num_classes).to(device)
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=lr)
    loader = DataLoader(list(zip(texts, labels)), batch_size=batch_size, shuffle=True)
    history = []
    model.train()
    for _epoch in range(num_epochs):
        total = 0.0
        for batch, targets in loader:
            logits = classify(model, head, prepare(tokenizer, batch, device))
            loss = nn.functional.cross_entropy(logits, targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        history.append(total / len(texts))
    model.eval()
    with torch.no_grad():
        return history, classify(model, head, prepare(tokenizer, new_texts, device))
'''

PYTORCH_READY_MADE = """
import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def finetune(folder, texts, labels, new_texts, num_classes, device, num_epochs, lr, batch_size):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=num_classes).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)

    def collate(samples):
        words, classes = zip(*samples)
        return {**tokenizer(list(words), padding="longest", return_tensors="pt"), "labels": torch.tensor(classes)}

    loader = DataLoader([*zip(texts, labels)], batch_size, shuffle=True, collate_fn=collate)
    history = []
    for _ in range(num_epochs):
        model.train()
        seen, count = 0.0, 0
        for batch in loader:
            optimizer.zero_grad()
            loss = model(**{name: value.to(device) for name, value in batch.items()}).loss
            loss.backward()
            optimizer.step()
            seen, count = seen + loss.item() * len(batch["labels"]), count + len(batch["labels"])
        history.append(seen / count)
    model.eval()
    with torch.inference_mode():
        return history, model(**tokenizer(list(new_texts), padding=True, return_tensors="pt").to(device)).logits
"""

PYTORCH_ONE_MODULE = """
import torch
from torch import nn
from transformers import AutoModel, BertTokenizer


class Classifier(nn.Module):
    def __init__(self, folder, num_classes):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder)
        self.head = nn.Linear(self.encoder.config.hidden_size, num_classes)

    def forward(self, ids, mask):
        return self.head(self.encoder(ids, attention_mask=mask)[0])[:, 0]


def finetune(folder, texts, labels, new_texts, num_classes, device, num_epochs, lr, batch_size):
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = Classifier(folder, num_classes).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    classes = torch.as_tensor(labels, device=device)

    def logits_of(chosen):
        tokens = tokenizer(chosen, padding=True, return_tensors="pt")
        return model(tokens["input_ids"].to(device), tokens["attention_mask"].to(device))

    means = []
    for _ in range(num_epochs):
        model.train()
        each = []
        for part in torch.randperm(len(texts)).split(batch_size):
            log_odds = logits_of([texts[i] for i in part]).log_softmax(dim=-1)
            loss = -log_odds.gather(1, classes[part][:, None])[:, 0]
            model.zero_grad()
            loss.mean().backward()
            optimizer.step()
            each += loss.tolist()
        means.append(sum(each) / len(each))
    model.train(False)
    with torch.no_grad():
        return means, logits_of(list(new_texts))
"""

MESSAGES = {
    "starter": _("the loss was given what the encoder says of every token; it wants one row of logits a text"),
    "head": _("hidden features pass for logits of as many classes as the encoder is wide: it runs, and means nothing"),
    "head-not-learned": _("some of the parameters that make the logits are never shown to the optimiser"),
    "vector": _("there is a row of numbers for every token, and one label for a text"),
    "mask": _("the encoder cannot tell padding from words, so a text's logits depend on its neighbours in the batch"),
    "device": _("the batches travel to another device; what they are multiplied with does not travel by itself"),
    "log": _("an epoch is judged by the batch that happened to come last"),
    "mean-of-means": _("a short last batch counts as much as a full one"),
    "training-mode": _("the new texts are classified while dropout is still active"),
    "accumulates": _("each batch's gradients are added to those of all batches before it"),
    "head-alone": _("the encoder stays as it was: that is a linear probe, not fine-tuning"),
}
VECTORS = "model(**inputs).last_hidden_state"
LOADED = "BertModel.from_pretrained(folder).to(device)"
TOTAL, MEAN = "            total += loss.item() * len(targets)\n", "history.append(total / len(texts))"
EDITS = {
    "head": ((f"head({VECTORS}[:, 0])", f"{VECTORS}[:, 0]"),),
    "head-not-learned": (("[*model.parameters(), *head.parameters()]", "model.parameters()"),),
    "vector": ((f"{VECTORS}[:, 0]", VECTORS),),
    "mask": (
        (f"{VECTORS}[", f"{VECTORS.replace('**inputs', 'inputs')}["),
        ('"pt").to(device)', '"pt")["input_ids"].to(device)'),
    ),
    "device": ((LOADED, LOADED.removesuffix(".to(device)")),),
    "log": ((TOTAL, ""), (MEAN, "history.append(loss.item())")),
    "mean-of-means": ((TOTAL, "            total += loss.item()\n"), (MEAN, "history.append(total / len(loader))")),
    "training-mode": (("    model.eval()\n", ""),),
    "accumulates": (("            optimizer.zero_grad()\n", ""),),
    "head-alone": (("    optimizer = ", "    model.requires_grad_(False)\n    optimizer = "),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
