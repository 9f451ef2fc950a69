"""Clinic: a script that fine-tunes a BERT with a loss written by hand, as tutorials print it."""

import numpy as np

from tl_course.exercises.clinic import _bert_finetune_code as code
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
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import draw_bert
from tl_course.i18n import _

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
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"ready-made": code.PYTORCH_READY_MADE, "one module": code.PYTORCH_ONE_MODULE},
            mistakes=code.mistakes(),
            equivalent={
                "loss = nn.functional.cross_entropy(logits, targets)": (
                    "on the CPU, where the case runs to its end, the labels are on the device already"
                ),
            },
        ),
    },
)
