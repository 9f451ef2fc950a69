"""names and describe tell the truth, and importing the package stays light."""

import subprocess
import sys

import pytest

from tl_course import assets
from tl_course.data import describe, load, names
from tl_course.errors import BadInput


@pytest.mark.parametrize("name", [name for name in names() if describe(name)["offline"]])
def test_describe_agrees_with_what_load_returns(name: str) -> None:
    data, said = load(name), describe(name)
    assert {part: len(split) for part, split in data.splits.items()} == {p: said[p] for p in ("train", "val", "test")}
    assert data.train.x.shape[1:] == said["shape"] and data.num_classes == said["classes"]
    assert (data.source, data.licence, data.name) == (said["source"], said["licence"], name)
    assert data.source and data.licence and len(said["notes"]) > 80


@pytest.mark.skipif(assets.status("fashion_mnist") == "missing", reason="Fashion-MNIST is not on this computer")
def test_describe_agrees_with_the_real_fashion_mnist() -> None:
    test_describe_agrees_with_what_load_returns("fashion_mnist")


def test_names() -> None:
    assert names() == (
        "digits",
        "mnist",
        "photos",
        "cluttered_digits",
        "sentiment",
        "shapes",
        "fashion_mnist",
        "cifar10",
        "flowers102",
        "oxford_pets",
    )


def test_unknown_names_and_options_are_named() -> None:
    with pytest.raises(BadInput, match="digits, mnist"):
        describe("minst")
    with pytest.raises(BadInput, match="size, colour, per_photo; got color;"):
        load("photos", color=True)
    with pytest.raises(BadInput, match="options of mnist: none; got size"):
        load("mnist", size=3)


def test_importing_and_loading_imports_no_framework() -> None:
    frameworks = ("torch", "torchvision", "tensorflow", "keras", "sklearn", "pandas", "scipy")
    code = (
        "import sys; from tl_course import data;"
        "data.load('mnist'); data.load('photos', size=8); data.load('sentiment');"
        f"print([name for name in {frameworks} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
