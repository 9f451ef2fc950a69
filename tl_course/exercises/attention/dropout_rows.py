"""Find the fault: rows of attention that do not add up to 1."""

import numpy as np

from tl_course.exercises.attention import _dropout_rows_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text._tiny_encoder import (
    draw_encoder,
    draw_texts,
    encode,
    keras_encoder,
    torch_encoder,
)
from tl_course.i18n import _

DROPOUT = 0.4


def cases(rng: np.random.Generator) -> list[Case]:
    """An encoder in the middle of training, and one that is in evaluation mode already."""
    ids, mask = draw_texts(rng, [7, 3, 5])
    inputs = {"encoder": draw_encoder(rng, num_layers=3), "ids": ids, "mask": mask}
    return [
        Case("in training", {**inputs, "training": True}, ("value", "rows", "state")),
        Case("in evaluation", {**inputs, "training": False}, ("state",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the maps of inference; look at the sums of rows, a second call, and the state afterwards."""
    inputs, maps = case.inputs, np.asarray(observed["maps"])
    state = _("after your function the encoder is in another mode, or has another dropout rate, than before")
    left = [holds("state", observed["state"], state)]
    left.append(holds("state", not observed["graph"], _("your maps keep a graph, and with it all activations")))
    if not inputs["training"]:
        return left
    right = np.stack(encode(inputs["encoder"], inputs["ids"], inputs["mask"]).attentions)
    sums = maps.sum(axis=-1) if maps.ndim else maps
    text = _("rows of your maps add up to {least:.3g} to {most:.3g}").format(least=sums.min(), most=sums.max())
    repeated = np.array_equal(maps, np.asarray(observed["again"]))
    return [
        close("value", maps, right, _("the maps")),
        holds("rows", np.allclose(sums, 1, atol=1e-4), text),
        holds("rows", repeated, _("a second call with the same texts gave other maps")),
        *left,
    ]


def _one(maps) -> np.ndarray:
    if isinstance(maps, (tuple, list)):
        raise NotPlain(_("one array for all layers was expected, not a sequence of them"))
    return as_array(maps)


def probe_pytorch(candidate, inputs):
    """The maps, twice, and the encoder's state afterwards."""
    import torch

    encoder = torch_encoder(inputs["encoder"], dropout=DROPOUT).train(inputs["training"])
    texts = torch.tensor(inputs["ids"]), torch.tensor(inputs["mask"])
    maps, again = candidate(encoder, *texts), candidate(encoder, *texts)
    modes = [module.training == inputs["training"] for module in encoder.modules()]
    kept, graph = all(modes) and encoder.dropout.p == DROPOUT, bool(getattr(maps, "requires_grad", False))
    return {"maps": _one(maps), "again": _one(again), "state": kept, "graph": graph}


def probe_keras(candidate, inputs):
    """The maps, twice, and the encoder's state afterwards."""
    from keras import ops

    encoder = keras_encoder(inputs["encoder"], dropout=DROPOUT)
    texts = ops.convert_to_tensor(inputs["ids"]), ops.convert_to_tensor(inputs["mask"])
    encoder(*texts, training=inputs["training"])  # a training step before
    maps, again = (_one(candidate(encoder, *texts)) for _call in range(2))
    return {"maps": maps, "again": again, "state": encoder.dropout.rate == DROPOUT, "graph": False}


EXERCISE = Exercise(
    id="dropout-rows",
    title=_("Rows that add up to 1.3"),
    lesson="07_attention",
    kind="find-the-fault",
    minutes=8,
    difficulty=2,
    points=4,
    statement=_(
        "A callback records attention maps between training steps. They flicker: the same text gives another map each "
        "time, weights are exactly 0 here and there, and rows add up to 0.7 or 1.3. Find the fault in `monitor_maps`, "
        "fix it, and prove it: the weights the model uses in inference, shape (layers, N, heads, L, L), the same in "
        "every call, without a graph, and training goes on as if nobody had looked: mode and dropout as before, "
        "whichever mode that was."
    ),
    hints=(
        _("A softmax adds up to 1. What may happen to its result before it is used and recorded?"),
        _("Which parts of a model behave differently in training and in inference, and who decides?"),
        _(
            "PyTorch: remember the mode, switch to evaluation, restore the mode you found. Keras: the call itself "
            "takes `training`."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why does dropout on attention weights make single rows add up to more than 1?"),
            _(
                "Dropout sets a share p of the weights to zero and divides the others by 1 - p, so that the sum is "
                "right on average only. A row whose large weight survives grows to 1 / (1 - p) of it; one that loses "
                "it nearly vanishes."
            ),
        ),
        FollowUp(
            _("In PyTorch, `torch.no_grad()` was already there. Why was that not enough?"),
            _(
                "It switches off gradients and nothing else. Dropout and BatchNorm look at the module's training flag, "
                "which only train() and eval() set; the two switches are independent, and evaluation wants both."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the weights used in inference"), weight=2),
        "rows": Criterion(_("gives rows that add up to 1, the same in every call"), needs=("value",)),
        "state": Criterion(_("leaves the encoder as it was and keeps no graph"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"module by module": code.PYTORCH_MODULES, "copy": code.PYTORCH_COPY},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"default": code.KERAS_DEFAULT, "text by text": code.KERAS_TEXTS},
            mistakes=code.mistakes("keras"),
            equivalent={
                "output = encoder(input_ids, attention_mask, output_attentions=True)": (
                    "a layer called by itself runs in inference mode"
                )
            },
        ),
    },
    complexity=_(
        "One forward pass, with the fault and without, so look only every so many steps. The maps are "
        "layers·N·heads·L² numbers, held twice while they are stacked; without a graph nothing else is kept."
    ),
)
