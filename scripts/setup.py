"""Set up the course: .venv with pinned packages, pretrained weights and data, and the system packages it uses.

    python scripts/setup.py [--no-system]

Runs on Linux, macOS and Windows under any Python 3 (it looks for 3.11 to 3.13 itself), needs nothing but the standard
library, touches no environment but .venv, and does nothing where nothing has changed since the last time.
"""

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
BIN = VENV / ("Scripts" if WINDOWS else "bin")
PYTHON = BIN / ("python.exe" if WINDOWS else "python")
STAMP = VENV / "tl_course_setup"
STAMPED = (
    "pyproject.toml",
    "constraints.txt",
    "tl_course/asset_table.py",
    "scripts/setup.py",
    "tl_course/lab/install.py",
)
VERSIONS = ("3.11", "3.12", "3.13")
SUPPORTED = "Python 3.11 to 3.13"

# Debian package: (what it is for, whether it is there)
SYSTEM = {
    "bubblewrap": ("grading submissions in a sandbox", lambda: shutil.which("bwrap")),
    "libseccomp2": ("grading submissions in a sandbox", lambda: has_library("libseccomp.so.2")),
    "chromium": (
        "the browser tests",
        lambda: any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    ),
    "dataset-fashion-mnist": (
        "the fashion_mnist images (70,000) without a download",
        lambda: Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz").exists(),
    ),
    "postgresql": (
        "the tests with a gradebook in PostgreSQL",
        lambda: shutil.which("initdb") or any(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
    ),
    "fonts-noto-cjk": ("Chinese characters in plots and screenshots", lambda: "Noto" in output("fc-list", ":lang=zh")),
}


class SetupError(Exception):
    """What was expected, what was found, and what to do, in one line."""


def main():
    parser = argparse.ArgumentParser(description="Set up the course in .venv.")
    parser.add_argument("--no-system", action="store_true", help="leave the system packages alone")
    options = parser.parse_args()
    try:
        if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == stamp():
            return
        make_venv()
        with ThreadPoolExecutor(1) as other:  # pip waits for the network and the disk more than for the processor
            system = other.submit(install_system_packages, options.no_system)
            install_packages()
            system.result()
        install_extensions()
        fetch_assets()
        STAMP.write_text(stamp())
    except SetupError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: expected to finish the set-up; got an interrupt; run it again, it goes on where it stopped")
    say("ready")


def say(text):
    print(f"setup: {text}", flush=True)


def output(*command):
    """What a command prints; "" where it is missing, fails or hangs."""
    try:
        result = subprocess.run(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.decode(errors="replace").strip()


def clean_environment():
    """This process's environment without what would make pip install elsewhere than into .venv."""
    misleading = {"PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "VIRTUAL_ENV"}
    return {**{k: v for k, v in os.environ.items() if k not in misleading}, "PYTHONNOUSERSITE": "1"}


def stamp():
    """Changes with the pins, the asset table, this script, the place of the assets and the place of the repository."""
    digest = hashlib.sha256()
    for name in STAMPED:
        digest.update((ROOT / name).read_bytes())
    digest.update(repr((str(ROOT), os.environ.get("TL_COURSE_CACHE"))).encode())
    return digest.hexdigest()


def version_of(python):
    """Such as "3.11" for an interpreter that runs and has venv and pip's installer; "" otherwise."""
    return output(python, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])")


def find_python():
    """The first suitable interpreter: the one that runs this script, else one found on PATH."""
    names = ("python3.12", "python3.13", "python3.11", "python3", "python")
    for python in [sys.executable, *filter(None, map(shutil.which, names))]:
        if version_of(python) in VERSIONS:
            return python
    raise SetupError(
        f"expected {SUPPORTED} with its venv module; got {sys.version.split()[0]} or no venv at {sys.executable}; "
        "install one (on Debian and Ubuntu: apt-get install python3 python3-venv), then run this again"
    )


def made_at():
    """Where .venv was when it was made (its programs name that place), or None where that is not written down."""
    settings = (VENV / "pyvenv.cfg").read_text().splitlines()
    commands = [line.partition("-m venv ")[2] for line in settings if line.startswith("command =")]
    return commands[0] if commands and commands[0] else None


def make_venv():
    if PYTHON.exists() and output(PYTHON, "-m", "pip", "--version"):
        if version_of(PYTHON) not in VERSIONS:
            found = version_of(PYTHON) or "one that does not run"
            raise SetupError(f"expected {SUPPORTED} in .venv; got {found}; delete .venv and run this again")
        if made_at() not in (None, str(VENV)):
            raise SetupError(
                f"expected .venv made in this folder; got one moved from {made_at()}; delete it and run this again"
            )
        return
    python = find_python()
    say(f"making .venv with {python}")
    if subprocess.run([python, "-m", "venv", str(VENV)], env=clean_environment()).returncode:
        raise SetupError(
            f"expected `{python} -m venv .venv` to work; got the error above; mend what it names, delete .venv "
            "and run this again"
        )


def install_packages():
    say("installing the pinned packages (the first time downloads several hundred MB)")
    command = [str(PYTHON), "-m", "pip", "install", "-c", "constraints.txt", "-e", ".[dev]"]
    command += ["--disable-pip-version-check"]
    if subprocess.run(command, cwd=str(ROOT), env=clean_environment()).returncode:
        raise SetupError(
            "expected pip to install the pinned packages; got the error above; check network and disk space, then run "
            "this again: it goes on where it stopped"
        )


def has_library(name):
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def install_extensions():
    """The kernel that grading uses, and what JupyterLab shows of the course; both in .venv."""
    for module in ("tl_course.grading.warm_kernel", "tl_course.lab.install"):
        command = [str(PYTHON), "-m", module, "install"]
        if subprocess.run(command, cwd=str(ROOT), stdout=subprocess.DEVNULL).returncode:
            raise SetupError(
                f"expected `python -m {module} install` to work; got the lines above; mend that, then run this again"
            )


def install_system_packages(never):
    """Install what is missing where that needs no password; otherwise print the command, and go on without."""
    if never or sys.platform != "linux":
        return
    missing = absent()
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if missing and shutil.which("apt-get") and (root or output("sudo", "-n", "id")):
        say(f"installing system packages: {', '.join(missing)}")
        apt_get("update", root=root)
        for name in missing:  # one at a time: a name that this system lacks must not keep out the others
            apt_get("install", "-y", "--no-install-recommends", name, root=root)
        missing = absent()
    for name in missing:
        say(f"{name} is not installed, so this is left out: {SYSTEM[name][0]}")
    if missing and shutil.which("apt-get"):
        say(f"to have all of it: sudo apt-get install {' '.join(missing)}")


def absent():
    return [name for name, (_, there) in SYSTEM.items() if not there()]


def apt_get(*arguments, root):
    command = [*([] if root else ["sudo", "-n"]), "apt-get", "-q", *arguments]
    subprocess.run(command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.DEVNULL)


def fetch_assets():
    say("fetching and checking pretrained weights and data")
    if subprocess.run([str(PYTHON), "-m", "tl_course.cli", "assets", "fetch"], cwd=str(ROOT)).returncode:
        raise SetupError("expected every asset to be fetched; got the lines above; mend that, then run this again")


if __name__ == "__main__":
    main()
