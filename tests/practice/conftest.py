"""Each test of interview practice has a progress file of its own."""

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
