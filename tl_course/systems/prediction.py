"""What a saved classifier of either framework says: of image files here, of texts in `text_prediction`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tl_course.data.images import UnusableImage, read_image
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.building import load_classifier
from tl_course.systems.source import convert

ANY_SIZE = 224
"""Side that images are read at for a classifier that takes any."""


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image file or text.

    Attributes:
        label: name of the most likely class.
        probability: of that class.
        probabilities: of every class, by name; they sum to 1.
        file: the image's path as given; None for a text.
        text: the text; None for an image.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    file: str | None = None
    text: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values; the label is called "class"."""
        given = {"file": self.file, "text": self.text}
        return {
            **{name: value for name, value in given.items() if value is not None},
            "class": self.label,
            "probability": self.probability,
            "probabilities": self.probabilities,
        }


def named(probabilities: np.ndarray, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Probabilities (N, K) of K classes -> label, probability and probabilities of N predictions."""
    for row in probabilities.tolist():
        best = int(np.argmax(row))
        yield {"label": names[best], "probability": row[best], "probabilities": dict(zip(names, row, strict=True))}


def predict(model_file: str | Path, images: Sequence[str | Path], batch_size: int = 64) -> list[Prediction]:
    """The class of each image file, in their order.

    Args:
        model_file: what a system or `Classifier.save` wrote, of either framework.
        images: image files of any size; read as `data.image_folder` reads them (turned upright, the centre cropped,
            grey and transparent ones converted to RGB).
        batch_size: images in memory at a time.

    Raises:
        BadInput: no such model file, or it is damaged, of texts or something else; no images; files that are no
            images, all of them named.
    """
    if isinstance(images, str | Path):
        images = [images]
    if not images:
        raise BadInput(_("one image file or more"), _("none"), _("name the files after the model"))
    classifier = load_classifier(model_file, "image")
    size = classifier.backbone.image_size or ANY_SIZE
    found: list[Prediction] = []
    problems: list[str] = []
    for start in range(0, len(images), batch_size):
        batch = _read(images[start : start + batch_size], size, problems)
        if not problems:
            rows = named(classifier.predict_proba(convert(batch, classifier.backbone.channels)), classifier.class_names)
            files = images[start : start + batch_size]
            found += [Prediction(file=str(file), **row) for file, row in zip(files, rows, strict=True)]
    if problems:
        raise BadInput(_("image files"), "; ".join(problems), _("mend or leave these out"))
    return found


def _read(files: Sequence[str | Path], size: int, problems: list[str]) -> np.ndarray:
    """The images (N, size, size, 3); black ones, and an entry in `problems`, for those that cannot be read."""
    stacked = np.zeros((len(files), size, size, 3), np.float32)
    for position, file in enumerate(files):
        try:
            stacked[position] = read_image(Path(file).expanduser(), size)
        except UnusableImage as error:
            problems.append(f"{file} {error}")
    return stacked
