"""Clinic: a script that reports which words attention goes to, as tutorials print it."""

import numpy as np

from tl_course.exercises.clinic import _attention_script_code as code
from tl_course.exercises.clinic._tiny_bert import draw_texts, encode, masks_right, split_tokens, text_folder, watch
from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import HEADS, bert, draw_bert, torch_bert
from tl_course.i18n import _


def cases(rng: np.random.Generator) -> list[Case]:
    """One text without dropout; several texts in a padded batch; one text, and a model of one layer with dropout."""
    texts = draw_texts(rng, [6, 7, 2, 4, 5])
    weights = draw_bert(rng)
    return [
        Case("one text", {"weights": weights, "texts": texts[:1], "dropout": 0.0}, ("maps", "layer", "heads")),
        Case("a padded batch", {"weights": weights, "texts": texts[1:4], "dropout": 0.0}, ("mask", "special")),
        Case("after training", {"weights": weights, "texts": texts[4:], "dropout": 0.3}, ("mode",)),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the model's attention calculated in NumPy; each case decides what nothing else disturbs."""
    texts, weights = case.inputs["texts"], [np.asarray(array, dtype=float) for array in observed["weights"]]
    if case.name == "after training":
        calm = all(not read["training"] and not read["graph"] for read in observed["events"])
        sure = observed["again"] and calm and bool(observed["events"])
        return [holds("mode", sure, _("the weights are not those of inference mode: two reports on a text differ"))]
    if case.name == "a padded batch":
        listed = [" ".join(words) for words in observed["words"]]
        text = _("words of the text were expected, yours are: {words}")
        wrong = next((mine for mine, right in zip(listed, texts, strict=False) if mine != right), "")
        fits = all(len(array.T) == len(text.split()) for array, text in zip(weights, texts, strict=False))
        return [
            holds("mask", masks_right(observed["events"]), _("some tokens attend to padding")),
            holds("special", listed == texts and fits, text.format(words=wrong)),
        ]
    ids, mask = encode(texts)
    right = bert(case.inputs["weights"], ids, mask)[1][:, 0, :, 0]  # (layers, heads, L): where [CLS] looks
    mine, tokens = weights[0], split_tokens(texts[0])
    places = [tokens.index(word) if word in tokens else 0 for word in observed["words"][0]]
    fits = mine.ndim == 2 and mine.shape[1] == len(places) > 0
    last = right[-1][:, places]
    shape = _("{heads} heads: shape {right} was expected, yours is {seen}")
    each = len(mine) == HEADS and fits and not np.allclose(mine, mine.mean(axis=0), atol=1e-6)
    return [
        holds("maps", fits, _("there is not one weight for each word in the report")),
        holds("layer", fits and np.allclose(mine.mean(axis=0), last.mean(axis=0), atol=1e-4), LAYER),
        holds("heads", each, shape.format(heads=HEADS, right=last.shape, seen=mine.shape)),
        holds("heads", not np.allclose(mine.mean(axis=0), last.mean(axis=0), atol=1e-4) or _alike(mine, last), ORDER),
    ]


LAYER = _("these are not the weights that [CLS] gives to the words in the last layer")
ORDER = _("the heads' weights are not each head's own, in their order")


def _alike(mine: np.ndarray, last: np.ndarray) -> bool:
    return mine.shape == last.shape and np.allclose(mine, last, atol=1e-4)


def probe_pytorch(candidate, inputs):
    """The report of a model in training mode, how the model was run, and whether a second report is the same."""
    folder = text_folder(inputs["weights"], "encoder")
    model = torch_bert(inputs["weights"], dropout=inputs["dropout"])
    if inputs["dropout"]:  # the model of one layer: its last is its first
        model.encoder.layer, model.config.num_hidden_layers = model.encoder.layer[:1], 1
    with watch() as events:
        words, weights = _columns(candidate(model, folder, list(inputs["texts"])))
    _again, second = _columns(candidate(model.train(), folder, list(inputs["texts"])))
    same = all(map(np.array_equal, weights, second))
    return {"words": words, "weights": weights, "again": same, "events": [_flags(event) for event in events]}


def _columns(report):
    """Words and weights of a report."""
    if not isinstance(report, (list, tuple)) or not all(isinstance(row, (list, tuple)) for row in report):
        raise NotPlain(_("one pair of words and weights for each text was expected"))
    if not report or any(len(row) != 2 for row in report):
        raise NotPlain(_("one pair of words and weights for each text was expected"))
    return [[str(word) for word in words] for words, _weights in report], [as_array(array) for _words, array in report]


def _flags(event):
    return {name: event[name] for name in ("kind", "ids", "mask", "training", "graph")}


EXERCISE = Exercise(
    id="clinic-attention-script",
    title=_("Clinic: a report on attention"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=4,
    points=6,
    statement=_(
        "This script is to report, for each text, how much attention each of its words gets from [CLS] in every head "
        "of the model's last layer. The model comes straight from training; the texts are read in one padded batch. It "
        "has six faults, some of which show only once others are mended. Return for each text its words, in order and "
        "without special tokens or padding, and their weights as the model gives them in inference mode, shape (heads, "
        "words), not rescaled. Keep the arguments of `attention_report`."
    ),
    hints=(
        _("Print `outputs.attentions`, then the sums of its rows, then the shape after every line."),
        _("Compare the report on a short text alone with that beside a long one, and two reports on the same text."),
        _(
            "Eager implementation and eval() before the call, everything the tokenizer returns passed on, the last "
            "layer, no mean over heads, and only tokens that are not in all_special_tokens."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("The words' weights add up to less than 1. Where is the rest, and why not rescale?"),
            _(
                "On [CLS] and [SEP], often most of it: heads that find nothing to do park their attention there (Clark "
                "et al., 2019). Rescaling makes a head that looks at no word seem to look hard at one."
            ),
        ),
        FollowUp(
            _("Which of these numbers would change with the batch, the run or the library version, and why?"),
            _(
                "Without a mask they change with the batch, in training mode with each call, and under a fused "
                "implementation there are none. Right weights change with neither beyond rounding: that is a test to "
                "keep."
            ),
        ),
    ),
    complexity=_(
        "O(layers·N·(L²·D + L·D²)) time for the forward pass; O(layers·N·heads·L²) memory, since all maps come out "
        "while N·heads·L numbers are kept."
    ),
    criteria={
        "mask": Criterion(_("keeps tokens from attending to padding")),
        "mode": Criterion(_("reports the weights of inference mode, the same at every call")),
        "maps": Criterion(_("has one weight for each word listed")),
        "layer": Criterion(_("reports where [CLS] looks in the last layer")),
        "heads": Criterion(_("reports each head by itself")),
        "special": Criterion(_("lists the words of the text, and nothing else")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=code.PYTORCH,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"one by one": code.PYTORCH_ONE_BY_ONE, "last layer by hand": code.PYTORCH_HOOK},
            mistakes=code.mistakes(),
        ),
    },
)
