"""A student made of some of its teacher's layers."""

import numpy as np

from tl_course.exercises.distillation import _student_layers_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance
from tl_course.i18n import _

NUM_BLOCKS = 6


def cases(rng: np.random.Generator) -> list[Case]:
    """Every other block; and two of them in an order of their own."""
    features, width, num_classes = 4, 5, 3
    sizes = [(features, width), *[(width, width)] * NUM_BLOCKS, (width, num_classes)]
    weights = [rng.normal(size=size).astype(np.float32) for size in sizes]
    inputs = {"weights": weights, "x": rng.normal(size=(6, features)).astype(np.float32)}
    some = sorted(rng.choice([0, 1, 3, 5], size=3, replace=False).tolist())
    two = [int(rng.integers(3, 5)), int(rng.integers(1, 3))]
    return [
        Case("some blocks", {**inputs, "layers": some}, ("answers", "depth", "apart", "kept")),
        Case("another order", {**inputs, "layers": two}, ("answers",)),
    ]


def answers(inputs: dict[str, Plain], layers: list[int]) -> np.ndarray:
    """What a model gives that runs these blocks: tanh after the embeddings and after each block, then the head."""
    embeddings, *blocks, head = (array.astype(np.float64) for array in inputs["weights"])
    hidden = np.tanh(inputs["x"] @ embeddings)
    for number in layers:
        hidden = np.tanh(hidden @ blocks[number])
    return hidden @ head


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the student's answers with those of the chosen blocks, the teacher's with what they were."""
    inputs, layers = case.inputs, case.inputs["layers"]
    found = [close("answers", observed["student"], answers(inputs, layers), _("the student's answers"))]
    if case.name == "another order":
        return found
    depth = _("the student has {seen} weights in blocks, {right} were asked for")
    depth = depth.format(seen=observed["blocks"], right=len(layers))
    apart = _("a change of the student's weights changes the teacher's answers")
    right = answers(inputs, list(range(NUM_BLOCKS)))
    return [
        *found,
        holds("depth", observed["blocks"] == len(layers), depth),
        close("kept", observed["teacher"], right, _("the teacher's answers afterwards")),
        holds("apart", np.array_equal(observed["teacher"], observed["teacher after"]), apart),
    ]


def probe_pytorch(candidate, inputs):
    """Make a student, ask both models, disturb the student, and ask the teacher again."""
    import torch
    from torch import nn

    class Stack(nn.Module):
        """Embeddings, blocks and head, all linear, with tanh between them."""

        def __init__(self) -> None:
            super().__init__()
            made = [nn.Linear(*array.shape, bias=False) for array in inputs["weights"]]
            for linear, array in zip(made, inputs["weights"], strict=True):
                linear.weight = nn.Parameter(torch.tensor(array.T))
            self.embeddings, *blocks, self.head = made
            self.blocks = nn.ModuleList(blocks)

        def forward(self, x):
            hidden = torch.tanh(self.embeddings(x))
            for block in self.blocks:
                hidden = torch.tanh(block(hidden))
            return self.head(hidden)

    x, teacher = torch.tensor(inputs["x"]), Stack()
    student = instance(candidate(teacher, inputs["layers"]), Stack)
    found = {"student": as_array(student(x)), "teacher": as_array(teacher(x))}
    blocks = sum(1 for _parameter in student.blocks.parameters())
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 1
    return {**found, "blocks": blocks, "teacher after": as_array(teacher(x))}


def probe_keras(candidate, inputs):
    """Make a student, ask both models, disturb the student, and ask the teacher again."""
    import keras
    from keras import layers

    names = ["embeddings", *(f"block_{number}" for number in range(NUM_BLOCKS)), "head"]
    inside = [keras.Input(inputs["x"].shape[1:])]
    for name, array in zip(names, inputs["weights"], strict=True):
        activation = None if name == "head" else "tanh"
        inside.append(layers.Dense(array.shape[1], activation=activation, use_bias=False, name=name))
    teacher = keras.Sequential(inside, name="teacher")
    teacher.set_weights(inputs["weights"])
    student = instance(candidate(teacher, inputs["layers"]), keras.Model)
    found = {"student": as_array(student(inputs["x"])), "teacher": as_array(teacher(inputs["x"]))}
    blocks = len(student.get_weights()) - 2
    for variable in student.variables:
        variable.assign_add(np.ones(variable.shape, np.float32))
    return {**found, "blocks": blocks, "teacher after": as_array(teacher(inputs["x"]))}


EXERCISE = Exercise(
    id="student-layers",
    title=_("A student made of its teacher's layers"),
    lesson="06_distillation",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "DistilBERT starts from every other layer of its teacher. Write `shallow_student(teacher, layers)`: a model "
        "with the teacher's embeddings, the blocks whose numbers `layers` lists, in that order, and the teacher's "
        "head. All weights are copies: training the student must not move the teacher, which keeps all its blocks. "
        "PyTorch: the teacher has `embeddings`, `blocks` and `head`; Keras: a Sequential with layers of these names "
        "(`block_0`, `block_1`, …)."
    ),
    hints=(
        _("Two things can go wrong: a copy that is none, and a teacher that is cut. How would you notice either?"),
        _("Copy first, then choose. Or choose first and copy each: but never choose in the teacher itself."),
        _("PyTorch: deep copy, then a new ModuleList. Keras: new layers from each one's config, then set the weights."),
    ),
    follow_ups=(
        FollowUp(
            _("Why every other layer, and not the first half?"),
            _(
                "Neighbouring residual blocks change their input only a little and alike, so leaving out every other "
                "one disturbs least. The first half's output is something the head has never seen. For feature "
                "extraction alone, or for early exits, the first layers may do."
            ),
        ),
        FollowUp(
            _("How much does such a start bring, and when is there none?"),
            _(
                "Sanh et al. report that a random start costs them several points of average score on GLUE. It needs "
                "the teacher's width; for a narrower student, hints or relations take its place."
            ),
        ),
    ),
    criteria={
        "answers": Criterion(_("answers with the chosen blocks, in the given order"), weight=2),
        "depth": Criterion(_("holds no blocks but these"), weight=0.5, needs=("answers",)),
        "apart": Criterion(_("shares no weight with the teacher"), needs=("answers",)),
        "kept": Criterion(_("leaves the teacher whole"), needs=("answers",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"extend": code.PYTORCH_EXTEND, "state dict": code.PYTORCH_STATE},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"clone": code.KERAS_CLONE, "new layers": code.KERAS_DENSE},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(P) time and memory to copy P weights, in PyTorch for a moment those of all the teacher's blocks. In use the "
        "blocks' time and memory fall to the share of blocks taken; embeddings and head cost what they did."
    ),
)
