"""The folder a run writes to: never one that holds something, unless told; checked before hours are spent."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tl_course.errors import BadInput
from tl_course.i18n import _

RUNS = Path("runs")
"""Where runs without a folder of their own go, numbered, below the current folder."""

REPORTS = 4 * 2**20
"""Bytes that the figures and reports take, with room to spare."""


@contextmanager
def output_folder(out: str | Path | None, name: str, force: bool = False) -> Iterator[Path]:
    """The folder to write to, made where it is not there; taken away again when the run fails and left it empty.

    Args:
        out: the folder; None takes the first free number: runs/NAME-1, runs/NAME-2 …
        name: the system's.
        force: write into `out` although it holds files; those of the same names are replaced, others stay.

    Raises:
        BadInput: `out` is a file, holds files, or cannot be made or written to.
    """
    try:
        folder, made = _numbered(name) if out is None else _given(Path(out).expanduser(), force)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise unwritable(RUNS if out is None else out, error) from error
    try:
        yield folder
    except BaseException:
        if made:
            with suppress(OSError):  # not empty: what was written before it failed stays
                folder.rmdir()
        raise


def check_room(folder: Path, needed: int) -> None:
    """Raises BadInput unless the disk has room for `needed` bytes and the reports."""
    free = shutil.disk_usage(folder).free
    if free < needed + REPORTS:
        raise BadInput(
            _("room for {needed} MiB in {folder}").format(needed=(needed + REPORTS) >> 20, folder=folder),
            _("{free} MiB free").format(free=free >> 20),
            _("free some space, or choose another folder with --out"),
        )


def unwritable(folder: str | Path, error: Exception) -> BadInput:
    """The error for a folder that refuses what is written to it."""
    reason = getattr(error, "strerror", None) or str(error)
    return BadInput(
        _("an output folder that can be written to"),
        f"{folder} ({reason})",
        _("choose another with --out, or free some space"),
    )


def _numbered(name: str) -> tuple[Path, bool]:
    number = 1
    while True:
        folder = RUNS / f"{name}-{number}"
        with suppress(FileExistsError):  # two runs that start at once get two folders
            folder.mkdir(parents=True)
            return folder, True
        number += 1


def _given(folder: Path, force: bool) -> tuple[Path, bool]:
    expected = _("an output folder that is new or empty")
    if folder.exists() and not folder.is_dir():
        raise BadInput(expected, _("a file: {path}").format(path=folder), _("choose another with --out"))
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if not force and any(folder.iterdir()):
        raise BadInput(
            expected,
            _("{path}, which holds files").format(path=folder),
            _("choose another, leave --out away for a new one, or pass --force to write into it"),
        )
    return folder, made
