"""Settings that all tests share; they hold in the processes that tests start as well."""

import os

os.environ["LANGUAGE"] = "en"  # what tests compare with

import random
import sys

import pytest

import tl_course  # noqa: F401  (quietens the frameworks before any test imports one)

# pytest-xdist runs two workers on two cores: one thread each, unless said otherwise. Before torch or TensorFlow loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# matplotlib without a screen, and no hub is asked for anything: tests run offline.
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: what is short fills the time of two workers to the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Every test and its fixtures draw the same numbers in every run: a red one can be repeated."""
    import numpy as np  # after the settings above

    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A progress file of the test's own: its folder."""
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def headings():
    """Lesson id -> its headings, without the marks."""
    import jupytext

    from tl_course import lessons

    found = {}
    for row in lessons.listing():
        cells = jupytext.read(lessons.SOURCES / f"{row['id']}.py", fmt="py:percent").cells
        lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
        found[row["id"]] = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return found
