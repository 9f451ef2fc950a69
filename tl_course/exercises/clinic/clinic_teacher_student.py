"""The clinic: training a student on its teacher's answers."""

import numpy as np

from tl_course.exercises.clinic import _teacher_student_code as code
from tl_course.exercises.clinic._torch_outputs import distilled, draw_linear, moves, torch_classifier
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

WIDTH, CLASSES = 4, 5


def cases(rng: np.random.Generator) -> list[Case]:
    """A student that agrees with its teacher, one that does not, and one that learns from labels alone."""
    student, teacher = draw_linear(rng, WIDTH, CLASSES), draw_linear(rng, WIDTH, CLASSES)
    same = {"kernel": student["kernel"], "bias": student["bias"] + rng.uniform(1, 2)}
    shared = {"student": student, "lr": float(rng.uniform(0.02, 0.05)), "num_epochs": 2}
    batches = [
        {"x": rng.normal(size=(n, WIDTH)).astype(np.float32), "labels": rng.integers(0, CLASSES, n)} for n in (6, 3)
    ]
    agree = shared | {"teacher": same, "batches": batches, "dropout": 0.0, "runs": [[2.0, 1.0]]}
    differ = shared | {"teacher": teacher, "batches": batches, "dropout": 0.0}
    differ |= {"runs": [[1.0, 1.0], [float(rng.uniform(3, 5)), 1.0], [1.0, float(rng.uniform(0.2, 0.4))]]}
    labels = shared | {"teacher": teacher, "batches": batches, "dropout": 0.5, "runs": [[3.0, 0.0]]}
    return [
        Case("agreement", agree, ("soft",)),
        Case("disagreement", differ, ("temperature", "reduction")),
        Case("labels alone", labels, ("mode", "gradients", "device")),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare losses and weights with those calculated; look at modes, gradients and moves."""
    return {"agreement": _agreement, "disagreement": _disagreement, "labels alone": _labels}[case.name](case, observed)


def _truth(case: Case, run: int) -> tuple[dict[str, np.ndarray], list[float]]:
    inputs = case.inputs
    temperature, share = inputs["runs"][run]
    batches = inputs["batches"] * inputs["num_epochs"]
    return distilled(inputs["student"], inputs["teacher"], batches, inputs["lr"], temperature, share)


def _agreement(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    (run,) = observed["runs"]
    what = _("the loss of a student whose probabilities are its teacher's")
    return [close("soft", run["losses"][:1], [0.0], what, atol=1e-4)]


def _disagreement(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    plain, warm, mixed = observed["runs"]
    right = [_truth(case, run) for run in range(3)]
    ratio, expected = (
        np.divide(hot[0], cold[0]) for hot, cold in ((warm["losses"], plain["losses"]), (right[1][1], right[0][1]))
    )
    what = _("the loss at temperature {t:.3g}, relative to that at 1").format(t=case.inputs["runs"][1][0])
    return [
        close("temperature", ratio, expected, what, rtol=1e-3),
        close("reduction", plain["losses"], right[0][1], _("the loss of each step at temperature 1"), rtol=2e-3),
        close("reduction", mixed["losses"], right[2][1], _("the loss with labels mixed in"), rtol=2e-3),
        *(
            close("reduction", plain["student"][name], right[0][0][name], name, atol=1e-3)
            for name in ("kernel", "bias")
        ),
    ]


def _labels(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    (run,), inputs = observed["runs"], case.inputs
    right, log = _truth(case, 0)[0], run["log"]
    calls = {who: [event for event in log if event["event"] == "call" and event["who"] == who] for who in ("t", "s")}
    first = next((at for at, event in enumerate(log) if event["event"] == "call"), 0)
    moved = {event["who"] for event in log[:first] if event["event"] == "to" and event["device"] == "cpu"}
    rows = {kind: sum(e["rows"] for e in log if e["event"] == "moved" and e["whole"] == kind) for kind in (True, False)}
    enough = all(count >= sum(len(batch["labels"]) for batch in inputs["batches"]) for count in rows.values())
    teacher = _("the teacher was in training mode in {count} of its {total} calls")
    wrong = sum(event["training"] for event in calls["t"])
    student = bool(calls["s"]) and all(event["training"] for event in calls["s"])
    kept = all(np.allclose(run["teacher"][name], inputs["teacher"][name], atol=1e-6) for name in ("kernel", "bias"))
    return [
        holds("mode", bool(calls["t"]) and not wrong, teacher.format(count=wrong, total=len(calls["t"]))),
        holds("mode", student, _("the student was not in training mode")),
        holds("gradients", not run["gradient"], _("gradients were worked out for the teacher")),
        holds("gradients", kept, _("the teacher has changed")),
        *(close("gradients", run["student"][name], right[name], name, atol=1e-3) for name in ("kernel", "bias")),
        holds("device", moved == {"t", "s"}, _("not both networks are moved to the device before the first batch")),
        holds("device", enough, _("not all inputs and labels are moved to the device")),
    ]


def probe_pytorch(candidate, inputs):
    """Distil once for each temperature and share, each time from the same two networks."""
    import torch

    found = []
    for temperature, share in inputs["runs"]:
        log: list[dict[str, Plain]] = []
        teacher = torch_classifier(inputs["teacher"], "t", log.append, inputs["dropout"]).train()
        student = torch_classifier(inputs["student"], "s", log.append).eval()
        batches = [{name: torch.tensor(array) for name, array in batch.items()} for batch in inputs["batches"]]
        settings = {"num_epochs": inputs["num_epochs"], "lr": inputs["lr"], "device": "cpu"}
        with moves(log.append):
            trained, losses = candidate(
                teacher, student, batches, temperature=temperature, teacher_lambda=share, **settings
            )
        weights = {
            name: {"kernel": as_array(model.linear.weight).T, "bias": as_array(model.linear.bias)}
            for name, model in (("teacher", teacher), ("student", trained))
        }
        gradient = any(parameter.grad is not None for parameter in teacher.parameters())
        found.append({**weights, "gradient": gradient, "losses": as_array(losses), "log": log})
    return {"runs": found}


EXERCISE = Exercise(
    id="clinic-teacher-student",
    title=_("Clinic: a teacher and its student"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=4,
    points=6,
    statement=_(
        "A tutorial trains a student on its teacher's answers and on the labels, and has **six** faults. Mend it. The "
        "loss of a step is λ·T²·KL(teacher ‖ student) + (1 − λ)·cross-entropy: the divergence is between both "
        "networks' probabilities at `temperature` T, summed over classes, a mean over the batch; λ is "
        "`teacher_lambda`. Both networks are called with a batch's items and give `.logits` and `.loss`. The teacher "
        "answers as in use, and no gradient reaches it; both networks and all data are on `device`. Return the student "
        "and the loss of every step; Adam stays."
    ),
    hints=(
        _("What should the loss be for a student that already gives its teacher's answers? Print it."),
        _("Read the documentation of `KLDivLoss` once more: what are its two arguments, and what is `reduction`?"),
        _(
            "`log_softmax` of the student and `softmax` of the teacher, both of logits / T; `batchmean`; T² in front. "
            "For the teacher: `eval()`, `no_grad()`, `to(device)`."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("The printed loss was NaN, and the student learned all the same. How can that be?"),
            _(
                "The value contains the logarithm of a negative target; the gradient with respect to the student's "
                "input is just minus the target, which is finite. So the weights move, without bound, towards large "
                "logits where the teacher's are positive, and nothing makes them stop where the two agree."
            ),
        ),
        FollowUp(
            _("What does a teacher without `no_grad` cost, even if no optimiser holds its parameters?"),
            _(
                "Its activations are kept for the backward pass, which then runs through it too: about as much memory "
                "and twice as much computation again as its forward pass, usually more than the student's own."
            ),
        ),
    ),
    criteria={
        "soft": Criterion(_("has no loss where student and teacher give the same probabilities")),
        "temperature": Criterion(_("compares at the temperature, and keeps the balance with the labels")),
        "reduction": Criterion(_("gives the divergence its full weight, as a mean over the batch")),
        "mode": Criterion(_("asks the teacher in inference mode and trains the student in training mode")),
        "gradients": Criterion(_("lets only the student learn; no gradient reaches the teacher")),
        "device": Criterion(_("has both networks and all data on the device")),
    },
    cases=cases,
    judge=judge,
    complexity=_(
        "Time per step: a forward pass of the teacher, a forward and backward pass of the student; the loss is O(N·K). "
        "Memory: both networks' parameters, Adam's moments and the activations of the student alone."
    ),
    variants={
        "pytorch": Variant(
            reference=code.REFERENCE,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"cached": code.CACHED, "frozen": code.FROZEN},
            mistakes=code.mistakes(),
        ),
    },
)
