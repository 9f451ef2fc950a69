"""Multi-head self-attention with a padding mask."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.interview import _attention_code as code
from tl_course.i18n import _

WEIGHTS = ("w_q", "w_k", "w_v", "w_o")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 0, 0]])


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts of several lengths; other numbers of heads; a text that is all padding; huge scores, also in padding."""
    x = rng.normal(size=(3, 5, 8)).astype(np.float32)
    plain = {"x": x, "mask": MASK, "num_heads": 2}
    plain |= {name: (rng.normal(size=(8, 8)) / 2).astype(np.float32) for name in WEIGHTS}
    empty = MASK.copy()
    empty[1] = 0
    huge = np.where(MASK[..., None] == 1, 30 * x, 150 * x)
    return [
        Case("usual", plain, ("value", "padding")),
        Case("one head", {**plain, "num_heads": 1}, ("heads",)),
        Case("four heads", {**plain, "num_heads": 4}, ("heads",)),
        Case("all padding", {**plain, "mask": empty}, ("empty",)),
        Case("huge scores", {**plain, "x": huge}, ("stable",)),
    ]


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """The right answer in float64, head by head, padding cut off; a weight is 1 over the sum of exp(differences)."""
    x, size = inputs["x"].astype(np.float64), 8 // inputs["num_heads"]
    q, k, v, o = (inputs[name].astype(np.float64) for name in WEIGHTS)
    result = np.zeros(x.shape)
    for text, mask, rows in zip(x, inputs["mask"], result, strict=True):
        tokens = text[mask == 1]
        for start in range(0, 8 if len(tokens) else 0, size):
            part = slice(start, start + size)
            scores = (text @ q[:, part]) @ (tokens @ k[:, part]).T / np.sqrt(size)
            gaps = np.minimum(scores[:, None, :] - scores[:, :, None], 700)
            rows += (1 / np.exp(gaps).sum(axis=2)) @ (tokens @ v[:, part]) @ o[part]
    return result


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the tokens' vectors, all of an empty text's, and the tokens' with what other padding gives."""
    right, criterion = expected(case.inputs), case.criteria[0]
    atol = 0.01 * np.abs(right).max() if criterion == "stable" else 1e-5  # float32 keeps 4 digits of such a score
    yours, ignored = np.array(observed["out"]), (case.inputs["mask"] == 0) & case.inputs["mask"].any(axis=1)[:, None]
    if yours.shape == right.shape:
        yours[ignored], right[ignored] = 0, 0
    found = [close(criterion, yours, right, _("{name}: the result").format(name=case.name), atol=atol)]
    if "padding" not in case.criteria:
        return found
    out, other = (np.asarray(observed[name]) for name in ("out", "other padding"))
    real = MASK == 1
    same = out.shape == other.shape == right.shape and np.allclose(out[real], other[real], atol=1e-5)
    return [*found, holds("padding", same, _("other numbers in the padding changed the tokens' results"))]


def _probe(candidate, inputs, convert):
    """Attend, and attend again with other numbers in the padding; ``convert`` makes tensors."""
    arguments = [convert(inputs[name]) for name in WEIGHTS]
    other = np.where(inputs["mask"][..., None] == 1, inputs["x"], inputs["x"] + 3)
    outs = [
        candidate(convert(x), convert(inputs["mask"]), *arguments, inputs["num_heads"])
        for x in (inputs["x"], other.astype(np.float32))
    ]
    return {"out": as_array(outs[0]), "other padding": as_array(outs[1])}


def probe_numpy(candidate, inputs):
    """Attend twice."""
    return _probe(candidate, inputs, np.array)


def probe_pytorch(candidate, inputs):
    """Attend twice."""
    import torch

    return _probe(candidate, inputs, torch.tensor)


def probe_keras(candidate, inputs):
    """Attend twice."""
    from keras import ops

    return _probe(candidate, inputs, ops.convert_to_tensor)


EXERCISE = Exercise(
    id="multi-head-attention",
    title=_("Multi-head attention, whole"),
    lesson="11_interview_clinic",
    minutes=25,
    difficulty=4,
    points=4,
    statement=_(
        "Write multi-head self-attention from tensor operations alone: `multi_head_attention(x, mask, w_q, w_k, w_v, "
        "w_o, num_heads)`. x is (N, L, D), mask (N, L) with 1 for tokens and 0 for padding, the projections are (D, D) "
        "and used as x @ w, without biases; head h owns the h-th block of columns. Return (N, L, D). Nothing attends "
        "to padding, even with huge scores, and a text that is all padding gives zeros."
    ),
    hints=(
        _("Write the shapes beside each line before you code: (N, L, D), (N, H, L, D/H), (N, H, L, L), and back."),
        _("Split the width into (H, D/H) first and move the head axis second; joining does the same backwards."),
        _(
            "Mask the scores along the keys with the lowest number of their type before the softmax; that leaves no "
            "NaN. Then set padding's weights to zero."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why are the scores divided by the root of the head's width?"),
            _(
                "A dot product of two vectors of independent entries with variance 1 has variance D/H. Without "
                "scaling, wide heads give large scores, the softmax saturates, and hardly any gradient passes."
            ),
        ),
        FollowUp(
            _("Do more heads cost more parameters or operations?"),
            _(
                "No: at a fixed width the projections are the same and the products add up to the same. Only the "
                "scores grow: H arrays of L x L. Narrower heads have less rank each for their scores, D/H."
            ),
        ),
        FollowUp(
            _("L is 100,000. What breaks first, and how do fused kernels such as FlashAttention get round it?"),
            _(
                "Memory for the L x L scores. Such kernels go over blocks of keys and keep, per query, a running "
                "maximum, a running sum and a running result, rescaled when the maximum changes: O(L) memory, the same "
                "result up to rounding. Time remains quadratic."
            ),
        ),
    ),
    complexity=_(
        "O(N·L·D² + N·L²·D) time: projections, then scores and mixing. O(N·H·L² + N·L·D) extra memory for scores and "
        "weights."
    ),
    criteria={
        "value": Criterion(_("gives the right vectors for two heads"), weight=2),
        "heads": Criterion(_("works for any number of heads"), needs=("value",)),
        "padding": Criterion(_("does not depend on what stands in the padding"), needs=("value",)),
        "empty": Criterion(_("gives zeros for a text that is all padding"), weight=0.5),
        "stable": Criterion(_("is right for huge scores, the largest of them in the padding"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=code.NUMPY,
            probe=probe_numpy,
            alternatives={"loops": code.NUMPY_LOOPS, "einsum": code.NUMPY_EINSUM},
            mistakes=code.mistakes("numpy"),
        ),
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"functional": code.PYTORCH_FUNCTIONAL, "loops": code.PYTORCH_LOOPS},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"einsum": code.KERAS_DPA, "head by head": code.KERAS_HEADS},
            mistakes=code.mistakes("keras"),
            equivalent=code.KERAS_EQUIVALENT,
        ),
    },
)
