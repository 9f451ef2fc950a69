"""An exported classifier gives the original's numbers through onnxruntime; files that are not whole are refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tl_course import assets
from tl_course.compat import make_importable
from tl_course.errors import BadInput
from tl_course.exported_model import Exported, load_onnx, resize
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.export import export_onnx
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.zoo.texts import TextModel

NAMES = ("negative", "positive", "neither")


def text_classifier(pooling: str = "mean") -> TextClassifier:
    """A tiny random encoder with MiniLM's tokenizer."""
    make_importable()
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    encoder = AutoModel.from_config(AutoConfig.for_model("bert", vocab_size=30522, **sizes))
    tokenizer = AutoTokenizer.from_pretrained(str(assets.path("minilm")), local_files_only=True)
    backbone = TextModel("tiny", None, encoder, tokenizer, 32, "cpu")
    return TextClassifier(backbone, NAMES, pooling="cls" if pooling == "cls" else "mean")


def random_images(count: int, height: int, width: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).random((count, height, width, channels), dtype=np.float32)


@pytest.fixture(scope="module")
def digits() -> Classifier:
    return Classifier.build("fashion_resnet", NAMES, weights=None, image_size=28, device="cpu")


@pytest.fixture(scope="module")
def file(digits: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_onnx(digits, tmp_path_factory.mktemp("export") / "digits.onnx")


@pytest.mark.parametrize("count", [1, 2, 5, 33])
def test_images_give_the_originals_logits_at_any_batch_size(count: int, digits: Classifier, file: Path) -> None:
    images = random_images(count, 28, 28)
    exported = load_onnx(file)
    np.testing.assert_allclose(exported.logits(images, batch_size=32), digits.logits(images), atol=1e-4)
    np.testing.assert_allclose(exported.predict_proba(images), digits.predict_proba(images), atol=1e-5)
    assert (exported.predict(images) == digits.predict(images)).all()
    assert (exported.kind, exported.class_names, exported.image_size, exported.channels) == ("image", NAMES, 28, 1)


@pytest.mark.parametrize("shape", [(50, 40), (20, 33)])
def test_images_of_another_size_are_resized_as_the_original_resizes_them(
    shape: tuple[int, int], digits: Classifier, file: Path
) -> None:
    images = random_images(3, *shape)
    np.testing.assert_allclose(load_onnx(file).logits(images), digits.logits(images), atol=1e-4)
    assert np.ptp(resize(images, 28)) < np.ptp(images)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_texts_of_any_length_give_the_originals_logits(pooling: str, tmp_path: Path) -> None:
    original = text_classifier(pooling)
    exported = load_onnx(export_onnx(original, tmp_path / "texts.onnx"))
    for texts in (["Terrible."], ["", "naïve café 迁移学习 🙂", "word " * 400], ["one two three"] * 40):
        np.testing.assert_allclose(exported.logits(texts), original.logits(texts), atol=1e-4)
    assert (exported.kind, exported.class_names, exported.channels) == ("text", NAMES, 0)
    with pytest.raises(BadInput, match="one string"):
        exported.predict_proba("not a list")


def test_the_original_is_left_as_it_was_and_the_file_names_no_place_on_this_machine(
    digits: Classifier, file: Path
) -> None:
    before = {name: tensor.clone() for name, tensor in digits.model.state_dict().items()}
    digits.model.train()
    again = export_onnx(digits, file.with_name("again.onnx"))
    assert digits.model.training
    digits.model.eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in digits.model.state_dict().items())
    content = again.read_bytes()
    assert str(Path(__file__).parent.parent).encode() not in content and b".py" not in content
    assert sorted(path.name for path in again.parent.iterdir()) == ["again.onnx", "digits.onnx"]
    onnx.checker.check_model(onnx.load(again))


def test_serving_needs_no_framework(file: Path) -> None:
    code = f"""
import sys, numpy
from tl_course.exported_model import load_onnx
print(load_onnx({str(file)!r}).predict_proba(numpy.zeros((2, 28, 28, 1), numpy.float32)).shape)
print(*{{"torch", "tensorflow", "keras", "transformers"}} & sys.modules.keys())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[:2] == ["(2, 3)", ""]


def test_wrong_images_are_refused(file: Path) -> None:
    exported: Exported = load_onnx(file)
    with pytest.raises(BadInput, match="divide by 255"):
        exported.logits(random_images(1, 28, 28) * 255)
    with pytest.raises(BadInput, match="3 channels"):
        exported.logits(random_images(1, 28, 28, 3))
    with pytest.raises(BadInput, match="batch_size"):
        exported.logits(random_images(1, 28, 28), batch_size=0)


def test_a_missing_cut_changed_or_foreign_file_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing at"):
        load_onnx(tmp_path / "none.onnx")
    content, damaged = file.read_bytes(), tmp_path / "damaged.onnx"
    for wrong in (b"", b"no model at all", content[: len(content) // 2]):
        damaged.write_bytes(wrong)
        with pytest.raises(BadInput, match=r"whole \.onnx file|says nothing of classes"):
            load_onnx(damaged)
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1  # one bit of a weight
    damaged.write_bytes(changed)
    with pytest.raises(BadInput, match=r"changed since|whole \.onnx file"):
        load_onnx(damaged)
    foreign = onnx.load(file)
    del foreign.metadata_props[:]
    onnx.save(foreign, damaged)
    with pytest.raises(BadInput, match="says nothing of classes"):
        load_onnx(damaged)


def test_a_file_of_a_later_version_is_refused(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tl_course import onnx_file

    description = load_onnx(file).description
    monkeypatch.setattr(onnx_file, "FORMAT_VERSION", 99)
    later = onnx_file.write(tmp_path / "later.onnx", onnx.load(file), description)
    monkeypatch.undo()
    with pytest.raises(BadInput, match="version 99"):
        load_onnx(later)


def test_a_classifier_of_any_size_needs_one_to_be_exported(tmp_path: Path) -> None:
    anything = Classifier.build("fashion_resnet", NAMES, weights=None, image_size=None, device="cpu")
    with pytest.raises(BadInput, match="image_size=28"):
        export_onnx(anything, tmp_path / "a.onnx")
    with pytest.raises(BadInput, match="a classifier in PyTorch"):
        export_onnx(anything.model, tmp_path / "a.onnx")  # type: ignore[arg-type]
