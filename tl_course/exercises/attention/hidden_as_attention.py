"""Find the fault: what is drawn as attention are hidden vectors."""

import numpy as np

from tl_course.exercises.attention import _hidden_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text._tiny_encoder import (
    draw_encoder,
    draw_texts,
    encode,
    keras_encoder,
    torch_encoder,
)
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """An encoder that prefers some tokens, and one in which every token looks at all tokens alike."""
    ids, mask = draw_texts(rng, [7, 3, 5])
    weights = draw_encoder(rng, num_layers=3)
    alike = {**weights, "query": np.zeros_like(weights["query"])}
    return [
        Case("preferences", {"encoder": weights, "ids": ids, "mask": mask}, ("value", "shares")),
        Case("no preferences", {"encoder": alike, "ids": ids, "mask": mask}, ("alike",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the mean over heads and real rows, text by text."""
    inputs, received = case.inputs, np.asarray(observed["received"])
    last = encode(inputs["encoder"], inputs["ids"], inputs["mask"]).attentions[-1]
    right = np.array([maps[:, kept == 1].mean(axis=(0, 1)) for maps, kept in zip(last, inputs["mask"], strict=True)])
    if case.criteria == ("alike",):
        text = _(
            "every token looks at all tokens alike here, and yet yours receive {least:.0%} to {most:.0%} in text 0"
        )
        found = close("alike", received, right, _("the attention received"))
        if not found.passed and received.shape == right.shape:
            found = Finding("alike", False, text.format(least=received[0].min(), most=received[0].max()))
        return [found]
    sums = received.sum(axis=1) if received.ndim == 2 else np.zeros(1)
    padding = received.shape == right.shape and not received[inputs["mask"] == 0].any()
    return [
        close("value", received, right, _("the attention received")),
        holds("shares", np.allclose(sums, 1, atol=1e-4), _("the shares of a text do not add up to 1")),
        holds("shares", padding, _("padding receives attention")),
    ]


def probe_pytorch(candidate, inputs):
    """The attention each token receives."""
    import torch

    encoder = torch_encoder(inputs["encoder"]).eval()
    return {"received": as_array(candidate(encoder, torch.tensor(inputs["ids"]), torch.tensor(inputs["mask"])))}


def probe_keras(candidate, inputs):
    """The attention each token receives."""
    from keras import ops

    ids, mask = ops.convert_to_tensor(inputs["ids"]), ops.convert_to_tensor(inputs["mask"])
    return {"received": as_array(candidate(keras_encoder(inputs["encoder"]), ids, mask))}


EXERCISE = Exercise(
    id="hidden-as-attention",
    title=_("It highlights words without looking"),
    lesson="07_attention",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A report colours words by 'the attention they receive'. The numbers are positive and add up to 1. Then "
        "somebody tries an encoder in which every token looks at all others alike, and the report still highlights "
        "words. Find the fault in `attention_received`, fix it, and prove it: the last layer's attention, averaged "
        "over heads and over the tokens of the text that look; padding neither looks nor receives."
    ),
    hints=(
        _("What is the shape of attention in one layer? Does anything in the function have that shape?"),
        _("`last_hidden_state` is what the tokens hold after looking. The encoder must be asked for the weights."),
        _(
            "Ask with output_attentions=True, take the last layer, average the heads; row i is where token i looks, so "
            "average over the rows that are tokens."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Which quick checks tell attention weights from any other positive numbers?"),
            _(
                "Their shape (N, heads, L, L), rows that add up to 1, columns of padding that are 0, and that they "
                "change when the text's other words change. A softmax over anything also adds up to 1, so that alone "
                "proves nothing."
            ),
        ),
        FollowUp(
            _("Now the right weights are drawn. Do they explain the prediction?"),
            _(
                "Not by themselves. In higher layers a position is a mixture of tokens, other weights can give the "
                "same output (Jain and Wallace, 2019), and attention to [SEP] often does nothing. Say what was asked "
                "(Wiegreffe and Pinter, 2019) and compare with gradients or with leaving words out."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("is the last layer's attention received from the text's tokens"), weight=2),
        "shares": Criterion(_("gives shares of 1 and nothing to padding"), needs=("value",)),
        "alike": Criterion(_("highlights nothing where every token looks at all alike"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.PYTORCH_STARTER,
            alternatives={"einsum": code.PYTORCH_EINSUM, "loop": code.PYTORCH_LOOP},
            mistakes=code.mistakes("pytorch"),
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.KERAS_STARTER,
            alternatives={"einsum": code.KERAS_EINSUM, "loop": code.KERAS_LOOP},
            mistakes=code.mistakes("keras"),
        ),
    },
    complexity=_(
        "One forward pass dominates. Asking for maps keeps those of all layers, O(layers·N·heads·L²) memory, though "
        "one layer's are used, in O(N·heads·L²) time."
    ),
)
