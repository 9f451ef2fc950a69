"""The classifier's file: what is written comes back, and nothing else is taken for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tl_course import classifier_file
from tl_course.classifier_file import ClassifierFile
from tl_course.errors import BadInput


@pytest.fixture
def content() -> ClassifierFile:
    weights = {"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "count": np.array(3)}
    return ClassifierFile("keras", "a_net", None, (0.5,), (0.25,), ("chat", "naïve 猫"), weights, {"pooling": "avg"})


def header(path: Path) -> dict:
    length = int.from_bytes(path.read_bytes()[:8], "little")
    return json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"]


def test_everything_comes_back(content: ClassifierFile, tmp_path: Path) -> None:
    path = classifier_file.write(tmp_path / "new" / "model.safetensors", content)
    found = classifier_file.read(path, "keras")
    assert {**vars(found), "weights": None} == {**vars(content), "weights": None}
    for name, array in content.weights.items():
        np.testing.assert_array_equal(found.weights[name], array)
        assert found.weights[name].dtype == array.dtype and found.weights[name].shape == array.shape
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_file_that_was_cut_off_is_refused(content: ClassifierFile, tmp_path: Path, keep: int) -> None:
    path = classifier_file.write(tmp_path / "m", content)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="a whole safetensors file"):
        classifier_file.read(path)


def test_every_single_changed_byte_is_noticed(content: ClassifierFile, tmp_path: Path) -> None:
    path = classifier_file.write(tmp_path / "m", content)
    raw = path.read_bytes()
    for place in range(0, len(raw), 7):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        try:
            found = classifier_file.read(path)
        except BadInput:
            continue
        assert {**vars(found), "weights": 0} == {**vars(content), "weights": 0}  # a byte that says nothing, "format"
        assert all(np.array_equal(found.weights[name], array) for name, array in content.weights.items())


def test_other_class_names_are_refused(content: ClassifierFile, tmp_path: Path) -> None:
    path = classifier_file.write(tmp_path / "m", content)
    metadata = {key: value.replace("chat", "chien") for key, value in header(path).items()}
    save_file(load_file(path), path, metadata)
    with pytest.raises(BadInput, match="whose content was changed since"):
        classifier_file.read(path)


def test_other_files_are_refused(content: ClassifierFile, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing at"):
        classifier_file.read(tmp_path / "missing")
    (tmp_path / "text").write_text("not tensors, but long enough to hold a header of some kind")
    with pytest.raises(BadInput, match="a whole safetensors file"):
        classifier_file.read(tmp_path / "text")
    save_file({"w": np.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(BadInput, match="a classifier of this course"):
        classifier_file.read(tmp_path / "foreign")
    path = classifier_file.write(tmp_path / "m", content)
    with pytest.raises(BadInput, match=r"one in keras; load it with tl_course\.keras\.classifier"):
        classifier_file.read(path, "pytorch")
    newer = {key: value.replace('"format_version": 1', '"format_version": 2') for key, value in header(path).items()}
    save_file(load_file(path), path, newer)
    with pytest.raises(BadInput, match="format version 1; got version 2"):
        classifier_file.read(path)
