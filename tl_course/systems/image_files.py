"""Image files of any size as arrays of one: those named one by one, and all below a folder."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tl_course.data.images import UnusableImage, read_image
from tl_course.errors import BadInput
from tl_course.i18n import _


def listed(paths: Iterable[str | Path]) -> list[str]:
    """The image files that are meant: files as they are named, folders with all images below them in order of name.

    Files and folders whose names begin with a dot are left out, and so is what is not named as an image.

    Raises:
        BadInput: a folder without images.
    """
    files: list[str] = []
    for path in paths:
        root = Path(path).expanduser()
        if not root.is_dir():
            files.append(str(path))
            continue
        found = sorted(str(file) for file in root.rglob("*") if file.is_file() and _is_image(file.relative_to(root)))
        if not found:
            raise BadInput(
                _("a folder with image files in it"),
                _("none below {path}").format(path=path),
                _("pass another folder, or name the files one by one"),
            )
        files += found
    return files


def read_images(files: Sequence[str | Path], size: int, problems: list[str]) -> np.ndarray:
    """The images float32 (N, size, size, 3); black ones, and an entry in `problems`, for those that cannot be read."""
    stacked = np.zeros((len(files), size, size, 3), np.float32)
    for position, file in enumerate(files):
        try:
            stacked[position] = read_image(Path(file).expanduser(), size)
        except UnusableImage as error:
            problems.append(f"{file} {error}")
    return stacked


def refusal(problems: Sequence[str]) -> BadInput:
    """The error that names every file that cannot be read."""
    return BadInput(_("image files"), "; ".join(problems), _("mend or leave these out"))


def _is_image(path: Path) -> bool:
    """Whether a path below a folder is named as an image that can be read, and nothing on its way is hidden."""
    Image.init()
    readable = {ending for ending, kind in Image.EXTENSION.items() if kind in Image.OPEN}
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and os.path.splitext(path.name)[1].lower() in readable
