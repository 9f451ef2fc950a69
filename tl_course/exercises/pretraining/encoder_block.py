"""A Transformer block from its parts, in the two orders in which they are used."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.pretraining import _encoder_block_code as code
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """Post-norm and pre-norm, with other numbers."""

    def draw() -> dict[str, Plain]:
        shapes = {"x": (2, 3, 4), "mix": (3, 3), "kernel": (4, 4), "kept": (2, 3, 4), "scale": (2, 4), "shift": (2, 4)}
        arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        return {**arrays, "kept": (rng.random((2, 3, 4)) < 0.6).astype(np.float32)}

    return [
        Case("post-norm", {**draw(), "pre_norm": False}, ("post", "untouched")),
        Case("pre-norm", {**draw(), "pre_norm": True}, ("pre", "untouched")),
    ]


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """The stream through both layers."""
    stream, kept = inputs["x"].astype(np.float64), inputs["kept"]

    def norm(vectors: np.ndarray, which: int) -> np.ndarray:
        spread = np.sqrt(vectors.var(axis=-1, keepdims=True) + 1e-5)
        centred = vectors - vectors.mean(axis=-1, keepdims=True)
        return centred / spread * inputs["scale"][which] + inputs["shift"][which]

    layers = (lambda v: np.einsum("ij,njd->nid", inputs["mix"], v), lambda v: np.tanh(v @ inputs["kernel"]))
    for which, layer in enumerate(layers):
        update = kept * layer(norm(stream, which) if inputs["pre_norm"] else stream)
        stream = stream + update
        stream = stream if inputs["pre_norm"] else norm(stream, which)
    return stream


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the stream computed in NumPy, and the input with what it was."""
    same = np.array_equal(observed["x afterwards"], case.inputs["x"])
    what = _("the output, {name}").format(name=case.name)
    return [
        close(case.criteria[0], observed["output"], expected(case.inputs), what, rtol=1e-3, atol=1e-4),
        holds("untouched", same, _("{name}: the tensor you were given was changed").format(name=case.name)),
    ]


def probe_pytorch(candidate, inputs):
    """A block of linear mixing over positions, tanh of a linear map, two layer norms and a fixed dropout."""
    import torch
    import torch.nn.functional as F

    given = {name: torch.tensor(value) for name, value in inputs.items() if name != "pre_norm"}
    norms = [
        lambda v, scale=scale, shift=shift: F.layer_norm(v, (4,), scale, shift)
        for scale, shift in zip(given["scale"], given["shift"], strict=True)
    ]
    output = candidate(
        given["x"],
        lambda v: given["mix"] @ v,
        lambda v: torch.tanh(v @ given["kernel"]),
        *norms,
        lambda v: v * given["kept"],
        inputs["pre_norm"],
    )
    return {"output": as_array(output), "x afterwards": as_array(given["x"])}


def probe_keras(candidate, inputs):
    """A block of linear mixing over positions, tanh of a linear map, two layer norms and a fixed dropout."""
    from keras import ops

    given = {name: ops.convert_to_tensor(value) for name, value in inputs.items() if name != "pre_norm"}
    norms = [
        lambda v, which=which: ops.layer_normalization(v, given["scale"][which], given["shift"][which], epsilon=1e-5)
        for which in range(2)
    ]
    output = candidate(
        given["x"],
        lambda v: ops.matmul(given["mix"], v),
        lambda v: ops.tanh(ops.matmul(v, given["kernel"])),
        *norms,
        lambda v: v * given["kept"],
        inputs["pre_norm"],
    )
    return {"output": as_array(output), "x afterwards": as_array(given["x"])}


EXERCISE = Exercise(
    id="encoder-block",
    title=_("A block, in either order"),
    lesson="02_pretraining",
    minutes=10,
    difficulty=3,
    points=4,
    statement=_(
        "Write `encoder_block`: one Transformer block from the functions it is given. Each of `attend` and "
        "`feed_forward` computes an update, `dropout` is applied to it, and it is added to the stream `x`. With "
        "`pre_norm` False each sum is normalised; with `pre_norm` True each layer's input is, and the sums are not. "
        "`attend` comes first, with `norm_1`; then `feed_forward`, with `norm_2`. The tensor passed in stays as it was."
    ),
    hints=(
        _("Draw the stream as a straight line. What is computed beside it, and where does it join again?"),
        _("Write down one order completely, two sums and two norms. Then move the norms for the other."),
        _("Pre-norm: x plus dropout of layer of norm of x. Post-norm: norm of x plus dropout of layer of x."),
    ),
    follow_ups=(
        FollowUp(
            _("Why are deep pre-norm models easier to train, often without warmup?"),
            _(
                "The stream is a plain sum from input to output, so gradients reach every layer undiminished. In "
                "post-norm each one passes all later norms, and near the output gradients are large at the start, "
                "which warmup tames (Xiong et al., 2020)."
            ),
        ),
        FollowUp(
            _("What does a pre-norm model need after its last block, and why?"),
            _(
                "One more normalisation. The stream grows with every update that is added and nothing has brought it "
                "back to scale before the head."
            ),
        ),
    ),
    criteria={
        "post": Criterion(_("post-norm: each sum is normalised")),
        "pre": Criterion(_("pre-norm: each layer's input is normalised")),
        "untouched": Criterion(_("the tensor passed in stays as it was"), weight=0.5, needs=("post", "pre")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"loop": code.PYTORCH_LOOP, "module": code.PYTORCH_MODULE},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"loop": code.KERAS_LOOP, "layer": code.KERAS_LAYER},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "`attend` takes O(N·L²·D + N·L·D²) time, `feed_forward` O(N·L·D²), and all else O(N·L·D). With the usual inner "
        "width of 4·D the part that grows with L² leads beyond about L = 6·D. Memory: O(N·L·D), and in `attend` L² "
        "weights a head."
    ),
)
