"""A teacher whose weights are a running average of its student's."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _ema_teacher_code as code
from tl_course.i18n import _

PARAMETERS = {"first kernel": 20, "first bias": 4, "norm scale": 4, "norm shift": 4, "last kernel": 12, "last bias": 3}
STATISTICS = {"running mean": 4, "running variance": 4}
KEPT = {
    "student's values": _("the student has other values after the update"),
    "student's gradients": _("the student has other gradients after the update, or none"),
    "student's mode": _("the student has changed between training and evaluation"),
    "student's flags": _("which of the student's parameters are trained has changed"),
    "objects": _("the teacher's tensors are no longer the same objects"),
    "graph": _("the teacher's tensors belong to a graph of gradients after the update"),
    "flags": _("which of the teacher's parameters are trained has changed"),
    "memory": _("when the student changed afterwards, the teacher changed with it"),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A frozen teacher and one that requires gradients, several updates; a decay of 0 and of 1."""

    def values(step: int) -> dict[str, Plain]:
        found: dict[str, Plain] = {name: rng.normal(size=size).astype(np.float32) for name, size in PARAMETERS.items()}
        found |= {name: rng.uniform(0.5, 2, size=size).astype(np.float32) for name, size in STATISTICS.items()}
        return {**found, "batches": 10 * step + int(rng.integers(1, 9))}

    def inputs(decay: float, frozen: bool, updates: int) -> dict[str, Plain]:
        students = [values(step + 1) for step in range(updates)]
        return {"teacher": values(0), "students": students, "decay": decay, "frozen": frozen}

    decay = float(rng.uniform(0.7, 0.9))
    main = ("average", "buffers", "student", "place")
    return [
        Case("frozen teacher", inputs(decay, True, 3), main),
        Case("trainable teacher", inputs(decay, False, 2), main),
        Case("decay 0", inputs(0.0, True, 1), ("ends", "buffers")),
        Case("decay 1", inputs(1.0, True, 2), ("ends", "buffers")),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the teacher after each update, and what should have stayed."""
    inputs, decay = case.inputs, case.inputs["decay"]
    right = {name: inputs["teacher"][name].astype(np.float64) for name in PARAMETERS}
    found = []
    for number, (student, yours) in enumerate(zip(inputs["students"], observed["teachers"], strict=True), start=1):
        right = {name: right[name] + (1 - decay) * (student[name] - right[name]) for name in PARAMETERS}
        for name, value in yours.items():
            criterion = case.criteria[0] if name in PARAMETERS else "buffers"
            what = _("{case}, update {number}: the teacher's {name}").format(case=case.name, number=number, name=name)
            found.append(close(criterion, value, right.get(name, student[name]), what))
    for name, kept in observed["kept"].items():
        found.append(holds("student" if name.startswith("student") else "place", kept, KEPT[name]))
    return [finding for finding in found if finding.criterion in case.criteria]


def probe_pytorch(candidate, inputs):
    """Update a teacher after each of the student's changes, and look at what should stay."""
    import torch
    from torch import nn

    class Network(nn.Module):
        """Two linear layers with a BatchNorm between."""

        def __init__(self):
            super().__init__()
            self.first, self.norm, self.last = nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)

    def write(model, values):
        tensors = [*model.parameters(), model.norm.running_mean, model.norm.running_var]
        with torch.no_grad():
            for tensor, name in zip(tensors, [*PARAMETERS, *STATISTICS], strict=True):
                tensor.copy_(torch.tensor(values[name]).reshape(tensor.shape))
            model.norm.num_batches_tracked.fill_(values["batches"])

    def read(model):
        tensors = [*model.parameters(), *model.buffers()]
        names = [*PARAMETERS, *STATISTICS, "batches"]
        return {
            name: as_array(tensor).reshape(-1 if tensor.ndim else ())
            for name, tensor in zip(names, tensors, strict=True)
        }

    def state(model):
        return {
            "student's values": [value.tolist() for value in read(model).values()],
            "student's gradients": [p.grad.sum().item() if p.grad is not None else None for p in model.parameters()],
            "student's mode": model.training,
            "student's flags": [p.requires_grad for p in model.parameters()],
        }

    teacher, student = Network(), Network()
    write(teacher, inputs["teacher"])
    teacher.requires_grad_(not inputs["frozen"]).eval()
    objects, teachers, same = [*teacher.parameters(), *teacher.buffers()], [], {}
    for values in inputs["students"]:
        write(student, values)
        for parameter in student.parameters():
            parameter.grad = torch.ones_like(parameter)
        before = state(student)
        candidate(teacher, student, inputs["decay"])
        same = {name: same.get(name, True) and value == before[name] for name, value in state(student).items()}
        teachers.append(read(teacher))
    now = [*teacher.parameters(), *teacher.buffers()]
    kept = {
        **same,
        "objects": len(now) == len(objects) and all(a is b for a, b in zip(now, objects, strict=True)),
        "graph": all(tensor.grad_fn is None for tensor in now),
        "flags": all(p.requires_grad != inputs["frozen"] for p in teacher.parameters()),
    }
    before = state(teacher)
    write(student, inputs["teacher"])
    return {"teachers": teachers, "kept": {**kept, "memory": state(teacher) == before}}


def probe_keras(candidate, inputs):
    """Update a teacher after each of the student's changes, and look at what should stay."""
    import keras
    from keras import layers

    names = [*list(PARAMETERS)[:4], *STATISTICS, *list(PARAMETERS)[4:]]

    def network():
        return keras.Sequential([keras.Input((5,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(3)])

    def write(model, values):
        for variable, name in zip(variables[id(model)], names, strict=True):
            variable.assign(values[name].reshape(variable.shape))

    def read(model):
        found = zip(variables[id(model)], names, strict=True)
        return {name: as_array(variable.value).reshape(-1) for variable, name in found}

    teacher, student = network(), network()
    variables = {id(model): list(model.weights) for model in (teacher, student)}
    write(teacher, inputs["teacher"])
    teacher.trainable = not inputs["frozen"]
    flags, teachers, same, same_flags = [w.trainable for w in student.weights], [], True, True
    for values in inputs["students"]:
        write(student, values)
        candidate(teacher, student, inputs["decay"])
        same = same and all(np.array_equal(value, values[name]) for name, value in read(student).items())
        same_flags = same_flags and [w.trainable for w in student.weights] == flags
        teachers.append(read(teacher))
    objects = all(a is b for a, b in zip(teacher.weights, variables[id(teacher)], strict=True))
    trained = len(teacher.trainable_weights) == (0 if inputs["frozen"] else len(PARAMETERS))
    write(student, inputs["teacher"])
    memory = all(np.array_equal(value, teachers[-1][name]) for name, value in read(teacher).items())
    kept = {
        "student's values": same,
        "student's flags": same_flags,
        "objects": objects,
        "flags": trained,
        "memory": memory,
    }
    return {"teachers": teachers, "kept": kept}


EXERCISE = Exercise(
    id="ema-teacher",
    title=_("A teacher that averages its student"),
    lesson="11_interview_clinic",
    minutes=15,
    difficulty=3,
    points=4,
    statement=_(
        "A mean teacher is a running average of its student. Write `update_teacher(teacher, student, decay)`: each "
        "parameter of the teacher becomes decay x its own + (1 - decay) x the student's; buffers (BatchNorm's "
        "statistics, PyTorch's counter of batches too) are copied. The teacher is changed in place, outside any graph "
        "of gradients, and shares no memory with the student; it may be frozen or not, and stays so. The student stays "
        "as it is."
    ),
    hints=(
        _("Two kinds of tensors need two rules. How does your framework list each kind, also of a frozen model?"),
        _("A loop that rebinds its own variable changes no model. Which operation writes into the tensor itself?"),
        _("Pair the teacher's tensors with the student's in order, average parameters, copy the rest, record nothing."),
    ),
    follow_ups=(
        FollowUp(
            _("What decay do you choose, and why is it often raised during training?"),
            _(
                "About 1 / (1 - decay) steps are averaged: 0.99 for a hundred, 0.999 for a thousand. Early the student "
                "improves fast and a long memory holds poor weights, so start low, e.g. with min(decay, (1 + t) / (10 "
                "+ t)), or end near 1 as BYOL and DINO do."
            ),
        ),
        FollowUp(
            _("Why copy BatchNorm's statistics, not average them, and what else could you do?"),
            _(
                "They are running averages already; averaging again makes them lag. Strictly, neither is right, since "
                "the statistics belong to the student's activations: running the teacher in training mode on the data, "
                "or estimating its statistics again afterwards, is cleaner."
            ),
        ),
        FollowUp(
            _("What does the teacher cost in memory and time, for a model of P parameters?"),
            _(
                "P more values, no gradients and no optimiser state; an update reads 2P and writes P values, little "
                "beside a step. With many small tensors, launching kernels dominates: use fused multi-tensor updates, "
                "or update every few steps with a lower decay."
            ),
        ),
    ),
    complexity=_("O(P) time per update, and at most one tensor's size of extra memory beside the teacher's P values."),
    criteria={
        "average": Criterion(_("averages the parameters, update after update"), weight=2),
        "buffers": Criterion(_("copies the statistics"), weight=1.5),
        "ends": Criterion(_("works for a decay of 0 and of 1"), weight=0.5, needs=("average",)),
        "student": Criterion(_("leaves the student as it is"), weight=0.5, needs=("average",)),
        "place": Criterion(
            _("changes the teacher's own tensors, apart from the student and from gradients"), needs=("average",)
        ),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"state dict": code.PYTORCH_LERP, "load": code.PYTORCH_LOAD},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"set weights": code.KERAS_SET_WEIGHTS, "layers": code.KERAS_LAYERS},
            mistakes=code.mistakes("keras"),
        ),
    },
)
