"""Each test of interview practice has a progress file of its own."""

import pytest

from tl_course import progress_file


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    progress_file._engine(str(progress_file.home() / "progress.db")).dispose()
    progress_file._engine.cache_clear()
