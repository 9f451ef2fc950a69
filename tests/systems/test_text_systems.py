"""Each of the documents' systems for texts trains on real texts and beats the majority class; its file gives it back.

With eighty tweets to train on and seeds 0 to 2 the worst was 0.30 above the majority; the margin is half of that.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tl_course import systems
from tl_course.cli import main
from tl_course.errors import BadInput
from tl_course.systems.system import Request, TextSystem
from tl_course.systems.text_demonstration import write_opinions, write_topics
from tl_course.systems.texts import read_texts

MARGIN = 0.15
NAMES = [row["name"] for row in systems.listing("text")]


def request(data: Path | str | None = None, **options: Any) -> Request:
    return Request(data, "minilm", "auto", 0, options)  # pyright: ignore[reportArgumentType]


def text_system(name: str) -> TextSystem:
    system = systems.get(name)
    assert isinstance(system, TextSystem)
    return system


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_beats_the_majority_and_its_file_predicts_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "mine.csv"
    write_opinions(table, "tweets", {"train": 80, "val": 40, "test": 100})
    out = tmp_path / "run"
    result = systems.run(name, table, out, 4, split="split", max_tokens=48, progress=False)
    report = result.report
    assert report.majority == 0.5 and report.accuracy >= report.majority + MARGIN
    assert result.facts["texts"] == {"train": 80, "val": 40, "test": 100} and result.facts["max_tokens"] == 48

    saved = json.loads(result.files["report"].read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(result.to_dict()))
    assert saved["report"]["accuracy"] == report.accuracy and saved["notes"] == list(result.dataset.notes)
    for key in ("curves", "confusion"):
        with Image.open(result.files[key]) as picture:
            assert min(picture.size) > 200
    text = result.files["text"].read_text(encoding="utf-8")
    assert f"accuracy {report.accuracy:.3f}" in text and "220 rows, utf-8, delimiter comma" in text

    capsys.readouterr()
    assert main(["predict", str(result.files["model"]), str(table), "--json"]) == 0
    rows = {row["text"]: row for row in json.loads(capsys.readouterr().out)}
    test = result.dataset.test
    probabilities = np.array([[rows[text]["probabilities"][label] for label in report.class_names] for text in test.x])
    np.testing.assert_allclose(probabilities, result.classifier.predict_proba(test.x), atol=1e-4)
    right = np.mean([rows[text]["class"] == report.class_names[y] for text, y in zip(test.x, test.y, strict=True)])
    assert right == pytest.approx(report.accuracy)
    result.files["model"].unlink()  # 90 MB, which pytest would keep


@pytest.mark.parametrize("name", NAMES)
def test_every_demonstration_has_balanced_train_val_and_test_texts(name: str) -> None:
    dataset = read_texts(text_system(name), request())
    assert list(dataset.splits) == ["train", "val", "test"] and len(dataset.train) <= 400
    for split in dataset.splits.values():
        counts = np.bincount(split.y, minlength=dataset.num_classes)
        assert counts.min() > 0.8 * counts.max()  # copies among the texts were left out
    few = read_texts(text_system(name), request(per_class=3))
    assert np.bincount(few.train.y).tolist() == [3] * few.num_classes
    assert few.test.x.tolist() == dataset.test.x.tolist()


def test_topics_are_the_four_domains(tmp_path: Path) -> None:
    write_topics(tmp_path / "a.csv", {"train": 4, "val": 2, "test": 2})
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 32 and {row["label"] for row in rows} == {"movies", "news", "products", "tweets"}


def test_a_data_set_of_the_course_by_its_name_unless_a_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = text_system("text-classify")
    assert read_texts(system, request("sentiment")).class_names == ("negative", "positive")
    with pytest.raises(BadInput, match="a table of your own with label; got the data set sentiment"):
        read_texts(system, request("sentiment", label="stars"))
    monkeypatch.chdir(tmp_path)
    write_topics(tmp_path / "sentiment", {"train": 4, "val": 2, "test": 2})
    assert "tweets" in read_texts(system, request("sentiment")).class_names
