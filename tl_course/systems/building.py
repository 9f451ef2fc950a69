"""A classifier of either framework, new or from a file, through the framework's own module."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from tl_course import classifier_file
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.system import System
from tl_course.zoo.pretrained import Framework

READY = "mobilenet_v2"
"""The backbone for colour images whose weights come with the course's set-up, in both frameworks."""

WEIGHTS = ("auto", "pretrained", "none")


def library(framework: str, module: str) -> ModuleType:
    """tl_course.pytorch.MODULE or tl_course.keras.MODULE: the names in them are the same."""
    return import_module(f"tl_course.{framework}.{module}")


def build(
    system: System,
    backbone: str,
    class_names: Sequence[str],
    weights: str,
    image_size: int,
    seed: int,
    say: Callable[[str], None],
) -> tuple[Any, bool]:
    """A new Classifier, and whether its backbone is pretrained.

    Args:
        system: whose framework is used.
        backbone: a name of the zoo.
        class_names: in the order of the labels.
        weights: one of `WEIGHTS`.
        image_size: side that the backbone gets.
        seed: of the head, and of random weights.
        say: takes the line that says which weights these are.

    Raises:
        BadInput: an unknown backbone; weights="pretrained" and they can be had neither from the cache nor the network.
    """
    make = library(system.framework, "classifier").Classifier.build
    options = {"image_size": image_size, "seed": seed}
    if weights != "none":
        try:
            classifier = make(backbone, class_names, weights="pretrained", **options)
        except BadInput:
            if weights == "pretrained":
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
        ).format(name=backbone, ready=READY)
    )
    return classifier, False


def load_classifier(model_file: str | Path) -> Any:
    """The Classifier in a file, in whichever framework it was saved.

    Raises:
        BadInput: as `classifier_file.read` and `Classifier.load`.
    """
    framework = classifier_file.read(Path(model_file).expanduser()).framework
    if framework not in get_args(Framework):
        raise BadInput(_("a classifier in PyTorch or Keras"), repr(framework), _("update the course"))
    return library(framework, "classifier").load(Path(model_file).expanduser())
