"""What every system of the course is: data in a known layout, a backbone, a way to train it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypedDict

from tl_course.classifier_file import Kind
from tl_course.data import Dataset
from tl_course.errors import BadInput
from tl_course.history import History
from tl_course.i18n import _
from tl_course.zoo.pretrained import Framework

SystemKind = Literal["image", "text", "attention"]
Purpose = Literal["image", "text", "attention", "distillation"]
ChosenWeights = Literal["auto", "pretrained", "none"]


class DataOptions(TypedDict, total=False):
    """What a run may be told of its data; every kind of system takes some of these.

    Attributes:
        per_class: use only so many training examples of each class.
        image_size: side that images are resized to; None takes the system's own.
        text, label: the table's columns that hold texts and classes.
        val_data, test_data: tables of their own to validate and test on.
        split: the table's column that says train, val or test.
        rows: use at most so many rows of every table.
        max_tokens: texts are cut after so many tokens; None takes as many as the backbone can.
        encoding: of the tables; None finds out.
    """

    per_class: int | None
    image_size: int | None
    text: str | None
    label: str | None
    val_data: str | Path | None
    test_data: str | Path | None
    split: str | None
    rows: int | None
    max_tokens: int | None
    encoding: str | None


class RunOptions(DataOptions, total=False):
    """Everything a run may be told beside its data; what follows is for the systems that distil.

    Attributes:
        temperature: T of the soft targets, above 0; None takes the system's own.
        alpha: share of the teacher in the loss, 0 to 1; None takes the system's own.
        unlabelled: a folder of images, or a table of texts, without classes, for the teacher to answer.
        save_teacher: keep the teacher's file beside the student's.
    """

    temperature: float | None
    alpha: float | None
    unlabelled: str | Path | None
    save_teacher: bool | None


DISTILL_OPTIONS = ("temperature", "alpha", "unlabelled", "save_teacher")


@dataclass(frozen=True)
class Training:
    """How a classifier is to be trained.

    Attributes:
        num_epochs: at most so many, of every stage; the best weights on `val` are kept.
        pretrained: whether the backbone has pretrained weights; a random one needs higher rates.
        seed: of the head, the order of the examples and their augmentation.
        progress: whether to show a progress bar.
    """

    num_epochs: int
    pretrained: bool
    seed: int
    progress: bool


@dataclass(frozen=True)
class Demonstration:
    """What a system runs on where no data is given.

    Attributes:
        write: writes real examples to a path (images: a folder; texts: a table), in the layout that the system reads.
        num_epochs: few enough for a minute on one processor core.
        note: what the examples are.
        image_size: small, for the same reason; 0 for texts.
    """

    write: Callable[[Path], None]
    num_epochs: int
    note: str
    image_size: int = 0


@dataclass(frozen=True)
class Distillation:
    """How a smaller network, the student, learns from a trained classifier, its teacher.

    Attributes:
        student: a new student for a teacher that is not trained yet, with a seed; called twice, it gives two alike.
        num_epochs: of the student, on a user's own data.
        demonstration_epochs: the same on the demonstration.
        write_unlabelled: writes the demonstration's examples without classes: images to a folder, texts to a table.
        recipe: the options of `fit` and `distill`, the same for the student that has a teacher and the one without.
        temperature, alpha: of the loss, unless a run is told otherwise.
    """

    student: Callable[[Any, int], Any]
    num_epochs: int
    demonstration_epochs: int
    write_unlabelled: Callable[[Path], None]
    recipe: Mapping[str, Any]
    temperature: float
    alpha: float


@dataclass(frozen=True)
class System:
    """One of the documents' systems.

    Attributes:
        name: in kebab-case, as `tl-course run` takes it.
        framework: "pytorch" or "keras".
        documents: numbers of the code listings that this system puts right.
        title: one line.
        backbone: the default one, by its name in the zoo.
        kind: what it works on: "image" or "text" for those that train a classifier, or "attention".
        options: names of the `DataOptions` that its kind takes.
    """

    name: str
    framework: Framework
    documents: tuple[int, ...]
    title: str
    backbone: str
    kind: ClassVar[SystemKind]
    options: ClassVar[tuple[str, ...]]

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the `RunOptions` it takes."""
        return self.options

    @property
    def purpose(self) -> Purpose:
        """What it is listed under: its kind, or distillation, of images or texts."""
        return self.kind


@dataclass(frozen=True, kw_only=True)
class TrainingSystem(System):
    """A system that trains a classifier.

    Attributes:
        num_epochs: on a user's own data.
        train: trains a classifier of the framework on the train and val splits.
        demonstration: see there.
        distillation: how a student follows, and is what is saved; None where the classifier itself is.
        kind: of the classifier.
    """

    num_epochs: int
    train: Callable[[Any, Dataset, Training], History]
    demonstration: Demonstration
    distillation: Distillation | None = None
    kind: ClassVar[Kind]

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the `RunOptions` it takes."""
        return self.options + (DISTILL_OPTIONS if self.distillation else ())

    @property
    def purpose(self) -> Purpose:
        """What it is listed under: its kind, or distillation, of images or texts."""
        return "distillation" if self.distillation else self.kind


@dataclass(frozen=True, kw_only=True)
class ImageSystem(TrainingSystem):
    """A system for images.

    Attributes:
        image_size: on a user's own data.
        read: reads a folder (path, image_size, seed); the test split of what it returns is used once, at the end.
        num_classes: the only number of classes it takes; None for any from two.
    """

    image_size: int
    read: Callable[[Path, int, int], Dataset]
    num_classes: int | None = None
    kind = "image"
    options = ("per_class", "image_size")


@dataclass(frozen=True, kw_only=True)
class TextSystem(TrainingSystem):
    """A system for texts in a table.

    Attributes:
        pooling: what the head gets: the "mean" of the tokens' vectors, or that of the "cls" token.
    """

    pooling: Literal["mean", "cls"] = "mean"
    kind = "text"
    options = ("per_class", "text", "label", "val_data", "test_data", "split", "rows", "max_tokens", "encoding")


@dataclass(frozen=True)
class AttentionSystem(System):
    """A system that shows the attention of an encoder for one text; it trains nothing."""

    kind = "attention"
    options = ("max_tokens", "encoding")


@dataclass(frozen=True)
class Request:
    """What one run was asked for: see `run`. `options` holds only what was given."""

    data: str | Path | None
    backbone: str
    weights: ChosenWeights
    seed: int
    options: RunOptions


@dataclass(frozen=True)
class Prepared:
    """What a run trains, and on what.

    Attributes:
        dataset: as the classifier takes it.
        classifier: new, of the system's framework and kind.
        pretrained: whether its backbone is.
        facts: what is worth telling of both, as plain values.
    """

    dataset: Dataset
    classifier: Any
    pretrained: bool
    facts: dict[str, Any]


def given_options(options: RunOptions, allowed: tuple[str, ...], name: str) -> RunOptions:
    """The options that are not None. Raises BadInput for one that a system does not take."""
    given: Any = {key: value for key, value in options.items() if value is not None}
    foreign = [key for key in given if key not in allowed]
    if foreign:
        raise BadInput(
            _("options that {name} takes: {options}").format(name=name, options=", ".join(allowed) or _("none")),
            ", ".join(foreign),
            _("leave these away, or run a system for such data: tl-course run --list"),
        )
    return given


def check_numbers(**given: tuple[int | None, int]) -> None:
    """Raises BadInput unless each number is None or an integer of at least its second value."""
    for name, (value, least) in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise BadInput(
                _("{name} as an integer of at least {least}").format(name=name, least=least),
                repr(value),
                _("pass for example {name}={example}").format(name=name, example=max(least, 1)),
            )
