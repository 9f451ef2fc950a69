"""The first code cell of a lesson: gets the course on Colab and Kaggle, does nothing where it is installed.

Where the course's repository is stands in one place, `Repository` under `[project.urls]` in pyproject.toml; after a
change there, `make notebooks` writes it into the notebooks. The variable ``TL_COURSE_REPOSITORY`` overrides it.
"""

import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
_CELL = """\
# Gets the course on Colab and Kaggle, in some minutes; does nothing where it is installed.
import importlib.util
if getattr(importlib.util.find_spec("tl_course"), "origin", None) is None:
    import os, subprocess, sys
    hosted, folder = {"COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"} & os.environ.keys(), "tl_course_clone"
    address = os.environ.get("TL_COURSE_REPOSITORY") or (@ADDRESS@ if hosted else "")
    if not address: raise RuntimeError(@MISSING@)
    steps = [] if os.path.isdir(folder) else [["git", "clone", "--depth=1", address, folder]]
    steps += [[sys.executable, "-m", "pip", "install", "-q", "-c", f"{folder}/constraints.txt", "-e", folder]]
    for step in [*steps, [sys.executable, "-m", "tl_course.cli", "assets", "fetch"]]:
        if subprocess.run(step).returncode: raise RuntimeError(@FAILED@.format(" ".join(step)))
    sys.path.insert(0, os.path.abspath(folder))"""
_MISSING = (
    "expected the course in this Python; got none; choose the kernel of the course's .venv, or set "
    "os.environ['TL_COURSE_REPOSITORY'] to the address of its git repository and run this cell again"
)
_FAILED = (
    "expected `{}` to work; got the lines above; check the network, then restart the session and run this cell again"
)


def source(project: Path = PROJECT) -> str:
    """The cell's code, with the address of the repository where pyproject.toml names one."""
    urls = tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("urls", {})
    filled = {"@ADDRESS@": urls.get("Repository", ""), "@MISSING@": _MISSING, "@FAILED@": _FAILED}
    code = _CELL
    for name, text in filled.items():
        code = code.replace(name, repr(text))
    return code
