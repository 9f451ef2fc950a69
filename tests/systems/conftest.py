"""Small image folders of real images, usable and not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tl_course.systems.demonstration import photos, write_image_folder

Maker = Callable[..., Path]


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Makes a folder of crops: photo_folder("cat", "grass", size=32, train=20)."""

    def make(*classes: str, size: int = 32, train: int = 20, val: int = 8, test: int = 20) -> Path:
        root = tmp_path_factory.mktemp("photos") / "images"
        write_image_folder(photos(classes, size, {"train": train, "val": val, "test": test}), root)
        return root

    return make
