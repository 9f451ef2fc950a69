"""Clinic: a function that loads a BERT and fine-tunes it, as tutorials print it."""

import numbers

import numpy as np

from tl_course.exercises.clinic._tiny_bert import (
    draw_texts,
    encode,
    epochs_right,
    judge_places,
    keys,
    losses,
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


def _split(rng: np.random.Generator, texts: list[str]) -> dict[str, Plain]:
    ids, mask = encode(texts)
    labels = rng.permutation(np.arange(len(texts)) % 3)
    return {"ids": ids, "mask": mask, "labels": labels}


def cases(rng: np.random.Generator) -> list[Case]:
    """A small run from beginning to end, and the beginning of one on another device."""
    texts = draw_texts(rng, rng.integers(3, 9, size=17).tolist())
    sets = {"train": _split(rng, texts[:10]), "test": _split(rng, texts[10:])}
    inputs = {"weights": draw_bert(rng), **sets, "lr": float(rng.uniform(0.002, 0.004))}
    return [
        Case("a run", {**inputs, "device": "cpu"}, ("head", "log", "holdout", "score")),
        Case("another device", {**inputs, "device": "meta"}, ("device",)),
    ]


EPOCHS, BATCH = 2, 4


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Calculate losses and gradients from the logits that were seen, and compare who was shown when."""
    inputs = case.inputs
    if case.criteria == ("device",):
        return [judge_places(observed)]
    names = {name: keys(inputs[name]["ids"]) for name in ("train", "test")}
    labels = {key: int(y) for name in names for key, y in zip(names[name], inputs[name]["labels"], strict=True)}
    events = observed["events"]
    pairs = trained(events)
    reads = events[max((i for i, event in enumerate(events) if event["kind"] == "step"), default=0) + 1 :]
    after = [key for read in reads for key in keys(read["ids"])]
    plain = all(not read["training"] and not read["graph"] for read in reads)
    shown = _("after training {seen} texts are read, {known} of which the model was trained on")
    shown = shown.format(seen=len(after), known=sum(key in names["train"] for key in after))
    rates = all(np.isclose(step["rate"], inputs["lr"]) for _batch, step in pairs)
    found = [
        holds("head", steps_right(events, labels), _("the steps do not follow the cross-entropy of one logit a class")),
        holds("head", epochs_right(events, names["train"], EPOCHS), _("an epoch shows each training text once, mixed")),
        holds(
            "head", rates and len(pairs) == EPOCHS * 3, _("the rate or the size of the batches is not the given one")
        ),
        holds("head", observed["classes"] == 3, _("the returned model gives no logits of 3 classes")),
    ]
    each = np.concatenate([losses(batch, labels) for batch, _step in pairs if "logits" in batch] or [np.zeros(0)])
    means = each.reshape(EPOCHS, -1).mean(axis=1) if len(each) == EPOCHS * len(names["train"]) else np.zeros(0)
    last = np.concatenate([losses(read, labels) for read in reads if "logits" in read] or [np.zeros(0)])
    return [
        *found,
        holds("log", observed["numbers"], _("the log holds something else than plain numbers")),
        close("log", observed["history"], means, _("the training loss of each epoch"), rtol=1e-3),
        holds("holdout", sorted(after) == sorted(names["test"]), shown),
        holds("holdout", plain, _("the model is not measured in inference mode, without gradients")),
        close("score", observed["loss"], last.mean() if len(last) else np.nan, _("the loss measured"), rtol=1e-3),
        holds("score", len(last) > 0, _("nothing was measured")),
    ]


def probe_pytorch(candidate, inputs):
    """What is read and learned in a run, and what it returns; for another device, where the first batch meets whom."""
    import torch

    folder = text_folder(inputs["weights"], "encoder")
    sets = []
    for name in ("train", "test"):
        columns = {"input_ids": "ids", "attention_mask": "mask", "labels": "labels"}
        tensors = {column: torch.tensor(inputs[name][key]) for column, key in columns.items()}
        sets.append([{column: value[i] for column, value in tensors.items()} for i in range(len(inputs[name]["ids"]))])
    settings = {"num_epochs": EPOCHS, "lr": inputs["lr"], "batch_size": BATCH}

    def run():
        return candidate(folder, *sets, 3, inputs["device"], **settings)

    if inputs["device"] == "meta":
        found, error = places(run)
        return {"places": found, "error": error}
    with watch() as events:
        result = run()
    if not isinstance(result, (tuple, list)) or len(result) != 3 or not isinstance(result[0], torch.nn.Module):
        raise NotPlain(_("three things were expected: the model, the log and the test loss"))
    model, history, loss = result
    with watch() as calls, torch.no_grad():
        model(input_ids=sets[1][0]["input_ids"][None], attention_mask=sets[1][0]["attention_mask"][None])
    classes = [call["logits"].shape[-1] for call in calls if "logits" in call]
    return {
        "events": events,
        "classes": classes[0] if classes else 0,
        "history": as_array(history),
        "numbers": all(isinstance(number, numbers.Real) for number in [*history, loss]),
        "loss": as_array(loss),
    }


EXERCISE = Exercise(
    id="clinic-bert-function",
    title=_("Clinic: load a BERT and fine-tune it"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=3,
    points=5,
    statement=_(
        "This function is to load a pretrained BERT from `folder`, fine-tune all of it on `train_set` on the given "
        "device, and measure it on `test_set`. It has five faults; some show only once others are mended. Return the "
        "classifier (called with input_ids and attention_mask), the mean training loss of each epoch, and the mean "
        "loss over all test texts, in inference mode, the last two as plain numbers. Keep the arguments; AdamW, "
        "mixed batches and the cross-entropy of one logit a class stay."
    ),
    hints=(
        _("Run it on two texts. What does `type(outputs)` hold, and which keyword did nothing?"),
        _("For each number returned, ask: over which texts, from which moment, in which mode, on which device?"),
        _(
            "Another class brings head and loss; the model must go where its batches go; sum losses times batch sizes, "
            "per epoch in the training loop, and once over the test set after eval()."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why does nothing complain about the labels, and how would you make it complain?"),
            _(
                "The forward of transformers' encoders takes arbitrary keyword arguments, so an unknown name is no "
                "error. Check contracts yourself: outputs have a loss, logits have shape (N, K), the first loss is "
                "near ln K, and a few texts can be learned by heart."
            ),
        ),
        FollowUp(
            _("What does `loss.item()` at every step cost on a GPU, and what would you do instead?"),
            _(
                "It waits until the device has finished, so the queue of kernels runs dry at every step. Add detached "
                "losses on the device and read the sum once per epoch or every hundred steps."
            ),
        ),
    ),
    complexity=_(
        "Per text and layer O(L²·D + L·D²) time, three times that with the backward pass; memory O(N·L·D) activations "
        "per layer plus four copies of the parameters (weights, gradients, AdamW's two averages)."
    ),
    criteria={
        "head": Criterion(_("trains encoder and a head of one logit a class on the labels")),
        "device": Criterion(_("brings model and batches to the device asked for")),
        "log": Criterion(_("logs the mean training loss of each epoch"), needs=("head",)),
        "holdout": Criterion(_("measures the test texts, each once, in inference mode after training")),
        "score": Criterion(_("returns the mean loss over all texts measured"), needs=("head",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=PYTORCH,
            probe=probe_pytorch,
            starter=STARTER,
            alternatives={"own head": PYTORCH_OWN_HEAD, "from logits": PYTORCH_LOGITS},
            mistakes={
                "starter": Mistake(MESSAGES["starter"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={
                "test_loader = DataLoader(test_set)": "how many texts are measured at a time changes no mean",
            },
        ),
    },
)
