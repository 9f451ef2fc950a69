"""Relations between tokens: what MiniLM's student learns whatever its width."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np
from scipy.special import log_softmax


def relation_loss(student_values: np.ndarray, teacher_values: np.ndarray, mask: np.ndarray, num_heads: int) -> float:
    """How far a student's relations between tokens are from its teacher's (Wang et al., 2020).

    Args:
        student_values: the values in an attention layer, shape (N, L, D).
        teacher_values: those of the teacher, shape (N, L, E); the width may differ.
        mask: 1 for tokens, 0 for padding, integer, shape (N, L).
        num_heads: heads into which both widths are split, in order; divides both.

    Returns:
        In each head of width d, token i's relations are softmax(v_i · v_j / sqrt(d)) over the text's tokens j. The
        mean, over all heads and all tokens of all texts together, of KL(teacher ‖ student). Padding takes no part.
    """
    logs = []
    for values in (teacher_values, student_values):
        heads = np.stack(np.split(values, num_heads, axis=2), axis=1)  # (N, heads, L, d)
        scores = heads @ heads.swapaxes(2, 3) / np.sqrt(heads.shape[3])
        scores = np.where(mask[:, None, None] == 1, scores, -1e30)  # (N, heads, L, L)
        logs.append(log_softmax(scores, axis=3))
    divergence = (np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=3)  # (N, heads, L)
    return divergence.transpose(0, 2, 1)[mask == 1].mean()
'''

LOOP = """
import numpy as np


def relation_loss(student_values, teacher_values, mask, num_heads):
    def relations(v):
        odds = np.exp((s := v @ v.T / len(v[0]) ** 0.5) - s.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    rows = []
    for student, teacher, kept in zip(student_values, teacher_values, mask):
        parts = [np.array_split(v[kept.astype(bool)], num_heads, axis=1) for v in (student, teacher)]
        for s, t in zip(*parts):
            p, q = relations(t), relations(s)
            rows.extend((p * np.log(p / q)).sum(axis=1))
    return float(np.mean(rows))
"""

EINSUM = """
import numpy as np


def relation_loss(student_values, teacher_values, mask, num_heads):
    n, length = mask.shape

    def log_relations(v):
        v = v.reshape(n, length, num_heads, -1)
        s = np.einsum("nihd,njhd->nijh", v, v) / v.shape[-1] ** 0.5
        top = s.max(axis=2, keepdims=True)
        return s - top - np.log(np.einsum("nijh,nj->nih", np.exp(s - top), mask))[:, :, None]

    mine, theirs = log_relations(student_values), log_relations(teacher_values)
    total = np.einsum("nijh,ni,nj->", np.exp(theirs) * (theirs - mine), mask, mask)
    return total / (num_heads * mask.sum())
"""

HEADS, SCALE, MASKED = (
    "np.stack(np.split(values, num_heads, axis=2), axis=1)",
    " / np.sqrt(heads.shape[3])",
    "        scores = np.where(mask[:, None, None] == 1, scores, -1e30)  # (N, heads, L, L)\n",
)
DIVERGENCE = "(np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=3)"
RETURN = "divergence.transpose(0, 2, 1)[mask == 1].mean()"
MESSAGES = {
    "not-scaled": _("the products are not divided by the root of the head's width: a wide teacher looks far sharper"),
    "whole-width": _("the products are divided by the root of the whole width; each head has a width of its own"),
    "heads-mixed": _("the split into heads mixes tokens and features: a head is a slice of the features"),
    "one-head": _("the heads are not split: all features are compared at once"),
    "padding-related": _("tokens relate to padding: the loss changes with whatever stands there"),
    "padding-counted": _("padding counts as tokens when the mean is taken"),
    "mean-of-texts": _("each text's own mean is averaged, so a token of a short text counts more than one of a long"),
    "reversed": _("the divergence is measured from the wrong side"),
    "squared": _("squared differences are taken; the relations are distributions, and their divergence was asked for"),
    "mean-over-tokens": _("the divergence is averaged over the tokens looked at; a divergence is a sum over them"),
    "summed": _("the divergences are added up, so the loss grows with texts, heads and tokens"),
}
EDITS = {
    "not-scaled": (SCALE, ""),
    "whole-width": (SCALE, " / np.sqrt(values.shape[2])"),
    "heads-mixed": (HEADS, "values.reshape(len(values), num_heads, values.shape[1], -1)"),
    "one-head": (HEADS, "values[:, None]"),
    "padding-related": (MASKED, ""),
    "padding-counted": (RETURN, "np.mean(divergence)"),
    "mean-of-texts": (RETURN, "((divergence.mean(axis=1) * mask).sum(axis=1) / mask.sum(axis=1)).mean()"),
    "reversed": (DIVERGENCE, "(np.exp(logs[1]) * (logs[1] - logs[0])).sum(axis=3)"),
    "squared": (DIVERGENCE, "((np.exp(logs[0]) - np.exp(logs[1])) ** 2).sum(axis=3)"),
    "mean-over-tokens": (DIVERGENCE, "(np.exp(logs[0]) * (logs[0] - logs[1])).mean(axis=3)"),
    "summed": (RETURN, RETURN.replace("mean", "sum")),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Texts of unequal length; the same with something else in the padding; and one text with one head."""
    lengths, heads = rng.permutation([7, 4, 5]), 2
    mask = (np.arange(7) < lengths[:, None]).astype(np.int64)
    student, teacher = rng.normal(size=(3, 7, 6)), rng.normal(size=(3, 7, 10))
    inputs = {"student": student, "teacher": teacher, "mask": mask, "num_heads": heads}
    noise = {k: np.where(mask[:, :, None] == 1, v, rng.normal(size=v.shape) * 9) for k, v in list(inputs.items())[:2]}
    single = {**inputs, "student": student[:1, :4], "teacher": teacher[:1, :4], "mask": np.ones((1, 4), np.int64)}
    return [
        Case("two widths", inputs, ("value", "kept")),
        Case("other padding", {**inputs, **noise}, ("padding",)),
        Case("one text, one head", {**single, "num_heads": 1}, ("single",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the divergences of one token after the other, on texts without their padding."""
    inputs, rows = case.inputs, []
    for n, kept in enumerate(inputs["mask"] == 1):
        values = [inputs[name][n][kept] for name in ("student", "teacher")]
        for head in range(inputs["num_heads"]):
            parts = [v[:, head * (w := v.shape[1] // inputs["num_heads"]) :][:, :w] for v in values]
            for i in range(int(kept.sum())):
                q, p = (_shares(part @ part[i] / np.sqrt(part.shape[1])) for part in parts)
                rows.append(float(p @ np.log(p / q)))
    (criterion, *_rest) = case.criteria
    what = _("the loss, {name}").format(name=case.name)
    found = [close(criterion, observed["loss"], np.mean(rows), what)]
    kept_text = _("your function changed the arrays it was given")
    return [*found, holds("kept", observed["kept"], kept_text)] if criterion == "value" else found


def _shares(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max())
    return odds / odds.sum()


def probe_numpy(candidate, inputs):
    """The loss, and whether an array was changed."""
    given = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}
    loss = as_array(candidate(*given.values()))
    return {"loss": loss, "kept": all(np.array_equal(given[name], inputs[name]) for name in given)}


EXERCISE = Exercise(
    id="relation-loss",
    title=_("Relations between tokens"),
    lesson="06_distillation",
    minutes=15,
    difficulty=4,
    points=5,
    statement=_(
        "MiniLM's student learns how tokens relate in its teacher's last layer, whatever the two widths. Write "
        "`relation_loss(student_values, teacher_values, mask, num_heads)`: split the values (N, L, width) into heads "
        "of width d; token i's relations are softmax(v_i · v_j / sqrt(d)) over the text's tokens. Return the mean of "
        "KL(teacher ‖ student) over all heads and all tokens of all texts together. Padding takes no part, neither "
        "as token nor as something to relate to."
    ),
    hints=(
        _("Relations are a square matrix per text and head. Why does its shape not depend on the width?"),
        _("The mask acts twice: over columns before the softmax, over rows before the mean."),
        _("Split the last axis into heads, multiply by the transpose, scale by sqrt(d), mask, log-softmax, KL, mean."),
    ),
    follow_ups=(
        FollowUp(
            _("Why relations, when a hint loss on hidden vectors is simpler?"),
            _(
                "Hidden vectors of different widths need a projector that is trained along and thrown away, and layers "
                "must be paired. Relations have the same shape in both, and only the last layer is used, so the "
                "student's depth and width are free."
            ),
        ),
        FollowUp(
            _("What does the value relation add to copying the attention maps?"),
            _(
                "Maps say where tokens look, from queries and keys; values are what is handed on. Wang et al. find "
                "that adding value relations helps throughout; their second paper uses relations of queries, keys and "
                "values alike and splits them into any number of heads."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the mean divergence of the relations"), weight=2),
        "padding": Criterion(_("is not changed by what stands in the padding")),
        "single": Criterion(_("is right for one text, one head and no padding")),
        "kept": Criterion(_("leaves the arrays as they are"), weight=0.5, needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"loop": LOOP, "einsum": EINSUM},
            mistakes={name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
            equivalent={
                "scores = np.where(mask[:, None, None] == 1, scores, -2e+30)": "exp of either is 0",
                "scores = heads @ heads.swapaxes(3, 2) / np.sqrt(heads.shape[3])": "the same two axes are exchanged",
            },
        ),
    },
    complexity=_(
        "O(N·L²·(D + E)) time, as L² dot products in every head add up to the widths; O(N·`num_heads`·L²) memory for "
        "the relations of either model. Both grow with the square of the longest text."
    ),
)
