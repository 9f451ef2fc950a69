"""The clinic: BERT distilled into BERT."""

import numpy as np

from tl_course.exercises.clinic import _bert_distill_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import LAYERS, SETTINGS, VOCABULARY, WIDTH, bert, draw_bert
from tl_course.exercises.fine_tuning_text._tiny_encoder import softmax
from tl_course.i18n import _

CLASSES, EPOCHS, TEXTS, LENGTH = 3, 2, 5, 6
STUDENT_LAYERS = LAYERS - 1


def cases(rng: np.random.Generator) -> list[Case]:
    """A fine-tuned classifier of three classes, and two batches of texts of one length."""
    batches = [
        {"input_ids": rng.integers(1, VOCABULARY, (TEXTS, LENGTH)), "labels": rng.integers(0, CLASSES, TEXTS)}
        for _batch in range(2)
    ]
    inputs = {
        "weights": draw_bert(rng),
        "kernel": rng.normal(scale=0.6, size=(CLASSES, WIDTH)).astype(np.float32),
        "bias": rng.normal(scale=0.3, size=CLASSES).astype(np.float32),
        "batches": batches,
        "lr": float(rng.uniform(0.003, 0.006)),
        "runs": [[1.0, 1.0], [float(rng.uniform(2.5, 4)), float(rng.uniform(0.4, 0.6))]],
    }
    return [Case("a fine-tuned teacher", inputs, tuple(EXERCISE.criteria))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Calculate the teacher's logits in NumPy, and each step's loss from them and the student's logits."""
    inputs, runs = case.inputs, observed["runs"]
    teacher = [_logits(inputs, batch) for batch in inputs["batches"]]
    calls = [call for run in runs for call in run["teacher"]]
    layers = {run["layers"] for run in runs}
    text = _("the student has {layers} layers; {right} were asked for, and its teacher has {all}")
    text = text.format(layers=sorted(layers), right=STUDENT_LAYERS, all=LAYERS)
    right = bool(calls) and all(any(_same(call["logits"], logits) for logits in teacher) for call in calls)
    places = observed["places"]
    met = len({place[0] for place in places}) == 2 and all(place[1:] == ["meta", "meta"] for place in places)
    return [
        holds("head", right, _("the teacher's answers are not those of the classifier it was loaded from")),
        *(finding for run in runs for finding in _trained(inputs, run)),
        holds("student", layers == {STUDENT_LAYERS}, text),
        *_losses(inputs, runs, teacher),
        holds("gradients", not any(run["gradient"] for run in runs), _("gradients were worked out for the teacher")),
        holds("gradients", not any(call["training"] for call in calls), _("the teacher was in training mode")),
        holds("device", met, _("batches, teacher and student do not meet on the device that was asked for")),
    ]


def _same(seen: np.ndarray, right: np.ndarray) -> bool:
    return seen.shape == right.shape and np.allclose(seen, right, atol=1e-3)


def _logits(inputs: dict[str, Plain], batch: dict[str, np.ndarray]) -> np.ndarray:
    first = bert(inputs["weights"], batch["input_ids"], np.ones_like(batch["input_ids"]))[0][-1][:, 0]
    pooler = (inputs["weights"][f"pooler.dense.{name}"].astype(np.float64) for name in ("weight", "bias"))
    weight, bias = pooler
    return np.tanh(first @ weight.T + bias) @ inputs["kernel"].T + inputs["bias"]


def _trained(inputs: dict[str, Plain], run: dict[str, Plain]) -> list[Finding]:
    """Whether the student took its steps: Adam's first step moves the head's bias by the rate."""
    calls = run["student"]
    count = _("the student read {count} batches").format(count=len(calls))
    step = float(np.abs(calls[1]["bias"] - calls[0]["bias"]).max()) if len(calls) > 1 else 0.0
    training = all(call["training"] for call in calls)
    moved = len(calls) > 1 and calls[0]["words"] != calls[-1]["words"]
    return [
        holds("head", len(calls) == EPOCHS * len(inputs["batches"]), count),
        holds(
            "head", moved and bool(np.isclose(step, inputs["lr"], rtol=0.05)), _("the student's steps are not Adam's")
        ),
        holds("head", run["fresh"], _("gradients of one batch are added to those of the next")),
        holds("head", training, _("the student was not in training mode")),
    ]


def _losses(inputs: dict[str, Plain], runs: list[dict[str, Plain]], teacher: list[np.ndarray]) -> list[Finding]:
    """Losses relative to those calculated: constant, at temperature 1; 1; and the same at another temperature."""
    steps = EPOCHS * len(teacher)
    if any(len(run["losses"]) != steps or len(run["student"]) != steps for run in runs):
        text = _("a loss for each step was expected, and a student that reads each batch once a round")
        return [holds(name, False, text) for name in ("temperature", "soft", "reduction")]
    parts = []
    for (temperature, _share), run in zip(inputs["runs"], runs, strict=True):
        each = zip(teacher * EPOCHS, inputs["batches"] * EPOCHS, run["student"], strict=True)
        parts.append(np.array([_parts(call["logits"], logits, b["labels"], temperature) for logits, b, call in each]))
    factors = runs[0]["losses"] / parts[0][:, 0]
    share, what = inputs["runs"][1][1], _("the loss of each step, relative to the divergence")
    right = share * factors.mean() * parts[1][:, 0] + (1 - share) * parts[1][:, 1]
    mixed = _("the losses at another temperature, with labels")
    return [
        close("soft", factors, np.full(len(factors), np.mean(factors[:1])), what, rtol=5e-3),
        holds("soft", bool(np.isfinite(factors).all() and (factors > 0).all()), _("the losses are no divergences")),
        close("temperature", runs[1]["losses"], right, mixed, rtol=5e-3),
        holds("temperature", bool(np.isfinite(right).all()), _("the losses are NaN or infinite")),
        close("reduction", factors, np.ones(len(factors)), what, rtol=5e-3),
    ]


def _parts(student: np.ndarray, teacher: np.ndarray, labels: np.ndarray, t: float) -> tuple[float, float]:
    """The teacher's part of the loss, T² times the divergence, and the labels' part."""
    p, q, hard = softmax(teacher / t), softmax(student.astype(np.float64) / t), softmax(student.astype(np.float64))
    chosen = hard[np.arange(len(labels)), labels]
    return t**2 * float((p * np.log(p / q)).sum(axis=1).mean()), -float(np.log(chosen).mean())


def probe_pytorch(candidate, inputs):
    """Save the teacher, distil at each temperature, and once more on the device "meta", which holds no numbers."""
    import contextlib

    import torch
    from transformers import BertConfig, BertForSequenceClassification

    options = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "num_labels": CLASSES}
    saved = BertForSequenceClassification(BertConfig(**SETTINGS, **options))
    known = {f"bert.{name}": torch.tensor(array) for name, array in inputs["weights"].items()}
    head = {"classifier.weight": torch.tensor(inputs["kernel"]), "classifier.bias": torch.tensor(inputs["bias"])}
    saved.load_state_dict(known | head)
    saved.save_pretrained("teacher")
    batches = [{name: torch.tensor(array) for name, array in batch.items()} for batch in inputs["batches"]]
    shared = {"num_layers": STUDENT_LAYERS, "num_epochs": EPOCHS, "lr": inputs["lr"]}
    runs = []
    for temperature, share in inputs["runs"]:
        torch.manual_seed(1)
        settings = {**shared, "temperature": temperature, "alpha": share, "device": "cpu"}
        runs.append(_watched_run(lambda: candidate("teacher", batches, **settings)))  # noqa: B023
    places: list[list[Plain]] = []

    def look(module, args) -> None:
        if isinstance(module, torch.nn.Embedding) and module.num_embeddings == VOCABULARY:
            places.append([id(module), str(args[0].device), str(module.weight.device)])

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    with contextlib.suppress(Exception):  # it ends with the first number asked for
        candidate("teacher", batches, temperature=2.0, alpha=0.5, device="meta", **shared)
    hook.remove()
    names = {number: at for at, number in enumerate(dict.fromkeys(place[0] for place in places))}
    return {"runs": runs, "places": [[names[place[0]], *place[1:]] for place in places]}


def _watched_run(run) -> dict[str, Plain]:
    """What teacher and student were asked and answered, and the student's head before each answer."""
    import torch
    from transformers import BertForSequenceClassification

    found, own, fresh = [], [], []

    def note(module, args, output) -> None:
        if not isinstance(module, BertForSequenceClassification):
            return
        bias = module.classifier.bias
        if bias.requires_grad and all(module is not other for other, _call in found):
            bias.register_hook(lambda gradient: own.append(gradient.clone()))
            bias.register_post_accumulate_grad_hook(
                lambda bias: fresh.append((module, bool(torch.equal(bias.grad, own[-1]))))
            )
        call = {"logits": as_array(output.logits), "training": module.training}
        words = float(module.bert.embeddings.word_embeddings.weight.detach().sum())
        found.append((module, call | {"bias": as_array(bias), "words": words}))

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    try:
        student, losses = run()
    finally:
        hook.remove()
    teachers = [module for module, _call in found if module is not student]
    return {
        "losses": as_array(losses),
        "student": [call for module, call in found if module is student],
        "teacher": [call for module, call in found if module is not student],
        "layers": len(student.bert.encoder.layer),
        "gradient": any(value.grad is not None for module in teachers for value in module.parameters()),
        "fresh": all(alone for module, alone in fresh if module is student),
    }


EXERCISE = Exercise(
    id="clinic-bert-distill",
    title=_("Clinic: BERT distilled into BERT"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=30,
    difficulty=5,
    points=7,
    statement=_(
        "A tutorial distils a BERT classifier and has **seven** faults. Mend it: the teacher is the fine-tuned "
        "classifier saved under `name`; the student is one of `num_layers` layers, fewer than its teacher's, trained "
        "in training mode. A step's loss is α·T²·KL(teacher ‖ student) + (1 − α)·cross-entropy, with both networks' "
        "probabilities at temperature T, summed over classes, a mean over the batch. The teacher answers in inference "
        "mode and gets no gradient; all is on `device`. Batches hold `input_ids` and `labels`. Return the student and "
        "the loss of every step; Adam stays."
    ),
    hints=(
        _("Print the type of both networks, the names in their outputs, and their numbers of parameters."),
        _("What would the divergence be in the first step if everything else were right?"),
        _(
            "`BertForSequenceClassification` for both, the student with another `num_hidden_layers`; "
            "`log_softmax` and `softmax` of logits / T, `batchmean`, T²; `no_grad` and `to(device)`."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Start the student with some of the teacher's layers, or at random?"),
            _(
                "With few texts, copied layers (every second one in DistilBERT) and the teacher's embeddings are a far "
                "better start; at random the student needs pretraining, or very many unlabelled texts. They must be "
                "copies, not the teacher's own tensors."
            ),
        ),
        FollowUp(
            _("Half the layers: what becomes of size and speed?"),
            _(
                "Time nearly halves, since almost all computation is in the layers. Size falls by less: in BERT-base "
                "the embeddings hold about 24 of 110 million parameters and stay; six layers leave 66 million."
            ),
        ),
    ),
    criteria={
        "head": Criterion(_("has classifiers: the teacher as it was fine-tuned, and a student that is trained")),
        "student": Criterion(_("has a student that is smaller than its teacher"), needs=("head",)),
        "temperature": Criterion(_("compares at the temperature, and keeps the balance with the labels")),
        "soft": Criterion(_("compares the two networks' distributions")),
        "reduction": Criterion(_("gives the divergence its full weight, as a mean over the batch")),
        "gradients": Criterion(_("asks the teacher in inference mode, and no gradient reaches it"), needs=("head",)),
        "device": Criterion(_("has both networks and all data on the device")),
    },
    cases=cases,
    judge=judge,
    time_limit=20.0,
    complexity=_(
        "Time per step: a forward pass of the teacher's layers, a forward and backward pass of the student's. Memory: "
        "both networks' parameters, Adam's moments and the activations of the student alone."
    ),
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=code.REFERENCE,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"from config": code.FROM_CONFIG, "cut": code.CUT},
            mistakes=code.mistakes(),
        ),
    },
)
