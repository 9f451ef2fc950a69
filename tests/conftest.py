"""Settings that all tests share; they hold in the processes that tests start as well."""

import os

os.environ["LANGUAGE"] = "en"  # what tests compare with

import pytest

import tl_course  # noqa: F401  (quietens the frameworks before any test imports one)

# pytest-xdist runs two workers on two cores: one thread each, unless said otherwise. Before torch or TensorFlow loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# matplotlib without a screen, and no hub is asked for anything: tests run offline.
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


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
