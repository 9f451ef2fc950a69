"""A teacher, its student and the same student without a teacher: how good, how large, how fast."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tl_course.bench.timing import seconds
from tl_course.data import Split
from tl_course.i18n import _
from tl_course.selection_models import size_of
from tl_course.systems.building import library

AT_ONCE = 32
"""Examples that are timed together."""

ROUNDS = 7
"""Timings that the median is taken of, after one that does not count."""


@dataclass(frozen=True)
class Compared:
    """One network's figures.

    Attributes:
        name: which of the three it is, in words.
        accuracy: fraction of the test examples that were right.
        accuracy_interval: 95 % interval of it (Wilson, 1927).
        num_parameters: all of them, trained or not.
        file_bytes: size of its saved file, preprocessing and class names included.
        milliseconds: an example takes, preprocessing included, in batches of 32.
    """

    name: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    num_parameters: int
    file_bytes: int
    milliseconds: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return {**asdict(self), "accuracy_interval": list(self.accuracy_interval)}


def compare(classifiers: Mapping[str, Any], test: Split, folder: Path) -> tuple[Compared, ...]:
    """The figures of trained classifiers of either framework, on test examples that chose nothing.

    They are timed in turn, round by round, so that whatever else the computer does slows all of them alike.

    Args:
        classifiers: by name; left as they were.
        test: at least one example.
        folder: with room for their files, which are written there and taken away again.
    """
    some = test.x[:AT_ONCE]
    for classifier in classifiers.values():
        classifier.predict_proba(some)
    times: dict[str, list[float]] = {name: [] for name in classifiers}
    for _round in range(ROUNDS):
        for name, classifier in classifiers.items():
            times[name].append(seconds(partial(classifier.predict_proba, some)))
    return tuple(
        _measure(name, classifier, test, folder, 1000 * median(times[name]) / len(some))
        for name, classifier in classifiers.items()
    )


def _measure(name: str, classifier: Any, test: Split, folder: Path, milliseconds: float) -> Compared:
    """One row, with the time that was taken before."""
    report = library(framework_of(classifier), "fit").evaluate(classifier, test)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        size = classifier.save(Path(inside) / "model.safetensors").stat().st_size
    return Compared(
        name,
        report.accuracy,
        report.accuracy_interval,
        num_parameters(classifier),
        size,
        milliseconds,
    )


def num_parameters(classifier: Any) -> int:
    """How many numbers a network has learnt or can learn; BatchNorm's statistics are neither."""
    count, _megabytes = size_of(classifier.model)
    return int(count or 0)


def framework_of(classifier: Any) -> str:
    """ "pytorch" or "keras"."""
    return classifier.backbone.framework


def render_text(rows: tuple[Compared, ...]) -> str:
    """A table with one line a network."""
    head = (_("accuracy"), _("95 % interval"), _("parameters"), _("file"), _("per example"))
    width = max(len(row.name) for row in rows)
    titles = [f"{title:>{space}}" for title, space in zip(head, (9, 16, 12, 12, 12), strict=True)]
    lines = [" ".join([" " * width, *titles])]
    for row in rows:
        low, high = row.accuracy_interval
        cells = [
            f"{row.accuracy:9.3f}",
            f"{low:8.3f} - {high:.3f}",
            f"{row.num_parameters:12,}",
            f"{row.file_bytes / 2**20:8.2f} MiB",
            f"{row.milliseconds:9.2f} ms",
        ]
        lines.append(" ".join([f"{row.name:<{width}}", *cells]))
    teacher, student = rows[:2]
    lines.append(
        _("the student has 1/{times:.1f} of the parameters and takes 1/{faster:.1f} of the time").format(
            times=teacher.num_parameters / student.num_parameters, faster=teacher.milliseconds / student.milliseconds
        )
    )
    return "\n".join(lines)
