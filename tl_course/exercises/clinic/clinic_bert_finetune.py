"""Clinic: a script that fine-tunes a BERT with a loss written by hand, as tutorials print it."""

import numpy as np

from tl_course.exercises.clinic._tiny_bert import (
    draw_texts,
    encode,
    epochs_right,
    head_reads_first,
    judge_places,
    keys,
    losses,
    masks_right,
    places,
    steps_right,
    text_folder,
    trained,
    watch,
)
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import draw_bert
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
EPOCHS, BATCH = 2, 4


def cases(rng: np.random.Generator) -> list[Case]:
    """A small run from beginning to end, and the beginning of one on another device."""
    texts = draw_texts(rng, rng.permutation([2, 3, 4, 5, 6, 7, 8, 9, 10, 5, 3, 8, 4, 6, 2]).tolist())
    inputs = {
        "weights": draw_bert(rng),
        "texts": texts[:10],
        "labels": rng.permutation(np.arange(10) % 3),
        "new": texts[10:],
        "lr": float(rng.uniform(0.002, 0.004)),
    }
    return [
        Case("a run", {**inputs, "device": "cpu"}, ("head", "vector", "mask", "log")),
        Case("another device", {**inputs, "device": "meta"}, ("device",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Calculate losses and gradients from the logits that were seen, and look at what was read, and how."""
    inputs = case.inputs
    if case.criteria == ("device",):
        return [judge_places(observed)]
    texts, new = (keys(encode(inputs[name])[0]) for name in ("texts", "new"))
    labels = dict(zip(texts, inputs["labels"].tolist(), strict=True))
    events, logits = observed["events"], np.asarray(observed["logits"])
    pairs = trained(events)
    rates = all(np.isclose(step["rate"], inputs["lr"]) for _batch, step in pairs)
    reads = events[max((i for i, event in enumerate(events) if event["kind"] == "step"), default=0) + 1 :]
    calm = all(not read["training"] and not read["graph"] for read in reads)
    shape = _("{count} new texts: one row each was expected, your logits have shape {shape}")
    each = np.concatenate([losses(batch, labels) for batch, _step in pairs if "logits" in batch] or [np.zeros(0)])
    means = each.reshape(EPOCHS, -1).mean(axis=1) if len(each) == EPOCHS * len(texts) else np.zeros(0)
    return [
        holds("head", steps_right(events, labels), _("the steps do not follow the cross-entropy of one logit a class")),
        holds("head", epochs_right(events, texts, EPOCHS), _("an epoch shows each training text once, mixed")),
        holds(
            "head", rates and len(pairs) == EPOCHS * 3, _("the rate or the size of the batches is not the given one")
        ),
        holds("head", logits.shape[-1:] == (3,), _("there are not as many logits as classes")),
        holds(
            "vector",
            logits.ndim == 2 and len(logits) == len(new),
            shape.format(count=len(new), shape=tuple(logits.shape)),
        ),
        holds("vector", head_reads_first(events), _("the head does not read each text's first token")),
        holds(
            "vector",
            [key for read in reads for key in keys(read["ids"])] == new and calm,
            _("the new texts are not read once each, in their order, in inference mode"),
        ),
        holds("mask", masks_right(events), _("the encoder attends to padding")),
        close("log", observed["history"], means, _("the training loss of each epoch"), rtol=1e-3),
    ]


def probe_pytorch(candidate, inputs):
    """What is read and learned in a run, and what it returns; for another device, where the first batch meets whom."""
    folder = text_folder(inputs["weights"], "encoder")
    labels = [int(label) for label in inputs["labels"]]
    settings = {"num_epochs": EPOCHS, "lr": inputs["lr"], "batch_size": BATCH}

    def run():
        return candidate(folder, inputs["texts"], labels, inputs["new"], 3, inputs["device"], **settings)

    if inputs["device"] == "meta":
        found, error = places(run)
        return {"places": found, "error": error}
    with watch() as events:
        result = run()
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise NotPlain(_("two things were expected: the log and the logits of the new texts"))
    return {"events": events, "history": as_array(result[0]), "logits": as_array(result[1])}


EXERCISE = Exercise(
    id="clinic-bert-finetune",
    title=_("Clinic: a BERT with a loss of one's own"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=3,
    points=5,
    statement=_(
        "This script is to fine-tune a pretrained BERT on labelled texts and to classify new ones. It has five faults; "
        "some show only once others are mended. Return the mean training loss of each epoch and the logits of the new "
        "texts, shape (N, num_classes), in their order and in inference mode. The classes are read from each text's "
        "first token ([CLS]), directly or through the encoder's pooler; encoder and whatever is added learn together "
        "with AdamW from mixed batches, on the device asked for. Keep the arguments of `finetune`."
    ),
    hints=(
        _("Write the shape behind every line. What does the cross-entropy want, and what does it get?"),
        _("The tokenizer returns more than ids. Compare a short text's logits alone and beside a long one."),
        _(
            "Take the vector of [CLS], give it to a linear layer that the optimiser knows too, pass the mask on, move "
            "everything that holds parameters, and weight each batch's loss by its size."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("`outputs[0][:, 0]` alone makes the loss run. What is trained then, and how would you notice?"),
            _(
                "A softmax over the hidden features: the first K of them are taught to be large for their class. Loss "
                "starts near the logarithm of the width, about 6.6 for 768, instead of ln K. It even learns a little, "
                "which is why the first loss should be looked at."
            ),
        ),
        FollowUp(
            _("The texts are tokenised anew in each epoch. What does that cost, and what would you change at scale?"),
            _(
                "Tokenising is cheap beside BERT's forward pass on a CPU and may hold up a GPU. Tokenise once, store "
                "ids without padding, sort roughly by length into buckets, and pad each batch to its own longest text."
            ),
        ),
    ),
    complexity=_(
        "Per text and layer O(L²·D + L·D²) time, three times that with the backward pass, L being the longest text of "
        "the batch; memory O(N·L·D) activations per layer plus four copies of the parameters."
    ),
    criteria={
        "head": Criterion(_("learns one logit a class, encoder and head together")),
        "vector": Criterion(_("makes one row a text, and reads new texts in inference mode")),
        "mask": Criterion(_("keeps every text from attending to padding")),
        "device": Criterion(_("brings all parameters and batches to the device asked for")),
        "log": Criterion(_("logs the mean training loss of each epoch"), needs=("head",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=PYTORCH,
            probe=probe_pytorch,
            starter=STARTER,
            alternatives={"ready-made": PYTORCH_READY_MADE, "one module": PYTORCH_ONE_MODULE},
            mistakes={
                "starter": Mistake(MESSAGES["starter"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={
                "loss = nn.functional.cross_entropy(logits, targets)": (
                    "on the CPU, where the case runs to its end, the labels are on the device already"
                ),
            },
        ),
    },
)
