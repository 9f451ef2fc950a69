"""The systems that distil: three networks measured alike, the student saved; examples without classes; refusals.

The margin over the majority class is there to catch a student that learns nothing; how good students get is measured
over seeds elsewhere, in benchmarks/evidence.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tl_course import systems
from tl_course.cli import main
from tl_course.data import Dataset
from tl_course.errors import BadInput
from tl_course.systems import Result, comparison, unlabelled
from tl_course.systems.building import load_classifier
from tl_course.systems.comparison import Compared
from tl_course.systems.demonstration import photos, write_image_folder, write_images
from tl_course.systems.distillation import softness
from tl_course.systems.small_student import small_student
from tl_course.systems.system import Distillation, Request, TrainingSystem
from tl_course.systems.text_demonstration import write_opinions

Maker = Callable[..., Path]
MARGIN = 0.15
IMAGES = {"distill": ("auto", 64, 10), "keras-distill": ("none", 32, 12)}


def plan(name: str) -> Distillation:
    system = systems.get(name)
    assert isinstance(system, TrainingSystem) and system.distillation is not None
    return system.distillation


def request(data: Path | None = None, **options: Any) -> Request:
    return Request(data, "mobilenet_v2", "auto", 0, options)  # pyright: ignore[reportArgumentType]


def check_compared(result: Result, teacher_times: float) -> None:
    """Three rows that agree with the report, the files and the networks."""
    teacher, student, alone = result.compared
    assert student.accuracy == result.report.accuracy >= result.report.majority + MARGIN
    assert student.file_bytes == result.files["model"].stat().st_size
    assert teacher.file_bytes == result.files["teacher"].stat().st_size
    assert (student.num_parameters, student.file_bytes) == (alone.num_parameters, alone.file_bytes)
    assert teacher.num_parameters >= teacher_times * student.num_parameters
    for row in result.compared:
        low, high = row.accuracy_interval
        assert low - 1e-9 <= row.accuracy <= high + 1e-9 and row.milliseconds > 0
    saved = json.loads(result.files["report"].read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(result.to_dict()))
    assert [row["name"] for row in saved["compared"]] == ["teacher", "student", "student, labels alone"]
    text = result.files["text"].read_text(encoding="utf-8")
    assert f"{student.num_parameters:,}" in text and "of the parameters and takes" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_a_small_network_learns_from_a_large_one(
    name: str, tmp_path: Path, photo_folder: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, size, epochs = IMAGES[name]
    data, more, out = photo_folder("brick", "grass", "retina", size=size), tmp_path / "more", tmp_path / "run"
    write_images(photos(("brick", "grass", "retina"), size, {"train": 40, "val": 1, "test": 1}).train.x, more)
    result = systems.run(
        name,
        data,
        out,
        epochs,
        weights=weights,  # pyright: ignore[reportArgumentType]
        image_size=size,
        unlabelled=more,
        save_teacher=True,
        progress=False,
    )
    check_compared(result, 10)
    assert 0 < result.facts["unlabelled"] <= 120

    test, teacher = result.dataset.test, load_classifier(result.files["teacher"], "image")
    np.testing.assert_allclose(teacher.predict_proba(test.x[:8]), result.teacher.predict_proba(test.x[:8]), atol=1e-4)
    capsys.readouterr()
    assert main(["predict", str(result.files["model"]), str(data / "test"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    right = np.mean([row["class"] == Path(row["file"]).parent.name for row in rows])
    assert len(rows) == len(test) and right == pytest.approx(result.report.accuracy)


@pytest.mark.slow
def test_half_the_layers_learn_from_the_whole_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, more = tmp_path / "mine.csv", tmp_path / "more.csv"
    write_opinions(table, "tweets", {"train": 80, "val": 40, "test": 100})
    write_opinions(more, "tweets", {"train": 160, "val": 2, "test": 2})
    result = systems.run(
        "text-distill",
        table,
        tmp_path / "run",
        3,
        split="split",
        max_tokens=48,
        unlabelled=more,
        save_teacher=True,
        progress=False,
    )
    check_compared(result, 1.3)  # the embeddings of 30,522 tokens are in both
    assert len(result.classifier.backbone.model.encoder.layer) == 3
    assert 70 <= result.facts["unlabelled"] <= 84  # those of the first table are left out
    capsys.readouterr()
    assert main(["predict", str(result.files["model"]), "--input", "What a lovely day", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["class"] in ("negative", "positive")
    for file in ("model", "teacher"):
        result.files[file].unlink()  # up to 90 MB, which pytest would keep


def test_unlabelled_images_are_read_without_those_that_have_a_class(tmp_path: Path) -> None:
    dataset = photos(("cat", "grass"), 32, {"train": 5, "val": 2, "test": 3})
    write_image_folder(dataset, tmp_path / "known")
    new = np.zeros((2, 32, 32, 3), np.float32)
    new[1] = 1
    write_images(np.concatenate([new, dataset.test.x, dataset.train.x]), tmp_path / "more")
    exact = read_back(tmp_path / "known")
    np.testing.assert_array_equal(
        unlabelled.read(plan("distill"), request(tmp_path, unlabelled=tmp_path / "more"), exact), new
    )
    assert unlabelled.read(plan("distill"), request(tmp_path), exact) is None
    with pytest.raises(BadInput, match=r"beside those that have one; got .*known, whose examples all have one"):
        unlabelled.read(plan("distill"), request(tmp_path, unlabelled=tmp_path / "known"), exact)


def read_back(root: Path) -> Dataset:
    from tl_course.data import image_folder

    return image_folder(root, size=32)


@pytest.mark.parametrize("name", ["distill", "keras-distill", "text-distill"])
def test_the_demonstration_has_examples_without_classes_that_are_in_no_split(name: str) -> None:
    system = systems.get(name)
    dataset = demonstration(name)
    found = unlabelled.read(plan(name), request(), dataset)
    assert found is not None and len(found) > len(dataset.train) / 2 and found.shape[1:] == dataset.train.x.shape[1:]
    contents = {np.asarray(example).tobytes() for split in dataset.splits.values() for example in split.x}
    assert not contents & {np.asarray(example).tobytes() for example in found}
    assert set(system.takes) >= {"unlabelled", "temperature", "alpha", "save_teacher"}


def demonstration(name: str) -> Dataset:
    from tl_course.systems.source import read_source
    from tl_course.systems.system import ImageSystem, TextSystem
    from tl_course.systems.texts import read_texts

    system = systems.get(name)
    if isinstance(system, TextSystem):
        return read_texts(system, request())
    assert isinstance(system, ImageSystem)
    return read_source(system, None, system.demonstration.image_size, 0, None)


def test_the_student_has_at_most_a_tenth_of_the_teachers_parameters() -> None:
    from tl_course.pytorch.classifier import Classifier

    for backbone in ("mobilenet_v2", "fashion_resnet"):
        teacher = Classifier.build(backbone, ("a", "b", "c"), weights=None)
        student, twin = small_student(teacher, 1), small_student(teacher, 1)
        assert 10 * comparison.num_parameters(student) <= comparison.num_parameters(teacher)
        x = np.random.default_rng(0).random((2, 28, 28, teacher.backbone.channels), np.float32)
        np.testing.assert_array_equal(student.logits(x), twin.logits(x))
    with pytest.raises(BadInput, match="a teacher with 10 times the parameters of the smallest student"):
        small_student(student, 1)


def test_temperature_and_alpha_are_the_systems_own_unless_given() -> None:
    own = plan("distill")
    assert softness(own, {}) == (own.temperature, own.alpha)
    assert softness(own, {"alpha": 0.0}) == (own.temperature, 0.0)
    assert softness(own, {"temperature": 1.0, "alpha": 1.0}) == (1.0, 1.0)


def test_the_table_of_the_three() -> None:
    rows = (
        Compared("teacher", 0.9, (0.85, 0.95), 2_000_000, 8 * 2**20, 4.0),
        Compared("student", 0.8, (0.75, 0.85), 100_000, 2**19, 1.0),
    )
    lines = comparison.render_text(rows).splitlines()
    assert lines[1].split() == ["teacher", "0.900", "0.850", "-", "0.950", "2,000,000", "8.00", "MiB", "4.00", "ms"]
    assert lines[3] == "the student has 1/20.0 of the parameters and takes 1/4.0 of the time"
    assert len({len(line) for line in lines[:3]}) == 1


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        ("run distill --alpha 1.5", "alpha from 0 to 1; got 1.5"),
        ("run distill --temperature 0", "temperature above 0; got 0"),
        ("run distill --temperature x", "'x' is not a valid"),
        ("run distill --unlabelled nowhere", "no such folder: nowhere"),
        ("run distill --unlabelled file", "a file: file"),
        ("run distill --unlabelled broken", "broken/a.png is not an image"),
        ("run distill --unlabelled .", "broken/a.png is not an image"),
        ("run distill --unlabelled empty", "none below empty"),
        ("run distill --backbone minilm", "image_size only for image models"),
        ("run text-distill --unlabelled nowhere.csv", "no such file: nowhere.csv"),
        ("run text-distill --unlabelled file", "one column named 'text'"),
        ("run text-distill --image-size 64", "options that text-distill takes"),
        ("run text-classify --unlabelled file", "got unlabelled"),
        ("run pytorch-transfer --save-teacher", "got save_teacher"),
        ("run attention --alpha 0.5", "got --alpha"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("broken", "empty"):
        Path(folder).mkdir()
    Path("file").write_text("a,b\n1,2\n")
    Path("broken/a.png").write_text("text")
    capsys.readouterr()
    assert main(arguments.split()) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: expected ") and got in line and len(line.split("; ")) >= 3
    assert not list(tmp_path.glob("runs/*"))
