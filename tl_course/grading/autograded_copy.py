"""A submission's autograded copy: each file of it whole or not at all, and nothing else beside them."""

import os
import secrets
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode


def write_copy(
    folder: Path, notebooks: Mapping[str, NotebookNode | None], files: Mapping[str, bytes], timestamp: datetime | None
) -> None:
    """Write a submission's autograded copy, and remove whatever else is in its folder.

    Args:
        folder: where it lies.
        notebooks: by name; None where there is none.
        files: beside them, by relative posix path.
        timestamp: when it was handed in, UTC without a zone.

    Raises:
        OSError: the disk is full, for one; files are then the old ones or the new ones, and all are whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.ipynb": _text(notebook) for name, notebook in notebooks.items() if notebook is not None}
    if timestamp is not None:
        texts["timestamp.txt"] = f"{timestamp.isoformat(sep=' ')} UTC".encode()
    wanted = {**files, **texts}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            _try_rmdir(path)
        elif path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for relative, data in wanted.items():
        _replace(folder / relative, data)
    _sync(folder)


def _text(notebook: NotebookNode) -> bytes:
    return (nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n").encode("utf-8", "replace")


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and for good.

    Its draft has a short name of its own: the file's may be as long as names can be. A draft that stays behind where
    this process is killed is removed with whatever else is not wanted, when the submission is recorded again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
        os.replace(draft, path)
    except OSError:  # a full disk, for one
        draft.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_rmdir(path: Path) -> None:
    if not any(path.iterdir()):
        path.rmdir()
