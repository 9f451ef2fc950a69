"""Clinic: a news classifier with evaluation, as tutorials print it."""

import numpy as np

from tl_course.exercises.clinic import _news_classifier_code as code
from tl_course.exercises.clinic._tiny_bert import (
    PLAIN_WORDS,
    WORDS,
    encode,
    epochs_right,
    judge_places,
    keys,
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

EPOCHS, BATCH = 3, 2
TENSOR = "numbers in a tensor on the CPU compare and index as those of a list do"
SYMMETRIC = "equality is symmetric, and both lists have the same length"


MARKERS = np.array(WORDS[len(PLAIN_WORDS) :][:18]).reshape(3, 6)  # words by which a text's class is known


def _bare(text: str) -> str:
    """A text without its plain words."""
    return " ".join(word for word in text.split() if word not in PLAIN_WORDS)


def _split(rng: np.random.Generator, size: int, taken: set[str], shift: int = 0) -> dict[str, Plain]:
    """Texts whose words tell their class; the labels may be shifted against it."""
    texts, labels = [], rng.permutation(np.arange(size) % 3)
    while len(texts) < size:
        words = [*rng.choice(MARKERS[labels[len(texts)]], size=2, replace=False)]
        words += [*rng.choice(WORDS[len(PLAIN_WORDS) + 18 :], size=rng.integers(1, 4), replace=False)]
        text = " ".join(rng.permutation([*words, *rng.choice(PLAIN_WORDS, size=rng.integers(1, 4), replace=False)]))
        texts += [text] if _bare(text) not in taken else []
        taken.add(_bare(text))
    return {"texts": texts, "labels": (labels + shift) % 3}


def cases(rng: np.random.Generator) -> list[Case]:
    """A run at a rate that moves a tiny model, one at the program's own rate, and the beginning of one elsewhere."""
    taken: set[str] = set()
    splits = {"train": _split(rng, 14, taken), "val": _split(rng, 13, taken, shift=1), "test": _split(rng, 11, taken)}
    inputs = {"weights": draw_bert(rng), **splits, "device": "cpu"}
    run = {**inputs, "rate": float(rng.uniform(0.003, 0.005))}
    return [
        Case("a run", run, ("classes", "words", "rate", "selection", "metrics")),
        Case("its own rate", {**inputs, "rate": None}, ("rate",)),
        Case("another device", {**run, "device": "meta"}, ("device",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Calculate rates, gradients, choice and report from what was read and which logits were seen."""
    if case.criteria == ("device",):
        return [judge_places(observed)]
    inputs, events = case.inputs, observed["events"]
    rates = [step["rate"] for _batch, step in trained(events)]
    if case.criteria == ("rate",):
        peak = max(rates, default=0.0)
        return [holds("rate", 1e-5 <= peak <= 5.01e-5, _("the highest rate is {peak:.1e}").format(peak=peak))]
    return [_rate(inputs["rate"], rates), *_judge_run(inputs, observed)]


def _rate(peak: float, seen: list[float]) -> Finding:
    """Whether the rates climb over the first tenth of the steps and then fall to 0, linearly."""
    steps = np.arange(EPOCHS * 7)
    warm = len(steps) // 10
    right = peak * np.minimum(steps / warm, (len(steps) - steps) / (len(steps) - warm))
    text = _("the rates of the first steps are {seen}: not the warm-up and decay asked for")
    seen_first = [float(f"{number:.3g}") for number in seen[:4]]
    return holds("rate", len(seen) == len(right) and np.allclose(seen, right, rtol=1e-3), text.format(seen=seen_first))


def _judge_run(inputs: dict[str, Plain], observed: dict[str, Plain]) -> list[Finding]:
    events = observed["events"]
    splits = {name: inputs[name] for name in ("train", "val", "test")}
    full, owner, labels = set(), {}, {}
    for name, split in splits.items():
        for text, label in zip(split["texts"], split["labels"].tolist(), strict=True):
            forms = [keys(encode([form])[0])[0] for form in (text, _bare(text))]
            full.add(forms[0])
            owner |= dict.fromkeys(forms, name)
            labels |= dict.fromkeys(forms, label)
    seen = {key for event in events if event["kind"] == "read" for key in keys(event["ids"])}
    shown = [key for batch, _step in trained(events) for key in keys(batch["ids"])]
    texts = [key for key in dict.fromkeys(shown) if owner.get(key) == "train"]
    right = len(texts) == len(splits["train"]["texts"]) and epochs_right(events, texts, EPOCHS)
    return [
        holds("classes", steps_right(events, labels), _("the steps do not follow the cross-entropy of 3 classes")),
        holds(
            "classes", right and len(trained(events)) == EPOCHS * 7, _("an epoch shows each training text once, mixed")
        ),
        holds("words", bool(seen) and seen <= full, _("the model reads texts in which words are missing")),
        *_selection(inputs, observed, owner, labels),
        *_metrics(inputs["test"]["labels"], observed),
    ]


def _selection(inputs, observed, owner, labels) -> list[Finding]:
    """The epoch best on val is kept, and test is read once, at the end."""
    events, after = observed["events"], observed["after"]
    last = max((i for i, event in enumerate(events) if event["kind"] == "step"), default=-1)
    early = [key for event in events[: last + 1] if event["kind"] == "read" for key in keys(event["ids"])]
    late = [key for event in events[last + 1 :] for key in keys(event["ids"])]
    tested = [key for key in late if owner.get(key) == "test"]
    once = not any(owner.get(key) == "test" for key in early) and len(tested) == len(inputs["test"]["texts"])
    measured = [event for event in events if event["kind"] == "read" and not event["training"]]
    calm = all(not event["graph"] and "logits" in event for event in measured)
    rows = [row for event in measured if "logits" in event for row in event["logits"]]
    names = [key for event in measured if "logits" in event for key in keys(event["ids"])]
    val = [(key, row) for key, row in zip(names, rows, strict=True) if owner.get(key) == "val"]
    size = len(inputs["val"]["texts"])
    epochs = [dict(val[i : i + size]) for i in range(0, len(val), size)][:EPOCHS]
    scores = [np.mean([labels[key] == row.argmax() for key, row in epoch.items()]) for epoch in epochs]
    best = [epoch for epoch, score in zip(epochs, scores, strict=True) if score == max(scores)]
    mine = np.asarray(after["val"])
    order = [keys(encode([text])[0])[0] for text in inputs["val"]["texts"]]
    fits = len(epochs) == EPOCHS and any(
        all(key in epoch for key in order) and np.allclose(mine, [epoch[key] for key in order], atol=1e-3)
        for epoch in best
    )
    accuracy = np.mean(np.argmax(after["test"], axis=1) == inputs["test"]["labels"])
    return [
        holds("selection", once and calm, _("test texts are read before training has ended, or not once each")),
        holds("selection", fits or not set(order) <= set(names), _("the model is not that of the epoch best on val")),
        close("selection", observed["report"].get("accuracy", np.nan), accuracy, _("the accuracy on the test texts")),
    ]


def _metrics(truth: np.ndarray, observed: dict[str, Plain]) -> list[Finding]:
    predicted, report = np.argmax(observed["after"]["test"], axis=1), observed["report"]
    table = np.array([[np.sum((truth == row) & (predicted == column)) for column in range(3)] for row in range(3)])
    right = {
        "confusion": table,
        "precision": np.diag(table) / np.maximum(table.sum(axis=0), 1),
        "recall": np.diag(table) / table.sum(axis=1),
    }
    return [close("metrics", report.get(name, "nothing"), value, f'"{name}"') for name, value in right.items()]


def probe_pytorch(candidate, inputs):
    """What is read, learned and reported; for another device, where the first batch meets whom."""
    import torch

    folder = text_folder(inputs["weights"], "encoder")
    splits = [(list(inputs[name]["texts"]), inputs[name]["labels"].tolist()) for name in ("train", "val", "test")]
    settings = {"num_epochs": EPOCHS, "batch_size": BATCH}
    settings |= {} if inputs["rate"] is None else {"lr": inputs["rate"]}

    def run():
        return candidate(folder, *splits, 3, inputs["device"], **settings)

    if inputs["device"] == "meta":
        found, error = places(run)
        return {"places": found, "error": error}
    with watch() as events:
        if inputs["rate"] is None:
            _begin(run)
            return {"events": events}
        result = run()
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not isinstance(result[0], torch.nn.Module):
        raise NotPlain(_("two things were expected: the model and the report"))
    model, report = result
    after = {}
    for name, (texts, _labels) in zip(("val", "test"), splits[1:], strict=True):
        read = texts if _read_whole(events, texts) else [_bare(text) for text in texts]
        ids, mask = (torch.tensor(array) for array in encode(read))
        with torch.no_grad():
            after[name] = as_array(model.eval()(ids, attention_mask=mask).logits)
    names = ("accuracy", "confusion", "precision", "recall")
    return {"events": events, "after": after, "report": {n: as_array(report[n]) for n in names if n in report}}


def _begin(run):
    """The first steps of a run, until the rate has come to its peak."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    left = [4]

    def count(*_step):
        left[0] -= 1
        if left[0] == 0:
            raise _Enough

    hook = register_optimizer_step_post_hook(count)
    try:
        run()
    except _Enough:
        pass
    finally:
        hook.remove()


class _Enough(Exception):
    """As many steps as are needed have been made."""


def _read_whole(events, texts):
    """Whether any of these texts was read as it stands; else it is read without its plain words."""
    seen = {key for event in events if event["kind"] == "read" for key in keys(event["ids"])}
    bare = {keys(encode([_bare(text)])[0])[0] for text in texts}
    return not seen & bare


EXERCISE = Exercise(
    id="clinic-news-classifier",
    title=_("Clinic: a news classifier with its report"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=30,
    difficulty=4,
    points=6,
    statement=_(
        "This program is to fine-tune BERT on news of `num_classes` sections on the given device, keep the epoch with "
        "the highest accuracy, and report once on the test texts. It has six faults. Mended, it reads texts as they "
        "are; the rate climbs linearly over the first tenth of all steps and falls linearly to zero (transformers' "
        "linear schedule), its default peak between 1e-5 and 5e-5. Return the chosen model and a dict with accuracy, "
        "confusion (a row for each true class), precision and recall of each class (0 where never predicted), all on "
        "`test`. Keep the arguments."
    ),
    hints=(
        _("Run it on three classes. Then ask of each text which part of the program reads it first, and for what."),
        _("Write down the rate of each step, the words that reach the tokenizer, and what the docstring promises."),
        _(
            "num_labels and .to(device) when loading; get_linear_schedule_with_warmup, stepped after each optimiser "
            "step; val in the loop; one prediction on test after load_state_dict, and a table of counts from it."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("How much does choosing the epoch on the test texts flatter, and when is it worst?"),
            _(
                "The maximum of several noisy scores is biased upwards: with n test texts one score has standard error "
                "about sqrt(p(1-p)/n), 1.3 points at n = 500 and p = 0.9. It grows with the number of choices and "
                "shrinks with n."
            ),
        ),
        FollowUp(
            _("The program keeps a copy of the weights of each epoch. What does that cost for BERT-base?"),
            _(
                "110 million numbers of 4 bytes: 440 MB an epoch, on the GPU too, as deepcopy stays on the device. "
                "Keep only the best so far, on the CPU or on disk."
            ),
        ),
    ),
    complexity=_(
        "O(num_epochs·N) passes through the encoder, each O(L²·D + L·D²) a layer; memory for num_epochs copies of the "
        "parameters beside weights, gradients and AdamW's averages."
    ),
    criteria={
        "classes": Criterion(_("trains one logit for each of the classes")),
        "device": Criterion(_("brings model and batches to the device asked for")),
        "words": Criterion(_("reads every word of every text")),
        "rate": Criterion(_("warms the rate up to a peak fit for BERT and lets it fall")),
        "selection": Criterion(_("chooses on val, and measures test once at the end")),
        "metrics": Criterion(_("reports confusion matrix, precision and recall on test")),
    },
    cases=cases,
    judge=judge,
    time_limit=15.0,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"best only": code.PYTORCH_BEST_ONLY, "rates by hand": code.PYTORCH_RATES_BY_HAND},
            mistakes=code.mistakes(),
            equivalent={
                "loss = model(**read(tokenizer, texts, device), labels=labels).loss": (
                    "on the CPU, where the case runs to its end, the labels are on the device already"
                ),
                "return model(**read(tokenizer, texts, device)).logits.argmax(dim=-1)": TENSOR,
                "return model(**read(tokenizer, texts, device)).logits.argmax(dim=1).tolist()": "the last axis is 1",
                "return sum((mine == label for mine, label in zip(labels, predicted))) / len(labels)": SYMMETRIC,
                "scores.append(share_right(val[1], predict(model, tokenizer, val[0], device)))": SYMMETRIC,
                "accuracy = share_right(test[1], predicted)": SYMMETRIC,
                "precision = right / np.maximum(1, confusion.sum(axis=0))": "the larger of two numbers has no order",
            },
        ),
    },
)
