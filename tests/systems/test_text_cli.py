"""`tl-course run` and `tl-course predict` on tables of texts, as users meet them: what is said, what is refused."""

import csv
import json
from pathlib import Path

import pytest

from tl_course import systems
from tl_course.cli import main
from tl_course.errors import BadInput
from tl_course.systems import Result
from tl_course.systems.text_demonstration import write_opinions

MODEL_TEXTS = ("What a lovely day", "This is awful, I hate it")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tweets, as a spreadsheet that speaks German saves them, with an empty one and one that is very long."""
    folder = tmp_path_factory.mktemp("table")
    write_opinions(folder / "texts.csv", "tweets", {"train": 32, "val": 4, "test": 4})
    with (folder / "texts.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    rows += [("", "positive"), ("so good " * 500, "positive")]
    path = folder / "mine.csv"
    with path.open("w", encoding="cp1252", errors="ignore", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("Meinung", "Größe"), *rows])
    return path


@pytest.fixture(scope="module")
def done(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, list[str]]:
    """A short run on that table, and what it said."""
    said: list[str] = []
    folder = tmp_path_factory.mktemp("out")
    columns = {"text": "Meinung", "label": "Größe"}
    result = systems.run(
        "text-transfer", table, folder / "run", 1, max_tokens=32, progress=False, say=said.append, **columns
    )
    return result, said


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command refuses these arguments with."""
    capsys.readouterr()
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert not said.out
    (line,) = said.err.splitlines()
    assert line.startswith("error: expected ") and len(line.split("; ")) >= 3
    return line


def test_a_run_says_how_the_table_was_read(done: tuple[Result, list[str]]) -> None:
    result, said = done
    notes = "\n".join(said)
    for part in (
        "42 rows, cp1252, delimiter semicolon",
        "1 rows without Meinung were left out",
        "probably in cp1252",
        "have more than 32 tokens (up to 1002) and are cut there",
    ):
        assert part in notes and part in result.render_text()
    assert result.facts["notes"] == list(result.dataset.notes) and 0 < result.facts["cut"] < 0.5
    assert result.render_text().endswith('--input "A TEXT"')


def test_predicting_texts(done: tuple[Result, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    model = str(done[0].files["model"])
    inputs = [argument for text in MODEL_TEXTS for argument in ("--input", text)]
    capsys.readouterr()
    assert main(["predict", model, *inputs, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["text"] for row in rows] == list(MODEL_TEXTS)
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    assert main(["predict", model, *inputs]) == 0
    for line, row in zip(capsys.readouterr().out.splitlines(), rows, strict=True):
        assert line == f"{row['class']}  {row['probability']:.3f}  {row['text']}"


def test_predicting_a_table(
    done: tuple[Result, list[str]], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(done[0].files["model"]), tmp_path / "predicted.csv"
    arguments = ["predict", model, str(table), "--text", "Meinung"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "written: " in capsys.readouterr().out
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 42 and list(rows[0]) == ["Meinung", "Größe", "predicted", "probability"]
    assert rows[40]["predicted"] == "" and rows[41]["predicted"] in ("negative", "positive")
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["class"] or "" for row in found] == [row["predicted"] for row in rows]
    assert [row["row"] for row in found] == list(range(1, 43))
    assert "the name of a new file" in refused([*arguments, "--out", str(out)], capsys)


def test_what_predict_refuses(
    done: tuple[Result, list[str]], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(done[0].files["model"])
    empty = tmp_path / "empty.csv"
    empty.write_text("text,other\n ,x\n")
    for arguments, got in (
        ([model], "got none"),
        ([model, str(table), "--input", "a"], "one table of texts, or --input with a text"),
        ([model, str(table), str(table)], "one table of texts"),
        ([model, "--input", " "], "got an empty one"),
        ([model, "--input", "a", "--out", "b"], "got --input"),
        ([model, str(table)], "one column named 'text'; got mine.csv with the columns 'Meinung', 'Größe'"),
        ([model, "nowhere.csv"], "no such file: nowhere.csv"),
        ([model, str(empty)], "empty cells only"),
        (["nowhere", "--input", "a"], "nothing at nowhere"),
    ):
        assert got in refused(["predict", *arguments], capsys)


def test_an_image_model_takes_no_texts_and_the_other_way_round(
    done: tuple[Result, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tl_course.pytorch.classifier import Classifier

    file = Classifier.build("fashion_resnet", ("a", "b"), weights=None).save(tmp_path / "images.safetensors")
    line = refused(["predict", str(file), "--input", "a text"], capsys)
    assert "a classifier of texts; got images.safetensors, one of images; pass image files to it" in line
    with pytest.raises(BadInput, match="one of texts"):
        systems.predict(done[0].files["model"], ["a.png"])


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        ("--data nowhere.csv", "no such file: nowhere.csv"),
        ("--data .", "a folder: ."),
        ("--data mine.csv", "one column named 'label'; got mine.csv with the columns 'text', 'Label'; did you mean"),
        ("--data mine.csv --label Label", "got one only: same; add texts"),
        ("--data mine.csv --label text", "different columns"),
        ("--data mine.csv --label Label --test-data nowhere.csv", "no such file: nowhere.csv"),
        ("--data mine.csv --label Label --encoding klingon", "got 'klingon'"),
        ("--data picture.png", "picture.png, which is binary"),
        ("--label Label", "a table of your own with label; got a demonstration"),
        ("--rows 0", "rows as an integer of at least 4; got 0"),
        ("--epochs 0", "epochs as an integer of at least 1; got 0"),
        ("--image-size 64", "options that text-classify takes: per_class, text, label"),
        ("--max-tokens 1", "max_tokens from 3 to 256; got 1"),
        ("--max-tokens 1000", "max_tokens from 3 to 256; got 1000"),
        ("--per-class 1000", "per_class=60 or less"),
        ("--backbone bret", "'bret'"),
        ("--backbone resnet18", "resnet18"),
        ("--weights imagenet", "'imagenet'"),
        ("--out mine.csv", "a file: mine.csv"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("text,Label\none,same\ntwo,same\n")
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9)
    capsys.readouterr()
    assert main(["run", "text-classify", *arguments.split()]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert got in line and line.startswith("error: expected ") and len(line.split("; ")) >= 3
    assert not list(tmp_path.glob("runs/*"))


def test_an_image_system_takes_no_options_of_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert "options that pytorch-transfer takes: per_class, image_size; got label, rows" in refused(
        ["run", "pytorch-transfer", "--label", "stars", "--rows", "10"], capsys
    )
