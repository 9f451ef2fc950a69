"""Clinic: a function that loads a BERT and fine-tunes it, as tutorials print it."""

import numbers

import numpy as np

from tl_course.exercises.clinic import _bert_function_code as code
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
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import draw_bert
from tl_course.i18n import _


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
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"own head": code.PYTORCH_OWN_HEAD, "from logits": code.PYTORCH_LOGITS},
            mistakes=code.mistakes(),
            equivalent={
                "test_loader = DataLoader(test_set)": "how many texts are measured at a time changes no mean",
            },
        ),
    },
)
