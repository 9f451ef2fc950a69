"""Each test of the quizzes has a progress file of its own, and reads English."""

import pytest

from tl_course import i18n


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setattr(i18n, "_translations", i18n._translations)
    i18n.use_language("en")
