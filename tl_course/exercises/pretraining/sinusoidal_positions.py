"""Waves that tell a position: sines and cosines of falling frequency."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def position_table(length: int, dim: int) -> np.ndarray:
    """Sinusoidal positional encoding (Vaswani et al., 2017).

    Features come in pairs. Pair i (features 2i and 2i + 1) holds the sine and the cosine of position * frequency, where
    the frequency of pair i is 10000 ** (-2i / dim).

    Args:
        length: number of positions; the first one is 0.
        dim: number of features, even.

    Returns:
        float32, shape (length, dim).
    """
    position = np.arange(length)[:, None]  # (L, 1)
    frequency = 10000.0 ** (-np.arange(0, dim, 2) / dim)  # (D / 2,)
    angle = position * frequency  # (L, D / 2)
    table = np.empty((length, dim))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)
    return table.astype(np.float32)
'''

NUMPY_STACK = """
import numpy as np


def position_table(length, dim):
    angle = np.outer(np.arange(length), np.exp(-np.log(1e4) * np.arange(dim // 2) / (dim // 2)))
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, dim).astype("float32")
"""

NUMPY_COMPLEX = """
import numpy as np


def position_table(length, dim):
    turn = np.exp(1j * 10000.0 ** (-2 * np.arange(dim // 2) / dim))
    spiral = turn[None] ** np.arange(length)[:, None]
    pairs = np.concatenate([spiral.imag[..., None], spiral.real[..., None]], axis=2)
    return np.float32(pairs.reshape(length, -1))
"""

NUMPY_LOOP = """
import math

import numpy as np


def position_table(length, dim):
    table = np.zeros((length, dim), dtype=np.float32)
    for position in range(length):
        for feature in range(dim):
            angle = position / 10000 ** ((feature - feature % 2) / dim)
            table[position, feature] = math.cos(angle) if feature % 2 else math.sin(angle)
    return table
"""

MESSAGES = {
    "halves": _("all sines come first and all cosines after them; here a sine stands next to its cosine"),
    "swapped": _("sine and cosine are swapped"),
    "own-frequency": _("each feature has a frequency of its own; the sine and the cosine of a pair should share one"),
    "pair-over-dim": _("the exponent runs over the pairs from 0 to one half; it should run on towards 1"),
    "from-one": _("positions are counted from 1; the first one is 0"),
    "reaches-base": _("the last pair has the lowest frequency of all, 1 / 10000; the exponent stops short of that"),
    "rising": _("the frequencies rise from pair to pair; they should fall"),
    "same-frequency": _("every pair turns at the same speed, so distant positions look alike"),
    "double": _("the table is float64: added to float32 embeddings, it turns them and all that follows into float64"),
}
EDITS = {
    "halves": (("[:, 0::2]", "[:, : dim // 2]"), ("[:, 1::2]", "[:, dim // 2 :]")),
    "swapped": (("np.sin", "np.flip"), ("np.cos", "np.sin"), ("np.flip", "np.cos")),
    "own-frequency": (
        ("np.arange(0, dim, 2) / dim)", "np.arange(dim) / dim)"),
        ("np.sin(angle)", "np.sin(angle[:, 0::2])"),
        ("np.cos(angle)", "np.cos(angle[:, 1::2])"),
    ),
    "pair-over-dim": (("np.arange(0, dim, 2) / dim", "np.arange(dim // 2) / dim"),),
    "from-one": (("np.arange(length)", "np.arange(1, length + 1)"),),
    "reaches-base": (("-np.arange(0, dim, 2) / dim", "-np.linspace(0, 1, dim // 2)"),),
    "rising": (("-np.arange(0", "np.arange(0"),),
    "same-frequency": (("angle = position * frequency", "angle = position * np.ones_like(frequency)"),),
    "double": ((".astype(np.float32)", ""),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A table of some size, and a longer one of the same width."""
    length, dim = int(rng.integers(5, 9)), int(rng.integers(4, 7)) * 2
    if length == dim:
        length += 1
    inputs = {"length": length, "dim": dim, "longer": length + int(rng.integers(20, 90))}
    return [
        Case("a table", inputs, ("value", "start", "float32", "extends")),
        Case("two features", {**inputs, "dim": 2}, ("narrow",)),
    ]


def expected(length: int, dim: int) -> np.ndarray:
    """Feature by feature, from wavelengths: pair i comes round after 2 pi 10000^(2i / dim) positions."""
    table = np.zeros((length, dim))
    for feature in range(dim):
        wavelength = 2 * np.pi * 10000 ** (2 * (feature // 2) / dim)
        rounds = np.arange(length) / wavelength
        table[:, feature] = np.cos(2 * np.pi * (rounds - 0.25 * (feature % 2 == 0)))
    return table


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the waves, and the tables with each other."""
    length, dim = case.inputs["length"], case.inputs["dim"]
    table, right = observed["table"], expected(length, dim)
    value = close(case.criteria[0], table, right, _("the table"))
    if case.name == "two features" or table.shape != right.shape:
        return [value]
    start = _("position 0 should be 0, 1, 0, 1, …; yours begins {values}")
    dtype = _("float32 was expected, yours is {dtype}")
    longer = close("extends", observed["longer"], expected(case.inputs["longer"], dim), _("a longer table"))
    return [
        value,
        holds("start", np.allclose(table[0], right[0]), start.format(values=np.round(table[0, :4], 3).tolist())),
        holds("float32", table.dtype == np.float32, dtype.format(dtype=table.dtype)),
        longer,
    ]


def probe_numpy(candidate, inputs):
    """Make the table, and a longer one."""
    return {
        "table": as_array(candidate(inputs["length"], inputs["dim"])),
        "longer": as_array(candidate(inputs["longer"], inputs["dim"])),
    }


EXERCISE = Exercise(
    id="sinusoidal-positions",
    title=_("Waves that tell a position"),
    lesson="02_pretraining",
    minutes=10,
    difficulty=2,
    points=3,
    statement=_(
        "Attention alone does not know the order of its tokens. Write `position_table(length, dim)`: the sinusoidal "
        "positional encoding, float32, shape (length, dim), `dim` even. Features 2i and 2i + 1 hold the sine and the "
        "cosine of position * 10000 ** (-2i / dim); positions are counted from 0. A longer table begins with the "
        "shorter one."
    ),
    hints=(
        _("Work out two axes first: the positions down, one frequency for each pair of features across."),
        _("Their product, by broadcasting, is a table of angles with half the features. Where does each go, twice?"),
        _("Write the sines into every second column from 0, the cosines into every second column from 1."),
    ),
    follow_ups=(
        FollowUp(
            _("What does a pair of sine and cosine allow that a sine alone does not?"),
            _(
                "Moving by k positions turns every pair by a fixed angle, whatever the position: a linear map. So a "
                "layer can express relative distance. Rotary embeddings build on this."
            ),
        ),
        FollowUp(
            _("BERT learns its positions instead. What are the consequences for long texts?"),
            _(
                "There is no vector for position 512 and beyond, so longer texts must be cut or positions added and "
                "trained. A formula gives a vector for any position, but a model that never saw it may still fail."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("holds the waves of the formula"), weight=2),
        "start": Criterion(_("position 0 comes first"), needs=("value",)),
        "float32": Criterion(_("is float32"), needs=("value",)),
        "extends": Criterion(_("a longer table begins with the shorter one"), needs=("value",)),
        "narrow": Criterion(_("works with a single pair of features"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"stack": NUMPY_STACK, "complex": NUMPY_COMPLEX, "loop": NUMPY_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edit) for name, edit in EDITS.items()},
        ),
    },
    complexity=_(
        "O(length·dim) time and memory, once: nothing is learned, and a table for the longest text serves all shorter "
        "ones."
    ),
)
