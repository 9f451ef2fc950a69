"""The code of the exercise on a student made of its teacher's layers: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

PYTORCH = '''
import copy

from torch import nn


def shallow_student(teacher: nn.Module, layers: list[int]) -> nn.Module:
    """A student with some of its teacher's blocks (Sanh et al., DistilBERT, 2019).

    Args:
        teacher: has `embeddings`, `blocks` (an nn.ModuleList) and `head`, and runs them in this order. It stays as it
            is.
        layers: numbers of the blocks to take, from 0, in the order in which the student runs them.

    Returns:
        A model of the same kind with len(layers) blocks. All its weights are copies of the teacher's: embeddings, the
        chosen blocks, head.
    """
    student = copy.deepcopy(teacher)
    student.blocks = nn.ModuleList(student.blocks[number] for number in layers)
    return student
'''

PYTORCH_EXTEND = """
import copy

from torch import nn


def shallow_student(teacher, layers):
    student = copy.deepcopy(teacher)
    every = [copy.deepcopy(block) for block in teacher.blocks]
    while len(student.blocks) > 0:
        del student.blocks[-1]
    student.blocks.extend([every[number] for number in layers])
    return student
"""

PYTORCH_STATE = """
import copy

from torch import nn


def shallow_student(teacher, layers):
    state = teacher.state_dict()
    student = copy.deepcopy(teacher)
    student.blocks = nn.ModuleList([copy.deepcopy(teacher.blocks[0]) for _ in layers])
    wanted = {}
    for name in student.state_dict():
        parts = name.split(".")
        if parts[0] == "blocks":
            parts[1] = str(layers[int(parts[1])])
        wanted[name] = state[".".join(parts)].clone()
    student.load_state_dict(wanted)
    return student
"""

KERAS = '''
import keras


def shallow_student(teacher: keras.Model, layers: list[int]) -> keras.Model:
    """A student with some of its teacher's blocks (Sanh et al., DistilBERT, 2019).

    Args:
        teacher: a Sequential of the layers "embeddings", "block_0", "block_1", …, "head". It stays as it is.
        layers: numbers of the blocks to take, from 0, in the order in which the student runs them.

    Returns:
        A Sequential of len(layers) + 2 layers. All its weights are copies of the teacher's: embeddings, the chosen
        blocks, head.
    """
    names = ["embeddings", *(f"block_{number}" for number in layers), "head"]
    chosen = [teacher.get_layer(name) for name in names]
    copies = [layer.from_config(layer.get_config()) for layer in chosen]
    student = keras.Sequential([keras.Input(teacher.input_shape[1:]), *copies])
    student.set_weights([weights for layer in chosen for weights in layer.get_weights()])
    return student
'''

KERAS_CLONE = """
import keras


def shallow_student(teacher, layers):
    twin = keras.models.clone_model(teacher)
    twin.set_weights(teacher.get_weights())
    student = keras.Sequential([keras.Input(teacher.input_shape[1:]), twin.layers[0]])
    for number in layers:
        student.add(twin.layers[1 + number])
    student.add(twin.get_layer("head"))
    return student
"""

KERAS_DENSE = """
import keras
from keras import layers as kl


def shallow_student(teacher, layers):
    x = inputs = keras.Input(teacher.input_shape[1:])
    for number in [0, *(1 + number for number in layers), len(teacher.layers) - 1]:
        theirs = teacher.layers[number]
        mine = kl.Dense(theirs.units, theirs.activation, use_bias=theirs.use_bias, name=theirs.name + "_copy")
        x = mine(x)
        for variable, value in zip(mine.variables, theirs.variables):
            variable.assign(value)
    return keras.Model(inputs, x)
"""

MESSAGES = {
    "shared": _("the blocks are the teacher's own: what the student learns, the teacher's weights learn with it"),
    "all-shared": _("every layer is the teacher's own: training the student changes the teacher"),
    "first-blocks": _("the number of blocks is right, but they are the teacher's first ones"),
    "last-blocks": _("the number of blocks is right, but they are the teacher's last ones"),
    "reversed": _("the chosen blocks run in the reverse order"),
    "fresh-blocks": _("the blocks are newly initialised: nothing of the teacher's middle is kept"),
    "fresh-head": _("the head is new; it was to be the teacher's too"),
    "teacher-cut": _("the teacher itself has lost its other blocks"),
    "left-out-instead": _("the numbers say which blocks to take, not which to leave out"),
}
TORCH_BLOCKS = "nn.ModuleList(student.blocks[number] for number in layers)"
TORCH_COPY, TORCH_RETURN = "copy.deepcopy(teacher)", "    return student\n"
TORCH_EDITS = {
    "shared": ((TORCH_BLOCKS, TORCH_BLOCKS.replace("student.blocks", "teacher.blocks")),),
    "all-shared": (
        (TORCH_BLOCKS, TORCH_BLOCKS.replace("student.blocks", "teacher.blocks")),
        (TORCH_RETURN, "    student.embeddings, student.head = teacher.embeddings, teacher.head\n" + TORCH_RETURN),
    ),
    "first-blocks": ((TORCH_BLOCKS, "student.blocks[: len(layers)]"),),
    "last-blocks": ((TORCH_BLOCKS, "student.blocks[-len(layers) :]"),),
    "reversed": ((TORCH_BLOCKS, TORCH_BLOCKS.replace("in layers", "in layers[::-1]")),),
    "fresh-blocks": (
        (
            TORCH_RETURN,
            "    for block in student.blocks:\n        block.reset_parameters()\n" + TORCH_RETURN,
        ),
    ),
    "fresh-head": ((TORCH_RETURN, "    student.head.reset_parameters()\n" + TORCH_RETURN),),
    "teacher-cut": ((TORCH_COPY, "teacher"),),
    "left-out-instead": (
        (
            TORCH_BLOCKS,
            "nn.ModuleList(block for number, block in enumerate(student.blocks) if number not in layers)",
        ),
    ),
}
NAMES = '*(f"block_{number}" for number in layers)'
COPIES, SET = (
    "[layer.from_config(layer.get_config()) for layer in chosen]",
    "    student.set_weights([weights for layer in chosen for weights in layer.get_weights()])\n",
)
KERAS_EDITS = {
    "all-shared": ((COPIES, "chosen"), (SET, "")),
    "first-blocks": ((NAMES, NAMES.replace("in layers", "in range(len(layers))")),),
    "last-blocks": (
        (NAMES, NAMES.replace("in layers", "in range(len(teacher.layers) - 2 - len(layers), len(teacher.layers) - 2)")),
    ),
    "reversed": ((NAMES, NAMES.replace("in layers", "in layers[::-1]")),),
    "fresh-blocks": (
        (SET, "    for mine in (0, -1):\n        student.layers[mine].set_weights(chosen[mine].get_weights())\n"),
    ),
    "fresh-head": (
        (
            SET,
            "    for mine, theirs in list(zip(student.layers, chosen))[:-1]:\n"
            "        mine.set_weights(theirs.get_weights())\n",
        ),
    ),
    "left-out-instead": (
        (NAMES, NAMES.replace("in layers", "in range(len(teacher.layers) - 2) if number not in layers")),
    ),
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    edits = {"pytorch": TORCH_EDITS, "keras": KERAS_EDITS}[framework]
    return {name: Mistake(MESSAGES[name], given) for name, given in edits.items()}
