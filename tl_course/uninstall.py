"""`tl-course uninstall`: away with everything the course put on this machine, but for what the learner made.

The course writes into its clone, the cache folder, the folder of the learner's records and the folder for temporary
files. What is removed is named here, one by one; whatever else lies in these places stays.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tl_course import assets, progress_file
from tl_course.errors import BadInput
from tl_course.grading import warm_kernel
from tl_course.i18n import _

CACHED = ("assets", "features", "torchvision")  # in the cache folder; other programs may share it
SITE = ("site", "site-cache", "site-source", "jupyter_execute")  # made by scripts/build_site.py
BUILT = (  # in the clone
    *("tl_course.egg-info", ".pytest_cache", ".ruff_cache", ".git/tl_course_update.lock"),
    *(f"build/{name}" for name in SITE),
)
OF_PYTHON = ("tl_course", "scripts", "lessons", "benchmarks", "tests")  # where Python leaves __pycache__
# In the folder for temporary files: what was left by programs that were killed, and what a build of lessons recorded.
TEMPORARY = (
    *(f"tl_course_{name}_????????" for name in ("check", "drift", "release", "run", "submission")),
    "tl_course_build",
)


@dataclass(frozen=True)
class Place:
    """A file or folder, what it is, and its size in bytes."""

    path: Path
    what: str
    size: int


@dataclass(frozen=True)
class Plan:
    """What goes, the folder of the running Python last; what stays; and what is left to do by hand."""

    remove: list[Place]
    stay: list[Place]
    by_hand: list[str]


def plan(root: Path) -> Plan:
    """What an uninstallation would do with a clone of the course.

    Raises:
        BadInput: JupyterLab still runs there.
    """
    _check_no_lab(root)
    environment, by_hand = _environment(root)
    kernel = Path(sys.prefix, "share", "jupyter", "kernels", warm_kernel.NAME)
    outside = [kernel] if not _below(kernel, root / ".venv") else []
    going = [
        *((path, _("fetched weights, data and features")) for path in map(assets.cache_dir().joinpath, CACHED)),
        *((path, _("temporary files")) for path in _temporary()),
        *((path, _("a kernel for Jupyter")) for path in outside),
        *((path, _("made by set-up and tests")) for path in _built(root)),
        *((path, _("the course's Python and its packages")) for path in environment),
    ]
    kept = (root, progress_file.home())  # may have been put into one of these places
    spared = [path for path, _what in going if any(_below(place, path) for place in kept)]
    remove = [_place(path, what) for path, what in going if os.path.lexists(path) and path not in spared]
    mine = [(progress_file.home(), _("your progress, drafts, and copies of your notebooks"))]
    mine += [(root / name, _("yours, in the course's folder")) for name in _own(root, [path for path, _what in going])]
    stay = [_place(path, what) for path, what in mine if path.is_file() or (path.is_dir() and any(path.iterdir()))]
    return Plan(remove, stay, by_hand)


def remove(root: Path, places: list[Place]) -> list[str]:
    """Remove them, in this order, and folders of the course that are empty then; returns what could not be removed."""
    failed: list[str] = []
    for place in places:
        try:
            _delete(place.path)
        except OSError as error:
            failed.append(f"{place.path}: {error.strerror or error}")
    for folder in (root / "build", assets.cache_dir(), progress_file.home()):
        with contextlib.suppress(OSError):  # not there, or not empty
            folder.rmdir()
    return failed


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _environment(root: Path) -> tuple[list[Path], list[str]]:
    """The clone's .venv where that can be removed, and what is to be done by hand about another Python."""
    venv = root / ".venv"
    ours = (venv / "pyvenv.cfg").is_file() and not venv.is_symlink()
    if not (ours and _below(Path(sys.prefix), venv)):
        return ([venv] if ours else []), [_another_python()]
    if os.name == "nt":  # a program that runs cannot be removed
        return [], [_("when this has ended: rmdir /s /q {folder}").format(folder=venv)]
    return [venv], []


def _another_python() -> str:
    """How to take the course out of an environment that is not the clone's own."""
    if Path(sys.prefix, "conda-meta").is_dir():
        text = _("the conda environment stays; to remove it: conda env remove --prefix {prefix}")
        return text.format(prefix=sys.prefix)
    text = _("the packages of {prefix} stay; to remove the course from them: {python} -m pip uninstall tl-course")
    return text.format(prefix=sys.prefix, python=sys.executable)


def _built(root: Path) -> Iterator[Path]:
    yield from (root / name for name in BUILT)
    for name in OF_PYTHON:
        yield from sorted((root / name).rglob("__pycache__"))


def _temporary() -> Iterator[Path]:
    """This user's, on a machine that others may use as well."""
    folder = Path(tempfile.gettempdir())
    for path in sorted(path for pattern in TEMPORARY for path in folder.glob(pattern)):
        if not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid():
            yield path


def _own(root: Path, removed: list[Path]) -> list[str]:
    """What in the clone is the learner's: changed or unknown to git. Without git nothing can be told apart."""
    found = set()
    for arguments in (["diff", "--name-only", "HEAD"], ["ls-files", "--others", "--directory"]):
        command = ["git", "-C", str(root), *arguments, "-z"]
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            done = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")
            found |= {name.rstrip("/") for name in done.split("\0") if name}
    return sorted(name for name in found if not any(_below(root / name, path) for path in removed))


def _check_no_lab(root: Path) -> None:
    try:
        from jupyter_server.serverapp import list_running_servers
    except ImportError:  # half of an installation can be removed as well
        return
    for server in list_running_servers():
        if _below(Path(server.get("root_dir", "/")), root):
            raise BadInput(
                _("the course's JupyterLab to be closed"),
                _("one at {address}").format(address=server.get("url")),
                _("save your notebooks, choose File > Shut Down, then run this again"),
            )


def _below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _place(path: Path, what: str) -> Place:
    return Place(path, what, _size(path))


def _size(path: Path) -> int:
    """The bytes of a file, or of all files of a folder; links count as such."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _dirs, names in os.walk(path) for name in names)
