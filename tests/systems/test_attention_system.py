"""`tl-course run attention`: figures, a page and numbers of MiniLM's attention for one text."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl_course import systems
from tl_course.cli import main
from tl_course.systems import AttentionResult


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> AttentionResult:
    return systems.show_attention(out=tmp_path_factory.mktemp("attention") / "run", say=lambda _line: None)


def test_the_numbers_are_those_of_the_model(done: AttentionResult) -> None:
    saved = json.loads(done.files["report"].read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(done.to_dict())) and saved["documents"] == [63, 67]
    tokens = saved["tokens"]
    assert tokens[0] == "[CLS]" and tokens[-1] == "[SEP]" and tokens.count("cat") == 2
    assert all(np.array(values).shape == (6, 12) for values in saved["scores"].values())
    flow = np.array(saved["rollout"])
    assert flow.shape == (len(tokens), len(tokens)) and np.allclose(flow.sum(axis=1), 1, atol=1e-5)

    best = saved["strongest"]["previous_token"]
    weights = done.maps.of()[best["layer"], best["head"]]
    by_hand = np.mean([weights[i, i - 1] for i in range(2, len(tokens) - 1)])
    assert best["value"] == pytest.approx(by_hand, abs=1e-6) and best["value"] > 0.9 > 10 * best["chance"]
    assert "entropy" in saved["scores"] and "entropy" not in saved["strongest"]


def test_the_figures_and_the_page_are_there(done: AttentionResult) -> None:
    for key in ("heads", "head", "rollout"):
        with Image.open(done.files[key]) as picture:
            assert min(picture.size) > 300 and len(picture.convert("L").getcolors() or ()) > 20
    page = done.files["view"].read_text(encoding="utf-8")
    assert "tired" in page and "http://" not in page and "https://" not in page
    text = done.render_text()
    assert "6 layers, 12 heads of minilm" in text and str(done.files["view"]) in text


def test_a_text_file_that_is_too_long_and_repeats_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes("Déjà vu:\nnothing here comes back again.".encode("utf-16"))
    out = tmp_path / "run"
    arguments = ["run", "attention", "--data", str(file), "--max-tokens", "8", "--out", str(out), "--json"]
    assert main(arguments) == 0
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(value["tokens"]) == 8 and value["text"].startswith("Déjà vu: nothing")
    assert value["scores"]["repeated_token"] is None and "repeated_token" not in value["strongest"]
    assert value["notes"] == ["the text has 12 tokens; the first 8 are shown"]


def test_a_text_in_another_script_is_drawn_without_a_warning(tmp_path: Path) -> None:
    result = systems.show_attention("迁移学习很有用", tmp_path / "run", say=lambda _line: None)
    assert "学" in result.facts["tokens"] and all(path.is_file() for path in result.files.values())


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        (["--data", "nowhere.txt"], "no such file: nowhere.txt"),
        (["--data", "picture.png"], "picture.png, which is binary"),
        (["--data", " "], "got an empty one"),
        (["--data", "Hello"], "a text of two words or more; got 'Hello'"),
        (["--rows", "5", "--epochs", "2"], "got --rows, --epochs"),
        (["--max-tokens", "2"], "max_tokens as an integer of at least 4; got 2"),
        (["--backbone", "mobilenet_v2"], "an encoder of texts; got 'mobilenet_v2'"),
        (["--out", "picture.png"], "a file: picture.png"),
    ],
)
def test_what_is_refused(
    arguments: list[str], got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9)
    capsys.readouterr()
    assert main(["run", "attention", *arguments]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert got in line and line.startswith("error: expected ") and len(line.split("; ")) >= 3
    assert not list(tmp_path.glob("runs/*"))
