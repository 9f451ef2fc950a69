"""Find the fault: a text's vectors depend on how much padding its batch needs."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.pretraining._padding_leak_code import variant
from tl_course.i18n import _

WEIGHTS = ("to_query", "to_key", "to_value")


def cases(rng: np.random.Generator) -> list[Case]:
    """A padded batch, and one whose scores are high."""
    lengths = np.array([[6], [4], [int(rng.integers(2, 4))]])
    sizes = {"to_query": (5, 3), "to_key": (5, 3), "to_value": (5, 2)}
    found = []
    for name, criteria, scale in (
        ("a padded batch", ("value", "alone", "content"), 1.0),
        ("high scores", ("high",), 2.0),
    ):
        weights = {key: rng.normal(size=size).astype(np.float32) for key, size in sizes.items()}
        weights["to_query"] *= np.float32(scale)
        hidden = rng.normal(size=(3, 6, 5)).astype(np.float32)
        mask = (np.arange(6) < lengths).astype(np.int64)
        found.append(Case(name, {"hidden": hidden, "attention_mask": mask, **weights}, criteria))
    return found


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """Attention text by text, without its padding; zeros at padding positions."""
    hidden, mask = inputs["hidden"].astype(np.float64), inputs["attention_mask"] == 1
    output = np.zeros((*mask.shape, inputs["to_value"].shape[1]))
    for text in range(len(hidden)):
        real = hidden[text, mask[text]]
        queries, keys, values = (real @ inputs[name] for name in WEIGHTS)
        for place, query in enumerate(queries):
            scores = keys @ query / np.sqrt(keys.shape[1])
            shares = np.exp(scores - scores.max())
            output[text, place] = shares @ values / shares.sum()
    return output


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare the tokens' vectors with attention without padding, and with each other in other company."""
    right, real = expected(case.inputs), case.inputs["attention_mask"] == 1
    together, criterion = observed["together"], case.criteria[0]
    if together.shape != right.shape:
        return [close(name, together, right, _("the vectors")) for name in case.criteria]
    found = [close(criterion, together[real], right[real], _("the vectors of the tokens"), rtol=1e-3, atol=1e-4)]
    if criterion == "high":
        return found
    text = _("a text of {tokens} tokens gets vectors that differ by {gap:.2g} alone and in a batch with longer ones")
    gaps = [np.abs(alone - row[: len(alone)]).max() for alone, row in zip(observed["alone"], together, strict=True)]
    worst = int(np.argmax(np.nan_to_num(gaps, nan=np.inf)))
    message = text.format(tokens=len(observed["alone"][worst]), gap=gaps[worst])
    moved = np.abs(observed["other content"] - together)[real].max()
    text = _("other numbers in the padding change the tokens' vectors by up to {gap:.2g}")
    return [*found, holds("alone", gaps[worst] < 1e-4, message), holds("content", moved < 1e-4, text.format(gap=moved))]


def _probe(candidate, inputs, tensor) -> dict[str, Plain]:
    hidden, mask = inputs["hidden"], inputs["attention_mask"]
    weights = [tensor(inputs[name]) for name in WEIGHTS]

    def attend(vectors: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return as_array(candidate(tensor(vectors), tensor(kept), *weights))

    other = np.where(mask[..., None] == 1, hidden, 3 - hidden)
    lengths = mask.sum(axis=1)
    alone = [attend(hidden[i : i + 1, :n], mask[i : i + 1, :n])[0] for i, n in enumerate(lengths)]
    return {"together": attend(hidden, mask), "other content": attend(other, mask), "alone": alone}


def probe_pytorch(candidate, inputs):
    """The batch, the batch with other numbers in the padding, and each text alone without padding."""
    import torch

    return _probe(candidate, inputs, torch.tensor)


def probe_keras(candidate, inputs):
    """The batch, the batch with other numbers in the padding, and each text alone without padding."""
    from keras import ops

    return _probe(candidate, inputs, ops.convert_to_tensor)


EXERCISE = Exercise(
    id="padding-leak",
    title=_("It depends on the neighbours"),
    lesson="02_pretraining",
    kind="find-the-fault",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "A sentiment service gives the same review another score whenever a longer one shares its batch, and the "
        "shorter the review, the bigger the change. The mask that arrives is right. Find the fault in "
        "`one_head`, fix it, and prove it: a token's vector is the same alone, in any batch, and whatever "
        "numbers stand in the padding. What comes out at padding positions does not matter."
    ),
    hints=(
        _("Give it a text alone, then with two padding positions. What do the shares of its real tokens add up to?"),
        _("Which score must a key have so that the softmax gives it exactly nothing? It is not 0."),
        _("Replace the padding's scores before the softmax by one so low that its exponential vanishes."),
    ),
    follow_ups=(
        FollowUp(
            _("Why did no test of training or validation accuracy notice this fault?"),
            _(
                "Training and evaluation padded alike, so the model adapted to the leak. It shows where batches are "
                "made another way: one text at a time in a service, or sorted by length. Test that output does not "
                "depend on the batch."
            ),
        ),
        FollowUp(
            _("The fix holds. Why can outputs still differ in the sixth digit between batches?"),
            _(
                "Other shapes choose other kernels, which add in another order, and floating-point sums depend on the "
                "order. Compare with a tolerance, and suspect a leak only far above it."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("tokens attend to tokens only, with shares that add up to 1"), weight=2),
        "alone": Criterion(_("a text's vectors are the same alone and in a batch"), needs=("value",)),
        "content": Criterion(_("what stands in the padding changes nothing"), needs=("value",)),
        "high": Criterion(_("high scores let no padding through")),
    },
    cases=cases,
    judge=judge,
    variants={"pytorch": variant("pytorch", probe_pytorch), "keras": variant("keras", probe_keras)},
    complexity=_(
        "O(N·L·D·(E + F)) time for the projections and O(N·L²·(E + F)) for attention; O(N·L²) memory for the weights. "
        "The repair makes padding harmless, not free: L is the longest text's length."
    ),
)
