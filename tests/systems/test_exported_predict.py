"""`tl-course predict MODEL.onnx` says what the original says, of images and of tables; no framework is loaded."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tl_course import assets, systems
from tl_course.cli import main
from tl_course.compat import make_importable
from tl_course.errors import BadInput
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.export import export_onnx
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.zoo.texts import TextModel

Maker = Callable[..., Path]
NAMES = ("cat", "grass")


@pytest.fixture(scope="module")
def images_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One classifier of images, saved and exported."""
    folder = tmp_path_factory.mktemp("images_model")
    classifier = Classifier.build("fashion_resnet", NAMES, weights=None, device="cpu")
    return classifier.save(folder / "model.safetensors"), export_onnx(classifier, folder / "model.onnx")


@pytest.fixture(scope="module")
def texts_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[TextClassifier, Path]:
    """A tiny random classifier of texts with MiniLM's tokenizer, and its exported file."""
    make_importable()
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = AutoModel.from_config(AutoConfig.for_model("bert", vocab_size=30522, **sizes))
    tokenizer = AutoTokenizer.from_pretrained(str(assets.path("minilm")), local_files_only=True)
    classifier = TextClassifier(TextModel("tiny", None, encoder, tokenizer, 32, "cpu"), NAMES)
    return classifier, export_onnx(classifier, tmp_path_factory.mktemp("texts_model") / "MODEL.ONNX")


def test_a_folder_of_images_gets_the_originals_answers(
    images_model: tuple[Path, Path], photo_folder: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photo_folder(*NAMES, train=3, val=1, test=1)
    found = []
    for model in images_model:
        assert main(["predict", str(model), str(folder), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    saved, exported = found
    assert len(saved) == 10 and [row["file"] for row in saved] == [row["file"] for row in exported]
    for one, other in zip(saved, exported, strict=True):
        assert one["class"] == other["class"] and one["probabilities"] == pytest.approx(
            other["probabilities"], abs=1e-5
        )


def test_a_table_gets_the_originals_answers(
    texts_model: tuple[TextClassifier, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier, model = texts_model
    texts = ["Good morning", "a much longer text " * 30, "naïve café"]
    table, out = tmp_path / "texts.csv", tmp_path / "predicted.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text",), *((text,) for text in texts)])
    assert main(["predict", str(model), str(table), "--out", str(out)]) == 0
    assert "written: " in capsys.readouterr().out
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = classifier.predict_proba([text.strip() for text in texts])
    assert [row["predicted"] for row in rows] == [NAMES[k] for k in wanted.argmax(axis=1)]
    np.testing.assert_allclose([float(row["probability"]) for row in rows], wanted.max(axis=1), atol=1e-4)
    (found,) = systems.predict_texts(model, ["Good morning"])
    assert found.probability == pytest.approx(wanted[0].max(), abs=1e-5)


def test_neither_framework_is_loaded(images_model: tuple[Path, Path], photo_folder: Maker) -> None:
    code = f"""if True:
        import sys
        from tl_course.cli import main
        main(["predict", {str(images_model[1])!r}, {str(photo_folder("cat", "grass", train=1, val=1, test=1))!r}])
        print(*{{"torch", "tensorflow", "keras", "transformers"}} & sys.modules.keys())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 7 and lines[-1] == "", done.stderr


def test_what_is_refused(
    images_model: tuple[Path, Path],
    texts_model: tuple[TextClassifier, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = tmp_path / "fake.onnx"
    fake.write_text("not a model")
    capsys.readouterr()
    for arguments, got in (
        ([fake, "a.png"], "fake.onnx"),
        ([tmp_path / "nowhere.onnx", "a.png"], "nothing at"),
        ([images_model[1], "--input", "a"], "a classifier of texts; got model.onnx, one of images; pass image files"),
        ([images_model[1]], "got none"),
        ([texts_model[1]], "one table of texts, or --input with a text"),
    ):
        assert main(["predict", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: expected ") and got in line
    with pytest.raises(BadInput, match=r"a classifier of images; got MODEL.ONNX, one of texts"):
        systems.predict(texts_model[1], ["a.png"])
