"""One run of a system from the data to the files: read, build, train, measure, save, load again."""

import json
import math
import shlex
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from safetensors import SafetensorError

from tl_course import plots
from tl_course.data import Dataset
from tl_course.errors import BadInput, CourseError
from tl_course.history import History
from tl_course.i18n import _
from tl_course.systems import comparison, distillation, images, texts
from tl_course.systems.building import WEIGHTS, library, load_classifier
from tl_course.systems.catalogue import get
from tl_course.systems.fonts import every_script
from tl_course.systems.output import check_room, output_folder, unwritable
from tl_course.systems.system import (
    ChosenWeights,
    ImageSystem,
    Prepared,
    Request,
    RunOptions,
    TextSystem,
    Training,
    TrainingSystem,
    check_numbers,
    given_options,
)

if TYPE_CHECKING:
    from tl_course.metrics import Report

RELOADED = 32
"""Test examples on which the loaded file has to agree with the model in memory."""

WHAT = {"image": "IMAGE …", "text": '--input "A TEXT"'}
"""What `tl-course predict` wants after the model."""

TOLERANCE = 1e-4
"""Largest difference of a probability that counts as agreement."""


@dataclass(frozen=True)
class Result:
    """What a run found and where it wrote it.

    Attributes:
        system: which system ran.
        facts: what it ran on and with, as plain values: data, notes, backbone, weights, seed …
        report: accuracy and more on the test examples.
        history: of the training, epoch by epoch.
        files: "model" and, where it is to be kept, "teacher" (safetensors), "report" (JSON), "text", "curves" and
            "confusion" (PNG), by what they hold.
        seconds: from reading the data to the last file.
        classifier: the trained one, a `Classifier` or `TextClassifier` of the system's framework; the student where
            one was distilled, and history and report are the student's.
        dataset: the examples, in their splits.
        teacher: of the student; None where nothing was distilled.
        compared: teacher, student, and the student from the labels alone; empty where nothing was distilled.
    """

    system: TrainingSystem
    facts: dict[str, Any]
    report: "Report"
    history: History
    files: dict[str, Path]
    seconds: float
    classifier: Any = field(repr=False)
    dataset: Dataset = field(repr=False)
    teacher: Any = field(default=None, repr=False)
    compared: tuple[comparison.Compared, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return {
            "system": self.system.name,
            "framework": self.system.framework,
            "documents": list(self.system.documents),
            **self.facts,
            **({"compared": [row.to_dict() for row in self.compared]} if self.compared else {}),
            "report": self.report.to_dict(),
            "history": _finite(self.history.to_dict()),
            "files": {name: str(path) for name, path in self.files.items()},
            "seconds": round(self.seconds, 1),
        }

    def render_text(self) -> str:
        """The figures in words and a table, and how to predict with the saved model."""
        lines = [
            _("{name}: {title}").format(name=self.system.name, title=self.system.title),
            _("{count} test examples of {data}").format(count=self.report.num_examples, data=self.facts["data"]),
            *(f"- {note}" for note in self.facts["notes"]),
            "",
            *((comparison.render_text(self.compared), "", _("the student:")) if self.compared else ()),
            self.report.render_text(),
            "",
            _("trained {epochs} epochs{stages}; the best is number {best}; {seconds:.0f} s in all").format(
                epochs=len(self.history),
                stages=_stages(self.history),
                best=self.history.best_epoch,
                seconds=self.seconds,
            ),
            *(f"{path}" for path in self.files.values()),
            _("to predict: tl-course predict {model} {what}").format(
                model=shlex.quote(str(self.files["model"])), what=WHAT[self.system.kind]
            ),
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
    weights: ChosenWeights = "auto",
    force: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
    **options: Unpack[RunOptions],
) -> Result:
    """Train one of the documents' systems, measure it on test examples, and save it.

    Args:
        name: one of `names("image")` or `names("text")`.
        data: a folder of images in the system's layout (see `data.image_folder`; for pytorch-resnet18-cifar10
            CIFAR-10's own files) or a table of texts (see `data.read_table`); or the name of one of the course's data
            sets; or None for a small demonstration on real data.
        out: folder for the files; None takes a new numbered one below runs/.
        epochs: at most so many in every stage of the training; None takes the system's own number.
        seed: of the head, of every random choice in training, and of the split where the data have none.
        backbone: another network of the zoo; for texts any encoder of Hugging Face, by name or folder.
        weights: "pretrained"; "none" for random ones; "auto" for pretrained ones where they can be had, otherwise (with
            images) random ones, which is said.
        force: write into `out` although it holds files.
        progress: show a progress bar.
        say: takes the lines that tell how the run goes.
        options: see `RunOptions`; which of them a system takes, its `takes` tells.

    Raises:
        BadInput: an unknown system or backbone, data or output folder that cannot be used, an option that the system
            does not take, or numbers out of range.
        CourseError: training failed, or the saved file does not give the model back.
    """
    system = get(name)
    if not isinstance(system, TrainingSystem):
        raise BadInput(_("a system that trains"), repr(name), _("call systems.show_attention"))
    given = given_options(options, system.takes, name)
    check_numbers(epochs=(epochs, 1), seed=(seed, 0), image_size=(given.get("image_size"), 8))
    check_numbers(per_class=(given.get("per_class"), 2), rows=(given.get("rows"), 4))
    if system.distillation is not None:
        distillation.softness(system.distillation, given)
    if weights not in WEIGHTS:
        raise BadInput(_("weights out of {names}").format(names=", ".join(WEIGHTS)), repr(weights), _("choose one"))
    started = time.monotonic()
    with output_folder(out, name, force) as folder:
        request = Request(data, backbone or system.backbone, weights, seed, given)
        made = _prepare(system, request, say)
        check_room(folder, _size_in_bytes(made.classifier, system))
        num_epochs = epochs or (system.demonstration if data is None else system).num_epochs
        training, test = Training(num_epochs, made.pretrained, seed, progress), made.dataset.test
        classifier, teacher, compared, more = made.classifier, None, (), {}
        if system.distillation is None:
            history = system.train(classifier, made.dataset, training)
        else:
            done = distillation.distil(system, made, training, request, epochs, say)
            classifier, teacher, history, more = done.student, done.teacher, done.history, done.facts
            compared = done.compared(test, folder)
        report = library(system.framework, "fit").evaluate(classifier, test)
        seconds = time.monotonic() - started
        facts = {
            "demonstration": data is None,
            "class_names": list(made.dataset.class_names),
            "notes": list(made.dataset.notes),
            "backbone": request.backbone,
            "seed": seed,
            "weights": "pretrained" if made.pretrained else "random",
            **made.facts,
            **more,
        }
        files = _files(folder, bool(given.get("save_teacher")))
        result = Result(system, facts, report, history, files, seconds, classifier, made.dataset, teacher, compared)
        try:
            _write(result)
        except (OSError, SafetensorError) as error:
            raise unwritable(folder, error) from error
    return result


def _prepare(system: TrainingSystem, request: Request, say: Callable[[str], None]) -> Prepared:
    if isinstance(system, ImageSystem):
        return images.prepare(system, request, say)
    if isinstance(system, TextSystem):
        return texts.prepare(system, request, say)
    raise TypeError(system)


def _size_in_bytes(classifier: Any, system: TrainingSystem) -> int:
    """What the weights take on disk."""
    if system.framework == "pytorch":
        return sum(tensor.numel() * tensor.element_size() for tensor in classifier.model.state_dict().values())
    return sum(math.prod(weight.shape) * 4 for weight in classifier.model.weights)


def _files(folder: Path, with_teacher: bool) -> dict[str, Path]:
    names = {
        **({"teacher": "teacher.safetensors"} if with_teacher else {}),
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
    if "teacher" in files:
        result.teacher.save(files["teacher"])
    _check_reloaded(result)
    title = _("Test examples: accuracy {accuracy:.3f}").format(accuracy=report.accuracy)
    with every_script():
        plots.training_curves(result.history, title=result.system.title).savefig(files["curves"])
        figure = plots.matrix(report.confusion, names, names, title, _("predicted class"), _("true class"), "{:.0f}")
        figure.savefig(files["confusion"])
    files["text"].write_text(result.render_text() + "\n", encoding="utf-8")
    text = json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    files["report"].write_text(text + "\n", encoding="utf-8")


def _check_reloaded(result: Result) -> None:
    """Raises CourseError unless the model loaded from the file says of test examples what the one in memory says."""
    some, file = result.dataset.test.x[:RELOADED], result.files["model"]
    apart = np.abs(load_classifier(file).predict_proba(some) - result.classifier.predict_proba(some)).max()
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
