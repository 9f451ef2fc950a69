"""image_folder on whole and broken folders: everything wrong is named in one message."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tl_course.data import image_folder
from tl_course.data.images import fit_image, read_image, stack_images, tracked
from tl_course.errors import BadInput

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write one image of random pixels; returns its path."""
    rng = np.random.default_rng(0)

    def write(name: str, mode: str = "RGB", side: tuple[int, int] = (20, 16)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (side[1], side[0], 3), dtype=np.uint8)
        Image.fromarray(noise).convert(mode).save(path)
        return path

    return write


def fill(make: Make, folders: tuple[str, ...] = ("cats", "dogs"), count: int = 10) -> None:
    for folder in folders:
        for number in range(count):
            make(f"{folder}/{number}.png")


def message(root: Path, **options: object) -> str:
    with pytest.raises(BadInput) as caught:
        image_folder(root, **options)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sound_folder_is_split_within_each_class(make: Make, tmp_path: Path) -> None:
    fill(make, ("dogs", "cats"), 20)
    for ignored in (".hidden/0.png", "cats/.thumb.png", "__MACOSX/x.png"):
        make(ignored)
    (tmp_path / "cats" / "notes.txt").write_text("not an image")
    data = image_folder(tmp_path, size=16)
    assert data.class_names == ("cats", "dogs") and data.train.x.shape == (24, 16, 16, 3)
    assert {name: np.bincount(part.y).tolist() for name, part in data.splits.items()} == {
        "train": [12, 12],
        "val": [2, 2],
        "test": [6, 6],
    }
    everything = np.concatenate([part.x for part in data.splits.values()])
    assert everything.dtype == np.float32 and everything.min() >= 0 and everything.max() <= 1
    assert len({image.tobytes() for image in everything}) == 40
    assert np.array_equal(image_folder(tmp_path, size=16).test.x, data.test.x)
    assert not np.array_equal(image_folder(tmp_path, size=16, seed=1).test.x, data.test.x)


def test_split_folders_are_kept_and_val_is_held_out_of_train(make: Make, tmp_path: Path) -> None:
    fill(make, ("train/a", "train/b"), 14)
    fill(make, ("test/a", "test/b"), 3)
    data = image_folder(tmp_path, size=16)
    assert data.val is not None
    assert (len(data.train), len(data.val), len(data.test)) == (24, 4, 6)
    fill(make, ("val/a", "val/b"), 2)
    data = image_folder(tmp_path, size=16)
    assert data.val is not None
    assert (len(data.train), len(data.val), len(data.test)) == (28, 4, 6)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "RGB"])
def test_modes_of_png_come_out_as_rgb(make: Make, mode: str) -> None:
    image = read_image(make("a.png", mode, (40, 40)), 32)
    assert image.shape == (32, 32, 3) and image.dtype == np.float32 and image.std() > 0.01


def test_cmyk_sixteen_bit_transparency_and_rotation(tmp_path: Path) -> None:
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    assert read_image(tmp_path / "cmyk.jpg", 16).mean(axis=(0, 1)) == pytest.approx([1, 0, 0], abs=0.02)
    Image.fromarray(np.full((20, 20), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", 16) == pytest.approx(0.5, abs=0.01)
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", 16).min() == 1
    upright = Image.new("RGB", (20, 20))
    upright.paste((255, 255, 255), (0, 0, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    upright.save(tmp_path / "turned.png", exif=exif)
    turned = read_image(tmp_path / "turned.png", 16)
    assert turned[:7].max() < 0.1 and turned[9:].min() > 0.9


def test_images_are_scaled_to_the_shorter_side_and_cropped_at_the_centre() -> None:
    wide = Image.new("RGB", (64, 32), "black")
    wide.paste((255, 255, 255), (16, 0, 48, 32))
    assert fit_image(wide, 16)[:, 1:-1].min() == 1


def test_every_problem_is_named_in_one_message(make: Make, tmp_path: Path) -> None:
    fill(make, ("cats", "dogs"))
    (tmp_path / "cats" / "letter.jpg").write_text("hello, not a picture")
    (tmp_path / "cats" / "nothing.png").touch()
    whole = make("dogs/cut.jpg", side=(90, 90)).read_bytes()
    (tmp_path / "dogs" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    make("dogs/pixel.png", side=(1, 1))
    make("stray.png")
    (tmp_path / "dogs" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "photo.heic").write_bytes(b"x")
    said = message(tmp_path)
    for part in (
        "8 problem(s)",
        "cats/letter.jpg is not an image, whatever its name says (it begins with b'hello, not a'): remove it",
        "cats/nothing.png is empty (0 bytes)",
        "dogs/cut.jpg cannot be read (image file is truncated",
        "dogs/pixel.png has 1 x 1 pixels, fewer than 8 on a side",
        "stray.png is in no class folder",
        "dogs/gone.png cannot be read (No such file or directory)",
        "class empty has no images (it is empty)",
        "class phone has no images (files found: .heic)",
    ):
        assert part in said


def test_a_decompression_bomb_is_named_without_being_decoded(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(make)
    make("cats/warns.png", side=(50, 30))
    make("cats/bomb.png", side=(60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = message(tmp_path)
    assert "cats/bomb.png has more than 0 million pixels" in said and "cats/warns.png has more than" in said


def test_one_class_only(make: Make, tmp_path: Path) -> None:
    fill(make, ("cats",))
    assert "there is one class only, cats: add a folder for a second class" in message(tmp_path)


def test_no_folder_a_file_or_nothing_in_it(make: Make, tmp_path: Path) -> None:
    assert "no such folder" in message(tmp_path / "missing")
    assert "got a file" in message(make("a.png"))
    (tmp_path / "bare").mkdir()
    assert "bare has no class folders: make one a class" in message(tmp_path / "bare")


def test_non_ascii_names_work_and_undecodable_ones_can_be_printed(make: Make, tmp_path: Path) -> None:
    fill(make, ("Kätzchen", "狗"))
    make("狗/mein Bild – 1.png")
    data = image_folder(tmp_path, size=16)
    assert data.class_names == ("Kätzchen", "狗") and sum(map(len, data.splits.values())) == 21
    (tmp_path / "狗" / b"\xff.png".decode("utf-8", "surrogateescape")).write_bytes(b"x")
    assert "狗/\\udcff.png is not an image" in message(tmp_path).encode().decode()


def test_copies_stay_together_or_are_named(make: Make, tmp_path: Path) -> None:
    fill(make, count=30)
    for number in range(10):
        (tmp_path / "cats" / f"copy{number}.png").write_bytes((tmp_path / "cats" / f"{number}.png").read_bytes())
    data = image_folder(tmp_path, size=16)
    parts = [{image.tobytes() for image in part.x} for part in data.splits.values()]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    (tmp_path / "dogs" / "cat.png").write_bytes((tmp_path / "cats" / "3.png").read_bytes())
    assert "cats/3.png and dogs/cat.png are the same file" in message(tmp_path)


def test_broken_split_folders_are_named(make: Make, tmp_path: Path) -> None:
    fill(make, ("train/a", "train/b", "test/a", "test/c"), 3)
    (tmp_path / "extra").mkdir()
    copied = tmp_path / "test" / "a" / "same.png"
    copied.write_bytes((tmp_path / "train" / "a" / "0.png").read_bytes())
    said = message(tmp_path)
    assert "class c is missing in train/" in said and "class b is missing in test/" in said
    assert "extra lies beside train or test" in said
    assert "train/a/0.png and test/a/same.png are the same file" in said


def test_a_missing_test_folder_is_named(make: Make, tmp_path: Path) -> None:
    fill(make, ("train/a", "train/b", "val/a", "val/b"), 3)
    assert "there is no folder test beside train, val: add it" in message(tmp_path)


def test_a_class_too_small_to_split_is_named(make: Make, tmp_path: Path) -> None:
    fill(make)
    make("rare/one.png")
    assert "class rare has 1 different image(s), too few for both train and test" in message(tmp_path)


def test_memory_is_checked_before_reading(make: Make, tmp_path: Path) -> None:
    fill(make)
    assert "20 images of 512 x 512, which take 0.1 GiB" in message(tmp_path, size=512, max_gib=0.01)
    with pytest.raises(BadInput, match="max_gib=12"):
        stack_images(10**6, 32, iter(()))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"size": 4}, "size as an integer from 8 to 1024"),
        ({"fractions": (0.5, 0.1, 0.3)}, "sum to 1"),
        ({"fractions": (0.9, 0.1, 0.0)}, "train and test above 0"),
        ({"seed": "x"}, "seed as an integer"),
    ],
)
def test_options_out_of_range_are_named(tmp_path: Path, options: dict[str, object], part: str) -> None:
    assert part in message(tmp_path, **options)


def test_the_progress_bar_appears_after_two_seconds_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    assert list(tracked([1, 2, 3], "quick", console=terminal)) == [1, 2, 3]
    assert isinstance(terminal.file, io.StringIO) and not terminal.file.getvalue()
    clock = iter(range(10)).__next__
    assert list(tracked([1, 2, 3, 4], "slow", clock, terminal)) == [1, 2, 3, 4]
    assert "slow" in terminal.file.getvalue() and "100%" in terminal.file.getvalue()
    assert capsys.readouterr() == ("", "")
