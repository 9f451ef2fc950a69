"""Find the fault: a teacher of a thousand classes for a student of ten."""

import numpy as np

from tl_course.exercises.distillation._losses import log_softmax
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

DOCSTRING = '''"""A teacher's soft targets for a student that knows only some of its classes, in an order of its own.

    Args:
        teacher_logits: float, shape (N, M).
        teacher_classes: names of the teacher's M classes.
        student_classes: names of the student's K classes.
        temperature: T > 0.

    Returns:
        Probabilities of the student's classes, in the student's order, shape (N, K): the teacher's softened
        probabilities given that the class is one of these, so each row adds up to 1.

    Raises:
        ValueError: the teacher does not know one of the student's classes; the message names it.
    """'''
PYTORCH = f"""
import torch


def soft_targets(
    teacher_logits: torch.Tensor, teacher_classes: list[str], student_classes: list[str], temperature: float
) -> torch.Tensor:
    {DOCSTRING}
    columns = [teacher_classes.index(name) for name in student_classes]
    return torch.softmax(teacher_logits[:, columns] / temperature, dim=1)
"""

PYTORCH_RENORMALISE = """
import torch


def soft_targets(teacher_logits, teacher_classes, student_classes, temperature):
    where = {name: place for place, name in enumerate(teacher_classes)}
    missing = set(student_classes) - set(where)
    if missing:
        raise ValueError("not among the teacher's classes: " + ", ".join(sorted(missing)))
    index = torch.tensor([where[name] for name in student_classes])
    p = torch.softmax(teacher_logits / temperature, dim=-1).index_select(1, index)
    return p / p.sum(dim=1, keepdim=True)
"""

PYTORCH_MATRIX = """
import torch


def soft_targets(teacher_logits, teacher_classes, student_classes, temperature):
    chosen = torch.tensor([[a == b for b in student_classes] for a in teacher_classes])
    for name, known in zip(student_classes, chosen.any(dim=0)):
        if not known:
            raise ValueError(name)
    picked = teacher_logits @ chosen.to(teacher_logits.dtype)
    return (picked / temperature - torch.logsumexp(picked / temperature, 1, keepdim=True)).exp()
"""

KERAS = f"""
from keras import ops


def soft_targets(teacher_logits, teacher_classes: list[str], student_classes: list[str], temperature: float):
    {DOCSTRING}
    columns = [teacher_classes.index(name) for name in student_classes]
    return ops.softmax(ops.take(teacher_logits, columns, axis=1) / temperature)
"""

KERAS_RENORMALISE = """
from keras import ops


def soft_targets(teacher_logits, teacher_classes, student_classes, temperature):
    p = ops.softmax(teacher_logits / temperature)
    parts = []
    for name in student_classes:
        if name not in teacher_classes:
            raise ValueError("unknown: " + name)
        parts.append(p[:, teacher_classes.index(name)])
    p = ops.stack(parts, axis=1)
    return p / ops.sum(p, axis=1, keepdims=True)
"""

KERAS_GATHER = """
import tensorflow as tf


def soft_targets(teacher_logits, teacher_classes, student_classes, temperature):
    places = dict(zip(teacher_classes, range(len(teacher_classes))))
    try:
        picked = tf.gather(teacher_logits, [places[name] for name in student_classes], axis=-1)
    except KeyError as error:
        raise ValueError(f"the teacher has never heard of {error.args[0]}") from error
    return tf.nn.softmax(picked / temperature, axis=-1)
"""

MESSAGES = {
    "by-position": _("classes are matched by their number: the teacher's first classes are not the student's"),
    "not-normalised": _(
        "the right classes, but the rest of the teacher's probability is lost: rows do not add up to 1"
    ),
    "teacher-order": _("the student's classes are picked, but they come in the teacher's order"),
    "sorted": _("both lists are put in alphabetical order; the student's outputs are in the student's order"),
    "unknown-as-last": _("a class the teacher does not know silently gets the probability of another one"),
    "unknown-left-out": _("a class the teacher does not know is left out, and all columns after it move up"),
    "no-temperature": _("the targets are not softened"),
    "across-batch": _("probabilities add up to 1 over the examples, not over the classes"),
    "logits": _("logits come back; probabilities were asked for"),
}
COLUMNS = "[teacher_classes.index(name) for name in student_classes]"
RETURN = {
    "pytorch": "torch.softmax(teacher_logits[:, columns] / temperature, dim=1)",
    "keras": "ops.softmax(ops.take(teacher_logits, columns, axis=1) / temperature)",
}
UNNORMALISED = {
    "pytorch": "torch.softmax(teacher_logits / temperature, dim=1)[:, columns]",
    "keras": "ops.take(ops.softmax(teacher_logits / temperature), columns, axis=1)",
}
ACROSS = {"pytorch": ("dim=1", "dim=0"), "keras": ("temperature)", "temperature, axis=0)")}
LOGITS = {
    "pytorch": "teacher_logits[:, columns] / temperature",
    "keras": "ops.take(teacher_logits, columns, axis=1) / temperature",
}
REFERENCE = {"pytorch": PYTORCH, "keras": KERAS}
STARTER = {name: code.replace(COLUMNS, "list(range(len(student_classes)))") for name, code in REFERENCE.items()}


def mistakes(framework: str) -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    right = RETURN[framework]
    edits = {
        "not-normalised": ((right, UNNORMALISED[framework]),),
        "teacher-order": ((COLUMNS, f"sorted({COLUMNS})"),),
        "sorted": ((COLUMNS, COLUMNS.replace("in student_classes", "in sorted(student_classes)")),),
        "unknown-as-last": (
            (
                "    columns = ",
                "    places = {name: place for place, name in enumerate(teacher_classes)}\n    columns = ",
            ),
            (COLUMNS, "[places.get(name, len(places) - 1) for name in student_classes]"),
        ),
        "unknown-left-out": ((COLUMNS, COLUMNS.replace("]", " if name in teacher_classes]")),),
        "no-temperature": ((right, right.replace(" / temperature", "")),),
        "across-batch": ((right, right.replace(*ACROSS[framework])),),
        "logits": ((right, LOGITS[framework]),),
    }
    found = {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
    return {"by-position": Mistake(MESSAGES["by-position"], source=STARTER[framework]), **found}


NAMES = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "koi", "lynx"]


def cases(rng: np.random.Generator) -> list[Case]:
    """Some of the teacher's classes; all of them in another order; and one that the teacher does not know."""
    teacher = [NAMES[i] for i in rng.permutation(12)]
    some = [teacher[i] for i in (7, 2, 9, 4, 5)]
    if some == sorted(some):
        some = some[::-1]
    inputs = {"logits": (rng.normal(size=(6, 12)) * 3).astype(np.float32), "teacher": teacher}
    inputs["temperature"] = float(rng.uniform(2, 4))
    return [
        Case("some classes", {**inputs, "student": some}, ("value", "rows")),
        Case("another order", {**inputs, "student": teacher[5:] + teacher[:5]}, ("value",)),
        Case("an unknown class", {**inputs, "student": [*some[:2], "yak", *some[2:]]}, ("unknown",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with each class's share among the student's classes."""
    inputs, targets = case.inputs, observed["targets"]
    if case.name == "an unknown class":
        silent = _("the teacher does not know 'yak', and nobody is told")
        unnamed = _("the error's message does not name the class: {message}").format(message=observed["error"])
        raised = observed["error"] is not None
        return [holds("unknown", raised, silent), holds("unknown", raised and "yak" in observed["error"], unnamed)]
    p = np.exp(log_softmax(inputs["logits"], inputs["temperature"]))
    share = {name: p[:, i] for i, name in enumerate(inputs["teacher"])}
    right = np.stack([share[name] for name in inputs["student"]], axis=1)
    right = right / right.sum(axis=1, keepdims=True)
    found = [close("value", targets, right, _("the targets, {name}").format(name=case.name))]
    if case.name == "another order":
        return found
    rows = np.asarray(targets)
    one = rows.ndim == 2 and bool(np.allclose(rows.sum(axis=1), 1, atol=1e-4))
    return [*found, holds("rows", one, _("the rows of your targets do not add up to 1"))]


def _observe(candidate, logits, inputs) -> dict[str, Plain]:
    try:
        targets = candidate(logits, inputs["teacher"], inputs["student"], inputs["temperature"])
    except ValueError as error:
        if "yak" in inputs["student"]:
            return {"targets": None, "error": str(error)}
        raise
    return {"targets": as_array(targets), "error": None}


def probe_pytorch(candidate, inputs):
    """The targets, or the error's message."""
    import torch

    return _observe(candidate, torch.tensor(inputs["logits"]), inputs)


def probe_keras(candidate, inputs):
    """The targets, or the error's message."""
    from keras import ops

    return _observe(candidate, ops.convert_to_tensor(inputs["logits"]), inputs)


ALTERNATIVES = {
    "pytorch": {"renormalise": PYTORCH_RENORMALISE, "matrix": PYTORCH_MATRIX},
    "keras": {"renormalise": KERAS_RENORMALISE, "gather": KERAS_GATHER},
}

EXERCISE = Exercise(
    id="class-mismatch",
    title=_("A thousand classes for ten"),
    lesson="06_distillation",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A teacher with 1000 outputs met a student with 10, and the shapes did not fit. A colleague cut the teacher's "
        "logits to the student's width; since then it runs, and the student learns nonsense. Find the fault in "
        "`soft_targets`, fix it, and prove it: the teacher's softened probabilities of the student's classes, in the "
        "student's order, given that it is one of these (each row adds up to 1). A class the teacher does not know is "
        "a ValueError that names it."
    ),
    hints=(
        _("What does column 0 mean to the teacher, and what to the student?"),
        _("The names say which column belongs to which. Look each of the student's classes up in the teacher's list."),
        _("Pick the columns by name, in the student's order; then take the softmax over these alone."),
    ),
    follow_ups=(
        FollowUp(
            _("Is it the same to take the softmax over all classes first and to renormalise after picking?"),
            _(
                "Yes: dividing by the sum of the chosen ones cancels the large denominator. With float32 and a teacher "
                "that gives the chosen classes hardly any probability, picking logits first is the safer way."
            ),
        ),
        FollowUp(
            _("The student has a class the teacher does not know. What can you do besides giving up?"),
            _(
                "Use the labels' term for that class and the soft term only for examples of known classes; put a new "
                "head on the teacher and train it on the student's labels; or distil features instead of outputs."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the student's classes their shares, in the student's order"), weight=2),
        "rows": Criterion(_("gives rows that add up to 1"), needs=("value",)),
        "unknown": Criterion(_("refuses a class the teacher does not know, by name"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            starter=STARTER["pytorch"],
            alternatives=ALTERNATIVES["pytorch"],
            mistakes=mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            starter=STARTER["keras"],
            alternatives=ALTERNATIVES["keras"],
            mistakes=mistakes("keras"),
        ),
    },
    complexity=_(
        "O(N·K) time and memory for the probabilities, whatever M is. Looking up K names in a list of M takes O(K·M) "
        "comparisons in every call, O(K + M) with a dict, and once would do."
    ),
)
