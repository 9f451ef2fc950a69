"""A classifier of either framework and kind, new or from a file, through the framework's own module."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from tl_course import classifier_file
from tl_course.classifier_file import Kind
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.system import ChosenWeights, TrainingSystem
from tl_course.zoo.pretrained import Framework

READY: dict[Kind, str] = {"image": "mobilenet_v2", "text": "minilm"}
"""The backbones whose weights come with the course's set-up, in both frameworks."""

WEIGHTS = get_args(ChosenWeights)

_CLASSES: dict[Kind, tuple[str, str]] = {
    "image": ("classifier", "Classifier"),
    "text": ("text_classifier", "TextClassifier"),
}


def library(framework: str, module: str) -> ModuleType:
    """tl_course.pytorch.MODULE or tl_course.keras.MODULE: the names in them are the same."""
    return import_module(f"tl_course.{framework}.{module}")


def build(
    system: TrainingSystem,
    backbone: str,
    class_names: Sequence[str],
    weights: ChosenWeights,
    say: Callable[[str], None],
    **options: Any,
) -> tuple[Any, bool]:
    """A new classifier, and whether its backbone is pretrained.

    Args:
        system: whose framework is used, and whose kind.
        backbone: a name of the zoo.
        class_names: in the order of the labels.
        weights: one of `WEIGHTS`.
        say: takes the line that says which weights these are.
        options: of the classifier's own `build`.

    Raises:
        BadInput: an unknown backbone; weights="pretrained" and they can be had neither from the cache nor the network.
    """
    make = _class(system.framework, system.kind).build
    if weights != "none":
        try:
            classifier = make(backbone, class_names, weights="pretrained", **options)
        except BadInput:
            if weights == "pretrained" or system.kind == "text":  # a text backbone's tokenizer is missing as well
                raise
        else:
            say(_("backbone: {name} with pretrained weights").format(name=backbone))
            return classifier, True
    classifier = make(backbone, class_names, weights=None, **options)
    if weights == "none":
        say(_("backbone: {name} with random weights, as asked for: nothing is transferred").format(name=backbone))
        return classifier, False
    say(
        _(
            "backbone: {name}, whose pretrained weights are neither cached nor reachable: training starts from RANDOM "
            "weights, so nothing is transferred; connect once, or pass --backbone {ready}, whose weights are here"
        ).format(name=backbone, ready=READY[system.kind])
    )
    return classifier, False


def load_classifier(model_file: str | Path, kind: Kind | None = None) -> Any:
    """The classifier in a file, in whichever framework it was saved.

    Args:
        model_file: what `Classifier.save` or `TextClassifier.save` wrote.
        kind: refuse one of another; None takes either.

    Raises:
        BadInput: as `classifier_file.read` and the classifier's own `load`.
    """
    file = Path(model_file).expanduser()
    content = classifier_file.read(file)
    if content.framework not in get_args(Framework):
        raise BadInput(_("a classifier in PyTorch or Keras"), repr(content.framework), _("update the course"))
    check_kind(file, content.kind, kind)
    return _class(content.framework, content.kind).load(file)


def check_kind(file: Path, found: Kind, wanted: Kind | None) -> None:
    """Raises BadInput for a model of something else than what is wanted; None takes either."""
    if wanted not in (None, found):
        takes = _("image files") if found == "image" else _('a table, or --input "A TEXT"')
        raise BadInput(
            _("a classifier of {kind}s").format(kind=wanted),
            _("{file}, one of {kind}s").format(file=file.name, kind=found),
            _("pass {what} to it").format(what=takes),
        )


def _class(framework: str, kind: Kind) -> Any:
    """Classifier or TextClassifier of a framework."""
    module, name = _CLASSES[kind]
    return getattr(library(framework, module), name)
