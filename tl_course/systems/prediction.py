"""What a saved model says: of image files here, of texts in `text_prediction`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems.exported import load_model
from tl_course.systems.image_files import listed, read_images, refusal
from tl_course.systems.source import convert


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
    """The class of each image file, in their order; those below a folder in order of their names.

    Args:
        model_file: what a system, `Classifier.save` or `export_onnx` wrote, of either framework.
        images: image files of any size, or folders of them; read as `data.image_folder` reads them (turned upright,
            the centre cropped, grey and transparent ones converted to RGB).
        batch_size: images in memory at a time.

    Raises:
        BadInput: no such model file, or it is damaged, of texts or something else; no images; a folder without any;
            files that are no images, all of them named.
    """
    if isinstance(images, str | Path):
        images = [images]
    if not images:
        raise BadInput(_("one image file or more"), _("none"), _("name the files after the model, or a folder"))
    files = listed(images)
    model = load_model(model_file, "image")
    found: list[Prediction] = []
    problems: list[str] = []
    for start in range(0, len(files), batch_size):
        some = files[start : start + batch_size]
        batch = read_images(some, model.image_size, problems)
        if not problems:
            rows = named(model.predict_proba(convert(batch, model.channels)), model.class_names)
            found += [Prediction(file=file, **row) for file, row in zip(some, rows, strict=True)]
    if problems:
        raise refusal(problems)
    return found
