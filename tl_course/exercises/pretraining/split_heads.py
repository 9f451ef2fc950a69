"""Several heads: cut the vectors into pieces, attend with each piece, put the pieces back."""

import numpy as np

from tl_course.exercises.engine.compare import close
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

PYTORCH = '''
from collections.abc import Callable

import torch


def multi_head(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, num_heads: int, attend: Callable
) -> torch.Tensor:
    """Attend with several heads (Vaswani et al., 2017); the projections before and after are not part of this.

    Args:
        query: float, shape (N, Lq, D); head 0 gets the first D / num_heads features, head 1 the next ones, and so on.
        key: float, shape (N, Lk, D), cut alike.
        value: float, shape (N, Lk, Dv), cut alike.
        num_heads: how many heads; divides D and Dv.
        attend: attend(query, key, value) gives the output of attention; it works on the last two axes, whatever axes
            come before them.

    Returns:
        The heads' outputs one after another, shape (N, Lq, Dv).
    """

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (num_heads, -1)).transpose(1, 2)  # (N, L, D) -> (N, H, L, D / H)

    heads = attend(split(query), split(key), split(value))
    return heads.transpose(1, 2).flatten(2)
'''

PYTORCH_CHUNKS = """
import torch


def multi_head(query, key, value, num_heads, attend):
    pieces = zip(*(x.chunk(num_heads, dim=-1) for x in (query, key, value)))
    return torch.cat([attend(*piece) for piece in pieces], dim=-1)
"""

PYTORCH_BATCHED = """
import torch


def multi_head(query, key, value, num_heads, attend):
    count, length = query.shape[:2]

    def fold(x):
        pieces = x.reshape(x.shape[0], x.shape[1], num_heads, -1).permute(2, 0, 1, 3)
        return pieces.reshape(-1, x.shape[1], pieces.shape[-1])

    output = attend(fold(query), fold(key), fold(value)).view(num_heads, count, length, -1)
    return output.permute(1, 2, 0, 3).reshape(count, length, -1)
"""

KERAS = '''
from collections.abc import Callable

from keras import ops


def multi_head(query, key, value, num_heads: int, attend: Callable):
    """Attend with several heads (Vaswani et al., 2017); the projections before and after are not part of this.

    Args:
        query: float, shape (N, Lq, D); head 0 gets the first D / num_heads features, head 1 the next ones, and so on.
        key: float, shape (N, Lk, D), cut alike.
        value: float, shape (N, Lk, Dv), cut alike.
        num_heads: how many heads; divides D and Dv.
        attend: attend(query, key, value) gives the output of attention; it works on the last two axes, whatever axes
            come before them.

    Returns:
        The heads' outputs one after another, shape (N, Lq, Dv).
    """

    def split(x):
        pieces = ops.reshape(x, (*x.shape[:2], num_heads, -1))  # (N, L, H, D / H)
        return ops.swapaxes(pieces, 1, 2)  # (N, H, L, D / H)

    heads = attend(split(query), split(key), split(value))
    return ops.reshape(ops.swapaxes(heads, 1, 2), (*query.shape[:2], -1))
'''

KERAS_SPLIT = """
from keras import ops


def multi_head(query, key, value, num_heads, attend):
    pieces = [ops.split(x, num_heads, axis=-1) for x in (query, key, value)]
    return ops.concatenate([attend(q, k, v) for q, k, v in zip(*pieces)], axis=-1)
"""

KERAS_STACK = """
import tensorflow as tf


def multi_head(query, key, value, num_heads, attend):
    stacked = [tf.stack(tf.split(x, num_heads, axis=2)) for x in (query, key, value)]
    return tf.concat(tf.unstack(attend(*stacked)), axis=2)
"""

SYMMETRIC = "swapping two axes is symmetric"
MESSAGES = {
    "no-swap": _(
        "reshaping alone does not cut out heads: it fills a head with whole vectors of some positions. Features are "
        "cut first, axes swapped then"
    ),
    "over-heads": _("the heads of one position attend to each other; positions should attend to positions"),
    "interleaved": _("each head gets features from all over the vector; it should get neighbouring ones"),
    "merge-no-swap": _("the outputs are flattened in the order they come in, so heads and positions get mixed up"),
    "merge-interleaved": _("the outputs of the heads are interleaved; each head's should stay together"),
    "one-head": _("the vectors are never cut: that is one head, whatever num_heads says"),
    "averaged": _("the outputs of the heads are averaged; they should stand one after another"),
    "heads-by-size": _("num_heads is used as the size of a head; it is their number"),
}
EDITS = {
    "pytorch": {
        "no-swap": (
            ("x.unflatten(2, (num_heads, -1)).transpose(1, 2)", "x.reshape(len(x), num_heads, x.shape[1], -1)"),
        ),
        "over-heads": (
            ("(2, (num_heads, -1)).transpose(1, 2)", "(2, (num_heads, -1))"),
            ("heads.transpose(1, 2).flatten(2)", "heads.flatten(2)"),
        ),
        "interleaved": (("(num_heads, -1)).transpose(1, 2)", "(-1, num_heads)).permute(0, 3, 1, 2)"),),
        "merge-no-swap": (("heads.transpose(1, 2).flatten(2)", "heads.reshape(*query.shape[:2], -1)"),),
        "merge-interleaved": (("heads.transpose(1, 2)", "heads.permute(0, 2, 3, 1)"),),
        "one-head": (
            ("attend(split(query), split(key), split(value))", "attend(query, key, value)"),
            ("heads.transpose(1, 2).flatten(2)", "heads"),
        ),
        "averaged": (("heads.transpose(1, 2).flatten(2)", "heads.mean(dim=1)"),),
        "heads-by-size": (("(num_heads, -1)", "(-1, num_heads)"),),
    },
    "keras": {
        "no-swap": (
            ("(*x.shape[:2], num_heads, -1)", "(x.shape[0], num_heads, x.shape[1], -1)"),
            ("ops.swapaxes(pieces, 1, 2)", "pieces"),
        ),
        "over-heads": (("ops.swapaxes(pieces, 1, 2)", "pieces"), ("ops.swapaxes(heads, 1, 2)", "heads")),
        "interleaved": (
            ("(*x.shape[:2], num_heads, -1)", "(*x.shape[:2], -1, num_heads)"),
            ("ops.swapaxes(pieces, 1, 2)", "ops.transpose(pieces, (0, 3, 1, 2))"),
        ),
        "merge-no-swap": (("ops.swapaxes(heads, 1, 2)", "heads"),),
        "merge-interleaved": (("ops.swapaxes(heads, 1, 2)", "ops.transpose(heads, (0, 2, 3, 1))"),),
        "one-head": (
            ("attend(split(query), split(key), split(value))", "attend(query, key, value)"),
            ("ops.reshape(ops.swapaxes(heads, 1, 2), (*query.shape[:2], -1))", "heads"),
        ),
        "averaged": (("ops.reshape(ops.swapaxes(heads, 1, 2), (*query.shape[:2], -1))", "ops.mean(heads, axis=1)"),),
        "heads-by-size": (("(*x.shape[:2], num_heads, -1)", "(*x.shape[:2], -1, num_heads)"),),
    },
}


def mistakes(framework: str) -> dict[str, Mistake]:
    """Edits of the reference."""
    return {name: Mistake(MESSAGES[name], edit) for name, edit in EDITS[framework].items()}


def cases(rng: np.random.Generator) -> list[Case]:
    """A text that attends to itself, one that attends to another, and a single head."""

    def draw(length: int, others: int, dim: int, value_dim: int, num_heads: int) -> dict[str, Plain]:
        sizes = {"query": (3, length, dim), "key": (3, others, dim), "value": (3, others, value_dim)}
        arrays = {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
        return {**arrays, "num_heads": num_heads}

    return [
        Case("self-attention", draw(4, 4, 6, 6, 2), ("heads",)),
        Case("cross-attention", draw(4, 5, 6, 12, 3), ("cross",)),
        Case("one head", draw(2, 4, 5, 7, 1), ("one",)),
    ]


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """Head by head: its columns of queries, keys and values."""
    query, key, value = (inputs[name].astype(np.float64) for name in ("query", "key", "value"))
    size, value_size = (x.shape[2] // inputs["num_heads"] for x in (query, value))
    output = np.zeros((*query.shape[:2], value.shape[2]))
    for head in range(inputs["num_heads"]):
        columns, out = (slice(head * n, (head + 1) * n) for n in (size, value_size))
        scores = query[..., columns] @ key[..., columns].transpose(0, 2, 1) / np.sqrt(size)
        shares = np.exp(scores)
        output[..., out] = shares / shares.sum(axis=-1, keepdims=True) @ value[..., out]
    return output


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with attention computed head by head."""
    what = _("the output, {name}").format(name=case.name)
    return [close(case.criteria[0], observed["output"], expected(case.inputs), what)]


def probe_pytorch(candidate, inputs):
    """Attend with PyTorch's own attention."""
    import torch

    query, key, value = (torch.tensor(inputs[name]) for name in ("query", "key", "value"))
    attend = torch.nn.functional.scaled_dot_product_attention
    return {"output": as_array(candidate(query, key, value, inputs["num_heads"], attend))}


def probe_keras(candidate, inputs):
    """Attend by the formula."""
    from keras import ops

    def attend(query, key, value):
        return ops.softmax(query @ ops.swapaxes(key, -1, -2) / query.shape[-1] ** 0.5) @ value

    query, key, value = (ops.convert_to_tensor(inputs[name]) for name in ("query", "key", "value"))
    return {"output": as_array(candidate(query, key, value, inputs["num_heads"], attend))}


EXERCISE = Exercise(
    id="split-heads",
    title=_("Several heads"),
    lesson="02_pretraining",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "Write `multi_head(query, key, value, num_heads, attend)`: cut the features of queries, keys and values into "
        "`num_heads` equal pieces, neighbouring features together; let each head attend with its own pieces, using "
        "`attend(query, key, value)`; and put the outputs one after another, head 0 first. There may be another "
        "number of keys than of queries, and values may have another length than keys."
    ),
    hints=(
        _("Cut the last axis in two: which head, and which of its features. In this order."),
        _("`attend` works on the last two axes: positions and a head's features. Where must the heads' axis go?"),
        _("From (N, L, D) to (N, L, H, D/H) to (N, H, L, D/H); then the same way back before the last two axes join."),
    ),
    follow_ups=(
        FollowUp(
            _("Do more heads cost more computation at the same width?"),
            _(
                "Hardly. Each of H heads works with D / H features, so scores and sums cost the same in all; only the "
                "softmax and the maps grow with H. Heads that get too narrow lose quality instead."
            ),
        ),
        FollowUp(
            _("What would be lost without the projection that follows the heads?"),
            _(
                "Each head's output would stay in its own features, and the heads could not be weighed or combined. "
                "The output projection mixes them, and lets a head be turned down."
            ),
        ),
    ),
    criteria={
        "heads": Criterion(_("each head attends with its own features"), weight=2),
        "cross": Criterion(_("works for other numbers of keys and other lengths of values")),
        "one": Criterion(_("one head is plain attention"), needs=("heads",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=PYTORCH,
            probe=probe_pytorch,
            alternatives={"chunks": PYTORCH_CHUNKS, "batched": PYTORCH_BATCHED},
            mistakes=mistakes("pytorch"),
            equivalent={
                "return heads.transpose(2, 1).flatten(2)": SYMMETRIC,
                "return x.unflatten(2, (num_heads, -1)).transpose(2, 1)": SYMMETRIC,
            },
        ),
        "keras": Variant(
            reference=KERAS,
            probe=probe_keras,
            alternatives={"split": KERAS_SPLIT, "stack": KERAS_STACK},
            mistakes=mistakes("keras"),
        ),
    },
    complexity=_(
        "Heads do not change the products: O(N·Lq·Lk·(D + Dv)) time in all, whatever `num_heads` is. The attention "
        "weights do grow with it, to N·`num_heads`·Lq·Lk numbers. Cutting makes views in PyTorch and copies of the "
        "inputs in Keras; joining copies the output."
    ),
)
