"""One run of a system from the images to the files: read, build, train, measure, save, load again."""

import json
import math
import shlex
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safetensors import SafetensorError

from tl_course import plots
from tl_course.data import Dataset
from tl_course.errors import BadInput, CourseError
from tl_course.history import History
from tl_course.i18n import _
from tl_course.systems.building import WEIGHTS, build, library, load_classifier
from tl_course.systems.catalogue import get
from tl_course.systems.output import check_room, output_folder, unwritable
from tl_course.systems.source import read_source, with_channels
from tl_course.systems.system import System, Training

if TYPE_CHECKING:
    from tl_course.metrics import Report

RELOADED = 32
"""Test images on which the loaded file has to agree with the model in memory."""

TOLERANCE = 1e-4
"""Largest difference of a probability that counts as agreement."""


@dataclass(frozen=True)
class Result:
    """What a run found and where it wrote it.

    Attributes:
        system: which system ran.
        facts: what it ran on and with, as plain values: data, backbone, weights, image_size, seed …
        report: accuracy and more on the test images.
        history: of the training, epoch by epoch.
        files: "model" (safetensors), "report" (JSON), "text", "curves" and "confusion" (PNG), by what they hold.
        seconds: from reading the images to the last file.
        classifier: the trained one, a `Classifier` of the system's framework.
        dataset: the images, in their splits.
    """

    system: System
    facts: dict[str, Any]
    report: "Report"
    history: History
    files: dict[str, Path]
    seconds: float
    classifier: Any = field(repr=False)
    dataset: Dataset = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return {
            "system": self.system.name,
            "framework": self.system.framework,
            "documents": list(self.system.documents),
            **self.facts,
            "report": self.report.to_dict(),
            "history": _finite(self.history.to_dict()),
            "files": {name: str(path) for name, path in self.files.items()},
            "seconds": round(self.seconds, 1),
        }

    def render_text(self) -> str:
        """The figures in words and a table, and how to predict with the saved model."""
        lines = [
            _("{name}: {title}").format(name=self.system.name, title=self.system.title),
            _("{count} test images of {data}").format(count=self.report.num_examples, data=self.facts["data"]),
            "",
            self.report.render_text(),
            "",
            _("trained {epochs} epochs{stages}; the best is number {best}; {seconds:.0f} s in all").format(
                epochs=len(self.history),
                stages=_stages(self.history),
                best=self.history.best_epoch,
                seconds=self.seconds,
            ),
            *(f"{path}" for path in self.files.values()),
            _("to predict: tl-course predict {model} IMAGE …").format(model=shlex.quote(str(self.files["model"]))),
        ]
        return "\n".join(lines)


def run(
    name: str,
    data: str | Path | None = None,
    out: str | Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    backbone: str | None = None,
    weights: Literal["auto", "pretrained", "none"] = "auto",
    image_size: int | None = None,
    per_class: int | None = None,
    force: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Result:
    """Train one of the documents' systems, measure it on test images, and save it.

    Args:
        name: one of `names()`.
        data: a folder in the system's layout (see `data.image_folder`; for pytorch-resnet18-cifar10 CIFAR-10's own
            files), or the name of one of the course's image sets, or None for a small demonstration on real images.
        out: folder for the files; None takes a new numbered one below runs/.
        epochs: at most so many in every stage of the training; None takes the system's own number.
        seed: of the head, of every random choice in training, and of the split where the data have none.
        backbone: another network of the zoo.
        weights: "pretrained"; "none" for random ones; "auto" for pretrained ones where they can be had, otherwise
            random ones, which is said.
        image_size: side that images are resized to; None takes the system's own.
        per_class: use only so many training images of each class.
        force: write into `out` although it holds files.
        progress: show a progress bar.
        say: takes the lines that tell how the run goes.

    Raises:
        BadInput: an unknown system or backbone, data or output folder that cannot be used, or numbers out of range.
        CourseError: training failed, or the saved file does not give the model back.
    """
    system = get(name)
    _check_numbers(epochs=(epochs, 1), seed=(seed, 0), image_size=(image_size, 8), per_class=(per_class, 2))
    if weights not in WEIGHTS:
        raise BadInput(_("weights out of {names}").format(names=", ".join(WEIGHTS)), repr(weights), _("choose one"))
    started = time.monotonic()
    with output_folder(out, name, force) as folder:
        net = backbone or system.backbone
        size = _default_size(system, data, net) if image_size is None else image_size
        dataset = read_source(system, data, size, seed, per_class)
        facts = _facts(system, dataset, data is None) | {"backbone": net, "image_size": size, "seed": seed}
        counts = ", ".join(f"{part} {count}" for part, count in facts["images"].items())
        say(_("images: {data}; {counts}").format(data=facts["data"], counts=counts))
        classifier, pretrained = build(system, net, dataset.class_names, weights, size, seed, say)
        facts["weights"] = "pretrained" if pretrained else "random"
        dataset = with_channels(dataset, classifier.backbone.channels)
        check_room(folder, _size_in_bytes(classifier, system))
        num_epochs = epochs or (system.demonstration if data is None else system).num_epochs
        history = system.train(classifier, dataset, Training(num_epochs, pretrained, seed, progress))
        report = library(system.framework, "fit").evaluate(classifier, dataset.test)
        seconds = time.monotonic() - started
        result = Result(system, facts, report, history, _files(folder), seconds, classifier, dataset)
        try:
            _write(result)
        except (OSError, SafetensorError) as error:
            raise unwritable(folder, error) from error
    return result


def _check_numbers(**given: tuple[int | None, int]) -> None:
    """Raises BadInput unless each number is None or an integer of at least its second value."""
    for name, (value, least) in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise BadInput(
                _("{name} as an integer of at least {least}").format(name=name, least=least),
                repr(value),
                _("pass for example {name}={example}").format(name=name, example=max(least, 1)),
            )


def _default_size(system: System, data: str | Path | None, backbone: str) -> int:
    one_size_only = backbone.startswith(("vit_", "maxvit"))
    return system.demonstration.image_size if data is None and not one_size_only else system.image_size


def _facts(system: System, dataset: Dataset, demonstration: bool) -> dict[str, Any]:
    """What the run is about to use, as plain values."""
    return {
        "data": system.demonstration.note if demonstration else dataset.source,
        "demonstration": demonstration,
        "class_names": list(dataset.class_names),
        "images": {part: len(split) for part, split in dataset.splits.items()},
    }


def _size_in_bytes(classifier: Any, system: System) -> int:
    """What the weights take on disk."""
    if system.framework == "pytorch":
        return sum(tensor.numel() * tensor.element_size() for tensor in classifier.model.state_dict().values())
    return sum(math.prod(weight.shape) * 4 for weight in classifier.model.weights)


def _files(folder: Path) -> dict[str, Path]:
    names = {
        "model": "model.safetensors",
        "report": "report.json",
        "text": "report.txt",
        "curves": "curves.png",
        "confusion": "confusion.png",
    }
    return {what: folder / name for what, name in names.items()}


def _write(result: Result) -> None:
    """Everything a run leaves behind; the report last, so that a folder with one is complete."""
    report, files, names = result.report, result.files, result.report.class_names
    result.classifier.save(files["model"])
    _check_reloaded(result)
    plots.training_curves(result.history, title=result.system.title).savefig(files["curves"])
    title = _("Test images: accuracy {accuracy:.3f}").format(accuracy=report.accuracy)
    figure = plots.matrix(report.confusion, names, names, title, _("predicted class"), _("true class"), "{:.0f}")
    figure.savefig(files["confusion"])
    files["text"].write_text(result.render_text() + "\n", encoding="utf-8")
    text = json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    files["report"].write_text(text + "\n", encoding="utf-8")


def _check_reloaded(result: Result) -> None:
    """Raises CourseError unless the model loaded from the file says of test images what the one in memory says."""
    images, file = result.dataset.test.x[:RELOADED], result.files["model"]
    apart = np.abs(load_classifier(file).predict_proba(images) - result.classifier.predict_proba(images)).max()
    if not apart <= TOLERANCE:
        raise CourseError(
            _("{file} gives probabilities that differ by {apart:.2g} from the trained model's: do not use it").format(
                file=file, apart=apart
            )
        )


def _stages(history: History) -> str:
    """ " (linear probe 3, fine-tune 2)", or nothing where the stages have no names."""
    counts = Counter(name for name in history.stage if name)
    return " ({})".format(", ".join(f"{name} {count}" for name, count in counts.items())) if counts else ""


def _finite(history: dict[str, Any]) -> dict[str, Any]:
    """The history with None for what is not a number, which JSON cannot hold."""
    return {
        name: [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
        if isinstance(values, list)
        else values
        for name, values in history.items()
    }
