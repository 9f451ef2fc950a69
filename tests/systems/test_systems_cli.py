"""`tl-course run` and `tl-course predict` as users meet them: listings, errors in one line, pure JSON."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tl_course import systems
from tl_course.cli import main

Maker = Callable[..., Path]
Done = tuple[subprocess.CompletedProcess[str], Path]
RUN = ["run", "pytorch-transfer", "--weights", "none", "--epochs", "1", "--image-size", "32", "--seed", "3"]


def tl_course(code: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, after `code`."""
    script = f"import sys; {code}; from tl_course.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, photo_folder: Maker) -> Done:
    """A run with --json, and the folder it was started in."""
    folder = tmp_path_factory.mktemp("run")
    data = photo_folder("cat", "grass", train=6, val=4, test=5)
    return tl_course("pass", *RUN, "--data", str(data), "--json", cwd=folder), folder


@pytest.fixture
def model(done: Done) -> Path:
    return done[1] / json.loads(done[0].stdout)["files"]["model"]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command refuses these arguments with."""
    capsys.readouterr()
    assert main(arguments) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()[-1:]
    assert line.startswith("error: expected ") and len(line.split("; ")) >= 3
    return line


def test_the_listing_has_the_keys_that_others_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: (row["framework"], row["documents"]) for row in rows} == {
        "keras-vgg16-classifier": ("keras", [57]),
        "keras-distill": ("keras", [58]),
        "pytorch-resnet18-folder": ("pytorch", [59]),
        "keras-vgg16-frozen": ("keras", [60]),
        "keras-mobilenetv2-binary": ("keras", [61]),
        "distill": ("pytorch", [64]),
        "pytorch-transfer": ("pytorch", [65]),
        "pytorch-resnet18-cifar10": ("pytorch", [70]),
        "text-transfer": ("pytorch", [62]),
        "attention": ("pytorch", [63, 67]),
        "bert-finetune": ("pytorch", [66]),
        "text-distill": ("pytorch", [68]),
        "text-classify": ("pytorch", [69]),
        "keras-text-classify": ("keras", [69]),
    }
    assert {row["name"] for row in systems.listing("text")} == {
        "text-transfer",
        "bert-finetune",
        "text-classify",
        "keras-text-classify",
    }
    assert {row["name"] for row in systems.listing("distillation")} == {"keras-distill", "distill", "text-distill"}
    assert main(["run", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 1


def test_listing_loads_no_framework(tmp_path: Path) -> None:
    code = "import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    done = tl_course(code, "run", "--list", cwd=tmp_path)
    loaded = set(done.stderr.split())
    assert "tl_course.systems" in loaded
    assert not loaded & {"torch", "tensorflow", "keras", "sklearn", "matplotlib.pyplot"}


def test_json_is_one_value_with_report_and_paths(done: Done) -> None:
    command, folder = done
    assert command.returncode == 0, command.stderr
    value = json.loads(command.stdout)
    assert value["system"] == "pytorch-transfer" and value["documents"] == [65]
    assert value["images"] == {"train": 12, "val": 8, "test": 10}
    assert 0 <= value["report"]["accuracy"] <= 1 and value["report"]["majority"] == 0.5
    assert set(value["files"]) == {"model", "report", "text", "curves", "confusion"}
    for path in value["files"].values():
        assert (folder / path).is_file() and path.startswith("runs/pytorch-transfer-1/")
    assert "random weights" in command.stderr


def test_the_same_seed_gives_the_same_model(done: Done, tmp_path: Path, photo_folder: Maker) -> None:
    data = photo_folder("cat", "grass", train=6, val=4, test=5)
    again = json.loads(tl_course("pass", *RUN, "--data", str(data), "--json", cwd=tmp_path).stdout)
    first = json.loads(done[0].stdout)
    assert again["history"]["train_loss"] == first["history"]["train_loss"]
    assert again["report"] == first["report"]


def test_predict_prints_a_line_an_image_of_any_kind(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    kinds = {"L": "grey.png", "RGBA": "alpha.png", "RGB": "photo.jpg", "P": "[red]palette.gif"}
    for mode, name in kinds.items():
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).convert(mode).save(tmp_path / name)
    assert main(["predict", str(model), *(str(tmp_path / name) for name in kinds.values())]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for line, name in zip(lines, kinds.values(), strict=True):
        file, label, probability = line.split("  ")
        assert file == str(tmp_path / name) and label in ("cat", "grass") and 0.5 <= float(probability) <= 1


@pytest.mark.parametrize("content", ["none", "text", "images only"])
def test_what_is_no_model_is_refused(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.numpy import save_file

    file, image = tmp_path / "model.safetensors", tmp_path / "a.png"
    Image.new("RGB", (40, 40)).save(image)
    if content == "text":
        file.write_text("not a model")
    elif content == "images only":
        save_file({"x": np.zeros(3, np.float32)}, file)
    assert file.name in refused(["predict", str(file), str(image)], capsys)


def test_images_that_cannot_be_read_are_all_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, missing = (tmp_path / name for name in ("good.png", "bad.png", "missing.png"))
    Image.new("RGB", (40, 40)).save(good)
    bad.write_text("text")
    empty = tmp_path / "empty"
    empty.mkdir()
    line = refused(["predict", str(model), str(good), str(bad), str(missing)], capsys)
    assert str(good) not in line
    for file in (bad, missing):
        assert f"{file} " in line
    assert "none" in refused(["predict", str(model)], capsys)
    assert f"none below {empty}" in refused(["predict", str(model), str(empty)], capsys)


def test_a_folder_stands_for_the_images_below_it(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["b/one.png", "a.JPG", "b/.hidden.png", "notes.txt", "b/two.webp"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), "red").save(tmp_path / name, format="PNG")
    assert main(["predict", str(model), str(tmp_path), str(tmp_path / "a.JPG"), "--json"]) == 0
    files = [Path(row["file"]).relative_to(tmp_path).as_posix() for row in json.loads(capsys.readouterr().out)]
    assert files == ["a.JPG", "b/one.png", "b/two.webp", "a.JPG"]


BAD_FOLDERS = {
    "one class": ({"cat": 4}, "there is one class only"),
    "an empty class": ({"cat": 4, "dog": 0}, "class dog has no images"),
    "no images": ({"cat": 0, "dog": 0}, "class cat has no images"),
    "no class folders": ({}, "has no class folders"),
    "one image a class": ({"cat": 4, "dog": 1}, "class dog has 1 different image(s), too few"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_folders_that_cannot_be_used(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    counts, got = BAD_FOLDERS[case]
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for label, count in counts.items():
        (data / label).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(data / label / f"{number}.png")
    assert got in refused(["run", "pytorch-resnet18-folder", "--data", str(data)], capsys)
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        ("run", "none"),
        ("run no-such-system", "no-such-system"),
        ("run keras-vgg16-frozen --data nowhere", "no such folder: nowhere"),
        ("run pytorch-resnet18-cifar10 --data nowhere", "no such folder: nowhere"),
        ("run pytorch-resnet18-cifar10 --data .", "no cifar-10-batches-py/batches.meta"),
        ("run pytorch-resnet18-folder --data file", "a file: file"),
        ("run pytorch-resnet18-folder --out file", "a file: file"),
        ("run pytorch-resnet18-folder --out .", "which holds files"),
        ("run pytorch-resnet18-folder --epochs 0", "epochs as an integer of at least 1; got 0"),
        ("run pytorch-resnet18-folder --epochs x", "'x' is not a valid integer"),
        ("run pytorch-resnet18-folder --seed -1", "got -1"),
        ("run pytorch-resnet18-folder --image-size 0", "got 0"),
        ("run pytorch-resnet18-folder --per-class 1000", "per_class=40 or less"),
        ("run pytorch-resnet18-folder --weights imagenet", "'imagenet'"),
        ("run pytorch-resnet18-folder --backbone resnet81", "did you mean resnet18"),
        ("run keras-mobilenetv2-binary --data mnist", "got 10: 0, 1, 2"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    assert got in refused(arguments.split(), capsys)


def test_pretrained_weights_that_cannot_be_had(tmp_path: Path, photo_folder: Maker) -> None:
    """Asked for, their absence is an error; left to the system, it is said and random weights are used."""
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "TORCH_HOME": str(tmp_path)}
    data = str(photo_folder("cat", "grass", train=2, val=2, test=2))
    arguments = ["run", "pytorch-resnet18-folder", "--data", data, "--epochs", "1", "--image-size", "32", "--json"]
    done = tl_course("pass", *arguments, "--weights", "pretrained", cwd=tmp_path, **nowhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: expected the pretrained weights of resnet18, cached or downloaded; got neither" in done.stderr
    done = tl_course("pass", *arguments, cwd=tmp_path, **nowhere)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["weights"] == "random"
    assert "RANDOM weights" in done.stderr and "--backbone mobilenet_v2" in done.stderr


def test_a_full_disk_is_one_line(tmp_path: Path, photo_folder: Maker) -> None:
    """A limit on the size of files stands in for a full disk: writing the model fails half-way."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))"
    data = photo_folder("cat", "grass", train=6, val=4, test=5)
    done = tl_course(code, *RUN, "--data", str(data), "--out", "out", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: expected an output folder that can be written to; got out (")
    assert not (tmp_path / "out").exists()
