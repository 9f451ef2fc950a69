"""Find the fault: a classifier for two classes, whatever the data holds."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.exercises.fine_tuning_text._tiny_bert import bert_folder, draw_bert, draw_ids
from tl_course.exercises.fine_tuning_text._tiny_encoder import instance, softmax
from tl_course.i18n import _

PYTORCH = '''
from transformers import AutoModelForSequenceClassification, PreTrainedModel


def build_classifier(folder: str, class_names: tuple[str, ...]) -> PreTrainedModel:
    """A pretrained encoder with a new head for sequence classification.

    Args:
        folder: where the pretrained encoder is, in Hugging Face's layout.
        class_names: the name of class 0, 1, 2, …

    Returns:
        A model that gives one logit for each class, the mean cross-entropy when it is given labels, and whose
        configuration knows the names of the classes.
    """
    names = dict(enumerate(class_names))
    numbers = {name: number for number, name in names.items()}
    return AutoModelForSequenceClassification.from_pretrained(folder, id2label=names, label2id=numbers)
'''

BODY = PYTORCH[PYTORCH.index("    names = ") :]
STARTER = PYTORCH.replace(BODY, "    return AutoModelForSequenceClassification.from_pretrained(folder)\n")

PYTORCH_CONFIG = """
from transformers import AutoConfig, AutoModelForSequenceClassification


def build_classifier(folder, class_names):
    config = AutoConfig.from_pretrained(folder, num_labels=len(class_names))
    for number, name in enumerate(class_names):
        config.id2label[number] = name
    config.label2id = {name: list(class_names).index(name) for name in class_names}
    return AutoModelForSequenceClassification.from_pretrained(folder, config=config)
"""

PYTORCH_BY_HAND = """
from transformers import AutoModel, BertForSequenceClassification


def build_classifier(folder, class_names):
    encoder = AutoModel.from_pretrained(folder)
    config = encoder.config
    config.num_labels = len(class_names)
    config.id2label = {i: class_names[i] for i in range(len(class_names))}
    config.label2id = {class_names[i]: i for i in range(len(class_names))}
    model = BertForSequenceClassification(config).eval()
    model.bert.load_state_dict(encoder.state_dict())
    return model
"""

LOAD = "from_pretrained(folder, id2label=names, label2id=numbers)"
MESSAGES = {
    "two-classes": _("nobody said how many classes there are, and the library's default is two"),
    "fixed-number": _("the number of classes is written down for one data set and wrong for the next"),
    "no-names": _("the number is right, but the model calls its classes LABEL_0, LABEL_1, …"),
    "sorted-names": _("the names are sorted before they are numbered, and stand for other classes than in the labels"),
    "head-replaced": _("the new layer has the right size, but the model's configuration still says two classes"),
    "random-encoder": _("the classifier is built from the configuration alone: its encoder has random weights"),
    "one-too-many": _("there is one output more than classes"),
    "several-at-once": _("the model was told that a text may have several classes, which is another loss"),
}
EDITS = {
    "no-names": (LOAD, "from_pretrained(folder, num_labels=len(names))"),
    "sorted-names": ("enumerate(class_names)", "enumerate(sorted(class_names))"),
    "one-too-many": ("enumerate(class_names)", 'enumerate([*class_names, "other"])'),
    "several-at-once": ("label2id=numbers)", 'label2id=numbers, problem_type="multi_label_classification")'),
}
SOURCES = {
    "two-classes": STARTER,
    "fixed-number": STARTER.replace("(folder)", "(folder, num_labels=3)"),
    "head-replaced": STARTER.replace("    return AutoModel", "    model = AutoModel")
    + "    import torch\n    model.classifier = torch.nn.Linear(model.config.hidden_size, len(class_names))\n"
    + "    return model\n",
    "random-encoder": PYTORCH.replace(
        f"AutoModelForSequenceClassification.{LOAD}", "AutoModelForSequenceClassification.from_config(config)"
    )
    .replace("    return Auto", f"    config = AutoConfig.{LOAD}\n    return Auto")
    .replace("import Auto", "import AutoConfig, Auto"),
}
NAMES = ("world", "sport", "business", "science", "culture", "weather")
KEPT = ("embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.weight")


def cases(rng: np.random.Generator) -> list[Case]:
    """Three classes and more; every class occurs among the labels."""
    weights = draw_bert(rng)
    found = []
    for name, count in (("three classes", 3), ("more classes", int(rng.integers(4, 7)))):
        names = [str(word) for word in rng.permutation(NAMES)[:count]]
        while names == sorted(names):
            names = names[::-1]
        ids, mask = draw_ids(rng, [5, 3, 6, 4, 2, 6, 5])
        labels = rng.permutation(np.arange(7) % count)
        inputs = {"weights": weights, "names": names, "ids": ids, "mask": mask, "labels": labels}
        found.append(Case(name, inputs, ("logits", "loss", "names", "encoder")))
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Count logits, compare the loss with theirs, the names and the encoder's weights."""
    inputs = case.inputs
    names, labels = inputs["names"], inputs["labels"]
    logits = np.asarray(observed["logits"], dtype=np.float64)
    wrong = _("{texts} texts and {count} classes: logits of shape {right} were expected, yours are {seen}")
    right = (len(labels), len(names))
    wrong = wrong.format(texts=len(labels), count=len(names), right=right, seen=logits.shape)
    stops = _("given labels, the model stops with: {error}").format(error=observed["error"])
    found = [
        holds("logits", logits.shape == right, wrong),
        holds("loss", not observed["error"], stops),
        holds("names", observed["names"] == names, _named(names, observed["names"])),
        holds("names", observed["numbers"] == list(range(len(names))), _("label2id does not lead back to the numbers")),
    ]
    if logits.shape == right and not observed["error"]:
        loss = -np.log(softmax(logits)[np.arange(len(labels)), labels]).mean()
        found.append(close("loss", observed["loss"], loss, _("the loss")))
    return found + [close("encoder", observed["kept"][name], inputs["weights"][name], name) for name in KEPT]


def _named(names: list[str], seen: list[str]) -> str:
    text = _("classes {right} were expected in this order, the model's configuration says {seen}")
    return text.format(right=", ".join(names), seen=", ".join(seen))


def probe_pytorch(candidate, inputs):
    """Build it from a folder; look at its logits, its loss, its names and its encoder's weights."""
    import torch

    folder = bert_folder(inputs["weights"], "encoder")
    model = instance(candidate(folder, tuple(inputs["names"])), torch.nn.Module).eval()
    ids, mask, labels = (torch.tensor(inputs[name]) for name in ("ids", "mask", "labels"))
    config, loss, error = model.config, 0.0, ""
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits
        try:
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        except (IndexError, ValueError, RuntimeError) as problem:
            error = str(problem).split("\n")[0]
    state = model.base_model.state_dict()
    return {
        "logits": as_array(logits),
        "loss": as_array(loss),
        "error": error,
        "names": [str(config.id2label.get(number)) for number in range(config.num_labels)],
        "numbers": [int(config.label2id.get(name, -1)) for name in inputs["names"]],
        "kept": {name: as_array(state[name]) for name in KEPT},
    }


EXERCISE = Exercise(
    id="missing-class",
    title=_("Target 2 is out of bounds"),
    lesson="05_fine_tuning_text",
    kind="find-the-fault",
    minutes=8,
    difficulty=2,
    points=3,
    statement=_(
        "Training on news of three kinds stops with `Target 2 is out of bounds`, on a GPU with an unreadable "
        "device-side assert. A colleague left the third kind out; now it trains, and the service answers `LABEL_0` and "
        "`LABEL_1`. Find the fault in `build_classifier`, fix it, and prove it: one logit for each of `class_names`, "
        "however many there are, the cross-entropy when labels are given, the names in `config.id2label` and "
        "`config.label2id`, and the pretrained encoder's weights."
    ),
    hints=(
        _("Print the shape of the logits. Where has this number come from?"),
        _("`from_pretrained` also takes values for the model's configuration, by keyword."),
        _("Make two dictionaries, number to name and name to number, and pass them as id2label and label2id."),
    ),
    follow_ups=(
        FollowUp(
            _("Why not count the classes in the training labels, `len(set(labels))`?"),
            _(
                "A rare class may be missing from a small or badly drawn training set; then later numbers shift or "
                "fall out. Take the names from the task's definition, store them with the model, and check that every "
                "label of every split is among them."
            ),
        ),
        FollowUp(
            _("What does the same library do with `num_labels=1`, and how does that go wrong unnoticed?"),
            _(
                "It takes the task for regression and uses the squared error. With labels 0 and 1 this trains without "
                "any complaint, but there are no probabilities, and a softmax over one output is always 1."
            ),
        ),
    ),
    criteria={
        "logits": Criterion(_("gives one logit for each class")),
        "loss": Criterion(_("gives the cross-entropy of labels of every class"), needs=("logits",)),
        "names": Criterion(_("knows the classes by name and number"), needs=("logits",)),
        "encoder": Criterion(_("keeps the pretrained encoder"), needs=("logits",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            uses="transformers",
            reference=PYTORCH,
            probe=probe_pytorch,
            starter=STARTER,
            alternatives={"configuration": PYTORCH_CONFIG, "by hand": PYTORCH_BY_HAND},
            mistakes={
                **{name: Mistake(MESSAGES[name], source=source) for name, source in SOURCES.items()},
                **{name: Mistake(MESSAGES[name], (edit,)) for name, edit in EDITS.items()},
            },
        ),
    },
    complexity=_(
        "O(P) time and memory to read the P weights of the pretrained encoder. The head has (D + 1)·K parameters for D "
        "features and K classes, so that another class costs next to nothing in any step."
    ),
)
