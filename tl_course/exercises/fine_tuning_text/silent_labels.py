"""Find the fault: a bare encoder is given labels, and what is minimised is no loss."""

import numbers

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text import _silent_labels_code as code
from tl_course.exercises.fine_tuning_text._tiny_bert import LAYERS, WIDTH, bert, draw_bert, draw_ids, torch_bert
from tl_course.exercises.fine_tuning_text._tiny_encoder import draw_head, softmax, torch_head
from tl_course.i18n import _

SHIFT = f"encoder.layer.{LAYERS - 1}.output.LayerNorm.bias"  # added to every vector the encoder gives


def cases(rng: np.random.Generator) -> list[Case]:
    """Two padded batches for two steps."""
    batches = []
    for lengths in ([7, 4, 5], [3, 6, 6, 2]):
        ids, mask = draw_ids(rng, lengths)
        batches.append({"ids": ids, "mask": mask, "labels": rng.integers(0, 3, size=len(ids))})
    head = draw_head(rng, WIDTH)
    inputs = {"weights": draw_bert(rng), "head": head, "batches": batches, "lr": float(rng.uniform(0.05, 0.1))}
    return [Case("two steps", inputs, ("loss", "head", "encoder"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Calculate loss and gradients of each step in NumPy, from the weights before it."""
    inputs, before, found = case.inputs, {"weights": case.inputs["weights"], "head": case.inputs["head"]}, []
    for batch, after in zip(inputs["batches"], observed["steps"], strict=True):
        first = bert(before["weights"], batch["ids"], batch["mask"])[0][-1][:, 0]  # (N, D)
        kernel, bias = (before["head"][name].astype(np.float64) for name in ("kernel", "bias"))
        odds = softmax(first @ kernel + bias)
        places = np.arange(len(odds)), batch["labels"]
        error = odds.copy()
        error[places] -= 1
        error = inputs["lr"] * error / len(odds)
        shift = before["weights"][SHIFT] - (error @ kernel.T).sum(axis=0)
        found += [
            holds("loss", after["number"], _("the loss was expected as a number; yours is still a tensor")),
            holds("loss", after["kept"], _("your function changed the batch it was given")),
            close("loss", after["loss"], -np.log(odds[places]).mean(), _("the loss"), rtol=1e-3),
            close("head", after["head"]["kernel"], kernel - first.T @ error, _("the head's kernel"), atol=1e-4),
            close("head", after["head"]["bias"], bias - error.sum(axis=0), _("the head's bias"), atol=1e-4),
            holds("encoder", _moved(before, after), _("the encoder's first layer was not changed by the step")),
            close("encoder", after["weights"][SHIFT], shift, _("the bias of the encoder's last LayerNorm"), atol=1e-4),
        ]
        before = after
    return found


def _moved(before: dict[str, Plain], after: dict[str, Plain]) -> bool:
    name = "encoder.layer.0.attention.self.query.weight"
    return not np.array_equal(before["weights"][name], after["weights"][name])


def probe_pytorch(candidate, inputs):
    """The loss that each step reports, and all weights after it."""
    import torch

    encoder, head = torch_bert(inputs["weights"]), torch_head(inputs["head"])
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=inputs["lr"])
    steps = []
    for batch in inputs["batches"]:
        names = {"input_ids": "ids", "attention_mask": "mask", "labels": "labels"}
        given = {name: torch.tensor(batch[key]) for name, key in names.items()}
        loss = candidate(encoder, head, optimizer, given)
        same = [name in given and np.array_equal(as_array(given[name]), batch[key]) for name, key in names.items()]
        weights = {name: as_array(value) for name, value in encoder.state_dict().items()}
        now = {"kernel": as_array(head.weight).T, "bias": as_array(head.bias)}
        number = isinstance(loss, numbers.Real)
        observed = {"loss": as_array(loss), "number": number, "kept": all(same)}
        steps.append({**observed, "weights": weights, "head": now})
    return {"steps": steps}


EXERCISE = Exercise(
    id="silent-labels",
    title=_("The loss falls below zero"),
    lesson="05_fine_tuning_text",
    kind="find-the-fault",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "A team fine-tunes an encoder loaded with `AutoModel`. There is no error and no warning; the loss falls "
        "smoothly, in the end below zero, and accuracy stays at chance. Find the fault in `train_step`, fix it, and "
        "prove it: the head reads the last hidden vector of each text's first token ([CLS]); the loss is the mean "
        "cross-entropy with the labels; one optimiser step moves encoder and head; the loss before the step is "
        "returned as a number."
    ),
    hints=(
        _("Can a cross-entropy be negative? Print the shape of what is averaged."),
        _("Which part of the model knows how many classes there are, and is it called at all?"),
        _("Take `last_hidden_state[:, 0]`, give it to the head, and compare the logits with the labels yourself."),
    ),
    follow_ups=(
        FollowUp(
            _("Why does `AutoModel` accept `labels=` at all, and which classes do compute a loss?"),
            _(
                "Its forward takes arbitrary keyword arguments, which are passed on to the layers, so that an unknown "
                "name is no error. `AutoModelForSequenceClassification` and its relatives have a head, return logits "
                "and, given labels, a loss."
            ),
        ),
        FollowUp(
            _("Which quick tests before a long run would have found this?"),
            _(
                "The first loss of a balanced K-class problem is near ln K. A few examples must be learned by heart "
                "down to a loss near zero, and with shuffled labels the loss must behave differently: here it would "
                "not change at all."
            ),
        ),
    ),
    criteria={
        "loss": Criterion(_("returns the cross-entropy of the head's logits"), weight=2),
        "head": Criterion(_("moves the head by its gradient"), needs=("loss",)),
        "encoder": Criterion(_("moves the encoder by its gradient"), needs=("loss",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"keywords": code.PYTORCH_KEYWORDS, "gradients": code.PYTORCH_GRAD},
            mistakes=code.mistakes(),
        ),
    },
    complexity=_(
        "A forward and a backward pass of the encoder, about three forward passes: in each layer O(N·L²·D + N·L·D²). "
        "The head reads one vector a text, O(N·D·K). Memory: the activations of all layers, gradients, and optimiser "
        "state."
    ),
)
