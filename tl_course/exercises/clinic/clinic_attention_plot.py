"""Clinic: a function that draws attention, as tutorials print it."""

from typing import Any

import numpy as np

from tl_course.exercises.clinic import _attention_plot_code as code
from tl_course.exercises.clinic._tiny_bert import draw_texts, encode, split_tokens, text_folder
from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import HEADS, bert, draw_bert, torch_bert
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """A short text in the first layer and a longer one in the last, of a model that has left its starting weights."""
    texts = draw_texts(rng, [3, 6])
    weights = {"weights": draw_bert(rng), "start": draw_bert(rng)}
    return [
        Case(f"layer {layer}", {**weights, "text": text, "layer": layer}, tuple(CRITERIA))
        for layer, text in enumerate(texts)
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare what is drawn with attention calculated in NumPy, for the given model and for its starting weights."""
    inputs, panels = case.inputs, observed["panels"]
    ids, mask = encode([inputs["text"]])
    maps = [bert(inputs[name], ids, mask)[1][inputs["layer"], 0] for name in ("weights", "start")]  # (heads, L, L)
    right = [[heads.mean(axis=0)] if len(panels) == 1 else list(heads) for heads in maps]
    same = any(len(panels) == len(heads) and all(map(_alike, panels, heads)) for heads in right)
    tokens = split_tokens(inputs["text"])
    count = _("the layer has {heads} heads, and {drawn} pictures are drawn")
    named = all(panel["columns"] == tokens and panel["rows"] == tokens for panel in panels)
    least, most = ({panel[name] for panel in panels} for name in ("least", "most"))
    shared = len(least) == len(most) == 1 and np.isclose(least.pop(), 0) and most.pop() >= max(map(_largest, panels))
    return [
        holds("weights", same, _("what is drawn are not the attention weights of the layer asked for")),
        holds("model", observed["given"] > 0, _("the model handed over was never run")),
        holds("model", observed["others"] == 0, _("another model was run")),
        holds("heads", len(panels) == observed["axes"] == HEADS, count.format(heads=HEADS, drawn=len(panels))),
        holds("scale", shared, _("the colours do not run from 0 to one and the same largest value in all pictures")),
        holds("labels", bool(panels) and named, _("rows and columns are not named by the text's tokens")),
    ]


def _largest(panel: dict[str, Plain]) -> float:
    return panel["image"].max() - 1e-6


def _alike(panel: dict[str, Plain], weights: np.ndarray) -> bool:
    return panel["image"].shape == weights.shape and np.allclose(panel["image"], weights, atol=1e-4)


def probe_pytorch(candidate, inputs):
    """What the figure shows, and which models were run."""
    import matplotlib.pyplot as plt
    import torch
    from matplotlib.figure import Figure
    from torch.nn.modules.module import register_module_forward_hook
    from transformers import BertModel

    plt.switch_backend("Agg")
    folder = text_folder(inputs["start"], "encoder")
    model = torch_bert(inputs["weights"]).eval()
    words, counts = model.get_input_embeddings().weight, {True: 0, False: 0}

    def count(module: Any, args: tuple, output: Any) -> None:
        if isinstance(module, BertModel):
            counts[torch.equal(module.get_input_embeddings().weight, words)] += 1

    hook = register_module_forward_hook(count)
    try:
        figure = candidate(model, inputs["text"], folder, inputs["layer"])
    finally:
        hook.remove()
    if not isinstance(figure, Figure):
        raise NotPlain(_("a figure was expected, yours is a {kind}").format(kind=type(figure).__name__))
    figure.canvas.draw()
    panels = [_panel(axis) for axis in figure.axes if axis.images]
    axes = sum(axis.get_label() != "<colorbar>" for axis in figure.axes)
    plt.close("all")
    return {"panels": panels, "axes": axes, "given": counts[True], "others": counts[False]}


def _panel(axis: Any) -> dict[str, Plain]:
    """One picture: its numbers, the ends of its colour scale, and the names at its ticks."""
    (image,) = axis.images
    least, most = image.get_clim()
    columns, rows = ([label.get_text() for label in ticks()] for ticks in (axis.get_xticklabels, axis.get_yticklabels))
    scale = {"least": float(least), "most": float(most)}
    return {"image": as_array(np.asarray(image.get_array(), dtype=float)), **scale, "columns": columns, "rows": rows}


CRITERIA = {
    "weights": Criterion(_("draws attention weights of the layer asked for")),
    "model": Criterion(_("looks into the model it is given")),
    "heads": Criterion(_("draws one picture a head")),
    "scale": Criterion(_("gives all pictures one scale that begins at 0")),
    "labels": Criterion(_("names rows and columns by the tokens")),
}
EXERCISE = Exercise(
    id="clinic-attention-plot",
    title=_("Clinic: a picture of attention"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=3,
    points=5,
    statement=_(
        "This function is to draw where the heads of one layer of `model` look when it reads `text`: one picture a "
        "head, rows for the tokens that look, columns for those looked at, both named. `folder` holds the tokenizer, "
        "beside the weights the model started from. The function draws something without any error, and has five "
        "faults. Mend it: pictures with `imshow`, side by side in one figure that is returned; the colours of all run "
        "from 0 to the same value, at least the largest weight. The model comes in inference mode."
    ),
    hints=(
        _("Print the shape of what is drawn, its least value and the sum of a row. What would weights give?"),
        _("Follow each argument of the function: which of them has no influence on the picture?"),
        _(
            "Ask for output_attentions with the eager implementation, take the layer's (heads, L, L), and give each "
            "head an axis with vmin=0, vmax=1 and ticks named by convert_ids_to_tokens."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("What do the pictures say about why the model decided as it did?"),
            _(
                "Little by themselves. They show how one layer mixes vectors that already are mixtures; other weights "
                "can give the same output. Compare with gradients or with leaving words out before calling a word "
                "important."
            ),
        ),
        FollowUp(
            _("BERT-base at 512 tokens: how much memory do all its maps take, and what would you keep?"),
            _(
                "12 layers times 12 heads times 512² numbers of 4 bytes: 151 MB a text, against 19 MB for all hidden "
                "states of 768 numbers in 12 layers. Ask for short texts, keep chosen layers, or reduce each map to a "
                "score at once."
            ),
        ),
    ),
    complexity=_(
        "O(layers·(L²·D + L·D²)) time for the forward pass; O(layers·heads·L²) memory, since all maps come out and "
        "one layer is drawn; heads·L² cells in the figure."
    ),
    criteria=CRITERIA,
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"copy": code.PYTORCH_COPY, "by hand": code.PYTORCH_BY_HAND},
            mistakes=code.mistakes(),
            equivalent={
                "axis.imshow(head, vmin=0, vmax=2)": "any common value that is at least the largest weight is right",
            },
        ),
    },
)
