"""Each test of the quizzes has a progress file of its own, and reads English."""

import pytest

from tl_course import i18n


@pytest.fixture(autouse=True)
def english(home, monkeypatch):
    monkeypatch.setattr(i18n, "_translations", i18n._translations)
    i18n.use_language("en")
