"""Two layers made one: BatchNorm folded into the convolution before it."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.making_it_small import _fold_code as code
from tl_course.i18n import _

EPSILON = 0.02
NORM = ("gamma", "beta", "mean", "variance")


def cases(rng: np.random.Generator) -> list[Case]:
    """A convolution without bias that pads, and one with bias and strides; some channels hardly vary."""

    def drawn(filters: int, strides: tuple[int, int], padding: int) -> dict[str, Plain]:
        values = {
            "images": rng.normal(size=(2, 6, 7, 2)),
            "kernel": rng.normal(size=(3, 3, 2, filters)) / 3,
            "bias": rng.normal(size=filters),
            "gamma": rng.uniform(0.5, 2, size=filters),
            "beta": rng.normal(size=filters),
            "mean": rng.normal(size=filters),
            "variance": rng.permutation(np.linspace(0.05, 2.5, filters)),
        }
        arrays = {name: value.astype(np.float32) for name, value in values.items()}
        return {**arrays, "strides": list(strides), "padding": padding, "use_bias": padding == 0}

    return [
        Case("no bias", drawn(5, (1, 1), 1), ("output", "kept")),
        Case("bias and strides", drawn(4, (2, 1), 0), ("options", "kept")),
    ]


def expected(inputs: dict[str, Plain]) -> np.ndarray:
    """The convolution position by position, then BatchNorm with its running statistics."""
    width, (down, right) = inputs["padding"], inputs["strides"]
    images = np.pad(inputs["images"].astype(np.float64), ((0, 0), (width, width), (width, width), (0, 0)))
    rows = []
    for top in range(0, images.shape[1] - 2, down):
        patches = [images[:, top : top + 3, left : left + 3] for left in range(0, images.shape[2] - 2, right)]
        rows.append([np.tensordot(patch, inputs["kernel"], axes=3) for patch in patches])
    maps = np.array(rows).transpose(2, 0, 1, 3) + (inputs["bias"] if inputs["use_bias"] else 0.0)
    deviation = np.sqrt(inputs["variance"].astype(np.float64) + EPSILON)
    return (maps - inputs["mean"]) / deviation * inputs["gamma"] + inputs["beta"]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with convolution and BatchNorm calculated one after the other."""
    what = _("what the folded layer computes in case '{case}'").format(case=case.name)
    return [
        close(case.criteria[0], observed["output"], expected(case.inputs), what, rtol=1e-3, atol=1e-4),
        holds("kept", observed["conv kept"], _("the convolution you were given is not what it was")),
        holds("kept", observed["norm kept"], _("the BatchNorm you were given is not what it was")),
        holds("kept", observed["new"], _("the layer you return is the given one, or shares its weights")),
    ]


def _kept(before: list[list[np.ndarray]], after: list[list[np.ndarray]]) -> dict[str, Plain]:
    pairs = zip(("conv kept", "norm kept"), before, after, strict=True)
    return {name: all(map(np.array_equal, then, now)) for name, then, now in pairs}


def probe_pytorch(candidate, inputs):
    """What the folded layer computes, and whether the given layers are as they were."""
    import torch
    from torch import nn

    filters, use_bias = inputs["kernel"].shape[3], inputs["use_bias"]
    conv = nn.Conv2d(2, filters, 3, stride=tuple(inputs["strides"]), padding=inputs["padding"], bias=use_bias)
    state = {"weight": torch.tensor(inputs["kernel"].transpose(3, 2, 0, 1).copy())}
    conv.load_state_dict({**state, **({"bias": torch.tensor(inputs["bias"])} if use_bias else {})})
    norm = nn.BatchNorm2d(filters, eps=EPSILON)
    names = dict(zip(("weight", "bias", "running_mean", "running_var"), NORM, strict=True))
    norm.load_state_dict({key: torch.tensor(inputs[name]) for key, name in names.items()}, strict=False)
    before = [[as_array(value) for value in layer.state_dict().values()] for layer in (conv, norm)]
    folded = candidate(conv, norm)
    if not isinstance(folded, nn.Conv2d):
        raise NotPlain(_("one convolution was expected back, not {type}").format(type=type(folded).__name__))
    output = folded(torch.tensor(inputs["images"].transpose(0, 3, 1, 2).copy()))
    after = [[as_array(value) for value in layer.state_dict().values()] for layer in (conv, norm)]
    return {
        "output": as_array(output).transpose(0, 2, 3, 1),
        **_kept(before, after),
        "new": folded is not conv and folded.weight is not conv.weight,
    }


def probe_keras(candidate, inputs):
    """What the folded layer computes, and whether the given layers are as they were."""
    import keras

    filters, use_bias = inputs["kernel"].shape[3], inputs["use_bias"]
    options = {"strides": tuple(inputs["strides"]), "padding": "same" if inputs["padding"] else "valid"}
    conv = keras.layers.Conv2D(filters, 3, use_bias=use_bias, name="conv", **options)
    conv.build((None, None, None, 2))
    conv.set_weights([inputs["kernel"], *([inputs["bias"]] if use_bias else [])])
    norm = keras.layers.BatchNormalization(epsilon=EPSILON, name="norm")
    norm.build((None, None, None, filters))
    norm.set_weights([inputs[name] for name in NORM])
    before = [conv.get_weights(), norm.get_weights()]
    folded = candidate(conv, norm)
    if not isinstance(folded, keras.layers.Conv2D):
        raise NotPlain(_("one convolution was expected back, not {type}").format(type=type(folded).__name__))
    output = as_array(folded(keras.ops.convert_to_tensor(inputs["images"])))
    after = [conv.get_weights(), norm.get_weights()]
    return {"output": output, **_kept(before, after), "new": folded is not conv}


EXERCISE = Exercise(
    id="fold-batchnorm",
    title=_("BatchNorm disappears into the convolution"),
    lesson="10_small_and_shipped",
    minutes=15,
    difficulty=3,
    points=5,
    statement=_(
        "In use, BatchNorm multiplies each channel by a fixed number and adds another: a convolution can do that by "
        "itself. Write `fold_batchnorm(conv, norm)`: return one new convolution with a bias that computes what the "
        "BatchNorm, in inference mode, makes of the convolution's output. It keeps stride, padding and the other "
        "options; the given convolution may have a bias or none. Both given layers stay as they are."
    ),
    hints=(
        _("Write BatchNorm in inference mode as y = a x + b for one channel. What are a and b?"),
        _("Put x = w * image + bias in, and sort: what multiplies the image, and what is left over?"),
        _(
            "a is gamma over the root of variance plus epsilon. Multiply each filter (output channel) by its a; the "
            "new bias is beta plus a times (old bias - mean)."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why is it wrong to fold before fine-tuning, and what can go wrong when a folded model is quantised?"),
            _(
                "Folding freezes the statistics into the weights: training then lacks the normalisation it relied "
                "on. After folding, filters differ in size by the factor gamma over deviation, so one quantisation "
                "scale for the whole kernel leaves small channels few levels; use one a channel."
            ),
        ),
        FollowUp(
            _("Can a BatchNorm before the convolution be folded too?"),
            _(
                "Its factor multiplies the kernel's input channels, and its shift goes through the kernel into the "
                "bias. With zero padding that is not exact: padded zeros come after the BatchNorm and get no shift, "
                "so the border comes out wrong."
            ),
        ),
    ),
    criteria={
        "output": Criterion(_("computes what the two layers compute together"), weight=2),
        "options": Criterion(_("keeps the convolution's bias and strides"), weight=2),
        "kept": Criterion(_("leaves the given layers as they were"), needs=("output",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"library": code.PYTORCH_LIBRARY, "probed": code.PYTORCH_PROBED},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"numpy": code.KERAS_NUMPY, "probed": code.KERAS_PROBED},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "O(P) time and memory for the P weights of the convolution, once. In use each image is then spared a pass over "
        "the F output channels at all positions, which is memory traffic rather than arithmetic."
    ),
)
