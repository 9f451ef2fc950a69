"""The sandbox that submissions run in, from outside: what it shows, what it hides, and how it is started.

bubblewrap holds a process with the frameworks imported (see zygote.py): no network, a read-only root with the system's
libraries, this Python and the package, but without home, course, gradebook, submissions, bank or question cards; an
environment of its own; no capabilities. Each submission gets namespaces of its own inside it (see confinement.py).
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import tl_course
from tl_course.assets import cache_dir
from tl_course.grading.confinement import NOBODY, PRIVATE
from tl_course.i18n import _

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime")
PACKAGE = Path(tl_course.__file__).parent
KEPT = ("LANG", "LANGUAGE", "LC_ALL", "TZ")


def bubblewrap() -> str | None:
    """Path of the program that makes the sandbox, or None where there is none."""
    return shutil.which("bwrap") if sys.platform == "linux" else None


def command(program: list[str]) -> list[str]:
    """The command that runs a program of this Python in the sandbox.

    Started by root, the sandbox may change its user, and does so at once (see zygote.py): nothing runs as root in it.
    """
    bwrap = bubblewrap()
    assert bwrap is not None
    namespaces = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() == 0 and _can_become_nobody():
        rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        rights = ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL"]
    life = ["--die-with-parent", "--new-session", "--hostname", "sandbox"]
    return [bwrap, *namespaces, *rights, *life, *_environment(), *_mounts(), "--", sys.executable, *program]


def _can_become_nobody() -> bool:
    """Whether that user exists here: a container's root may be the only one that does."""
    with open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(first <= NOBODY < first + count for first, _outside, count in ranges)


def _environment() -> Iterator[str]:
    """An environment without anything of the grader's."""
    values = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": PRIVATE,
        "TMPDIR": f"{PRIVATE}/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "HF_HUB_OFFLINE": "1",
        "TL_COURSE_HOME": f"{PRIVATE}/progress",
        "TL_COURSE_CACHE": str(cache_dir()),
        **{name: os.environ[name] for name in KEPT if name in os.environ},
    }
    yield "--clearenv"
    for name, value in values.items():
        yield from ("--setenv", name, value)


def _mounts() -> Iterator[str]:
    for path in SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    shown = [*_python(), str(PACKAGE), *([str(cache_dir())] if cache_dir().is_dir() else [])]
    for folder in _folders_above([*shown, *SETTINGS]):
        yield from ("--dir", folder)  # which any user may pass through
    for path in SETTINGS:
        yield from ("--ro-bind-try", path, path)
    for path in shown:
        yield from ("--ro-bind", path, path)
    for folder in hidden():
        yield from ("--tmpfs", str(folder), "--remount-ro", str(folder))
    yield from (
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--perms",
        "1777",
        "--tmpfs",
        PRIVATE,
    )
    if not any(path.startswith("/tmp/") for path in shown):  # a Python or package there keeps it a folder
        yield from ("--symlink", f"{PRIVATE}/tmp", "/tmp")
    yield from ("--perms", "1777", "--dir", f"{PRIVATE}/tmp")  # for the imports; each submission gets its own over it
    yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/")


def _python() -> list[str]:
    """Folders of this Python: its installation, and the virtual environment. None inside another or the system's."""
    places = {sys.base_prefix, sys.prefix, os.path.realpath(sys.base_prefix), *_site_packages()}
    inside = [*SYSTEM, *places]
    return sorted(
        path for path in places if not any(path != other and path.startswith(other + "/") for other in inside)
    )


def _folders_above(paths: list[str]) -> list[str]:
    above = {str(folder) for path in paths for folder in Path(path).parents}
    return sorted(folder for folder in above if not folder.startswith(SYSTEM) and folder != "/")


def _site_packages() -> set[str]:
    paths = sysconfig.get_paths()
    return {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def hidden() -> list[Path]:
    """Folders of the package that no submission may read: the bank, and the interview cards with their answers."""
    bank = [file.parent for file in (PACKAGE / "exercises").glob("*/__init__.py") if file.parent.name != "engine"]
    return [*bank, PACKAGE / "practice"]


def advice() -> str:
    """What to do where the sandbox cannot be had."""
    if sys.platform == "linux":
        return _(
            "install bubblewrap and libseccomp2 and allow user namespaces, or grade in a container; see docs/grading.md"
        )
    return _("grade on Linux or in a Linux container; see docs/grading.md")
