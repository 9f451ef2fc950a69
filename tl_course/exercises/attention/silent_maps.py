"""Find the fault: attention was asked for, and nothing came."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import HEADS, LAYERS, bert, bert_folder, draw_bert, draw_ids
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance
from tl_course.i18n import _

PYTORCH = '''
import numpy as np
import torch
from transformers import AutoModel


@torch.inference_mode()
def maps_for_report(folder: str, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> np.ndarray:
    """The attention weights of every layer and head of a pretrained encoder.

    Args:
        folder: where the encoder is, in Hugging Face's layout.
        input_ids: token ids, shape (N, L).
        attention_mask: 1 for tokens, 0 for padding, shape (N, L).

    Returns:
        Weights in inference mode, shape (layers, N, heads, L, L).
    """
    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    outputs = model(input_ids, attention_mask=attention_mask, output_attentions=True)
    return np.array([layer.numpy() for layer in outputs.attentions])
'''

LOAD, CALL = (
    'from_pretrained(folder, attn_implementation="eager")',
    "attention_mask=attention_mask, output_attentions=True",
)
RETURN = "np.array([layer.numpy() for layer in outputs.attentions])"
STARTER = PYTORCH.replace(LOAD, "from_pretrained(folder)")

PYTORCH_SET = """
import torch
from transformers import AutoModel


def maps_for_report(folder, input_ids, attention_mask):
    encoder = AutoModel.from_pretrained(folder)
    encoder.set_attn_implementation("eager")
    with torch.no_grad():
        found = encoder(input_ids=input_ids, attention_mask=attention_mask, output_attentions=True)["attentions"]
    return torch.stack(found).numpy()
"""

PYTORCH_BY_HAND = """
import torch
from transformers import AutoModel


@torch.no_grad()
def maps_for_report(folder, input_ids, attention_mask):
    encoder = AutoModel.from_pretrained(folder)
    states = encoder(input_ids, attention_mask, output_hidden_states=True).hidden_states
    heads, maps = encoder.config.num_attention_heads, []
    for x, block in zip(states, encoder.encoder.layer):
        part = block.attention.self
        query, key = (layer(x).unflatten(-1, (heads, -1)).transpose(1, 2) for layer in (part.query, part.key))
        scores = query @ key.mT / query.shape[-1] ** 0.5
        maps.append(scores.masked_fill(attention_mask[:, None, None] == 0, -torch.inf).softmax(-1))
    return torch.stack(maps).numpy()
"""

MESSAGES = {
    "no-maps": _(
        "the maps are empty: the fused attention that is used by default never has the weights in hand, and asking for "
        "them changes nothing"
    ),
    "zeros-instead": _("where no weights come, zeros take their place: the report is drawn, and empty"),
    "uniform-instead": _("where no weights come, equal ones are made up: nothing of it comes from the model"),
    "hidden-states": _("these are the hidden vectors of all layers, not where tokens look"),
    "training-mode": _("dropout is active: some weights are zero at random and rows do not add up to 1"),
    "heads-averaged": _("the heads are averaged; each head's own map was asked for"),
    "last-layer": _("only the last layer's maps are returned"),
    "mask-not-passed": _("the encoder does not know the mask, so tokens look at padding"),
}
EMPTY = "    size = {size}\n    filled = [np.full(size, {value}) for _layer in range(model.config.num_hidden_layers)]\n"
SIZE = "(len(input_ids), model.config.num_attention_heads, input_ids.shape[1], input_ids.shape[1])"


def _filled(value: str) -> str:
    """The starter with made-up maps where none come."""
    lines = EMPTY.format(size=SIZE, value=value)
    return STARTER.replace(f"    return {RETURN}\n", f"{lines}    return np.array(outputs.attentions or filled)\n")


SOURCES = {"no-maps": STARTER, "zeros-instead": _filled("0.0"), "uniform-instead": _filled("1 / input_ids.shape[1]")}
EDITS = {
    "hidden-states": (
        (CALL, CALL.replace("attentions", "hidden_states")),
        ("outputs.attentions", "outputs.hidden_states"),
    ),
    "training-mode": ((LOAD, LOAD + ".train()"),),
    "heads-averaged": (("layer.numpy()", "layer.numpy().mean(axis=1)"),),
    "last-layer": ((RETURN, "outputs.attentions[-1].numpy()"),),
    "mask-not-passed": ((CALL, "output_attentions=True"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Padded texts for an encoder saved in a folder."""
    ids, mask = draw_ids(rng, [6, 3, 4])
    return [Case("texts", {"weights": draw_bert(rng), "ids": ids, "mask": mask}, ("shape", "value", "rows"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the encoder's attention calculated in NumPy."""
    inputs, maps = case.inputs, np.asarray(observed["maps"])
    right = bert(inputs["weights"], inputs["ids"], inputs["mask"])[1]
    shape = _("{layers} layers, 3 texts, {heads} heads and 6 tokens: shape {right} was expected, yours is {seen}")
    shape = shape.format(layers=LAYERS, heads=HEADS, right=right.shape, seen=maps.shape)
    fits = maps.shape == right.shape
    text = _("the rows of your maps do not add up to 1")
    padding = fits and not np.where(inputs["mask"][:, None, None, :] == 1, 0, maps).any()
    return [
        holds("shape", fits, shape),
        close("value", maps, right, _("the maps"), atol=1e-4),
        holds("rows", fits and np.allclose(maps.sum(axis=-1), 1, atol=1e-4), text),
        holds("rows", padding, _("some tokens look at padding")),
    ]


def probe_pytorch(candidate, inputs):
    """The maps of an encoder that was saved in a folder."""
    import torch

    folder = bert_folder(inputs["weights"], "encoder")
    maps = candidate(folder, torch.tensor(inputs["ids"]), torch.tensor(inputs["mask"]))
    return {"maps": as_array(instance(maps, np.ndarray))}


EXERCISE = Exercise(
    id="silent-maps",
    title=_("Asked for, and nothing came"),
    lesson="07_attention",
    kind="find-the-fault",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "A report on attention was drawn for years. After an upgrade of the library it shows no map: no error, at most "
        "a warning in a log nobody reads, and the predictions are as good as ever. `output_attentions=True` is still "
        "there. Find the fault in `maps_for_report`, fix it, and prove it: the weights of all layers and heads in "
        "inference mode, shape (layers, N, heads, L, L), rows that add up to 1, nothing on padding."
    ),
    hints=(
        _("Print `outputs.attentions`. Is it None, empty, or of the wrong shape?"),
        _("There is more than one way to compute attention. Does the fast one ever hold the whole matrix of weights?"),
        _("The implementation is chosen when the model is loaded: look up `attn_implementation` of `from_pretrained`."),
    ),
    follow_ups=(
        FollowUp(
            _("What does the fused implementation gain, and why can it not return the weights?"),
            _(
                "It works through the matrix block by block and keeps only running sums, so memory grows with L and "
                "not with its square, and it is faster (Dao et al., 2022). The full matrix never exists. Load a second "
                "copy with plain attention for analysis and serve the fused one."
            ),
        ),
        FollowUp(
            _("How do you make such a fault loud?"),
            _(
                "Check the contract where the data enters the report: as many maps as layers, their shape, rows that "
                "add up to 1; raise otherwise. Pin versions, run the report in the tests on a tiny model, and let "
                "warnings fail there. Never fill in zeros for what is missing."
            ),
        ),
    ),
    criteria={
        "shape": Criterion(_("gives a map for every layer, text and head"), needs=("value",)),
        "value": Criterion(_("gives the weights that the encoder uses"), weight=2),
        "rows": Criterion(_("gives rows that add up to 1, and nothing to padding"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=PYTORCH,
            probe=probe_pytorch,
            starter=STARTER,
            alternatives={"set afterwards": PYTORCH_SET, "by hand": PYTORCH_BY_HAND},
            mistakes={
                **{name: Mistake(MESSAGES[name], source=source) for name, source in SOURCES.items()},
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
            equivalent={"return np.array([layer for layer in outputs.attentions])": "NumPy converts tensors by itself"},
        ),
    },
    complexity=_(
        "Each call loads the encoder, O(P) for P weights, and runs it once; for many batches load it once. The maps "
        "are layers·N·heads·L² numbers, which an encoder need not keep, nor write out, where nobody asks for them."
    ),
)
