"""A teacher, its student and the same student without a teacher: how good, how large, how fast."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tl_course.bench.timing import seconds
from tl_course.data import Split
from tl_course.i18n import _
from tl_course.systems.building import library

AT_ONCE = 32
"""Examples that are timed together."""

ROUNDS = 5
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


def measure(name: str, classifier: Any, test: Split, folder: Path) -> Compared:
    """The figures of one trained classifier of either framework, on test examples that chose nothing.

    Args:
        name: of the row.
        classifier: left as it was.
        test: at least one example.
        folder: with room for its file, which is written there and taken away again.
    """
    report = library(framework_of(classifier), "fit").evaluate(classifier, test)
    some = test.x[:AT_ONCE]
    classifier.predict_proba(some)
    times = [seconds(lambda: classifier.predict_proba(some)) for _round in range(ROUNDS)]
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        size = classifier.save(Path(inside) / "model.safetensors").stat().st_size
    return Compared(
        name,
        report.accuracy,
        report.accuracy_interval,
        num_parameters(classifier),
        size,
        1000 * median(times) / len(some),
    )


def num_parameters(classifier: Any) -> int:
    """How many numbers a network has learnt or can learn."""
    if framework_of(classifier) == "keras":
        return int(classifier.model.count_params())
    return sum(parameter.numel() for parameter in classifier.model.parameters())


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
