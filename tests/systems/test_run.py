"""Each of the documents' systems trains on real images and beats the majority class, and its file gives it back.

With seeds 0 to 2 (0 to 3 in PyTorch) the worst was 0.40 above the majority; the margin asked for is half of that.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl_course import systems
from tl_course.cli import main
from tl_course.data.images import fit_image
from tl_course.systems import Result, cifar
from tl_course.systems.demonstration import photos, write_image_folder


@dataclass(frozen=True)
class Small:
    """A run that takes seconds."""

    classes: tuple[str, ...]
    size: int
    train: int
    epochs: int
    weights: str


MARGIN = 0.2
SMALL = {
    "keras-vgg16-classifier": Small(("brick", "retina"), 32, 20, 4, "none"),
    "keras-vgg16-frozen": Small(("page", "rocket"), 32, 20, 3, "none"),
    "keras-mobilenetv2-binary": Small(("motorcycle", "retina"), 64, 20, 2, "auto"),
    "pytorch-resnet18-folder": Small(("brick", "grass", "retina"), 32, 20, 4, "none"),
    "pytorch-transfer": Small(("cat", "coffee", "grass"), 64, 10, 2, "auto"),
    "pytorch-resnet18-cifar10": Small(("brick", "grass", "retina"), 32, 20, 4, "none"),
}


def write_data(name: str, small: Small, root: Path) -> Path:
    if "cifar" in name:
        cifar.write(photos(small.classes, 32, {"train": small.train + 2, "val": 1, "test": 20}), root)
        return root
    write_image_folder(photos(small.classes, small.size, {"train": small.train, "val": 8, "test": 20}), root)
    return root


def run_small(name: str, folder: Path, seed: int = 0) -> Result:
    """One small run; every file goes below `folder`."""
    small = SMALL[name]
    data = write_data(name, small, folder / "images")
    return systems.run(
        name,
        data,
        folder / "run",
        small.epochs,
        seed,
        weights=small.weights,  # pyright: ignore[reportArgumentType]
        image_size=64 if "cifar" in name else small.size,
        progress=False,
    )


def save_images(x: np.ndarray, size: int, folder: Path) -> tuple[list[Path], np.ndarray]:
    """Image files of this size, and the (N, size, size, 3) that is in them."""
    files, pixels = [], []
    for number, image in enumerate(x):
        pixels.append(fit_image(Image.fromarray(np.rint(image * 255).astype(np.uint8)), size))
        files.append(folder / f"{number:03d}.png")
        Image.fromarray(np.rint(pixels[-1] * 255).astype(np.uint8)).save(files[-1])
    return files, np.stack(pixels)


def predicted(result: Result, images: list[Path], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `tl-course predict --json` says."""
    capsys.readouterr()
    assert main(["predict", str(result.files["model"]), *map(str, images), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_beats_the_majority_and_its_file_predicts_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_small(name, tmp_path)
    small, report = SMALL[name], result.report
    assert report.majority == pytest.approx(1 / len(small.classes))
    assert report.accuracy >= report.majority + MARGIN

    test = result.dataset.test
    images, pixels = save_images(test.x, result.facts["image_size"], tmp_path)
    rows = predicted(result, images, capsys)
    assert [row["file"] for row in rows] == [str(image) for image in images]
    probabilities = np.array([[row["probabilities"][label] for label in small.classes] for row in rows])
    np.testing.assert_allclose(probabilities, result.classifier.predict_proba(pixels), atol=1e-4)
    right = np.mean([row["class"] == small.classes[label] for row, label in zip(rows, test.y, strict=True)])
    # CIFAR-10's images are enlarged before they are saved, which rounds them to 256 levels.
    assert right == pytest.approx(report.accuracy, abs=0.1 if "cifar" in name else 0)

    saved = json.loads(result.files["report"].read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(result.to_dict()))
    assert saved["report"]["accuracy"] == report.accuracy and saved["class_names"] == list(small.classes)
    assert saved["weights"] == ("random" if small.weights == "none" else "pretrained")
    for key in ("curves", "confusion"):
        with Image.open(result.files[key]) as picture:
            assert min(picture.size) > 200
    text = result.files["text"].read_text(encoding="utf-8")
    assert f"accuracy {report.accuracy:.3f}" in text and f"tl-course predict {result.files['model']}" in text
    result.files["model"].unlink()  # up to 60 MB, which pytest would keep
