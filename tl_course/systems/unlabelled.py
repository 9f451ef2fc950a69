"""Examples without classes, for a teacher to answer: a folder of images, or a table of texts."""

import tempfile
from pathlib import Path

import numpy as np
import psutil

from tl_course.data import Dataset
from tl_course.data.table_file import read_table_file
from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.systems import image_files
from tl_course.systems.source import MEMORY_SHARE, convert
from tl_course.systems.system import Distillation, Request


def read(distillation: Distillation, request: Request, dataset: Dataset) -> np.ndarray | None:
    """The examples that a run was told of, or the demonstration's; none of them is among those with a class.

    Args:
        distillation: whose demonstration is taken where the run has no data of its own.
        request: where the examples are; `--text` names the column of a table.
        dataset: what has classes; copies of any of its examples are left out.

    Returns:
        Images float32 (N, H, W, C) in [0, 1] of the data set's size, or texts (N,); None where the run has none.

    Raises:
        BadInput: no such folder or table, files that are no images, or nothing is left.
    """
    path = request.options.get("unlabelled")
    if path is None and request.data is not None:
        return None
    if path is not None:
        found = _read(Path(path).expanduser(), request, dataset)
    else:
        with tempfile.TemporaryDirectory(prefix="tl_course_") as folder:
            where = Path(folder) / "unlabelled"
            distillation.write_unlabelled(where)
            found = _read(where, request, dataset)
    known = {_content(example) for split in dataset.splits.values() for example in split.x}
    new = [position for position, example in enumerate(found) if _content(example) not in known]
    if not new:
        raise BadInput(
            _("examples without classes beside those that have one"),
            _("{path}, whose examples all have one").format(path=path),
            _("pass others, or leave --unlabelled away"),
        )
    return found[new]


def _read(path: Path, request: Request, dataset: Dataset) -> np.ndarray:
    if dataset.train.x.ndim == 1:
        options = request.options
        name = options.get("text") or "text"
        cells = (cell.strip() for cell in read_table_file(path, [name], options.get("encoding")).column(name))
        kind = object if dataset.train.x.dtype == object else str
        return np.array(list(dict.fromkeys(cell for cell in cells if cell)), dtype=kind)
    if not path.is_dir():
        got = _("a file: {path}") if path.exists() else _("no such folder: {path}")
        raise BadInput(_("a folder of images for --unlabelled"), got.format(path=path), _("check the path"))
    files, problems = image_files.listed([path]), []
    size, channels = dataset.train.x.shape[2:]
    _check_memory(len(files), size)
    images = image_files.read_images(files, size, problems)
    if problems:
        raise image_files.refusal(problems)
    return convert(images, channels)


def _check_memory(count: int, size: int) -> None:
    needed, room = count * size * size * 12, MEMORY_SHARE * psutil.virtual_memory().available
    if needed > room:
        raise BadInput(
            _("images that fit into {room} MiB").format(room=int(room) >> 20),
            _("{count} of side {size}, which take {needed} MiB").format(count=count, size=size, needed=needed >> 20),
            _("pass fewer, or a smaller --image-size"),
        )


def _content(example: np.ndarray | str) -> bytes:
    return example.tobytes() if isinstance(example, np.ndarray) else str(example).encode()
